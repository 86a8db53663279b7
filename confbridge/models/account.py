"""People who may sign in, and programs that act for them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from confbridge.database import Base, UTCDateTime
from confbridge.models.organisation import Organisation


class Role(StrEnum):
    """What an account may do; where, its organisation says."""

    ADMIN = "admin"
    SECRETARIAT = "secretariat"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Account(Base):
    """A person who may sign in."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)  # lower case
    name: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[int] = mapped_column(ForeignKey(Organisation.id))
    password_hash: Mapped[str]
    session_key: Mapped[str]  # changed with the password, which ends every session
    language: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    active: Mapped[bool] = mapped_column(default=True)
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    organisation: Mapped[Organisation] = relationship(lazy="joined")


class ApiToken(Base):
    """A program's key; only its digest is kept."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    expires: Mapped[datetime] = mapped_column(UTCDateTime)

    account: Mapped[Account] = relationship(lazy="joined")


class IdempotentAnswer(Base):
    """What was answered to a request that may come again."""

    __tablename__ = "idempotent_answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    key: Mapped[str]
    fingerprint: Mapped[str]
    status: Mapped[int]
    body: Mapped[str]
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        UniqueConstraint("account_id", "key", name="uq_idempotent_answers_account_key"),
    )
