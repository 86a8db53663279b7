"""Answers to requests that may come again."""

from __future__ import annotations

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.models import Account, IdempotentAnswer


def to(account: Account, key: str) -> IdempotentAnswer | None:
    """Return what was answered to this key before."""
    return db.session.scalar(
        select(IdempotentAnswer).where(
            IdempotentAnswer.account_id == account.id, IdempotentAnswer.key == key
        )
    )


def keep(account: Account, key: str, fingerprint: str, status: int, body: str) -> None:
    """Keep an answer, in the transaction that made what it tells of."""
    db.session.add(
        IdempotentAnswer(
            account_id=account.id,
            key=key,
            fingerprint=fingerprint,
            status=status,
            body=body,
            at=clock.now(),
        )
    )
    db.session.flush()
