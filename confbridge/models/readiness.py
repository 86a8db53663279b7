"""Whether a site is ready for a meeting: what it says, and what its line showed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from confbridge.database import Base, UTCDateTime
from confbridge.models.bridge import Bridge
from confbridge.models.meeting import Attendee, Occurrence


class SignOff(Base):
    """A site's word for one occurrence, point by point: "ok", "bad", or "" for not yet."""

    __tablename__ = "sign_offs"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    power: Mapped[str] = mapped_column(default="")
    picture: Mapped[str] = mapped_column(default="")
    sound: Mapped[str] = mapped_column(default="")
    line: Mapped[str] = mapped_column(default="")
    account: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    by: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("occurrence_id", "attendee_id", name="uq_sign_offs_occurrence_attendee"),
    )


class LineTest(Base):
    """What a test of a site's line showed, with pictures and sound sent through a bridge and back.

    `looped` says that they came back; `loss` is of 1, `delay` in seconds, there and back.
    """

    __tablename__ = "line_tests"

    id: Mapped[int] = mapped_column(primary_key=True)
    occurrence_id: Mapped[int] = mapped_column(ForeignKey(Occurrence.id))
    attendee_id: Mapped[int] = mapped_column(ForeignKey(Attendee.id))
    bridge_id: Mapped[int | None] = mapped_column(ForeignKey(Bridge.id))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    camera: Mapped[bool] = mapped_column(default=False)
    microphone: Mapped[bool] = mapped_column(default=False)
    loudspeaker: Mapped[bool] = mapped_column(default=False)
    looped: Mapped[bool] = mapped_column(default=False)
    loss: Mapped[float | None]
    delay: Mapped[float | None]
    detail: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("ix_line_tests_occurrence", "occurrence_id", "attendee_id"),)
