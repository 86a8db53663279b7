"""Who belongs to whom."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base


class Organisation(Base):
    """A public body. Its code may have belonged to another one before."""

    __tablename__ = "organisations"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    short_name: Mapped[str]
    level: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]  # the last day; None: no end is known
    # When its endpoints are reminded; None as the settings say.
    remind_minutes: Mapped[str | None]  # before the start, as "1440 60"
    chase_days: Mapped[int | None]  # working days before, who has not answered
    # The head office that is told when a required endpoint stays silent.
    office_name: Mapped[str] = mapped_column(default="")
    office_email: Mapped[str] = mapped_column(default="")

    parent: Mapped[Organisation | None] = relationship(remote_side=[id], lazy="raise")

    __table_args__ = (
        UniqueConstraint("code", "valid_from", name="uq_organisations_code"),
        CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="validity"),
        Index("ix_organisations_parent", "parent_id"),
    )

    def is_valid(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)
