"""A conference whose bridge is lost goes on, or begins, elsewhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock
from confbridge.database import db, transaction
from confbridge.domain.health import BridgeState
from confbridge.domain.placement import AllocationRole
from confbridge.errors import DriverError
from confbridge.jobs.bridges import rescue_one
from confbridge.models import (
    Allocation,
    Bridge,
    DialOut,
    Exclusion,
    Incident,
    Leg,
    LegSource,
    Letter,
    Meeting,
    Occurrence,
)
from confbridge.services import attendance, redial, rescue, rooms
from confbridge.services.rooms import Said
from tests import factories


@pytest.fixture
def spare(cast):
    return factories.bridge(ports=10)


def the(model, number):
    db.session.rollback()
    db.session.expire_all()
    return db.session.get(model, number)


def live(meeting):
    db.session.rollback()
    db.session.expire_all()
    number = meeting.occurrence.id
    asked = select(Allocation).where(Allocation.occurrence_id == number, Allocation.live)
    return {one.role: one for one in db.session.scalars(asked)}


def lose(bridge_id, state=BridgeState.DOWN):
    with transaction():
        bridge = db.session.get(Bridge, bridge_id)
        bridge.state, bridge.heard_at = state, clock.now()


def open_room(meeting):
    with transaction():
        held = db.session.get(Allocation, meeting.occurrence.primary.id)
        held.opened_at, held.open_at = clock.now(), None


def come_in(allocation_id, attendee, leg="l1"):
    with transaction():
        held = db.session.get(Allocation, allocation_id)
        now = clock.now()
        db.session.add(
            Leg(
                allocation_id=held.id,
                attendee_id=attendee.id,
                leg=leg,
                name="A",
                source=LegSource.EVENT,
                joined=now,
                seen_at=now,
            )
        )


def rescue_all():
    count = 0
    while rescue_one():
        count += 1
        assert count < 20, "it goes on for ever"
    return count


def begin(clock_at, meeting, minutes=5):
    clock_at(meeting.occurrence.starts + timedelta(minutes=minutes))


def test_a_conference_goes_on_where_there_is_room_and_its_old_room_is_remembered(
    cast, spare, clock_at
):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    old = live(meeting)["primary"]
    come_in(old.id, meeting.attendees[0])
    lose(old.bridge_id)
    assert rescue_all() == 1
    new = live(meeting)["primary"]
    assert new.bridge_id != old.bridge_id
    assert new.open_at == clock.now()
    assert new.starts == clock.now()
    was = the(Allocation, old.id)
    assert (was.live, was.detached_at, was.close_at) == (False, clock.now(), None)
    (leg,) = db.session.scalars(select(Leg))
    assert (leg.left, leg.left_source) == (clock.now(), "reconstructed")


def test_its_stand_by_comes_first(cast, spare, clock_at):
    third = factories.bridge(ports=50)
    meeting = factories.meeting(cast.ann, standby=True)
    stand_by = live(meeting)["standby"].bridge_id
    begin(clock_at, meeting)
    open_room(meeting)
    lose(live(meeting)["primary"].bridge_id)
    rescue_all()
    now = live(meeting)
    assert now["primary"].bridge_id == stand_by
    assert set(now) == {"primary"}
    assert third.id not in {one.bridge_id for one in now.values()}


def test_a_meeting_to_come_is_placed_anew_half_an_hour_before_and_not_sooner(cast, spare, clock_at):
    meeting = factories.meeting(cast.ann)
    old = live(meeting)["primary"]
    begin(clock_at, meeting, minutes=-46)  # its room opens a quarter of an hour before
    lose(old.bridge_id)
    assert rescue_all() == 0
    begin(clock_at, meeting, minutes=-45)
    assert rescue_all() == 1
    new = live(meeting)["primary"]
    assert new.bridge_id != old.bridge_id
    assert new.open_at >= meeting.occurrence.starts - timedelta(minutes=15)
    assert the(Allocation, old.id).detached_at is None


def test_one_that_fits_nowhere_stays_and_the_operator_is_told_until_it_fits(cast, clock_at):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    old = live(meeting)["primary"]
    lose(old.bridge_id)
    assert rescue_all() == 1
    assert live(meeting)["primary"].id == old.id
    (told,) = db.session.scalars(select(Incident)).all()
    assert (told.kind, told.ended) == ("lost", None)
    assert rescue_all() == 0  # not at once again
    factories.bridge(ports=10)
    begin(clock_at, meeting, minutes=6)
    assert rescue_all() == 1
    assert live(meeting)["primary"].bridge_id != old.bridge_id
    (told,) = db.session.scalars(select(Incident)).all()
    assert told.ended == clock.now()


def test_the_higher_rank_is_rescued_first_when_there_is_room_for_one(cast, clock_at):
    low = factories.meeting(cast.ann, ["E-1"], guest_ports=4)
    high = factories.meeting(cast.ann, ["E-2"], guest_ports=4)
    with transaction():
        db.session.get(Meeting, high.id).rank = "emergency"
    factories.bridge(ports=5)
    begin(clock_at, low)
    for one in (low, high):
        open_room(one)
    lost = live(low)["primary"].bridge_id
    assert live(high)["primary"].bridge_id == lost
    lose(lost)
    rescue_all()
    assert live(high)["primary"].bridge_id != lost
    assert live(low)["primary"].bridge_id == lost


@pytest.fixture
def moved(cast, spare, clock_at):
    """A conference that has moved, and somebody is still in its old room."""
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    old = live(meeting)["primary"]
    lose(old.bridge_id)
    rescue_all()
    new = live(meeting)["primary"]
    with transaction():
        db.session.get(Allocation, new.id).opened_at = clock.now()
    begin(clock_at, meeting, minutes=6)
    lose(old.bridge_id, BridgeState.UP)
    return meeting, the(Allocation, old.id), the(Allocation, new.id)


def come_back(old, people):
    with transaction():
        rescue.returned(old.bridge_id, {old.room: people}, clock.now())


def test_the_orphan_is_closed_when_its_bridge_comes_back(moved):
    meeting, old, new = moved
    come_back(old, 0)
    assert the(Allocation, old.id).close_at == clock.now()
    assert live(meeting)["primary"].id == new.id


def test_people_left_behind_do_not_matter_once_somebody_has_come_to_the_new_room(moved):
    meeting, old, new = moved
    come_in(new.id, meeting.attendees[0])
    come_back(old, 2)
    assert the(Allocation, old.id).close_at == clock.now()
    assert live(meeting)["primary"].id == new.id


def test_where_the_people_are_is_the_conference_if_nobody_came_to_the_new_room(moved):
    meeting, old, new = moved
    come_back(old, 2)
    back = live(meeting)["primary"]
    assert (back.id, back.detached_at, back.close_at) == (old.id, None, new.ends)
    assert the(Allocation, new.id).close_at == clock.now()


def test_a_room_that_the_bridge_has_forgotten_is_gone(moved):
    _, old, _ = moved
    with transaction():
        rescue.returned(old.bridge_id, {}, clock.now())
    assert the(Allocation, old.id).closed_at == clock.now()


def test_a_room_that_cannot_be_opened_in_time_is_tried_elsewhere(cast, spare, clock_at):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting, minutes=-4)
    for _ in range(rescue.MOST_TRIES):
        with transaction():
            held = db.session.get(Allocation, meeting.occurrence.primary.id)
            held.open_at = clock.now()
        with transaction():
            order = rooms.claim_next_to_open()
        with transaction():
            rooms.opening_failed(order, DriverError("no"), Said(answer="in full", took=0.1))
    assert rescue_all() == 1
    assert live(meeting)["primary"].id != order.allocation_id
    occurrence = the(Occurrence, meeting.occurrence.id)
    said = [(step.step, step.ok, step.answer) for step, _ in rooms.steps_of(occurrence)]
    assert said.count(("open", False, "in full")) == rescue.MOST_TRIES


def test_a_room_is_tried_often_before_the_start_and_now_and_then_after_it(cast, clock_at):
    meeting = factories.meeting(cast.ann)
    starts = meeting.occurrence.starts
    begin(clock_at, meeting, minutes=-15)
    tries = []
    while (due := the(Allocation, meeting.occurrence.primary.id).open_at) is not None:
        clock_at(max(due, clock.now()))
        with transaction():
            order = rooms.claim_next_to_open()
        with transaction():
            rooms.opening_failed(order, DriverError("no"), Said())
        tries.append(clock.now())
        assert len(tries) < 200
    assert starts in tries
    assert len([one for one in tries if one < starts]) > 15
    assert tries[-1] > starts + timedelta(minutes=60)


def test_a_conference_that_was_moved_is_tried_again_though_it_has_begun(cast, spare, clock_at):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    lose(live(meeting)["primary"].bridge_id)
    rescue_all()
    with transaction():
        order = rooms.claim_next_to_open()
    with transaction():
        rooms.opening_failed(order, DriverError("once"), Said())
    assert live(meeting)["primary"].open_at == clock.now() + rooms.RETRY


def test_people_in_the_old_room_are_waited_for_while_its_bridge_still_counts_as_down(moved):
    meeting, old, _ = moved
    lose(old.bridge_id)
    come_back(old, 5)
    was = the(Allocation, old.id)
    assert (was.close_at, was.closed_at) == (None, None)
    lose(old.bridge_id, BridgeState.UP)
    come_back(old, 5)
    assert live(meeting)["primary"].id == old.id


def test_no_bridge_opens_more_rooms_at_once_than_it_can_and_the_earliest_first(cast, clock_at):
    some = [
        factories.meeting(cast.ann, [code], start=factories.soon(24 + place).isoformat())
        for place, code in enumerate(cast.codes[:3])
    ]
    with transaction():
        for one in db.session.scalars(select(Bridge)):
            one.in_flight = 2
        for one in db.session.scalars(select(Allocation)):
            one.open_at = some[0].occurrence.starts
    begin(clock_at, some[0], minutes=0)
    claimed = []
    for _ in range(3):
        with transaction():
            claimed.append(rooms.claim_next_to_open())
    assert [one and one.allocation_id for one in claimed] == [
        some[0].occurrence.primary.id,
        some[1].occurrence.primary.id,
        None,
    ]
    with transaction():
        rooms.opened(claimed[0], Said())
    with transaction():
        third = rooms.claim_next_to_open()
    assert third.allocation_id == some[2].occurrence.primary.id


def test_the_gap_of_a_conference_that_moved_ends_when_its_new_room_opens(cast, spare, clock_at):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    old = live(meeting)["primary"]
    with transaction():
        attendance.not_heard(old.bridge_id, "unreachable", clock.now())
    lose(old.bridge_id)
    rescue_all()
    begin(clock_at, meeting, minutes=6)
    with transaction():
        db.session.get(Allocation, live(meeting)["primary"].id).opened_at = clock.now()
    begin(clock_at, meeting, minutes=20)
    db.session.expire_all()
    found = attendance.of(meeting, the(Occurrence, meeting.occurrence.id))
    (gap,) = found.gaps
    assert (gap.ends - gap.starts) == timedelta(minutes=1)
    assert live(meeting)["primary"].role == AllocationRole.PRIMARY


PEXIP = {"manager_url": "http://127.0.0.1:1", "user": "u", "web_url": "http://w", "location": "l"}


def pexip(domain, **rest):
    secrets = {"password": "p", "events_password": "e"}
    settings = {**PEXIP, "domain": domain}
    return factories.bridge(driver="pexip", settings=settings, secrets=secrets, **rest)


@pytest.fixture
def dialled(cast, clock_at):
    """A meeting on a bridge that is dialled, where another stands by in a domain of choice."""

    def make(domain):
        with transaction():
            for one in db.session.scalars(select(Bridge)):
                one.active = False
        first = pexip("vc.example")
        meeting = factories.meeting(cast.ann)
        assert live(meeting)["primary"].bridge_id == first.id
        pexip(domain)
        begin(clock_at, meeting, minutes=-40)
        lose(first.id)
        rescue_all()
        assert live(meeting)["primary"].bridge_id != first.id
        return meeting

    return make


def letters(meeting):
    db.session.rollback()
    asked = select(Letter).where(Letter.meeting_id == meeting.id).order_by(Letter.id)
    return [(one.kind, one.dial) for one in db.session.scalars(asked)]


def test_nobody_is_written_to_if_what_is_dialled_is_the_same_there(dialled):
    meeting = dialled("vc.example")
    number = f"{meeting.id:06d}"
    assert letters(meeting) == [("invitation", f"sip:{number}@vc.example")]


def test_a_request_goes_out_if_something_else_has_to_be_dialled(dialled):
    meeting = dialled("other.example")
    number = f"{meeting.id:06d}"
    assert letters(meeting) == [
        ("invitation", f"sip:{number}@vc.example"),
        ("changed", f"sip:{number}@other.example"),
    ]
    assert the(Meeting, meeting.id).sequence == 0  # the time is the same: answers stay


def test_who_was_called_is_called_again_on_the_new_bridge_but_not_who_was_put_out(
    cast, spare, clock_at
):
    meeting = factories.meeting(cast.ann)
    begin(clock_at, meeting)
    open_room(meeting)
    with transaction():
        for one in meeting.attendees:
            db.session.add(
                DialOut(occurrence_id=meeting.occurrence.id, attendee_id=one.id, at=clock.now())
            )
        out = meeting.attendees[1]
        db.session.add(
            Exclusion(occurrence_id=meeting.occurrence.id, attendee_id=out.id, at=clock.now())
        )
    lose(live(meeting)["primary"].bridge_id)
    rescue_all()
    with transaction():
        order = rooms.claim_next_to_open()
    with transaction():
        rooms.opened(order, Said())
    with transaction():
        first = redial.claim_next()
    assert first.order.allocation_id == live(meeting)["primary"].id
    assert first.visitor.name == meeting.attendees[0].endpoint.name
    with transaction():
        assert redial.claim_next() is None
