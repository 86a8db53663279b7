"""Servers that join legs into conferences, and what they have promised."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, Sealed, UTCDateTime, Words
from confbridge.domain.capacity import Usage, ports
from confbridge.domain.health import BridgeState, Health
from confbridge.domain.interval import Interval
from confbridge.domain.placement import AllocationRole
from confbridge.models.meeting import Occurrence

OPEN = text("opened_at IS NOT NULL AND closed_at IS NULL")
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
    in_flight: Mapped[int] = mapped_column(default=4)  # rooms it opens at one time, at most
    settings: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # as the driver declares
    secrets: Mapped[dict[str, str]] = mapped_column(Sealed, default=dict, deferred=True)
    draining: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    state: Mapped[str] = mapped_column(default=BridgeState.DOWN)
    bad: Mapped[int] = mapped_column(default=0)  # answers in a row
    good: Mapped[int] = mapped_column(default=0)
    strained: Mapped[int] = mapped_column(default=0)
    was_up: Mapped[bool] = mapped_column(default=False)
    state_since: Mapped[datetime] = mapped_column(UTCDateTime)
    probe_at: Mapped[datetime] = mapped_column(UTCDateTime)
    software: Mapped[str] = mapped_column(default="")
    epoch: Mapped[str] = mapped_column(default="")  # another one means that it was restarted
    trouble: Mapped[str] = mapped_column(default="")  # what the last bad answer said
    ports_in_use: Mapped[int] = mapped_column(default=0)
    most_in_use: Mapped[int] = mapped_column(default=0)  # ports, of all that was ever seen
    most_in_use_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    measured: Mapped[int | None]  # ports it says itself that it has
    load: Mapped[float | None]  # of 1, as it says itself
    took: Mapped[float | None]  # seconds that its last answer took
    clock_off: Mapped[float | None]  # seconds by which its clock is ahead of ours
    certificate_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its certificate
    heard_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    compared_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # who is in its rooms
    # A mark goes to the bridge and comes back among its events: none is lost in between.
    marked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    mark_heard_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    drained_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its last conference ended

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
        since = self.state_since if self.was_up else None
        return Health(BridgeState(self.state), since, self.bad, self.good, self.strained)

    @property
    def is_silent(self) -> bool:
        """Say whether it has not answered of late: asking it would be waiting in vain."""
        return self.state == BridgeState.DOWN or (self.state != BridgeState.UP and self.bad > 0)

    @property
    def is_usable(self) -> bool:
        """Say whether it takes anything new."""
        return self.active and not self.draining and self.state != BridgeState.DOWN


class StateChange(Base):
    """A state that a bridge came into, and why."""

    __tablename__ = "bridge_states"

    id: Mapped[int] = mapped_column(primary_key=True)
    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id))
    state: Mapped[str]
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    why: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("ix_bridge_states_bridge", "bridge_id", "since"),)


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
    up to date) and closed; None when there is nothing to do. `claimed_until`
    is set while somebody is at it. `detached_at` is set when its bridge was
    lost and the conference went on elsewhere: the room may still be there.
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
    call: Mapped[str] = mapped_column(default="")  # what its bridge calls what goes on in it
    claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    detached_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    rescue_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # not to be tried before
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
        Index("ix_allocations_claimed_until", "claimed_until"),
        Index("ix_allocations_detached_at", "detached_at"),
        # For what is open now, of all that ever was: few rows, asked for at every visit.
        Index("ix_allocations_open", "bridge_id", sqlite_where=OPEN, postgresql_where=OPEN),
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


class RoomStep(Base):
    """One thing that was done to a room, and all that its bridge said to it; never a secret."""

    __tablename__ = "room_steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    allocation_id: Mapped[int] = mapped_column(ForeignKey(Allocation.id))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    step: Mapped[str]  # open, close, detach, …
    number: Mapped[int] = mapped_column(default=0)  # of the try
    ok: Mapped[bool] = mapped_column(default=False)
    said: Mapped[str] = mapped_column(default="")  # in one line
    answer: Mapped[str] = mapped_column(default="")  # in full
    took: Mapped[int] = mapped_column(default=0)  # milliseconds

    __table_args__ = (Index("ix_room_steps_allocation", "allocation_id", "id"),)
