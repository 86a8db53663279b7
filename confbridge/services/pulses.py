"""What a join page tells every few seconds while it is in a conference, and is told back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.inputs.live import Pulse
from confbridge.models import Allocation, Attendee, Leg, Notice, Occurrence

WRITE_AGAIN = timedelta(seconds=30)  # so long what has not changed is not written again
TOLD = ("picture", "sound", "hand")
COARSE = {"loss": 0.005, "delay": 0.02}  # smaller changes are not worth a write


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a page is told: where its conference is now, and what was said to all since."""

    room: str
    is_open: bool  # and on a bridge that answers
    is_over: bool
    muted: bool
    notices: Sequence[Notice]


def beat(occurrence: Occurrence, attendee: Attendee | None, pulse: Pulse) -> Beat:
    """Return where the conference is and what is new in it; changes nothing.

    What was said in it is told to who is in it. A guest's link alone tells nothing: it is the
    PIN that lets a guest in.
    """
    allocation = occurrence.primary
    leg = _leg(allocation, attendee, pulse) if allocation else None
    asked = select(Notice).where(Notice.occurrence_id == occurrence.id, Notice.id > pulse.notice)
    may_read = leg is not None or (attendee is not None and _is_elsewhere(allocation))
    is_in = allocation is not None and allocation.is_open
    return Beat(
        room=allocation.room if allocation and (leg or attendee) else "",
        is_open=is_in and allocation is not None and not allocation.bridge.is_silent,
        is_over=allocation is None or clock.now() >= allocation.ends,
        muted=leg.muted if leg else False,
        notices=db.session.scalars(asked.order_by(Notice.id).limit(20)).all() if may_read else (),
    )


def is_news(occurrence: Occurrence, attendee: Attendee | None, pulse: Pulse) -> bool:
    """Say whether the page tells something that we do not know yet."""
    allocation = occurrence.primary
    leg = _leg(allocation, attendee, pulse) if allocation else None
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


def keep(occurrence: Occurrence, attendee: Attendee | None, pulse: Pulse) -> None:
    """Write down what a page tells of its own leg, and of no other."""
    allocation = occurrence.primary
    leg = _leg(allocation, attendee, pulse) if allocation else None
    if leg is None:
        return
    for name in (*TOLD, *COARSE):
        setattr(leg, name, getattr(pulse, name))
    leg.told_at = clock.now()


def _is_elsewhere(allocation: Allocation | None) -> bool:
    """Say whether its sites are on a page of the bridge, so that no leg of theirs is named here."""
    return allocation is not None and not drivers.terms(allocation.bridge.driver).by_page


def _leg(allocation: Allocation, attendee: Attendee | None, pulse: Pulse) -> Leg | None:
    found: Leg | None = db.session.scalar(
        select(Leg).where(
            Leg.allocation_id == allocation.id,
            Leg.leg == pulse.leg,
            Leg.attendee_id == (attendee.id if attendee else None),
            Leg.left.is_(None),
        )
    )
    return found
