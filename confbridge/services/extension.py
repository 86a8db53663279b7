"""Letting a conference that is on last longer, or end now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.errors import Conflict, Phrase
from confbridge.models import Account, Endpoint, Occurrence, Reservation
from confbridge.services import allocation, audit, demands
from confbridge.services.allocation import Claim, Stay
from confbridge.services.demands import Need

STEP = 5  # minutes


@dataclass(frozen=True, kw_only=True)
class InTheWay:
    """An endpoint that is wanted elsewhere before the longer meeting would be over."""

    endpoint: str
    at: datetime


class CannotExtend(Conflict):
    """It cannot last so long; `minutes` is what is possible, 0 if nothing is."""

    def __init__(self, minutes: int, in_the_way: Sequence[InTheWay]) -> None:
        longer = Phrase("It can last %(minutes)s minutes longer, and not more.", minutes=minutes)
        super().__init__(longer if minutes else Phrase("It cannot last any longer."))
        self.minutes, self.in_the_way = minutes, in_the_way


def extend(occurrence: Occurrence, minutes: int, *, by: Account) -> None:
    """Let it last so many minutes longer, where it is, with all that it holds.

    Nobody is written to: who is in is told on the page.

    Raises Conflict, Clash.
    """
    _check_is_on(occurrence)
    need = _need(occurrence, minutes)
    primary = occurrence.primary
    assert primary is not None
    keep = {0: Stay(primary.bridge_id, is_on=True)}
    plans = allocation.planned([need], but=[occurrence.id], keep=keep)
    allocation.hold([Claim(occurrence, need)], plans)
    _set_end(occurrence, need.during.end)
    audit.record(
        by.email, "conference extended", f"meeting {occurrence.meeting.uid}", f"{minutes} min"
    )
    db.session.flush()


def possible(occurrence: Occurrence, minutes: int) -> CannotExtend:
    """Return how much longer it can last at most, short of `minutes`, and what stands in the way.

    Looks only; nothing is held.
    """
    _check_is_on(occurrence)
    primary = occurrence.primary
    assert primary is not None
    keep = {0: Stay(primary.bridge_id, is_on=True)}
    best = 0
    for more in range(minutes - minutes % STEP or minutes, 0, -STEP):
        need = _need(occurrence, more)
        (found,) = allocation.plan([need], but=[occurrence.id], keep=keep)
        if found is not None:
            best = more
            break
    return CannotExtend(best, _in_the_way(occurrence, _need(occurrence, minutes)))


def end(occurrence: Occurrence, *, by: Account) -> None:
    """End it now: the room is closed, and all that it holds is free.

    Raises Conflict.
    """
    _check_is_on(occurrence)
    now = clock.now()
    if now <= occurrence.starts:
        raise Conflict(Phrase("It has not begun. Cancel the meeting instead."))
    for one in occurrence.allocations:
        one.ends = max(now, one.starts + timedelta(seconds=1))
        one.close_at, one.open_at = now, None
    held = update(Reservation).where(
        Reservation.occurrence_id == occurrence.id, Reservation.live, Reservation.starts < now
    )
    db.session.execute(held.values(ends=now))
    _set_end(occurrence, now)
    audit.record(by.email, "conference ended", f"meeting {occurrence.meeting.uid}")
    db.session.flush()


def _check_is_on(occurrence: Occurrence) -> None:
    primary = occurrence.primary
    if primary is None or not primary.is_open:
        raise Conflict(Phrase("The room is not open."))
    if not drivers.terms(primary.bridge.driver).can_end:
        raise Conflict(Phrase("The room is not open, or its bridge cannot do this."))


def _set_end(occurrence: Occurrence, moment: datetime) -> None:
    occurrence.ends = moment
    meeting = occurrence.meeting
    if not meeting.repeats:
        meeting.ends = moment
    meeting.version += 1


def _need(occurrence: Occurrence, minutes: int) -> Need:
    """Return what it needs to last longer, from when it came to where it is."""
    meeting, primary = occurrence.meeting, occurrence.primary
    assert primary is not None
    (now,) = demands.needs_now(meeting, [occurrence])
    during = Interval(occurrence.starts, occurrence.ends + timedelta(minutes=minutes))
    span = Interval(primary.starts, during.end + meeting.tail)
    return replace(now, during=during, demand=replace(now.demand, span=span))


def _in_the_way(occurrence: Occurrence, need: Need) -> list[InTheWay]:
    asked = (
        select(Endpoint.name, Reservation.starts)
        .join(Reservation, Reservation.endpoint_id == Endpoint.id)
        .where(
            Endpoint.id.in_(need.endpoints),
            Reservation.live,
            Reservation.starts < need.during.end,
            Reservation.ends > occurrence.ends,
            Reservation.occurrence_id.is_distinct_from(occurrence.id),
        )
        .order_by(Reservation.starts, Endpoint.name)
        .limit(20)
    )
    return [InTheWay(endpoint=name, at=at) for name, at in db.session.execute(asked)]
