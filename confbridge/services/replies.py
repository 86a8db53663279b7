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
from confbridge.models import Attendee, Meeting
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
    attendee.partstat = answer.partstat
    attendee.comment = answer.comment
    comes = answer.partstat is not Partstat.DECLINED
    attendee.delegates = answer.delegates if comes else ""
    attendee.headcount = answer.headcount if comes else None
    attendee.via = via
    attendee.answered_at = clock.now()
    _settle_slots(meeting, attendee)
    audit.record(
        by, "answered", f"meeting {meeting.uid}", f"{attendee.endpoint.code} {answer.partstat}"
    )


def _settle_slots(meeting: Meeting, attendee: Attendee) -> None:
    """Give back what a soft client holds that has declined, or take it again if it comes after all.

    Raises Clash if it is taken meanwhile.
    """
    gives_back = demands.has_given_back(meeting, attendee)
    numbers = demands.holding(meeting, attendee, live=gives_back)
    now = clock.now()
    some = [
        one
        for one in meeting.occurrences
        if one.id in numbers and one.state == MeetingState.SCHEDULED and one.ends > now
    ]
    if not some:
        return
    db.session.flush()
    needs = demands.needs_now(meeting, some)
    if gives_back:
        allocation.give_back(some, attendee.endpoint_id)
        for one, need in zip(some, needs, strict=True):
            allocation.shrink(one, need)
        holds.room_was_made()
    else:
        allocation.shift([Claim(one, need) for one, need in zip(some, needs, strict=True)])
    for one in some:
        allocation.refresh(one)
