"""Calling endpoints into a conference, also again on another bridge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.drivers import Visitor
from confbridge.errors import DriverError
from confbridge.models import Allocation, Attendee, DialOut, Leg, Occurrence
from confbridge.services import links, rooms
from confbridge.services.rooms import RoomOrder

LEASE = timedelta(seconds=120)  # longer than anybody is let ring
RETRY = timedelta(seconds=15)
MOST_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Dialling:
    """An endpoint to be called into a room; all that can be known without a database."""

    dial_out_id: int
    lease: datetime
    order: RoomOrder
    address: str
    visitor: Visitor


def claim_next() -> Dialling | None:
    """Take the endpoint that has waited longest to be called, for LEASE.

    Who is in already is not called, and nobody into a room that is not open.
    """
    now = clock.now()
    one = db.session.scalar(
        select(DialOut)
        .where(DialOut.due <= now)
        .order_by(DialOut.due, DialOut.id)
        .with_for_update(of=DialOut, skip_locked=True)
        .limit(1)
    )
    if one is None:
        return None
    occurrence = db.session.get_one(Occurrence, one.occurrence_id)
    room = occurrence.primary
    if room is None or not room.is_open or not _is_wanted(occurrence, room, one.attendee_id):
        one.due = None  # when the room opens again, it is due again
        return claim_next()
    one.due, one.tries = now + LEASE, one.tries + 1
    attendee = db.session.get_one(Attendee, one.attendee_id)
    token = links.access_token(room.room, attendee.id)
    return Dialling(
        dial_out_id=one.id,
        lease=one.due,
        order=rooms.order_for(room),
        address=attendee.endpoint.address,
        visitor=Visitor(name=attendee.endpoint.name, token=token),
    )


def dialled(dialling: Dialling, error: DriverError | None) -> None:
    """Record what became of a call; one that failed is made again, a few times."""
    one = db.session.get_one(DialOut, dialling.dial_out_id)
    one.trouble = str(error) if error else ""
    if one.due != dialling.lease:
        return  # it is wanted otherwise meanwhile
    again = error is not None and not error.permanent and one.tries < MOST_TRIES
    one.due = clock.now() + RETRY if again else None


def _is_wanted(occurrence: Occurrence, room: Allocation, attendee_id: int) -> bool:
    """Say whether it may come in, and is not in already."""
    meeting = rooms.meeting_of(occurrence)
    return attendee_id in rooms.admitted(occurrence, meeting) and not _is_in(room, attendee_id)


def _is_in(room: Allocation, attendee_id: int) -> bool:
    asked = select(Leg.id).where(
        Leg.allocation_id == room.id, Leg.attendee_id == attendee_id, Leg.left.is_(None)
    )
    return db.session.scalars(asked.limit(1)).first() is not None
