"""Meetings in progress: the rooms they have on bridges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain.lifecycle import MeetingState
from confbridge.models import Account, Allocation, Attendee, Meeting, Occurrence
from confbridge.services import access, attendance, demands, links, rooms
from confbridge.services.bridges import Call


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
    LOCKED = "locked"
    PUT_OUT = "put_out"  # by an operator, and not to come back


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
    is_chair: bool = False


def live(account: Account) -> Sequence[Occurrence]:
    """Return the occurrences with an open room that `account` may watch, in order of time."""
    asked = (
        select(Occurrence)
        .join(Allocation, Allocation.occurrence_id == Occurrence.id)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Allocation.opened_at.is_not(None), Allocation.closed_at.is_(None))
        .where(Allocation.live, access.meeting_is_own(account))
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.starts, Occurrence.id)
    )
    return db.session.scalars(asked).unique().all()


def over(account: Account, *, limit: int = 50) -> Sequence[Occurrence]:
    """Return the occurrences whose room was closed, that `account` may watch; the last first."""
    asked = (
        select(Occurrence)
        .join(Allocation, Allocation.occurrence_id == Occurrence.id)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Allocation.opened_at.is_not(None), Allocation.closed_at.is_not(None))
        .where(Allocation.live, access.meeting_is_own(account))
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.starts.desc(), Occurrence.id.desc())
        .limit(limit)
    )
    return db.session.scalars(asked).unique().all()


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
        call=rooms.call_for(allocation),
        room=allocation.room,
        pin=links.pin(occurrence.id),
        token=links.access_token(allocation.room, attendee.id if attendee else None),
        is_chair=attendee is not None and attendee.role == "main",
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
    if allocation.bridge.is_silent:  # asking it would only keep others waiting
        return Door.NOT_READY
    kept_out = _kept_out(allocation, meeting, attendee)
    if kept_out:
        return kept_out
    return _room_for(meeting, attendee, attendance.legs_of(allocation, attendee))


def _kept_out(allocation: Allocation, meeting: Meeting, attendee: Attendee | None) -> Door | None:
    occurrence = db.session.get_one(Occurrence, allocation.occurrence_id)
    if attendee is not None and rooms.is_put_out(occurrence, attendee):
        return Door.PUT_OUT
    if not occurrence.locked:
        return None
    if attendee is None:  # guests have one key together: who is new cannot be told from it
        return Door.LOCKED
    return None if attendee.id in rooms.admitted(occurrence, meeting) else Door.LOCKED


def _room_for(meeting: Meeting, attendee: Attendee | None, legs: int) -> Door:
    if attendee is None:
        return Door.FULL if legs >= meeting.guest_ports else Door.OPEN
    return Door.TAKEN if legs >= attendee.ports else Door.OPEN
