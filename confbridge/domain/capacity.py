"""How many ports of a bridge are taken, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from confbridge.domain.interval import Interval


@dataclass(frozen=True)
class Usage:
    """Ports taken for a time."""

    during: Interval
    ports: int


@dataclass(frozen=True)
class Peak:
    """The most ports taken at any one instant, and the first instant at which they are."""

    ports: int
    at: datetime


def peak(usages: Iterable[Usage], within: Interval) -> Peak:
    """Return the most ports taken at any one instant of `within`."""
    highest = Peak(0, within.start)
    for during, taken in steps(usages, within):
        if taken > highest.ports:
            highest = Peak(taken, during.start)
    return highest


def steps(usages: Iterable[Usage], within: Interval) -> Iterator[tuple[Interval, int]]:
    """Yield the spans of `within`, without gaps, and the ports taken in each."""
    changes: dict[datetime, int] = {within.start: 0}
    for usage in usages:
        if usage.during.overlaps(within):
            start = max(usage.during.start, within.start)
            changes[start] = changes.get(start, 0) + usage.ports
            if usage.during.end < within.end:
                changes[usage.during.end] = changes.get(usage.during.end, 0) - usage.ports
    taken = 0
    instants = sorted(changes)
    for start, end in zip(instants, [*instants[1:], within.end], strict=True):
        taken += changes[start]
        yield Interval(start, end), taken


def too_full(usages: Iterable[Usage], most: int, within: Interval) -> list[Interval]:
    """Return when more than `most` ports are taken: nothing more fits there."""
    return [during for during, taken in steps(usages, within) if taken > most]
