"""Who is let in, and what the others are told; the bridge is a stand-in at the border."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from confbridge import clock, drivers
from confbridge.database import db, transaction
from confbridge.drivers import Joined, Participant, Ticket, Visitor
from confbridge.errors import DriverError
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer, MeetingChange, OccurrenceChange
from confbridge.models import Allocation, Bridge
from confbridge.services import access, events, links, meetings, replies
from tests import factories


class Inside:
    """Has as many in each room as the test says."""

    def __init__(self, inside: int) -> None:
        self.inside = inside

    def participants(self, _room: str) -> list[Participant]:
        if self.inside < 0:
            raise DriverError("away")
        return [Participant(leg=str(one), name="") for one in range(self.inside)]

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        return Ticket(url="ws://bridge", room=room, pin=pin, token=visitor.token)


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann, ["E-1", "E-2"], guest_ports=1)


@pytest.fixture
def opened(meeting, clock_at):
    """The meeting, begun, with its room open."""
    clock_at(meeting.occurrence.starts)
    with transaction():
        held = db.session.get_one(Allocation, meeting.occurrence.allocations[0].id)
        held.opened_at, held.open_at = clock.now(), None
    return meeting


@pytest.fixture
def bridge(monkeypatch):
    stand_in = Inside(0)
    monkeypatch.setattr(drivers, "connect", lambda *_: stand_in)
    return stand_in


def ask(client, address, **given):
    csrf = re.search(r'data-csrf="([^"]+)"', client.get(address).text).group(1)
    return client.post(f"{address}/ticket", json=given, headers={"X-CSRFToken": csrf})


def join(meeting, place=0):
    return f"/join/{links.for_attendee(meeting.attendees[place].id)}"


def guest(meeting):
    return f"/guest/{links.for_guests(meeting.occurrence.id)}"


def test_an_open_room_gives_each_endpoint_its_own_token(client, opened, bridge):
    tickets = [ask(client, join(opened, place)).json for place in (0, 1)]
    assert {ticket["door"] for ticket in tickets} == {"open"}
    assert tickets[0]["token"] != tickets[1]["token"]
    assert tickets[0]["room"] == tickets[1]["room"]
    assert tickets[0]["name"] == "Điểm cầu E-1"


def test_a_full_room_lets_nobody_in(client, opened, bridge):
    bridge.inside = 3
    answer = ask(client, join(opened)).json
    assert answer["door"] == "full"
    assert "token" not in answer


def test_a_bridge_that_is_away_is_waited_for(client, opened, bridge):
    bridge.inside = -1
    assert ask(client, join(opened)).json["door"] == "not_ready"


def test_an_endpoint_that_is_in_already_is_told(client, opened, bridge):
    held = opened.occurrence.allocations[0]
    token = links.access_token(held.room, opened.attendees[0].id)
    with transaction():
        inside = Joined(at=clock.now(), room=held.room, leg="1", name="", token=token, handle="1/1")
        events.apply(db.session.get_one(Bridge, held.bridge_id), [inside])
    assert ask(client, join(opened, 0)).json["door"] == "taken"
    assert ask(client, join(opened, 1)).json["door"] == "open"


def test_guests_do_not_take_the_ports_of_the_invited(client, opened, bridge):
    held = opened.occurrence.allocations[0]
    token = links.access_token(held.room, None)
    with transaction():
        inside = Joined(at=clock.now(), room=held.room, leg="g", name="", token=token, handle="9/9")
        events.apply(db.session.get_one(Bridge, held.bridge_id), [inside])
    given = {"name": "Khách", "pin": links.pin(opened.occurrence.id)}
    assert ask(client, guest(opened), **given).json["door"] == "full"
    assert ask(client, join(opened)).json["door"] == "open"


def test_a_bridge_in_trouble_is_not_asked(client, opened, bridge):
    with transaction():
        db.session.execute(text("UPDATE bridges SET state = 'degraded', bad = 1"))
    assert ask(client, join(opened)).json["door"] == "not_ready"


def test_a_room_that_is_late_is_being_opened(client, meeting, bridge, clock_at):
    clock_at(meeting.occurrence.starts)
    assert ask(client, join(meeting)).json["door"] == "not_ready"


def test_after_the_tail_it_is_over(client, opened, bridge, clock_at):
    clock_at(opened.occurrence.ends + timedelta(minutes=16))
    assert ask(client, join(opened)).json["door"] == "over"


def test_a_cancelled_meeting_has_no_door(client, cast, opened, bridge):
    with transaction():
        found = access.meeting(cast.ann, opened.uid, to_change=True)
        meetings.cancel(found, "Bão", by=cast.ann)
    assert ask(client, join(opened)).json["door"] == "cancelled"


def test_a_guest_needs_name_and_pin(client, opened, bridge):
    pin = links.pin(opened.occurrence.id)
    assert ask(client, guest(opened)).status_code == 422
    assert ask(client, guest(opened), name="Khách", pin="x").status_code == 422
    assert ask(client, guest(opened), name="", pin=pin).status_code == 422
    answer = ask(client, guest(opened), name="Khách", pin=pin).json
    assert (answer["door"], answer["name"]) == ("open", "Khách")


def test_a_removed_endpoint_is_let_in_no_more(client, cast, opened, bridge):
    address = join(opened, 1)
    with transaction():
        found = access.meeting(cast.ann, opened.uid, to_change=True)
        wanted = parse(MeetingChange, {"endpoints": [{"code": "E-1"}]})
        meetings.change(found, wanted, by=cast.ann)
    assert client.get(address).status_code == 404


def test_a_postponed_meeting_has_no_door_and_says_so(client, cast):
    made = factories.meeting(cast.ann, start=factories.soon(30).isoformat())
    with transaction():
        meetings.postpone(access.meeting(cast.ann, made.uid, to_change=True), "Lũ", by=cast.ann)
    link = links.for_attendee(made.attendees[0].id)
    page = client.get(f"/join/{link}")
    assert "đã hoãn" in page.text
    assert "đã hoãn" in client.get(f"/reply/{link}").text


def test_who_gave_its_place_back_is_told_to_answer_first(client, cast):
    factories.endpoint("S-1", cast.below, kind="soft")
    made = factories.meeting(cast.ann, ["E-1", "S-1"])
    with transaction():
        found = access.meeting(cast.ann, made.uid, to_change=True)
        attendee = replies.of_endpoint(found, "S-1")
        given = parse(Answer, {"partstat": "DECLINED", "comment": "Bận"})
        replies.record(replies.Seat(found, attendee), given, via="link", by="S-1")
    page = client.get(f"/join/{links.for_attendee(attendee.id)}")
    assert "đã báo vắng" in page.text


def test_who_is_not_invited_to_this_one_of_a_series_is_told_so(client, cast):
    made = factories.meeting(cast.ann, ["E-1", "E-2"], rrule="FREQ=DAILY;COUNT=2")
    wanted = parse(OccurrenceChange, {"endpoints": [{"code": "E-1"}]})
    with transaction():
        found = access.meeting(cast.ann, made.uid, to_change=True)
        meetings.change_occurrence(found, found.occurrences[0], wanted, by=cast.ann)
    page = client.get(f"/join/{links.for_attendee(made.attendees[1].id)}")
    assert "không được mời" in page.text
