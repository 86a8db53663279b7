"""Who is invited to a meeting, as a grid: what each got, said, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confbridge.domain.rsvp import Partstat
from confbridge.models import (
    Account,
    Attendee,
    LetterKind,
    Mail,
    Meeting,
    Occurrence,
    Reply,
    Standing,
    Task,
)
from confbridge.services import audit, decisions, invitations, outbox, replies, tasks
from confbridge.services.outbox import FAILED
from confbridge.services.replies import Seat

STATES = (
    Partstat.ACCEPTED,
    Partstat.TENTATIVE,
    Partstat.DELEGATED,
    Partstat.DECLINED,
    Partstat.NEEDS_ACTION,
)
SHOWN = ("silent", "declined", "bounced", "waiting")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One endpoint in the grid."""

    attendee: Attendee
    said: Standing
    mail: Mail | None
    waits: bool  # something it sent waits for a decision

    def is_shown(self, show: str) -> bool:
        """Say whether it belongs to what is looked for; "" is everything."""
        match show:
            case "silent":
                return self.said.partstat == Partstat.NEEDS_ACTION
            case "declined":
                return self.said.partstat == Partstat.DECLINED
            case "bounced":
                return self.mail is not None and self.mail.state in FAILED
            case "waiting":
                return self.waits
            case _:
                return True


@dataclass(frozen=True, kw_only=True)
class Grid:
    """All endpoints of a meeting, about all of it or one occurrence."""

    rows: Sequence[Row]
    counts: Mapping[str, int]  # by PARTSTAT
    waiting: Sequence[Reply]
    tasks: Sequence[Task]
    occurrence: Occurrence | None = None

    def of(self, show: str) -> list[Row]:
        return [row for row in self.rows if row.is_shown(show)]


def grid(meeting: Meeting, occurrence: Occurrence | None = None, *, may_change: bool) -> Grid:
    """Return the grid; what waits, and what is to be done, only for whom it is."""
    deliveries = outbox.deliveries([meeting])
    said: Mapping[int, Standing] = {one.id: one for one in meeting.attendees}
    if occurrence is not None:
        said = replies.standings(meeting, occurrence)
    waiting = decisions.of_meeting(meeting) if may_change else []
    names = {one.attendee_id for one in waiting}
    rows = [
        Row(
            attendee=one,
            said=said[one.id],
            mail=deliveries.get(one.id),
            waits=one.id in names,
        )
        for one in meeting.attendees
    ]
    counts = {state.value: sum(row.said.partstat == state for row in rows) for state in STATES}
    return Grid(
        rows=rows,
        counts={
            state: number for state, number in counts.items() if number or state != "DELEGATED"
        },
        waiting=waiting,
        tasks=tasks.of_meeting(meeting) if may_change else [],
        occurrence=occurrence,
    )


def remind(meeting: Meeting, only: Attendee | None = None, *, by: Account) -> int:
    """Ask again who has not answered, or of them `only` one; say how many.

    Raises Conflict.
    """
    replies.check_open(Seat(meeting, only or meeting.attendees[0]))
    return invitations.remind(meeting, only, by=by)


def send_again(meeting: Meeting, attendee: Attendee, *, by: Account) -> None:
    """Send an endpoint its invitation again, as it is now.

    Raises Conflict.
    """
    replies.check_open(Seat(meeting, attendee))
    invitations.resend(meeting, [attendee], kind=LetterKind.INVITATION)
    code = attendee.endpoint.code
    audit.record(by.email, "invitation sent again", f"meeting {meeting.uid}", code)
