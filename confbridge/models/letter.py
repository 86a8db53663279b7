"""The outbox: what is told to whom, and how far it got."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, UTCDateTime
from confbridge.domain.interval import Interval
from confbridge.models.meeting import Attendee, Meeting, Occurrence


class LetterKind(StrEnum):
    """Why a letter is written; each has a text of its own."""

    INVITATION = "invitation"
    MOVED = "moved"
    CHANGED = "changed"
    REMINDER = "reminder"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    POSTPONED = "postponed"
    UPCOMING = "upcoming"  # a reminder to who has answered
    COUNTER_DECLINED = "counter_declined"
    FREEBUSY = "freebusy"  # an answer to who asked when an endpoint is free
    SILENT = "silent"  # to the head office: a required endpoint has not answered
    OFFERED = "offered"  # to the organizer: what waited, or was displaced, could be held now


class Letter(Base):
    """What is told, frozen as it was when it was decided."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int | None] = mapped_column(ForeignKey(Meeting.id))  # None: about none
    kind: Mapped[str]
    sequence: Mapped[int]
    stamped: Mapped[datetime] = mapped_column(UTCDateTime)
    title: Mapped[str]
    agenda: Mapped[str]
    secret: Mapped[bool] = mapped_column(default=False)
    chair: Mapped[str]
    host: Mapped[str]
    number: Mapped[str]
    contact: Mapped[str]
    timezone: Mapped[str]
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    lead_minutes: Mapped[int]
    reason: Mapped[str] = mapped_column(default="")
    occurrence_id: Mapped[int | None] = mapped_column(ForeignKey(Occurrence.id))  # of it alone
    original: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its RECURRENCE-ID
    rrule: Mapped[str] = mapped_column(default="")
    exdates: Mapped[str] = mapped_column(default="")  # moments, ISO 8601, by blanks
    related_to: Mapped[str] = mapped_column(default="")  # the UID it was split off from
    offers: Mapped[str] = mapped_column(default="")  # starts of new times, as `exdates`
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # how long an offer stands
    site: Mapped[str] = mapped_column(default="")  # the endpoint that a head office is told of

    dial: Mapped[str] = mapped_column(default="")  # what is dialled, a line each
    body: Mapped[str] = mapped_column(default="")  # an iCalendar object that is ready to be sent

    meeting: Mapped[Meeting | None] = relationship(lazy="raise")

    __table_args__ = (Index("ix_letters_meeting", "meeting_id"),)

    @property
    def during(self) -> Interval:
        return Interval(self.starts, self.ends)

    @property
    def left_out(self) -> list[datetime]:
        return [datetime.fromisoformat(one) for one in self.exdates.split()]

    @property
    def new_times(self) -> list[datetime]:
        return [datetime.fromisoformat(one) for one in self.offers.split()]


class MailState(StrEnum):
    """How far a mail got."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"  # its mail server has said so
    BOUNCED = "bounced"  # taken, and sent back
    FAILED = "failed"
    SUPERSEDED = "superseded"  # never sent, because a later letter says it all


class Mail(Base):
    """A letter on its way to one attendee, or without one to the organizer.

    `due` is None when nothing is left to do.
    """

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey(Letter.id))
    attendee_id: Mapped[int | None] = mapped_column(ForeignKey(Attendee.id))
    message_id: Mapped[str] = mapped_column(unique=True)
    recipient: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    partstat: Mapped[str]
    language: Mapped[str] = mapped_column(default="vi")
    delegated_from: Mapped[str] = mapped_column(default="")  # whose place the recipient takes
    exdates: Mapped[str] = mapped_column(default="")  # of this endpoint alone, as the letter's
    state: Mapped[str] = mapped_column(default=MailState.QUEUED)
    due: Mapped[datetime | None] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    letter: Mapped[Letter] = relationship(lazy="joined")

    __table_args__ = (
        Index("ix_mails_due", "due"),
        Index("ix_mails_letter", "letter_id"),
        Index("ix_mails_attendee", "attendee_id"),
        Index("ix_mails_recipient", "recipient"),
    )

    @property
    def left_out(self) -> list[datetime]:
        return [datetime.fromisoformat(one) for one in self.exdates.split()]
