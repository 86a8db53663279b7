"""Servers that join legs into conferences, and what they have promised."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, Sealed, UTCDateTime, Words
from confbridge.domain.capacity import Usage, ports
from confbridge.domain.health import BridgeState, Health
from confbridge.domain.interval import Interval
from confbridge.domain.placement import AllocationRole
from confbridge.models.meeting import Occurrence

LONGEST = timedelta(days=2)  # of an allocation: a day, and its lead and tail


class Pool(Base):
    """Bridges that stand in for each other. `survives_loss`: the rule of N-1 holds in it."""

    __tablename__ = "pools"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    survives_loss: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)


class Bridge(Base):
    """An MCU or SFU server that hosts conferences."""

    __tablename__ = "bridges"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    driver: Mapped[str]
    ports: Mapped[int]
    networks: Mapped[frozenset[str]] = mapped_column(Words)
    kinds: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset({"room", "soft"}))
    pool_id: Mapped[int] = mapped_column(ForeignKey(Pool.id))
    failure_domain: Mapped[str] = mapped_column(default="")  # what fails together; "": alone
    head_room: Mapped[int] = mapped_column(default=0)  # percent kept free
    rooms_per_minute: Mapped[int] = mapped_column(default=30)
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

    pool: Mapped[Pool] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (
        CheckConstraint("ports >= 0", name="ports"),
        CheckConstraint("head_room >= 0 AND head_room < 100", name="head_room"),
        CheckConstraint("rooms_per_minute > 0", name="rooms_per_minute"),
        Index("ix_bridges_pool", "pool_id"),
        Index("ix_bridges_probe_at", "probe_at"),
    )

    @property
    def health(self) -> Health:
        return Health(BridgeState(self.state), self.against)

    @property
    def is_usable(self) -> bool:
        """Say whether it takes anything new."""
        return self.active and not self.draining and self.state != BridgeState.DOWN


class BridgeBlock(Base):
    """A time in which a bridge has fewer ports, or none: maintenance. Two never overlap."""

    __tablename__ = "bridge_blocks"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    ports_left: Mapped[int] = mapped_column(default=0)
    starts: Mapped[datetime] = mapped_column(UTCDateTime)
    ends: Mapped[datetime] = mapped_column(UTCDateTime)
    reason: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        CheckConstraint("starts < ends", name="span"),
        CheckConstraint("ports_left >= 0", name="ports_left"),
        Index("ix_bridge_blocks_bridge_time", "bridge_id", "starts"),
    )

    @property
    def during(self) -> Interval:
        return Interval(self.starts, self.ends)


class Allocation(Base):
    """Units of one bridge, kept for one occurrence, and the room opened on them.

    `opens` is the minute for which the opening was planned when the units were
    promised; it stays, so that the pace of a bridge can be planned by it.

    `open_at` and `close_at` are when the room is due to be opened (or brought
    up to date) and closed; None when there is nothing to do.
    """

    __tablename__ = "allocations"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    role: Mapped[str] = mapped_column(default=AllocationRole.PRIMARY)
    units: Mapped[int]
    legs: Mapped[int]
    opens: Mapped[datetime] = mapped_column(UTCDateTime)
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
        CheckConstraint("units > 0", name="ports"),
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
        return Usage(self.starts, self.ends, self.units)

    @property
    def ports(self) -> int | float:
        return ports(self.units)

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None and self.closed_at is None
