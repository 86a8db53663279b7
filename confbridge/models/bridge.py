"""Servers that join legs into conferences, and what they have promised."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, Sealed, UTCDateTime, Words
from confbridge.domain.capacity import Usage
from confbridge.domain.health import BridgeState, Health
from confbridge.domain.interval import Interval
from confbridge.models.meeting import Occurrence


class Bridge(Base):
    """An MCU or SFU server that hosts conferences."""

    __tablename__ = "bridges"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    driver: Mapped[str]
    ports: Mapped[int]
    networks: Mapped[frozenset[str]] = mapped_column(Words)
    settings: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # as the driver declares
    secrets: Mapped[dict[str, str]] = mapped_column(Sealed, default=dict, deferred=True)
    draining: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    state: Mapped[str] = mapped_column(default=BridgeState.DOWN)
    against: Mapped[int] = mapped_column(default=0)  # answers in a row that spoke against `state`
    state_since: Mapped[datetime] = mapped_column(UTCDateTime)
    probe_at: Mapped[datetime] = mapped_column(UTCDateTime)
    software: Mapped[str] = mapped_column(default="")
    epoch: Mapped[str] = mapped_column(default="")  # another one means that it was restarted
    trouble: Mapped[str] = mapped_column(default="")  # what the last bad answer said
    ports_in_use: Mapped[int] = mapped_column(default=0)
    heard_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        CheckConstraint("ports >= 0", name="ports"),
        Index("ix_bridges_probe_at", "probe_at"),
    )

    @property
    def health(self) -> Health:
        return Health(BridgeState(self.state), self.against)


class Allocation(Base):
    """Ports of one bridge, kept for one occurrence, and the room opened on them.

    `open_at` and `close_at` are when the room is due to be opened (or brought
    up to date) and closed; None when there is nothing to do.
    """

    __tablename__ = "allocations"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    role: Mapped[str] = mapped_column(default="primary")
    ports: Mapped[int]
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    live: Mapped[bool] = mapped_column(default=True)

    room: Mapped[str]  # our name for it, unguessable
    open_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    close_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")

    bridge: Mapped[Bridge] = relationship(lazy="selectin")
    occurrence: Mapped[Occurrence] = relationship(back_populates="allocations", lazy="raise")

    __table_args__ = (
        CheckConstraint("ports > 0", name="ports"),
        CheckConstraint("starts < ends", name="span"),
        # For the peak: everything live on a bridge that overlaps a time.
        Index("ix_allocations_bridge_time", "bridge_id", "ends", "starts"),
        Index("ix_allocations_occurrence", "occurrence_id"),
        Index("ix_allocations_room", "room", unique=True),
        Index("ix_allocations_open_at", "open_at"),
        Index("ix_allocations_close_at", "close_at"),
    )

    @property
    def usage(self) -> Usage:
        return Usage(Interval(self.starts, self.ends), self.ports)

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None and self.closed_at is None
