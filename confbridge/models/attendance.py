"""Who was in a conference, from when until when, and when we could not tell."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from confbridge.database import Base, UTCDateTime
from confbridge.models.bridge import Allocation, Bridge
from confbridge.models.meeting import Attendee, Occurrence


class LegSource(StrEnum):
    """How we know of it."""

    EVENT = "event"
    POLL = "poll"
    RECONSTRUCTED = "reconstructed"  # of an end: from when it was last seen, or its room closed


class Leg(Base):
    """One connection of one participant to a conference."""

    __tablename__ = "legs"

    id: Mapped[int] = mapped_column(primary_key=True)
    allocation_id: Mapped[int] = mapped_column(ForeignKey(Allocation.id))
    attendee_id: Mapped[int | None] = mapped_column(ForeignKey(Attendee.id))  # None: a guest
    leg: Mapped[str]  # the bridge's name for it
    handle: Mapped[str] = mapped_column(default="")  # by which some events name it
    name: Mapped[str]
    source: Mapped[str]
    joined: Mapped[datetime] = mapped_column(UTCDateTime)
    left: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: still in
    left_source: Mapped[str] = mapped_column(default="")  # how we know that it ended
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # What the page of the endpoint, or the bridge, says of it; None: nothing is known.
    picture: Mapped[bool | None]
    sound: Mapped[bool | None]
    hand: Mapped[bool] = mapped_column(default=False)
    muted: Mapped[bool] = mapped_column(default=False)  # by an operator
    loss: Mapped[float | None]  # of 1
    delay: Mapped[float | None]  # seconds, there and back
    told_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("allocation_id", "leg", name="uq_legs_allocation_leg"),
        Index("ix_legs_attendee", "attendee_id"),
        Index("ix_legs_handle", "handle"),
    )


class BridgeEvents(Base):
    """A batch of events as a bridge sent it, kept until it has been worked on."""

    __tablename__ = "bridge_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    body: Mapped[str]
    due: Mapped[datetime | None] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("ix_bridge_events_due", "due"),)


class Gap(Base):
    """A time in which a bridge could not be heard, or not fully."""

    __tablename__ = "gaps"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    why: Mapped[str]
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: it goes on

    __table_args__ = (Index("ix_gaps_bridge", "bridge_id", "starts"),)


class RollCall(Base):
    """What the secretary records of one site: it outweighs what bridges have told."""

    __tablename__ = "roll_calls"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    state: Mapped[str]  # a PresenceState
    reason: Mapped[str] = mapped_column(default="")  # needed of who is absent
    headcount: Mapped[int | None]
    by: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("occurrence_id", "attendee_id", name="uq_roll_calls_occurrence_attendee"),
    )


class EventStream(Base):
    """How far a bridge's numbered events have come: a number left out is an event lost."""

    __tablename__ = "event_streams"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    name: Mapped[str]
    number: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("bridge_id", "name", name="uq_event_streams_bridge_name"),)


class EventKey(Base):
    """An event that has been worked on, by its maker's key; kept for a while."""

    __tablename__ = "event_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    key: Mapped[str]
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("bridge_id", "key", name="uq_event_keys_bridge_key"),
        Index("ix_event_keys_at", "at"),
    )
