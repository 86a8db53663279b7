"""Who did what to which thing, when, and from where."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from confbridge.database import Base, UTCDateTime


class AuditEntry(Base):
    """One deed. Only ever added; refers to nothing, so that nothing can be lost with it."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str]
    deed: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("ix_audit_entries_subject", "subject", "at"),)
