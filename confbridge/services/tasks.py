"""What a meeting's secretariat has to look after."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.models import Account, Attendee, Meeting, Occurrence, Task, TaskKind
from confbridge.services import access, audit

ITSELF = "confbridge"  # who settles a task that has settled itself


def add(
    attendee: Attendee, kind: TaskKind, detail: str, *, occurrence: Occurrence | None = None
) -> None:
    """Add a task, unless the same is open already: then only its detail is the new one."""
    asked = _open(attendee, [kind], occurrence)
    known = db.session.scalars(select(Task).where(*asked)).first()
    if known is not None:
        known.detail = detail
        return
    db.session.add(
        Task(
            meeting_id=attendee.meeting_id,
            attendee_id=attendee.id,
            occurrence_id=occurrence.id if occurrence else None,
            kind=kind,
            detail=detail,
            at=clock.now(),
        )
    )


def settle(
    attendee: Attendee, kinds: Collection[TaskKind], *, occurrence: Occurrence | None = None
) -> None:
    """Close what has settled itself."""
    done = update(Task).where(*_open(attendee, kinds, occurrence))
    db.session.execute(done.values(done_at=clock.now(), done_by=ITSELF))


def _open(attendee: Attendee, kinds: Collection[TaskKind], occurrence: Occurrence | None):  # type: ignore[no-untyped-def]
    return (
        Task.attendee_id == attendee.id,
        Task.kind.in_(kinds),
        Task.occurrence_id == (occurrence.id if occurrence else None),
        Task.done_at.is_(None),
    )


def settle_all(meeting: Meeting, attendees: Collection[Attendee] | None = None) -> None:
    """Close all that is open about a meeting that is off, or about who is off its list."""
    past = update(Task).where(Task.meeting_id == meeting.id, Task.done_at.is_(None))
    if attendees is not None:
        past = past.where(Task.attendee_id.in_([one.id for one in attendees]))
    db.session.execute(past.values(done_at=clock.now(), done_by=ITSELF))


def done(task: Task, *, by: Account) -> None:
    """Close a task that somebody has looked after."""
    if task.done_at is None:
        task.done_at, task.done_by = clock.now(), by.email
        audit.record(by.email, "task done", f"meeting {task.meeting.uid}", task.kind)


def of_meeting(meeting: Meeting) -> Sequence[Task]:
    """Return what is open about a meeting, the oldest first."""
    asked = select(Task).where(Task.meeting_id == meeting.id, Task.done_at.is_(None))
    return db.session.scalars(asked.order_by(Task.at, Task.id)).all()


def listed(account: Account, *, limit: int = 200) -> Sequence[Task]:
    """Return what is open about the meetings that `account` runs, the oldest first."""
    asked = (
        select(Task)
        .join(Meeting, Meeting.id == Task.meeting_id)
        .where(Task.done_at.is_(None), access.meeting_is_own(account))
        .options(joinedload(Task.meeting), joinedload(Task.attendee))
        .order_by(Task.at, Task.id)
        .limit(limit)
    )
    return db.session.scalars(asked).all()
