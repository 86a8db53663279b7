"""Times at which a meeting could be held: what is read day by day, and only as far as needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.availability import (
    Busy,
    Reason,
    Search,
    Suggestion,
    Wish,
    by_distance,
    by_usage,
    grid,
)
from confbridge.domain.interval import Interval
from confbridge.domain.placement import Demand, Plan
from confbridge.domain.rsvp import Role
from confbridge.domain.workdays import Workdays
from confbridge.errors import Phrase
from confbridge.inputs.meetings import AvailabilityQuery, Invitee
from confbridge.models import Bridge, Endpoint, Reservation
from confbridge.models.meeting import LONGEST
from confbridge.services import demands, hosts, rules
from confbridge.services.demands import Need

SAID = {
    Reason.OUTSIDE_HOURS: Phrase("No time in this period lies within working hours."),
    Reason.REQUIRED_BUSY: Phrase("A required endpoint is busy at every time: %(names)s."),
    Reason.QUORUM: Phrase("At no time are enough of the optional endpoints free."),
    Reason.NO_PORTS: Phrase(
        "No bridge has enough free ports at any time that suits the endpoints."
    ),
}
MOST_BLOCKERS = 5


@dataclass(frozen=True, kw_only=True)
class Found:
    """Times that work, the best first; if there are none, why, for machines and for people."""

    suggestions: Sequence[Suggestion]
    reason: Reason | None = None
    said: Phrase | None = None
    names: dict[int, str] = field(default_factory=dict)  # codes of endpoints, by id
    bridges: dict[int, str] = field(default_factory=dict)  # codes of bridges, by id


@dataclass(frozen=True, kw_only=True)
class Quest:
    """A meeting without a time: what it needs, who may be missing, and where to look."""

    need: Need
    required: frozenset[int]
    within: Interval
    limit: int
    at_least: int = 0
    hours: Workdays | None = None  # None: any hour will do
    but: frozenset[int] = frozenset()  # occurrences whose own holdings do not count
    near: datetime | None = None  # a time to stay close to
    avoid: Interval | None = None  # a time that will not do, though it is free


def answer(
    query: AvailabilityQuery, endpoints: dict[str, Endpoint], *, but: Collection[int] = ()
) -> Found:
    """Return times for a question of the API or the booking page.

    What the occurrences `but` hold counts as free.
    """
    workdays = rules.workdays()
    start = max(query.from_, workdays.after(clock.now(), query.notice_days), clock.now())
    names = {one.id: one.code for one in endpoints.values()}
    if start >= query.to:
        return Found(suggestions=[], reason=Reason.OUTSIDE_HOURS, said=SAID[Reason.OUTSIDE_HOURS])
    quest = Quest(
        need=_need(query, endpoints),
        required=_required(query.endpoints, endpoints),
        within=Interval(start, query.to),
        limit=query.limit,
        at_least=query.at_least,
        hours=workdays if query.working_hours else None,
        but=frozenset(but),
    )
    bridges = hosts.listed()
    found, search = look(quest, bridges)
    if found:
        codes = {one.id: one.code for one in bridges}
        return Found(suggestions=found, names=names, bridges=codes)
    return Found(suggestions=[], reason=search.furthest, said=_why(search, names))


def look(quest: Quest, bridges: Sequence[Bridge] | None = None) -> tuple[list[Suggestion], Search]:
    """Look day by day until further days can bring nothing better."""
    bridges = hosts.listed() if bridges is None else bridges
    zone = config.in_force().zone
    first = quest.within.start.astimezone(zone).date()
    days = (quest.within.end.astimezone(zone).date() - first).days + 1
    hours = quest.hours
    now = clock.now()
    dislike = by_distance(quest.near) if quest.near else by_usage(zone)
    search = Search(
        wish=Wish(
            lasts=quest.need.during.lasts,
            required=quest.required,
            optional=frozenset(quest.need.endpoints) - quest.required,
            at_least=quest.at_least,
            suits=lambda during: (
                during.start > now
                and (quest.avoid is None or not during.overlaps(quest.avoid))
                and during.end <= quest.within.end
                and (hours is None or hours.suits(during))
            ),
            dislike=dislike,
        ),
        days=days,
        limit=quest.limit,
    )
    for number in range(days):
        starts = grid(first + timedelta(days=number), zone, quest.within)
        starts = [one for one in starts if search.wish.suits(_at(quest, one))]
        if not starts:
            continue
        day = _Day(quest, bridges, starts)
        search.look_at(number, starts, day.busy, day.place)
        if search.is_over:
            break
    return search.best(), search


def taken(endpoints: Collection[int], within: Interval, *, but: Collection[int] = ()) -> list[Busy]:
    """Return when any of these endpoints is taken, in one question."""
    asked = select(
        Reservation.endpoint_id, Reservation.starts, Reservation.ends, Reservation.occurrence_id
    ).where(
        Reservation.live,
        Reservation.endpoint_id.in_(endpoints),
        Reservation.ends > within.start,
        Reservation.ends <= within.end + LONGEST,
        Reservation.starts < within.end,
    )
    rows = db.session.execute(asked)
    return [(endpoint, starts, ends) for endpoint, starts, ends, one in rows if one not in but]


class _Day:
    """What is known of one day: read when the search comes to it, in two questions."""

    def __init__(self, quest: Quest, bridges: Sequence[Bridge], starts: Sequence[datetime]) -> None:
        need, demand = quest.need, quest.need.demand
        whole = Interval(starts[0], starts[-1] + need.during.lasts)
        lead, tail = need.during.start - demand.span.start, demand.span.end - need.during.end
        span = whole.widened(lead, tail)
        self.need = need
        self.scene = hosts.scenes(bridges, [span], but=quest.but)[0]
        self.busy = taken(need.endpoints, whole, but=quest.but)

    def place(self, during: Interval, missing: frozenset[int]) -> Plan | None:
        return self.scene.place(moved(self.need, during, missing).demand)


def moved(need: Need, during: Interval, missing: Collection[int] = ()) -> Need:
    """Return the same meeting at another time, without some of its endpoints."""
    demand = need.demand
    shift = during.start - need.during.start
    sites = tuple(site for site in demand.sites if site.id not in missing)
    span = Interval(demand.span.start + shift, demand.span.end + shift)
    there = replace(demand, span=span, opens_by=demand.opens_by + shift, sites=sites)
    return Need(during=during, demand=there)


def _at(quest: Quest, start: datetime) -> Interval:
    return Interval(start, start + quest.need.during.lasts)


def _need(query: AvailabilityQuery, endpoints: dict[str, Endpoint]) -> Need:
    during = Interval(query.from_, query.from_ + timedelta(minutes=query.minutes))
    lead, tail = timedelta(minutes=query.lead_minutes), timedelta(minutes=query.tail_minutes)
    span = during.widened(lead, tail)
    return Need(
        during=during,
        demand=Demand(
            span=span,
            opens_by=demands.opens_by(during, span),
            sites=tuple(
                demands.site_of_invitee(one, endpoints[one.code]) for one in query.endpoints
            ),
            guests=query.guest_ports,
            network=query.network or "",
            standby=query.standby,
            may_cascade=query.cascade,
        ),
    )


def _required(invitees: Sequence[Invitee], endpoints: dict[str, Endpoint]) -> frozenset[int]:
    return frozenset(endpoints[one.code].id for one in invitees if one.role is not Role.OPTIONAL)


def _why(search: Search, names: dict[int, str]) -> Phrase:
    most = sorted(search.blockers, key=lambda one: (-search.blockers[one], one))[:MOST_BLOCKERS]
    said = SAID[search.furthest]
    return Phrase(said.text, names=", ".join(names.get(one, "?") for one in most))
