"""Times as pictures: places on a line of 1000 units, for templates to draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from confbridge.domain.interval import Interval

WIDTH = 1000


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A span on the line, and what it is."""

    x: float
    width: float
    label: str
    kind: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A step of a profile: how high, of 100."""

    x: float
    width: float
    height: float
    label: str


def bar(
    span: Interval, within: Interval, label: str, *, kind: str = "", url: str = ""
) -> Bar | None:
    """Return where `span` lies in `within`; None if it does not."""
    if not span.overlaps(within):
        return None
    start, end = max(span.start, within.start), min(span.end, within.end)
    x = _place(start, within)
    return Bar(x=x, width=max(_place(end, within) - x, 4), label=label, kind=kind, url=url)


def columns(values: Sequence[int], most: int, labels: Iterable[str]) -> list[Column]:
    """Return a profile of equal steps; `most` is as high as it goes."""
    width = WIDTH / max(len(values), 1)
    return [
        Column(
            x=round(place * width, 2),
            width=round(width, 2),
            height=round(100 * value / max(most, 1), 1),
            label=label,
        )
        for place, (value, label) in enumerate(zip(values, labels, strict=True))
    ]


def now_line(now: datetime, within: Interval) -> float | None:
    """Return where the present is on the line; None if it is not on it."""
    return _place(now, within) if within.start <= now < within.end else None


def hours(within: Interval, every: timedelta) -> list[tuple[float, datetime]]:
    """Return the places of whole hours, for an axis."""
    first = within.start.replace(minute=0, second=0, microsecond=0)
    found, moment = [], first
    while moment < within.end:
        if moment >= within.start:
            found.append((_place(moment, within), moment))
        moment += every
    return found


def days(within: Interval, every: timedelta) -> list[tuple[float, datetime]]:
    """Return the places of the first day and of those so far apart after it, for an axis."""
    count = -(-within.lasts // every)
    return [
        (_place(within.start + number * every, within), within.start + number * every)
        for number in range(count)
    ]


def _place(moment: datetime, within: Interval) -> float:
    return round(WIDTH * ((moment - within.start) / within.lasts), 2)
