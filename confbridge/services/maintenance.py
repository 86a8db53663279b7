"""Taking bridges and endpoints out of service: what that moves, and what it cannot move."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain.capacity import PORT, Profile
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.placement import AllocationRole
from confbridge.errors import Clash, Conflict, Crossed, Invalid, NotFound, Phrase
from confbridge.inputs.directory import Maintenance
from confbridge.models import (
    Account,
    Allocation,
    Bridge,
    BridgeBlock,
    Endpoint,
    Meeting,
    Occurrence,
    Reservation,
)
from confbridge.models.meeting import LONGEST
from confbridge.services import allocation, audit, demands, holds, hosts, rules, whereabouts
from confbridge.services.allocation import Claim, Stay

NO_ROOM = Phrase("No other bridge has the ports at that time.")
BEGUN = Phrase("Its room is open already.")


@dataclass(frozen=True, kw_only=True)
class Affected:
    """An occurrence on a bridge that goes out of service, and what became of it."""

    occurrence_id: int
    uid: str
    title: str
    during: Interval
    moved_to: str = ""  # codes of bridges; "": it stays where it is
    why: Phrase | None = None  # why it could not be moved


class NotMovable(Conflict):
    """Some of what is promised could go nowhere else; nothing was changed."""

    def __init__(self, affected: Sequence[Affected]) -> None:
        super().__init__(Phrase("Some meetings could not be moved. Give them another time first."))
        self.affected = affected


def drain(bridge: Bridge, *, by: Account) -> None:
    """Let the bridge take nothing new; what is on it is moved one by one, see `move_next`."""
    bridge.draining, bridge.drained_at = True, None
    bridge.probe_at = clock.now()
    bridge.version += 1
    audit.record(by.email, "draining", f"bridge {bridge.code}")


def undrain(bridge: Bridge, *, by: Account) -> None:
    """Let the bridge take new meetings again."""
    bridge.draining, bridge.drained_at = False, None
    bridge.version += 1
    audit.record(by.email, "draining no more", f"bridge {bridge.code}")
    db.session.flush()
    holds.room_was_made()


def left_on(bridge: Bridge) -> list[Affected]:
    """Return what is still on a draining bridge, and why it was not moved."""
    asked = select(Occurrence).where(Occurrence.id.in_(on_bridge(bridge)))
    asked = asked.options(joinedload(Occurrence.meeting)).order_by(Occurrence.starts, Occurrence.id)
    some = db.session.scalars(asked).unique()
    return [_because(_as_affected(one), BEGUN if _has_begun(one) else NO_ROOM) for one in some]


def on_bridge(bridge: Bridge, within: Interval | None = None) -> list[int]:
    """Return the occurrences promised on a bridge that lie ahead, or are on; in order of time."""
    asked = (
        select(Allocation.occurrence_id)
        .where(Allocation.bridge_id == bridge.id, Allocation.live)
        .where(Allocation.ends > clock.now())
        .order_by(Allocation.starts, Allocation.occurrence_id)
    )
    if within is not None:
        asked = asked.where(Allocation.starts < within.end, Allocation.ends > within.start)
    return list(dict.fromkeys(db.session.scalars(asked)))


def move(number: int, away_from: Bridge) -> Affected | None:
    """Let an occurrence be held on other bridges, if it has not begun and they have the ports.

    None if it has left the bridge meanwhile: called off, moved, or its hold has ended.
    """
    (one,) = _locked([number])
    if not any(each.bridge_id == away_from.id for each in one.allocations):
        return None
    if _has_begun(one):
        return _because(_as_affected(one), BEGUN)
    return _move([one], away_from)[0]


def maintain_bridge(bridge: Bridge, wanted: Maintenance, *, by: Account) -> list[Affected]:
    """Let the bridge have fewer ports for a time, and move what would not fit.

    Nothing is changed if something cannot be moved.

    Raises NotMovable, Conflict, Invalid.
    """
    during = Interval(wanted.start, wanted.end)
    if during.end <= clock.now():
        raise Conflict(Phrase("That time is over."))
    if wanted.ports_left > bridge.ports:
        raise Invalid(ports_left=Phrase("This must be at most %(most)s.", most=bridge.ports))
    if any(one.during.overlaps(during) for one in blocks(bridge)):
        raise Conflict(Phrase("There is maintenance at that time already."))
    numbers = on_bridge(bridge, during)
    some = _locked(numbers)
    needs = demands.of_occurrences(numbers).values()
    allocation.lock_endpoints({number for need in needs for number in need.endpoints})
    hosts.listed(lock=True)
    if on_bridge(bridge, during) != numbers:
        raise Crossed  # somebody booked meanwhile: from the beginning, with that one too
    leaving = _leaving(bridge, some, during, wanted.ports_left)
    begun = [one for one in leaving if _has_begun(one)]
    affected = [_because(_as_affected(one), BEGUN) for one in begun]
    affected += _move([one for one in leaving if one not in begun], bridge)
    if any(one.why for one in affected):
        raise NotMovable(affected)
    db.session.add(
        BridgeBlock(
            bridge_id=bridge.id,
            ports_left=wanted.ports_left,
            starts=during.start,
            ends=during.end,
            reason=wanted.reason,
        )
    )
    audit.record(by.email, "maintenance", f"bridge {bridge.code}", wanted.reason)
    db.session.flush()
    return affected


def end_maintenance(bridge: Bridge, number: int, *, by: Account) -> None:
    """Take maintenance off the calendar of a bridge.

    Raises NotFound.
    """
    found = db.session.get(BridgeBlock, number)
    if found is None or found.bridge_id != bridge.id:
        raise NotFound(Phrase("There is no such maintenance."))
    db.session.delete(found)
    audit.record(by.email, "maintenance taken off", f"bridge {bridge.code}", found.reason)
    db.session.flush()
    holds.room_was_made()


def blocks(bridge: Bridge) -> Sequence[BridgeBlock]:
    """Return maintenance of a bridge that is on or ahead, in order."""
    asked = select(BridgeBlock).where(
        BridgeBlock.bridge_id == bridge.id, BridgeBlock.ends > clock.now()
    )
    return db.session.scalars(asked.order_by(BridgeBlock.starts)).all()


def maintain_endpoint(endpoint: Endpoint, wanted: Maintenance, *, by: Account) -> None:
    """Let an endpoint be out of use for a time in which it is in no meeting.

    Raises Clash.
    """
    allocation.lock_endpoints([endpoint.id])
    during = Interval(wanted.start, wanted.end)
    taken = select(Reservation.id).where(
        Reservation.endpoint_id == endpoint.id,
        Reservation.live,
        Reservation.ends > during.start,
        Reservation.starts < during.end,
    )
    if db.session.scalars(taken.limit(1)).first() is not None:
        raise Clash
    db.session.add_all(
        Reservation(
            endpoint_id=endpoint.id,
            occurrence_id=None,
            starts=part.start,
            ends=part.end,
            reason=wanted.reason,
        )
        for part in _pieces(during)
    )
    audit.record(by.email, "maintenance", f"endpoint {endpoint.code}", wanted.reason)
    db.session.flush()


def end_endpoint_maintenance(endpoint: Endpoint, start: datetime, *, by: Account) -> None:
    """Let an endpoint be used again: from `start` on, as far as that maintenance goes.

    Raises NotFound.
    """
    gone = [one for one in endpoint_maintenance(endpoint) if one.start <= start < one.end]
    if not gone:
        raise NotFound(Phrase("There is no such maintenance."))
    (whole,) = gone
    db.session.execute(
        delete(Reservation).where(
            Reservation.endpoint_id == endpoint.id,
            Reservation.occurrence_id.is_(None),
            Reservation.starts >= whole.start,
            Reservation.ends <= whole.end,
        )
    )
    audit.record(by.email, "maintenance taken off", f"endpoint {endpoint.code}")
    holds.room_was_made()


def endpoint_maintenance(endpoint: Endpoint) -> list[Interval]:
    """Return maintenance of an endpoint that is on or ahead, in order, its pieces joined."""
    asked = (
        select(Reservation.starts, Reservation.ends)
        .where(Reservation.endpoint_id == endpoint.id, Reservation.occurrence_id.is_(None))
        .where(Reservation.ends > clock.now())
        .order_by(Reservation.starts)
    )
    joined: list[Interval] = []
    for starts, ends in db.session.execute(asked):
        if joined and joined[-1].end == starts:
            joined[-1] = Interval(joined[-1].start, ends)
        else:
            joined.append(Interval(starts, ends))
    return joined


def _pieces(during: Interval) -> Iterator[Interval]:
    """Yield the time in pieces: no reservation lasts longer than a day."""
    start = during.start
    while start < during.end:
        end = min(start + LONGEST, during.end)
        yield Interval(start, end)
        start = end


def _locked(numbers: Collection[int]) -> list[Occurrence]:
    """Return the occurrences in order of time, with their meetings locked in order of id."""
    meetings = select(Occurrence.meeting_id).where(Occurrence.id.in_(numbers))
    locked = select(Meeting).where(Meeting.id.in_(meetings)).order_by(Meeting.id)
    db.session.scalars(
        locked.with_for_update(of=Meeting).execution_options(populate_existing=True)
    ).all()
    asked = select(Occurrence).where(Occurrence.id.in_(numbers))
    asked = asked.options(joinedload(Occurrence.meeting)).order_by(Occurrence.starts, Occurrence.id)
    return list(db.session.scalars(asked.execution_options(populate_existing=True)).unique())


def _leaving(
    bridge: Bridge, some: Sequence[Occurrence], during: Interval, ports_left: int
) -> list[Occurrence]:
    """Return who has to go so that the rest fits: the lowest and last to begin goes first."""
    weights = rules.weights()
    order = sorted(some, key=lambda one: (weights[one.meeting.rank], -one.starts.timestamp()))
    staying, leaving = list(some), []
    for one in order:
        if _peak(bridge, staying, during) <= ports_left * PORT:
            break
        staying.remove(one)
        leaving.append(one)
    return leaving


def _peak(bridge: Bridge, some: Sequence[Occurrence], during: Interval) -> int:
    usages = [each.usage for one in some for each in one.allocations if each.bridge_id == bridge.id]
    return Profile(usages).peak(during).units


def _has_begun(one: Occurrence) -> bool:
    return any(
        each.is_open or each.starts <= clock.now()
        for each in one.allocations
        if each.role != AllocationRole.STANDBY
    )


def _move(some: Sequence[Occurrence], away_from: Bridge) -> list[Affected]:
    if not some:
        return []
    needs = [demands.needs_now(one.meeting, [one])[0] for one in some]
    ids = [one.id for one in some]
    keep = {
        place: Stay(one.primary.bridge_id)
        for place, one in enumerate(some)
        if one.primary and one.primary.bridge_id != away_from.id
    }
    found = allocation.plan(needs, but=ids, keep=keep, avoid=away_from.id)
    affected = []
    codes = {bridge.id: bridge.code for bridge in hosts.listed()}
    for one, need, where in zip(some, needs, found, strict=True):
        if where is None:
            affected.append(_because(_as_affected(one), NO_ROOM))
            continue
        opening = one.state == MeetingState.SCHEDULED
        allocation.hold([Claim(one, need)], [where], opening=opening)
        moved_to = ", ".join(codes[part.bridge_id] for part in where.parts)
        if opening:
            db.session.flush()
            whereabouts.tell_if_other(one)
        affected.append(
            Affected(
                occurrence_id=one.id,
                uid=one.meeting.uid,
                title=one.meeting.title,
                during=one.during,
                moved_to=moved_to,
            )
        )
        said = f"from {away_from.code} to {moved_to}"
        audit.record("placement", "moved", f"meeting {one.meeting.uid}", said)
    db.session.flush()
    return affected


def _as_affected(one: Occurrence) -> Affected:
    return Affected(
        occurrence_id=one.id, uid=one.meeting.uid, title=one.meeting.title, during=one.during
    )


def _because(affected: Affected, why: Phrase) -> Affected:
    return Affected(**{**vars(affected), "why": why})
