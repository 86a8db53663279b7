"""Which endpoints and which bridges occurrences hold.

First everything is looked at with the locks taken (`plan`), then written
(`hold`), all in one transaction: others see what was held before, or all of
the new, and a refusal leaves every row as it was.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, text, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.placement import AllocationRole, Part, Plan, placed
from confbridge.errors import Clash
from confbridge.models import Allocation, Occurrence, Reservation
from confbridge.models.meeting import LONGEST
from confbridge.services import hosts
from confbridge.services.demands import Need
from confbridge.services.hosts import Scene

LOCK_SPACE = 7001  # of the advisory locks on endpoints


@dataclass(frozen=True)
class Claim:
    """What an occurrence shall hold from now on; `is_new`: it has held nothing yet."""

    occurrence: Occurrence
    need: Need
    is_new: bool = False


@dataclass(frozen=True)
class Stay:
    """The bridge on which something is held now: it stays if it can, and must if it `is_on`."""

    bridge_id: int | None
    is_on: bool = False


def _stay(primary: Allocation, need: Need) -> Stay:
    is_on = primary.is_open and need.demand.span.start <= clock.now()
    return Stay(primary.bridge_id, is_on)


def plan(
    needs: Sequence[Need],
    *,
    but: Collection[int] = (),
    keep: Mapping[int, Stay] | None = None,
    avoid: int | None = None,
    urgent: bool = False,
) -> list[Plan | None]:
    """Return where each need can be met, None where it cannot.

    Endpoints are locked first and then bridges, both in order of id, so that
    no two bookings can wait for each other. What the occurrences `but` hold
    counts as free. `keep` names the bridge on which a need is met now, by its
    place in `needs`: it stays there if it can. `avoid` names one that will not do.
    What is `urgent` may break the rule of N-1: it is for such a time that it is kept.
    """
    lock_endpoints({number for need in needs for number in need.endpoints})
    taken = _taken(needs, but)
    bridges = [one for one in hosts.listed(lock=True) if one.id != avoid]
    spans = [need.demand.span for need in needs]
    found: list[Plan | None] = []
    found_before: list[tuple[Need, Plan]] = []
    for place, scene in enumerate(hosts.scenes(bridges, spans, but=but)):
        need = needs[place]
        for other, there in found_before:
            if other.demand.span.overlaps(need.demand.span):
                scene.take(other.demand, there)
        crossed = any(
            other.during.overlaps(need.during) and set(other.endpoints) & set(need.endpoints)
            for other, _ in found_before
        )
        if place in taken or crossed:
            found.append(None)
            continue
        stay = (keep or {}).get(place, Stay(None))
        there_now = (
            _at_any_price(scene, need, stay.bridge_id)
            if urgent
            else scene.place(need.demand, stay.bridge_id, pinned=stay.is_on)
        )
        found.append(there_now)
        if there_now is not None:
            found_before.append((need, there_now))
    return found


def _at_any_price(scene: Scene, need: Need, wanted: int | None) -> Plan | None:
    """Return where a need can be met that cannot wait: where its stand-by is, if it has one."""
    there = placed(need.demand, scene.hosts, lambda plan: plan.parts[0].bridge_id == wanted)
    return there or scene.place(need.demand) or placed(need.demand, scene.hosts)


def planned(
    needs: Sequence[Need], *, but: Collection[int] = (), keep: Mapping[int, Stay] | None = None
) -> list[Plan]:
    """Return where every need can be met.

    Raises Clash if any cannot.
    """
    found = plan(needs, but=but, keep=keep)
    sure = [one for one in found if one is not None]
    if len(sure) < len(found):
        raise Clash
    return sure


def hold(claims: Sequence[Claim], plans: Sequence[Plan], *, opening: bool = True) -> None:
    """Let the occurrences hold what was planned instead of what they hold.

    `opening` is False for what is held for a while only: no room is opened.
    """
    was = _give_way([claim.occurrence for claim in claims if not claim.is_new])
    _reserve(claims)
    _allocate(claims, plans, was, opening=opening)
    for claim in claims:
        db.session.expire(claim.occurrence, ["allocations"])


def shift(claims: Sequence[Claim], *, opening: bool = True) -> None:
    """Plan and hold at once, each on the bridge where it is now if that will do.

    Raises Clash.
    """
    keep = {
        place: _stay(claim.occurrence.primary, claim.need)
        for place, claim in enumerate(claims)
        if not claim.is_new and claim.occurrence.primary
    }
    own = [claim.occurrence.id for claim in claims if not claim.is_new]
    plans = planned([claim.need for claim in claims], but=own, keep=keep)
    hold(claims, plans, opening=opening)


def release(occurrences: Sequence[Occurrence]) -> None:
    """Give everything back; a room that is open is closed at once."""
    ids = [one.id for one in occurrences]
    held = update(Reservation).where(Reservation.occurrence_id.in_(ids), Reservation.live)
    db.session.execute(held.values(live=False))
    rooms = update(Allocation).where(Allocation.occurrence_id.in_(ids), Allocation.live)
    # Also a room of which we do not know that it was opened: the opener may be at it.
    db.session.execute(rooms.values(live=False, open_at=None, close_at=clock.now()))
    for one in occurrences:
        one.hold_until = None
        db.session.expire(one, ["allocations"])


def open_rooms(occurrences: Sequence[Occurrence]) -> None:
    """Let rooms be opened for what was held for a while only."""
    ids = [one.id for one in occurrences]
    rooms = update(Allocation).where(
        Allocation.occurrence_id.in_(ids),
        Allocation.live,
        Allocation.role != AllocationRole.STANDBY,
    )
    db.session.execute(rooms.values(open_at=Allocation.opens, close_at=Allocation.ends))
    for one in occurrences:
        one.hold_until = None
        db.session.expire(one, ["allocations"])


def enlist(occurrences: Sequence[Occurrence], endpoints: Collection[int]) -> None:
    """Let these endpoints have a part in occurrences that have a list already; nothing is held."""
    ids = [one.id for one in occurrences]
    back = update(Reservation).where(
        Reservation.occurrence_id.in_(ids), Reservation.endpoint_id.in_(endpoints)
    )
    db.session.execute(back.values(wanted=True))
    asked = select(Reservation.occurrence_id, Reservation.endpoint_id)
    known: dict[int, set[int]] = defaultdict(set)
    for number, endpoint in db.session.execute(asked.where(Reservation.occurrence_id.in_(ids))):
        known[number or 0].add(endpoint)
    fresh = [
        {
            "occurrence_id": one.id,
            "endpoint_id": endpoint,
            "starts": one.starts,
            "ends": one.ends,
            "live": False,
        }
        for one in occurrences
        for endpoint in sorted(endpoints)
        if known[one.id] and endpoint not in known[one.id]
    ]
    if fresh:
        db.session.execute(insert(Reservation), fresh)


def strike(occurrences: Sequence[Occurrence], endpoints: Collection[int]) -> None:
    """Let these endpoints have no part in the occurrences any more."""
    gone = update(Reservation).where(
        Reservation.occurrence_id.in_([one.id for one in occurrences]),
        Reservation.endpoint_id.in_(endpoints),
    )
    db.session.execute(gone.values(live=False, wanted=False))


def give_back(occurrences: Sequence[Occurrence], endpoint_id: int) -> None:
    """Let go of one endpoint in these occurrences; it keeps its part in them."""
    held = update(Reservation).where(
        Reservation.occurrence_id.in_([one.id for one in occurrences]),
        Reservation.endpoint_id == endpoint_id,
    )
    db.session.execute(held.values(live=False))


def shrink(occurrence: Occurrence, need: Need) -> None:
    """Keep only the ports that are still needed, on the bridge where it is.

    A cascade keeps what it has: who came in where is not told apart any more.
    """
    if any(one.role == AllocationRole.CASCADE for one in occurrence.allocations):
        return
    for one in occurrence.allocations:
        known = hosts.known(one.bridge)
        units = known.price(need.demand)
        one.units, one.legs = min(one.units, units), need.demand.legs
    db.session.flush()


def refresh(occurrence: Occurrence) -> None:
    """Have an open room told again who may enter it."""
    for allocation in occurrence.allocations:
        if allocation.is_open:
            allocation.open_at = clock.now()


def lock_endpoints(numbers: Collection[int]) -> None:
    """Let nobody else take these endpoints until the transaction ends; in order of id."""
    if db.session.get_bind().dialect.name != "postgresql" or not numbers:
        return  # SQLite has one writer anyway
    locked = text("SELECT pg_advisory_xact_lock(:space, id) FROM unnest(CAST(:ids AS int[])) id")
    db.session.execute(locked, {"space": LOCK_SPACE, "ids": sorted(numbers)})


def _taken(needs: Sequence[Need], but: Collection[int]) -> set[int]:
    """Return the places of needs that want an endpoint which is taken."""
    if not needs:
        return set()
    own = set(but)
    windows = hosts.window_table([need.during for need in needs], LONGEST)
    everyone = sorted({number for need in needs for number in need.endpoints})
    asked = (
        select(windows.c.place, Reservation.endpoint_id, Reservation.occurrence_id)
        .join(
            windows,
            (Reservation.ends > windows.c.since)
            & (Reservation.ends <= windows.c.bound)
            & (Reservation.starts < windows.c.until),
        )
        .where(Reservation.live, Reservation.endpoint_id.in_(everyone))
    )
    wanted = [set(need.endpoints) for need in needs]
    return {
        place
        for place, endpoint, occurrence in db.session.execute(asked)
        if endpoint in wanted[place] and occurrence not in own
    }


def _give_way(occurrences: Sequence[Occurrence]) -> Mapping[int, list[Allocation]]:
    """Stop what these hold, and return the allocations that they had, to be used again.

    Not yet given up for good: within a series, one meeting may move to where another one was.
    """
    if not occurrences:
        return {}
    ids = [one.id for one in occurrences]
    held = update(Reservation).where(Reservation.occurrence_id.in_(ids), Reservation.live)
    db.session.execute(held.values(live=False))
    asked = select(Allocation).where(Allocation.occurrence_id.in_(ids), Allocation.live)
    was: dict[int, list[Allocation]] = defaultdict(list)
    for one in db.session.scalars(asked.order_by(Allocation.id)):
        was[one.occurrence_id].append(one)
        one.live = False
    db.session.flush()
    return was


def _reserve(claims: Sequence[Claim]) -> None:
    known: dict[int, set[int]] = {claim.occurrence.id: set() for claim in claims}
    old = [claim.occurrence.id for claim in claims if not claim.is_new]
    if old:
        asked = select(Reservation.occurrence_id, Reservation.endpoint_id)
        for number, endpoint in db.session.execute(asked.where(Reservation.occurrence_id.in_(old))):
            known[number or 0].add(endpoint)
    fresh: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    for claim in claims:
        number, during = claim.occurrence.id, claim.need.during
        row = {"starts": during.start, "ends": during.end}
        for endpoint in claim.need.endpoints:
            if endpoint in known[number]:
                again.append({"_occurrence": number, "_endpoint": endpoint, **row})
            else:
                fresh.append({"occurrence_id": number, "endpoint_id": endpoint, **row})
    _move_idle(claims)
    if again:
        held = update(Reservation).where(
            Reservation.occurrence_id == bindparam("_occurrence"),
            Reservation.endpoint_id == bindparam("_endpoint"),
        )
        again.sort(key=lambda one: (one["_endpoint"], one["starts"]))
        db.session.connection().execute(held.values(live=True, wanted=True), again)
    if fresh:
        fresh.sort(key=lambda one: (one["endpoint_id"], one["starts"]))
        db.session.execute(insert(Reservation), fresh)


def _move_idle(claims: Sequence[Claim]) -> None:
    """Keep the rows of those who hold nothing (they declined) at the time of their occurrence."""
    moved = [
        {
            "_occurrence": claim.occurrence.id,
            "starts": claim.need.during.start,
            "ends": claim.need.during.end,
        }
        for claim in claims
        if not claim.is_new
    ]
    if moved:
        idle = update(Reservation).where(Reservation.occurrence_id == bindparam("_occurrence"))
        db.session.connection().execute(
            idle.values(starts=bindparam("starts"), ends=bindparam("ends")), moved
        )


def _allocate(
    claims: Sequence[Claim],
    plans: Sequence[Plan],
    was: Mapping[int, list[Allocation]],
    *,
    opening: bool,
) -> None:
    fresh = []
    kept: list[tuple[Allocation, Part, Interval]] = []
    for claim, where in zip(claims, plans, strict=True):
        old = list(was.get(claim.occurrence.id, ()))
        span = claim.need.demand.span
        for part in where.parts:
            same = _same(old, part, span)
            if same is not None:
                old.remove(same)
                kept.append((same, part, span))
            else:
                fresh.append(_row(claim.occurrence, part, span, opening=opening))
        for one in old:
            one.open_at, one.close_at = None, clock.now()
    db.session.flush()
    # In order of the bridges' ids, as everybody takes them.
    for allocation, part, span in sorted(kept, key=lambda one: (one[0].bridge_id, one[0].id)):
        _stretch(allocation, part, span, opening=opening)
    db.session.flush()
    if fresh:
        db.session.execute(
            insert(Allocation), sorted(fresh, key=lambda one: (one["bridge_id"], one["starts"]))
        )


def _same(old: Iterable[Allocation], part: Part, span: Interval) -> Allocation | None:
    """Return the allocation that can become this part; an open room cannot open later again."""
    for one in old:
        opens_later = one.is_open and span.start > clock.now()
        if one.bridge_id == part.bridge_id and one.role == part.role and not opens_later:
            return one
    return None


def _stretch(allocation: Allocation, part: Part, span: Interval, *, opening: bool) -> None:
    allocation.live, allocation.units, allocation.legs = True, part.units, part.legs
    allocation.starts, allocation.ends, allocation.opens = span.start, span.end, part.opens
    opens = opening and part.role is not AllocationRole.STANDBY
    allocation.open_at = part.opens if opens else None
    allocation.close_at = span.end if opens else None


def _row(occurrence: Occurrence, part: Part, span: Interval, *, opening: bool) -> dict[str, Any]:
    opens = opening and part.role is not AllocationRole.STANDBY
    return {
        "bridge_id": part.bridge_id,
        "occurrence_id": occurrence.id,
        "role": part.role,
        "units": part.units,
        "legs": part.legs,
        "opens": part.opens,
        "starts": span.start,
        "ends": span.end,
        "room": f"cb-{secrets.token_hex(12)}",
        "open_at": part.opens if opens else None,
        "close_at": span.end if opens else None,
    }
