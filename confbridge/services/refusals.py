"""Why a booking clashes, and which free times are nearest to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Literal

from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.availability import Taken, Wish, nearest
from confbridge.domain.capacity import peak, too_full
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.domain.placement import reaches
from confbridge.models import (
    Account,
    Bridge,
    Endpoint,
    Meeting,
    Occurrence,
    Reservation,
)
from confbridge.services import access, allocation
from confbridge.services.allocation import Need

MOST_ALTERNATIVES = 5
HORIZON = timedelta(days=14)
DAY_BEGINS, DAY_ENDS = time(7, 0), time(18, 0)


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """One thing that stands in the way; `uid` and `title` only if the reader may know them."""

    kind: Literal["endpoint", "ports", "network"]
    subject: str
    name: str
    start: datetime
    end: datetime
    uid: str | None = None
    title: str = ""
    short_by: int = 0
    peak_at: datetime | None = None
    state: str = ""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Every clash of a booking, and free times, the nearest first."""

    clashes: Sequence[Obstacle]
    alternatives: Sequence[Interval] = field(default_factory=list)


def explain(need: Need, *, reader: Account, but: Occurrence | None = None) -> Refusal:
    """Say what `need` clashes with, and when it could be had.

    Only reads, and may take a while: never called with the write lock held.
    """
    bridges = _bridges()
    clashes = [*_taken_endpoints(need, reader, but), *_short_bridges(need, bridges, but)]
    return Refusal(clashes=clashes, alternatives=_free_times(need, bridges, but))


def _taken_endpoints(need: Need, reader: Account, but: Occurrence | None) -> list[Obstacle]:
    asked = (
        select(Endpoint, Reservation.starts, Reservation.ends, Meeting.uid, Meeting.title)
        .join(Reservation, Reservation.endpoint_id == Endpoint.id)
        .join(Occurrence, Occurrence.id == Reservation.occurrence_id)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(
            Reservation.live,
            Reservation.endpoint_id.in_([endpoint.id for endpoint in need.endpoints]),
            Reservation.ends > need.during.start,
            Reservation.starts < need.during.end,
        )
        .order_by(Endpoint.id, Reservation.starts)
    )
    if but is not None and but.id:
        asked = asked.where(Reservation.occurrence_id != but.id)
    rows = db.session.execute(asked).all()
    known = _visible({row.uid for row in rows}, reader)
    return [
        Obstacle(
            kind="endpoint",
            subject=endpoint.code,
            name=endpoint.name,
            start=starts,
            end=ends,
            uid=uid if uid in known else None,
            title=title if uid in known else "",
        )
        for endpoint, starts, ends, uid, title in rows
    ]


def _visible(uids: Collection[str], reader: Account) -> set[str]:
    asked = select(Meeting.uid).where(Meeting.uid.in_(uids), access.meeting_is_visible(reader))
    return set(db.session.scalars(asked)) if uids else set()


def _bridges() -> Sequence[Bridge]:
    return db.session.scalars(select(Bridge).where(Bridge.active).order_by(Bridge.id)).all()


def _is_usable(bridge: Bridge) -> bool:
    return bridge.state != BridgeState.DOWN and not bridge.draining


def _short_bridges(need: Need, bridges: Sequence[Bridge], but: Occurrence | None) -> list[Obstacle]:
    """Return nothing if any bridge would do, or else what each of them lacks."""
    usages = allocation.usages_of(bridges, need.span, but=but)
    obstacles = []
    for bridge in bridges:
        highest = peak(usages[bridge.id], need.span)
        short_by = highest.ports + need.ports - bridge.ports
        reached = reaches(bridge.networks, need.networks)
        if _is_usable(bridge) and reached and short_by <= 0:
            return []
        obstacles.append(
            Obstacle(
                kind="ports" if reached else "network",
                subject=bridge.code,
                name=bridge.name,
                start=need.span.start,
                end=need.span.end,
                short_by=max(short_by, 0) if _is_usable(bridge) else need.ports,
                peak_at=highest.at if reached else None,
                state=_unusable(bridge),
            )
        )
    return obstacles


def _unusable(bridge: Bridge) -> str:
    if bridge.state == BridgeState.DOWN:
        return "down"
    return "draining" if bridge.draining else ""


def _free_times(need: Need, bridges: Sequence[Bridge], but: Occurrence | None) -> list[Interval]:
    now = clock.now()
    within = Interval(max(need.during.start - HORIZON, now), max(need.during.start, now) + HORIZON)
    reached = [one for one in bridges if _is_usable(one) and reaches(one.networks, need.networks)]
    usages = allocation.usages_of(reached, within.widened(HORIZON, HORIZON), but=but)
    lead, tail = need.during.start - need.span.start, need.span.end - need.during.end
    whole = within.widened(lead, tail)
    wish = Wish(
        wanted=need.during,
        lead=lead,
        tail=tail,
        endpoints=Taken.of(_busy(need.endpoints, within, but)),
        bridges=[
            Taken.of(too_full(usages[one.id], one.ports - need.ports, whole)) for one in reached
        ],
    )
    at_any_hour = not _is_by_day(need.during)
    return nearest(
        wish,
        within=within,
        most=MOST_ALTERNATIVES,
        suits=lambda during: at_any_hour or _is_by_day(during),
    )


def _busy(
    endpoints: Sequence[Endpoint], within: Interval, but: Occurrence | None
) -> list[Interval]:
    asked = select(Reservation.starts, Reservation.ends).where(
        Reservation.live,
        Reservation.endpoint_id.in_([endpoint.id for endpoint in endpoints]),
        Reservation.ends > within.start,
        Reservation.starts < within.end,
    )
    if but is not None and but.id:
        asked = asked.where(Reservation.occurrence_id != but.id)
    return [Interval(starts, ends) for starts, ends in db.session.execute(asked)]


def _is_by_day(during: Interval) -> bool:
    """Say whether a time lies within one working day."""
    zone = config.in_force().zone
    start, end = during.start.astimezone(zone), during.end.astimezone(zone)
    return start.date() == end.date() and start.time() >= DAY_BEGINS and end.time() <= DAY_ENDS
