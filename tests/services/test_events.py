"""What bridges report counts once, in order, and what is missing is stated."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, drivers
from confbridge.database import db, transaction
from confbridge.drivers import Begun, Joined, Left, Marked, Other
from confbridge.jobs import run_until_idle
from confbridge.jobs.attendance import work_on_some
from confbridge.models import Allocation, Bridge, BridgeEvents, Endpoint, Gap, Leg
from confbridge.services import attendance, events, health, links
from confbridge.services.health import Findings
from tests import factories


@pytest.fixture
def meeting(cast, clock_at):
    made = factories.meeting(cast.ann)
    clock_at(made.occurrence.starts)
    with transaction():
        held = db.session.get(Allocation, made.occurrence.primary.id)
        held.opened_at = clock.now()
    return made


@pytest.fixture
def room(meeting):
    return meeting.occurrence.primary.room


def at(seconds=0):
    return clock.now() + timedelta(seconds=seconds)


def report(*some):
    with transaction():
        events.apply(db.session.scalars(select(Bridge)).one(), list(some))


def rows(model):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(model).order_by(model.id)).all()


def numbered(number, **given):
    return Other(at=at(number), stream="node", number=number, **given)


def test_numbers_in_order_state_nothing(meeting):
    report(numbered(7), numbered(8))
    report(numbered(9))
    assert rows(Gap) == []


def test_a_number_left_out_is_a_gap_from_the_last_to_the_next_and_who_is_in_is_asked(meeting):
    report(numbered(7))
    report(numbered(10))
    (gap,) = rows(Gap)
    assert (gap.why, gap.starts, gap.ends) == ("events", at(7), at(10))
    assert rows(Bridge)[0].probe_at == clock.now()


def test_a_bridge_that_says_itself_what_it_lost_is_believed(meeting):
    report(numbered(7), numbered(8, missing=2))
    assert len(rows(Gap)) == 1


def test_the_same_number_again_is_passed_over(meeting, room):
    came = Joined(at=at(), room=room, leg="1", name="A", stream="n", number=1)
    gone = Left(at=at(5), room=room, leg="1", stream="n", number=2)
    report(came, gone)
    report(came, Joined(at=at(9), room=room, leg="2", name="B", stream="n", number=2))
    (leg,) = rows(Leg)
    assert leg.left == at(5)


def test_the_same_key_again_is_passed_over_until_it_is_forgotten(meeting, room, clock_at):
    left = Left(at=at(5), key="k", room=room)
    report(Joined(at=at(), room=room, leg="1", name="A"))
    report(left, left)
    with transaction():
        db.session.scalars(select(Leg)).one().left = None
    report(left)
    assert rows(Leg)[0].left is None
    clock_at(clock.now() + events.KEYS_KEPT + timedelta(seconds=1))
    with transaction():
        assert events.forget_old()


def test_a_leg_of_a_call_is_in_the_room_of_that_call(meeting, room):
    report(Begun(at=at(), room=room, call="c1"))
    report(Joined(at=at(1), call="c1", leg="l1", name="A"))
    report(Joined(at=at(1), call="c2", leg="l2", name="not ours"))
    (leg,) = rows(Leg)
    assert (leg.leg, leg.joined) == ("l1", at(1))


def test_who_calls_from_the_address_in_the_directory_is_that_endpoint(meeting, room, cast):
    with transaction():
        db.session.scalars(
            select(Endpoint).where(Endpoint.code == "E-1")
        ).one().address = "sip:E-1@hoinghi.example"
    report(
        Joined(at=at(), room=room, leg="1", name="x", address="e-1@HOINGHI.example;transport=udp")
    )
    report(Joined(at=at(), room=room, leg="2", name="x", address="sip:other@hoinghi.example"))
    known = {one.leg: one.attendee_id for one in rows(Leg)}
    assert known == {"1": meeting.attendees[0].id, "2": None}


def test_a_token_outweighs_an_address(meeting, room):
    token = links.access_token(room, meeting.attendees[1].id)
    report(Joined(at=at(), room=room, leg="1", name="x", token=token, address="e-1@x"))
    assert rows(Leg)[0].attendee_id == meeting.attendees[1].id


def findings(**given):
    return Findings(software="x", epoch="1", counts={}, **given)


def visit(seconds, clock_at, start, **given):
    clock_at(start + timedelta(seconds=seconds))
    with transaction():
        bridge = db.session.scalars(select(Bridge)).one()
        health.visited(bridge.id, findings(**given), clock.now())


def test_a_mark_that_does_not_come_back_is_a_gap_until_one_does(meeting, clock_at):
    start = clock.now()
    visit(0, clock_at, start, marked=True)
    clock_at(start + timedelta(seconds=1))
    report(Marked(at=start - timedelta(hours=1)))  # by the bridge's clock, which is not ours
    visit(10, clock_at, start, marked=True)
    assert rows(Gap) == []
    visit(20, clock_at, start, marked=True)
    (gap,) = rows(Gap)
    assert (gap.why, gap.starts, gap.ends) == ("events", start + timedelta(seconds=1), None)
    visit(30, clock_at, start, marked=True)
    assert len(rows(Gap)) == 1
    with transaction():
        bridge = db.session.scalars(select(Bridge)).one()
        db.session.add(
            BridgeEvents(bridge_id=bridge.id, received_at=clock.now(), body="[]", due=clock.now())
        )
    with transaction():
        events.work_on(events.claim_next())
    assert rows(Gap)[0].ends == clock.now()


def test_a_bridge_that_has_reported_more_than_came_has_lost_its_last_events(meeting, clock_at):
    report(numbered(7))
    start = clock.now()
    visit(0, clock_at, start, next_number=8)
    visit(10, clock_at, start, next_number=9)  # may still be on its way
    assert rows(Gap) == []
    visit(20, clock_at, start, next_number=9)
    (gap,) = rows(Gap)
    assert (gap.starts, gap.ends) == (start, None)
    report(numbered(8))
    visit(30, clock_at, start, next_number=9)
    assert rows(Gap)[0].ends is not None


def test_who_comes_back_under_the_same_name_was_not_there_in_between(meeting, room):
    report(Joined(at=at(0), room=room, leg="u", name="A"), Left(at=at(60), room=room, leg="u"))
    report(Joined(at=at(600), room=room, leg="u", name="A"))
    spans = [(leg.joined, leg.left) for leg in rows(Leg)]
    assert spans == [(at(0), at(60)), (at(600), None)]


def batch(body):
    with transaction():
        bridge = db.session.scalars(select(Bridge)).one()
        db.session.add(
            BridgeEvents(bridge_id=bridge.id, received_at=clock.now(), body=body, due=clock.now())
        )


def test_one_batch_that_breaks_us_does_not_take_the_others_with_it(app, meeting, room, monkeypatch):
    joined = {"event": "joined", "room": room, "id": "1", "display": "A"}
    plugin = {"plugin": "janus.plugin.videoroom", "data": joined}
    good = json.dumps([{"type": 64, "timestamp": at().timestamp() * 1e6, "event": plugin}])
    real = drivers.load

    def load(kind, settings):
        driver = real(kind, settings)
        reads = driver.events

        def read(body):
            if body == "poison":
                raise RuntimeError("a bug of ours")
            return reads(body)

        driver.events = read
        return driver

    monkeypatch.setattr(drivers, "load", load)
    for body in (good, "poison", good):
        batch(body)
    run_until_idle(app, work_on_some)
    for _ in range(events.MOST_TRIES + 2):
        with transaction():
            for one in db.session.scalars(
                select(BridgeEvents).where(BridgeEvents.due.is_not(None))
            ):
                one.due = clock.now()
        run_until_idle(app, work_on_some)
    assert [one.body for one in rows(BridgeEvents)] == ["poison"]
    assert len(rows(Leg)) == 1


def test_what_asking_finds_of_a_leg_is_written_down(meeting, room):
    told = drivers.Participant(leg="1", name="A", picture=False, sound=True, loss=0.02, delay=0.1)
    bridge = rows(Bridge)[0]
    with transaction():
        attendance.compare(bridge.id, {room: [told]}, clock.now())
    with transaction():
        attendance.compare(bridge.id, {room: [told]}, at(10))
    (leg,) = rows(Leg)
    assert (leg.picture, leg.sound, leg.loss, leg.delay) == (False, True, 0.02, 0.1)
