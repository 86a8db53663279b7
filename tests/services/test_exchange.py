"""Where letters cross, come late, or come from where they should not: what must not happen."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db, transaction
from confbridge.errors import Conflict
from confbridge.jobs import run_until_idle
from confbridge.jobs.postman import deliver_some
from confbridge.mail import incoming
from confbridge.models import Letter, Mail, OccurrenceAnswer, Received, Reply, Task
from confbridge.services import access, attendees, replies
from tests import clients, factories
from tests.clients import Answer, stamp
from tests.services.mailing import attendee, come_in, evidence, mail_to, outcome, say, token_address
from tests.services.scheduling import (
    answered,
    cancel,
    change,
    change_one,
    count,
    monday_series,
    seen,
)
from tests.services.test_decisions import DEPUTY, decide, delegated, last_mail, of_deputy


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann, ["E-1", "E-2"])


def now_answer(meeting, **given):
    return Answer(uid=meeting.uid, stamped=clock.now() + timedelta(seconds=5), **given)


def test_a_change_that_did_not_concern_it_does_not_outrank_its_calendar(cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])
    change(cast.ann, meeting.uid, endpoints=[{"code": "E-1"}, {"code": "E-2"}])
    say(cast.ann, meeting, "E-1")
    raw = clients.outlook(now_answer(meeting, partstat="DECLINED", sequence=0))
    assert outcome(raw) == ("effect", "counted")


def test_what_does_not_count_leaves_the_series_answer_in_force(cast):
    series = monday_series(cast.ann)
    change(cast.ann, series.uid, start=(series.starts + timedelta(hours=1)).isoformat())
    come_in(clients.google(Answer(uid=series.uid, sequence=1)))
    names = [f":{stamp(one.original)}" for one in seen(series.uid, cast.ann).occurrences]
    late = Answer(uid=series.uid, sequence=0, recurrence_id=names[1])
    assert outcome(clients.google(late)) == ("effect", "outdated")
    start = series.occurrences[2].starts + timedelta(hours=4)
    other = Answer(uid=series.uid, method="COUNTER", sequence=1, recurrence_id=names[2])
    assert outcome(clients.google(other.but(start=start))) == ("queue", "counter")
    assert count(OccurrenceAnswer) == 0


def test_a_date_from_before_the_series_moved_is_outdated_and_answered(cast):
    series = monday_series(cast.ann)
    old = f":{stamp(series.occurrences[1].original)}"
    change(cast.ann, series.uid, start=(series.starts + timedelta(hours=1)).isoformat())
    raw = clients.google(Answer(uid=series.uid, sequence=0, recurrence_id=old))
    assert outcome(raw) == ("effect", "outdated")
    assert last_mail().recipient == "e-1@example.org"


@pytest.mark.parametrize("kind", ["substitute", "counter", "words", "stranger"])
@pytest.mark.parametrize("deed", ["move", "cancel"])
def test_what_was_said_before_a_change_can_no_longer_be_decided(cast, meeting, kind, deed):
    later = meeting.starts + timedelta(hours=3)
    raw = {
        "substitute": delegated(meeting),
        "counter": clients.outlook(Answer(uid=meeting.uid, method="COUNTER", start=later)),
        "words": clients.plain("Đồng ý", "e-1@example.org", to=token_address(mail_to(meeting))),
        "stranger": clients.google(Answer(uid=meeting.uid, attendee="x@example.org")),
    }[kind]
    come_in(raw)
    (row,) = evidence(state="waiting")
    if deed == "cancel":
        cancel(cast.ann, meeting.uid)
    else:
        change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=1)).isoformat())
    before = count(Mail)
    with pytest.raises(Conflict):
        decide(cast.ann, row, endpoint="E-1", partstat="ACCEPTED")
    assert evidence(state="waiting") == []
    assert count(Mail) == before


def test_who_stood_in_gets_his_cancel_though_others_get_theirs(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    db.session.rollback()
    asked = select(Mail.state).join(Letter).where(Letter.kind == "withdrawn")
    assert db.session.scalars(asked).all() == ["queued"]


def test_a_reminder_in_words_does_not_replace_the_invitation_that_has_not_gone_out(cast, meeting):
    answered(cast.ann, meeting, "E-1", "ACCEPTED")
    change(cast.ann, meeting.uid, title="Anders")
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        telling = attendees.outbox.Telling(meeting=found, kind="upcoming", contact="x")
        attendees.outbox.add(telling, found.attendees)
    db.session.rollback()
    asked = select(Mail.state).join(Letter).where(Letter.kind == "changed")
    assert set(db.session.scalars(asked)) == {"queued"}


def test_a_calendars_yes_does_not_wipe_out_who_comes(cast, meeting):
    say(cast.ann, meeting, headcount=5, delegates="Ông A")
    assert outcome(clients.outlook(now_answer(meeting))) == ("effect", "counted")
    who = attendee(cast.ann, meeting)
    assert (who.headcount, who.delegates) == (5, "Ông A")
    no = now_answer(meeting, partstat="DECLINED")
    come_in(clients.outlook(no.but(stamped=no.stamped + timedelta(minutes=1))))
    assert attendee(cast.ann, meeting).headcount is None


def test_a_forged_proposal_waits_apart_and_replaces_no_genuine_one(cast, meeting):
    start = meeting.starts + timedelta(hours=3)
    genuine = Answer(uid=meeting.uid, method="COUNTER", start=start)
    come_in(clients.outlook(genuine))
    forged = genuine.but(start=start + timedelta(hours=1), stamped=clock.now())
    assert outcome(clients.outlook(forged, sender="eve@evil.org")) == ("queue", "unverified")
    assert sorted((one.state, one.why) for one in evidence()) == [
        ("waiting", "counter"),
        ("waiting", "unverified"),
    ]


def test_a_forged_answer_of_a_substitute_does_not_count_by_his_being_agreed_to(cast, meeting):
    forged = Answer(uid=meeting.uid, attendee=DEPUTY, partstat="DECLINED")
    come_in(clients.google(forged, sender="eve@evil.org"))
    come_in(delegated(meeting))
    decide(cast.ann, next(one for one in evidence(state="waiting") if one.why == "substitute"))
    assert attendee(cast.ann, meeting).partstat == "DELEGATED"
    assert outcome(of_deputy(meeting)) == ("effect", "counted")


def test_of_two_endpoints_with_one_address_the_token_says_which(cast):
    with transaction():
        access.endpoint(cast.carla, "E-2", to_change=True).email = "e-1@example.org"
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    db.session.rollback()
    asked = select(Mail).where(Mail.letter.has(meeting_id=meeting.id)).order_by(Mail.id)
    first, second = db.session.scalars(asked)
    come_in(clients.google(Answer(uid=meeting.uid), to=token_address(first)))
    no = Answer(uid=meeting.uid, partstat="DECLINED")
    come_in(clients.google(no, to=token_address(second)))
    assert [attendee(cast.ann, meeting, code).partstat for code in ("E-1", "E-2")] == [
        "ACCEPTED",
        "DECLINED",
    ]


def test_a_delegation_to_a_colleague_who_receives_as_well_is_put_before_the_secretary(cast):
    with transaction():
        endpoint = access.endpoint(cast.carla, "E-1", to_change=True)
        endpoint.recipients = frozenset({DEPUTY})
    meeting = factories.meeting(cast.ann)
    assert outcome(delegated(meeting))[0] == "queue"


def test_who_delegates_again_by_telephone_replaces_who_stood_in(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    say(cast.ann, meeting, substitute="Ông C")
    decide(cast.ann, evidence(state="waiting")[0])
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.substitute, who.chain) == ("ACCEPTED", "Ông C", "")
    assert (last_mail().recipient, last_mail().letter.kind) == (DEPUTY, "withdrawn")
    assert outcome(of_deputy(meeting)) == ("queue", "stranger")


def test_words_beside_the_invitation_sent_back_with_them_are_read(cast, meeting):
    address = token_address(mail_to(meeting))
    raw = (
        clients.envelope("e-1@example.org", to=address)
        + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        + "Content-Type: text/html; charset=utf-8\r\n\r\n"
        + "<style>p {}</style><p>Đồng ý, sẽ tham dự</p><blockquote>x</blockquote>\r\n--x\r\n"
        + "Content-Type: text/calendar; method=REQUEST\r\n\r\n"
        + Answer(uid=meeting.uid, method="REQUEST").calendar()
        + "\r\n--x--\r\n"
    )
    assert outcome(raw.encode()) == ("queue", "words")
    assert evidence()[0].partstat == "ACCEPTED"


def test_an_accepted_stranger_is_told_of_what_follows(cast, meeting):
    come_in(clients.google(Answer(uid=meeting.uid, attendee="crasher@example.org")))
    decide(cast.ann, evidence(state="waiting")[0], endpoint="E-2")
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    assert count(Mail, Mail.recipient == "crasher@example.org", Mail.state == "queued") == 1


def test_nothing_is_left_to_do_about_what_was_called_off(cast, meeting):
    answered(cast.ann, meeting, "E-1", "DECLINED")
    cancel(cast.ann, meeting.uid)
    assert count(Task, Task.done_at.is_(None)) == 0


def test_only_who_has_not_answered_what_concerns_him_is_asked_again(cast):
    series = monday_series(cast.ann, ["E-1", "E-2"])
    second, third = series.occurrences[1], series.occurrences[2]
    three = [{"code": code} for code in ("E-1", "E-2", "E-3")]
    change_one(cast.ann, series.uid, second.id, endpoints=three)
    say(cast.ann, series, "E-3", second.id)
    for code in ("E-1", "E-2"):
        say(cast.ann, series, code)
    change_one(
        cast.ann, series.uid, third.id, start=(third.starts + timedelta(hours=1)).isoformat()
    )
    say(cast.ann, series, "E-1", third.id)
    with transaction():
        attendees.remind(access.meeting(cast.ann, series.uid, to_change=True), by=cast.ann)
    db.session.rollback()
    asked = select(Mail.recipient, Letter.original).join(Letter).where(Letter.kind == "reminder")
    assert [tuple(one) for one in db.session.execute(asked)] == [
        ("e-2@example.org", third.original)
    ]


def test_an_unverified_copy_does_not_stand_in_the_way_of_the_genuine_one(cast, meeting):
    answer = Answer(uid=meeting.uid)
    assert outcome(clients.simple(answer, sender="eve@evil.org")) == ("queue", "unverified")
    assert outcome(clients.simple(answer)) == ("effect", "counted")
    assert [one.state for one in evidence()] == ["counted"]


def test_what_was_laid_aside_may_be_put_back_and_read_again(cast, meeting):
    raw = clients.simple(Answer(uid=meeting.uid, sequence=1), message_id="<a@example.org>")
    assert outcome(raw) == ("quarantine", "unknown_version")
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    assert outcome(raw) == ("effect", "counted")


def test_who_is_invited_to_one_occurrence_cannot_answer_another(cast):
    series = monday_series(cast.ann, ["E-1"])
    second, third = series.occurrences[1], series.occurrences[2]
    change_one(cast.ann, series.uid, second.id, endpoints=[{"code": "E-1"}, {"code": "E-3"}])
    answer = Answer(uid=series.uid, attendee="e-3@example.org", partstat="DECLINED")
    wrong = answer.but(recurrence_id=f":{stamp(third.original)}")
    assert outcome(clients.google(wrong)) == ("ignored", "no_such_occurrence")
    right = answer.but(recurrence_id=f":{stamp(second.original)}")
    assert outcome(clients.google(right)) == ("effect", "counted")


def test_a_report_with_a_nul_in_it_does_not_stop_the_mailbox(cast, meeting):
    head = base64.b64encode(b"Message-ID: <abc\0def@x.org>\r\n\r\n").decode()
    raw = clients.bounce("<x@y>").replace(
        b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <x@y>\r\n",
        b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + head.encode()
        + b"\r\n",
    )
    assert "\0" not in str(incoming.read(raw))
    assert outcome(raw) == ("quarantine", "report_of_what")


def test_a_mail_that_cannot_be_made_fails_alone(app, cast, post_office, meeting):
    config.put_in_force(replace(config.in_force(), mail_url=post_office.url))
    with transaction():
        mail_to(meeting).recipient = "a@[1"
        db.session.merge(mail_to(meeting))
        db.session.scalars(select(Mail).order_by(Mail.id)).first().recipient = "a@[1"
    run_until_idle(app, deliver_some)
    db.session.rollback()
    states = db.session.scalars(select(Mail.state).order_by(Mail.id)).all()
    assert states == ["failed", "sent"]
    assert count(Task, Task.kind == "bounced") == 1


def test_a_report_that_is_quicker_than_our_note_is_not_forgotten(cast, meeting):
    with transaction():
        (dispatch, _) = attendees.outbox.claim_due()
    with transaction():
        db.session.get_one(Mail, dispatch.mail_id).state = "bounced"
    with transaction():
        attendees.outbox.sent(dispatch.mail_id)
    assert count(Mail, Mail.state == "bounced") == 1


def test_a_correction_after_the_list_was_closed_leaves_who_was_on_it(cast, meeting, clock_at):
    say(cast.ann, meeting, headcount=4, delegates="Ông A")
    clock_at(meeting.starts - timedelta(minutes=5))
    say(cast.ann, meeting, headcount=2, delegates="Ông B")
    found = seen(meeting.uid, cast.ann)
    closed = replies.said_in_time(found, found.occurrences[0])
    assert [(one.headcount, one.delegates) for one in closed.values()] == [(4, "Ông A")]
    assert count(Received) == 0
    assert count(Reply) == 2
