"""Finding a time, and refusals that offer: whatever is suggested is accepted at once."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confbridge import clock, doors
from confbridge.database import transaction
from confbridge.doors import Refused
from confbridge.inputs import parse
from confbridge.inputs.meetings import AvailabilityQuery, MeetingDraft
from confbridge.services import access, availability, bridges, register, rules
from confbridge.services.availability import Found
from tests import factories
from tests.factories import Statements
from tests.services.scheduling import broken_promises, cancel, morning


def asked(codes, **rest) -> Found:
    start = morning(hour=0)
    given = {
        "endpoints": [{"code": code} for code in codes],
        "minutes": 60,
        "from": start.isoformat(),
        "to": (start + timedelta(days=5)).isoformat(),
        "working_hours": True,
    }
    query = parse(AvailabilityQuery, given | rest)
    return availability.answer(query, register.endpoints_named(query.endpoints))


def test_the_usual_hours_of_the_first_working_day_come_first(app, cast):
    found = asked(["E-1", "E-2"])
    first = found.suggestions[0]
    assert first.during.start == morning(hour=7) + timedelta(minutes=30)
    assert (first.missing, found.reason, found.said) == (frozenset(), None, None)
    assert found.bridges[first.plan.parts[0].bridge_id] == cast.bridge.code
    scores = [one.score for one in found.suggestions]
    assert scores == sorted(scores, reverse=True)


def test_who_need_not_come_may_be_missing_but_not_too_many(app, cast):
    for code in ("E-3", "E-4"):
        factories.meeting(cast.ann, [code], start=morning(hour=0).isoformat(), minutes=1440)
    listed = [{"code": "E-1"}] + [{"code": code, "role": "optional"} for code in cast.codes[1:]]
    day = (morning(hour=0) + timedelta(days=1)).isoformat()
    found = asked([], endpoints=listed, to=day)
    assert {len(one.missing) for one in found.suggestions} == {2}
    assert asked([], endpoints=listed, to=day, at_least=2).reason == "quorum"


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ({"minutes": 700}, "outside_working_hours"),
        ({"guest_ports": 30}, "no_ports"),
        ({"network": "internet", "endpoints": [{"code": "E-1"}]}, None),
    ],
)
def test_an_empty_answer_says_why(app, cast, rest, reason):
    found = asked(["E-1"], **rest)
    assert found.reason == reason
    assert bool(found.suggestions) == (reason is None)
    assert (found.said is None) == (reason is None)


def test_a_required_endpoint_that_is_always_busy_is_named(app, cast):
    for number in range(6):
        start = morning(hour=0) + timedelta(days=number)
        factories.meeting(cast.ann, ["E-2"], start=start.isoformat(), minutes=1440)
    found = asked(["E-1", "E-2"])
    assert found.reason == "required_endpoint_busy"
    assert "E-2" in str(found.said)


def test_days_off_by_decision_are_left_out(app, cast):
    monday = morning().date()
    with transaction():
        rules.decide_day(monday, worked=False, basis="12729/VPCP-KGVX", by=cast.carla)
    days = {
        one.during.start.astimezone(morning().tzinfo).date() for one in asked(["E-1"]).suggestions
    }
    assert monday not in days
    assert monday + timedelta(days=1) in days


def test_notice_in_working_days_is_waited_for(app, cast):
    now = clock.now()
    given = {"from": now.isoformat(), "to": (now + timedelta(days=30)).isoformat()}
    first = min(one.during.start for one in asked(["E-1"], notice_days=3, **given).suggestions)
    assert rules.workdays().between(now, first) >= 3


def test_one_question_a_day_and_no_more_days_than_needed(app, cast):
    def statements(codes) -> int:
        with Statements() as some:
            assert asked(codes).suggestions
        return len(some.asked)

    assert statements(["E-1"]) == statements(cast.codes) <= 14


BOOKINGS = st.lists(
    st.tuples(
        st.integers(1, 4),  # which endpoint
        st.integers(0, 40),  # start, in quarters from 7 o'clock
        st.integers(1, 8),  # quarters
        st.integers(0, 8),  # guests
    ),
    max_size=8,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bookings=BOOKINGS,
    minutes=st.sampled_from([30, 60, 150]),
    guests=st.integers(0, 6),
    standby=st.booleans(),
    survives=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_suggestion_holds(app, cast, bookings, minutes, guests, standby, survives, seed):
    chance = random.Random(seed)
    if len(bridges.listed()) < 2:
        factories.bridge(ports=9, failure_domain="b")
    with transaction():
        bridges.pool_named(None).survives_loss = survives
    made = []
    for endpoint, start, lasts, others in bookings:
        when = morning(hour=7) + start * timedelta(minutes=15)
        given = {"start": when.isoformat(), "minutes": 15 * lasts, "guest_ports": others}
        try:
            made.append(doors.book(factories.draft([f"E-{endpoint}"], **given), by=cast.ann))
        except Refused:
            continue
    listed = [{"code": "E-1"}, {"code": "E-2", "role": "optional"}, {"code": "E-3"}]
    rest = {"minutes": minutes, "guest_ports": guests, "standby": standby}
    found = asked([], endpoints=listed, limit=6, **rest)
    assert found.suggestions or found.reason
    for one in chance.sample(list(found.suggestions), min(3, len(found.suggestions))):
        missing = {found.names[number] for number in one.missing}
        there = [each for each in listed if each["code"] not in missing]
        draft = factories.draft(None, endpoints=there, start=one.during.start.isoformat(), **rest)
        held = doors.book(draft, by=cast.ann)
        assert broken_promises() == {}
        cancel(cast.ann, held.uid)
    for one in made:
        cancel(cast.ann, one.uid)


def refusal_of(draft: MeetingDraft, by) -> doors.Refusal:
    with pytest.raises(Refused) as refusal:
        doors.book(draft, by=by)
    return refusal.value.refusal


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bookings=BOOKINGS, guests=st.integers(0, 6))
def test_every_alternative_is_accepted_if_sent_at_once(app, cast, bookings, guests):
    made = []
    for endpoint, start, lasts, others in bookings:
        when = morning(hour=7) + start * timedelta(minutes=15)
        given = {"start": when.isoformat(), "minutes": 15 * lasts, "guest_ports": others}
        try:
            made.append(doors.book(factories.draft([f"E-{endpoint}"], **given), by=cast.ann))
        except Refused:
            continue
    listed = [{"code": "E-1"}, {"code": "E-2", "role": "optional"}, {"code": "E-3"}]
    rest = {"endpoints": listed, "guest_ports": guests, "start": morning().isoformat()}
    try:
        held = doors.book(factories.draft(None, **rest), by=cast.ann)
        cancel(cast.ann, held.uid)
    except Refused as error:
        assert error.refusal.clashes
        for one in error.refusal.alternatives:
            there = [each for each in listed if each["code"] not in one.without]
            given = rest | {"endpoints": there, "start": one.during.start.isoformat()}
            held = doors.book(factories.draft(None, **given), by=cast.ann)
            cancel(cast.ann, held.uid)
    for one in made:
        cancel(cast.ann, one.uid)


def test_the_cheapest_change_comes_first(app, cast):
    factories.meeting(cast.ann, ["E-2"], start=morning().isoformat())
    listed = [{"code": "E-1"}, {"code": "E-2", "role": "optional"}]
    found = refusal_of(
        factories.draft(None, endpoints=listed, start=morning().isoformat()), cast.ann
    )
    kinds = [one.change for one in found.alternatives]
    assert kinds == ["time"] * 3 + ["fewer_endpoints"] + ["time"] * 3
    same, fewer, later = found.alternatives[:3], found.alternatives[3], found.alternatives[4:]
    assert {one.during.start.date() for one in same} == {morning().date()}
    assert fewer.without == ["E-2"]
    assert all(one.during.start.date() > morning().date() for one in later)


def test_a_named_bridge_that_is_full_gives_way_to_another(app, cast):
    other = factories.bridge(ports=30)
    given = {"start": morning().isoformat(), "bridge": cast.bridge.code}
    factories.meeting(cast.ann, ["E-1"], guest_ports=9, **given)
    found = refusal_of(factories.draft(["E-2"], **given), cast.ann)
    assert "bridge" in [one.change for one in found.alternatives]
    made = factories.meeting(cast.ann, ["E-2"], start=morning().isoformat())
    assert made.occurrence.primary.bridge.code == other.code


def test_a_night_meeting_is_offered_nights_too(app, cast):
    night = morning(hour=22)
    factories.meeting(cast.ann, ["E-1"], start=night.isoformat())
    found = refusal_of(factories.draft(["E-1"], start=night.isoformat()), cast.ann)
    assert any(one.during.start.astimezone(night.tzinfo).hour >= 20 for one in found.alternatives)


def test_a_refused_series_names_the_clashes_of_every_date(app, cast):
    for number in (0, 2):
        start = morning() + timedelta(weeks=number)
        factories.meeting(cast.ann, ["E-1"], start=start.isoformat())
    draft = factories.draft(["E-1"], start=morning().isoformat(), rrule="FREQ=WEEKLY;COUNT=3")
    starts = [one.start for one in refusal_of(draft, cast.ann).clashes]
    assert starts == [morning(), morning() + timedelta(weeks=2)]


def test_a_bridge_that_is_down_or_too_slow_says_so(app, cast):
    with transaction():
        access.bridge(cast.carla, cast.bridge.code, to_change=True).rooms_per_minute = 1
    given = {"start": morning().isoformat(), "lead_minutes": 0}
    factories.meeting(cast.ann, ["E-1"], **given)
    (clash,) = refusal_of(factories.draft(["E-2"], **given), cast.ann).clashes
    assert (clash.kind, clash.state, clash.short_by) == ("ports", "pace", 0)
