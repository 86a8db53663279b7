"""What a change makes different, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from confbridge.domain import lifecycle
from confbridge.domain.lifecycle import MeetingState
from confbridge.models import Account, Attendee, LetterKind, Meeting
from confbridge.services import invitations

Changed = tuple[Sequence[Attendee], Sequence[Attendee]]  # who was added, who was removed


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of a meeting an endpoint is told, or a bridge carries; before and after a change."""

    words: tuple[str, ...]
    times: tuple[tuple[int, datetime, datetime], ...]
    rule: tuple[str, ...]
    terms: tuple[object, ...]
    roles: Mapping[int, str]  # by the attendee's id
    legs: Mapping[int, tuple[int, str]]

    @classmethod
    def of(cls, meeting: Meeting) -> Shape:
        return cls(
            words=(meeting.title, meeting.agenda, meeting.chair),
            times=tuple(
                (one.id, one.starts, one.ends)
                for one in meeting.occurrences
                if one.state not in lifecycle.ENDED
            ),
            rule=(meeting.rrule, *(one.isoformat() for one in meeting.skipped)),
            terms=(
                *(meeting.lead_minutes, meeting.tail_minutes, meeting.guest_ports),
                *(meeting.network, meeting.only_bridge, meeting.standby, meeting.may_cascade),
                *(meeting.rank, meeting.gives_back),
            ),
            roles={one.id: one.role for one in meeting.attendees},
            legs={one.id: (one.ports, one.quality) for one in meeting.attendees},
        )

    def holds_otherwise(self, then: Shape) -> bool:
        """Say whether other slots or ports are needed then."""
        return (self.times, self.terms, self.legs) != (then.times, then.terms, then.legs)

    def is_rechaired(self, then: Shape) -> bool:
        """Say whether the chair's time has to be looked at again."""
        return self.words[2] != then.words[2] or self.times != then.times

    def is_elsewhen(self, then: Shape) -> bool:
        return (self.times, self.rule) != (then.times, then.rule)


def tell(
    meeting: Meeting,
    was: Shape,
    changed: Changed,
    *,
    starting: MeetingState | None,
    by: Account,
) -> None:
    """Send only the difference, and only to those it concerns; a draft concerns nobody."""
    if meeting.state == MeetingState.DRAFT:
        return
    added, removed = changed
    everywhere = [one for one in meeting.attendees if one.everywhere]
    if starting is MeetingState.DRAFT:
        invitations.invite(meeting, everywhere, by=by)
        invitations.tell_singles(meeting, LetterKind.INVITATION, by=by)
        return
    if removed:
        invitations.withdraw(meeting, removed, by=by)
    if meeting.state == MeetingState.POSTPONED:
        return  # it has no time to tell; all of it is told with the new one
    now = Shape.of(meeting)
    new = {one.id for one in added}
    stayed = [one for one in everywhere if one.id not in new]
    if starting or was.is_elsewhen(now):
        invitations.ask_anew(meeting, stayed, by=by)
        dropped = {number for number, _, _ in was.times} - {number for number, _, _ in now.times}
        gone = [one for one in meeting.occurrences if one.id in dropped]
        invitations.tell_singles(meeting, LetterKind.CANCELLED, gone, by=by)
        invitations.tell_singles(meeting, LetterKind.MOVED, by=by)
    elif told := [one for one in stayed if now.words != was.words or was.roles[one.id] != one.role]:
        invitations.tell_of_change(meeting, told, by=by)
        invitations.tell_singles(meeting, LetterKind.CHANGED, by=by)
    if added:
        invitations.invite(meeting, added, by=by)
