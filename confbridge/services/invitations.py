"""Who is told what when a meeting is made, changed or called off (RFC 5546).

The rules S1 to S14 are named in docs/invitations.md. With an `occurrence` the
letter is about that one alone (S10, S11); without, about the whole meeting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from confbridge import clock
from confbridge.database import db
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Phrase
from confbridge.mail import compose
from confbridge.models import (
    Account,
    Attendee,
    LetterKind,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
)
from confbridge.services import audit, demands, outbox
from confbridge.services.outbox import Telling

REMINDER_PAUSE = timedelta(minutes=10)


def invite(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    *,
    by: Account,
    occurrence: Occurrence | None = None,
) -> None:
    """Send each a REQUEST (S1, S7); who comes to one occurrence gets that alone (S14)."""
    _send(meeting, LetterKind.INVITATION, attendees, by=by, occurrence=occurrence)
    if occurrence is None:
        _send_overrides(meeting, attendees, by=by)


def ask_anew(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    *,
    by: Account,
    occurrence: Occurrence | None = None,
) -> None:
    """Send each a REQUEST for another time: a new SEQUENCE, and every answer is open (S3, S10)."""
    meeting.sequence += 1
    open_answers(meeting, attendees, occurrence)
    _send(meeting, LetterKind.MOVED, attendees, by=by, occurrence=occurrence)
    if occurrence is None:
        _send_overrides(meeting, attendees, by=by)


def tell_singles(
    meeting: Meeting,
    kind: LetterKind,
    occurrences: Sequence[Occurrence] | None = None,
    *,
    by: Account,
) -> None:
    """Tell those who come to single occurrences of each by itself (S14).

    Of these occurrences, or of all that are scheduled and ahead.
    """
    singles = [one for one in meeting.attendees if not one.everywhere]
    if not singles or not meeting.repeats:
        return
    now = clock.now()
    if occurrences is None:
        occurrences = [
            one
            for one in meeting.occurrences
            if one.state == MeetingState.SCHEDULED and one.ends > now
        ]
    members = demands.members(occurrences)
    for one in occurrences:
        some = [each for each in singles if each.endpoint_id in members[one.id]]
        _send(meeting, kind, some, by=by, occurrence=one)


def open_answers(
    meeting: Meeting, attendees: Sequence[Attendee], occurrence: Occurrence | None = None
) -> None:
    """Forget what these have said, to one occurrence or to all: it was about something else."""
    if occurrence is None or not meeting.repeats:
        for attendee in attendees:
            attendee.open_answer(meeting.sequence)
        if meeting.repeats:
            forget_answers(meeting.occurrences)
        return
    asked = select(OccurrenceAnswer).where(OccurrenceAnswer.occurrence_id == occurrence.id)
    known = {one.attendee_id: one for one in db.session.scalars(asked)}
    for attendee in attendees:
        one = known.get(attendee.id)
        if one is None:
            one = OccurrenceAnswer(attendee_id=attendee.id, occurrence_id=occurrence.id)
            db.session.add(one)
        one.open_answer(meeting.sequence)


def forget_answers(occurrences: Sequence[Occurrence]) -> None:
    """Let what was said to the series count for these as well."""
    numbers = [one.id for one in occurrences]
    db.session.execute(delete(OccurrenceAnswer).where(OccurrenceAnswer.occurrence_id.in_(numbers)))


def tell_of_change(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send a REQUEST with other words: same SEQUENCE, newer DTSTAMP, answers stay (S4)."""
    _send(meeting, LetterKind.CHANGED, attendees, by=by)


def shorten(
    meeting: Meeting, attendees: Sequence[Attendee], *, by: Account, reason: str = ""
) -> None:
    """Send a series that now ends earlier: a new SEQUENCE; what was answered stays (S12)."""
    meeting.sequence += 1
    kind, contact = LetterKind.CHANGED, contact_of(by)
    telling = Telling(meeting=meeting, kind=kind, contact=contact, reason=reason)
    _tell(telling, [one for one in attendees if one.everywhere])


def remind(meeting: Meeting, *, by: Account) -> int:
    """Ask those again who have not answered, with the same SEQUENCE (S6); say how many.

    Raises Conflict.
    """
    silent = [one for one in meeting.attendees if one.partstat == Partstat.NEEDS_ACTION]
    whole = [one for one in silent if one.everywhere]
    if not silent:
        raise Conflict(Phrase("Everybody has answered."))
    last = outbox.last_written(meeting, LetterKind.REMINDER)
    if last and clock.now() - last < REMINDER_PAUSE:
        raise Conflict(Phrase("They were reminded a moment ago. Give them some time."))
    _send(meeting, LetterKind.REMINDER, whole, by=by)
    tell_singles(meeting, LetterKind.REMINDER, by=by)
    audit.record(by.email, "reminded", f"meeting {meeting.uid}", str(len(silent)))
    return len(silent)


def withdraw(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    *,
    by: Account,
    occurrence: Occurrence | None = None,
) -> None:
    """Send a CANCEL to those taken off the list, and to them alone (S8)."""
    meeting.sequence += 1
    _send(meeting, LetterKind.WITHDRAWN, attendees, by=by, occurrence=occurrence)


def withdraw_single(
    meeting: Meeting, occurrence: Occurrence, attendees: Sequence[Attendee], *, by: Account
) -> None:
    """Send a CANCEL of an occurrence that has left the series to who came to it alone."""
    kind, contact = LetterKind.WITHDRAWN, contact_of(by)
    _tell(Telling(meeting=meeting, kind=kind, contact=contact, occurrence=occurrence), attendees)


def call_off(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Send all a CANCEL (S9)."""
    meeting.sequence += 1
    kind, contact = LetterKind.CANCELLED, contact_of(by)
    _tell(Telling(meeting=meeting, kind=kind, contact=contact, reason=reason), meeting.attendees)


def call_off_one(
    meeting: Meeting, occurrence: Occurrence, attendees: Sequence[Attendee], *, by: Account
) -> None:
    """Send a CANCEL for one occurrence to those who were invited to it (S11)."""
    meeting.sequence += 1
    _tell(
        Telling(
            meeting=meeting,
            kind=LetterKind.CANCELLED,
            contact=contact_of(by),
            reason=occurrence.reason,
            occurrence=occurrence,
        ),
        attendees,
    )


def postpone(
    meeting: Meeting,
    occurrence: Occurrence,
    *,
    by: Account,
    offers: Sequence[datetime] = (),
    told: Sequence[Attendee] = (),
) -> None:
    """Tell these, and the organizer, that the time is given up and the meeting is not.

    A REQUEST of the same UID, tentative and not in the way of anything: a UID
    that was cancelled could never be used again (S24).
    """
    if told:
        meeting.sequence += 1
    open_answers(meeting, told, occurrence)
    _tell(
        Telling(
            meeting=meeting,
            kind=LetterKind.POSTPONED,
            contact=contact_of(by),
            reason=occurrence.reason,
            occurrence=occurrence if meeting.repeats else None,
            offers=tuple(offers),
        ),
        told,
        organizer=meeting.organizer,
    )


def offer(meeting: Meeting, occurrence: Occurrence, *, until: datetime) -> None:
    """Tell the organizer that what waited could be held now, and is held until then."""
    _tell(
        Telling(
            meeting=meeting,
            kind=LetterKind.OFFERED,
            contact=contact_of(meeting.organizer),
            occurrence=occurrence if meeting.repeats else None,
            offers=(occurrence.starts,),
            until=until,
        ),
        [],
        organizer=meeting.organizer,
    )


def current(meeting: Meeting, attendee: Attendee) -> bytes:
    """Return what an attendee's calendar should have of the meeting now: one object (S2)."""
    telling = Telling(
        meeting=meeting, kind=LetterKind.INVITATION, contact=contact_of(meeting.organizer)
    )
    now = clock.now()
    moved = [
        one
        for one in meeting.occurrences
        if meeting.repeats
        and one.state == MeetingState.SCHEDULED
        and (one.is_moved or not attendee.everywhere)
        and one.ends > now
    ]
    members = demands.members(moved)
    tellings = [telling] if attendee.everywhere else []
    tellings += [
        replace(telling, occurrence=one) for one in moved if attendee.endpoint_id in members[one.id]
    ]
    return compose.calendar(*(outbox.preview(one, attendee) for one in tellings or [telling]))


def contact_of(account: Account) -> str:
    return f"{account.name} <{account.email}>"


def _send(
    meeting: Meeting,
    kind: LetterKind,
    attendees: Sequence[Attendee],
    *,
    by: Account,
    occurrence: Occurrence | None = None,
) -> None:
    about = occurrence if meeting.repeats else None
    # What was said of the series is no answer to another time of one of it (S10).
    partstat = Partstat.NEEDS_ACTION if about and kind == LetterKind.MOVED else ""
    telling = Telling(
        meeting=meeting, kind=kind, contact=contact_of(by), occurrence=about, partstat=partstat
    )
    _tell(telling, attendees)


def _send_overrides(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send every occurrence that was moved alone after its series: by itself (S10)."""
    if not meeting.repeats:
        return
    now = clock.now()
    for one in meeting.occurrences:
        if one.state == MeetingState.SCHEDULED and one.is_moved and one.ends > now:
            _send(meeting, LetterKind.MOVED, attendees, by=by, occurrence=one)


def _tell(
    telling: Telling, attendees: Sequence[Attendee], *, organizer: Account | None = None
) -> None:
    if attendees or organizer:
        outbox.add(telling, attendees, organizer=organizer)
