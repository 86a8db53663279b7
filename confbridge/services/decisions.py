"""What the secretary decides about replies that could not simply count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.meetings import Decision, MeetingChange, OccurrenceChange
from confbridge.models import (
    Account,
    Meeting,
    Reply,
    ReplyKind,
    ReplyState,
    Why,
)
from confbridge.services import access, audit, invitations, meetings, replies, substitutes
from confbridge.services.replies import Seat


def waiting(account: Account, *, limit: int = 200) -> Sequence[Reply]:
    """Return what waits for a decision about the meetings that `account` runs, oldest first."""
    asked = (
        select(Reply)
        .join(Meeting, Meeting.id == Reply.meeting_id)
        .where(Reply.state == ReplyState.WAITING, access.meeting_is_own(account))
        .options(
            joinedload(Reply.meeting), joinedload(Reply.attendee), joinedload(Reply.occurrence)
        )
        .order_by(Reply.at, Reply.id)
        .limit(limit)
    )
    return db.session.scalars(asked).all()


def of_meeting(meeting: Meeting) -> Sequence[Reply]:
    """Return what waits for a decision about a meeting, the oldest first."""
    asked = (
        select(Reply)
        .where(Reply.meeting_id == meeting.id, Reply.state == ReplyState.WAITING)
        .options(
            joinedload(Reply.meeting), joinedload(Reply.attendee), joinedload(Reply.occurrence)
        )
        .order_by(Reply.at, Reply.id)
    )
    return db.session.scalars(asked).all()


def decide(row: Reply, wanted: Decision, *, by: Account) -> None:
    """Accept a reply, or refuse it, and tell whom it concerns.

    Raises Conflict if it was decided already, Invalid, and Clash where what it
    would take is taken.
    """
    if row.state == ReplyState.OUTDATED:
        raise Conflict(Phrase("The meeting has been changed since; this was about an earlier one."))
    if row.state != ReplyState.WAITING:
        raise Conflict(Phrase("This has been decided already."))
    row.decided_at, row.decided_by = clock.now(), by.email
    if wanted.accept:
        _accept(row, wanted, by=by)
    else:
        _refuse(row, wanted, by=by)
    word = "accepted" if wanted.accept else "refused"
    audit.record(by.email, f"reply {word}", f"meeting {row.meeting.uid}", f"{row.person} {row.why}")
    db.session.flush()


def change_wanted(row: Reply) -> MeetingChange | OccurrenceChange:
    """Return what a proposal of another time would change."""
    assert row.starts is not None
    assert row.ends is not None
    if row.starts <= clock.now():
        raise Conflict(Phrase("The time that was proposed has passed."))
    minutes = round((row.ends - row.starts) / timedelta(minutes=1))
    kind = MeetingChange if row.occurrence is None else OccurrenceChange
    return kind.model_construct({"start", "minutes"}, start=row.starts, minutes=minutes)


def _accept(row: Reply, wanted: Decision, *, by: Account) -> None:
    if row.kind == ReplyKind.COUNTER:
        _reschedule(row, by=by)
        return
    if row.why == Why.STRANGER:
        attendee = replies.of_endpoint(row.meeting, wanted.endpoint)
        row.attendee_id, row.attendee = attendee.id, attendee
    seat = _seat(row)
    replies.check_open(seat)
    if row.why == Why.SUBSTITUTE:
        substitutes.agree(row, seat, by=by)
        return
    if row.why == Why.STRANGER:
        seat.attendee.also |= {row.person}
        invitations.invite_stranger(row, seat.attendee, by=by)
    row.partstat = wanted.partstat or row.partstat
    if row.partstat in {"", Partstat.NEEDS_ACTION}:
        raise Invalid(partstat=Phrase("Choose an answer."))
    replies.count(seat, replies.said_of(row))


def _refuse(row: Reply, wanted: Decision, *, by: Account) -> None:
    if row.why == Why.SUBSTITUTE:
        substitutes.refuse(row, _seat(row))
        return
    row.state = ReplyState.REFUSED
    if row.kind == ReplyKind.COUNTER and row.attendee is not None:
        invitations.decline_counter(row, wanted.reason, by=by)
    elif row.why == Why.STRANGER and wanted.tell:
        invitations.turn_away(row, by=by)


def _reschedule(row: Reply, *, by: Account) -> None:
    change = change_wanted(row)
    row.state = ReplyState.ACCEPTED
    if isinstance(change, OccurrenceChange):
        assert row.occurrence is not None
        one = meetings.occurrence_of(row.meeting, row.occurrence.id)
        meetings.change_occurrence(row.meeting, one, change, by=by)
    else:
        meetings.change(row.meeting, change, by=by)


def _seat(row: Reply) -> Seat:
    assert row.attendee is not None, "who is not invited has no seat"
    return Seat(row.meeting, row.attendee, row.occurrence)
