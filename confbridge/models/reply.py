"""What comes back: answers with their evidence, mail received, and what somebody has to do."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, UTCDateTime
from confbridge.models.meeting import Attendee, Meeting, Occurrence


class ReplyKind(StrEnum):
    """What a reply wants."""

    ANSWER = "answer"
    DELEGATION = "delegation"  # somebody else shall come instead
    COUNTER = "counter"  # another time is proposed


class ReplyState(StrEnum):
    """What became of a reply."""

    COUNTED = "counted"
    EARLIER = "earlier"  # a later one had come already, or has come since
    OUTDATED = "outdated"  # it was about another time of the meeting
    WAITING = "waiting"  # somebody has to decide, and `why` says about what
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Why(StrEnum):
    """Why a reply waits for somebody to decide."""

    UNVERIFIED = "unverified"  # its sender is not who was invited
    STRANGER = "stranger"  # from an address that was not invited: forwarded, or a party crasher
    TEXT = "text"  # words, not a calendar's answer
    COUNTER = "counter"
    SUBSTITUTE = "substitute"
    TAKEN = "taken"  # it comes after all, and its place has been given away


class Reply(Base):
    """One reply, as evidence: only its `state` and who decided ever change."""

    __tablename__ = "replies"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    attendee_id: Mapped[int | None] = mapped_column(ForeignKey(Attendee.id))
    occurrence_id: Mapped[int | None] = mapped_column(ForeignKey(Occurrence.id))
    kind: Mapped[str] = mapped_column(default=ReplyKind.ANSWER)
    state: Mapped[str]
    why: Mapped[str] = mapped_column(default="")
    partstat: Mapped[str] = mapped_column(default="")
    comment: Mapped[str] = mapped_column(default="")
    delegates: Mapped[str] = mapped_column(default="")
    headcount: Mapped[int | None]
    substitute: Mapped[str] = mapped_column(default="")
    substitute_email: Mapped[str] = mapped_column(default="")
    starts: Mapped[datetime | None] = mapped_column(UTCDateTime)  # of a counter
    ends: Mapped[datetime | None] = mapped_column(UTCDateTime)
    sequence: Mapped[int]
    depth: Mapped[int] = mapped_column(default=0)  # of the delegation by which its sender speaks
    stamped: Mapped[datetime] = mapped_column(UTCDateTime)
    # Two of the same key are the same reply; unique, so that it counts once.
    key: Mapped[str] = mapped_column(unique=True)
    via: Mapped[str]
    person: Mapped[str]
    message_id: Mapped[str] = mapped_column(default="")
    authentication: Mapped[str] = mapped_column(default="")
    request_status: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    late: Mapped[bool] = mapped_column(default=False)
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by: Mapped[str] = mapped_column(default="")

    meeting: Mapped[Meeting] = relationship(lazy="raise")
    attendee: Mapped[Attendee | None] = relationship(lazy="raise")
    occurrence: Mapped[Occurrence | None] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_replies_meeting", "meeting_id", "state"),
        Index("ix_replies_attendee", "attendee_id", "at"),
        Index("ix_replies_state", "state", "at"),
    )


class Outcome(StrEnum):
    """What became of a mail that was received."""

    EFFECT = "effect"
    QUEUE = "queue"  # somebody has to decide
    IGNORED = "ignored"
    REPEATED = "repeated"  # it had come before
    QUARANTINE = "quarantine"  # it cannot be used
    REFUSED = "refused"  # larger or deeper than is read at all


class Mailbox(Base):
    """How far a mailbox has been read, and who is reading it until when."""

    __tablename__ = "mailboxes"

    name: Mapped[str] = mapped_column(primary_key=True)
    uidvalidity: Mapped[int] = mapped_column(default=0)
    last_uid: Mapped[int] = mapped_column(default=0)
    lease: Mapped[datetime] = mapped_column(UTCDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    trouble: Mapped[str] = mapped_column(default="")


class Received(Base):
    """A mail that came in, and what became of it; written with its effect, in one transaction."""

    __tablename__ = "received"

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox: Mapped[str]
    place: Mapped[str]  # UIDVALIDITY and UID, or the name of its file
    message_id: Mapped[str]
    sender: Mapped[str]
    subject: Mapped[str]
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    outcome: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    meeting_id: Mapped[int | None] = mapped_column(ForeignKey(Meeting.id))

    __table_args__ = (
        UniqueConstraint("mailbox", "place", name="uq_received_mailbox_place"),
        Index("ix_received_message_id", "message_id"),
        Index("ix_received_outcome", "outcome", "id"),
    )


class TaskKind(StrEnum):
    """What somebody has to look after."""

    DECLINED = "declined"  # a required endpoint does not come
    BOUNCED = "bounced"  # its invitation did not arrive
    SILENT = "silent"  # a required endpoint has not answered, and the meeting is near


class Task(Base):
    """Something to be looked after by the meeting's secretariat; open until it is `done`."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    occurrence_id: Mapped[int | None] = mapped_column(ForeignKey(Occurrence.id))
    kind: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    done_by: Mapped[str] = mapped_column(default="")

    meeting: Mapped[Meeting] = relationship(lazy="raise")
    attendee: Mapped[Attendee] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_tasks_meeting", "meeting_id"),
        Index("ix_tasks_open", "done_at", "at"),
    )


class Reminder(Base):
    """A reminder that was given; `starts` is the time it was about."""

    __tablename__ = "reminders"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    step: Mapped[str]
    starts: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("occurrence_id", "attendee_id", "step", name="uq_reminders_step"),
    )
