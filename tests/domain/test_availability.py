from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.availability import GRID, Taken, Wish, nearest
from confbridge.domain.interval import Interval

EIGHT = datetime(2031, 3, 4, 8, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def during(start: int, end: int) -> Interval:
    """Quarters of an hour, counted from eight o'clock."""
    return Interval(EIGHT + start * QUARTER, EIGHT + end * QUARTER)


def wish(wanted: Interval, endpoints=(), bridges=((),), lead=0, tail=0) -> Wish:
    return Wish(
        wanted=wanted,
        lead=lead * QUARTER,
        tail=tail * QUARTER,
        endpoints=Taken.of(endpoints),
        bridges=[Taken.of(one) for one in bridges],
    )


def any_time(_: Interval) -> bool:
    return True


SPANS = st.lists(
    st.tuples(st.integers(-40, 40), st.integers(1, 8)).map(
        lambda pair: during(pair[0], pair[0] + pair[1])
    ),
    max_size=12,
)


@given(SPANS, st.integers(-40, 40), st.integers(1, 8))
def test_free_means_that_nothing_taken_overlaps(spans, start, lasts):
    wanted = during(start, start + lasts)
    assert Taken.of(spans).is_free(wanted) == (not any(one.overlaps(wanted) for one in spans))


@given(SPANS, SPANS, SPANS, st.integers(0, 2))
def test_what_is_offered_is_free_and_nothing_nearer_was_left_out(busy, first, second, lead):
    wanted = wish(during(0, 4), busy, (first, second), lead=lead, tail=lead)
    within = during(-40, 40)
    offered = nearest(wanted, within=within, most=3, suits=any_time)
    free = [
        one
        for one in (during(start, start + 4) for start in range(-40, 37))
        if not any(taken.overlaps(one) for taken in busy)
        and any(
            not any(taken.overlaps(one.widened(lead * QUARTER, lead * QUARTER)) for taken in bridge)
            for bridge in (first, second)
        )
    ]
    distances = sorted(abs(one.start - EIGHT) for one in free)[:3]
    assert [abs(one.start - EIGHT) for one in offered] == distances
    assert all(one in free for one in offered)


def test_times_that_suit_come_before_nearer_ones_that_do_not():
    late = wish(during(0, 4), [during(0, 4)])
    offered = nearest(
        late, within=during(-40, 40), most=3, suits=lambda one: one.start >= EIGHT + 20 * QUARTER
    )
    assert offered == [during(20, 24), during(21, 25), during(22, 26)]


def test_if_nothing_suits_anything_free_is_offered():
    offered = nearest(wish(during(0, 4)), within=during(-8, 8), most=3, suits=lambda _: False)
    assert offered == [during(0, 4), during(1, 5), during(-1, 3)]


def test_without_a_bridge_nothing_is_free():
    assert (
        nearest(wish(during(0, 4), bridges=()), within=during(-8, 8), most=3, suits=any_time) == []
    )


def test_a_crooked_start_is_offered_on_the_grid():
    wanted = Interval(EIGHT + timedelta(minutes=7), EIGHT + timedelta(minutes=67))
    offered = nearest(wish(wanted), within=during(-8, 8), most=1, suits=any_time)
    assert offered[0].start == EIGHT
    assert GRID == QUARTER
