"""Mail goes out, whatever the server does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db, transaction
from confbridge.errors import MailError
from confbridge.jobs import run_until_idle
from confbridge.jobs.postman import deliver_some
from confbridge.models import Mail, MailState
from confbridge.services import access, outbox
from tests import factories


@pytest.fixture
def office(app, cast, post_office):
    config.put_in_force(replace(config.in_force(), mail_url=post_office.url))
    return post_office


def mails():
    db.session.rollback()
    db.session.expire_all()
    return {one.recipient: one for one in db.session.scalars(select(Mail).order_by(Mail.id))}


def test_every_endpoint_gets_its_own_mail(app, cast, office):
    factories.meeting(cast.ann, cast.codes)
    run_until_idle(app, deliver_some)
    assert sorted(one["To"].addresses[0].addr_spec for one in office.mails) == [
        f"e-{number}@example.org" for number in range(1, 5)
    ]
    assert {one.state for one in mails().values()} == {MailState.SENT}
    assert run_until_idle(app, deliver_some) == 0
    texts = [one.get_body(("plain",)).get_content() for one in office.mails]
    assert len({text[text.index("http") :] for text in texts}) == 4  # links of their own


def test_a_refused_address_fails_visibly_and_blocks_nobody(app, cast, office):
    office.refuse["e-1@example.org"] = "550 no such mailbox"
    factories.meeting(cast.ann)
    run_until_idle(app, deliver_some)
    found = mails()
    assert found["e-2@example.org"].state == MailState.SENT
    failed = found["e-1@example.org"]
    assert (failed.state, failed.due) == (MailState.FAILED, None)
    assert "550 no such mailbox" in failed.trouble


def test_a_failed_mail_can_be_sent_again_with_the_same_message_id(app, cast, office):
    office.refuse["e-1@example.org"] = "550 no such mailbox"
    factories.meeting(cast.ann, ["E-1"])
    run_until_idle(app, deliver_some)
    number = mails()["e-1@example.org"].id
    office.refuse.clear()
    with transaction():
        outbox.send_again(access.mail(cast.ann, number, to_change=True), by=cast.ann)
    run_until_idle(app, deliver_some)
    assert office.mails[0]["Message-ID"] == mails()["e-1@example.org"].message_id


def test_a_server_that_is_away_is_tried_again_later_and_later(app, cast, office, clock_at):
    office.close()
    start = clock.now()
    factories.meeting(cast.ann, ["E-1"])
    waits = []
    moment = start + timedelta(seconds=1)
    for _ in range(4):
        clock_at(moment)
        assert not deliver_some()
        due = mails()["e-1@example.org"].due
        waits.append((due - moment).total_seconds())
        moment = due
    assert waits == [15, 30, 60, 120]
    office.open()
    clock_at(moment)
    assert deliver_some()
    assert mails()["e-1@example.org"].state == MailState.SENT


def test_after_many_tries_it_is_given_up_and_shown(app, cast, office, clock_at):
    office.close()
    factories.meeting(cast.ann, ["E-1"])
    for _ in range(outbox.MOST_TRIES):
        found = mails()["e-1@example.org"]
        clock_at(found.due)
        deliver_some()
    found = mails()["e-1@example.org"]
    assert (found.state, found.due, found.tries) == (MailState.FAILED, None, outbox.MOST_TRIES)


def test_a_claimed_mail_is_left_alone_until_the_lease_is_over(app, cast, office, clock_at):
    factories.meeting(cast.ann, ["E-1"])
    with transaction():
        assert outbox.claim_due()
    with transaction():
        assert not outbox.claim_due()
    clock_at(clock.now() + outbox.LEASE + timedelta(seconds=1))
    with transaction():
        assert outbox.claim_due()


def test_a_worker_that_lost_its_lease_does_not_queue_a_sent_mail_again(app, cast, office, clock_at):
    factories.meeting(cast.ann, ["E-1"])
    with transaction():
        (slow,) = outbox.claim_due()
    clock_at(clock.now() + outbox.LEASE + timedelta(seconds=1))
    assert deliver_some()
    with transaction():
        outbox.not_sent(slow, MailError("too slow", server=True))
    found = mails()["e-1@example.org"]
    assert (found.state, found.due) == (MailState.SENT, None)


def test_what_was_sent_is_never_sent_again(app, cast, office, clock_at):
    factories.meeting(cast.ann, ["E-1"])
    run_until_idle(app, deliver_some)
    clock_at(clock.now() + timedelta(days=1))
    assert run_until_idle(app, deliver_some) == 0
    assert len(office.mails) == 1
