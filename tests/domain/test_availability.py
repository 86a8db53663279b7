"""Finding a time, against trying every quarter of an hour with everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from confbridge.domain.availability import Reason, Search, Wish, by_distance, by_usage, grid
from confbridge.domain.interval import Interval
from confbridge.domain.placement import Plan

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")
EIGHT = datetime(2031, 3, 4, 1, tzinfo=UTC)  # eight o'clock in Saigon
QUARTER = timedelta(minutes=15)
PLAN = Plan(parts=())


def anywhere(*_) -> Plan:
    return PLAN


def at(quarter: int) -> datetime:
    return EIGHT + quarter * QUARTER


def search(required=(), optional=(), lasts=4, **rest) -> Search:
    given = {
        "lasts": lasts * QUARTER,
        "required": frozenset(required),
        "optional": frozenset(optional),
        "suits": lambda _: True,
        "dislike": by_usage(SAIGON),
    }
    limit = rest.pop("limit", 100)
    return Search(wish=Wish(**given | rest), days=1, limit=limit)


BUSY = st.lists(
    st.tuples(st.integers(1, 5), st.integers(-4, 30), st.integers(1, 8)).map(
        lambda one: (one[0], at(one[1]), at(one[1] + one[2]))
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(BUSY, st.integers(1, 8), st.integers(0, 3))
def test_what_is_found_is_all_that_works_and_names_who_is_missing(busy, lasts, at_least):
    required, optional = {1, 2}, {3, 4, 5}
    starts = [at(number) for number in range(24)]
    looked = search(required, optional, lasts, at_least=at_least)
    looked.look_at(0, starts, busy, anywhere)
    expected = {}
    for start in starts:
        span = Interval(start, start + lasts * QUARTER)
        taken = {who for who, since, until in busy if Interval(since, until).overlaps(span)}
        if not taken & required and len(optional - taken) >= at_least:
            expected[start] = taken & optional
    assert {one.during.start: set(one.missing) for one in looked.best()} == expected


def test_the_best_come_first_and_a_score_lies_between_nought_and_one():
    busy = [(3, at(0), at(4))]
    looked = search({1}, {3, 4})
    looked.look_at(0, [at(number) for number in range(12)], busy, anywhere)
    found = looked.best()
    assert all(0 <= one.score <= 1 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert not found[0].missing
    assert found[-1].missing == {3}


def test_a_later_day_is_never_better_than_the_same_hour_of_an_earlier_one():
    looked = search({1}, limit=4)
    looked.days = 3
    for day in range(3):
        looked.look_at(day, [at(96 * day + number) for number in range(4)], [], anywhere)
    best = looked.best()
    assert [one.during.start.day for one in best] == sorted(one.during.start.day for one in best)


def test_it_is_over_once_enough_times_suit_everybody():
    looked = search({1}, limit=2)
    assert not looked.is_over
    looked.look_at(0, [at(0), at(1)], [], anywhere)
    assert looked.is_over


def reason_of(busy=(), place=anywhere, **rest) -> Reason:
    looked = search({1}, {2, 3}, **rest)
    looked.look_at(0, [at(0), at(1)], busy, place)
    assert looked.best() == []
    return looked.furthest


def test_why_there_is_none_is_the_last_thing_that_failed():
    assert search().furthest is Reason.OUTSIDE_HOURS
    taken = [(1, at(-4), at(8))]
    assert reason_of(taken) is Reason.REQUIRED_BUSY
    absent = [(2, at(-4), at(8))]
    assert reason_of(absent, at_least=2) is Reason.QUORUM
    assert reason_of(place=lambda *_: None) is Reason.NO_PORTS


def test_who_stands_in_the_way_most_is_known():
    looked = search({1, 2})
    looked.look_at(0, [at(0), at(1)], [(1, at(0), at(8)), (2, at(4), at(5))], anywhere)
    assert looked.blockers == {1: 2, 2: 1}


def test_near_a_wanted_time_the_nearest_is_liked_best():
    dislike = by_distance(at(4))
    assert dislike(at(4)) < dislike(at(5)) < dislike(at(0)) < 1


def test_the_grid_is_that_of_the_local_day():
    day = EIGHT.astimezone(SAIGON).date()
    within = Interval(EIGHT + timedelta(minutes=7), EIGHT + timedelta(hours=1))
    assert grid(day, SAIGON, within) == [at(1), at(2), at(3)]
    whole = Interval(EIGHT - timedelta(days=1), EIGHT + timedelta(days=2))
    assert len(grid(day, SAIGON, whole)) == 96


def test_a_day_on_which_the_clocks_change_has_the_quarters_that_it_has():
    berlin = ZoneInfo("Europe/Berlin")
    spring = datetime(2031, 3, 30, tzinfo=berlin)
    within = Interval(spring.astimezone(UTC), (spring + timedelta(days=2)).astimezone(UTC))
    assert len(grid(spring.date(), berlin, within)) == 92
