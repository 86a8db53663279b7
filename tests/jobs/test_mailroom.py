"""Reading a mailbox: nothing is lost, nothing is worked on twice, nothing stops the rest."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db
from confbridge.jobs import mailroom, run_until_idle
from confbridge.jobs.mailroom import read_mail
from confbridge.mail import incoming
from confbridge.models import Mailbox, Received
from confbridge.services import inbox
from tests import clients, factories
from tests.clients import Answer
from tests.services.mailing import attendee


@pytest.fixture
def folder(app, cast, tmp_path):
    made = tmp_path / "answers"
    config.put_in_force(replace(config.in_force(), mailbox_url=f"maildir:{made}"))
    (made / "new").mkdir(parents=True)
    yield made
    mailroom.forget(f"maildir:{made}")


def put(folder, *raws):
    for number, raw in enumerate(raws):
        (folder / "new" / f"{len(os.listdir(folder / 'new')) + number:04}.mail").write_bytes(raw)


def received():
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Received).order_by(Received.id)))


def test_answers_have_their_effect_and_are_marked_as_done(app, cast, folder):
    meeting = factories.meeting(cast.ann)
    put(folder, clients.google(Answer(uid=meeting.uid)))
    run_until_idle(app, read_mail)
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"
    assert os.listdir(folder / "new") == []
    assert [name.endswith(":2,S") for name in os.listdir(folder / "cur")] == [True]


def test_what_cannot_be_used_is_laid_aside_with_the_reason(app, cast, folder):
    meeting = factories.meeting(cast.ann)
    large = clients.plain("x" * (incoming.LARGEST + 10), "e-1@example.org")
    put(folder, b"\x00\xff nonsense", large, clients.google(Answer(uid=meeting.uid)))
    run_until_idle(app, read_mail)
    assert [(one.outcome, one.detail) for one in received()] == [
        ("quarantine", "about_what"),
        ("refused", "too_large"),
        ("effect", "counted"),
    ]
    assert len(os.listdir(folder / ".Quarantine" / "new")) == 2
    assert received()[1].sender == "e-1@example.org"


def test_whoever_died_before_marking_finds_it_known_and_only_marks_it(
    app, cast, folder, monkeypatch
):
    meeting = factories.meeting(cast.ann)
    put(folder, clients.google(Answer(uid=meeting.uid)))
    with monkeypatch.context() as patch:
        patch.setattr(mailroom, "_mark", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            read_mail()
    assert len(os.listdir(folder / "new")) == 1
    assert not read_mail()  # the dead one's lease is not over
    later = clock.now() + inbox.LEASE + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    run_until_idle(app, read_mail)
    assert os.listdir(folder / "new") == []
    assert len(received()) == 1


def test_a_mail_on_which_we_fail_is_laid_aside_and_does_not_stop_the_next(
    app, cast, folder, monkeypatch
):
    meeting = factories.meeting(cast.ann)
    real = inbox.take

    def fails_once(place, arrival, **rest):
        if arrival.message_id == "<evil@example.org>":
            raise RuntimeError("nobody thought of this")
        return real(place, arrival, **rest)

    monkeypatch.setattr(inbox, "take", fails_once)
    put(
        folder,
        clients.google(Answer(uid=meeting.uid), message_id="<evil@example.org>"),
        clients.google(Answer(uid=meeting.uid, attendee="e-2@example.org")),
    )
    run_until_idle(app, read_mail)
    assert [one.detail for one in received()] == ["our_fault", "counted"]


def test_a_mailbox_that_does_not_answer_says_so_and_is_tried_again(app, cast):
    url = "imap://a:b@127.0.0.1:9/INBOX"
    config.put_in_force(replace(config.in_force(), mailbox_url=url))
    assert not read_mail()
    db.session.rollback()
    box = db.session.scalars(select(Mailbox)).one()
    assert "does not answer" in box.trouble
    assert box.name == "imap://a@127.0.0.1/INBOX"  # no password
    assert box.lease <= clock.now()
