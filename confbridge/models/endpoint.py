"""Sites that take part in conferences."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, Words
from confbridge.domain.capacity import Quality
from confbridge.models.organisation import Organisation


class Endpoint(Base):
    """A room system or client with an address (điểm cầu)."""

    __tablename__ = "endpoints"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    organisation_id: Mapped[int] = mapped_column(ForeignKey(Organisation.id))
    kind: Mapped[str]
    quality: Mapped[str] = mapped_column(default=Quality.HD)
    seats: Mapped[int] = mapped_column(default=0)
    address: Mapped[str] = mapped_column(default="")
    networks: Mapped[frozenset[str]] = mapped_column(Words)
    email: Mapped[str]
    # Others who receive for it; any of them may answer.
    recipients: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset())
    language: Mapped[str] = mapped_column(default="vi")  # of its letters
    contact: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    search: Mapped[str] = mapped_column(default="")  # code and name, folded

    organisation: Mapped[Organisation] = relationship(lazy="raise")

    __table_args__ = (
        CheckConstraint("kind IN ('room', 'soft')", name="kind"),
        CheckConstraint("seats >= 0", name="seats"),
        Index("ix_endpoints_organisation", "organisation_id"),
    )
