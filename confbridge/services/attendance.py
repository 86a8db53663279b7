"""Who was in a conference: heard from the bridge's events, and checked by asking it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import distinct, exists, func, or_, select, update
from sqlalchemy.orm import aliased, undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.attendance import Presence, presence
from confbridge.domain.interval import Interval
from confbridge.drivers import CanReportEvents, Event, Joined, Left, Participant
from confbridge.errors import DriverError, NotAllowed, Phrase
from confbridge.models import (
    Allocation,
    Attendee,
    Bridge,
    BridgeEvents,
    Gap,
    Leg,
    LegSource,
    Meeting,
    Occurrence,
)
from confbridge.services import links

LEASE = timedelta(seconds=20)
MOST_TRIES = 5
EVENTS_LATE = timedelta(seconds=20)  # so long an event may be behind what asking finds


@dataclass(frozen=True, kw_only=True)
class Site:
    """What became of one endpoint, or of one guest (then `attendee` is None)."""

    attendee: Attendee | None
    name: str
    legs: Sequence[Leg]
    presence: Presence

    @property
    def here_since(self) -> datetime | None:
        return min((leg.joined for leg in self.legs if leg.left is None), default=None)


@dataclass(frozen=True, kw_only=True)
class Attendance:
    """Who was invited, who answered, who came, from when until when."""

    sites: Sequence[Site]
    uninvited: Sequence[Site]
    gaps: Sequence[tuple[Gap, str]]  # with the bridge's code


def of(meeting: Meeting, occurrence: Occurrence) -> Attendance:
    """Return the attendance of an occurrence as it is known now."""
    now = clock.now()
    legs = db.session.scalars(
        select(Leg)
        .join(Allocation, Allocation.id == Leg.allocation_id)
        .where(Allocation.occurrence_id == occurrence.id)
        .order_by(Leg.joined, Leg.id)
    ).all()
    by_attendee: dict[int | None, list[Leg]] = defaultdict(list)
    for leg in legs:
        by_attendee[leg.attendee_id].append(leg)
    sites = [
        _site(one, one.endpoint.name, by_attendee.pop(one.id, []), occurrence, now)
        for one in meeting.attendees
    ]
    strangers = [leg for some in by_attendee.values() for leg in some]
    uninvited = [_site(None, leg.name, [leg], occurrence, now) for leg in strangers]
    return Attendance(sites=sites, uninvited=uninvited, gaps=_gaps(occurrence))


def store_events(bridge: Bridge, body: str) -> None:
    """Keep a batch as it came; it is worked on later, so that nothing is lost now."""
    now = clock.now()
    db.session.add(BridgeEvents(bridge_id=bridge.id, received_at=now, body=body, due=now))


def reporting_bridge(code: str, user: str, password: str) -> Bridge:
    """Return the bridge that these credentials let report its events.

    Raises NotAllowed.
    """
    bridge = db.session.scalar(
        select(Bridge).where(Bridge.code == code, Bridge.active).options(undefer(Bridge.secrets))
    )
    if bridge is not None:
        driver = drivers.load(bridge.driver, {**bridge.settings, **bridge.secrets})
        if isinstance(driver, CanReportEvents) and driver.is_from_bridge(user, password):
            return bridge
    raise NotAllowed(Phrase("These are not the credentials of a bridge."))


def claim_next_events() -> int | None:
    """Take the oldest batch of a bridge for LEASE, and return its id.

    A bridge's batches are worked on in their order: while one is held, or
    waits to be tried again, the later ones wait with it, and are given up on
    after MOST_TRIES so that one that breaks us does not block the rest.
    """
    now = clock.now()
    earlier = aliased(BridgeEvents)
    first = ~exists().where(
        earlier.bridge_id == BridgeEvents.bridge_id,
        earlier.id < BridgeEvents.id,
        earlier.due.is_not(None),
    )
    batch = db.session.scalar(
        select(BridgeEvents)
        .where(BridgeEvents.due <= now, first)
        .order_by(BridgeEvents.id)
        .with_for_update(of=BridgeEvents, skip_locked=True)
        .limit(1)
    )
    if batch is None:
        return None
    batch.tries += 1
    batch.due = now + LEASE if batch.tries <= MOST_TRIES else None
    batch.trouble = "" if batch.due else "given up on"
    return batch.id


def work_on_events(batch_id: int) -> None:
    """Record what a batch says, whole or not at all."""
    batch = db.session.get(BridgeEvents, batch_id)
    if batch is None or batch.due is None:
        return
    bridge = db.session.scalars(
        select(Bridge)
        .where(Bridge.id == batch.bridge_id)
        .options(undefer(Bridge.secrets))
        .with_for_update(key_share=True)  # a visit to the bridge writes the same legs
    ).one()
    try:
        driver = drivers.load(bridge.driver, {**bridge.settings, **bridge.secrets})
        events = driver.events(batch.body) if isinstance(driver, CanReportEvents) else []
    except DriverError as error:
        batch.trouble, batch.due = str(error), None
        return
    for event in events:
        apply(bridge.id, event)
    heard(bridge.id, "events")
    db.session.delete(batch)


def apply(bridge_id: int, event: Event) -> None:
    """Record one event; the same one again changes nothing."""
    if isinstance(event, Joined):
        _joined(bridge_id, event)
    else:
        _left(bridge_id, event)


def legs_by_room(bridge_id: int) -> dict[str, frozenset[str]]:
    """Return, for each open room of a bridge, the legs that we think are in it."""
    rooms: dict[str, set[str]] = {
        allocation.room: set() for allocation in _open_allocations(bridge_id)
    }
    asked = (
        select(Allocation.room, Leg.leg)
        .join(Leg, Leg.allocation_id == Allocation.id)
        .where(Allocation.bridge_id == bridge_id, Leg.left.is_(None))
    )
    for room, leg in db.session.execute(asked):
        rooms.setdefault(room, set()).add(leg)
    return {room: frozenset(legs) for room, legs in rooms.items()}


def legs_of(allocation: Allocation, attendee: Attendee | None) -> int:
    """Say how many legs of an attendee (None: of guests) are in."""
    asked = select(func.count(Leg.id)).where(
        Leg.allocation_id == allocation.id,
        Leg.attendee_id == (attendee.id if attendee else None),
        Leg.left.is_(None),
    )
    return db.session.scalars(asked).one()


def sites_in(occurrences: Sequence[Occurrence]) -> dict[int, int]:
    """Return how many of the invited endpoints are in, by the occurrence's id."""
    asked = (
        select(Allocation.occurrence_id, func.count(distinct(Leg.attendee_id)))
        .join(Leg, Leg.allocation_id == Allocation.id)
        .where(Allocation.occurrence_id.in_([one.id for one in occurrences]))
        .where(Leg.left.is_(None), Leg.attendee_id.is_not(None))
        .group_by(Allocation.occurrence_id)
    )
    return {int(number): int(count) for number, count in db.session.execute(asked)}


def compare(bridge_id: int, found: Mapping[str, Sequence[Participant]], asked_at: datetime) -> None:
    """Make our record agree with who was in each room when the bridge was asked."""
    for allocation in _open_allocations(bridge_id):
        if allocation.room not in found:
            continue
        here = {one.leg: one for one in found[allocation.room]}
        known = {leg.leg: leg for leg in _legs(allocation.id)}
        for leg in known.values():
            if leg.left is None and leg.leg not in here and leg.joined < asked_at:
                leg.left, leg.left_source = asked_at, LegSource.POLL
            elif leg.leg in here:
                leg.seen_at = asked_at
                if leg.left is not None and leg.left < asked_at - EVENTS_LATE:
                    leg.left, leg.left_source = None, ""  # an event was of another one
        for one in here.values():
            if one.leg not in known:
                db.session.add(_new_leg(allocation, one, LegSource.POLL, asked_at))
        _miss_events(bridge_id, known.values(), asked_at)


def heard(bridge_id: int, why: str) -> None:
    """Record that a gap, if there was one, is over."""
    db.session.execute(
        update(Gap)
        .where(Gap.bridge_id == bridge_id, Gap.why == why, Gap.ends.is_(None))
        .values(ends=clock.now())
    )


def not_heard(bridge_id: int, why: str, since: datetime) -> None:
    """Record, once, that from `since` on the bridge has not been heard, until it is again."""
    known = select(Gap.id).where(
        Gap.bridge_id == bridge_id,
        Gap.why == why,
        or_(Gap.ends.is_(None), Gap.starts == since),
    )
    if db.session.scalars(known.limit(1)).first() is None:
        db.session.add(Gap(bridge_id=bridge_id, why=why, starts=since))


def everybody_left(bridge_id: int) -> None:
    """Close every leg of a bridge that was restarted, when it was last seen."""
    rooms = select(Allocation.id).where(Allocation.bridge_id == bridge_id)
    still_in = update(Leg).where(Leg.allocation_id.in_(rooms), Leg.left.is_(None))
    db.session.execute(still_in.values(left=Leg.seen_at, left_source="restart"))


def everybody_left_room(allocation_id: int) -> None:
    """Close every leg of a room that has been closed."""
    still_in = update(Leg).where(Leg.allocation_id == allocation_id, Leg.left.is_(None))
    db.session.execute(still_in.values(left=clock.now(), left_source="closed"))


def _site(
    attendee: Attendee | None,
    name: str,
    legs: Sequence[Leg],
    occurrence: Occurrence,
    now: datetime,
) -> Site:
    sessions = [
        Interval(leg.joined, leg.left or now) for leg in legs if (leg.left or now) > leg.joined
    ]
    return Site(
        attendee=attendee, name=name, legs=legs, presence=presence(sessions, occurrence.during, now)
    )


def _gaps(occurrence: Occurrence) -> list[tuple[Gap, str]]:
    asked = (
        select(Gap, Bridge.code)
        .join(Bridge, Bridge.id == Gap.bridge_id)
        .join(Allocation, Allocation.bridge_id == Bridge.id)
        .where(
            Allocation.occurrence_id == occurrence.id,
            Gap.starts < Allocation.ends,
            or_(Gap.ends.is_(None), Gap.ends > Allocation.opened_at),
        )
        .order_by(Gap.starts)
    )
    return [(gap, code) for gap, code in db.session.execute(asked)]


def _joined(bridge_id: int, event: Joined) -> None:
    allocation = db.session.scalar(
        select(Allocation).where(Allocation.bridge_id == bridge_id, Allocation.room == event.room)
    )
    if allocation is None:
        return  # a room that is not ours
    asked = select(Leg).where(Leg.allocation_id == allocation.id, Leg.leg == event.leg)
    leg = db.session.scalar(asked)
    if leg is None:
        who = Participant(leg=event.leg, name=event.name, token=event.token)
        leg = _new_leg(allocation, who, LegSource.EVENT, event.at)
        db.session.add(leg)
    leg.joined, leg.source, leg.handle = min(leg.joined, event.at), LegSource.EVENT, event.handle
    db.session.flush()


def _left(bridge_id: int, event: Left) -> None:
    rooms = select(Allocation.id).where(Allocation.bridge_id == bridge_id)
    if event.room:
        rooms = rooms.where(Allocation.room == event.room)
    condition = Leg.allocation_id.in_(rooms) & (Leg.joined <= event.at)
    if event.leg:
        condition &= Leg.leg == event.leg
    if event.handle.endswith("/"):
        condition &= Leg.handle.startswith(event.handle, autoescape=True)
    elif event.handle:
        condition &= Leg.handle == event.handle
    # What asking found later than it happened, the event puts right.
    ended = update(Leg).where(condition, Leg.left.is_(None) | (Leg.left > event.at))
    db.session.execute(ended.values(left=event.at, left_source=LegSource.EVENT))


def _new_leg(allocation: Allocation, who: Participant, source: LegSource, joined: datetime) -> Leg:
    return Leg(
        allocation_id=allocation.id,
        attendee_id=_attendee_by(allocation, who.token),
        leg=who.leg,
        name=who.name[:300],
        source=source,
        joined=joined,
        seen_at=joined,
    )


def _attendee_by(allocation: Allocation, token: str) -> int | None:
    """Return whose token it is, also of one who is no longer invited; None for a guest."""
    asked = (
        select(Attendee.id)
        .join(Occurrence, Occurrence.meeting_id == Attendee.meeting_id)
        .where(Occurrence.id == allocation.occurrence_id)
    )
    for attendee_id in db.session.scalars(asked):
        if links.access_token(allocation.room, attendee_id) == token:
            return attendee_id
    return None


def _miss_events(bridge_id: int, legs: Iterable[Leg], asked_at: datetime) -> None:
    """State a gap if a join or a leave was found by asking and its event has not come."""
    for leg in legs:
        if leg.left and leg.left_source == LegSource.POLL and leg.left < asked_at - EVENTS_LATE:
            not_heard(bridge_id, "events", leg.left)
        is_late = leg.joined < asked_at - EVENTS_LATE
        if leg.source == LegSource.POLL and leg.left is None and is_late:
            not_heard(bridge_id, "events", leg.joined)


def _open_allocations(bridge_id: int) -> Sequence[Allocation]:
    asked = select(Allocation).where(
        Allocation.bridge_id == bridge_id,
        Allocation.opened_at.is_not(None),
        Allocation.closed_at.is_(None),
    )
    return db.session.scalars(asked).all()


def _legs(allocation_id: int) -> Sequence[Leg]:
    return db.session.scalars(select(Leg).where(Leg.allocation_id == allocation_id)).all()
