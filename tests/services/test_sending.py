"""The rules S1 to S24 of what is sent; each test names its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from icalendar import Calendar
from sqlalchemy import func, select

from confbridge import doors
from confbridge.database import db, transaction
from confbridge.errors import Conflict
from confbridge.mail import compose
from confbridge.models import Letter, Mail
from confbridge.services import access, attendees, invitations, links, outbox
from tests import factories
from tests.services.scheduling import (
    answered,
    cancel,
    change,
    change_one,
    letters,
    monday_series,
    recipients,
    seen,
)


def events(meeting, address="e-1@example.org"):
    """Every event that went to somebody, in order, with its METHOD."""
    db.session.rollback()
    asked = select(Mail).join(Letter).where(Letter.meeting_id == meeting.id)
    found = []
    for mail in db.session.scalars(asked.where(Mail.recipient == address).order_by(Mail.id)):
        message = compose.mail(outbox.copy_of(mail, meeting.uid))
        for part in message.walk():
            if part.get_content_type() == "text/calendar":
                calendar = Calendar.from_ical(part.get_content())
                (event,) = calendar.walk("VEVENT")
                found.append((str(calendar["METHOD"]), event))
    return found


def shape(event):
    return int(event["SEQUENCE"]), str(event["ATTENDEE"].params["PARTSTAT"])


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann, ["E-1", "E-2"])


def later(meeting, hours=2):
    return (meeting.starts + timedelta(hours=hours)).isoformat()


def test_s1_s20_s21_each_gets_one_request_that_names_it_alone(cast, meeting):
    ((method, event),) = events(meeting)
    assert (method, shape(event)) == ("REQUEST", (0, "NEEDS-ACTION"))
    assert event["ATTENDEE"] == "mailto:e-1@example.org"
    assert event["ATTENDEE"].params["RSVP"] == "TRUE"
    assert event["ORGANIZER"] == "mailto:hoinghi@ninhthuan.example"
    assert "REQUEST-STATUS" not in event


def test_s3_another_time_raises_sequence_and_asks_again(cast, meeting):
    answered(cast.ann, meeting, "E-1", "ACCEPTED")
    change(cast.ann, meeting.uid, start=later(meeting))
    assert shape(events(meeting)[-1][1]) == (1, "NEEDS-ACTION")


def test_s4_other_words_raise_nothing_and_keep_the_answer(cast, meeting):
    answered(cast.ann, meeting, "E-1", "ACCEPTED")
    change(cast.ann, meeting.uid, title="Tên khác")
    (_, first), (method, last) = events(meeting)
    assert (method, shape(last)) == ("REQUEST", (0, "ACCEPTED"))
    assert last["DTSTAMP"].dt > first["DTSTAMP"].dt


def test_s5_another_bridge_changes_no_address_and_asks_nobody(cast, meeting):
    other = factories.bridge(ports=20)
    before = [str(event["URL"]) for _, event in events(meeting)]
    doors.drain(cast.bridge.code, by=cast.carla)
    found = seen(meeting.uid, cast.ann)
    assert found.occurrences[0].primary.bridge_id == other.id
    assert [str(event["URL"]) for _, event in events(meeting)] == before
    assert before == [links.join_url(meeting.attendees[0].id)]


def test_s6_s23_asking_again_raises_nothing(cast, meeting):
    answered(cast.ann, meeting, "E-2", "ACCEPTED")
    with transaction():
        attendees.remind(access.meeting(cast.ann, meeting.uid, to_change=True), by=cast.ann)
    assert shape(events(meeting)[-1][1]) == (0, "NEEDS-ACTION")
    assert len(events(meeting, "e-2@example.org")) == 1


def test_s7_s8_only_who_comes_or_goes_is_told(cast, meeting):
    change(cast.ann, meeting.uid, endpoints=[{"code": "E-2"}, {"code": "E-3"}])
    assert [recipients(one) for one in letters(meeting)[1:]] == [
        {"e-1@example.org"},
        {"e-3@example.org"},
    ]
    method, event = events(meeting)[-1]
    assert (method, int(event["SEQUENCE"]), "STATUS" in event) == ("CANCEL", 1, False)
    assert event["ATTENDEE"] == "mailto:e-1@example.org"
    method, event = events(meeting, "e-3@example.org")[-1]
    assert (method, shape(event)) == ("REQUEST", (1, "NEEDS-ACTION"))


def test_s9_a_cancelled_meeting_is_cancelled_for_everyone(cast, meeting):
    cancel(cast.ann, meeting.uid)
    for address in ("e-1@example.org", "e-2@example.org"):
        method, event = events(meeting, address)[-1]
        assert (method, str(event["STATUS"]), int(event["SEQUENCE"])) == ("CANCEL", "CANCELLED", 1)
        assert not {"RECURRENCE-ID", "REQUEST-STATUS"} & set(event)
        assert "Bão" in str(event["COMMENT"])


def test_s10_one_moved_occurrence_is_sent_alone_by_its_original_start(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    change_one(cast.ann, series.uid, one.id, start=(one.starts + timedelta(hours=1)).isoformat())
    method, event = events(series)[-1]
    assert (method, shape(event)) == ("REQUEST", (1, "NEEDS-ACTION"))
    assert event["RECURRENCE-ID"].dt == one.original
    assert event["RECURRENCE-ID"].params["TZID"] == event["DTSTART"].params["TZID"]
    assert "RRULE" not in event


def test_s12_this_and_all_that_follow_is_a_split_with_a_new_uid(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[2]
    start = (one.starts + timedelta(hours=1)).isoformat()
    following = change_one(cast.ann, series.uid, one.id, start=start, following=True)
    assert following.uid != series.uid
    assert "UNTIL" in events(series)[-1][1]["RRULE"]
    assert events(following)[-1][1]["RELATED-TO"] == series.uid


def test_s13_more_meetings_of_a_series_come_as_a_rule_and_never_as_add(cast):
    series = monday_series(cast.ann)
    change(cast.ann, series.uid, rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=6")
    method, event = events(series)[-1]
    assert method == "REQUEST"
    assert event["RRULE"]["COUNT"] == [6]
    assert "RDATE" not in event


def test_s15_s16_whoever_changes_it_the_organizer_is_the_service_mailbox(cast, meeting):
    change(cast.carla, meeting.uid, start=later(meeting))
    (_, first), (_, last) = events(meeting)
    assert first["ORGANIZER"] == last["ORGANIZER"] == "mailto:hoinghi@ninhthuan.example"
    assert "SENT-BY" not in last["ORGANIZER"].params
    assert cast.carla.email in last["CONTACT"]
    mail = db.session.scalars(select(Mail).order_by(Mail.id.desc())).first()
    message = compose.mail(outbox.copy_of(mail, meeting.uid))
    sender, reply_to = message["From"].addresses[0], message["Reply-To"].addresses[0]
    assert reply_to.addr_spec == sender.addr_spec.replace("@", f"+{links.for_mail(mail.id)}@")
    assert links.mail_of(links.for_mail(mail.id).upper()) == mail.id
    assert links.mail_of(f"{mail.id + 1:x}-" + links.for_mail(mail.id)[-20:]) is None


def test_s24_a_cancelled_uid_is_never_used_again(cast, meeting):
    cancel(cast.ann, meeting.uid)
    with pytest.raises(Conflict):
        change(cast.ann, meeting.uid, start=later(meeting))
    assert factories.meeting(cast.ann, ["E-1", "E-2"]).uid != meeting.uid


def test_postponed_and_cancelled_are_different_letters_each_with_its_reason(cast, meeting):
    other = factories.meeting(cast.ann, ["E-1", "E-2"], start=later(meeting, 5))
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        doors.meetings.postpone(found, "Chờ ý kiến Bộ", by=cast.ann)
    cancel(cast.ann, other.uid)
    postponed, cancelled = events(meeting)[-1], events(other)[-1]
    assert (postponed[0], str(postponed[1]["STATUS"])) == ("REQUEST", "TENTATIVE")
    assert postponed[1]["COMMENT"] == "Chờ ý kiến Bộ"
    assert (cancelled[0], str(cancelled[1]["STATUS"])) == ("CANCEL", "CANCELLED")


def test_several_receive_for_an_endpoint_each_under_its_own_name(cast):
    with transaction():
        endpoint = access.endpoint(cast.carla, "E-1", to_change=True)
        endpoint.recipients, endpoint.language = frozenset({"clerk@example.org"}), "en"
    meeting = factories.meeting(cast.ann, ["E-1"])
    assert recipients(letters(meeting)[0]) == {"e-1@example.org", "clerk@example.org"}
    ((_, event),) = events(meeting, "clerk@example.org")
    assert event["ATTENDEE"] == "mailto:clerk@example.org"
    mail = db.session.scalars(select(Mail).where(Mail.recipient == "clerk@example.org")).one()
    message = compose.mail(outbox.copy_of(mail, meeting.uid))
    assert message["Subject"].startswith("Invitation: ")
    assert db.session.scalar(select(func.count(func.distinct(Mail.message_id)))) == 2


def test_s2_the_invitation_to_keep_is_one_object_with_all_that_differs(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    change_one(cast.ann, series.uid, one.id, start=(one.starts + timedelta(hours=1)).isoformat())
    found = seen(series.uid, cast.ann)
    calendar = Calendar.from_ical(invitations.current(found, found.attendees[0]))
    whole, apart = calendar.walk("VEVENT")
    assert {str(whole["UID"]), str(apart["UID"])} == {series.uid}
    assert ("RRULE" in whole, "RRULE" in apart) == (True, False)
    assert apart["RECURRENCE-ID"].dt == one.original
    assert calendar["METHOD"] == "REQUEST"
