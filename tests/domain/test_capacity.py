from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.capacity import Peak, Usage, peak, steps, too_full
from confbridge.domain.interval import Interval, merged

NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
ROWS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(1, 9)), max_size=20)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def during(start: int, end: int) -> Interval:
    return Interval(at(start), at(end))


def usages_of(rows):
    return [Usage(during(start, start + lasts), ports) for start, lasts, ports in rows]


def taken_at(usages, minute):
    return sum(one.ports for one in usages if one.during.overlaps(during(minute, minute + 1)))


def test_a_meeting_may_start_when_another_ends():
    usages = [Usage(during(0, 30), 5), Usage(during(30, 60), 5)]
    assert peak(usages, during(0, 60)) == Peak(5, at(0))


def test_the_peak_says_when_it_is_first_reached():
    usages = [Usage(during(0, 60), 5), Usage(during(20, 40), 3)]
    assert peak(usages, during(10, 50)) == Peak(8, at(20))


def test_nothing_taken_has_a_peak_of_nothing():
    assert peak([], during(0, 60)) == Peak(0, at(0))


def test_an_interval_is_never_empty():
    with pytest.raises(ValueError, match="empty interval"):
        during(5, 5)


@given(ROWS)
def test_peak_agrees_with_counting_minute_by_minute(rows):
    usages = usages_of(rows)
    assert peak(usages, during(10, 40)).ports == max(taken_at(usages, one) for one in range(10, 40))


@given(ROWS)
def test_steps_cover_the_time_without_gaps_and_say_what_is_taken(rows):
    usages = usages_of(rows)
    found = list(steps(usages, during(10, 40)))
    assert found[0][0].start == at(10)
    assert found[-1][0].end == at(40)
    for (one, taken), (following, _) in zip(found, [*found[1:], found[-1]], strict=True):
        assert one.end == following.start or one == following
        assert taken == taken_at(usages, (one.start - NOON).total_seconds() // 60)


@given(ROWS, st.integers(0, 20))
def test_too_full_is_exactly_where_more_is_taken(rows, most):
    usages = usages_of(rows)
    full = too_full(usages, most, during(10, 40))
    for minute in range(10, 40):
        inside = any(one.overlaps(during(minute, minute + 1)) for one in full)
        assert inside == (taken_at(usages, minute) > most)


@given(ROWS)
def test_merged_intervals_are_in_order_and_apart(rows):
    intervals = [usage.during for usage in usages_of(rows)]
    found = merged(intervals)
    for one, following in pairwise(found):
        assert one.end < following.start
    for minute in range(80):
        step = during(minute, minute + 1)
        assert any(one.overlaps(step) for one in found) == any(
            one.overlaps(step) for one in intervals
        )
