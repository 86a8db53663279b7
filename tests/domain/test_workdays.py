"""Working days of Viet Nam, and the administrator's table, which wins."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from confbridge.domain.interval import Interval
from confbridge.domain.workdays import Hours, Workdays

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")
HOURS = [Hours(time(7), time(11, 30)), Hours(time(13, 30), time(17))]
LAW = Workdays(zone=SAIGON, hours=HOURS)


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-11-25", True),  # a Wednesday
        ("2026-11-28", False),  # a Saturday
        ("2026-11-24", False),  # the Day of Vietnamese Culture, from 2026 on
        ("2026-02-17", False),  # Tết
        ("2026-04-27", False),  # the Monday after Giỗ Tổ on a Sunday
        ("2026-08-22", True),  # a Saturday that is worked …
        ("2026-08-31", False),  # … for a Monday that is off
    ],
)
def test_the_law_is_known(day, worked):
    assert LAW.is_worked(date.fromisoformat(day)) is worked


def test_a_day_swapped_by_decision_goes_before_the_law():
    # Decision 12729/VPCP-KGVX of 25 December 2025, which the package does not know.
    decided = {date(2026, 1, 2): False, date(2026, 1, 10): True}
    assert LAW.is_worked(date(2026, 1, 2))
    assert not LAW.is_worked(date(2026, 1, 10))
    swapped = Workdays(zone=SAIGON, hours=HOURS, decided=decided)
    assert not swapped.is_worked(date(2026, 1, 2))
    assert swapped.is_worked(date(2026, 1, 10))


def at(hour: int, minute: int, lasts: int, day: int = 25) -> Interval:
    start = datetime(2026, 11, day, hour, minute, tzinfo=SAIGON)
    return Interval(start, start + timedelta(minutes=lasts))


@pytest.mark.parametrize(
    ("during", "suits"),
    [
        (at(8, 0, 60), True),
        (at(10, 30, 60), True),
        (at(10, 45, 60), False),  # over midday, though it fits before or after
        (at(6, 45, 60), False),
        (at(16, 30, 60), False),
        (at(8, 0, 480), True),  # longer than either half of the day
        (at(8, 0, 600), False),
        (at(8, 0, 60, day=28), False),
    ],
)
def test_what_suits_lies_within_working_hours(during, suits):
    assert LAW.suits(during) is suits


def test_working_days_of_notice_leave_out_days_off():
    friday = datetime(2026, 11, 20, 15, tzinfo=SAIGON)
    # Monday is worked, Tuesday the 24th is off, Wednesday is worked.
    assert LAW.after(friday, 2).date() == date(2026, 11, 26)
    assert LAW.after(friday, 0) == friday
    assert LAW.between(friday, datetime(2026, 11, 26, 8, tzinfo=SAIGON)) == 2
    assert LAW.between(friday, friday + timedelta(hours=1)) == 0
