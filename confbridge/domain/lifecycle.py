"""The states a meeting passes through."""

from __future__ import annotations

from enum import StrEnum

from confbridge.errors import Conflict, Phrase


class MeetingState(StrEnum):
    """What has become of a meeting, or of one occurrence of it."""

    DRAFT = "draft"  # nobody has been told; it may hold its slots for a while
    SCHEDULED = "scheduled"
    POSTPONED = "postponed"  # it holds nothing, keeps its number, and waits for a new time
    CANCELLED = "cancelled"
    OVER = "over"


NEXT = {
    MeetingState.DRAFT: {MeetingState.SCHEDULED, MeetingState.CANCELLED},
    MeetingState.SCHEDULED: {MeetingState.POSTPONED, MeetingState.CANCELLED, MeetingState.OVER},
    MeetingState.POSTPONED: {MeetingState.SCHEDULED, MeetingState.CANCELLED},
    MeetingState.CANCELLED: set(),
    MeetingState.OVER: set(),
}

REFUSALS = {
    MeetingState.DRAFT: Phrase("The meeting is a draft; nobody has been invited yet."),
    MeetingState.SCHEDULED: Phrase("The meeting has been scheduled already."),
    MeetingState.POSTPONED: Phrase("The meeting has been postponed; give it a new time first."),
    MeetingState.CANCELLED: Phrase("The meeting has been cancelled; it cannot be changed."),
    MeetingState.OVER: Phrase("The meeting is over; it cannot be changed."),
}
ENDED = {MeetingState.CANCELLED, MeetingState.OVER}


def check_step(now: MeetingState, then: MeetingState) -> None:
    """Raise Conflict unless a meeting may go from `now` to `then`."""
    if then not in NEXT[now]:
        raise Conflict(REFUSALS[now])


def check_changeable(now: MeetingState) -> None:
    """Raise Conflict unless a meeting in this state may still be changed."""
    if now in ENDED:
        raise Conflict(REFUSALS[now])
