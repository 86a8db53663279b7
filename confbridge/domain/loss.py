"""What the loss of a bridge would break: the rule of N-1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confbridge.domain.capacity import Usage
from confbridge.domain.interval import Interval
from confbridge.domain.placement import Demand, Host

MOST_TRIED = 2000  # placements, until a puzzle counts as not to be solved
LARGEST_PUZZLE = 60  # meetings that hang together in time, and are tried in every way


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A meeting on a bridge, that would have to go elsewhere if that were lost."""

    occurrence_id: int
    demand: Demand
    spare: frozenset[int] = frozenset()  # bridges on which it has a stand-by already


def broken_by_loss(lost: int, carried: Sequence[Carried], hosts: Sequence[Host]) -> list[Carried]:
    """Return the meetings of the bridge `lost` that the others could not take.

    `hosts` are the bridges that are left, with all that they have promised. A
    meeting with a stand-by is safe. Large ones are placed first, each where
    it fits most tightly; where that fails, other orders are tried, up to a
    bound: what is found to hold does hold, and a puzzle too hard counts as broken.
    """
    endangered = sorted(
        (one for one in carried if not one.spare - {lost}), key=lambda one: one.demand.span
    )
    left = [host for host in hosts if host.known.id != lost]
    broken: list[Carried] = []
    for some in _together(endangered):
        broken += _broken(sorted(some, key=lambda one: (-one.demand.legs, one.demand.span)), left)
    return broken


def _together(ordered: Sequence[Carried]) -> Iterator[list[Carried]]:
    """Yield what hangs together in time: what does not overlap is in nobody's way."""
    group: list[Carried] = []
    end = None
    for one in ordered:
        if end is not None and one.demand.span.start >= end:
            yield group
            group, end = [], None
        group.append(one)
        end = one.demand.span.end if end is None else max(end, one.demand.span.end)
    if group:
        yield group


def _broken(order: Sequence[Carried], hosts: Sequence[Host]) -> list[Carried]:
    loads = [_Load(host) for host in hosts]
    homeless = [one for one in order if not _place(one, loads)]
    if not homeless or len(order) > LARGEST_PUZZLE:
        return homeless
    loads = [_Load(host) for host in hosts]
    return [] if _solve(order, loads, [MOST_TRIED]) else homeless


class _Load:
    """A bridge during the trial: what it has promised, and what has been put on it."""

    def __init__(self, host: Host) -> None:
        self.host = Host(host.known, host.usages)

    def units(self, one: Carried) -> int | None:
        """Return what the meeting costs here, None if it does not fit."""
        known = self.host.known
        if not known.reaches_all(one.demand):
            return None
        units = known.price(one.demand)
        return units if units <= self.host.free(one.demand.span) else None

    def put(self, units: int, span: Interval) -> None:
        self.host = Host(self.host.known, [*self.host.usages, Usage.of(span, units)])

    def take_off(self) -> None:
        self.host = Host(self.host.known, self.host.usages[:-1])


def _place(one: Carried, loads: Sequence[_Load]) -> bool:
    fitting = [(load.host.free(one.demand.span), load) for load in loads if load.units(one)]
    if not fitting:
        return False
    _, load = min(fitting, key=lambda pair: (pair[0], pair[1].host.known.id))
    load.put(load.units(one) or 0, one.demand.span)
    return True


def _solve(order: Sequence[Carried], loads: Sequence[_Load], left: list[int]) -> bool:
    """Try every way to place them all, one after another, until `left` is used up."""
    if not order:
        return True
    first, *rest = order
    for load in loads:
        units = load.units(first)
        if units is None:
            continue
        left[0] -= 1
        if left[0] < 0:
            return False
        load.put(units, first.demand.span)
        if _solve(rest, loads, left):
            return True
        load.take_off()
    return False
