"""Ports over time, against a slow and obvious count, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.capacity import LEGS, PORT, Profile, Quality, Usage, peak, ports
from confbridge.domain.interval import Interval

EIGHT = datetime(2031, 3, 4, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def during(start: int, end: int) -> Interval:
    return Interval(EIGHT + start * MINUTE, EIGHT + end * MINUTE)


USAGES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(1, 9)).map(
        lambda one: Usage.of(during(one[0], one[0] + one[1]), one[2])
    ),
    max_size=15,
)


def counted(usages: list[Usage], minute: int) -> int:
    instant = during(minute, minute + 1)
    return sum(one.units for one in usages if Interval(one.start, one.end).overlaps(instant))


def test_a_meeting_may_start_when_another_ends():
    usages = [Usage.of(during(0, 30), 5), Usage.of(during(30, 60), 5)]
    assert peak(usages, during(0, 60)).units == 5


def test_the_peak_is_not_the_sum():
    usages = [Usage.of(during(0, 10), 5), Usage.of(during(20, 30), 7), Usage.of(during(25, 40), 2)]
    found = peak(usages, during(0, 60))
    assert (found.units, found.at) == (9, EIGHT + 25 * MINUTE)


@given(USAGES)
def test_peak_agrees_with_counting_minute_by_minute(usages):
    expected = max(counted(usages, minute) for minute in range(10, 40))
    found = peak(usages, during(10, 40))
    assert found.units == expected
    assert counted(usages, round((found.at - EIGHT) / MINUTE)) == expected


@given(USAGES, st.integers(-5, 60), st.integers(1, 15), st.integers(1, 12))
def test_the_peaks_of_steps_agree_with_counting(usages, start, step, count):
    found = Profile(usages).peaks(EIGHT + start * MINUTE, step * MINUTE, count)
    assert found == [
        max(
            counted(usages, minute)
            for minute in range(start + place * step, start + (place + 1) * step)
        )
        for place in range(count)
    ]


@pytest.mark.parametrize(("units", "said"), [(12, 1), (24, 2), (6, 0.5), (1, 0.08), (0, 0)])
def test_units_are_said_in_ports(units, said):
    assert ports(units) == said


def test_twelve_audio_legs_are_one_hd_leg_and_two_of_those_a_full_hd_one():
    assert 12 * LEGS[Quality.AUDIO] == LEGS[Quality.HD] == PORT == 2 * LEGS[Quality.SD]
    assert LEGS[Quality.FULL_HD] == 2 * PORT
