"""Watches over conferences that are on, and tells the operators what is wrong."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.rsvp import Partstat
from confbridge.domain.watching import Line, Watched, watch
from confbridge.models import Allocation, IncidentKind, Leg, Occurrence
from confbridge.services import demands, incidents, rooms

EVERY = timedelta(seconds=10)


def watch_one() -> bool:
    """Look at one conference whose turn it is; say whether there was one."""
    now = clock.now()
    one = db.session.scalar(
        select(Occurrence)
        .where(Occurrence.watch_at <= now)
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.watch_at)
        .with_for_update(of=Occurrence, skip_locked=True)
        .limit(1)
    )
    if one is None:
        return False
    primary = one.primary
    if one.state in lifecycle.ENDED or primary is None or now >= one.ends:
        one.watch_at = None
        incidents.settle_all(incidents.prefix(one))
        return True
    one.watch_at = now + EVERY
    found = watch(_sites(one), starts=one.starts, now=now, is_open=primary.is_open)
    still = {incidents.lost_key(one)}
    for each in found:
        key = incidents.key_of(one, each.trouble, each.site)
        still.add(key)
        about = {"occurrence_id": one.id, "attendee_id": each.site}
        incidents.open_one(IncidentKind(each.trouble), key, each.detail, **about)
    incidents.settle_all(incidents.prefix(one), but=still)
    return True


def _sites(occurrence: Occurrence) -> list[Watched]:
    """Return who is expected: who holds its time, has not declined and was not put out."""
    asked = (
        select(Leg)
        .join(Allocation, Allocation.id == Leg.allocation_id)
        .where(Allocation.occurrence_id == occurrence.id, Leg.attendee_id.is_not(None))
    )
    lines: dict[int, list[Line]] = defaultdict(list)
    for leg in db.session.scalars(asked):
        lines[leg.attendee_id or 0].append(
            Line(
                joined=leg.joined,
                left=leg.left,
                loss=leg.loss,
                delay=leg.delay,
                told_at=leg.told_at,
            )
        )
    meeting = occurrence.meeting
    holders = set(demands.holders(occurrence))
    said = demands.said_apart(meeting, [occurrence])[occurrence.id]
    return [
        Watched(id=one.id, lines=lines[one.id])
        for one in meeting.attendees
        if one.id in holders
        and said.get(one.id, one.partstat) != Partstat.DECLINED
        and not rooms.is_put_out(occurrence, one)
    ]
