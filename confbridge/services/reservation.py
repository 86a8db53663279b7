"""What a bridge that asks before it opens a room is told: whether it may, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.errors import NotFound, Phrase
from confbridge.models import Allocation, Bridge


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A room that may be open now."""

    id: int
    name: str
    starts: datetime
    seconds: int
    legs: int


def grant(bridge: Bridge, name: str) -> Granted:
    """Return until when a room of ours may be open; the same however often it is asked.

    With tenants the name is that of the room after one in brackets.

    Raises NotFound.
    """
    room = name.rpartition("]")[2]
    asked = select(Allocation).where(Allocation.bridge_id == bridge.id, Allocation.room == room)
    return _granted(db.session.scalar(asked), name)


def granted(bridge: Bridge, number: int) -> Granted:
    """Return what was granted before, by its number.

    Raises NotFound.
    """
    asked = select(Allocation).where(Allocation.bridge_id == bridge.id, Allocation.id == number)
    found = db.session.scalar(asked)
    return _granted(found, found.room if found else "")


def granted_before(bridge: Bridge, number: int) -> None:
    """Check that the number is one of this bridge's rooms, also of one whose time is over.

    Raises NotFound.
    """
    asked = select(Allocation.id).where(Allocation.bridge_id == bridge.id, Allocation.id == number)
    if db.session.scalar(asked) is None:
        raise NotFound(Phrase("No meeting is held in this room now."))


def _granted(found: Allocation | None, name: str) -> Granted:
    now = clock.now()
    if found is None or not found.live or not found.starts <= now < found.ends:
        raise NotFound(Phrase("No meeting is held in this room now."))
    # From its start, and not from now: whoever asks counts from what we say it is.
    seconds = int((found.ends - found.starts).total_seconds())
    return Granted(id=found.id, name=name, starts=found.starts, seconds=seconds, legs=found.legs)
