"""The database handle, the transaction, and the column types of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeVar

from cryptography.fernet import Fernet, MultiFernet
from flask_sqlalchemy import SQLAlchemy
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import DateTime, Dialect, LargeBinary, MetaData, String, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from confbridge.errors import BadConfig, Clash, Crossed

# Older ones can corrupt a WAL database that two connections write and checkpoint at once.
OLDEST_SQLITE = (3, 51, 3)

# The names by which the database itself refuses; see migrations.
GUARDS = ("endpoint_taken", "ports_taken", "bridge_blocked")

# What PostgreSQL says when two transactions wait for each other, and SQLite after long waiting.
CROSSED = ("deadlock detected", "could not serialize", "database is locked")
MOST_CROSSED = 4

Result = TypeVar("Result")


class Base(DeclarativeBase):
    """Every table derives from this, not from db.Model, which mypy cannot see."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# Pages are drawn after the commit, from what was just saved.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


@contextmanager
def transaction() -> Iterator[None]:
    """Commit everything the block did, or undo it all.

    Only doors open one, and never one inside another: a service that needs
    atomicity already has it, because its door does.

    Raises Clash if the database itself refused a double booking.
    """
    assert not _in_transaction.get(), "a transaction is already open"
    assert not db.session.new | db.session.dirty | db.session.deleted, "changed outside"
    token = _in_transaction.set(True)
    try:
        db.session.rollback()
        db.session.expire_all()  # decide on what is true now, not on what was read before
        db.session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
        yield
        db.session.commit()
    except DBAPIError as error:
        db.session.rollback()
        if any(guard in str(error.orig) for guard in GUARDS):
            raise Clash from error
        if any(word in str(error.orig) for word in CROSSED):
            raise Crossed from error
        raise
    except BaseException:
        db.session.rollback()
        raise
    finally:
        _in_transaction.reset(token)


def attempt(deed: Callable[[], Result]) -> Result:
    """Do it in a transaction, and again if another one crossed it.

    Raises Crossed if that goes on.
    """
    for _ in range(MOST_CROSSED):
        try:
            with transaction():
                return deed()
        except Crossed:
            continue
    with transaction():
        return deed()


def in_transaction() -> bool:
    """Say whether a transaction is open here, so that nothing slow may start."""
    return _in_transaction.get()


def engine_options(url: str) -> dict[str, Any]:
    """Return what the engine for `url` needs; raises BadConfig on an unfit SQLite."""
    if not url.startswith("sqlite"):
        # In UTC the driver gives moments as we want them, with nothing to convert.
        options = {"options": "-c timezone=UTC"}
        return {
            "pool_pre_ping": True,
            "pool_size": 10,
            "max_overflow": 20,
            "connect_args": options,
        }
    if sqlite.sqlite_version_info < OLDEST_SQLITE:
        raise BadConfig(f"SQLite {sqlite.sqlite_version} is too old for a WAL database")
    return {"module": sqlite, "connect_args": {"timeout": 30}}


@event.listens_for(Engine, "connect")
def _set_up_sqlite(connection: DBAPIConnection, _record: object) -> None:
    if isinstance(connection, sqlite.Connection):
        connection.isolation_level = None  # BEGIN is ours, see below
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a power cut loses no booking


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    # SQLite has no row locks. A transaction that will write takes the write
    # lock before it reads, or two could both reserve the last port.
    if connection.dialect.name == "sqlite":
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC also where the database drops the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime: {value}")
        return value.astimezone(UTC)

    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,  # noqa: ARG002
    ) -> Callable[[Any], datetime | None] | None:
        """Return what makes a moment of a value; called for every one, so as little as can be."""
        return _moment_of_text if dialect.name == "sqlite" else None


def _moment_of_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


class Words(TypeDecorator[frozenset[str]]):
    """A small set of short words, such as the networks an endpoint hangs on."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: frozenset[str] | None, dialect: Dialect) -> str:  # noqa: ARG002
        return " ".join(sorted(value or ()))

    def process_result_value(self, value: str | None, dialect: Dialect) -> frozenset[str]:  # noqa: ARG002
        return frozenset((value or "").split())


_sealers: list[Fernet] = []


def seal_with(key: bytes) -> None:
    """Encrypt `Sealed` columns with this key from now on (32 bytes, base64url)."""
    _sealers[:] = [Fernet(key)]


class Sealed(TypeDecorator[Mapping[str, str]]):
    """Secrets of a bridge, encrypted at rest (Fernet: AES-128-CBC and HMAC-SHA256)."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> bytes:  # noqa: ARG002
        return MultiFernet(_sealers).encrypt(json.dumps(dict(value or {})).encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Mapping[str, str]:  # noqa: ARG002
        opened: dict[str, str] = json.loads(MultiFernet(_sealers).decrypt(value)) if value else {}
        return opened
