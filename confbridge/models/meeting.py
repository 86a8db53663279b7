"""Meetings, when they take place, and who is invited."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, UTCDateTime
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat
from confbridge.models.account import Account
from confbridge.models.endpoint import Endpoint
from confbridge.models.organisation import Organisation

if TYPE_CHECKING:
    from confbridge.models.bridge import Allocation


class Meeting(Base):
    """What people agree to attend; iCalendar's VEVENT."""

    __tablename__ = "meetings"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    number: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(default=1)
    sequence: Mapped[int] = mapped_column(default=0)
    stamped: Mapped[datetime] = mapped_column(UTCDateTime)  # DTSTAMP of the last letter
    state: Mapped[str] = mapped_column(default=MeetingState.SCHEDULED)
    title: Mapped[str]
    agenda: Mapped[str] = mapped_column(default="")
    chair: Mapped[str] = mapped_column(default="")
    timezone: Mapped[str]
    host_id: Mapped[int] = mapped_column(ForeignKey(Organisation.id))
    organizer_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    guest_ports: Mapped[int] = mapped_column(default=0)
    lead_minutes: Mapped[int]
    tail_minutes: Mapped[int]
    reason: Mapped[str] = mapped_column(default="")  # why it was cancelled
    search: Mapped[str] = mapped_column(default="")  # number and title, folded

    host: Mapped[Organisation] = relationship(lazy="selectin")
    organizer: Mapped[Account] = relationship(lazy="selectin")
    occurrences: Mapped[list[Occurrence]] = relationship(
        back_populates="meeting", lazy="selectin", order_by="Occurrence.starts"
    )
    attendees: Mapped[list[Attendee]] = relationship(
        back_populates="meeting",
        lazy="selectin",
        order_by="Attendee.id",
        primaryjoin="and_(Meeting.id == Attendee.meeting_id, Attendee.invited)",
    )

    __table_args__ = (
        CheckConstraint("guest_ports >= 0", name="guest_ports"),
        Index("ix_meetings_host", "host_id"),
        Index("ix_meetings_organizer", "organizer_id"),
    )

    @property
    def occurrence(self) -> Occurrence:
        """The only occurrence of a meeting that does not repeat."""
        return self.occurrences[0]

    @property
    def lead(self) -> timedelta:
        return timedelta(minutes=self.lead_minutes)

    @property
    def tail(self) -> timedelta:
        return timedelta(minutes=self.tail_minutes)

    @property
    def ports(self) -> int:
        return sum(attendee.ports for attendee in self.attendees) + self.guest_ports


class Occurrence(Base):
    """One time at which a meeting takes place."""

    __tablename__ = "occurrences"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[str] = mapped_column(default=MeetingState.SCHEDULED)

    meeting: Mapped[Meeting] = relationship(back_populates="occurrences", lazy="raise")
    allocations: Mapped[list[Allocation]] = relationship(
        back_populates="occurrence",
        lazy="selectin",
        order_by="Allocation.id",
        primaryjoin="and_(Occurrence.id == Allocation.occurrence_id, Allocation.live)",
    )

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        Index("ix_occurrences_meeting", "meeting_id"),
        Index("ix_occurrences_starts", "starts"),
    )

    @property
    def during(self) -> Interval:
        return Interval(self.starts, self.ends)


class Attendee(Base):
    """An endpoint that is (or was) invited to a meeting, and what it answered."""

    __tablename__ = "attendees"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    endpoint_id: Mapped[int] = mapped_column(ForeignKey(Endpoint.id))
    role: Mapped[str]
    ports: Mapped[int] = mapped_column(default=1)
    invited: Mapped[bool] = mapped_column(default=True)  # False once taken off the list
    partstat: Mapped[str] = mapped_column(default=Partstat.NEEDS_ACTION)
    comment: Mapped[str] = mapped_column(default="")
    delegates: Mapped[str] = mapped_column(default="")  # who will come
    headcount: Mapped[int | None]
    via: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    meeting: Mapped[Meeting] = relationship(back_populates="attendees", lazy="raise")
    endpoint: Mapped[Endpoint] = relationship(lazy="selectin")

    __table_args__ = (
        UniqueConstraint("meeting_id", "endpoint_id", name="uq_attendees_meeting_endpoint"),
        CheckConstraint("ports > 0", name="ports"),
        Index("ix_attendees_endpoint", "endpoint_id"),
    )


class Reservation(Base):
    """An endpoint held by one occurrence; the database lets no two overlap."""

    __tablename__ = "reservations"

    id: Mapped[int] = mapped_column(primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey(Endpoint.id))
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    live: Mapped[bool] = mapped_column(default=True)

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        Index("ix_reservations_endpoint_time", "endpoint_id", "ends", "starts"),
        Index("ix_reservations_occurrence", "occurrence_id"),
    )


class Counter(Base):
    """The last number given out in a series, such as the register of a year."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)
