"""How many ports of a bridge are taken, and when.

Ports are counted in units of a twelfth: an audio leg takes one, an HD leg
twelve, so that every sum is exact.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from confbridge.domain.interval import Interval

PORT = 12  # units


class Quality(StrEnum):
    """What one leg sends and receives."""

    FULL_HD = "fullhd"
    HD = "hd"
    SD = "sd"
    AUDIO = "audio"


LEGS: Mapping[Quality, int] = MappingProxyType(
    {Quality.FULL_HD: 2 * PORT, Quality.HD: PORT, Quality.SD: PORT // 2, Quality.AUDIO: 1}
)


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What a make of bridge charges, in units: for each leg, each meeting, each cascade link."""

    legs: Mapping[Quality, int] = field(default_factory=lambda: LEGS)
    meeting: int = 0
    link: int = PORT


class Usage(NamedTuple):
    """Units taken from a moment until another; there are thousands of them in a day."""

    start: datetime
    end: datetime
    units: int

    @classmethod
    def of(cls, during: Interval, units: int) -> Usage:
        return cls(during.start, during.end, units)


@dataclass(frozen=True)
class Peak:
    """The most units taken at any one instant, and the first instant at which they are."""

    units: int
    at: datetime


class Profile:
    """Units taken over time, as steps; asked often, so built once.

    The level before the first step is nought. Steps are half-open: what ends
    at ten leaves its units to what starts at ten.
    """

    def __init__(self, usages: Iterable[Usage]) -> None:
        changes: dict[datetime, int] = {}
        of = changes.get
        for start, end, units in usages:
            changes[start] = of(start, 0) + units
            changes[end] = of(end, 0) - units
        self.instants: Sequence[datetime] = sorted(changes)
        self.levels: list[int] = []
        level = 0
        for instant in self.instants:
            level += changes[instant]
            self.levels.append(level)

    def peak(self, within: Interval) -> Peak:
        """Return the most units taken at any one instant of `within`."""
        first = bisect_right(self.instants, within.start) - 1
        last = bisect_left(self.instants, within.end)
        highest = Peak(self.levels[first] if first >= 0 else 0, within.start)
        for place in range(first + 1, last):
            if self.levels[place] > highest.units:
                highest = Peak(self.levels[place], self.instants[place])
        return highest

    def peaks(self, since: datetime, step: timedelta, count: int) -> list[int]:
        """Return the peak of each of `count` equal steps from `since` on, in one sweep."""
        found: list[int] = []
        place = bisect_right(self.instants, since)
        level = self.levels[place - 1] if place else 0
        end = since
        for _ in range(count):
            end += step
            highest = level
            while place < len(self.instants) and self.instants[place] < end:
                level = self.levels[place]
                highest = max(highest, level)
                place += 1
            # A change right at the end of a step belongs to the next one.
            if place < len(self.instants) and self.instants[place] == end:
                level = self.levels[place]
                place += 1
            found.append(highest)
        return found


def peak(usages: Iterable[Usage], within: Interval) -> Peak:
    """Return the most units taken at any one instant of `within`."""
    return Profile(usages).peak(within)


def ports(units: int) -> int | float:
    """Return units as ports, as people count them: whole if they are, else to two places."""
    whole, rest = divmod(units, PORT)
    return whole if not rest else round(units / PORT, 2)
