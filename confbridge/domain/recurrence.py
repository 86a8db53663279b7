"""When the meetings of a series take place (RFC 5545 section 3.3.10, the part that we offer).

A rule always ends, and repeating counts in wall-clock time: a meeting at
eight stays at eight when the clocks change.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NoReturn
from zoneinfo import ZoneInfo

from confbridge.domain.interval import Interval
from confbridge.errors import Invalid, Phrase

MOST_OCCURRENCES = 730
FARTHEST = timedelta(days=3 * 366)
LONGEST_TEXT = 500
MOST_INTERVAL = 400
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

NAMED = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


class Every(StrEnum):
    """The frequencies that we offer, in RFC 5545's words."""

    DAY = "DAILY"
    WEEK = "WEEKLY"
    MONTH = "MONTHLY"
    YEAR = "YEARLY"


# The parts that may stand beside each frequency.
ALLOWED = {
    Every.DAY: frozenset({"BYDAY"}),
    Every.WEEK: frozenset({"BYDAY", "WKST"}),
    Every.MONTH: frozenset({"BYDAY", "BYMONTHDAY", "BYSETPOS"}),
    Every.YEAR: frozenset({"BYMONTH", "BYDAY", "BYMONTHDAY", "BYSETPOS"}),
}
ALWAYS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})


@dataclass(frozen=True)
class Weekday:
    """A day of the week (Monday is 0), and which of the period: 0 each, 1 first, -1 last."""

    day: int
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.nth or ''}{WEEKDAYS[self.day]}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An RRULE that ends: after `count` occurrences or at `until`, never both."""

    every: Every
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    weekdays: tuple[Weekday, ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    places: tuple[int, ...] = ()  # BYSETPOS
    week_start: int = 0

    def __str__(self) -> str:
        """Return the value of an RRULE property, always written in the same way."""
        parts = [f"FREQ={self.every}"]
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        if self.until is not None:
            parts.append(f"UNTIL={self.until:%Y%m%dT%H%M%SZ}")
        for name, values in (
            ("BYMONTH", self.months),
            ("BYMONTHDAY", self.month_days),
            ("BYDAY", self.weekdays),
            ("BYSETPOS", self.places),
        ):
            if values:
                parts.append(f"{name}={','.join(map(str, values))}")
        if self.week_start:
            parts.append(f"WKST={WEEKDAYS[self.week_start]}")
        return ";".join(parts)


@dataclass(frozen=True, kw_only=True)
class Series:
    """A meeting time that repeats, as its organizer thinks of it.

    `first` is wall-clock time in `zone`, therefore naive; `skipped` are the
    starts of dates left out, as instants.
    """

    first: datetime
    zone: ZoneInfo
    lasts: timedelta
    rule: Rule
    skipped: frozenset[datetime] = frozenset()

    def occurrences(self) -> list[Interval]:
        """Return each occurrence in UTC, in order.

        Raises Invalid if there are too many, they reach too far, or the first
        is not one of them.
        """
        found = [Interval(start, start + self.lasts) for start in self.starts()]
        return [one for one in found if one.start not in self.skipped]

    def starts(
        self, *, most: int = MOST_OCCURRENCES, farthest: timedelta = FARTHEST
    ) -> list[datetime]:
        """Return every start that the rule names, those left out too, in UTC and in order.

        A wall-clock time that does not exist, or exists twice, is read with
        the offset before the change (RFC 5545 section 3.3.5).

        Raises Invalid.
        """
        found: list[datetime] = []
        horizon = self.first + farthest
        for local in _candidates(self.rule, self.first, horizon):
            if self.rule.count is not None and len(found) == self.rule.count:
                return self._checked(found)
            start = local.replace(tzinfo=self.zone).astimezone(UTC)
            if self.rule.until is not None and start > self.rule.until:
                return self._checked(found)
            if len(found) == most:
                _refuse(Phrase("A series has at most %(most)s meetings.", most=most))
            found.append(start)
        if self.rule.count is not None and len(found) < self.rule.count:
            _refuse(Phrase("The series does not end within three years."))
        if self.rule.until is not None and self.rule.until > _utc(horizon, self.zone):
            _refuse(Phrase("The series does not end within three years."))
        return self._checked(found)

    def _checked(self, found: list[datetime]) -> list[datetime]:
        if not found or found[0] != _utc(self.first, self.zone):
            _refuse(Phrase("The start is not one of the dates that the rule names."))
        return found


def parsed(text: str, zone: ZoneInfo) -> Rule:
    """Return the rule that an RRULE value describes; an UNTIL without Z counts in `zone`.

    Raises Invalid, naming what is not supported.
    """
    text = text.strip().upper().removeprefix("RRULE:")
    if len(text) > LONGEST_TEXT:
        _refuse(Phrase("Use at most %(most)s characters.", most=LONGEST_TEXT))
    parts: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        name, equals, value = part.partition("=")
        if not equals or not value:
            _refuse(Phrase("“%(part)s” is not NAME=VALUE.", part=part[:40]))
        if name in parts:
            _refuse(Phrase("%(name)s is named twice.", name=name[:40]))
        parts[name] = value
    every = _every(parts)
    for name in parts:
        if name not in ALWAYS | ALLOWED[every]:
            _refuse(
                Phrase(
                    "%(name)s is not supported with FREQ=%(every)s.", name=name[:40], every=every
                )
            )
    return _checked_rule(
        Rule(
            every=every,
            interval=_number(parts, "INTERVAL", 1, MOST_INTERVAL) or 1,
            count=_number(parts, "COUNT", 1, MOST_OCCURRENCES),
            until=_until(parts, zone),
            weekdays=_weekdays(parts, every),
            month_days=_numbers(parts, "BYMONTHDAY", 31, negative=True),
            months=_numbers(parts, "BYMONTH", 12, negative=False),
            places=_numbers(parts, "BYSETPOS", 31, negative=True),
            week_start=_week_start(parts),
        )
    )


def cut(rule: Rule, before: datetime) -> Rule:
    """Return the rule ended so that nothing starts at `before` or later."""
    return Rule(
        every=rule.every,
        interval=rule.interval,
        until=before - timedelta(seconds=1),
        weekdays=rule.weekdays,
        month_days=rule.month_days,
        months=rule.months,
        places=rule.places,
        week_start=rule.week_start,
    )


def _every(parts: dict[str, str]) -> Every:
    frequency = parts.get("FREQ", "")
    if frequency not in set(Every):
        if not frequency:
            _refuse(Phrase("FREQ is missing."))
        _refuse(Phrase("FREQ=%(value)s is not supported.", value=frequency[:40]))
    return Every(frequency)


def _checked_rule(rule: Rule) -> Rule:
    if rule.count is not None and rule.until is not None:
        _refuse(Phrase("COUNT and UNTIL exclude each other."))
    if rule.count is None and rule.until is None:
        _refuse(Phrase("A series must end: say how many times, or until when (COUNT or UNTIL)."))
    if rule.weekdays and rule.month_days:
        _refuse(Phrase("BYDAY together with BYMONTHDAY is not supported."))
    if rule.places and not rule.weekdays:
        _refuse(Phrase("BYSETPOS is supported only with BYDAY."))
    if rule.places and any(one.nth for one in rule.weekdays):
        _refuse(Phrase("BYSETPOS together with a numbered BYDAY is not supported."))
    if rule.every is Every.YEAR and (rule.weekdays or rule.month_days) and not rule.months:
        _refuse(Phrase("FREQ=YEARLY with BYDAY or BYMONTHDAY needs BYMONTH."))
    if rule.every is Every.YEAR and rule.places and len(rule.months) > 1:
        _refuse(Phrase("BYSETPOS is supported with one BYMONTH only."))
    return rule


def _number(parts: dict[str, str], name: str, least: int, most: int) -> int | None:
    if name not in parts:
        return None
    text = parts[name]
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        _refuse(
            Phrase(
                "%(name)s must be from %(least)s to %(most)s.", name=name, least=least, most=most
            )
        )
    return int(text)


def _numbers(parts: dict[str, str], name: str, most: int, *, negative: bool) -> tuple[int, ...]:
    found = set()
    for text in parts[name].split(",") if name in parts else ():
        sign = "[+-]?" if negative else ""
        if not re.fullmatch(rf"{sign}[0-9]{{1,2}}", text) or not 1 <= abs(int(text)) <= most:
            _refuse(Phrase("“%(value)s” is not a value of %(name)s.", value=text[:40], name=name))
        found.add(int(text))
    return tuple(sorted(found))


def _weekdays(parts: dict[str, str], every: Every) -> tuple[Weekday, ...]:
    found = set()
    for text in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        named = NAMED.fullmatch(text)
        if named is None:
            _refuse(
                Phrase("“%(value)s” is not a value of %(name)s.", value=text[:40], name="BYDAY")
            )
        nth = int(named[1] or 0)
        if nth and every in {Every.DAY, Every.WEEK}:
            _refuse(Phrase("A numbered BYDAY is supported only by month or year."))
        if abs(nth) > 5 or (named[1] and not nth):
            _refuse(
                Phrase("“%(value)s” is not a value of %(name)s.", value=text[:40], name="BYDAY")
            )
        found.add(Weekday(WEEKDAYS.index(named[2]), nth))
    return tuple(sorted(found, key=lambda one: (one.day, one.nth)))


def _week_start(parts: dict[str, str]) -> int:
    text = parts.get("WKST", "MO")
    if text not in WEEKDAYS:
        _refuse(Phrase("“%(value)s” is not a value of %(name)s.", value=text[:40], name="WKST"))
    return WEEKDAYS.index(text)


def _until(parts: dict[str, str], zone: ZoneInfo) -> datetime | None:
    text = parts.get("UNTIL")
    if text is None:
        return None
    for pattern in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            found = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is added below
        except ValueError:
            continue
        if not 1971 <= found.year <= 2200:
            break
        if pattern == "%Y%m%d":  # the whole day counts
            found = datetime.combine(found.date(), time(23, 59, 59))
        return found.replace(tzinfo=UTC if pattern.endswith("Z") else zone).astimezone(UTC)
    _refuse(Phrase("“%(value)s” is not a value of %(name)s.", value=text[:40], name="UNTIL"))


def _candidates(rule: Rule, first: datetime, horizon: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times that the rule names from `first` to `horizon`, in order.

    The horizon bounds the work, whatever the rule: a step is a day at least.
    """
    for days in _periods(rule, first, horizon.date()):
        for day in days:
            local = datetime.combine(day, first.time())
            if local > horizon:
                return
            if local >= first:
                yield local


def _periods(rule: Rule, first: datetime, last: date) -> Iterator[Sequence[date]]:
    """Yield the days of each day, week, month or year that counts, in order."""
    start = first.date()
    if rule.every is Every.WEEK:
        start -= timedelta(days=(start.weekday() - rule.week_start) % 7)
    month = start.year * 12 + start.month - 1
    for number in range(0, (last - start).days + 1, rule.interval):
        match rule.every:
            case Every.DAY:
                begins = start + timedelta(days=number)
            case Every.WEEK:
                begins = start + timedelta(weeks=number)
            case Every.MONTH:
                begins = date((month + number) // 12, (month + number) % 12 + 1, 1)
            case _:
                begins = date(start.year + number, 1, 1)
        if begins > last:
            return
        yield _days(rule, begins, first.date())


def _days(rule: Rule, begins: date, first: date) -> Sequence[date]:
    """Return the days that count in the period that begins there."""
    days: Sequence[date]
    if rule.every is Every.DAY:
        wanted = {one.day for one in rule.weekdays}
        return [begins] if not wanted or begins.weekday() in wanted else []
    if rule.every is Every.WEEK:
        wanted = {one.day for one in rule.weekdays} or {first.weekday()}
        days = [begins + timedelta(days=number) for number in range(7)]
        return [day for day in days if day.weekday() in wanted]
    if rule.every is Every.MONTH:
        return _of_month(rule, begins, first)
    months = rule.months or (first.month,)
    return [day for month in months for day in _of_month(rule, begins.replace(month=month), first)]


def _of_month(rule: Rule, begins: date, first: date) -> Sequence[date]:
    length = calendar.monthrange(begins.year, begins.month)[1]
    if rule.weekdays:
        found = sorted(
            {
                begins.replace(day=number)
                for one in rule.weekdays
                for number in _nth(begins, length, one)
            }
        )
        if rule.places:
            chosen = {place - 1 if place > 0 else len(found) + place for place in rule.places}
            return [day for place, day in enumerate(found) if place in chosen]
        return found
    numbers = rule.month_days or (first.day,)
    whole = {number if number > 0 else length + 1 + number for number in numbers}
    return [begins.replace(day=number) for number in sorted(whole) if 1 <= number <= length]


def _nth(begins: date, length: int, weekday: Weekday) -> Sequence[int]:
    """Return the numbers of a month's days that are this weekday: each, or the nth."""
    days = range(1 + (weekday.day - begins.weekday()) % 7, length + 1, 7)
    if not weekday.nth:
        return days
    place = weekday.nth - 1 if weekday.nth > 0 else len(days) + weekday.nth
    return [days[place]] if 0 <= place < len(days) else []


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _refuse(phrase: Phrase) -> NoReturn:
    raise Invalid(rrule=phrase)
