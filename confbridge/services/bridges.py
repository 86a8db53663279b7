"""Bridges: what they are, how they are, and what they have promised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.capacity import PORT, Profile, peak
from confbridge.domain.capacity import ports as in_ports
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.directory import BridgeChange, BridgeDraft, PoolChange, PoolDraft
from confbridge.models import Account, Bridge, Meeting, Occurrence, Pool, StateChange
from confbridge.services import audit, hosts


@dataclass(frozen=True)
class Call:
    """All that is needed to talk to a bridge, without a database."""

    bridge_id: int
    driver: str
    settings: Mapping[str, str]


def listed() -> Sequence[Bridge]:
    return db.session.scalars(select(Bridge).where(Bridge.active).order_by(Bridge.code)).all()


def web_socket_origins() -> list[str]:
    """Return where browsers may have to connect to, of all bridges."""
    found = set()
    for bridge in listed():
        for value in bridge.settings.values():
            address = urlsplit(value)
            if address.scheme in {"ws", "wss"} and re.fullmatch(
                r"[A-Za-z0-9.:\[\]-]+", address.netloc
            ):
                found.add(f"{address.scheme}://{address.netloc}")
    return sorted(found)


def call_of(bridge: Bridge) -> Call:
    """Return what is needed to talk to the bridge; its secrets among it."""
    return Call(bridge.id, bridge.driver, {**bridge.settings, **bridge.secrets})


def all_calls() -> dict[str, Call]:
    """Return what is needed to talk to each bridge, by its code."""
    asked = select(Bridge).where(Bridge.active).order_by(Bridge.code)
    found = db.session.scalars(asked.options(undefer(Bridge.secrets)))
    return {bridge.code: call_of(bridge) for bridge in found}


def create(draft: BridgeDraft, *, by: Account) -> Bridge:
    """Add a bridge; it counts as down until it has answered.

    Raises Invalid.
    """
    if db.session.scalar(select(Bridge.id).where(Bridge.code == draft.code)):
        raise Invalid(code=Phrase("There is already a bridge with this code."))
    _check_settings(draft.driver, draft.settings, draft.secrets)
    now = clock.now()
    bridge = Bridge(
        code=draft.code,
        name=draft.name,
        driver=draft.driver,
        ports=draft.ports,
        networks=frozenset(draft.networks),
        kinds=frozenset(draft.kinds),
        pool=pool_named(draft.pool),
        failure_domain=draft.failure_domain,
        head_room=draft.head_room,
        rooms_per_minute=draft.rooms_per_minute,
        in_flight=draft.in_flight,
        settings=dict(draft.settings),
        secrets=dict(draft.secrets),
        state=BridgeState.DOWN,
        state_since=now,
        probe_at=now,
    )
    db.session.add(bridge)
    db.session.flush()
    db.session.add(StateChange(bridge_id=bridge.id, state=bridge.state, since=now))
    audit.record(by.email, "bridge added", f"bridge {bridge.code}")
    return bridge


def change(bridge: Bridge, wanted: BridgeChange, *, by: Account) -> None:
    """Make the bridge as wanted; a secret that is not named stays.

    Raises Invalid, Conflict.
    """
    settings = {**bridge.settings, **(wanted.settings or {})}
    secrets = {**bridge.secrets, **(wanted.secrets or {})}
    _check_settings(bridge.driver, settings, secrets)
    ports = bridge.ports if wanted.ports is None else wanted.ports
    now = clock.now()
    ahead = Interval(now, now + timedelta(days=3 * 366))
    promised = peak(
        [
            *hosts.promised([bridge], ahead)[bridge.id],
            *(hosts.blocked(ports, one) for one in hosts.blocks_within([bridge], [ahead])),
        ],
        ahead,
    )
    if ports * PORT < promised.units and ports < bridge.ports:
        raise Conflict(
            Phrase(
                "%(promised)s ports have been promised already.",
                promised=in_ports(promised.units),
            )
        )
    bridge.name = wanted.name or bridge.name
    bridge.networks = frozenset(wanted.networks or bridge.networks)
    bridge.kinds = frozenset(wanted.kinds or bridge.kinds)
    for name in ("failure_domain", "head_room", "rooms_per_minute", "in_flight"):
        value = getattr(wanted, name)
        if value is not None:
            setattr(bridge, name, value)
    if wanted.pool is not None:
        bridge.pool = pool_named(wanted.pool)
    bridge.ports, bridge.settings, bridge.secrets = ports, settings, secrets
    bridge.version += 1
    bridge.probe_at = now
    audit.record(
        by.email, "bridge changed", f"bridge {bridge.code}", ", ".join(wanted.model_fields_set)
    )
    db.session.flush()


def timeline(
    bridges: Sequence[Bridge], within: Interval, step: timedelta
) -> dict[int, tuple[list[int], list[int]]]:
    """Return, by the bridge's id, the peak of what is promised in each step, and what is free.

    In units; maintenance is not promised, and not free either. One question
    for all bridges, one sweep for each.
    """
    count = -(-within.lasts // step)
    promised = hosts.promised(bridges, within)
    blocked = hosts.blocks_within(bridges, [within])
    found = {}
    for bridge in bridges:
        taken = Profile(promised[bridge.id]).peaks(within.start, step, count)
        mine = [hosts.blocked(bridge.ports, one) for one in blocked if one.bridge_id == bridge.id]
        whole = taken
        if mine:
            whole = Profile([*promised[bridge.id], *mine]).peaks(within.start, step, count)
        capacity = bridge.ports * PORT
        found[bridge.id] = (taken, [capacity - units for units in whole])
    return found


def pools() -> Sequence[Pool]:
    return db.session.scalars(select(Pool).order_by(Pool.id)).all()


def pool_named(code: str | None) -> Pool:
    """Return the pool with that code; the first one if none is named.

    Raises Invalid.
    """
    for one in pools():
        if code is None or one.code == code:
            return one
    raise Invalid(pool=Phrase("There is no pool “%(code)s”.", code=code))


def create_pool(draft: PoolDraft, *, by: Account) -> Pool:
    """Add a pool of bridges.

    Raises Invalid.
    """
    if any(one.code == draft.code for one in pools()):
        raise Invalid(code=Phrase("There is already a pool with this code."))
    pool = Pool(code=draft.code, name=draft.name, survives_loss=draft.survives_loss)
    db.session.add(pool)
    db.session.flush()
    audit.record(by.email, "pool added", f"pool {pool.code}")
    return pool


def change_pool(code: str, wanted: PoolChange, *, by: Account) -> Pool:
    """Make the pool as wanted; what is not named stays.

    Raises Invalid.
    """
    pool = pool_named(code)
    pool.name = wanted.name or pool.name
    if wanted.survives_loss is not None:
        pool.survives_loss = wanted.survives_loss
    pool.version += 1
    said = "N-1" if pool.survives_loss else "N"
    audit.record(by.email, "pool changed", f"pool {pool.code}", said)
    db.session.flush()
    return pool


@dataclass(frozen=True, kw_only=True)
class AtRisk:
    """An occurrence that the loss of its bridge would break."""

    uid: str
    title: str
    during: Interval


def at_risk(days: int = 14) -> dict[int, list[AtRisk]]:
    """Return, by the bridge's id, what its loss would break in the days to come."""
    now = clock.now()
    broken = hosts.losses(Interval(now, now + timedelta(days=days)))
    numbers = {number for some in broken.values() for number in some}
    asked = (
        select(Occurrence.id, Meeting.uid, Meeting.title, Occurrence.starts, Occurrence.ends)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Occurrence.id.in_(numbers))
    )
    rows = {row.id: row for row in db.session.execute(asked)} if numbers else {}
    found = {}
    for bridge_id, some in broken.items():
        lines = [
            AtRisk(
                uid=rows[number].uid,
                title=rows[number].title,
                during=Interval(rows[number].starts, rows[number].ends),
            )
            for number in some
        ]
        found[bridge_id] = sorted(lines, key=lambda one: one.during)
    return found


def _check_settings(kind: str, settings: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    problems = {}
    known = {one.name: one for one in drivers.declared(kind)}
    for one in known.values():
        place, given = ("secrets", secrets) if one.is_secret else ("settings", settings)
        if not (given.get(one.name) or one.default or one.is_optional):
            problems[f"{place}.{one.name}"] = Phrase("This is missing.")
    for place, given in (("settings", settings), ("secrets", secrets)):
        for name in given:
            if name not in known or known[name].is_secret != (place == "secrets"):
                problems[f"{place}.{name}"] = Phrase("There is no such field.")
    if problems:
        raise Invalid(**problems)
