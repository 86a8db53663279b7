"""Answers of endpoints to their invitations."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat, Via
from confbridge.errors import Conflict, Invalid, NotFound, Phrase
from confbridge.inputs.meetings import Answer
from confbridge.models import Attendee, Meeting, Occurrence
from confbridge.services import allocation, audit, demands, holds, links
from confbridge.services.allocation import Claim


def by_link(link: str, *, to_change: bool = False) -> Attendee:
    """Return the attendee to whom the signed link was sent, with the meeting.

    Raises NotFound.
    """
    attendee_id = links.attendee_of(link)
    if to_change:
        # The meeting first, as every change of it does: an answer and a move cannot cross.
        meeting = select(Meeting.id).join(Attendee, Attendee.meeting_id == Meeting.id)
        meeting = meeting.where(Attendee.id == attendee_id)
        db.session.execute(meeting.with_for_update(of=Meeting))
    asked = (
        select(Attendee)
        .where(Attendee.id == attendee_id, Attendee.invited)
        .options(joinedload(Attendee.meeting))
    )
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("This endpoint is no longer invited to the meeting."))
    return found


def of_endpoint(meeting: Meeting, code: str) -> Attendee:
    """Return the attendee that an endpoint is to the meeting.

    Raises Invalid.
    """
    for attendee in meeting.attendees:
        if attendee.endpoint.code == code:
            return attendee
    raise Invalid(endpoint=Phrase("“%(code)s” is not invited to this meeting.", code=code))


def check_revision(meeting: Meeting, sequence: str) -> None:
    """Raise Conflict if the answer was meant for an earlier time of the meeting (R3)."""
    if sequence != str(meeting.sequence):
        raise Conflict(
            Phrase("The meeting has been changed since you opened this page. Look, then answer.")
        )


def record(meeting: Meeting, attendee: Attendee, answer: Answer, *, via: Via, by: str) -> None:
    """Keep what the endpoint says; the last word counts until the meeting ends.

    Raises Invalid, Conflict.
    """
    if meeting.state != MeetingState.SCHEDULED:
        raise Conflict(lifecycle.REFUSALS[MeetingState(meeting.state)])
    if meeting.occurrence.ends <= clock.now():
        raise Conflict(Phrase("The meeting is over."))
    if answer.partstat is Partstat.DECLINED and not answer.comment:
        raise Invalid(comment=Phrase("Say why you cannot come."))
    if answer.partstat is Partstat.NEEDS_ACTION:
        raise Invalid(partstat=Phrase("Choose an answer."))
    held = not demands.has_given_back(meeting, attendee)
    attendee.partstat = answer.partstat
    attendee.comment = answer.comment
    comes = answer.partstat is not Partstat.DECLINED
    attendee.delegates = answer.delegates if comes else ""
    attendee.headcount = answer.headcount if comes else None
    attendee.via = via
    attendee.answered_at = clock.now()
    if held and demands.has_given_back(meeting, attendee):
        _give_back(meeting, attendee)
    elif not held and not demands.has_given_back(meeting, attendee):
        _take_again(meeting)
    audit.record(
        by, "answered", f"meeting {meeting.uid}", f"{attendee.endpoint.code} {answer.partstat}"
    )


def _give_back(meeting: Meeting, attendee: Attendee) -> None:
    """Give back what a soft client held that has declined; who waits may have it."""
    db.session.flush()
    ahead = _ahead(meeting)
    allocation.give_back(ahead, attendee.endpoint_id)
    for one in ahead:
        allocation.shrink(one, demands.need_now(meeting, one))
        allocation.refresh(one)
    holds.room_was_made()


def _take_again(meeting: Meeting) -> None:
    """Take again what was given back, for the endpoint comes after all.

    Raises Clash if it is taken meanwhile.
    """
    db.session.flush()
    ahead = _ahead(meeting)
    allocation.shift([Claim(one, demands.need_now(meeting, one)) for one in ahead])
    for one in ahead:
        allocation.refresh(one)


def _ahead(meeting: Meeting) -> list[Occurrence]:
    now = clock.now()
    return [
        one for one in meeting.occurrences if one.state == MeetingState.SCHEDULED and one.ends > now
    ]
