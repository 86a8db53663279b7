"""Answers to requests that may come again."""

from __future__ import annotations

from sqlalchemy import bindparam, select, text

from confbridge import clock
from confbridge.database import UTCDateTime, db
from confbridge.models import Account, IdempotentAnswer


def claim(account: Account, key: str, fingerprint: str) -> IdempotentAnswer:
    """Return the answer kept under this key; one just made has no body yet.

    Whoever comes with the same key meanwhile waits here until this transaction ends.
    """
    made = text(
        "INSERT INTO idempotent_answers (account_id, key, fingerprint, status, body, at)"
        " VALUES (:account, :key, :fingerprint, 0, '', :at) ON CONFLICT DO NOTHING"
    ).bindparams(bindparam("at", type_=UTCDateTime()))
    given = {"account": account.id, "key": key, "fingerprint": fingerprint, "at": clock.now()}
    db.session.execute(made, given)
    asked = select(IdempotentAnswer).where(
        IdempotentAnswer.account_id == account.id, IdempotentAnswer.key == key
    )
    return db.session.scalars(asked).one()
