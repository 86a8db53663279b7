"""Spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, order=True)
class Interval:
    """Half-open: a meeting ending at ten leaves its ports to one starting at ten."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"empty interval: {self.start} to {self.end}")

    def overlaps(self, other: Interval) -> bool:
        return self.start < other.end and other.start < self.end

    def widened(self, before: timedelta, after: timedelta) -> Interval:
        """Return this with a margin on each side, as an allocation has."""
        return Interval(self.start - before, self.end + after)

    @property
    def lasts(self) -> timedelta:
        return self.end - self.start


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same instants as few intervals, in order, touching ones joined."""
    joined: list[Interval] = []
    for one in sorted(intervals):
        if joined and one.start <= joined[-1].end:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    return joined
