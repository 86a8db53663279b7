"""Drafts that hold their slots, the waiting list, leaders and duplicates."""

from __future__ import annotations

from datetime import timedelta

import pytest

from confbridge import clock, doors
from confbridge.database import transaction
from confbridge.domain.lifecycle import MeetingState
from confbridge.doors import Refused
from confbridge.errors import Clash, Conflict
from confbridge.jobs.holds import release_one, serve_one
from confbridge.models import Allocation, Letter, Meeting, Reservation
from confbridge.services import access, holds, leaders, maintenance
from tests import factories
from tests.services.scheduling import (
    answered,
    broken_promises,
    cancel,
    change,
    count,
    letters,
    morning,
    occurrence,
    recipients,
    seen,
)


def drafted(by, codes=None, **rest) -> Meeting:
    given = {"state": "draft", "start": morning().isoformat()}
    return factories.meeting(by, codes or ["E-1", "E-2"], **given | rest)


def waiting(by, codes=None, **rest) -> Meeting:
    return drafted(by, codes, wait=True, **rest)


def test_a_draft_holds_its_slots_and_tells_nobody(app, cast):
    made = drafted(cast.ann)
    assert made.number.startswith("D-")
    assert count(Reservation, Reservation.live) == 2
    assert count(Letter) == 0
    left = made.occurrence.hold_until - clock.now()
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())


def test_no_room_is_opened_for_what_is_only_held(app, cast):
    made = drafted(cast.ann)
    assert [one.open_at for one in made.occurrence.allocations] == [None]
    change(cast.ann, made.uid, state="scheduled")
    (held,) = occurrence(made.occurrence.id).allocations
    assert (held.open_at, held.close_at) == (held.opens, held.ends)


def test_a_draft_that_is_confirmed_gets_its_number_and_invites(app, cast):
    made = drafted(cast.ann)
    done = change(cast.ann, made.uid, state="scheduled")
    assert (done.state, done.number.split("/")[0]) == (MeetingState.SCHEDULED, "1")
    assert [one.kind for one in letters(done)] == ["invitation"]
    assert done.occurrence.hold_until is None
    assert broken_promises() == {}


def test_a_hold_that_runs_out_is_released_by_itself(app, cast, clock_at):
    made = drafted(cast.ann)
    assert not release_one()
    clock_at(made.occurrence.hold_until)
    assert release_one()
    assert not release_one()
    assert count(Reservation, Reservation.live) == count(Allocation, Allocation.live) == 0
    assert seen(made.uid, cast.ann).state == MeetingState.DRAFT
    assert factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())


def test_a_draft_whose_hold_ran_out_is_confirmed_only_if_it_is_still_free(app, cast, clock_at):
    made = drafted(cast.ann)
    clock_at(made.occurrence.hold_until)
    release_one()
    taken = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with pytest.raises(Clash):
        change(cast.ann, made.uid, state="scheduled")
    cancel(cast.ann, taken.uid)
    assert change(cast.ann, made.uid, state="scheduled").state == MeetingState.SCHEDULED


def test_slots_can_be_held_again_and_given_back(app, cast):
    made = drafted(cast.ann, hold_minutes=0)
    assert count(Reservation, Reservation.live) == 0
    doors.hold(made.uid, None, by=cast.ann, version=None)
    assert count(Reservation, Reservation.live) == 2
    doors.hold(made.uid, 0, by=cast.ann, version=None)
    assert count(Reservation, Reservation.live) == 0
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    with pytest.raises(Refused):
        doors.hold(made.uid, None, by=cast.ann, version=None)


def test_a_draft_can_be_changed_while_it_holds_and_tells_nobody(app, cast):
    made = drafted(cast.ann)
    change(cast.ann, made.uid, start=morning(hour=14).isoformat(), title="Khác")
    assert occurrence(made.occurrence.id).starts == morning(hour=14)
    assert count(Reservation, Reservation.live) == 2
    assert count(Letter) == 0


def test_a_draft_that_is_thrown_away_tells_nobody(app, cast):
    made = drafted(cast.ann)
    cancel(cast.ann, made.uid)
    assert count(Reservation, Reservation.live) == count(Letter) == 0


def test_only_a_draft_is_held_or_waits(app, cast):
    made = factories.meeting(cast.ann)
    with pytest.raises(Conflict):
        doors.hold(made.uid, None, by=cast.ann, version=None)
    with pytest.raises(Conflict), transaction():
        holds.wait(access.meeting(cast.ann, made.uid, to_change=True), by=cast.ann)


def test_the_first_that_fits_is_offered_the_room_that_a_cancellation_makes(app, cast):
    taken = factories.meeting(cast.ann, ["E-1", "E-2"], start=morning().isoformat())
    other = factories.meeting(cast.ann, ["E-4"], start=morning().isoformat())
    unfit = waiting(cast.ann, ["E-1", "E-4"])
    first = waiting(cast.ann, ["E-1"])
    second = waiting(cast.ann, ["E-1", "E-2"])
    for _ in range(3):
        assert serve_one()
    assert not serve_one()
    cancel(cast.ann, taken.uid)
    while serve_one():
        pass
    assert occurrence(first.occurrence.id).hold_until is not None
    for one in (unfit, second):
        assert occurrence(one.occurrence.id).hold_until is None
    (letter,) = letters(first)
    assert (letter.kind, recipients(letter)) == ("offered", {"ann@example.org"})
    assert letter.until == occurrence(first.occurrence.id).hold_until
    assert seen(other.uid, cast.ann).state == MeetingState.SCHEDULED
    done = change(cast.ann, first.uid, state="scheduled")
    assert (done.state, done.waiting_since) == (MeetingState.SCHEDULED, None)
    assert broken_promises() == {}


def test_an_offer_that_is_not_taken_goes_to_the_next(app, cast, clock_at):
    taken = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    first, second = waiting(cast.ann, ["E-1"]), waiting(cast.ann, ["E-1"])
    cancel(cast.ann, taken.uid)
    while serve_one():
        pass
    clock_at(occurrence(first.occurrence.id).hold_until)
    assert release_one()
    while serve_one():
        pass
    assert seen(first.uid, cast.ann).waiting_since is None
    assert occurrence(second.occurrence.id).hold_until is not None


def test_a_declining_soft_client_makes_room_for_who_waits(app, cast):
    soft = factories.endpoint("S-1", cast.below, kind="soft")
    taken = factories.meeting(cast.ann, ["E-1", "S-1"], start=morning().isoformat())
    waits = waiting(cast.ann, ["S-1"])
    serve_one()
    answered(cast.ann, taken, "S-1", "DECLINED")
    assert count(Reservation, Reservation.live, Reservation.endpoint_id == soft.id) == 0
    (held,) = occurrence(taken.occurrence.id).allocations
    assert (held.ports, held.legs) == (1, 1)
    while serve_one():
        pass
    assert occurrence(waits.occurrence.id).hold_until is not None
    with pytest.raises(Clash):
        answered(cast.ann, taken, "S-1", "ACCEPTED")
    assert broken_promises() == {}


def test_who_comes_after_all_takes_its_time_and_port_again(app, cast):
    factories.endpoint("S-1", cast.below, kind="soft")
    taken = factories.meeting(cast.ann, ["E-1", "S-1"], start=morning().isoformat())
    answered(cast.ann, taken, "S-1", "DECLINED")
    answered(cast.ann, taken, "S-1", "ACCEPTED")
    assert count(Reservation, Reservation.live) == 2
    assert occurrence(taken.occurrence.id).primary.ports == 2


@pytest.mark.parametrize("rest", [{"gives_back": False}, {}])
def test_a_room_that_declines_and_who_shall_not_keep_what_they_hold(app, cast, rest):
    factories.endpoint("S-1", cast.below, kind="soft")
    code = "S-1" if rest else "E-1"
    taken = factories.meeting(cast.ann, ["E-1", "S-1"], start=morning().isoformat(), **rest)
    answered(cast.ann, taken, code, "DECLINED")
    assert count(Reservation, Reservation.live) == 2


def test_a_meeting_that_everybody_declines_still_stands(app, cast):
    factories.endpoint("S-1", cast.below, kind="soft")
    taken = factories.meeting(cast.ann, ["S-1"], start=morning().isoformat())
    answered(cast.ann, taken, "S-1", "DECLINED")
    assert seen(taken.uid, cast.ann).state == MeetingState.SCHEDULED
    assert occurrence(taken.occurrence.id).primary.units == 1
    change(cast.ann, taken.uid, start=morning(hour=14).isoformat())
    assert broken_promises() == {}


def test_who_waits_for_a_time_that_has_come_waits_no_longer(app, cast, clock_at):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    waits = waiting(cast.ann, ["E-1"])
    clock_at(morning())
    assert serve_one()
    assert seen(waits.uid, cast.ann).waiting_since is None


def test_a_bridge_that_takes_meetings_again_makes_room(app, cast):
    with transaction():
        maintenance.drain(
            access.bridge(cast.carla, cast.bridge.code, to_change=True), by=cast.carla
        )
    waits = waiting(cast.ann, ["E-1"])
    serve_one()
    with transaction():
        bridge = access.bridge(cast.carla, cast.bridge.code, to_change=True)
        maintenance.undrain(bridge, by=cast.carla)
    while serve_one():
        pass
    assert occurrence(waits.occurrence.id).hold_until is not None


def test_drafts_and_who_waits_are_listed_for_those_who_run_them(app, cast):
    made = drafted(cast.ann, ["E-1"])
    assert [one.uid for one in holds.listed(cast.ann)] == [made.uid]
    assert holds.listed(cast.dan) == []


def test_a_chair_in_two_meetings_needs_a_reason_and_no_refusal(app, cast):
    given = {"start": morning().isoformat(), "chair": "Đ/c Chủ tịch UBND"}
    other = factories.meeting(cast.ann, ["E-1"], **given)
    draft = factories.draft(["E-2"], **given | {"chair": "đ/c chủ tịch  ubnd"})
    with pytest.raises(Refused) as refusal:
        doors.book(draft, by=cast.ann)
    (clash,) = refusal.value.refusal.clashes
    assert (clash.kind, clash.uid, clash.is_soft) == ("leader", other.uid, True)
    made = factories.meeting(cast.ann, ["E-2"], leader_reason="Ủy quyền", **given)
    assert made.leader_reason == "Ủy quyền"
    later = given | {"start": morning(hour=10).isoformat()}
    assert factories.meeting(cast.ann, ["E-3"], **later)


def test_a_meeting_moved_to_where_its_chair_is_elsewhere_asks_too(app, cast):
    given = {"chair": "Chủ tịch"}
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), **given)
    made = factories.meeting(cast.ann, ["E-2"], start=morning(hour=14).isoformat(), **given)
    with pytest.raises(Clash):
        change(cast.ann, made.uid, start=morning().isoformat())
    change(cast.ann, made.uid, start=morning().isoformat(), leader_reason="Ủy quyền")
    change(cast.ann, made.uid, title="The time is as it was: nothing is asked")


@pytest.mark.parametrize(
    ("title", "alike"),
    [
        ("Giao ban trực tuyến", True),
        ("GIAO BAN TRUC TUYEN", True),
        ("Giao ban trực tuyến [Bổ sung thành phần]", True),
        ("VP - Giao ban trực tuyến", True),
        ("Hội nghị tổng kết năm", False),
    ],
)
def test_two_titles_alike_of_one_host_at_one_time_look_like_a_duplicate(app, cast, title, alike):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    during = made.occurrence.during
    found = leaders.duplicates(title, cast.home.id, during, reader=cast.ann)
    assert [one.uid for one in found] == ([made.uid] if alike else [])
    assert leaders.duplicates(title, cast.other.id, during, reader=cast.ann) == []


def test_an_offer_that_is_given_back_is_not_made_again_at_once(app, cast):
    taken = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    first, second = waiting(cast.ann, ["E-1"]), waiting(cast.ann, ["E-1"])
    cancel(cast.ann, taken.uid)
    while serve_one():
        pass
    assert occurrence(first.occurrence.id).hold_until is not None
    doors.hold(first.uid, 0, by=cast.ann, version=None)
    while serve_one():
        pass
    assert occurrence(second.occurrence.id).hold_until is not None
    assert occurrence(first.occurrence.id).hold_until is None
    assert broken_promises() == {}


def test_a_draft_that_is_confirmed_asks_for_its_chair_as_a_booking_does(app, cast):
    given = {"start": morning().isoformat(), "chair": "Chủ tịch"}
    factories.meeting(cast.ann, ["E-1"], **given)
    made = drafted(cast.ann, ["E-2"], chair="Chủ tịch")
    with pytest.raises(Clash):
        change(cast.ann, made.uid, state="scheduled")
    done = change(cast.ann, made.uid, state="scheduled", leader_reason="Ủy quyền")
    assert done.state == MeetingState.SCHEDULED
