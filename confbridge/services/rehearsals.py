"""Rehearsals: meetings of their own, an hour before, that follow the meeting they are for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.lifecycle import MeetingState
from confbridge.errors import Clash, Conflict, Phrase
from confbridge.inputs.meetings import Invitee, MeetingChange, MeetingDraft, OccurrenceChange
from confbridge.models import Account, Meeting
from confbridge.services import meetings

BEFORE = timedelta(minutes=60)
LEAD = 5  # minutes for which its room is open before
TITLE = "Phiên thử: {title}"  # on paper and in calendars, as the meeting's own title is
NOT_FREE = Phrase(
    "The rehearsal an hour before cannot be held: a site or a bridge is not free then. Choose"
    " another time, or book without a rehearsal."
)
NOT_NEEDED = Phrase("Its meeting is not held as it was planned.")


def of(meeting: Meeting) -> Meeting | None:
    """Return the last rehearsal that was planned for a meeting, whatever became of it."""
    asked = select(Meeting).where(Meeting.rehearses_id == meeting.id)
    found: Meeting | None = db.session.scalars(asked.order_by(Meeting.id.desc())).first()
    return found


def follow(meeting: Meeting, *, by: Account) -> None:
    """Let the rehearsal be as its meeting is now: planned, moved with it, or called off with it.

    One that somebody has called off by itself stays off. A series that has begun gets none.

    Raises Conflict if it cannot be held then.
    """
    if meeting.rehearses_id is not None:
        return
    known = of(meeting)
    is_wanted = meeting.state == MeetingState.SCHEDULED and meeting.rehearsal_minutes > 0
    try:
        if not is_wanted:
            if known is not None and known.state not in lifecycle.ENDED and _is_ahead(known):
                meetings.cancel(known, str(NOT_NEEDED), by=by)
        elif known is None or _has_to_be_anew(known, meeting):
            _plan(meeting, by=by)
        elif known.state not in lifecycle.ENDED:
            _move(known, meeting, by=by)
    except Clash as clash:
        raise Conflict(NOT_FREE) from clash


def _has_to_be_anew(known: Meeting, meeting: Meeting) -> bool:
    """Say whether another one is wanted: we have called it off, or its meeting has moved since."""
    if known.state == MeetingState.CANCELLED:
        return known.reason == str(NOT_NEEDED)
    has_moved = known.starts != meeting.starts - BEFORE
    return not meeting.repeats and has_moved and not _is_ahead(known)


def _plan(meeting: Meeting, *, by: Account) -> None:
    start = meeting.starts - BEFORE
    if start <= clock.now():
        return  # there is no time for one any more
    draft = MeetingDraft(
        title=TITLE.format(title=meeting.title)[:300],
        start=start,
        minutes=meeting.rehearsal_minutes,
        host=meeting.host.code,
        endpoints=_invitees(meeting),
        lead_minutes=LEAD,
        tail_minutes=0,
        timezone=meeting.timezone,
        rrule=meeting.rrule or None,
        exdates=tuple(one - BEFORE for one in meeting.skipped) if meeting.repeats else (),
        rank=meeting.rank,
        network=meeting.network or None,
        bridge=meeting.only_bridge or None,
        gives_back=meeting.gives_back,
    )
    made = meetings.book(draft, by=by)
    made.rehearses_id, made.related_id = meeting.id, meeting.id
    db.session.flush()


def _move(known: Meeting, meeting: Meeting, *, by: Account) -> None:
    lasts = timedelta(minutes=meeting.rehearsal_minutes)
    invited = {one.endpoint.code for one in meeting.attendees if one.everywhere}
    wanted: dict[str, Any] = {}
    if known.starts != meeting.starts - BEFORE:
        wanted["start"] = meeting.starts - BEFORE
    if {one.endpoint.code for one in known.attendees} != invited:
        wanted["endpoints"] = _invitees(meeting)
    if known.during.lasts != lasts:
        wanted["minutes"] = meeting.rehearsal_minutes
    if wanted and _is_ahead(known):
        change = MeetingChange.model_construct(set(wanted), **wanted)  # checked with the meeting
        meetings.change(known, change, by=by)
    if not meeting.repeats:
        return
    mine = {one.original: one for one in known.occurrences}
    for one in meeting.occurrences:
        other = mine.get(one.original - BEFORE)
        if other is None or other.state in lifecycle.ENDED or other.starts <= clock.now():
            continue
        if one.state in lifecycle.ENDED:
            reason = one.reason or str(NOT_NEEDED)
            meetings.cancel_occurrence(known, other, reason, following=False, by=by)
        elif other.starts != one.starts - BEFORE:
            moved = OccurrenceChange(start=one.starts - BEFORE)
            meetings.change_occurrence(known, other, moved, by=by)


def _invitees(meeting: Meeting) -> tuple[Invitee, ...]:
    return tuple(
        Invitee(code=one.endpoint.code, role=one.role, ports=one.ports, quality=one.quality)
        for one in meeting.attendees
        if one.everywhere
    )


def _is_ahead(known: Meeting) -> bool:
    return known.occurrence.starts > clock.now()
