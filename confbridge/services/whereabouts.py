"""Who is told that a meeting is held elsewhere: nobody, unless something else must be dialled."""

from __future__ import annotations

from confbridge.domain.lifecycle import MeetingState
from confbridge.models import LetterKind, Occurrence
from confbridge.services import dialling, invitations, outbox
from confbridge.services.outbox import Telling


def tell_if_other(occurrence: Occurrence) -> bool:
    """Send a REQUEST to all invited if what is dialled is no longer what they were told.

    The join addresses are ours and stay as they are. Return whether it was sent.
    """
    meeting = occurrence.meeting
    if occurrence.state != MeetingState.SCHEDULED or meeting.secret:
        return False
    if "\n".join(dialling.strings(occurrence, meeting)) == occurrence.dial:
        return False
    telling = Telling(
        meeting=meeting,
        kind=LetterKind.CHANGED,
        contact=invitations.contact_of(meeting.organizer),
        occurrence=occurrence if meeting.repeats else None,
    )
    outbox.add(telling, meeting.attendees)
    return True
