"""Conferences whose bridge is lost, or cannot be had in time: they go on, or begin, elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import joinedload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.placement import MINUTE, AllocationRole, Plan
from confbridge.models import Allocation, Bridge, Leg, Meeting, Occurrence
from confbridge.models.bridge import LONGEST
from confbridge.services import (
    allocation,
    attendance,
    audit,
    demands,
    hosts,
    incidents,
    rooms,
    rules,
    whereabouts,
)
from confbridge.services.allocation import Claim, Stay
from confbridge.services.demands import Need

TRY_AGAIN = timedelta(seconds=10)
# So often a room may fail to open before it is tried on another bridge, if it starts so soon.
MOST_TRIES = 3
TOO_SOON = timedelta(minutes=5)


def rescue_one() -> bool:
    """Give one occurrence another bridge, if its own is lost; say whether there was one.

    What is on goes before what is to come, and the higher rank before the lower.
    """
    lost = _next()
    if lost is None:
        return False
    occurrence = _locked(lost.occurrence_id)
    mine = [one for one in occurrence.allocations if one.role != AllocationRole.STANDBY]
    gone = [one for one in mine if one.id == lost.id]
    if not gone or (gone[0].bridge.state != BridgeState.DOWN and not _fails(gone[0], occurrence)):
        return True  # it has been seen to meanwhile, or its bridge has come back
    is_on = any(one.is_open for one in mine)
    need = _need(occurrence, is_on=is_on)
    spare = next((one for one in occurrence.allocations if one not in mine), None)
    keep = {0: Stay(spare.bridge_id)} if spare else None
    (plan,) = allocation.plan(
        [need], but=[occurrence.id], keep=keep, avoid=lost.bridge_id, urgent=True
    )
    if plan is None:
        _not_now(gone[0], occurrence)
        return True
    _go_on(occurrence, gone[0], Claim(occurrence, need), plan)
    return True


def returned(bridge_id: int, counts: Mapping[str, int] | None, asked_at: datetime) -> None:
    """Settle what a lost bridge still has, now that it answers again.

    Its rooms are closed. But if people are still in one, and nobody has come to the new one,
    the conference is where the people are, and it is the new one that is closed.
    """
    asked = select(Allocation).where(
        Allocation.bridge_id == bridge_id,
        Allocation.detached_at < asked_at,
        Allocation.closed_at.is_(None),
        Allocation.close_at.is_(None),
    )
    some = db.session.scalars(asked.order_by(Allocation.id)).all()
    for old in some:
        _locked(old.occurrence_id)  # meetings before bridges, as everybody takes them
    for old in some:
        if counts is None:  # it cannot tell what it has: let it end the room, if there is one
            old.close_at = clock.now()
            continue
        if old.room not in counts:
            old.closed_at = asked_at
            rooms.note(old.id, "gone", "the bridge has forgotten it")
            continue
        if counts[old.room]:
            if old.bridge.state == BridgeState.DOWN:
                continue  # it has answered once: whether it stays is seen at the next visits
            if _come_back(old):
                continue
        old.close_at = clock.now()


def _come_back(old: Allocation) -> bool:
    """Let a conference be on its old bridge again, if nobody came to the new one and it can."""
    occurrence = _locked(old.occurrence_id)
    new = [one for one in occurrence.allocations if one.role != AllocationRole.STANDBY]
    now = clock.now()
    came = select(func.count(Leg.id)).where(
        Leg.allocation_id.in_([one.id for one in new]), Leg.left.is_(None)
    )
    is_over = occurrence.state != MeetingState.SCHEDULED or not new
    if is_over or db.session.scalars(came).one():
        return False
    ends = max(one.ends for one in new)
    if ends <= now or not _still_fits(old, ends, now):
        return False
    for one in new:
        one.live, one.open_at, one.close_at = False, None, now
        rooms.note(one.id, "left", f"nobody came; they are still on {old.bridge.code}")
    db.session.flush()
    old.live, old.role, old.detached_at = True, AllocationRole.PRIMARY, None
    old.starts, old.ends, old.close_at = now, ends, ends
    db.session.flush()
    db.session.expire(occurrence, ["allocations"])
    rooms.note(old.id, "back", "people were still in it")
    audit.record("placement", "back on its bridge", f"meeting {occurrence.meeting.uid}")
    return True


def _still_fits(old: Allocation, ends: datetime, now: datetime) -> bool:
    bridge = [one for one in hosts.listed(lock=True) if one.id == old.bridge_id]
    (scene,) = hosts.scenes(bridge, [Interval(now, ends)])
    return any(host.free(Interval(now, ends)) >= old.units for host in scene.hosts)


def _next() -> Allocation | None:
    """Return what is to be rescued first; two narrow questions, as it is asked all the time."""
    now = clock.now()
    asked = (
        select(Allocation, Meeting.rank, Occurrence.starts)
        .join(Occurrence, Occurrence.id == Allocation.occurrence_id)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(
            Allocation.live,
            Allocation.role != AllocationRole.STANDBY,
            Allocation.close_at.is_not(None),  # what is only held for a while has no room
            or_(Allocation.rescue_at.is_(None), Allocation.rescue_at <= now),
        )
    )
    found = [*db.session.execute(asked.where(*_failing(now)))]
    down = select(Bridge.id).where(Bridge.state == BridgeState.DOWN, Bridge.active)
    if lost := db.session.scalars(down).all():
        found += db.session.execute(asked.where(Allocation.bridge_id.in_(lost), *_soon(now)))
    if not found:
        return None
    weights = rules.weights()
    found.sort(key=lambda row: (not row[0].is_open, -weights[row.rank], row.starts))
    first: Allocation = found[0][0]
    return first


def _soon(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which something is on, or begins soon."""
    soon = now + timedelta(minutes=config.in_force().replace_minutes)
    return (
        Allocation.ends > now,
        Allocation.ends < soon + LONGEST,
        Allocation.starts <= soon,
        Allocation.closed_at.is_(None),
    )


def _failing(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a room cannot be had in time where it is."""
    return (
        Allocation.open_at < now + 2 * rooms.LONGEST_WAIT,
        Allocation.ends > now,
        Allocation.opened_at.is_(None),
        Allocation.tries >= MOST_TRIES,
        Allocation.trouble != "",
        Occurrence.starts <= now + TOO_SOON,
    )


def _fails(one: Allocation, occurrence: Occurrence) -> bool:
    soon = occurrence.starts <= clock.now() + TOO_SOON
    return bool(not one.opened_at and one.tries >= MOST_TRIES and one.trouble and soon)


def _locked(occurrence_id: int) -> Occurrence:
    """Return an occurrence with its meeting locked, as every change of it does first."""
    number = select(Occurrence.meeting_id).where(Occurrence.id == occurrence_id)
    asked = select(Meeting).where(Meeting.id.in_(number)).with_for_update(of=Meeting)
    db.session.scalars(asked.execution_options(populate_existing=True)).all()
    found = select(Occurrence).where(Occurrence.id == occurrence_id)
    found = found.options(joinedload(Occurrence.meeting))
    return db.session.scalars(found.execution_options(populate_existing=True)).unique().one()


def _need(occurrence: Occurrence, *, is_on: bool) -> Need:
    """Return what it needs from now on: no second stand-by, and no one bridge that must do."""
    (need,) = demands.needs_now(occurrence.meeting, [occurrence])
    now, span = clock.now(), need.demand.span
    start = now if is_on else max(now, span.start)
    opens_by = max(need.demand.opens_by, min(start + 10 * MINUTE, span.end - MINUTE))
    demand = replace(
        need.demand, span=Interval(start, span.end), opens_by=opens_by, standby=False, bridge=""
    )
    return replace(need, demand=demand)


def _not_now(lost: Allocation, occurrence: Occurrence) -> None:
    """Leave it where it is, look again soon, and let the operators know."""
    lost.rescue_at = clock.now() + TRY_AGAIN
    occurrence.watch_at = occurrence.watch_at or clock.now()  # who also ends what is told
    if not incidents.is_open(incidents.lost_key(occurrence)):
        rooms.note(lost.id, "not moved", "no other bridge has the ports")
        incidents.lost(occurrence, lost.bridge.code)


def _go_on(occurrence: Occurrence, lost: Allocation, claim: Claim, plan: Plan) -> None:
    now, code = clock.now(), lost.bridge.code
    was = {one.id: one.is_open for one in occurrence.allocations}
    allocation.hold([claim], [plan], opening=True)
    db.session.flush()
    codes = {one.id: one.code for one in hosts.listed()}
    moved_to = ", ".join(codes[part.bridge_id] for part in plan.parts)
    asked = select(Allocation).where(Allocation.id.in_(was), ~Allocation.live)
    for old in db.session.scalars(asked.options(joinedload(Allocation.bridge))):
        if was[old.id] and old.bridge.state == BridgeState.DOWN:
            old.detached_at, old.close_at = now, None
            old.ends = max(now, old.starts + timedelta(seconds=1))
            attendance.everybody_lost(old.id, old.bridge.heard_at or now)
        rooms.note(old.id, "detached" if was[old.id] else "moved", f"goes on at {moved_to}")
    for one in occurrence.allocations:
        one.open_at = now if any(was.values()) else one.open_at
        rooms.note(one.id, "placed", f"instead of {code}")
    incidents.settle(incidents.lost_key(occurrence))
    whereabouts.tell_if_other(occurrence)
    said = f"from {code} to {moved_to}"
    audit.record("placement", "rescued", f"meeting {occurrence.meeting.uid}", said)
