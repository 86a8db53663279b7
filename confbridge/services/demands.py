"""What a meeting has to hold to take place: endpoints, legs, and how they are reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from confbridge.database import db
from confbridge.domain.capacity import Quality
from confbridge.domain.directory import EndpointKind
from confbridge.domain.interval import Interval
from confbridge.domain.placement import MINUTE, Demand, Site
from confbridge.domain.rsvp import Partstat
from confbridge.inputs.meetings import Invitee, MeetingDraft
from confbridge.models import (
    Attendee,
    Endpoint,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Reservation,
)


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one occurrence wants to hold, with its time and everything about it."""

    during: Interval
    demand: Demand

    @property
    def endpoints(self) -> list[int]:
        """The endpoints to be reserved, in the order in which everybody takes them."""
        return sorted(site.id for site in self.demand.sites)


def sites_of(
    meeting: Meeting,
    endpoints: Collection[int] | None = None,
    said: Mapping[int, str] | None = None,
) -> list[Site]:
    """Return the sites of a meeting, or of those `endpoints` alone, less who gave theirs back.

    `said` is what attendees, by id, have answered otherwise than to the whole series.
    """
    return [
        _site(one, one.endpoint)
        for one in meeting.attendees
        if (one.everywhere if endpoints is None else one.endpoint_id in endpoints)
        and not gives_back(meeting, one, (said or {}).get(one.id, one.partstat))
    ]


def gives_back(meeting: Meeting, attendee: Attendee, partstat: str) -> bool:
    """Say whether an endpoint that has answered so does not hold its time."""
    return (
        meeting.gives_back
        and partstat == Partstat.DECLINED
        and attendee.endpoint.kind == EndpointKind.SOFT
    )


def need_of(meeting: Meeting, during: Interval, sites: Iterable[Site]) -> Need:
    """Return what the meeting has to hold to take place at that time with these sites."""
    span = during.widened(meeting.lead, meeting.tail)
    return Need(
        during=during,
        demand=Demand(
            span=span,
            opens_by=opens_by(during, span),
            sites=tuple(sites),
            guests=meeting.guest_ports,
            network=meeting.network,
            bridge=meeting.only_bridge,
            standby=meeting.standby,
            may_cascade=meeting.may_cascade,
            off_bridge=meeting.secret,
        ),
    )


def need_of_draft(
    draft: MeetingDraft, endpoints: Mapping[str, Endpoint], during: Interval | None = None
) -> Need:
    """Return what a meeting not yet booked would have to hold."""
    lead, tail = timedelta(minutes=draft.lead_minutes), timedelta(minutes=draft.tail_minutes)
    during = during or draft.during
    span = during.widened(lead, tail)
    return Need(
        during=during,
        demand=Demand(
            span=span,
            opens_by=opens_by(during, span),
            sites=tuple(site_of_invitee(one, endpoints[one.code]) for one in draft.endpoints),
            guests=draft.guest_ports,
            network=draft.network or "",
            bridge=draft.bridge or "",
            standby=draft.standby,
            may_cascade=draft.cascade,
            off_bridge=draft.secret,
        ),
    )


def site_of_invitee(invitee: Invitee, endpoint: Endpoint) -> Site:
    return Site(
        id=endpoint.id,
        networks=endpoint.networks,
        kind=endpoint.kind,
        quality=invitee.quality or Quality(endpoint.quality),
        legs=invitee.ports,
    )


def members(occurrences: Sequence[Occurrence]) -> dict[int, set[int]]:
    """Return the endpoints that each occurrence is for, by its id; also those who declined."""
    found: dict[int, set[int]] = {one.id: set() for one in occurrences}
    asked = select(Reservation.occurrence_id, Reservation.endpoint_id).where(
        Reservation.occurrence_id.in_(found), Reservation.wanted
    )
    for occurrence_id, endpoint_id in db.session.execute(asked):
        found[occurrence_id].add(endpoint_id)  # type: ignore[index]
    return found


def said_apart(meeting: Meeting, some: Sequence[Occurrence]) -> dict[int, dict[int, str]]:
    """Return who answered to these occurrences otherwise than to all: PARTSTAT by attendee."""
    found: dict[int, dict[int, str]] = {one.id: {} for one in some}
    if not meeting.repeats:
        return found
    asked = select(
        OccurrenceAnswer.occurrence_id, OccurrenceAnswer.attendee_id, OccurrenceAnswer.partstat
    ).where(OccurrenceAnswer.occurrence_id.in_(found))
    for occurrence_id, attendee_id, partstat in db.session.execute(asked):
        found[occurrence_id][attendee_id] = partstat
    return found


def needs_now(meeting: Meeting, some: Sequence[Occurrence]) -> list[Need]:
    """Return what these occurrences of a meeting have to hold as things are.

    Two questions however many there are; one for a meeting that takes place once.
    """
    present = members(some)
    said = said_apart(meeting, some)
    return [
        need_of(meeting, one.during, sites_of(meeting, present[one.id] or None, said[one.id]))
        for one in some
    ]


def holding(meeting: Meeting, attendee: Attendee, *, live: bool) -> set[int]:
    """Return the occurrences that an endpoint has a part in and holds its time in, or does not."""
    asked = select(Reservation.occurrence_id).where(
        Reservation.occurrence_id.in_([one.id for one in meeting.occurrences]),
        Reservation.endpoint_id == attendee.endpoint_id,
        Reservation.wanted,
        Reservation.live.is_(live),
    )
    return {number for number in db.session.scalars(asked) if number is not None}


def holders(occurrence: Occurrence) -> list[int]:
    """Return the ids of the attendees that hold their time in this occurrence."""
    asked = (
        select(Attendee.id)
        .join(Reservation, Reservation.endpoint_id == Attendee.endpoint_id)
        .where(Attendee.meeting_id == occurrence.meeting_id)
        .where(Reservation.occurrence_id == occurrence.id, Reservation.live)
        .order_by(Attendee.id)
    )
    return list(db.session.scalars(asked))


def of_occurrences(numbers: Collection[int]) -> dict[int, Need]:
    """Return what each of these occurrences holds now, by its id; reads no more than that."""
    asked = (
        select(
            Reservation.occurrence_id,
            Endpoint.id,
            Endpoint.networks,
            Endpoint.kind,
            Attendee.quality,
            Attendee.ports,
        )
        .join(Endpoint, Endpoint.id == Reservation.endpoint_id)
        .join(Occurrence, Occurrence.id == Reservation.occurrence_id)
        .join(
            Attendee,
            (Attendee.meeting_id == Occurrence.meeting_id)
            & (Attendee.endpoint_id == Reservation.endpoint_id),
        )
        .where(Reservation.occurrence_id.in_(numbers), Reservation.live)
    )
    sites: dict[int, list[Site]] = defaultdict(list)
    for number, endpoint, networks, kind, quality, legs in db.session.execute(asked):
        sites[number or 0].append(_made(endpoint, networks, kind, quality, legs))
    terms = (
        select(
            Occurrence.id,
            Occurrence.starts,
            Occurrence.ends,
            Meeting.lead_minutes,
            Meeting.tail_minutes,
            Meeting.guest_ports,
            Meeting.network,
        )
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Occurrence.id.in_(numbers))
    )
    found = {}
    for number, starts, ends, lead, tail, guests, network in db.session.execute(terms):
        during = Interval(starts, ends)
        span = during.widened(timedelta(minutes=lead), timedelta(minutes=tail))
        demand = Demand(
            span=span,
            opens_by=opens_by(during, span),
            sites=tuple(sites[number]),
            guests=guests,
            network=network,
        )
        found[number] = Need(during=during, demand=demand)
    return found


def _made(number: int, networks: frozenset[str], kind: str, quality: str, legs: int) -> Site:
    return Site(id=number, networks=networks, kind=kind, quality=Quality(quality), legs=legs)


def _site(attendee: Attendee, endpoint: Endpoint) -> Site:
    return _made(endpoint.id, endpoint.networks, endpoint.kind, attendee.quality, attendee.ports)


def opens_by(during: Interval, span: Interval) -> datetime:
    """Return the latest moment at which the room has to be opened: a minute before the start."""
    return max(span.start, during.start - MINUTE)
