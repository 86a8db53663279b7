"""Bridges as placement sees them: what they are, and what they have promised when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import CTE, Integer, Row, Select, column, select, values

from confbridge import drivers
from confbridge.database import UTCDateTime, db
from confbridge.domain.capacity import PORT, Usage
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.domain.loss import Carried, broken_by_loss
from confbridge.domain.placement import AllocationRole, Demand, Host, Known, Plan, placed
from confbridge.models import Allocation, Bridge, BridgeBlock
from confbridge.models.bridge import LONGEST
from confbridge.services import demands
from confbridge.services.demands import Need

# bridge_id, occurrence_id, role, units, starts, ends, opens
Promise = Row[int, int, str, int, datetime, datetime, datetime]


@dataclass
class Scene:
    """Bridges and their promises around one time, less those of some occurrences.

    What is placed here is counted at once, so that the next one sees it.
    """

    bridges: Sequence[Bridge]
    promises: list[Promise]
    blocks: Sequence[BridgeBlock]
    window: Interval
    but: frozenset[int] = frozenset()
    added: list[tuple[Demand, Plan]] = field(default_factory=list)
    _hosts: list[Host] | None = None
    _pools: dict[int, tuple[Scene, dict[int, Need]]] = field(default_factory=dict)

    def place(
        self, demand: Demand, keep: int | None = None, *, pinned: bool = False
    ) -> Plan | None:
        """Return where the meeting can take place; on the bridge `keep` if that will do.

        A conference that is on is `pinned` there, though the bridge takes nothing new.
        """
        if pinned:
            there = [one for one in self.bridges if one.id == keep and not one.is_usable]
            hosts = [*self.hosts, *(self._host(one, self._mine(one)) for one in there)]
            stays_there = partial(_begins_on, keep)
            without = replace(demand, standby=False)
            return placed(demand, hosts, stays_there) or placed(without, hosts, stays_there)
        if keep is not None:
            stays = placed(
                replace(demand, may_cascade=False),
                self.hosts,
                lambda plan: plan.parts[0].bridge_id == keep and self.holds(demand, plan),
            )
            if stays is not None:
                return stays
        return placed(demand, self.hosts, lambda plan: self.holds(demand, plan))

    def take(self, demand: Demand, plan: Plan) -> None:
        """Count a meeting that has just been placed."""
        self.added.append((demand, plan))
        for part in plan.parts:
            host = next((one for one in self.hosts if one.known.id == part.bridge_id), None)
            if host:
                host.take(part, demand.span)

    @property
    def hosts(self) -> list[Host]:
        """The bridges that take something new."""
        if self._hosts is None:
            mine: dict[int, list[Promise]] = {one.id: [] for one in self.bridges}
            for promise in self.promises:
                mine[promise.bridge_id].append(promise)
            self._hosts = [self._host(one, mine[one.id]) for one in self.bridges if one.is_usable]
        return self._hosts

    def _mine(self, bridge: Bridge) -> list[Promise]:
        return [one for one in self.promises if one.bridge_id == bridge.id]

    def holds(self, demand: Demand, plan: Plan) -> bool:
        """Say whether the rule of N-1 still holds in every pool that has it, with this meeting."""
        used = {part.bridge_id for part in plan.parts}
        pools = {one.pool.id for one in self.bridges if one.id in used and one.pool.survives_loss}
        return all(not self._broken(pool, demand, plan) for pool in sorted(pools))

    def _broken(self, pool: int, demand: Demand, plan: Plan) -> bool:
        """Say whether the loss of one bridge would break a meeting of that time."""
        near = {
            one.occurrence_id
            for one in self.promises
            if one.starts < demand.span.end and one.ends > demand.span.start
        }
        promises, known = self._around(pool)
        carried = _carried([one for one in promises if one.occurrence_id in near], known)
        hosts = {host.known.id: Host(host.known, host.usages) for host in self._spare(pool)}
        for other, there in [*self.added, (demand, plan)]:
            for part in there.parts:
                if part.bridge_id in hosts:
                    hosts[part.bridge_id].take(part, other.span)
            if other.span.overlaps(demand.span):
                carried = _with_added(carried, other, there)
        left = list(hosts.values())
        return any(broken_by_loss(number, carried[number], left) for number in hosts)

    def _around(self, pool: int) -> tuple[list[Promise], dict[int, Need]]:
        """Return the promises of a pool around this time, and what they are for; read once."""
        if pool not in self._pools:
            spans = [Interval(one.starts, one.ends) for one in self.promises]
            start = min([self.window.start, *(one.start for one in spans)])
            end = max([self.window.end, *(one.end for one in spans)])
            some = [one for one in self.bridges if one.pool_id == pool]
            wide = scenes(some, [Interval(start, end)], but=self.but)[0]
            needs = demands.of_occurrences({one.occurrence_id for one in self.promises})
            self._pools[pool] = (wide, needs)
        wide, needs = self._pools[pool]
        return wide.promises, needs

    def _spare(self, pool: int) -> list[Host]:
        return self._pools[pool][0].hosts

    def _host(self, bridge: Bridge, mine: Sequence[Promise]) -> Host:
        usages = [Usage(one.starts, one.ends, one.units) for one in mine]
        usages += [blocked(bridge.ports, one) for one in self.blocks if one.bridge_id == bridge.id]
        return Host(known(bridge), usages, [one.opens for one in mine])


def _begins_on(bridge_id: int | None, plan: Plan) -> bool:
    return plan.parts[0].bridge_id == bridge_id


def listed(*, lock: bool = False) -> Sequence[Bridge]:
    """Return every bridge, in order of id; locked so that no two bookings see the same port.

    Always in that order, so that two of them cannot wait for each other.
    """
    asked = select(Bridge).where(Bridge.active).order_by(Bridge.id)
    if lock:
        asked = asked.with_for_update(of=Bridge, key_share=True)
    return db.session.scalars(asked).all()


def known(bridge: Bridge) -> Known:
    """Return what placement has to know of a bridge."""
    terms = drivers.terms(bridge.driver)
    units = bridge.ports * PORT
    return Known(
        id=bridge.id,
        code=bridge.code,
        capacity=units - units * bridge.head_room // 100,
        state=BridgeState(bridge.state),
        networks=bridge.networks,
        kinds=bridge.kinds,
        domain=bridge.failure_domain,
        pool=bridge.pool.code,
        pace=bridge.rooms_per_minute,
        tariff=terms.tariff,
        can_link=terms.can_link,
    )


def blocked(ports: int, block: BridgeBlock) -> Usage:
    """Return maintenance as what it takes of a bridge with so many ports."""
    return Usage.of(block.during, max(ports - block.ports_left, 0) * PORT)


def scenes(
    bridges: Sequence[Bridge], windows: Sequence[Interval], *, but: Collection[int] = ()
) -> list[Scene]:
    """Return, for each window, the bridges with all that overlaps it."""
    promises: list[list[Promise]] = [[] for _ in windows]
    for row in _promises(bridges, windows):
        if row[0].occurrence_id not in but:
            promises[row[1]].append(row[0])
    blocks = blocks_within(bridges, windows)
    return [
        Scene(
            bridges=bridges,
            promises=promises[place],
            blocks=[one for one in blocks if one.during.overlaps(window)],
            window=window,
            but=frozenset(but),
        )
        for place, window in enumerate(windows)
    ]


def blocks_within(bridges: Sequence[Bridge], windows: Sequence[Interval]) -> Sequence[BridgeBlock]:
    """Return maintenance that overlaps the time from the first window to the last."""
    if not windows:
        return []
    start, end = min(one.start for one in windows), max(one.end for one in windows)
    asked = select(BridgeBlock).where(
        BridgeBlock.bridge_id.in_([one.id for one in bridges]),
        BridgeBlock.ends > start,
        BridgeBlock.starts < end,
    )
    return db.session.scalars(asked).all()


def losses(within: Interval) -> dict[int, list[int]]:
    """Return, by the bridge's id, the occurrences that its loss would break within a time."""
    bridges = listed()
    found: dict[int, list[int]] = {}
    for scene in scenes(bridges, [within]):
        needs = demands.of_occurrences({one.occurrence_id for one in scene.promises})
        carried = _carried(scene.promises, needs)
        for bridge in bridges:
            hosts = [host for host in scene.hosts if _stands_in(bridge, host, scene.bridges)]
            broken = broken_by_loss(bridge.id, carried[bridge.id], hosts)
            found[bridge.id] = sorted({one.occurrence_id for one in broken})
    return found


def _stands_in(lost: Bridge, host: Host, bridges: Sequence[Bridge]) -> bool:
    pool = next(one.pool_id for one in bridges if one.id == host.known.id)
    return pool == lost.pool_id and host.known.id != lost.id


def _carried(promises: Sequence[Promise], needs: Mapping[int, Need]) -> dict[int, list[Carried]]:
    """Return what each bridge carries, as it would have to be replaced."""
    spare: dict[int, set[int]] = defaultdict(set)
    for one in promises:
        if one.role == AllocationRole.STANDBY:
            spare[one.occurrence_id].add(one.bridge_id)
    carried: dict[int, list[Carried]] = defaultdict(list)
    for one in promises:
        if one.role != AllocationRole.STANDBY:
            carried[one.bridge_id].append(
                Carried(
                    occurrence_id=one.occurrence_id,
                    demand=needs[one.occurrence_id].demand,
                    spare=frozenset(spare[one.occurrence_id]),
                )
            )
    return carried


def _with_added(
    carried: dict[int, list[Carried]], demand: Demand, plan: Plan
) -> dict[int, list[Carried]]:
    spare = frozenset(part.bridge_id for part in plan.parts if part.role is AllocationRole.STANDBY)
    for part in plan.parts:
        if part.role is not AllocationRole.STANDBY:
            carried[part.bridge_id].append(Carried(occurrence_id=0, demand=demand, spare=spare))
    return carried


def _promises(
    bridges: Sequence[Bridge], windows: Sequence[Interval]
) -> Iterable[tuple[Promise, int]]:
    """Yield what is promised in each window, with the window's place."""
    if not windows:
        return
    ids = [bridge.id for bridge in bridges]
    if len(windows) == 1:
        (window,) = windows
        asked = _asked(ids).where(
            Allocation.ends > window.start,
            Allocation.ends <= window.end + LONGEST,
            Allocation.starts < window.end,
        )
        yield from ((row, 0) for row in db.session.execute(asked))
        return
    # One question for all: the windows stand in it as a small table.
    some = window_table(windows, LONGEST)
    joined = (
        _asked(ids)
        .add_columns(some.c.place)
        .join(
            some,
            (Allocation.ends > some.c.since)
            & (Allocation.ends <= some.c.bound)
            & (Allocation.starts < some.c.until),
        )
    )
    for row in db.session.execute(joined):
        yield row, row.place


def window_table(windows: Sequence[Interval], longest: timedelta) -> CTE:
    """Return windows as a table to join with: place, since, until, and `bound` of what overlaps.

    Nothing lasts longer than `longest`, so what overlaps ends before the bound,
    and an index on ends is read from both sides.
    """
    rows = [(place, one.start, one.end, one.end + longest) for place, one in enumerate(windows)]
    columns = [column(name, UTCDateTime) for name in ("since", "until", "bound")]
    return values(column("place", Integer), *columns, name="windows").data(rows).cte("windows")


def _asked(ids: Sequence[int]) -> Select[int, int, str, int, datetime, datetime, datetime]:
    return select(
        Allocation.bridge_id,
        Allocation.occurrence_id,
        Allocation.role,
        Allocation.units,
        Allocation.starts,
        Allocation.ends,
        Allocation.opens,
    ).where(Allocation.live, Allocation.bridge_id.in_(ids))


def promised(bridges: Sequence[Bridge], within: Interval) -> dict[int, list[Usage]]:
    """Return what each bridge has promised within a time, by its id."""
    found: dict[int, list[Usage]] = {bridge.id: [] for bridge in bridges}
    asked = select(
        Allocation.bridge_id, Allocation.starts, Allocation.ends, Allocation.units
    ).where(
        Allocation.live,
        Allocation.bridge_id.in_(list(found)),
        Allocation.ends > within.start,
        Allocation.ends <= within.end + LONGEST,
        Allocation.starts < within.end,
    )
    for bridge_id, starts, ends, units in db.session.execute(asked):
        found[bridge_id].append(Usage(starts, ends, units))
    return found
