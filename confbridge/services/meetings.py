"""The life of a meeting."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, insert, select, text
from sqlalchemy.orm import joinedload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat, Role
from confbridge.domain.search import folded
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.meetings import Invitee, MeetingChange, MeetingDraft
from confbridge.models import (
    Account,
    Attendee,
    Endpoint,
    Meeting,
    Occurrence,
    Organisation,
)
from confbridge.services import access, allocation, audit, invitations
from confbridge.services.allocation import Need


def book(draft: MeetingDraft, *, by: Account) -> Meeting:
    """Take endpoints and ports, number the meeting, and queue its invitations.

    Raises Invalid, NotAllowed, Clash.
    """
    host = access.host(by, draft.host or by.organisation.code)
    endpoints = endpoints_named(draft.endpoints)
    meeting = _written(draft, endpoints, host, by)
    allocation.hold(meeting.occurrence, need_of(meeting, draft.during))
    invitations.invite(meeting, meeting.attendees, by=by)
    audit.record(by.email, "booked", f"meeting {meeting.uid}", meeting.number)
    db.session.flush()
    return meeting


def change(meeting: Meeting, wanted: MeetingChange, *, by: Account) -> None:
    """Make the meeting as wanted, and tell each endpoint what concerns it.

    The new time is taken before the old one is given back.

    Raises Invalid, Conflict, Clash.
    """
    _check_ahead(meeting)
    was = _Shape.of(meeting)
    added, removed = _change_list(meeting, wanted.endpoints)
    _change_words(meeting, wanted)
    during = _wanted_time(meeting, wanted)
    if added or removed or was.span != _span(meeting, during) or was.ports != meeting.ports:
        allocation.shift(meeting.occurrence, need_of(meeting, during))
        meeting.occurrence.starts, meeting.occurrence.ends = during.start, during.end
    if was == _Shape.of(meeting) and not added and not removed:
        return
    meeting.version += 1
    _tell(meeting, was, added, removed, by=by)
    allocation.refresh(meeting.occurrence)
    audit.record(by.email, "changed", f"meeting {meeting.uid}", ", ".join(wanted.model_fields_set))
    db.session.flush()


def cancel(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Give everything back and tell everyone who was invited.

    Raises Conflict.
    """
    lifecycle.check_step(MeetingState(meeting.state), MeetingState.CANCELLED)
    _check_ahead(meeting)
    invitations.call_off(meeting, reason, by=by)
    allocation.release(meeting.occurrence)
    meeting.state = meeting.occurrence.state = MeetingState.CANCELLED
    meeting.reason = reason
    meeting.version += 1
    audit.record(by.email, "cancelled", f"meeting {meeting.uid}", reason)
    db.session.flush()


def remind(meeting: Meeting, *, by: Account) -> int:
    """Ask again who has not answered; say how many.

    Raises Conflict.
    """
    _check_ahead(meeting)
    return invitations.remind(meeting, by=by)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which meetings somebody wants listed; what is not named does not matter."""

    start: datetime | None = None
    end: datetime | None = None
    endpoint: str = ""
    organisation: str = ""
    state: str = ""
    text: str = ""


def listed(
    account: Account, wanted: Wanted, *, limit: int = 50, after: tuple[datetime, int] | None = None
) -> Sequence[Meeting]:
    """Return meetings that `account` may see, in order of time."""
    asked = (
        select(Meeting)
        .join(Occurrence)
        .where(access.meeting_is_visible(account))
        .order_by(Occurrence.starts, Meeting.id)
        .limit(limit)
    )
    if wanted.start:
        asked = asked.where(Occurrence.ends > wanted.start)
    if wanted.end:
        asked = asked.where(Occurrence.starts < wanted.end)
    if wanted.state:
        asked = asked.where(Meeting.state == wanted.state)
    if wanted.text:
        asked = asked.where(Meeting.search.contains(folded(wanted.text), autoescape=True))
    if wanted.organisation:
        asked = asked.join(Organisation, Organisation.id == Meeting.host_id).where(
            Organisation.code == wanted.organisation
        )
    if wanted.endpoint:
        asked = asked.where(
            exists().where(
                Attendee.meeting_id == Meeting.id,
                Attendee.invited,
                Attendee.endpoint_id == Endpoint.id,
                Endpoint.code == wanted.endpoint,
            )
        )
    if after:
        starts, last = after
        asked = asked.where(
            (Occurrence.starts > starts) | ((Occurrence.starts == starts) & (Meeting.id > last))
        )
    return db.session.scalars(asked).all()


def endpoints_named(
    invitees: Sequence[Invitee], own: Collection[Attendee] = ()
) -> dict[str, Endpoint]:
    """Return the endpoints by code, in the order named; a retired one only if it is `own`.

    Raises Invalid.
    """
    known = [attendee.endpoint_id for attendee in own]
    codes = [invitee.code for invitee in invitees]
    found = {
        endpoint.code: endpoint
        for endpoint in db.session.scalars(
            select(Endpoint)
            .where(Endpoint.code.in_(codes), Endpoint.active | Endpoint.id.in_(known))
            .options(joinedload(Endpoint.organisation))
        )
    }
    problems = {
        f"endpoints.{place}.code": Phrase("There is no endpoint “%(code)s”.", code=code)
        for place, code in enumerate(codes)
        if code not in found
    }
    if problems:
        raise Invalid(**problems)
    return {code: found[code] for code in codes}


def need_of(meeting: Meeting, during: Interval) -> Need:
    """Return what the meeting has to hold to take place at that time."""
    return Need(
        during=during,
        span=during.widened(meeting.lead, meeting.tail),
        endpoints=[attendee.endpoint for attendee in meeting.attendees],
        ports=meeting.ports,
    )


def need_of_draft(draft: MeetingDraft) -> Need:
    """Return what a meeting not yet booked would have to hold.

    Raises Invalid.
    """
    lead, tail = timedelta(minutes=draft.lead_minutes), timedelta(minutes=draft.tail_minutes)
    return Need(
        during=draft.during,
        span=draft.during.widened(lead, tail),
        endpoints=list(endpoints_named(draft.endpoints).values()),
        ports=sum(one.ports for one in draft.endpoints) + draft.guest_ports,
    )


def draft_after(meeting: Meeting, wanted: MeetingChange) -> MeetingDraft:
    """Return the meeting as it would be, had it been booked so."""
    during = meeting.occurrence.during
    invitees = tuple(
        Invitee(code=one.endpoint.code, role=Role(one.role), ports=one.ports)
        for one in meeting.attendees
    )
    now: dict[str, Any] = {
        "title": meeting.title,
        "agenda": meeting.agenda,
        "chair": meeting.chair,
        "start": during.start,
        "minutes": round(during.lasts.total_seconds() / 60),
        "endpoints": invitees,
        "guest_ports": meeting.guest_ports,
        "lead_minutes": meeting.lead_minutes,
        "tail_minutes": meeting.tail_minutes,
    }
    named = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    # Checked already, all of it; what a past start would be refused for is not asked again.
    return MeetingDraft.model_construct(
        None, **now | {name: value for name, value in named.items() if value is not None}
    )


@dataclass(frozen=True)
class _Shape:
    """What of a meeting an endpoint is told; compared before and after a change."""

    words: tuple[str, str, str]
    during: Interval
    span: Interval
    ports: int
    roles: Mapping[int, str]  # by the attendee's id
    legs: Mapping[int, int]

    @classmethod
    def of(cls, meeting: Meeting) -> _Shape:
        during = meeting.occurrence.during
        words = (meeting.title, meeting.agenda, meeting.chair)
        roles = {one.id: one.role for one in meeting.attendees}
        legs = {one.id: one.ports for one in meeting.attendees}
        return cls(words, during, _span(meeting, during), meeting.ports, roles, legs)


def _check_ahead(meeting: Meeting) -> None:
    """Raise Conflict unless the meeting can still be changed: its end is ahead."""
    lifecycle.check_changeable(MeetingState(meeting.state))
    if meeting.occurrence.ends <= clock.now():
        raise Conflict(Phrase("The meeting is over; it cannot be changed."))


def _span(meeting: Meeting, during: Interval) -> Interval:
    return during.widened(meeting.lead, meeting.tail)


def _written(
    draft: MeetingDraft, endpoints: Mapping[str, Endpoint], host: Organisation, by: Account
) -> Meeting:
    number = _next_number(draft.start)
    meeting = Meeting(
        uid=str(uuid.uuid4()),
        number=number,
        stamped=clock.now().replace(microsecond=0) - timedelta(seconds=1),
        title=draft.title,
        agenda=draft.agenda,
        chair=draft.chair,
        timezone=config.in_force().timezone,
        host=host,
        organizer=by,
        guest_ports=draft.guest_ports,
        lead_minutes=draft.lead_minutes,
        tail_minutes=draft.tail_minutes,
        search=folded(f"{number} {draft.title}"),
        occurrences=[Occurrence(starts=draft.during.start, ends=draft.during.end, allocations=[])],
    )
    db.session.add(meeting)
    db.session.flush()
    # One statement for all of them; the list is then read back, with the ids it was given.
    db.session.execute(
        insert(Attendee), [_attendee(meeting, one, endpoints[one.code]) for one in draft.endpoints]
    )
    return meeting


def _attendee(meeting: Meeting, invitee: Invitee, endpoint: Endpoint) -> dict[str, object]:
    return {
        "meeting_id": meeting.id,
        "endpoint_id": endpoint.id,
        "role": invitee.role,
        "ports": invitee.ports,
        "partstat": Partstat.NEEDS_ACTION,
    }


def _next_number(start: datetime) -> str:
    """Return the next number of the year's register, such as 12/2026; none is left out.

    The counter's row stays locked until the transaction ends.
    """
    year = start.astimezone(config.in_force().zone).year
    counted = text(
        "INSERT INTO counters (name, value) VALUES (:name, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
    )
    value = db.session.execute(counted, {"name": f"meetings {year}"}).scalar_one()
    return f"{value}/{year}"


def _change_list(
    meeting: Meeting, invitees: Sequence[Invitee] | None
) -> tuple[list[Attendee], list[Attendee]]:
    """Put endpoints on the list and take them off it; return who was added and removed."""
    if invitees is None:
        return [], []
    endpoints = endpoints_named(invitees, meeting.attendees)
    before = {attendee.endpoint.code: attendee for attendee in meeting.attendees}
    removed = [one for code, one in before.items() if code not in endpoints]
    added = []
    for invitee in invitees:
        if attendee := before.get(invitee.code):
            attendee.role, attendee.ports = invitee.role, invitee.ports
        else:
            added.append(_invited_again(meeting, invitee, endpoints[invitee.code]))
    for attendee in removed:
        attendee.invited = False
    db.session.flush()
    db.session.expire(meeting, ["attendees"])
    return added, removed


def _invited_again(meeting: Meeting, invitee: Invitee, endpoint: Endpoint) -> Attendee:
    """Return a new attendee, or the one that was on the list before, with an open answer."""
    asked = select(Attendee).where(
        Attendee.meeting_id == meeting.id, Attendee.endpoint_id == endpoint.id
    )
    attendee = db.session.scalar(asked)
    if attendee is None:
        attendee = Attendee(**_attendee(meeting, invitee, endpoint))
        db.session.add(attendee)
        return attendee
    attendee.invited, attendee.role, attendee.ports = True, invitee.role, invitee.ports
    attendee.partstat, attendee.comment, attendee.answered_at = Partstat.NEEDS_ACTION, "", None
    attendee.delegates, attendee.headcount, attendee.via = "", None, ""
    return attendee


def _change_words(meeting: Meeting, wanted: MeetingChange) -> None:
    for name in ("title", "agenda", "chair", "guest_ports", "lead_minutes", "tail_minutes"):
        value = getattr(wanted, name)
        if value is not None:
            setattr(meeting, name, value)
    meeting.search = folded(f"{meeting.number} {meeting.title}")


def _wanted_time(meeting: Meeting, wanted: MeetingChange) -> Interval:
    now = meeting.occurrence.during
    start = wanted.start or now.start
    lasts = timedelta(minutes=wanted.minutes) if wanted.minutes else now.lasts
    if start + lasts <= clock.now():
        raise Invalid(minutes=Phrase("The meeting would be over already."))
    return Interval(start, start + lasts)


def _tell(
    meeting: Meeting, was: _Shape, added: list[Attendee], removed: list[Attendee], *, by: Account
) -> None:
    """Send only the difference, and only to those it concerns."""
    if removed:
        invitations.withdraw(meeting, removed, by=by)
    now = _Shape.of(meeting)
    stayed = [one for one in meeting.attendees if one not in added]
    if now.during != was.during:
        invitations.ask_anew(meeting, stayed, by=by)
    elif told := [one for one in stayed if now.words != was.words or was.roles[one.id] != one.role]:
        invitations.tell_of_change(meeting, told, by=by)
    if added:
        invitations.invite(meeting, added, by=by)
