"""What a join page tells every few seconds while it is in a conference, and is told back.

Very many pages ask at once, so that no more is read here than is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, Select, select

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.health import BridgeState
from confbridge.domain.placement import AllocationRole
from confbridge.errors import NotFound, Phrase
from confbridge.inputs.live import Pulse
from confbridge.models import Allocation, Attendee, Bridge, Leg, Notice, Occurrence
from confbridge.services import links

WRITE_AGAIN = timedelta(seconds=30)  # so long what has not changed is not written again
TOLD = ("picture", "sound", "hand")
COARSE = {"loss": 0.005, "delay": 0.02}  # smaller changes are not worth a write


@dataclass(frozen=True, kw_only=True)
class Whose:
    """Whose pulse it is: an attendee's, or a guest's (None), and where the conference is now."""

    attendee_id: int | None
    place: Place | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """The room of a conference, and whether its bridge answers."""

    occurrence_id: int
    allocation_id: int
    room: str
    is_open: bool
    by_page: bool


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a page is told: where its conference is now, and what was said to all since."""

    room: str
    is_open: bool  # and on a bridge that answers
    is_over: bool
    muted: bool
    notices: Sequence[Notice]


def of_attendee(link: str) -> Whose:
    """Return whose pulse comes by this link.

    Raises NotFound.
    """
    asked = select(Attendee.id, Attendee.meeting_id).where(
        Attendee.id == links.attendee_of(link), Attendee.invited
    )
    found = db.session.execute(asked).first()
    if found is None:
        raise NotFound(Phrase("This link is not valid. Was it copied whole?"))
    rooms = _rooms().where(Occurrence.meeting_id == found.meeting_id)
    return Whose(attendee_id=found.id, place=_place(rooms))


def of_guest(link: str) -> Whose:
    """Return where the conference is to which this guests' link leads.

    Raises NotFound.
    """
    return Whose(
        attendee_id=None, place=_place(_rooms().where(Occurrence.id == links.guests_of(link)))
    )


def beat(whose: Whose, pulse: Pulse) -> Beat:
    """Return where the conference is and what is new in it; changes nothing.

    What was said in it is told to who is in it. A guest's link alone tells nothing: it is the
    PIN that lets a guest in.
    """
    place = whose.place
    if place is None:
        return Beat(room="", is_open=False, is_over=True, muted=False, notices=())
    leg = _leg(whose, pulse)
    notices: Sequence[Notice] = ()
    if leg is not None or (whose.attendee_id is not None and not place.by_page):
        asked = select(Notice).where(
            Notice.occurrence_id == place.occurrence_id, Notice.id > pulse.notice
        )
        notices = db.session.scalars(asked.order_by(Notice.id).limit(20)).all()
    return Beat(
        room=place.room if leg is not None or whose.attendee_id is not None else "",
        is_open=place.is_open,
        is_over=False,
        muted=leg.muted if leg else False,
        notices=notices,
    )


def is_news(whose: Whose, pulse: Pulse) -> bool:
    """Say whether the page tells something that we do not know yet."""
    leg = _leg(whose, pulse)
    if leg is None:
        return False
    if leg.told_at is None or clock.now() - leg.told_at >= WRITE_AGAIN:
        return True
    if any(getattr(leg, name) != getattr(pulse, name) for name in TOLD):
        return True
    for name, step in COARSE.items():
        was, now = getattr(leg, name), getattr(pulse, name)
        if now is not None and (was is None or abs(was - now) > step):
            return True
    return False


def keep(whose: Whose, pulse: Pulse) -> None:
    """Write down what a page tells of its own leg, and of no other."""
    leg = _leg(whose, pulse)
    if leg is None:
        return
    for name in (*TOLD, *COARSE):
        setattr(leg, name, getattr(pulse, name))
    leg.told_at = clock.now()


# id, room, opened_at, closed_at, occurrence_id, state, bad, driver
Found = Row[int, str, datetime | None, datetime | None, int, str, int, str]


def _rooms() -> Select[int, str, datetime | None, datetime | None, int, str, int, str]:
    """Return the question for the room that is in use, or comes next."""
    return (
        select(
            Allocation.id,
            Allocation.room,
            Allocation.opened_at,
            Allocation.closed_at,
            Allocation.occurrence_id,
            Bridge.state,
            Bridge.bad,
            Bridge.driver,
        )
        .join(Occurrence, Occurrence.id == Allocation.occurrence_id)
        .join(Bridge, Bridge.id == Allocation.bridge_id)
        .where(
            Allocation.live,
            Allocation.role == AllocationRole.PRIMARY,
            Allocation.ends > clock.now(),
        )
        .order_by(Occurrence.starts)
        .limit(1)
    )


def _place(
    asked: Select[int, str, datetime | None, datetime | None, int, str, int, str],
) -> Place | None:
    found: Found | None = db.session.execute(asked).first()
    if found is None or found.closed_at is not None:
        return None
    is_silent = found.state == BridgeState.DOWN or (found.state != BridgeState.UP and found.bad)
    return Place(
        occurrence_id=found.occurrence_id,
        allocation_id=found.id,
        room=found.room,
        is_open=found.opened_at is not None and not is_silent,
        by_page=drivers.terms(found.driver).by_page,
    )


def _leg(whose: Whose, pulse: Pulse) -> Leg | None:
    if whose.place is None or not pulse.leg:
        return None
    found: Leg | None = db.session.scalar(
        select(Leg).where(
            Leg.allocation_id == whose.place.allocation_id,
            Leg.leg == pulse.leg,
            Leg.attendee_id == whose.attendee_id,
            Leg.left.is_(None),
        )
    )
    return found
