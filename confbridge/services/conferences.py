"""Meetings in progress: the rooms they have on bridges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload, undefer

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.health import BridgeState
from confbridge.domain.lifecycle import MeetingState
from confbridge.drivers import RoomSpec
from confbridge.errors import DriverError
from confbridge.models import Account, Allocation, Attendee, Bridge, Meeting, Occurrence
from confbridge.services import access, attendance, bridges, demands, links
from confbridge.services.bridges import Call

LEASE = timedelta(seconds=40)
RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=5)


class Door(StrEnum):
    """Whether one can go in, and if not, why."""

    EARLY = "early"
    OPEN = "open"
    NOT_READY = "not_ready"  # it should be open, and is not yet
    TAKEN = "taken"  # the endpoint is in already, with as many legs as it has ports
    FULL = "full"
    OVER = "over"
    CANCELLED = "cancelled"
    POSTPONED = "postponed"
    GIVEN_BACK = "given_back"  # it has declined, and its place is anybody's
    SECRET = "secret"  # noqa: S105 (it is held on no bridge of ours)
    NOT_INVITED = "not_invited"  # to others of the series, but not to this one


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """What a join page has to know; how to enter only where the door is open."""

    door: Door
    opens_at: datetime
    ports: int = 0
    call: Call | None = None
    room: str = ""
    pin: str = ""
    token: str = ""


@dataclass(frozen=True)
class RoomOrder:
    """A room that a bridge shall open or close; all that can be known without a database."""

    allocation_id: int
    lease: datetime
    call: Call
    spec: RoomSpec


def live(account: Account) -> Sequence[Occurrence]:
    """Return the occurrences with an open room that `account` may watch, in order of time."""
    asked = (
        select(Occurrence)
        .join(Allocation, Allocation.occurrence_id == Occurrence.id)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Allocation.opened_at.is_not(None), Allocation.closed_at.is_(None))
        .where(access.meeting_is_own(account))
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.starts, Occurrence.id)
    )
    return db.session.scalars(asked).unique().all()


def claim_next_to_open() -> RoomOrder | None:
    """Take the room that should have been open longest, for LEASE."""
    now = clock.now()
    wanted = Allocation.live & (Allocation.open_at <= now) & (Allocation.ends > now)
    allocation = _first(wanted, Allocation.open_at)
    if allocation is None:
        return None
    allocation.open_at = now + LEASE
    allocation.tries += 1
    return _order(allocation, allocation.open_at)


def opened(order: RoomOrder) -> None:
    """Record that the room is open."""
    allocation = _again(order)
    now = clock.now()
    allocation.opened_at, allocation.closed_at = allocation.opened_at or now, None
    allocation.tries, allocation.trouble = 0, ""
    if allocation.open_at == order.lease:  # else it is wanted otherwise meanwhile
        allocation.open_at = None
    if not allocation.live:
        allocation.close_at = now  # given up while it was being opened


def opening_failed(order: RoomOrder, error: DriverError) -> None:
    """Try again soon; a room that cannot be opened shows why, until its time is over."""
    allocation = _again(order)
    allocation.trouble = str(error)
    if allocation.open_at == order.lease:
        allocation.open_at = clock.now() + RETRY


def claim_next_to_close() -> RoomOrder | None:
    """Take the room that should have been closed longest, for LEASE."""
    now = clock.now()
    allocation = _first(Allocation.close_at <= now, Allocation.close_at)
    if allocation is None:
        return None
    allocation.close_at = now + LEASE
    allocation.tries += 1
    return _order(allocation, allocation.close_at)


def closed(order: RoomOrder) -> None:
    """Record that the room is gone, and the meeting over unless it goes on elsewhere."""
    allocation = _again(order)
    allocation.closed_at = clock.now()
    allocation.trouble, allocation.tries = "", 0
    if allocation.close_at == order.lease:
        allocation.close_at = None
    _ended(allocation)


def closing_failed(order: RoomOrder, error: DriverError) -> None:
    """Try again later; the meeting is over all the same."""
    allocation = _again(order)
    allocation.trouble = str(error)
    if allocation.close_at == order.lease:
        allocation.close_at = clock.now() + _wait(allocation)
    _ended(allocation)


def of_guests(link: str) -> Occurrence:
    """Return the occurrence that a guests' link leads to.

    Raises NotFound.
    """
    asked = select(Occurrence).where(Occurrence.id == links.guests_of(link))
    return db.session.scalars(asked.options(joinedload(Occurrence.meeting))).one()


def entrance(meeting: Meeting, occurrence: Occurrence, attendee: Attendee | None) -> Entrance:
    """Say whether the attendee (None: a guest) can go in, and how."""
    allocation = access.allocation_of(occurrence)
    opens_at = occurrence.starts - meeting.lead
    door = _door(meeting, occurrence, attendee)
    if door is not Door.OPEN or allocation is None:
        return Entrance(door=door, opens_at=opens_at)
    return Entrance(
        door=door,
        opens_at=opens_at,
        ports=allocation.legs,
        call=call_for(allocation),
        room=allocation.room,
        pin=links.pin(occurrence.id),
        token=links.access_token(allocation.room, attendee.id if attendee else None),
    )


def _door(meeting: Meeting, occurrence: Occurrence, attendee: Attendee | None) -> Door:
    now = clock.now()
    allocation = access.allocation_of(occurrence)
    if meeting.secret:
        return Door.SECRET
    if occurrence.state == MeetingState.POSTPONED:
        return Door.POSTPONED
    if meeting.state == MeetingState.CANCELLED or allocation is None:
        return Door.CANCELLED
    if allocation.closed_at or now >= allocation.ends or meeting.state == MeetingState.OVER:
        return Door.OVER
    return _not_expected(occurrence, attendee) or _at(allocation, meeting, attendee)


def _not_expected(occurrence: Occurrence, attendee: Attendee | None) -> Door | None:
    if attendee is None or attendee.id in demands.holders(occurrence):
        return None
    is_member = attendee.endpoint_id in demands.members([occurrence])[occurrence.id]
    return Door.GIVEN_BACK if is_member else Door.NOT_INVITED


def _at(allocation: Allocation, meeting: Meeting, attendee: Attendee | None) -> Door:
    if not allocation.is_open:
        return Door.EARLY if clock.now() < allocation.starts else Door.NOT_READY
    if allocation.bridge.state != BridgeState.UP:  # asking it would only keep others waiting
        return Door.NOT_READY
    return _room_for(meeting, attendee, attendance.legs_of(allocation, attendee))


def _room_for(meeting: Meeting, attendee: Attendee | None, legs: int) -> Door:
    if attendee is None:
        return Door.FULL if legs >= meeting.guest_ports else Door.OPEN
    return Door.TAKEN if legs >= attendee.ports else Door.OPEN


def call_for(allocation: Allocation) -> Call:
    """Return what is needed to talk to the bridge that this is on."""
    asked = select(Bridge).where(Bridge.id == allocation.bridge_id)
    return bridges.call_of(
        db.session.scalars(
            asked.options(undefer(Bridge.secrets)).execution_options(populate_existing=True)
        ).one()
    )


def _first(condition: object, column: object) -> Allocation | None:
    found: Allocation | None = db.session.scalar(
        select(Allocation)
        .where(condition)  # type: ignore[arg-type]
        .order_by(column, Allocation.id)  # type: ignore[arg-type]
        .with_for_update(of=Allocation, skip_locked=True)
        .limit(1)
    )
    return found


def _order(allocation: Allocation, lease: datetime) -> RoomOrder:
    meeting = _meeting_of(allocation)
    attendees = demands.holders(_occurrence_of(allocation))
    guests = [None] if meeting.guest_ports else []
    spec = RoomSpec(
        name=allocation.room,
        title=meeting.title,
        ports=allocation.legs,
        pin=links.pin(allocation.occurrence_id),
        secret=links.room_secret(allocation.room),
        tokens=frozenset(links.access_token(allocation.room, one) for one in [*attendees, *guests]),
    )
    return RoomOrder(allocation.id, lease, call_for(allocation), spec)


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
