"""Strangers, forgeries, floods, reports and words: R9 to R20; each test names its rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from confbridge import clock, config
from confbridge.database import db, transaction
from confbridge.mail import incoming
from confbridge.models import (
    AuditEntry,
    Letter,
    Mail,
    Reservation,
    Task,
)
from tests import clients, factories
from tests.clients import SHAPES, Answer, stamp
from tests.services.mailing import attendee, come_in, evidence, mail_to, outcome, say, token_address
from tests.services.scheduling import (
    cancel,
    change,
    count,
    morning,
    seen,
)


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


def test_r9_a_stranger_never_slips_in(cast, meeting):
    raw = clients.google(Answer(uid=meeting.uid, attendee="crasher@example.org"))
    assert outcome(raw) == ("queue", "stranger")
    assert len(seen(meeting.uid, cast.ann).attendees) == 2
    (row,) = evidence(meeting_id=meeting.id)
    assert (row.state, row.why, row.attendee_id) == ("waiting", "stranger", None)


def test_r9_a_forwarded_mails_token_lets_no_other_name_in(cast, meeting):
    address = token_address(mail_to(meeting))
    raw = clients.google(Answer(uid=meeting.uid, attendee="deputy@example.org"), to=address)
    assert outcome(raw) == ("queue", "stranger")


def test_r10_a_status_sent_by_somebody_else_waits_for_a_human(cast, meeting):
    raw = clients.simple(Answer(uid=meeting.uid), sender="eve@example.org")
    assert outcome(raw) == ("queue", "unverified")
    assert attendee(cast.ann, meeting).partstat == "NEEDS-ACTION"
    (row,) = evidence(meeting_id=meeting.id)
    assert row.authentication == "sent by eve@example.org"


def test_r10_the_token_of_its_own_mail_proves_the_attendee(cast, meeting):
    address = token_address(mail_to(meeting))
    raw = clients.simple(Answer(uid=meeting.uid), sender="helper@example.org", to=address)
    assert outcome(raw) == ("effect", "counted")
    other = token_address(mail_to(meeting, "e-2@example.org"))
    raw = clients.simple(
        Answer(uid=meeting.uid, partstat="DECLINED"), sender="helper@example.org", to=other
    )
    assert outcome(raw) == ("queue", "unverified")


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ("mx.ninhthuan.example; dmarc=fail header.from=example.org", ("queue", "unverified")),
        ("mx.ninhthuan.example; dmarc=pass header.from=example.org", ("effect", "counted")),
        ("elsewhere.example; dmarc=fail", ("effect", "counted")),
    ],
)
def test_r10_only_our_own_server_is_believed(cast, meeting, results, found):
    config.put_in_force(replace(config.in_force(), authserv_id="mx.ninhthuan.example"))
    raw = clients.simple(Answer(uid=meeting.uid), more=f"Authentication-Results: {results}\r\n")
    assert outcome(raw) == found


def test_r11_another_who_receives_for_the_endpoint_may_speak_for_it(cast, meeting):
    raw = clients.simple(
        Answer(uid=meeting.uid, parameters=';SENT-BY="mailto:clerk@example.org"'),
        sender="clerk@example.org",
    )
    assert outcome(raw) == ("queue", "unverified")
    with transaction():
        meeting.attendees[0].endpoint.recipients = frozenset({"clerk@example.org"})
        db.session.merge(meeting.attendees[0].endpoint)
    answer = Answer(uid=meeting.uid, partstat="TENTATIVE")
    assert outcome(clients.simple(answer, sender="clerk@example.org")) == ("effect", "counted")
    own = answer.but(attendee="clerk@example.org", partstat="ACCEPTED", sequence=0)
    own = own.but(stamped=own.stamped + timedelta(seconds=5))
    assert outcome(clients.simple(own)) == ("effect", "counted")
    assert attendee(cast.ann, meeting).person == "clerk@example.org"


@pytest.mark.parametrize("shape", SHAPES)
def test_r12_a_counter_changes_nothing_and_waits(cast, meeting, shape):
    later = meeting.starts + timedelta(hours=3)
    lines = (f"X-MS-OLK-ORIGINALSTART:{stamp(meeting.starts)}", "COMMENT:Sáng bận")
    answer = Answer(uid=meeting.uid, method="COUNTER", start=later, lines=lines)
    assert outcome(shape(answer)) == ("queue", "counter")
    assert seen(meeting.uid, cast.ann).starts == meeting.starts
    (row,) = evidence(meeting_id=meeting.id)
    assert (row.kind, row.starts, row.comment) == ("counter", later, "Sáng bận")
    assert attendee(cast.ann, meeting).partstat == "NEEDS-ACTION"


def test_r12_a_counter_to_an_earlier_version_is_outdated(cast, meeting):
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    later = meeting.starts + timedelta(hours=3)
    raw = clients.outlook(Answer(uid=meeting.uid, method="COUNTER", start=later))
    assert outcome(raw) == ("effect", "outdated")


def test_r12_of_several_proposals_only_the_last_waits_in_either_order(cast, meeting):
    first = Answer(uid=meeting.uid, method="COUNTER", start=meeting.starts + timedelta(hours=3))
    second = first.but(
        start=meeting.starts + timedelta(hours=4), stamped=first.stamped + timedelta(minutes=1)
    )
    for one in (second, first):
        come_in(clients.outlook(one))
    (row,) = evidence(meeting_id=meeting.id, state="waiting")
    assert row.starts == second.start


def test_r12_the_time_as_it_is_is_no_proposal(cast, meeting):
    answer = Answer(uid=meeting.uid, method="COUNTER", start=meeting.starts, end=meeting.ends)
    assert outcome(clients.google(answer)) == ("ignored", "same_time")


def test_r13_refresh_is_answered_to_who_is_on_the_list_alone(cast, meeting, clock_at):
    refresh = Answer(uid=meeting.uid, method="REFRESH", partstat="")
    raw = clients.simple(refresh, sender="eve@example.org")
    assert outcome(raw) == ("quarantine", "refresh_of_whom")
    before = count(Mail)
    assert outcome(clients.simple(refresh)) == ("effect", "refreshed")
    assert count(Mail) == before  # it was written to a moment ago
    clock_at(clock.now() + timedelta(minutes=15))
    come_in(clients.simple(refresh))
    assert count(Mail) == before + 1
    db.session.rollback()
    last = db.session.scalars(select(Letter).order_by(Letter.id.desc())).first()
    assert (last.kind, last.sequence) == ("invitation", 0)


def test_r13_a_machine_that_asks_again_and_again_gets_nothing(cast, meeting, clock_at):
    clock_at(clock.now() + timedelta(minutes=15))
    refresh = Answer(uid=meeting.uid, method="REFRESH", partstat="")
    assert outcome(clients.open_xchange(refresh)) == ("quarantine", "refresh_of_whom")


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "ADD", "PUBLISH", "DECLINECOUNTER"])
def test_r14_what_claims_to_be_the_organizer_is_ignored_and_audited(cast, meeting, method):
    raw = clients.outlook(Answer(uid=meeting.uid, method=method, start=meeting.starts))
    assert outcome(raw) == ("ignored", "claims_to_organize")
    assert count(AuditEntry, AuditEntry.deed == "claimed to be the organizer") == 1
    assert seen(meeting.uid, cast.ann).state == "scheduled"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"From: a@b.c\r\n\r\n" + b"x" * (incoming.LARGEST + 1), "too_large"),
        (b"From: a@b.c\r\n" + b"Content-Type: multipart/mixed; boundary=x\r\n" * 101, "too_many"),
        (
            b"From: a@b.c\r\n"
            + b"".join(
                b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
                for n in range(20)
            )
            + b"Content-Type: text/plain\r\n\r\nx\r\n",
            "too_deep",
        ),
        (b"".join(b"X: boundary=a%d\r\n" % n for n in range(20_000)), "too_many_parts"),
        (b"".join(b"X-%d: y\r\n" % n for n in range(600)) + b"\r\n", "too_many_headers"),
    ],
)
def test_r15_what_is_too_large_or_too_deep_is_not_read(raw, why):
    with pytest.raises(incoming.TooMuch, match=why):
        incoming.read(raw)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("X-A:b",) * 6000, "too_many_parts"),
        (("DESCRIPTION:" + "x" * 300_000,), "too_large"),
        (("BEGIN:X-A", "END:X-A") * 300, "too_many_parts"),
    ],
)
def test_r15_a_calendar_that_is_too_much_is_laid_aside(cast, meeting, lines, why):
    raw = clients.simple(Answer(uid=meeting.uid, lines=lines))
    assert outcome(raw) == ("quarantine", why)


def test_r15_a_zone_that_would_take_for_ever_is_not_expanded(cast, meeting):
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Evil\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
        "TZOFFSETFROM:+0700\r\nTZOFFSETTO:+0700\r\nRRULE:FREQ=SECONDLY\r\nEND:STANDARD\r\n"
        "END:VTIMEZONE\r\nBEGIN:VEVENT"
    )
    raw = clients.simple(Answer(uid=meeting.uid)).replace(b"BEGIN:VEVENT", zone.encode())
    assert outcome(raw) == ("quarantine", "strange_zone")


def test_r16_several_objects_in_one_mail_each_have_their_effect(cast):
    first, second = factories.meeting(cast.ann, ["E-1"]), factories.meeting(cast.ann, ["E-2"])
    one = Answer(uid=first.uid).calendar()
    two = Answer(uid=second.uid, attendee="e-2@example.org", partstat="DECLINED").calendar()
    raw = (
        clients.envelope("e-1@example.org")
        + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        + f"Content-Type: text/calendar; method=REPLY\r\n\r\n{one}\r\n--x\r\n"
        + f"Content-Type: text/calendar; method=REPLY\r\n\r\n{two}\r\n--x--\r\n"
    )
    assert outcome(raw.encode()) == ("queue", "unverified")  # E-2's was sent by E-1
    assert attendee(cast.ann, first).partstat == "ACCEPTED"
    assert attendee(cast.ann, second, "E-2").partstat == "NEEDS-ACTION"


def test_r16_a_files_name_makes_nothing_a_calendar(cast, meeting):
    raw = clients.simple(Answer(uid=meeting.uid)).replace(
        b"Content-Type: text/calendar; method=REPLY; charset=UTF-8",
        b"Content-Type: application/octet-stream; name=invite.ics",
    )
    assert outcome(raw) == ("quarantine", "about_what")


@pytest.mark.parametrize("by_token", [True, False])
def test_r17_a_bounce_marks_that_recipient_alone_and_is_a_task(cast, meeting, by_token):
    mail = mail_to(meeting)
    with transaction():
        db.session.execute(text("UPDATE mails SET state = 'sent', due = NULL"))
    raw = (
        clients.bounce("<else@where>", to=token_address(mail))
        if by_token
        else clients.bounce(mail.message_id)
    )
    assert outcome(raw) == ("effect", "failed")
    assert mail_to(meeting).state == "bounced"
    assert "no such user" in mail_to(meeting).trouble
    assert mail_to(meeting, "e-2@example.org").state == "sent"
    assert count(Task, Task.kind == "bounced", Task.done_at.is_(None)) == 1


def test_r17_a_delay_is_no_failure_and_a_delivery_is_noted(cast, meeting):
    mail = mail_to(meeting)
    with transaction():
        db.session.execute(text("UPDATE mails SET state = 'sent', due = NULL"))
    come_in(clients.bounce(mail.message_id, action="delayed", status="4.4.1"))
    assert mail_to(meeting).state == "sent"
    come_in(clients.bounce(mail.message_id, action="delivered", status="2.0.0"))
    assert mail_to(meeting).state == "delivered"
    assert count(Task) == 0


def test_r17_an_out_of_office_is_no_answer(cast, meeting):
    mail = mail_to(meeting)
    raw = clients.out_of_office("e-1@example.org", references=mail.message_id)
    assert outcome(raw) == ("effect", "away")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.away_at is not None) == ("NEEDS-ACTION", True)
    assert evidence() == []


def test_r18_the_same_mail_twice_is_one(cast, meeting):
    raw = clients.google(Answer(uid=meeting.uid), message_id="<same@example.org>")
    assert outcome(raw) == ("effect", "counted")
    say(cast.ann, meeting, partstat="DECLINED")
    assert outcome(raw) == ("repeated", "same_message")
    again = clients.google(Answer(uid=meeting.uid))  # another Message-ID, the same answer
    assert outcome(again) == ("repeated", "same_answer")
    assert attendee(cast.ann, meeting).partstat == "DECLINED"


def test_r18_the_same_place_is_worked_on_once(cast, meeting):
    raw = clients.google(Answer(uid=meeting.uid))
    first, second = come_in(raw, "7:1"), come_in(raw, "7:1")
    assert first.id == second.id


def test_r19_the_request_status_is_kept(cast, meeting):
    lines = ("REQUEST-STATUS:2.0;Success",)
    come_in(clients.simple(Answer(uid=meeting.uid, lines=lines)))
    (row,) = evidence()
    assert row.request_status.startswith("2.0")


def free_busy(asked: str, sender: str) -> bytes:
    start = morning()
    body = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\n"
        f"UID:fb-1\r\nDTSTAMP:{stamp(start)}\r\nORGANIZER:mailto:{sender}\r\n"
        f"ATTENDEE:mailto:{asked}\r\nDTSTART:{stamp(start)}\r\n"
        f"DTEND:{stamp(start + timedelta(days=1))}\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n"
    )
    head = clients.envelope(sender) + "Content-Type: text/calendar; method=REQUEST\r\n\r\n"
    return (head + body).encode()


def test_r20_free_busy_is_told_to_people_we_know_and_no_titles(cast):
    factories.meeting(cast.ann, start=morning().isoformat(), title="Bí mật kinh doanh")
    assert outcome(free_busy("e-1@example.org", "eve@elsewhere.example")) == (
        "quarantine",
        "unknown_sender",
    )
    assert outcome(free_busy("e-1@example.org", "dan@example.org")) == ("effect", "free_busy_told")
    db.session.rollback()
    letter = db.session.scalars(select(Letter).where(Letter.kind == "freebusy")).one()
    assert f"{stamp(morning())}/{stamp(morning() + timedelta(hours=1))}" in letter.body
    assert "Bí mật" not in letter.body


def test_r20_of_who_is_not_ours_we_can_say_nothing(cast):
    come_in(free_busy("stranger@example.org", "dan@example.org"))
    db.session.rollback()
    letter = db.session.scalars(select(Letter).where(Letter.kind == "freebusy")).one()
    assert "REQUEST-STATUS:3.14" in letter.body


@pytest.mark.parametrize("words", ["Đồng ý", "Không tham dự: đi cơ sở", "Xin hỏi thêm"])
def test_words_are_put_before_the_secretary_and_count_only_then(cast, meeting, words):
    mail = mail_to(meeting)
    raw = clients.plain(words, "e-1@example.org", more=f"In-Reply-To: {mail.message_id}\r\n")
    assert outcome(raw) == ("queue", "words")
    assert attendee(cast.ann, meeting).partstat == "NEEDS-ACTION"
    (row,) = evidence()
    wanted = {"Đồng ý": "ACCEPTED", "Không tham dự: đi cơ sở": "DECLINED"}
    assert (row.why, row.comment) == ("text", words)
    assert row.partstat == wanted.get(words, "NEEDS-ACTION")


def test_words_from_somebody_else_are_laid_aside(cast, meeting):
    mail = mail_to(meeting)
    raw = clients.plain("Đồng ý", "eve@example.org", more=f"In-Reply-To: {mail.message_id}\r\n")
    assert outcome(raw) == ("quarantine", "unknown_sender")
    assert outcome(clients.plain("Đồng ý", "e-1@example.org")) == ("quarantine", "about_what")
    raw = clients.plain("Đồng ý", "clerk@example.org", to=token_address(mail))
    assert outcome(raw) == ("queue", "words")


def test_who_comes_after_all_and_finds_its_place_taken_is_not_lost(cast):
    factories.endpoint("S-1", cast.below, kind="soft")
    meeting = factories.meeting(cast.ann, ["E-1", "S-1"])
    soft = Answer(uid=meeting.uid, attendee="s-1@example.org", partstat="DECLINED")
    assert outcome(clients.google(soft)) == ("effect", "counted")
    factories.meeting(cast.ann, ["S-1"])
    again = soft.but(partstat="ACCEPTED", stamped=soft.stamped + timedelta(minutes=1))
    assert outcome(clients.google(again)) == ("queue", "taken")
    assert attendee(cast.ann, meeting, "S-1").partstat == "DECLINED"
    assert count(Reservation, Reservation.live) == 2


def test_an_answer_to_what_was_called_off_is_kept_and_does_nothing(cast, meeting):
    cancel(cast.ann, meeting.uid)
    assert outcome(clients.google(Answer(uid=meeting.uid))) == ("ignored", "not_open")
    (row,) = evidence()
    assert row.state == "outdated"


def test_our_own_mail_that_comes_back_to_us_is_passed_over(cast, meeting):
    raw = clients.google(Answer(uid=meeting.uid), sender="hoinghi@ninhthuan.example")
    assert outcome(raw) == ("ignored", "our_own")
