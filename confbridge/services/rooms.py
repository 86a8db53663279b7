"""Rooms on bridges: opened just in time, a few at once on each bridge, and closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import undefer

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.lifecycle import MeetingState
from confbridge.drivers import RoomSpec
from confbridge.errors import DriverError
from confbridge.models import (
    Allocation,
    Attendee,
    Bridge,
    DialOut,
    Exclusion,
    Leg,
    Meeting,
    Occurrence,
    RoomStep,
)
from confbridge.services import attendance, bridges, demands, links
from confbridge.services.bridges import Call

LEASE = timedelta(seconds=40)
RETRY = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=1)  # between two tries to open
LONGEST_RETRY = timedelta(minutes=5)
WATCH_AFTER = timedelta(seconds=10)


@dataclass(frozen=True)
class RoomOrder:
    """A room that a bridge shall open or close; all that can be known without a database."""

    allocation_id: int
    lease: datetime
    call: Call
    spec: RoomSpec


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a bridge answered, in full but for secrets, and how long it took."""

    answer: str = ""
    took: float = 0.0


def claim_next_to_open() -> RoomOrder | None:
    """Take the room whose meeting starts first, for LEASE.

    No bridge is given more at one time than it opens at one time: which room is next is
    decided with its bridge locked, and a bridge that another is deciding about is passed over.
    """
    now = clock.now()
    due = (Allocation.open_at <= now) & Allocation.live & (Allocation.ends > now)
    waiting = select(Allocation.bridge_id).where(due).distinct()
    for bridge in db.session.scalars(
        select(Bridge)
        .where(Bridge.id.in_(waiting))
        .order_by(Bridge.id)
        .with_for_update(of=Bridge, key_share=True, skip_locked=True)
    ):
        at_it = select(func.count(Allocation.id)).where(
            Allocation.bridge_id == bridge.id, Allocation.claimed_until > now
        )
        if db.session.scalars(at_it).one() >= bridge.in_flight:
            continue
        allocation = db.session.scalar(
            select(Allocation)
            .join(Occurrence, Occurrence.id == Allocation.occurrence_id)
            .where(due, Allocation.bridge_id == bridge.id)
            .order_by(Occurrence.starts, Allocation.open_at, Allocation.id)
            .with_for_update(of=Allocation, skip_locked=True)
            .limit(1)
        )
        if allocation is not None:
            allocation.open_at = allocation.claimed_until = now + LEASE
            allocation.tries += 1
            return _order(allocation, allocation.open_at)
    return None


def opened(order: RoomOrder, said: Said) -> None:
    """Record that the room is open."""
    allocation = _again(order)
    now = clock.now()
    is_new = not allocation.is_open
    allocation.opened_at, allocation.closed_at = allocation.opened_at or now, None
    _step(allocation, "open", said, ok=True)
    allocation.tries, allocation.trouble, allocation.claimed_until = 0, "", None
    if allocation.open_at == order.lease:  # else it is wanted otherwise meanwhile
        allocation.open_at = None
    if not allocation.live:
        allocation.close_at = now  # given up while it was being opened
        return
    occurrence = _occurrence_of(allocation)
    occurrence.watch_at = now + WATCH_AFTER
    if is_new:  # who was dialled on another bridge is dialled again
        again = update(DialOut).where(DialOut.occurrence_id == occurrence.id)
        db.session.execute(again.values(due=now, tries=0, trouble=""))


def opening_failed(order: RoomOrder, error: DriverError, said: Said) -> None:
    """Try again, less and less often, until the meeting starts; then once in a while.

    Then it is time for another bridge (see `rescue`): but if there is none, a late room is better
    than none, for as long as the meeting lasts.
    """
    allocation = _again(order)
    allocation.trouble, allocation.claimed_until = str(error), None
    _step(allocation, "open", said, why=str(error))
    if allocation.open_at != order.lease:
        return
    occurrence, now = _occurrence_of(allocation), clock.now()
    occurrence.watch_at = occurrence.watch_at or now
    next_try = now + min(RETRY * allocation.tries, LONGEST_WAIT)
    if now < occurrence.starts < next_try:
        next_try = occurrence.starts  # the last of the regular ones
    allocation.open_at = next_try if next_try < allocation.ends else None


def claim_next_to_close() -> RoomOrder | None:
    """Take the room that should have been closed longest, for LEASE."""
    now = clock.now()
    allocation = db.session.scalar(
        select(Allocation)
        .where(Allocation.close_at <= now)
        .order_by(Allocation.close_at, Allocation.id)
        .with_for_update(of=Allocation, skip_locked=True)
        .limit(1)
    )
    if allocation is None:
        return None
    allocation.close_at = now + LEASE
    allocation.tries += 1
    return _order(allocation, allocation.close_at)


def closed(order: RoomOrder, said: Said) -> None:
    """Record that the room is gone, and the meeting over unless it goes on elsewhere."""
    allocation = _again(order)
    allocation.closed_at = clock.now()
    _step(allocation, "close", said, ok=True)
    allocation.trouble, allocation.tries = "", 0
    if allocation.close_at == order.lease:
        allocation.close_at = None
    _ended(allocation)


def closing_failed(order: RoomOrder, error: DriverError, said: Said) -> None:
    """Try again later; the meeting is over all the same."""
    allocation = _again(order)
    allocation.trouble = str(error)
    _step(allocation, "close", said, why=str(error))
    if allocation.close_at == order.lease:
        allocation.close_at = clock.now() + _wait(allocation)
    _ended(allocation)


def steps_of(occurrence: Occurrence, *, limit: int = 100) -> Sequence[tuple[RoomStep, str]]:
    """Return what was done to the rooms of an occurrence, the last first, with bridges' codes."""
    asked = (
        select(RoomStep, Bridge.code)
        .join(Allocation, Allocation.id == RoomStep.allocation_id)
        .join(Bridge, Bridge.id == Allocation.bridge_id)
        .where(Allocation.occurrence_id == occurrence.id)
        .order_by(RoomStep.id.desc())
        .limit(limit)
    )
    return [(step, code) for step, code in db.session.execute(asked)]


def order_for(allocation: Allocation) -> RoomOrder:
    """Return the room as it shall be now, to be brought to it at once."""
    return _order(allocation, clock.now())


def note(allocation_id: int, step: str, why: str) -> None:
    """Keep that something was done to a room, other than by asking its bridge."""
    db.session.add(
        RoomStep(allocation_id=allocation_id, at=clock.now(), step=step, ok=True, said=why)
    )


def call_for(allocation: Allocation) -> Call:
    """Return what is needed to talk to the bridge that this is on."""
    asked = select(Bridge).where(Bridge.id == allocation.bridge_id)
    return bridges.call_of(
        db.session.scalars(
            asked.options(undefer(Bridge.secrets)).execution_options(populate_existing=True)
        ).one()
    )


def admitted(occurrence: Occurrence, meeting: Meeting) -> list[int | None]:
    """Return the attendees' ids (None: guests) that may come into the room as things are.

    Into a locked one only those who have been in it; an endpoint put out not at all.
    """
    out = select(Exclusion.attendee_id).where(Exclusion.occurrence_id == occurrence.id)
    gone = set(db.session.scalars(out))
    some: list[int | None] = [one for one in demands.holders(occurrence) if one not in gone]
    if meeting.guest_ports:
        some.append(None)
    if not occurrence.locked:
        return some
    asked = (
        select(Leg.attendee_id)
        .join(Allocation, Allocation.id == Leg.allocation_id)
        .where(Allocation.occurrence_id == occurrence.id)
    )
    known = set(db.session.scalars(asked))
    return [one for one in some if one in known]


def meeting_of(occurrence: Occurrence) -> Meeting:
    """Return the meeting of an occurrence that was read without it."""
    return db.session.get_one(Meeting, occurrence.meeting_id)


def is_put_out(occurrence: Occurrence, attendee: Attendee) -> bool:
    """Say whether an operator has put this endpoint out, not to come back."""
    asked = select(Exclusion.id).where(
        Exclusion.occurrence_id == occurrence.id, Exclusion.attendee_id == attendee.id
    )
    return db.session.scalar(asked) is not None


def _order(allocation: Allocation, lease: datetime) -> RoomOrder:
    occurrence, meeting = _occurrence_of(allocation), _meeting_of(allocation)
    some = admitted(occurrence, meeting)
    spec = RoomSpec(
        name=allocation.room,
        title=meeting.title,
        ports=allocation.legs,
        pin=links.pin(allocation.occurrence_id),
        secret=links.room_secret(allocation.room),
        tokens=frozenset(links.access_token(allocation.room, one) for one in some),
        number=links.dial_number(meeting.id),
        until=allocation.ends,
        locked=occurrence.locked,
        recording=occurrence.recording,
    )
    return RoomOrder(allocation.id, lease, call_for(allocation), spec)


def _step(
    allocation: Allocation, step: str, said: Said, *, ok: bool = False, why: str = ""
) -> None:
    db.session.add(
        RoomStep(
            allocation_id=allocation.id,
            at=clock.now(),
            step=step,
            number=allocation.tries,
            ok=ok,
            said=why,
            answer=said.answer,
            took=round(said.took * 1000),
        )
    )


def _meeting_of(allocation: Allocation) -> Meeting:
    asked = select(Meeting).join(Occurrence).where(Occurrence.id == allocation.occurrence_id)
    return db.session.scalars(asked).one()


def _occurrence_of(allocation: Allocation) -> Occurrence:
    return db.session.get_one(Occurrence, allocation.occurrence_id)


def _again(order: RoomOrder) -> Allocation:
    asked = select(Allocation).where(Allocation.id == order.allocation_id)
    # The meeting first, as every change of it does, so that the two cannot wait for each other.
    meeting = select(Meeting.id).join(Occurrence).join(Allocation)
    meeting = meeting.where(Allocation.id == order.allocation_id)
    db.session.execute(meeting.with_for_update(of=Meeting))
    return db.session.scalars(asked.with_for_update(of=Allocation)).one()


def _wait(allocation: Allocation) -> timedelta:
    doublings = min(allocation.tries - 1, 10)
    return min(RETRY * (1 << doublings), LONGEST_RETRY)


def _ended(allocation: Allocation) -> None:
    attendance.everybody_left_room(allocation.id)
    if not allocation.live:
        return
    over = MeetingState.OVER
    occurrence = update(Occurrence).where(Occurrence.id == allocation.occurrence_id)
    db.session.execute(
        occurrence.where(Occurrence.state == MeetingState.SCHEDULED).values(state=over)
    )
    meeting = _meeting_of(allocation)
    left = select(Occurrence.id).where(
        Occurrence.meeting_id == meeting.id, Occurrence.state.not_in([*lifecycle.ENDED])
    )
    if meeting.state == MeetingState.SCHEDULED and not db.session.scalars(left).first():
        meeting.state = over
        meeting.version += 1
