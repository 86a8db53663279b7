"""When everyone who must come is free, and a bridge with them: times worth offering."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from confbridge.domain.interval import Interval
from confbridge.domain.placement import Plan

GRID = timedelta(minutes=15)
USUAL = {time(7, 30), time(8, 0), time(13, 30), time(14, 0)}

# An endpoint's id, and when it is taken from and until.
Busy = tuple[int, datetime, datetime]


class Reason(StrEnum):
    """Why there is no time at all, in the order in which a time fails."""

    OUTSIDE_HOURS = "outside_working_hours"
    REQUIRED_BUSY = "required_endpoint_busy"
    QUORUM = "quorum"
    NO_PORTS = "no_ports"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A meeting looking for a time; `at_least` counts those who need not come.

    `suits` says which times may be offered at all, `dislike` how little a
    start is liked beside others of its day, from 0 to less than 1.
    """

    lasts: timedelta
    required: frozenset[int]
    optional: frozenset[int]
    at_least: int = 0
    suits: Callable[[Interval], bool]
    dislike: Callable[[datetime], float]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A time that works, who would be missing, and where; `score` is from 0 to 1."""

    during: Interval
    score: float
    missing: frozenset[int]
    plan: Plan


# Returns where a meeting could be held without some endpoints, None if nowhere.
Place = Callable[[Interval, frozenset[int]], Plan | None]
# A start at which those who must are free, and who of the others is missing.
Possible = tuple[datetime, frozenset[int]]


@dataclass
class Search:
    """Looks day by day, and knows when further days can bring nothing better."""

    wish: Wish
    days: int
    limit: int
    found: list[Suggestion] = field(default_factory=list)
    rest: list[tuple[int, Place, list[Possible]]] = field(default_factory=list)  # not looked at yet
    furthest: Reason = Reason.OUTSIDE_HOURS
    blockers: dict[int, int] = field(default_factory=dict)  # required endpoint: starts it blocks

    @property
    def is_over(self) -> bool:
        """Say whether there are enough times at which nobody would be missing."""
        return sum(not one.missing for one in self.found) >= self.limit

    def look_at(
        self, day: int, starts: Sequence[datetime], busy: Iterable[Busy], place: Place
    ) -> None:
        """Look at the starts of the day of that number, in order; `busy` is taken around them.

        One day gives half of what is wanted at most, so that there is a choice
        of days; what else it has is looked at only if the others have too little.
        """
        wish = self.wish
        missing = self._missing(starts, busy)
        possible = self._possible(starts, missing)
        possible.sort(key=lambda one: (len(one[1]), wish.dislike(one[0]), one[0]))
        most = self.limit if self.days == 1 else max(3, -(-self.limit // 2))
        looked_at = self._place(day, place, possible, most)
        self.rest.append((day, place, possible[looked_at:]))

    def best(self) -> list[Suggestion]:
        """Return the best of all that was found, the best first."""
        for day, place, possible in self.rest:
            if len(self.found) < self.limit:
                self._place(day, place, possible, self.limit - len(self.found))
        return sorted(self.found, key=_order)[: self.limit]

    def _place(self, day: int, place: Place, possible: Sequence[Possible], most: int) -> int:
        """Find a place for up to `most` of these; return how many had to be looked at."""
        wanted = len(self.found) + most
        for number, (start, absent) in enumerate(possible):
            if len(self.found) == wanted:
                return number
            during = Interval(start, start + self.wish.lasts)
            plan = place(during, absent)
            if plan is not None:
                score = self._score(day, start, absent)
                self.found.append(Suggestion(during=during, score=score, missing=absent, plan=plan))
        return len(possible)

    def _missing(
        self, starts: Sequence[datetime], busy: Iterable[Busy]
    ) -> list[tuple[set[int], bool]]:
        """Return, for each start, who of the optional is taken, and whether one required is."""
        lasts, required = self.wish.lasts, self.wish.required
        optional: list[set[int]] = [set() for _ in starts]
        blocked = [False] * len(starts)
        for endpoint, since, until in busy:
            first = bisect_right(starts, since - lasts)
            last = bisect_left(starts, until)
            if endpoint in required:
                for place in range(first, last):
                    blocked[place] = True
                if last > first:
                    self.blockers[endpoint] = self.blockers.get(endpoint, 0) + last - first
            else:
                for place in range(first, last):
                    optional[place].add(endpoint)
        return list(zip(optional, blocked, strict=True))

    def _possible(
        self, starts: Sequence[datetime], missing: Sequence[tuple[set[int], bool]]
    ) -> list[Possible]:
        found = []
        most_missing = len(self.wish.optional) - self.wish.at_least
        for start, (absent, is_blocked) in zip(starts, missing, strict=True):
            if is_blocked:
                self._reached(Reason.REQUIRED_BUSY)
            elif len(absent) > most_missing:
                self._reached(Reason.QUORUM)
            else:
                self._reached(Reason.NO_PORTS)
                found.append((start, frozenset(absent)))
        return found

    def _reached(self, reason: Reason) -> None:
        order = list(Reason)
        if order.index(reason) > order.index(self.furthest):
            self.furthest = reason

    def _score(self, day: int, start: datetime, absent: frozenset[int]) -> float:
        """Return nine parts who comes, one part how soon; a better day or hour is never worse."""
        presence = 1 - len(absent) / len(self.wish.optional) if self.wish.optional else 1.0
        soon = 1 - (day + self.wish.dislike(start)) / (self.days + 1)
        return round(0.9 * presence + 0.1 * soon, 4)


def by_usage(zone: ZoneInfo) -> Callable[[datetime], float]:
    """Return a dislike of hours at which meetings do not usually begin."""

    def dislike(start: datetime) -> float:
        local = start.astimezone(zone).time()
        if local in USUAL:
            return 0.0
        if local < time(7) or local >= time(17):
            return 0.8
        return 0.2 if local.minute == 0 else 0.4 if local.minute == 30 else 0.6

    return dislike


def by_distance(wanted: datetime) -> Callable[[datetime], float]:
    """Return a dislike of times far from the one wanted."""

    def dislike(start: datetime) -> float:
        return min(abs((start - wanted).total_seconds()) / 86400, 0.999)

    return dislike


def grid(day: date, zone: ZoneInfo, within: Interval) -> list[datetime]:
    """Return the quarters of an hour of a local day that lie in `within`, in UTC order."""
    first = datetime.combine(day, time(0), zone).astimezone(within.start.tzinfo)
    last = datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(first.tzinfo)
    if first < within.start:
        first += -((first - within.start) // GRID) * GRID
    starts = []
    while first < last and first < within.end:
        if first >= within.start:
            starts.append(first)
        first += GRID
    return starts


def _order(one: Suggestion) -> tuple[int, float, datetime]:
    return len(one.missing), -one.score, one.during.start
