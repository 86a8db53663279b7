"""What operators do to a conference while it is on, and what they have to look after."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, UTCDateTime
from confbridge.models.account import Account
from confbridge.models.bridge import Bridge
from confbridge.models.meeting import Attendee, Occurrence


class Exclusion(Base):
    """An endpoint that was disconnected from a conference and shall not come back into it."""

    __tablename__ = "exclusions"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        UniqueConstraint("occurrence_id", "attendee_id", name="uq_exclusions_occurrence_attendee"),
    )


class DialOut(Base):
    """An endpoint that is to be called into a conference, on whatever bridge that is.

    `due` is when to call it next; None when it has been called.
    """

    __tablename__ = "dial_outs"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[str] = mapped_column(default="")
    due: Mapped[datetime | None] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        UniqueConstraint("occurrence_id", "attendee_id", name="uq_dial_outs_occurrence_attendee"),
        Index("ix_dial_outs_due", "due"),
    )


class Notice(Base):
    """A message to everybody in a conference."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[str] = mapped_column(default="")
    text: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("ix_notices_occurrence", "occurrence_id", "id"),)


class IncidentKind(StrEnum):
    """What is wrong while conferences are on."""

    MISSING = "missing"  # an endpoint that is expected has not come
    DROPPED = "dropped"  # it was in, and did not come back
    QUALITY = "quality"  # its line loses too much, or is too slow
    NOT_OPEN = "not_open"  # the room should be open, and is not
    LOST = "lost"  # its bridge was lost, and no other has the ports
    BRIDGE = "bridge"  # a bridge is degraded, or down


class Incident(Base):
    """Something for the operator on duty; `ended` by itself once it is no longer so.

    `key` says what it is about: the same trouble is open once at a time.
    """

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str]
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    ended: Mapped[datetime | None] = mapped_column(UTCDateTime)
    detail: Mapped[str] = mapped_column(default="")
    occurrence_id: Mapped[int | None] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int | None] = mapped_column(ForeignKey(Attendee.id))
    bridge_id: Mapped[int | None] = mapped_column(ForeignKey(Bridge.id))
    taken_by: Mapped[str] = mapped_column(default="")
    taken_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    note: Mapped[str] = mapped_column(default="")

    occurrence: Mapped[Occurrence | None] = relationship(lazy="raise")
    attendee: Mapped[Attendee | None] = relationship(lazy="raise")
    bridge: Mapped[Bridge | None] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_incidents_open", "ended", "since"),
        Index("ix_incidents_key", "key"),
    )


class Duty(Base):
    """When somebody is on duty."""

    __tablename__ = "duties"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)

    account: Mapped[Account] = relationship(lazy="selectin")

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        Index("ix_duties_time", "ends", "starts"),
    )
