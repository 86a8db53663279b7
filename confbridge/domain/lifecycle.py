"""The states a meeting passes through."""

from __future__ import annotations

from enum import StrEnum

from confbridge.errors import Conflict, Phrase


class MeetingState(StrEnum):
    """What has become of a meeting, or of one occurrence of it."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    OVER = "over"


NEXT = {
    MeetingState.SCHEDULED: {MeetingState.CANCELLED, MeetingState.OVER},
    MeetingState.CANCELLED: set(),
    MeetingState.OVER: set(),
}

REFUSALS = {
    MeetingState.CANCELLED: Phrase("The meeting has been cancelled; it cannot be changed."),
    MeetingState.OVER: Phrase("The meeting is over; it cannot be changed."),
}


def check_step(now: MeetingState, then: MeetingState) -> None:
    """Raise Conflict unless a meeting may go from `now` to `then`."""
    if then not in NEXT[now]:
        raise Conflict(REFUSALS[now])


def check_changeable(now: MeetingState) -> None:
    """Raise Conflict unless a meeting in this state may still be changed."""
    if now in REFUSALS:
        raise Conflict(REFUSALS[now])
