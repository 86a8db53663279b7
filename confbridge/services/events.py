"""What bridges report: kept as it comes, at once, and worked on in order, each event once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import aliased, undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.drivers import (
    Begun,
    CanReportEvents,
    Delivery,
    Event,
    Joined,
    Left,
    Marked,
    Participant,
    Told,
)
from confbridge.errors import DriverError, NotAllowed, Phrase
from confbridge.models import (
    Allocation,
    Bridge,
    BridgeEvents,
    EventKey,
    EventStream,
    Gap,
    Leg,
    LegSource,
)
from confbridge.models.bridge import LONGEST
from confbridge.services import attendance

LEASE = timedelta(seconds=20)
MOST_TRIES = 5
MOST_AT_ONCE = 50  # batches worked on in one transaction
LATEST = timedelta(days=1)  # so long after its room was due to close an event may come
KEYS_KEPT = timedelta(days=2)  # so long a maker may send the same event again


def reporting_bridge(code: str, delivery: Delivery) -> Bridge:
    """Return the bridge that has sent this.

    Raises NotAllowed.
    """
    bridge = db.session.scalar(
        select(Bridge).where(Bridge.code == code, Bridge.active).options(undefer(Bridge.secrets))
    )
    if bridge is not None:
        try:
            driver = drivers.load(bridge.driver, {**bridge.settings, **bridge.secrets})
        except DriverError as error:
            raise NotAllowed(Phrase("These are not the credentials of a bridge.")) from error
        if isinstance(driver, CanReportEvents) and driver.is_from_bridge(delivery):
            return bridge
    raise NotAllowed(Phrase("These are not the credentials of a bridge."))


def store(bridge: Bridge, delivery: Delivery) -> None:
    """Keep a batch as it came; it is worked on later, so that nothing is lost now."""
    now = clock.now()
    kept = delivery.envelope()
    db.session.add(BridgeEvents(bridge_id=bridge.id, received_at=now, body=kept, due=now))


def claim_next() -> list[int]:
    """Take the oldest batches of one bridge for LEASE, and return their ids.

    A bridge's batches are worked on in their order: while one is held, or waits to be tried
    again, the later ones wait with it. One that has failed is tried alone, and given up on after
    MOST_TRIES, so that it does not block the rest.
    """
    now = clock.now()
    earlier = aliased(BridgeEvents)
    first = ~exists().where(
        earlier.bridge_id == BridgeEvents.bridge_id,
        earlier.id < BridgeEvents.id,
        earlier.due.is_not(None),
    )
    oldest = db.session.scalar(
        select(BridgeEvents)
        .where(BridgeEvents.due <= now, first)
        .order_by(BridgeEvents.id)
        .with_for_update(of=BridgeEvents, skip_locked=True)
        .limit(1)
    )
    if oldest is None:
        return []
    if oldest.tries:
        batches: Sequence[BridgeEvents] = [oldest]
    else:
        batches = db.session.scalars(
            select(BridgeEvents)
            .where(
                BridgeEvents.bridge_id == oldest.bridge_id,
                BridgeEvents.due <= now,
                BridgeEvents.tries == 0,
                BridgeEvents.id >= oldest.id,
            )
            .order_by(BridgeEvents.id)
            .with_for_update(of=BridgeEvents)
            .limit(MOST_AT_ONCE)
        ).all()
    for batch in batches:
        batch.tries += 1
        batch.due = now + LEASE if batch.tries <= MOST_TRIES else None
        batch.trouble = "" if batch.due else "given up on"
    return [batch.id for batch in batches]


def put_back(ids: Sequence[int]) -> None:
    """Let batches that failed together be tried one by one."""
    for batch in db.session.scalars(select(BridgeEvents).where(BridgeEvents.id.in_(ids))):
        batch.due = clock.now()


def work_on(ids: Sequence[int]) -> None:
    """Record what some batches of one bridge say, all of it or nothing."""
    asked = select(BridgeEvents).where(BridgeEvents.id.in_(ids), BridgeEvents.due.is_not(None))
    batches = db.session.scalars(asked.order_by(BridgeEvents.id)).all()
    if not batches:
        return
    bridge = db.session.scalars(
        select(Bridge)
        .where(Bridge.id == batches[0].bridge_id)
        .options(undefer(Bridge.secrets))
        .with_for_update(of=Bridge, key_share=True)  # a visit to the bridge writes the same legs
    ).one()
    events: list[Event] = []
    for batch in batches:
        try:
            driver = drivers.load(bridge.driver, {**bridge.settings, **bridge.secrets})
            events += driver.events(batch.body) if isinstance(driver, CanReportEvents) else []
        except DriverError as error:
            batch.trouble, batch.due = str(error), None
        else:
            db.session.delete(batch)
    apply(bridge, events)
    if any(one.due for one in batches):
        attendance.heard(bridge.id, "events")


def apply(bridge: Bridge, events: Sequence[Event]) -> None:
    """Record events in their order; the same one again changes nothing."""
    fresh = _numbered(bridge, _unknown(bridge, events))
    ledger = _Ledger(bridge.id, fresh)
    for event in fresh:
        match event:
            case Begun():
                ledger.begin(event)
            case Joined():
                ledger.join(event)
            case Left():
                ledger.leave(event)
            case Told():
                ledger.tell(event)
            case Marked():
                bridge.mark_heard_at = clock.now()  # by our clock: the bridge's may be another
    if any(isinstance(one, Joined) and not (one.token or one.address) for one in fresh):
        bridge.compared_at, bridge.probe_at = None, clock.now()  # the bridge knows whose it is
    db.session.flush()


def forget_old() -> bool:
    """Forget the keys of events so old that they are not sent again; say whether there were."""
    old = delete(EventKey).where(EventKey.at < clock.now() - KEYS_KEPT)
    found = db.session.execute(old)
    return bool(getattr(found, "rowcount", 0))


def _unknown(bridge: Bridge, events: Sequence[Event]) -> list[Event]:
    """Return the events that have not been worked on, by their maker's keys."""
    keys = {one.key for one in events if one.key}
    if not keys:
        return list(events)
    asked = select(EventKey.key).where(EventKey.bridge_id == bridge.id, EventKey.key.in_(keys))
    known = set(db.session.scalars(asked))
    fresh = []
    for event in events:
        if event.key and event.key in known:
            continue
        if event.key:
            known.add(event.key)
            db.session.add(EventKey(bridge_id=bridge.id, key=event.key, at=clock.now()))
        fresh.append(event)
    return fresh


def _numbered(bridge: Bridge, events: list[Event]) -> list[Event]:
    """Return the events that are new by their numbers, and state a gap where one is left out."""
    if all(one.number is None and not one.missing for one in events):
        return events
    asked = select(EventStream).where(EventStream.bridge_id == bridge.id)
    streams = {one.name: one for one in db.session.scalars(asked)}
    fresh = []
    for event in events:
        stream = streams.get(event.stream)
        if event.number is None:
            fresh.append(event)
            continue
        if stream is None:
            stream = EventStream(
                bridge_id=bridge.id, name=event.stream, number=event.number - 1, at=event.at
            )
            db.session.add(stream)
            streams[event.stream] = stream
        if event.number <= stream.number:
            continue
        if event.number > stream.number + 1 or event.missing:
            _state_gap(bridge, stream.at, event.at)
        stream.number, stream.at = event.number, max(stream.at, event.at)
        fresh.append(event)
    return fresh


def _state_gap(bridge: Bridge, starts: datetime, ends: datetime) -> None:
    """State that something between two events was lost; who is in is asked soon."""
    if ends > starts:
        db.session.add(Gap(bridge_id=bridge.id, why="events", starts=starts, ends=ends))
    bridge.compared_at = None
    bridge.probe_at = clock.now()


class _Ledger:
    """The rooms and legs that some events are about, read with a few questions for all of them."""

    def __init__(self, bridge_id: int, events: Sequence[Event]) -> None:
        named = {one.room for one in events if isinstance(one, Begun | Joined | Told)} - {""}
        calls = {one.call for one in events if isinstance(one, Joined)} - {""}
        rooms = select(Allocation).where(
            Allocation.bridge_id == bridge_id,
            or_(Allocation.room.in_(named), Allocation.call.in_(calls)),
        )
        some = db.session.scalars(rooms).all() if named or calls else ()
        self._rooms = {one.room: one for one in some}
        self._calls = {one.call: one for one in some if one.call}
        self._holders: dict[int, dict[str, int]] = {}
        legs = {one.leg for one in events if isinstance(one, Joined | Told)}
        first = min((one.at for one in events), default=clock.now())
        last = max((one.at for one in events), default=first)
        asked = (
            select(Leg, Allocation.room)
            .join(Allocation, Allocation.id == Leg.allocation_id)
            .where(
                Allocation.bridge_id == bridge_id,
                Allocation.ends > first - LATEST,
                Allocation.ends < last + LATEST + LONGEST,
            )
            .where(or_(Leg.left.is_(None), Leg.left > first, Leg.leg.in_(legs)))
        )
        self._legs: dict[tuple[str, str], Leg] = {}
        if events:
            for leg, room in db.session.execute(asked):
                self._legs[room, leg.leg] = leg

    def join(self, event: Joined) -> None:
        allocation = self._rooms.get(event.room) if event.room else self._calls.get(event.call)
        if allocation is None:
            return  # a room that is not ours
        room = allocation.room
        leg = self._legs.get((room, event.leg))
        if leg is not None and attendance.is_another(leg, event.at):
            attendance.make_way(leg)
            leg = None
        if leg is None:
            who = Participant(leg=event.leg, name=event.name, token=event.token)
            whose = self._holder(allocation, event)
            leg = attendance.new_leg(allocation, who, LegSource.EVENT, event.at, whose)
            db.session.add(leg)
            self._legs[room, event.leg] = leg
        leg.joined, leg.source = min(leg.joined, event.at), LegSource.EVENT
        leg.handle = event.handle or leg.handle
        if leg.attendee_id is None:
            leg.attendee_id = self._holder(allocation, event)

    def begin(self, event: Begun) -> None:
        allocation = self._rooms.get(event.room)
        if allocation is not None:
            allocation.call = event.call
            self._calls[event.call] = allocation

    def leave(self, event: Left) -> None:
        # What asking found later than it happened, the event puts right.
        for (room, _), leg in self._legs.items():
            if leg.joined > event.at or (leg.left is not None and leg.left <= event.at):
                continue
            if _is_about(event, room, leg):
                leg.left, leg.left_source = event.at, LegSource.EVENT

    def tell(self, event: Told) -> None:
        leg = self._legs.get((event.room, event.leg))
        if leg is None:
            return
        for name in ("picture", "sound", "hand"):
            value = getattr(event, name)
            if value is not None:
                setattr(leg, name, value)
                leg.told_at = event.at

    def _holder(self, allocation: Allocation, event: Joined) -> int | None:
        if allocation.id not in self._holders:
            self._holders[allocation.id] = attendance.holders_by_key(allocation)
        return attendance.holder(self._holders[allocation.id], event.token, event.address)


def _is_about(event: Left, room: str, leg: Leg) -> bool:
    if (event.room and event.room != room) or (event.leg and event.leg != leg.leg):
        return False
    if event.handle.endswith("/"):
        return leg.handle.startswith(event.handle)
    return not event.handle or leg.handle == event.handle
