"""The record of deeds."""

from __future__ import annotations

from confbridge import clock
from confbridge.database import db
from confbridge.models import AuditEntry


def record(actor: str, deed: str, subject: str, detail: str = "") -> None:
    """Add an entry, in the transaction of the deed; never a secret."""
    db.session.add(
        AuditEntry(at=clock.now(), actor=actor, deed=deed, subject=subject, detail=detail)
    )
