"""Who is told what when a meeting is made, changed or called off (RFC 5546).

The rules S1 to S14 are named in docs/invitations.md. With an `occurrence` the
letter is about that one alone (S10, S11); without, about the whole meeting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Phrase
from confbridge.mail import compose
from confbridge.models import (
    Account,
    Attendee,
    Letter,
    LetterKind,
    Mail,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Reply,
    ReplyState,
    Standing,
)
from confbridge.services import audit, demands, outbox, tasks
from confbridge.services.outbox import Person, Telling

KINDS = {
    MeetingState.POSTPONED.value: LetterKind.POSTPONED,
    MeetingState.CANCELLED.value: LetterKind.CANCELLED,
}
REMINDER_PAUSE = timedelta(minutes=10)
JUST_SENT = Phrase("They were reminded a moment ago. Give them some time.")


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
    if singles and meeting.repeats:
        _send_singles(meeting, kind, singles, occurrences, by=by)


def _send_singles(
    meeting: Meeting,
    kind: LetterKind,
    singles: Sequence[Attendee],
    occurrences: Sequence[Occurrence] | None = None,
    *,
    by: Account | None = None,
) -> None:
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
        _send(meeting, kind, some, by=by or meeting.organizer, occurrence=one)


def open_answers(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    occurrence: Occurrence | None = None,
    *,
    sequence: int | None = None,
) -> None:
    """Forget what these have said, to one occurrence or to all: it was about something else.

    Who stood in for them is no longer invited, and told so with this `sequence`.
    """
    sequence = meeting.sequence if sequence is None else sequence
    _leave_undecided(meeting, attendees, occurrence)
    if occurrence is None or not meeting.repeats:
        for attendee in attendees:
            release_substitutes(meeting, attendee, attendee, sequence=sequence)
            attendee.open_answer(sequence)
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
        else:
            release_substitutes(meeting, attendee, one, sequence=sequence)
        one.open_answer(sequence)


def _leave_undecided(
    meeting: Meeting, attendees: Sequence[Attendee], occurrence: Occurrence | None = None
) -> None:
    """Let nobody decide any more about what was said to another time, or to what is off."""
    numbers = [one.id for one in attendees]
    past = update(Reply).where(
        Reply.meeting_id == meeting.id,
        Reply.state == ReplyState.WAITING,
        Reply.attendee_id.in_(numbers) | Reply.attendee_id.is_(None),
    )
    if occurrence is not None and meeting.repeats:
        past = past.where(Reply.occurrence_id == occurrence.id)
    db.session.execute(past.values(state=ReplyState.OUTDATED))


def release_substitutes(
    meeting: Meeting,
    attendee: Attendee,
    standing: Standing,
    *,
    keep: Sequence[str] = (),
    sequence: int | None = None,
) -> None:
    """Send a CANCEL to who stood in and does so no longer; all but the first ones, to `keep`."""
    before, people = attendee.endpoint.email, []
    for email in standing.substitutes:
        if email not in keep:
            people.append(outbox.substitute(attendee, email, before, Partstat.NEEDS_ACTION))
        before = email
    if not people:
        return
    about = standing.occurrence_id if isinstance(standing, OccurrenceAnswer) else None
    telling = Telling(
        meeting=meeting,
        kind=LetterKind.WITHDRAWN,
        contact=contact_of(meeting.organizer),
        occurrence=next((one for one in meeting.occurrences if one.id == about), None),
        sequence=sequence,
    )
    outbox.add(telling, [], people=people)


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


def remind(meeting: Meeting, only: Attendee | None = None, *, by: Account) -> int:
    """Ask those again who have not answered, with the same SEQUENCE (S6); say how many.

    Raises Conflict.
    """
    asked = [only] if only is not None else meeting.attendees
    apart = _silent_apart(meeting)
    silent = [
        one
        for one in asked
        if (one.everywhere and one.partstat == Partstat.NEEDS_ACTION)
        or any(one.id in some for some in apart.values())
    ]
    if not silent:
        raise Conflict(Phrase("Everybody has answered."))
    if only is not None:
        if was_just_sent(meeting, only):
            raise Conflict(JUST_SENT)
    else:
        last = outbox.last_written(meeting, LetterKind.REMINDER)
        if last and clock.now() - last < REMINDER_PAUSE:
            raise Conflict(JUST_SENT)
    whole = [one for one in silent if one.everywhere and one.partstat == Partstat.NEEDS_ACTION]
    _send(meeting, LetterKind.REMINDER, whole, by=by)
    for occurrence in meeting.occurrences:
        some = [one for one in silent if one.id in apart.get(occurrence.id, ())]
        _send(meeting, LetterKind.REMINDER, some, by=by, occurrence=occurrence)
    audit.record(by.email, "reminded", f"meeting {meeting.uid}", str(len(silent)))
    return len(silent)


def _silent_apart(meeting: Meeting) -> dict[int, set[int]]:
    """Return who still has to answer to single occurrences: attendees' ids by the occurrence's.

    Who comes to that one alone, and who was asked anew because it was moved alone.
    """
    if not meeting.repeats:
        return {}
    now = clock.now()
    ahead = [
        one for one in meeting.occurrences if one.state == MeetingState.SCHEDULED and one.ends > now
    ]
    said, members = demands.said_apart(meeting, ahead), demands.members(ahead)
    found: dict[int, set[int]] = {}
    for one in ahead:
        for each in meeting.attendees:
            answer = said[one.id].get(each.id, "" if each.everywhere else each.partstat)
            if each.endpoint_id in members[one.id] and answer == Partstat.NEEDS_ACTION:
                found.setdefault(one.id, set()).add(each.id)
    return found


def resend(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    *,
    occurrence: Occurrence | None = None,
    kind: LetterKind = LetterKind.REMINDER,
) -> None:
    """Send the REQUEST as it is now to these, with the same SEQUENCE (S6, R3, R13)."""
    by = meeting.organizer
    if occurrence is not None:
        _send(meeting, kind, attendees, by=by, occurrence=occurrence)
        return
    everywhere = [one for one in attendees if one.everywhere]
    _send(meeting, kind, everywhere, by=by)
    _send_overrides(meeting, everywhere, by=by)
    if len(everywhere) < len(attendees):
        _send_singles(meeting, kind, [one for one in attendees if not one.everywhere])


def was_just_sent(meeting: Meeting, attendee: Attendee) -> bool:
    """Say whether the attendee was written to a moment ago, so that no machine keeps us busy."""
    asked = (
        select(func.max(Letter.stamped))
        .join(Mail, Mail.letter_id == Letter.id)
        .where(Letter.meeting_id == meeting.id, Mail.attendee_id == attendee.id)
    )
    last = db.session.scalar(asked)
    return last is not None and clock.now() - last < REMINDER_PAUSE


def decline_counter(row: Reply, reason: str, *, by: Account) -> None:
    """Tell who proposed another time that it stays, in words and as DECLINECOUNTER (R12)."""
    telling = Telling(
        meeting=row.meeting,
        kind=LetterKind.COUNTER_DECLINED,
        contact=contact_of(by),
        reason=reason,
        occurrence=row.occurrence,
        sequence=row.sequence,
    )
    outbox.add(telling, [], people=[_person(row, row.attendee)])


def invite_stranger(row: Reply, attendee: Attendee, *, by: Account) -> None:
    """Send a REQUEST to somebody whose answer was taken as this endpoint's (R9)."""
    telling = Telling(
        meeting=row.meeting,
        kind=LetterKind.INVITATION,
        contact=contact_of(by),
        occurrence=row.occurrence,
    )
    outbox.add(telling, [], people=[_person(row, attendee)])


def turn_away(row: Reply, *, by: Account) -> None:
    """Send a CANCEL to somebody who was not invited, and to that address alone (R9)."""
    telling = Telling(
        meeting=row.meeting,
        kind=LetterKind.WITHDRAWN,
        contact=contact_of(by),
        occurrence=row.occurrence,
    )
    outbox.add(telling, [], people=[_person(row, None)])


def invite_substitute(row: Reply, attendee: Attendee, before: str, *, by: Account) -> None:
    """Send a REQUEST to who stands in, DELEGATED-FROM whose place it is (R8)."""
    telling = Telling(
        meeting=row.meeting,
        kind=LetterKind.INVITATION,
        contact=contact_of(by),
        occurrence=row.occurrence,
    )
    person = outbox.substitute(attendee, row.substitute_email, before, Partstat.NEEDS_ACTION)
    outbox.add(telling, [], people=[person])


def _person(row: Reply, attendee: Attendee | None) -> Person:
    return Person(
        email=row.person,
        name=attendee.endpoint.name if attendee else row.person,
        role=attendee.role if attendee else "optional",
        attendee=attendee,
        language=attendee.endpoint.language if attendee else "vi",
        partstat=attendee.partstat if attendee else Partstat.NEEDS_ACTION,
    )


def withdraw(
    meeting: Meeting,
    attendees: Sequence[Attendee],
    *,
    by: Account,
    occurrence: Occurrence | None = None,
) -> None:
    """Send a CANCEL to those taken off the list, and to them alone (S8)."""
    meeting.sequence += 1
    if occurrence is None:
        _leave_undecided(meeting, attendees)
        tasks.settle_all(meeting, attendees)
    _send(meeting, LetterKind.WITHDRAWN, attendees, by=by, occurrence=occurrence)


def withdraw_single(
    meeting: Meeting, occurrence: Occurrence, attendees: Sequence[Attendee], *, by: Account
) -> None:
    """Send a CANCEL of an occurrence that has left the series to who came to it alone."""
    kind, contact = LetterKind.WITHDRAWN, contact_of(by)
    _tell(Telling(meeting=meeting, kind=kind, contact=contact, occurrence=occurrence), attendees)


def call_off(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Send all a CANCEL (S9); nothing is left to decide or to look after."""
    meeting.sequence += 1
    _leave_undecided(meeting, meeting.attendees)
    tasks.settle_all(meeting)
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
        meeting=meeting,
        kind=KINDS.get(meeting.state, LetterKind.INVITATION),
        contact=contact_of(meeting.organizer),
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
