"""Things to test with. Every argument has a default; name only what matters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event

from confbridge import clock
from confbridge.database import db, transaction
from confbridge.domain.health import BridgeState
from confbridge.domain.search import folded
from confbridge.inputs import parse
from confbridge.inputs.meetings import MeetingDraft
from confbridge.models import Account, Bridge, Endpoint, Meeting, Organisation, Role
from confbridge.services import accounts, meetings

_number = itertools.count(1)


def soon(hours: float = 24) -> datetime:
    """A whole hour that is safely ahead."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return now + timedelta(hours=hours)


def organisation(code: str, parent: Organisation | None = None, **rest: Any) -> Organisation:
    defaults = {"name": f"Organisation {code}", "short_name": code, "level": "department"}
    made = Organisation(code=code, valid_from=date(2010, 1, 1), parent=parent, **defaults | rest)
    return _save(made)


def account(name: str, organisation: Organisation, role: Role = Role.SECRETARIAT) -> Account:
    made = Account(
        email=f"{name.lower()}@example.org",
        name=name,
        role=role,
        organisation=organisation,
        password_hash="none: nobody signs in with it",
        session_key=f"session of {name}",
    )
    return _save(made)


def endpoint(code: str, organisation: Organisation, **rest: Any) -> Endpoint:
    defaults = {
        "name": f"Điểm cầu {code}",
        "kind": "room",
        "networks": frozenset({"tslcd"}),
        "email": f"{code.lower()}@example.org",
    }
    made = Endpoint(code=code, organisation=organisation, **defaults | rest)
    made.search = folded(f"{made.code} {made.name}")
    return _save(made)


def bridge(*, ports: int = 10, **rest: Any) -> Bridge:
    number = next(_number)
    defaults: dict[str, Any] = {
        "code": f"bridge-{number}",
        "name": f"Bridge {number}",
        "driver": "janus",
        "networks": frozenset({"tslcd", "internet"}),
        "pool_id": 1,  # the one that the migration makes
        "settings": {"admin_url": "http://127.0.0.1:1/admin", "ws_url": "ws://127.0.0.1:1"},
        "secrets": {"admin_secret": "s", "admin_key": "k", "events_password": "p"},
        "state": BridgeState.UP,
        "state_since": clock.now(),
        "probe_at": clock.now(),
    }
    return _save(Bridge(ports=ports, **defaults | rest))


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who plays in most tests."""

    home: Organisation
    below: Organisation
    other: Organisation
    ann: Account  # organises
    bob: Account  # looks after an invited endpoint, and may only look
    carla: Account  # administers
    dan: Account  # belongs to another organisation and must never see anything
    olga: Account  # operates the bridges
    bridge: Bridge
    endpoints: list[Endpoint]

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.endpoints]


def cast() -> Cast:
    root = organisation("ROOT", level="province")
    home = organisation("HOME", root)
    below = organisation("BELOW", home, level="district")
    other = organisation("OTHER", root)
    return Cast(
        home=home,
        below=below,
        other=other,
        ann=account("Ann", home),
        bob=account("Bob", below, Role.VIEWER),
        carla=account("Carla", home, Role.ADMIN),
        dan=account("Dan", other),
        olga=account("Olga", other, Role.OPERATOR),
        bridge=bridge(ports=10),
        endpoints=[endpoint(f"E-{number}", below) for number in range(1, 5)],
    )


def draft(codes: list[str] | None = None, **rest: Any) -> MeetingDraft:
    return parse(MeetingDraft, body(codes, **rest))


def body(codes: list[str] | None = None, **rest: Any) -> dict[str, Any]:
    """What a program sends to book a meeting."""
    defaults = {
        "title": "Giao ban trực tuyến",
        "start": soon().isoformat(),
        "minutes": 60,
        "endpoints": [{"code": code} for code in codes or ["E-1", "E-2"]],
    }
    return defaults | rest


def meeting(by: Account, codes: list[str] | None = None, **rest: Any) -> Meeting:
    with transaction():
        return meetings.book(draft(codes, **rest), by=by)


def scalar(question: Any) -> Any:
    """Answer a question from what is true now, not from what this thread has read before."""
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalar(question)


def token(who: Account) -> dict[str, str]:
    """The header by which a program acts for somebody."""
    with transaction():
        made = accounts.create_token(who.email, name="test", days=1)
    return {"Authorization": f"Bearer {made}"}


def sign_in(client: FlaskClient, who: Account) -> FlaskClient:
    with client.session_transaction() as session:
        session["_user_id"] = who.session_key
        session["_fresh"] = True
    return client


class Statements:
    """Counts what is asked of the database."""

    def __enter__(self) -> Statements:
        self.asked: list[str] = []
        event.listen(db.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(db.engine, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _k: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            self.asked.append(statement)


def _save(thing: Any) -> Any:
    with transaction():
        db.session.add(thing)
    return thing
