"""The rules of RFC 5546 that one message must keep; tests name the rule (S1, S8, …)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar

from confbridge.domain.interval import Interval
from confbridge.domain.itip import Invitation, Method, calendar

START = datetime(2031, 3, 4, 1, tzinfo=UTC)

INVITATION = Invitation(
    method=Method.REQUEST,
    uid="5d3f0f3e-0000-4000-8000-000000000001",
    sequence=0,
    stamped=datetime(2031, 3, 1, tzinfo=UTC),
    during=Interval(START, START + timedelta(hours=1)),
    timezone="Asia/Ho_Chi_Minh",
    summary="Giao ban; quý 1, năm 2031",
    description="Dòng một\nDòng hai " + "điểm cầu " * 30,
    location="Điểm cầu Sở Tài chính",
    contact="Thư ký <thuky@ninhthuan.example>",
    organizer_name="Hội nghị truyền hình",
    organizer_email="hoinghi@ninhthuan.example",
    attendee_name="Điểm cầu Sở Văn hóa, Thể thao",
    attendee_email="svh@ninhthuan.example",
    attendee_role="required",
    partstat="NEEDS-ACTION",
    join_url="https://hoinghi.example/join/abc.def-ghi",
    join_label="Vào họp",
)


def event(**given):
    made = Calendar.from_ical(calendar(replace(INVITATION, **given)))
    events = made.walk("VEVENT")
    assert len(events) == 1
    return events[0]


def test_s1_a_request_says_who_what_when_and_asks_for_an_answer():
    made = Calendar.from_ical(calendar(INVITATION))
    one = made.walk("VEVENT")[0]
    assert made["METHOD"] == "REQUEST"
    assert one["UID"] == INVITATION.uid
    assert one["SEQUENCE"] == 0
    assert one.decoded("DTSTAMP") == INVITATION.stamped
    assert one.decoded("DTSTART") == START
    assert one["STATUS"] == "CONFIRMED"
    assert str(one["ORGANIZER"]) == "mailto:hoinghi@ninhthuan.example"
    attendee = one["ATTENDEE"]
    assert str(attendee) == "mailto:svh@ninhthuan.example"
    assert attendee.params["PARTSTAT"] == "NEEDS-ACTION"
    assert attendee.params["RSVP"] == "TRUE"
    assert "REQUEST-STATUS" not in one
    assert one["SUMMARY"] == INVITATION.summary


def test_s1_the_zone_has_one_block_of_plus_seven():
    zones = Calendar.from_ical(calendar(INVITATION)).walk("VTIMEZONE")
    assert [zone["TZID"] for zone in zones] == ["Asia/Ho_Chi_Minh"]
    blocks = zones[0].subcomponents
    assert [block.name for block in blocks] == ["STANDARD"]
    assert blocks[0]["TZOFFSETTO"].to_ical() == "+0700"


def test_the_conference_is_the_endpoints_own_address():
    conference = event()["CONFERENCE"]
    assert str(conference) == INVITATION.join_url
    assert conference.params["VALUE"] == "URI"
    assert b"FEATURE=AUDIO,VIDEO" in calendar(INVITATION).replace(b"\r\n ", b"")


def test_s4_a_known_answer_is_kept_and_not_asked_again():
    attendee = event(partstat="ACCEPTED")["ATTENDEE"]
    assert attendee.params["PARTSTAT"] == "ACCEPTED"
    assert attendee.params["RSVP"] == "FALSE"


def test_s8_who_is_taken_off_the_list_gets_a_cancel_without_status():
    one = event(method=Method.CANCEL, sequence=1)
    assert "STATUS" not in one
    assert str(one["ATTENDEE"]) == "mailto:svh@ninhthuan.example"


def test_s9_a_cancelled_meeting_says_so():
    one = event(method=Method.CANCEL, sequence=1, is_cancelled=True)
    assert one["STATUS"] == "CANCELLED"
    for absent in ("RECURRENCE-ID", "REQUEST-STATUS", "CONFERENCE"):
        assert absent not in one
    assert not one.subcomponents


@pytest.mark.parametrize("method", list(Method))
def test_s22_lines_end_in_crlf_and_are_folded_within_75_octets(method):
    text = calendar(replace(INVITATION, method=method))
    assert b"\n" not in text.replace(b"\r\n", b"")
    for line in text.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()  # no letter is cut in two
