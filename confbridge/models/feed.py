"""Calendars to subscribe to, by a secret address."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from confbridge.database import Base, UTCDateTime
from confbridge.models.endpoint import Endpoint
from confbridge.models.organisation import Organisation


class Feed(Base):
    """The meetings of one endpoint, or of one organisation; over once it is revoked."""

    __tablename__ = "feeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    endpoint_id: Mapped[int | None] = mapped_column(ForeignKey(Endpoint.id))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey(Organisation.id))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    made_by: Mapped[str]
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        CheckConstraint("(endpoint_id IS NULL) <> (organisation_id IS NULL)", name="of_one"),
        Index("ix_feeds_endpoint", "endpoint_id"),
        Index("ix_feeds_organisation", "organisation_id"),
    )
