"""Who calls in by SIP, and where they are let in."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import joinedload, undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.drivers import Caller, Seat, Visitor
from confbridge.models import Allocation, Bridge, Endpoint, Meeting, Occurrence
from confbridge.services import attendance, bridges, links, rooms
from confbridge.services.bridges import Call


def lines() -> list[Call]:
    """Return what is needed to take calls for each bridge that has none to take them itself."""
    asked = select(Bridge).where(Bridge.active).options(undefer(Bridge.secrets))
    return [
        bridges.call_of(one)
        for one in db.session.scalars(asked.order_by(Bridge.id))
        if "take_calls" in drivers.powers(one.driver)
    ]


def seat_for(bridge_id: int, caller: Caller) -> Seat | None:
    """Return where a caller is let in: an invited endpoint, by the address it calls from.

    None: nothing is on under that number here, or it is not for this endpoint.
    """
    if not caller.number.isdecimal():
        return None
    asked = (
        select(Occurrence)
        .join(Allocation, Allocation.occurrence_id == Occurrence.id)
        .where(
            Occurrence.meeting_id == int(caller.number),
            Allocation.bridge_id == bridge_id,
            Allocation.live,
            Allocation.opened_at.is_not(None),
            Allocation.closed_at.is_(None),
            Allocation.ends > clock.now(),
        )
        .options(joinedload(Occurrence.meeting))
    )
    occurrence = db.session.scalars(asked).unique().first()
    if occurrence is None:
        return None
    return _seat(occurrence, occurrence.meeting, caller)


def _seat(occurrence: Occurrence, meeting: Meeting, caller: Caller) -> Seat | None:
    room = occurrence.primary
    allowed = rooms.admitted(occurrence, meeting)
    wanted = attendance.plain_address(caller.address)
    for one in meeting.attendees:
        endpoint: Endpoint = one.endpoint
        if room is None or one.id not in allowed or not endpoint.address:
            continue
        if attendance.plain_address(endpoint.address) != wanted:
            continue
        if attendance.legs_of(room, one) >= one.ports:
            return None
        token = links.access_token(room.room, one.id)
        visitor = Visitor(name=endpoint.name, token=token)
        return Seat(room=room.room, pin=links.pin(occurrence.id), visitor=visitor)
    return None
