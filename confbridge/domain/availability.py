"""When everyone is free, and a bridge with them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from confbridge.domain.interval import Interval, merged

GRID = timedelta(minutes=15)


@dataclass(frozen=True)
class Taken:
    """Times at which something is not to be had: in order, disjoint."""

    times: Sequence[Interval]

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> Taken:
        return cls(merged(intervals))

    def is_free(self, during: Interval) -> bool:
        after = bisect_left(self.times, during.end, key=lambda one: one.start)
        return after == 0 or self.times[after - 1].end <= during.start


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A meeting looking for a time; all endpoints, and one of the bridges, must be free."""

    wanted: Interval
    lead: timedelta
    tail: timedelta
    endpoints: Taken
    bridges: Sequence[Taken]

    def fits(self, during: Interval) -> bool:
        whole = during.widened(self.lead, self.tail)
        return self.endpoints.is_free(during) and any(one.is_free(whole) for one in self.bridges)


def nearest(
    wish: Wish, *, within: Interval, most: int, suits: Callable[[Interval], bool]
) -> list[Interval]:
    """Return up to `most` free times, the nearest to the wanted one first.

    Looks at every quarter of an hour. `suits` says which times are worth
    offering, such as working hours; if too few of those are free, any will do.
    """
    free = (one for one in _outwards(wish.wanted, within) if wish.fits(one))
    suiting: list[Interval] = []
    others: list[Interval] = []
    for one in free:
        (suiting if suits(one) else others).append(one)
        if len(suiting) == most:
            break
    return (suiting + others)[:most]


def _outwards(wanted: Interval, within: Interval) -> Iterator[Interval]:
    """Yield starts on the grid, later and earlier in turn, as far as `within` goes."""
    first = _on_grid(wanted.start)
    for step in range(1 + int(within.lasts / GRID)):
        for start in (first + step * GRID, first - step * GRID)[: 2 if step else 1]:
            if within.start <= start and start + wanted.lasts <= within.end:
                yield Interval(start, start + wanted.lasts)


def _on_grid(moment: datetime) -> datetime:
    return moment - timedelta(
        minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond
    )
