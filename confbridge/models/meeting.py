"""Meetings, when they take place, and who is invited."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from confbridge import clock
from confbridge.database import Base, UTCDateTime, Words
from confbridge.domain.capacity import Quality
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Order, Partstat
from confbridge.models.account import Account
from confbridge.models.endpoint import Endpoint
from confbridge.models.organisation import Organisation

if TYPE_CHECKING:
    from confbridge.models.bridge import Allocation

LONGEST = timedelta(days=1)  # of a reservation


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
    rank: Mapped[str]
    title: Mapped[str]
    agenda: Mapped[str] = mapped_column(default="")
    chair: Mapped[str] = mapped_column(default="")
    timezone: Mapped[str]
    # The first occurrence as the rule has it: DTSTART and DTEND of the invitation.
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    rrule: Mapped[str] = mapped_column(default="")  # "": it takes place once
    related_id: Mapped[int | None] = mapped_column(ForeignKey("meetings.id"))  # split off from
    host_id: Mapped[int] = mapped_column(ForeignKey(Organisation.id))
    organizer_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    guest_ports: Mapped[int] = mapped_column(default=0)
    lead_minutes: Mapped[int]
    tail_minutes: Mapped[int]
    network: Mapped[str] = mapped_column(default="")  # "": any that reaches everyone
    only_bridge: Mapped[str] = mapped_column(default="")  # the code of the one that was asked for
    standby: Mapped[bool] = mapped_column(default=False)
    may_cascade: Mapped[bool] = mapped_column(default=True)
    gives_back: Mapped[bool] = mapped_column(default=True)  # what soft clients hold who decline
    reason: Mapped[str] = mapped_column(default="")  # why it was cancelled or postponed
    leader_reason: Mapped[str] = mapped_column(default="")  # why the chair is in two meetings
    search: Mapped[str] = mapped_column(default="")  # number and title, folded
    # A state secret: nobody is told more than that the endpoints are busy, and no room opens.
    secret: Mapped[bool] = mapped_column(default=False)
    waiting_since: Mapped[datetime | None] = mapped_column(UTCDateTime)  # on the waiting list
    check_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when to look for room again
    rehearsal_minutes: Mapped[int] = mapped_column(default=0)  # 0: none is held
    rehearses_id: Mapped[int | None]  # the meeting of which this is the rehearsal

    host: Mapped[Organisation] = relationship(lazy="selectin")
    organizer: Mapped[Account] = relationship(lazy="selectin")
    occurrences: Mapped[list[Occurrence]] = relationship(
        back_populates="meeting", lazy="selectin", order_by="Occurrence.starts, Occurrence.id"
    )
    exdates: Mapped[list[Exdate]] = relationship(
        lazy="selectin", order_by="Exdate.starts", cascade="all, delete-orphan"
    )
    related: Mapped[Meeting | None] = relationship(remote_side=[id], lazy="raise")
    attendees: Mapped[list[Attendee]] = relationship(
        back_populates="meeting",
        lazy="selectin",
        order_by="Attendee.id",
        primaryjoin="and_(Meeting.id == Attendee.meeting_id, Attendee.invited)",
    )

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        Index("ix_meetings_check_at", "check_at"),
        Index("ix_meetings_rehearses", "rehearses_id"),
        CheckConstraint("guest_ports >= 0", name="guest_ports"),
        Index("ix_meetings_host", "host_id"),
        Index("ix_meetings_organizer", "organizer_id"),
    )

    @property
    def occurrence(self) -> Occurrence:
        """The occurrence that is on now or comes next; the last one once all are over.

        One that was called off counts only if there is no other.
        """
        now = clock.now()
        held = [one for one in self.occurrences if one.state != MeetingState.CANCELLED]
        some = held or self.occurrences
        return next((one for one in some if one.ends > now), some[-1])

    @property
    def during(self) -> Interval:
        return Interval(self.starts, self.ends)

    @property
    def repeats(self) -> bool:
        return bool(self.rrule)

    @property
    def skipped(self) -> list[datetime]:
        """The starts that the rule names and at which the meeting is not held: EXDATE."""
        called_off = [
            one.original for one in self.occurrences if one.state in {"cancelled", "postponed"}
        ]
        return sorted({*called_off, *(one.starts for one in self.exdates)})

    @property
    def lead(self) -> timedelta:
        return timedelta(minutes=self.lead_minutes)

    @property
    def tail(self) -> timedelta:
        return timedelta(minutes=self.tail_minutes)


class Occurrence(Base):
    """One time at which a meeting takes place.

    `original` is when the rule put it: its RECURRENCE-ID, which stays when it
    is moved alone. `hold_until` is set while a draft, or what was displaced,
    holds its slots for a limited time.
    """

    __tablename__ = "occurrences"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    original: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[str] = mapped_column(default=MeetingState.SCHEDULED)
    # Why it was called off or postponed; "" if its rule or an EXDATE no longer names it.
    reason: Mapped[str] = mapped_column(default="")
    chair_key: Mapped[str] = mapped_column(default="")  # the chair's name, folded
    hold_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    displaced_by_id: Mapped[int | None] = mapped_column(ForeignKey("occurrences.id"))
    # When to look next whom to remind; None when nothing more is to come.
    remind_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=clock.now)
    locked: Mapped[bool] = mapped_column(default=False)  # nobody new comes in
    recording: Mapped[bool] = mapped_column(default=False)
    recording_decision: Mapped[str] = mapped_column(default="")  # the chair's; "": there is none
    dial: Mapped[str] = mapped_column(default="")  # what was last told to be dialled
    # When to look next whether all is well; None while its room is not open.
    watch_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

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
        Index("ix_occurrences_chair_time", "chair_key", "ends", "starts"),
        Index("ix_occurrences_hold_until", "hold_until"),
        Index("ix_occurrences_displaced_by", "displaced_by_id"),
        Index("ix_occurrences_remind_at", "remind_at"),
        Index("ix_occurrences_watch_at", "watch_at"),
    )

    @validates("starts", "state")
    def _look_again(self, _name: str, value: object) -> object:
        """Let reminders be counted anew whenever it is held at another time, or not any more."""
        self.remind_at = clock.now()
        return value

    @property
    def during(self) -> Interval:
        return Interval(self.starts, self.ends)

    @property
    def primary(self) -> Allocation | None:
        """The allocation on which it lives; a cascade's others and a stand-by are not it."""
        return next((one for one in self.allocations if one.role == "primary"), None)

    @property
    def is_moved(self) -> bool:
        return self.starts != self.original


class Exdate(Base):
    """A date of the rule at which the meeting is not held: left out, or `missed` by a clash."""

    __tablename__ = "exdates"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    missed: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("ix_exdates_meeting", "meeting_id"),)


class Offer(Base):
    """A new time that was found for an occurrence that had to give way."""

    __tablename__ = "offers"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (Index("ix_offers_occurrence", "occurrence_id"),)


class SubstituteState(StrEnum):
    """Whether the chair's side agrees to who stands in."""

    WAITING = "waiting"
    AGREED = "agreed"
    REFUSED = "refused"


class Standing:
    """What counts as an endpoint's answer at present, and which answer said so.

    Answers to a SEQUENCE before `asked` were about another time. Of the others the
    greatest in the order of `domain.rsvp.Order` counts, in whatever order they come.
    `chain` names by their addresses the substitutes agreed to, the last of whom speaks.
    """

    partstat: Mapped[str] = mapped_column(default=Partstat.NEEDS_ACTION)
    comment: Mapped[str] = mapped_column(default="")
    delegates: Mapped[str] = mapped_column(default="")  # who will come: names and functions
    headcount: Mapped[int | None]
    substitute: Mapped[str] = mapped_column(default="")  # who stands in
    substitute_state: Mapped[str] = mapped_column(default="")
    via: Mapped[str] = mapped_column(default="")
    person: Mapped[str] = mapped_column(default="")  # who said it
    late: Mapped[bool] = mapped_column(default=False)  # after the list was frozen
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    asked: Mapped[int] = mapped_column(default=0)
    said_sequence: Mapped[int] = mapped_column(default=-1)
    said_depth: Mapped[int] = mapped_column(default=0)
    said_stamp: Mapped[datetime | None] = mapped_column(UTCDateTime)
    said_key: Mapped[str] = mapped_column(default="")
    chain: Mapped[str] = mapped_column(default="")

    @property
    def order(self) -> Order | None:
        """Where the answer that counts stands; None if there is none."""
        if self.said_stamp is None:
            return None
        return Order(self.said_sequence, self.said_depth, self.said_stamp, self.said_key)

    @property
    def substitutes(self) -> list[str]:
        return self.chain.split()

    def open_answer(self, sequence: int) -> None:
        """Forget what was said: it was about something else than is asked from `sequence` on."""
        self.partstat, self.comment, self.delegates = Partstat.NEEDS_ACTION, "", ""
        self.headcount, self.substitute, self.substitute_state = None, "", ""
        self.via, self.person, self.late, self.answered_at = "", "", False, None
        self.asked = sequence
        self.chain, self.said_depth = "", 0
        self.said_sequence, self.said_stamp, self.said_key = -1, None, ""


class Attendee(Standing, Base):
    """An endpoint that is (or was) invited to a meeting, and what it answered."""

    __tablename__ = "attendees"

    id: Mapped[int] = mapped_column(primary_key=True)
    meeting_id: Mapped[int] = mapped_column(ForeignKey(Meeting.id))
    endpoint_id: Mapped[int] = mapped_column(ForeignKey(Endpoint.id))
    role: Mapped[str]
    ports: Mapped[int] = mapped_column(default=1)  # legs
    quality: Mapped[str] = mapped_column(default=Quality.HD)
    everywhere: Mapped[bool] = mapped_column(default=True)  # False: to single occurrences only
    invited: Mapped[bool] = mapped_column(default=True)  # False once taken off the list
    # Who receives for it besides, in this meeting alone: whose answer was taken as its own.
    also: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset())
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its page was opened
    away_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # an out-of-office came back

    meeting: Mapped[Meeting] = relationship(back_populates="attendees", lazy="raise")
    endpoint: Mapped[Endpoint] = relationship(lazy="selectin")

    __table_args__ = (
        UniqueConstraint("meeting_id", "endpoint_id", name="uq_attendees_meeting_endpoint"),
        CheckConstraint("ports > 0", name="ports"),
        Index("ix_attendees_endpoint", "endpoint_id"),
    )


class OccurrenceAnswer(Standing, Base):
    """An endpoint's answer to one occurrence, where it is not that to the series."""

    __tablename__ = "occurrence_answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))

    __table_args__ = (
        UniqueConstraint(
            "occurrence_id", "attendee_id", name="uq_occurrence_answers_occurrence_attendee"
        ),
        Index("ix_occurrence_answers_attendee", "attendee_id"),
    )


class Reservation(Base):
    """An endpoint's part in one occurrence, and while it is `live`, its time held for it.

    The database lets no two live ones of an endpoint overlap. Not `wanted` is
    who was taken off that occurrence. Without an occurrence the endpoint is
    under maintenance. None lasts longer than LONGEST, so that a look-up of
    what overlaps need not go back for ever.
    """

    __tablename__ = "reservations"

    id: Mapped[int] = mapped_column(primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey(Endpoint.id))
    occurrence_id: Mapped[int | None] = mapped_column(ForeignKey(Occurrence.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    live: Mapped[bool] = mapped_column(default=True)
    wanted: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str] = mapped_column(default="")  # of maintenance

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        Index("ix_reservations_endpoint_time", "endpoint_id", "ends", "starts"),
        Index("ix_reservations_occurrence", "occurrence_id", "endpoint_id", unique=True),
    )


class Counter(Base):
    """The last number given out in a series, such as the register of a year."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)
