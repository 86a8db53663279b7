"""The demo province: Ninh Thuận as it was in 2020, with made-up addresses."""

from __future__ import annotations

import csv
import secrets
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.domain.health import BridgeState
from confbridge.domain.search import folded
from confbridge.models import Bridge, Endpoint, Organisation, Role
from confbridge.services import accounts, bridges

FOLDER = Path(__file__).resolve().parent.parent / "demo"
SINCE = date(2010, 1, 1)

BRIDGES = {  # code: name, ports
    "cau-a": ("Cầu hội nghị A", 60),
    "cau-b": ("Cầu hội nghị B", 40),
}
PEOPLE = {  # local part: name, role, organisation
    "thuky": ("Thư ký UBND tỉnh", Role.SECRETARIAT, "UBND"),
    "thuky.tu": ("Thư ký Tỉnh ủy", Role.SECRETARIAT, "TU"),
    "vanhanh": ("Trực vận hành cầu", Role.OPERATOR, "STTTT"),
    "quantri": ("Quản trị hệ thống", Role.ADMIN, "STTTT"),
    "theodoi": ("Văn thư Sở Nội vụ", Role.VIEWER, "SNV"),
}


def is_wanted() -> bool:
    """Say whether the database is empty, so that nothing of anybody's is touched."""
    return db.session.scalar(select(Organisation.id).limit(1)) is None


def load() -> dict[str, str]:
    """Fill an empty database; return the password by mail address."""
    organisations = _organisations()
    _endpoints(organisations)
    password = {}
    for local, (name, role, code) in PEOPLE.items():
        email = f"{local}@ninhthuan.example"
        password[email] = f"{role}-{secrets.token_urlsafe(9)}"
        accounts.create(
            email, password[email], role=role, organisation=organisations[code], name=name
        )
    for code, (name, ports) in BRIDGES.items():
        _bridge(code, name, ports)
    return password


def set_up_bridge(code: str, found: Mapping[str, Mapping[str, str]]) -> None:
    """Tell a bridge of the demo where its server listens this time."""
    bridge = db.session.scalars(select(Bridge).where(Bridge.code == code)).one()
    bridge.settings, bridge.secrets = dict(found["settings"]), dict(found["secrets"])
    bridge.probe_at = clock.now()


def _organisations() -> dict[str, Organisation]:
    organisations: dict[str, Organisation] = {}
    for row in _rows("organisations.csv"):
        organisations[row["code"]] = Organisation(
            code=row["code"],
            name=row["name"],
            short_name=row["short_name"],
            level=row["level"],
            parent=organisations.get(row["parent"]),
            valid_from=SINCE,
        )
    db.session.add_all(organisations.values())
    db.session.flush()
    return organisations


def _endpoints(organisations: Mapping[str, Organisation]) -> None:
    for row in _rows("endpoints.csv"):
        endpoint = Endpoint(
            code=row["code"],
            name=row["name"],
            organisation=organisations[row["organisation"]],
            kind=row["kind"],
            seats=int(row["seats"]),
            address=row["address"],
            networks=frozenset({row["network"]}),
            email=row["email"],
            contact=row["contact"],
            phone=row["phone"],
            search=folded(f"{row['code']} {row['name']}"),
        )
        db.session.add(endpoint)
    db.session.flush()


def _bridge(code: str, name: str, ports: int) -> None:
    now = clock.now()
    bridge = Bridge(
        code=code,
        name=name,
        driver="janus",
        ports=ports,
        networks=frozenset({"tslcd", "internet"}),
        pool=bridges.pool_named(None),
        settings={"admin_url": "http://127.0.0.1:7088/admin", "ws_url": "ws://127.0.0.1:8188"},
        secrets={name: secrets.token_hex() for name in ("admin_secret", "admin_key")}
        | {"events_password": secrets.token_hex()},
        state=BridgeState.DOWN,
        state_since=now,
        probe_at=now,
    )
    db.session.add(bridge)


def _rows(name: str) -> list[dict[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
