"""Working days and hours: public holidays, and the days that were swapped by decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from confbridge.domain.interval import Interval

SATURDAY = 5


@dataclass(frozen=True)
class Hours:
    """A stretch of the working day."""

    start: time
    end: time


@dataclass(frozen=True)
class Workdays:
    """Which days are worked, and when.

    `decided` is the administrator's own table and wins: True for a day that
    is worked, False for one that is off. The rest is what the law says, as
    the package `holidays` has it for Viet Nam.
    """

    zone: ZoneInfo
    hours: Sequence[Hours]
    decided: Mapping[date, bool] = field(default_factory=dict)

    def is_worked(self, day: date) -> bool:
        """Say whether offices are open on that day."""
        if day in self.decided:
            return self.decided[day]
        law = _law(day.year)
        if day in law.weekend_workdays:
            return True
        return day.weekday() < SATURDAY and day not in law

    def suits(self, during: Interval) -> bool:
        """Say whether a time lies within working hours.

        A meeting longer than any stretch of the day may go over midday.
        """
        start, end = during.start.astimezone(self.zone), during.end.astimezone(self.zone)
        if start.date() != end.date() or not self.is_worked(start.date()):
            return False
        for hours in self.hours:
            if hours.start <= start.time() and end.time() <= hours.end:
                return True
        if during.lasts <= max(map(_lasts, self.hours)):
            return False
        return self.hours[0].start <= start.time() and end.time() <= self.hours[-1].end

    def after(self, moment: datetime, days: int) -> datetime:
        """Return the first moment with that many whole working days in between.

        Counted from the day after `moment`; none at all is `moment` itself.
        """
        if days <= 0:
            return moment
        day, counted = moment.astimezone(self.zone).date(), 0
        while counted < days:
            day += timedelta(days=1)
            counted += self.is_worked(day)
        return datetime.combine(day + timedelta(days=1), time(0), self.zone)

    def before(self, moment: datetime, days: int) -> datetime:
        """Return the same time of day that many working days earlier."""
        local = moment.astimezone(self.zone)
        day, counted = local.date(), 0
        while counted < days:
            day -= timedelta(days=1)
            counted += self.is_worked(day)
        return datetime.combine(day, local.time(), self.zone)

    def between(self, moment: datetime, start: datetime) -> int:
        """Return the whole working days between two moments, neither's own day counted."""
        first, last = (one.astimezone(self.zone).date() for one in (moment, start))
        days = (last - first).days
        return sum(self.is_worked(first + timedelta(days=number)) for number in range(1, days))


def _lasts(hours: Hours) -> timedelta:
    day = date(2000, 1, 1)
    return datetime.combine(day, hours.end) - datetime.combine(day, hours.start)


@cache
def _law(year: int) -> holidays.HolidayBase:
    """Return the public holidays of a year, and those of its neighbours that reach into it."""
    return holidays.country_holidays("VN", years=year)
