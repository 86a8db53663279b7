"""Who is told what when a meeting is made, changed or called off (RFC 5546).

The rules S1 to S9 are named in docs/invitations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from confbridge import clock
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Phrase
from confbridge.models import Account, Attendee, LetterKind, Meeting
from confbridge.services import audit, outbox

REMINDER_PAUSE = timedelta(minutes=10)


def invite(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send each a REQUEST (S1, S7)."""
    outbox.add(meeting, LetterKind.INVITATION, attendees, contact=_contact(by))


def ask_anew(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send each a REQUEST for another time: a new SEQUENCE, and every answer is open (S3)."""
    meeting.sequence += 1
    for attendee in attendees:
        attendee.partstat = Partstat.NEEDS_ACTION
        attendee.comment, attendee.delegates, attendee.headcount = "", "", None
        attendee.via, attendee.answered_at = "", None
    outbox.add(meeting, LetterKind.MOVED, attendees, contact=_contact(by))


def tell_of_change(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send a REQUEST with other words: same SEQUENCE, newer DTSTAMP, answers stay (S4)."""
    outbox.add(meeting, LetterKind.CHANGED, attendees, contact=_contact(by))


def remind(meeting: Meeting, *, by: Account) -> int:
    """Ask those again who have not answered, with the same SEQUENCE (S6); say how many.

    Raises Conflict.
    """
    silent = [one for one in meeting.attendees if one.partstat == Partstat.NEEDS_ACTION]
    if not silent:
        raise Conflict(Phrase("Everybody has answered."))
    last = outbox.last_written(meeting, LetterKind.REMINDER)
    if last and clock.now() - last < REMINDER_PAUSE:
        raise Conflict(Phrase("They were reminded a moment ago. Give them some time."))
    outbox.add(meeting, LetterKind.REMINDER, silent, contact=_contact(by))
    audit.record(by.email, "reminded", f"meeting {meeting.uid}", str(len(silent)))
    return len(silent)


def withdraw(meeting: Meeting, attendees: Sequence[Attendee], *, by: Account) -> None:
    """Send a CANCEL to those taken off the list, and to them alone (S8)."""
    meeting.sequence += 1
    outbox.add(meeting, LetterKind.WITHDRAWN, attendees, contact=_contact(by))


def call_off(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Send all a CANCEL (S9)."""
    meeting.sequence += 1
    outbox.add(
        meeting, LetterKind.CANCELLED, meeting.attendees, contact=_contact(by), reason=reason
    )


def _contact(account: Account) -> str:
    return f"{account.name} <{account.email}>"
