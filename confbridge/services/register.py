"""New meetings in the register: their numbers and rows."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import joinedload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.capacity import Quality
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rank import Rank
from confbridge.domain.rsvp import Partstat
from confbridge.domain.search import folded
from confbridge.errors import Invalid, Phrase
from confbridge.inputs.meetings import Invitee, MeetingDraft
from confbridge.models import (
    Account,
    Attendee,
    Endpoint,
    Exdate,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Organisation,
)
from confbridge.services import leaders

PROVISIONAL = "D-"  # begins the number of a draft, which is not in the register yet


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a new meeting is entered with; `times` say which of its dates take place."""

    draft: MeetingDraft
    host: Organisation
    rank: Rank
    number: str
    times: Sequence[tuple[Interval, bool]]


def number_for(draft: MeetingDraft) -> str:
    """Return the number of a new meeting; a draft's is provisional, so that none is left out."""
    if draft.is_draft:
        return f"{PROVISIONAL}{uuid.uuid4().hex[:8]}"
    return next_number(draft.start)


def next_number(start: datetime) -> str:
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


def enter(entry: Entry, by: Account) -> Meeting:
    """Write a meeting with its occurrences; dates that do not take place become EXDATE."""
    draft = entry.draft
    first = draft.during
    series = draft.series
    chair_key = leaders.key(draft.chair)
    meeting = Meeting(
        uid=str(uuid.uuid4()),
        number=entry.number,
        stamped=clock.now().replace(microsecond=0) - timedelta(seconds=1),
        state=_state(draft),
        rank=entry.rank,
        title=draft.title,
        agenda=draft.agenda,
        chair=draft.chair,
        timezone=draft.timezone or config.in_force().timezone,
        starts=first.start,
        ends=first.end,
        rrule=str(series.rule) if series else "",
        host=entry.host,
        organizer=by,
        guest_ports=draft.guest_ports,
        lead_minutes=draft.lead_minutes,
        tail_minutes=draft.tail_minutes,
        rehearsal_minutes=draft.rehearsal_minutes,
        network=draft.network or "",
        only_bridge=draft.bridge or "",
        standby=draft.standby,
        may_cascade=draft.cascade,
        gives_back=draft.gives_back,
        secret=draft.secret,
        leader_reason=draft.leader_reason,
        search=folded(f"{entry.number} {draft.title}"),
        occurrences=[
            occurrence(during, _state(draft), chair_key)
            for during, takes_place in entry.times
            if takes_place
        ],
        exdates=_exdates(draft, entry.times),
    )
    db.session.add(meeting)
    db.session.flush()
    return meeting


def occurrence(during: Interval, state: str, chair_key: str) -> Occurrence:
    """Return a new occurrence where the rule puts it."""
    return Occurrence(
        starts=during.start,
        ends=during.end,
        original=during.start,
        state=state,
        chair_key=chair_key,
        allocations=[],
    )


def _state(draft: MeetingDraft) -> MeetingState:
    return MeetingState.DRAFT if draft.is_draft else MeetingState.SCHEDULED


def _exdates(draft: MeetingDraft, times: Sequence[tuple[Interval, bool]]) -> list[Exdate]:
    missed = {during.start for during, takes_place in times if not takes_place}
    named = set(draft.series.starts()) & set(draft.exdates) if draft.series else set()
    return [Exdate(starts=one, missed=one in missed) for one in sorted(missed | named)]


def write_attendees(
    meeting: Meeting, invitees: Sequence[Invitee], endpoints: Mapping[str, Endpoint]
) -> None:
    """Put the endpoints on the list; one statement for all, then read back with their ids."""
    rows = [attendee_row(meeting, one, endpoints[one.code]) for one in invitees]
    db.session.execute(insert(Attendee), rows)


def attendee_row(meeting: Meeting, invitee: Invitee, endpoint: Endpoint) -> dict[str, object]:
    return {
        "meeting_id": meeting.id,
        "endpoint_id": endpoint.id,
        "role": invitee.role,
        "ports": invitee.ports,
        "quality": invitee.quality or Quality(endpoint.quality),
        "partstat": Partstat.NEEDS_ACTION,
    }


def invited_again(meeting: Meeting, invitee: Invitee, endpoint: Endpoint) -> Attendee:
    """Return a new attendee, or the one that was on the list before, with an open answer."""
    asked = select(Attendee).where(
        Attendee.meeting_id == meeting.id, Attendee.endpoint_id == endpoint.id
    )
    attendee = db.session.scalar(asked)
    row = attendee_row(meeting, invitee, endpoint)
    if attendee is None:
        attendee = Attendee(**row)
        db.session.add(attendee)
        return attendee
    attendee.invited, attendee.everywhere = True, True
    attendee.role, attendee.ports = invitee.role, invitee.ports
    attendee.quality = invitee.quality or Quality(endpoint.quality)
    attendee.open_answer(meeting.sequence)
    attendee.also = frozenset()
    apart = delete(OccurrenceAnswer).where(OccurrenceAnswer.attendee_id == attendee.id)
    db.session.execute(apart)
    return attendee


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
