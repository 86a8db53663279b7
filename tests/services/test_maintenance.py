"""Drain, maintenance, head-room, stand-by and N-1: what bridges promise, and what a loss means."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from confbridge import doors, drivers
from confbridge.database import db, transaction
from confbridge.domain.capacity import PORT, Tariff
from confbridge.domain.interval import Interval
from confbridge.drivers import Terms
from confbridge.errors import Clash, Conflict, Invalid, NotAllowed, NotFound
from confbridge.inputs import parse
from confbridge.inputs.directory import BridgeChange, Maintenance, PoolChange
from confbridge.models import Allocation, Bridge, BridgeBlock, Meeting, Reservation
from confbridge.services import access, bridges, maintenance
from confbridge.services.maintenance import NotMovable
from tests import factories
from tests.services.scheduling import (
    broken_promises,
    change,
    count,
    everything,
    letters,
    morning,
    occurrence,
)


def on(meeting: Meeting) -> list[tuple[str, str]]:
    found = occurrence(meeting.occurrence.id).allocations
    return [(one.bridge.code, one.role) for one in found]


def maintained(by, code: str, start, end, **rest) -> list[maintenance.Affected]:
    wanted = parse(
        Maintenance,
        {"start": start.isoformat(), "end": end.isoformat(), "reason": "Thay nguồn", **rest},
    )
    with transaction():
        return maintenance.maintain_bridge(access.bridge(by, code), wanted, by=by)


@pytest.fixture
def spare(app, cast) -> Bridge:
    return factories.bridge(ports=12)


def test_draining_moves_what_lies_ahead_and_says_what_it_cannot(app, cast, spare):
    large = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=9)
    small = factories.meeting(cast.ann, ["E-2"], start=morning(hour=14).isoformat())
    factories.meeting(cast.ann, ["E-3"], start=morning().isoformat(), guest_ports=4)
    assert on(large) == on(small) == [(cast.bridge.code, "primary")]
    _, affected = doors.drain(cast.bridge.code, by=cast.carla)
    assert [(one.uid, one.moved_to) for one in affected] == [
        (large.uid, ""),
        (small.uid, spare.code),
    ]
    assert str(affected[0].why) == "No other bridge has the ports at that time."
    assert on(large) == [(cast.bridge.code, "primary")]
    assert on(small) == [(spare.code, "primary")]
    assert [one.kind for one in letters(small)] == ["invitation"]  # the address is ours: S5
    assert broken_promises() == {}
    again = factories.meeting(cast.ann, ["E-4"], start=morning(days=20).isoformat())
    assert on(again) == [(spare.code, "primary")]


def test_only_an_administrator_drains(app, cast):
    for who in (cast.ann, cast.olga, cast.dan):
        with pytest.raises(NotAllowed):
            doors.drain(cast.bridge.code, by=who)


def test_a_conference_that_is_on_stays_where_it_is(app, cast, spare, clock_at):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    clock_at(morning())
    _, affected = doors.drain(cast.bridge.code, by=cast.carla)
    assert [(one.moved_to, str(one.why)) for one in affected] == [("", "Its room is open already.")]
    assert on(made) == [(cast.bridge.code, "primary")]


def test_maintenance_moves_who_is_in_its_way_and_then_nothing_is_promised_there(app, cast, spare):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    start, end = morning(hour=7), morning(hour=12)
    affected = maintained(cast.carla, cast.bridge.code, start, end)
    assert [(one.uid, one.moved_to) for one in affected] == [(made.uid, spare.code)]
    assert on(factories.meeting(cast.ann, ["E-2"], start=morning().isoformat())) == [
        (spare.code, "primary")
    ]
    taken, free = bridges.timeline(
        bridges.listed(), Interval(start, start + timedelta(hours=1)), timedelta(hours=1)
    )[cast.bridge.id]
    assert (taken, free) == ([0], [0])
    assert broken_promises() == {}


def test_maintenance_that_leaves_some_ports_moves_only_as_much_as_it_must(app, cast):
    three = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=2)
    six = factories.meeting(cast.ann, ["E-2"], start=morning().isoformat(), guest_ports=5)
    spare = factories.bridge(ports=12)
    start, end = morning(hour=6), morning(hour=12)
    affected = maintained(cast.carla, cast.bridge.code, start, end, ports_left=6)
    assert len(affected) == 1
    assert sorted(on(three) + on(six)) == sorted(
        [(cast.bridge.code, "primary"), (spare.code, "primary")]
    )
    assert broken_promises() == {}


def test_maintenance_is_refused_whole_if_something_cannot_be_moved(app, cast):
    factories.bridge(ports=2)
    first = factories.meeting(cast.ann, ["E-1"], start=morning(hour=9).isoformat())
    second = factories.meeting(cast.ann, ["E-2"], start=morning().isoformat(), guest_ports=4)
    before = everything()
    with pytest.raises(NotMovable) as refusal:
        maintained(cast.carla, cast.bridge.code, morning(hour=7), morning(hour=12))
    stays = {one.uid for one in refusal.value.affected if not one.moved_to}
    assert second.uid in stays <= {first.uid, second.uid}
    assert everything() == before


def test_two_times_of_maintenance_of_a_bridge_never_overlap(app, cast):
    start, end = morning(hour=7), morning(hour=12)
    maintained(cast.carla, cast.bridge.code, start, end)
    with pytest.raises(Conflict):
        maintained(cast.carla, cast.bridge.code, start, end)
    block = BridgeBlock(bridge_id=cast.bridge.id, starts=start, ends=end, ports_left=1, reason="")
    with pytest.raises(Clash), transaction():
        db.session.add(block)


@pytest.mark.parametrize("ports_left", [0, 3])
def test_not_even_a_hand_written_insert_breaks_a_promise_by_maintenance(app, cast, ports_left):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=3)
    block = BridgeBlock(
        bridge_id=cast.bridge.id,
        starts=morning(),
        ends=morning(hour=9),
        ports_left=ports_left,
        reason="",
    )
    with pytest.raises(Clash), transaction():
        db.session.add(block)


def test_a_hand_written_promise_in_maintenance_is_refused_too(app, cast):
    maintained(cast.carla, cast.bridge.code, morning(hour=7), morning(hour=12), ports_left=2)
    made = factories.meeting(cast.ann, ["E-1"], start=morning(hour=14).isoformat())
    more = Allocation(
        bridge_id=cast.bridge.id,
        occurrence_id=made.occurrence.id,
        units=3 * PORT,
        legs=3,
        opens=morning(),
        starts=morning(),
        ends=morning(hour=9),
        room="another",
    )
    with pytest.raises(Clash), transaction():
        db.session.add(more)


def test_maintenance_taken_off_gives_the_ports_back(app, cast):
    maintained(cast.carla, cast.bridge.code, morning(hour=7), morning(hour=12))
    (block,) = maintenance.blocks(cast.bridge)
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with transaction():
        maintenance.end_maintenance(
            access.bridge(cast.carla, cast.bridge.code), block.id, by=cast.carla
        )
    assert factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with pytest.raises(NotFound), transaction():
        maintenance.end_maintenance(
            access.bridge(cast.carla, cast.bridge.code), block.id, by=cast.carla
        )


def out_of_use(cast, code: str, start, end) -> None:
    given = {"start": start.isoformat(), "end": end.isoformat(), "reason": "Sửa micro"}
    with transaction():
        endpoint = access.endpoint(cast.carla, code, to_change=True)
        maintenance.maintain_endpoint(endpoint, parse(Maintenance, given), by=cast.carla)


def test_an_endpoint_under_maintenance_is_in_no_meeting_and_another_of_its_own_is_named(app, cast):
    elsewhere = factories.endpoint("X-1", cast.other)
    out_of_use(cast, "E-1", morning(hour=0), morning(hour=0) + timedelta(days=3, hours=5))
    draft = factories.draft(["E-1", "E-2"], start=(morning() + timedelta(days=1)).isoformat())
    with pytest.raises(doors.Refused) as refusal:
        doors.book(draft, by=cast.ann)
    (clash,) = refusal.value.refusal.clashes
    assert (clash.kind, clash.subject, clash.title) == ("maintenance", "E-1", "Sửa micro")
    assert clash.instead == ["E-3", "E-4"]
    assert elsewhere.code not in clash.instead
    assert count(Reservation, Reservation.occurrence_id.is_(None)) == 4  # a day each at most
    after = morning(hour=0) + timedelta(days=3, hours=5)
    assert factories.meeting(cast.ann, ["E-1"], start=after.isoformat())


def test_an_endpoint_that_is_in_a_meeting_cannot_be_taken_out_of_use(app, cast):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with pytest.raises(Clash):
        out_of_use(cast, "E-1", morning(hour=7), morning(hour=9))
    held = db.session.scalars(select(Reservation)).one()
    again = Reservation(endpoint_id=held.endpoint_id, starts=held.starts, ends=held.ends)
    with pytest.raises(Clash), transaction():
        db.session.add(again)


def test_an_endpoint_can_be_used_again_before_its_maintenance_was_to_end(app, cast):
    start = morning(hour=0)
    out_of_use(cast, "E-1", start, start + timedelta(days=2))
    (whole,) = maintenance.endpoint_maintenance(cast.endpoints[0])
    assert whole == Interval(start, start + timedelta(days=2))
    with transaction():
        endpoint = access.endpoint(cast.carla, "E-1", to_change=True)
        maintenance.end_endpoint_maintenance(endpoint, start, by=cast.carla)
    assert factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())


def test_head_room_is_kept_free(app, cast):
    with transaction():
        access.bridge(cast.carla, cast.bridge.code, to_change=True).head_room = 30
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], guest_ports=7)
    assert factories.meeting(cast.ann, ["E-1"], guest_ports=6)


def test_a_stand_by_keeps_the_ports_twice_in_two_failure_domains(app, cast):
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], standby=True)
    with transaction():
        access.bridge(cast.carla, cast.bridge.code, to_change=True).failure_domain = "phòng máy 1"
    same = factories.bridge(ports=20, failure_domain="phòng máy 1")
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], standby=True)
    other = factories.bridge(ports=9, failure_domain="phòng máy 2")
    made = factories.meeting(cast.ann, ["E-1", "E-2"], standby=True)
    roles = {role: code for code, role in on(made)}
    assert other.code in roles.values()
    assert set(roles) == {"primary", "standby"}
    spare = next(one for one in occurrence(made.occurrence.id).allocations if one.role == "standby")
    assert (spare.ports, spare.open_at) == (2, None)
    assert not {same.code, cast.bridge.code} <= set(roles.values())
    assert broken_promises() == {}


def test_what_has_a_stand_by_moves_with_it(app, cast, spare):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), standby=True)
    before = sorted(on(made))
    change(cast.ann, made.uid, start=morning(hour=14).isoformat())
    assert sorted(on(made)) == before
    assert {one.starts for one in occurrence(made.occurrence.id).allocations} == {
        morning(hour=14) - timedelta(minutes=15)
    }


def n_minus_1(cast, *, wanted: bool = True) -> None:
    with transaction():
        bridges.change_pool("chung", PoolChange(survives_loss=wanted), by=cast.carla)


def test_n_1_accepts_only_what_could_be_placed_after_the_loss_of_any_bridge(app, cast):
    second = factories.bridge(ports=10)
    n_minus_1(cast)
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=5)
    # Six are promised on one; of the twenty together only ten survive: four more may come.
    draft = factories.draft(["E-2"], start=morning().isoformat(), guest_ports=4)
    with pytest.raises(doors.Refused) as refusal:
        doors.book(draft, by=cast.ann)
    assert [one.state for one in refusal.value.refusal.clashes] == ["", "n-1"]
    assert factories.meeting(cast.ann, ["E-2"], start=morning().isoformat(), guest_ports=3)
    assert factories.meeting(cast.ann, ["E-3"], start=morning(hour=14).isoformat(), guest_ports=9)
    assert bridges.at_risk() == {cast.bridge.id: [], second.id: []}
    assert made.occurrence.primary.ports == 6


def test_a_pool_without_the_rule_says_what_a_loss_would_break(app, cast):
    second = factories.bridge(ports=5)
    made = factories.meeting(cast.ann, ["E-1"], start=morning(days=3).isoformat(), guest_ports=7)
    far = factories.meeting(cast.ann, ["E-1"], start=morning(days=40).isoformat(), guest_ports=7)
    risks = bridges.at_risk()
    assert [one.uid for one in risks[cast.bridge.id]] == [made.uid] != [far.uid]
    assert risks[second.id] == []


def test_n_1_holds_for_moves_as_for_bookings(app, cast):
    factories.bridge(ports=10)
    n_minus_1(cast)
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=5)
    other = factories.meeting(cast.ann, ["E-2"], start=morning(hour=14).isoformat(), guest_ports=5)
    with pytest.raises(Clash):
        change(cast.ann, other.uid, start=morning().isoformat())
    n_minus_1(cast, wanted=False)
    assert change(cast.ann, other.uid, start=morning().isoformat())


class LinkingDriver:
    """A make of bridge whose rooms can be linked; it is only asked what it charges."""

    TERMS = Terms(tariff=Tariff(meeting=PORT // 2, link=PORT), can_link=True)


@pytest.fixture
def linking(monkeypatch):
    known = {**drivers.DRIVERS, "linking": f"{__name__}:LinkingDriver"}
    monkeypatch.setattr(drivers, "DRIVERS", known)
    monkeypatch.setattr(drivers, "_class_of", lambda _: LinkingDriver)
    drivers.terms.cache_clear()
    yield
    drivers.terms.cache_clear()


def test_a_meeting_too_large_for_one_bridge_is_held_over_two_that_can_be_linked(app, cast, linking):
    other = factories.bridge(ports=10)
    made = factories.meeting(cast.ann, cast.codes, guest_ports=12)
    found = sorted(on(made), key=lambda one: one[1])
    assert [role for _, role in found] == ["cascade", "primary"]
    assert {code for code, _ in found} == {cast.bridge.code, other.code}
    units = [one.units for one in occurrence(made.occurrence.id).allocations]
    assert sum(units) == 16 * PORT + 2 * (PORT // 2) + 2 * PORT
    assert broken_promises() == {}


def test_without_leave_to_cascade_it_is_offered(app, cast, linking):
    factories.bridge(ports=10)
    draft = factories.draft(cast.codes, guest_ports=12, cascade=False)
    with pytest.raises(doors.Refused) as refusal:
        doors.book(draft, by=cast.ann)
    offered = [one.change for one in refusal.value.refusal.alternatives]
    assert offered == ["cascade"]


def test_where_no_bridge_can_be_linked_the_refusal_says_so(app, cast):
    factories.bridge(ports=10)
    draft = factories.draft(cast.codes, guest_ports=12)
    with pytest.raises(doors.Refused) as refusal:
        doors.book(draft, by=cast.ann)
    assert refusal.value.refusal.needs_cascade


def test_quality_is_counted_in_parts_of_a_port(app, cast):
    listed = [
        {"code": "E-1", "quality": "audio"},
        {"code": "E-2", "quality": "fullhd"},
        {"code": "E-3", "quality": "sd"},
    ]
    made = factories.meeting(cast.ann, endpoints=listed)
    assert made.occurrence.primary.units == 1 + 2 * PORT + PORT // 2


def test_a_promise_longer_than_two_days_is_refused_by_the_database(app, cast):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with pytest.raises(Exception, match="too_long"), transaction():
        db.session.execute(
            text("UPDATE allocations SET ends = :ends WHERE occurrence_id = :number"),
            {"ends": morning() + timedelta(days=3), "number": made.occurrence.id},
        )


def test_a_running_conference_grows_where_it_is_or_not_at_all(app, cast, clock_at):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    factories.bridge(ports=50)
    clock_at(morning() + timedelta(minutes=5))
    with transaction():
        db.session.execute(update(Allocation).values(opened_at=morning()))
    with pytest.raises(Clash):
        change(cast.ann, made.uid, guest_ports=30)
    change(cast.ann, made.uid, guest_ports=5)
    assert on(made) == [(cast.bridge.code, "primary")]
    assert broken_promises() == {}


def test_moving_what_has_left_meanwhile_is_nothing(app, cast, spare):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with transaction():
        found = maintenance.move(made.occurrence.id, access.bridge(cast.carla, spare.code))
    assert found is None
    assert on(made) == [(cast.bridge.code, "primary")]


def test_ports_that_maintenance_needs_cannot_be_taken_off_the_bridge(app, cast):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=3)
    maintained(cast.carla, cast.bridge.code, morning(), morning(hour=9), ports_left=5)
    bridge = access.bridge(cast.carla, cast.bridge.code)
    with pytest.raises(Conflict):
        bridges.change(bridge, parse(BridgeChange, {"ports": 3}), by=cast.carla)
    assert broken_promises() == {}


def test_maintenance_leaves_no_more_ports_than_there_are(app, cast):
    with pytest.raises(Invalid):
        maintained(cast.carla, cast.bridge.code, morning(), morning(hour=9), ports_left=9999)
