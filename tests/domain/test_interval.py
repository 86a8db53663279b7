"""Spans of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.interval import Interval, merged

NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
ROWS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=20)


def during(start: int, end: int) -> Interval:
    return Interval(NOON + timedelta(minutes=start), NOON + timedelta(minutes=end))


def test_an_interval_is_never_empty():
    with pytest.raises(ValueError, match="empty interval"):
        during(5, 5)


@given(ROWS)
def test_merged_intervals_are_in_order_and_apart(rows):
    intervals = [during(start, start + lasts) for start, lasts in rows]
    found = merged(intervals)
    for one, following in pairwise(found):
        assert one.end < following.start
    for minute in range(80):
        step = during(minute, minute + 1)
        assert any(one.overlaps(step) for one in found) == any(
            one.overlaps(step) for one in intervals
        )
