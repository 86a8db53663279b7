"""Rooms open and close by themselves, on a real Janus, whatever happens in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, drivers
from confbridge.database import db, transaction
from confbridge.domain.health import BridgeState
from confbridge.drivers import connect
from confbridge.errors import DriverError
from confbridge.jobs import run_until_idle
from confbridge.jobs.bridges import visit_one
from confbridge.jobs.conferences import close_one, open_one
from confbridge.models import Allocation, Bridge, Gap, Leg, Meeting
from confbridge.services import access, attendance, events, links, meetings, rooms
from tests import factories


@pytest.fixture
def bridge(app, cast, janus_server):
    found = janus_server.as_bridge()
    with transaction():
        known = access.bridge(cast.carla, cast.bridge.code, to_change=True)
        known.settings, known.secrets = found["settings"], found["secrets"]
    return connect("janus", {**found["settings"], **found["secrets"]})


@pytest.fixture
def meeting(cast, bridge):
    made = factories.meeting(cast.ann)
    yield made
    for room in bridge.counts():
        bridge.close_room(room, links.room_secret(room))


def the(model):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(model).order_by(model.id.desc())).first()


def the_bridge():
    return db.session.scalars(select(Bridge)).one()


def go_to(clock_at, meeting, **since):
    clock_at(meeting.occurrence.starts + timedelta(**since))


def test_nothing_is_opened_before_its_time(app, meeting, bridge, clock_at):
    go_to(clock_at, meeting, minutes=-16)
    assert not open_one()
    assert bridge.counts() == {}


def test_the_room_opens_a_quarter_of_an_hour_before(app, meeting, bridge, clock_at):
    go_to(clock_at, meeting, minutes=-15)
    assert run_until_idle(app, open_one) == 1
    held = the(Allocation)
    assert bridge.counts() == {held.room: 0}
    assert held.is_open
    assert held.open_at is None


def test_the_room_closes_after_the_tail_and_the_meeting_is_over(app, meeting, bridge, clock_at):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    go_to(clock_at, meeting, minutes=74)
    assert not close_one()
    go_to(clock_at, meeting, minutes=75)
    assert run_until_idle(app, close_one) == 1
    assert bridge.counts() == {}
    assert the(Meeting).state == "over"
    assert not the(Allocation).is_open


def test_killed_between_opening_and_recording_one_room_is_open(app, meeting, bridge, clock_at):
    go_to(clock_at, meeting, minutes=-15)
    with transaction():
        order = rooms.claim_next_to_open()
    bridge.open_room(order.spec)  # and here the process dies
    assert not open_one()
    go_to(clock_at, meeting, minutes=-14)
    assert run_until_idle(app, open_one) == 1
    assert bridge.counts() == {order.spec.name: 0}
    assert the(Allocation).is_open


def test_two_workers_never_open_the_same_room(app, meeting, clock_at):
    go_to(clock_at, meeting, minutes=-15)
    with transaction():
        assert rooms.claim_next_to_open()
    with transaction():
        assert rooms.claim_next_to_open() is None


def test_a_bridge_that_is_away_is_tried_again_and_says_why(app, cast, clock_at):
    meeting = factories.meeting(cast.ann)
    go_to(clock_at, meeting, minutes=-15)
    assert open_one()
    held = the(Allocation)
    assert "does not answer" in held.trouble
    assert held.open_at == clock.now() + rooms.RETRY


def test_a_meeting_cancelled_while_its_room_is_open_is_closed_at_once(
    app, cast, meeting, bridge, clock_at
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.cancel(found, "Bão", by=cast.ann)
    run_until_idle(app, close_one)
    assert bridge.counts() == {}
    assert the(Meeting).state == "cancelled"


def test_a_meeting_cancelled_while_its_room_is_being_opened_leaves_none(
    app, cast, meeting, bridge, clock_at
):
    go_to(clock_at, meeting, minutes=-15)
    with transaction():
        order = rooms.claim_next_to_open()
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.cancel(found, "Bão", by=cast.ann)
    run_until_idle(app, close_one)  # nothing is there yet
    bridge.open_room(order.spec)
    with transaction():
        rooms.opened(order, rooms.Said())
    run_until_idle(app, close_one)
    assert bridge.counts() == {}


def test_a_visit_says_what_the_bridge_is(app, cast, bridge):
    run_until_idle(app, visit_one)
    found = the(Bridge)
    assert (found.state, found.trouble) == (BridgeState.UP, "")
    assert found.software.startswith("Janus")


def test_a_bridge_is_down_after_three_misses_and_up_after_two_answers(app, cast, clock_at):
    states = []
    for _ in range(3):
        clock_at(the(Bridge).probe_at)
        visit_one()
        states.append(the(Bridge).state)
    assert states == ["degraded", "degraded", "down"]
    assert the(Gap).why == "unreachable"


def test_a_room_that_the_bridge_forgot_is_opened_again(app, meeting, bridge, clock_at):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    held = the(Allocation)
    bridge.close_room(held.room, links.room_secret(held.room))
    go_to(clock_at, meeting, minutes=-14)
    run_until_idle(app, visit_one)
    run_until_idle(app, open_one)
    assert bridge.counts() == {held.room: 0}


class Heard:
    """A bridge that says what the test wants: for what no headless Janus client does at will."""

    def __init__(self, **participants):
        self.rooms = participants
        self.asked_for_tokens = 0

    def probe(self):
        return drivers.Answer(software="heard", epoch="one")

    def counts(self):
        return {room: len(some) for room, some in self.rooms.items()}

    def participants(self, room):
        return [drivers.Participant(leg=leg, name=leg) for leg, _ in self.rooms[room]]

    def tokens(self, room):
        self.asked_for_tokens += 1
        return dict(self.rooms[room])


def test_when_the_events_stop_polling_goes_on_and_the_gap_is_stated(
    app, cast, meeting, bridge, clock_at, monkeypatch
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    held = the(Allocation)
    attendee = meeting.attendees[0]
    token = links.access_token(held.room, attendee.id)
    heard = Heard(**{held.room: [("leg-1", token)]})
    monkeypatch.setattr(drivers, "connect", lambda *_: heard)
    for second in (0, 10, 25):
        go_to(clock_at, meeting, seconds=second)
        run_until_idle(app, visit_one)
    leg = the(Leg)
    assert (leg.attendee_id, leg.source, leg.left) == (attendee.id, "poll", None)
    assert leg.joined == meeting.occurrence.starts
    assert heard.asked_for_tokens == 1
    gap = the(Gap)
    assert (gap.why, gap.starts, gap.ends) == ("events", leg.joined, None)

    heard.rooms[held.room] = []
    go_to(clock_at, meeting, minutes=30)
    run_until_idle(app, visit_one)
    assert the(Leg).left == clock.now()
    found = attendance.of(access.meeting(cast.ann, meeting.uid), meeting.occurrence)
    assert found.sites[0].presence.minutes == 30
    assert [gap.why for gap in found.gaps] == ["events"]


def test_a_leave_that_only_asking_found_is_a_gap_until_its_event_comes(
    app, cast, meeting, bridge, clock_at, monkeypatch
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    held = the(Allocation)
    heard = Heard(**{held.room: []})
    monkeypatch.setattr(drivers, "connect", lambda *_: heard)
    start = meeting.occurrence.starts
    joined = drivers.Joined(at=start, room=held.room, leg="l", name="A", token="", handle="1/2")
    with transaction():
        events.apply(the_bridge(), [joined])
    for second in (10, 20, 35):
        go_to(clock_at, meeting, seconds=second)
        run_until_idle(app, visit_one)
    assert the(Leg).left == start + timedelta(seconds=10)
    assert (the(Gap).why, the(Gap).starts) == ("events", the(Leg).left)
    left = drivers.Left(at=start + timedelta(seconds=4), room=held.room, leg="l")
    with transaction():
        events.apply(the_bridge(), [left])
    assert (the(Leg).left, the(Leg).left_source) == (left.at, "event")


def test_a_room_whose_opener_died_after_the_meeting_was_cancelled_is_closed(
    app, cast, meeting, bridge, clock_at
):
    go_to(clock_at, meeting, minutes=-15)
    with transaction():
        order = rooms.claim_next_to_open()
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.cancel(found, "Bão", by=cast.ann)
    run_until_idle(app, close_one)
    bridge.open_room(order.spec)  # and here its opener dies
    go_to(clock_at, meeting, minutes=-14)
    run_until_idle(app, visit_one)
    run_until_idle(app, close_one)
    assert bridge.counts() == {}


def test_a_finished_meeting_is_not_opened_again_because_closing_failed(
    app, cast, meeting, bridge, clock_at, monkeypatch
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    go_to(clock_at, meeting, minutes=75)
    with transaction():
        order = rooms.claim_next_to_close()
    with transaction():
        rooms.closing_failed(order, DriverError("away"), rooms.Said())
    bridge.close_room(order.spec.name, order.spec.secret)
    run_until_idle(app, visit_one)
    assert run_until_idle(app, open_one) == 0
    assert bridge.counts() == {}


def test_a_late_event_makes_a_polled_session_exact(
    app, cast, meeting, bridge, clock_at, monkeypatch
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    held = the(Allocation)
    token = links.access_token(held.room, meeting.attendees[0].id)
    monkeypatch.setattr(drivers, "connect", lambda *_: Heard(**{held.room: [("leg-1", token)]}))
    go_to(clock_at, meeting, seconds=9)
    run_until_idle(app, visit_one)
    at = meeting.occurrence.starts + timedelta(seconds=1)
    joined = drivers.Joined(at=at, room=held.room, leg="leg-1", name="A", token=token, handle="1/2")
    left = drivers.Left(at=at + timedelta(minutes=5), handle="1/")
    for event in (joined, joined, left, left):
        with transaction():
            events.apply(the_bridge(), [event])
    leg = the(Leg)
    assert (leg.joined, leg.left, leg.source) == (at, left.at, "event")
    assert the(Gap) is None


def test_a_restarted_bridge_ends_sessions_when_they_were_last_seen(
    app, cast, meeting, bridge, clock_at, monkeypatch
):
    go_to(clock_at, meeting, minutes=-15)
    open_one()
    held = the(Allocation)
    heard = Heard(**{held.room: [("leg-1", "")]})
    monkeypatch.setattr(drivers, "connect", lambda *_: heard)
    for second in (0, 10):
        go_to(clock_at, meeting, seconds=second)
        run_until_idle(app, visit_one)
    seen = clock.now()
    heard.rooms = {}
    heard.probe = lambda: drivers.Answer(software="heard", epoch="two")
    go_to(clock_at, meeting, seconds=60)
    run_until_idle(app, visit_one)
    assert the(Leg).left == seen
    assert the(Allocation).open_at == clock.now()
