"""Which endpoints and which bridge an occurrence holds."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, insert, select, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain.capacity import Usage, peak
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.domain.placement import Candidate, chosen, reaches
from confbridge.errors import Clash
from confbridge.models import Allocation, Bridge, Endpoint, Occurrence, Reservation


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one occurrence wants to hold; `span` is the meeting with its lead and tail."""

    during: Interval
    span: Interval
    endpoints: Sequence[Endpoint]
    ports: int

    @property
    def networks(self) -> set[frozenset[str]]:
        return {endpoint.networks for endpoint in self.endpoints}


def hold(occurrence: Occurrence, need: Need) -> None:
    """Keep the endpoints and the ports for an occurrence that holds nothing yet.

    The endpoints come before the bridges, and both in order of id, so that
    no two bookings can wait for each other.

    Raises Clash.
    """
    if _is_taken(need, but=occurrence):
        raise Clash
    _reserve(occurrence, need)
    _allocate(occurrence, need, _usable_bridges())


def shift(occurrence: Occurrence, need: Need) -> None:
    """Let an occurrence hold this instead of what it holds.

    Others see both the old and the new taken until the transaction ends, so
    nothing can be lost on the way.

    Raises Clash.
    """
    if _is_taken(need, but=occurrence):
        raise Clash
    _give_up_endpoints(occurrence)
    _reserve(occurrence, need)
    bridges = _usable_bridges(also=[one.bridge_id for one in occurrence.allocations])
    for allocation in occurrence.allocations:
        if _stretches(occurrence, allocation, need, bridges):
            return
        _give_up(allocation)
    db.session.expire(occurrence, ["allocations"])
    _allocate(occurrence, need, [one for one in bridges if _is_usable(one)])


def release(occurrence: Occurrence) -> None:
    """Give everything back; a room that is open is closed at once."""
    _give_up_endpoints(occurrence)
    for allocation in occurrence.allocations:
        _give_up(allocation)
    db.session.expire(occurrence, ["allocations"])


def refresh(occurrence: Occurrence) -> None:
    """Have an open room told again who may enter it."""
    for allocation in occurrence.allocations:
        if allocation.is_open:
            allocation.open_at = clock.now()


def free_ports(
    bridges: Sequence[Bridge], span: Interval, *, but: Occurrence | None = None
) -> dict[int, int]:
    """Say how many ports each bridge, by id, can still promise for the whole time."""
    usages = usages_of(bridges, span, but=but)
    return {bridge.id: bridge.ports - peak(usages[bridge.id], span).ports for bridge in bridges}


def usages_of(
    bridges: Iterable[Bridge], span: Interval, *, but: Occurrence | None = None
) -> dict[int, list[Usage]]:
    """Return what each bridge, by id, has promised within a time."""
    asked = select(
        Allocation.bridge_id, Allocation.starts, Allocation.ends, Allocation.ports
    ).where(
        Allocation.live,
        Allocation.bridge_id.in_([bridge.id for bridge in bridges]),
        Allocation.starts < span.end,
        Allocation.ends > span.start,
    )
    if but is not None and but.id:
        asked = asked.where(Allocation.occurrence_id != but.id)
    usages: dict[int, list[Usage]] = defaultdict(list)
    for bridge_id, starts, ends, ports in db.session.execute(asked):
        usages[bridge_id].append(Usage(Interval(starts, ends), ports))
    return usages


def _is_taken(need: Need, *, but: Occurrence) -> bool:
    asked = exists().where(
        Reservation.live,
        Reservation.endpoint_id.in_([endpoint.id for endpoint in need.endpoints]),
        Reservation.ends > need.during.start,
        Reservation.starts < need.during.end,
        Reservation.occurrence_id != but.id,
    )
    return bool(db.session.scalar(select(asked)))


def _reserve(occurrence: Occurrence, need: Need) -> None:
    held = {"occurrence_id": occurrence.id, "starts": need.during.start, "ends": need.during.end}
    ids = sorted(endpoint.id for endpoint in need.endpoints)
    db.session.execute(insert(Reservation), [{"endpoint_id": one, **held} for one in ids])


def _give_up_endpoints(occurrence: Occurrence) -> None:
    db.session.execute(
        update(Reservation)
        .where(Reservation.occurrence_id == occurrence.id, Reservation.live)
        .values(live=False)
    )


def _allocate(occurrence: Occurrence, need: Need, bridges: Sequence[Bridge]) -> None:
    reached = [bridge for bridge in bridges if reaches(bridge.networks, need.networks)]
    free = free_ports(reached, need.span)
    candidates = [
        Candidate(id=one.id, state=BridgeState(one.state), free=free[one.id]) for one in reached
    ]
    bridge_id = chosen(candidates, need.ports)
    if bridge_id is None:
        raise Clash
    allocation = Allocation(
        bridge=next(one for one in reached if one.id == bridge_id),
        ports=need.ports,
        starts=need.span.start,
        ends=need.span.end,
        room=f"cb-{secrets.token_hex(12)}",
        open_at=need.span.start,
        close_at=need.span.end,
    )
    occurrence.allocations.append(allocation)
    db.session.flush()


def _stretches(
    occurrence: Occurrence, allocation: Allocation, need: Need, bridges: Collection[Bridge]
) -> bool:
    """Let the allocation cover the new need in its place, if its bridge can."""
    bridge = next(one for one in bridges if one.id == allocation.bridge_id)
    opens_later = allocation.is_open and need.span.start > clock.now()
    if opens_later or not _is_usable(bridge) or not reaches(bridge.networks, need.networks):
        return False
    if free_ports([bridge], need.span, but=occurrence)[bridge.id] < need.ports:
        return False
    allocation.ports = need.ports
    allocation.starts, allocation.ends = need.span.start, need.span.end
    allocation.open_at, allocation.close_at = need.span.start, need.span.end
    db.session.flush()
    return True


def _give_up(allocation: Allocation) -> None:
    allocation.live = False
    allocation.open_at = None
    # Also a room of which we do not know that it was opened: the opener may be at it.
    allocation.close_at = clock.now()
    db.session.flush()


def _usable_bridges(also: Collection[int] = ()) -> Sequence[Bridge]:
    # Two bookings at the same moment must not both see the last free port.
    # Always in order of id, so that two of them cannot wait for each other.
    usable = Bridge.active & ~Bridge.draining & (Bridge.state != BridgeState.DOWN)
    return db.session.scalars(
        select(Bridge)
        .where(usable | Bridge.id.in_(also))
        .order_by(Bridge.id)
        .with_for_update(of=Bridge, key_share=True)
    ).all()


def _is_usable(bridge: Bridge) -> bool:
    return bridge.active and not bridge.draining and bridge.state != BridgeState.DOWN
