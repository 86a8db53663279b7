"""Bridges: what they are, how they are, and what they have promised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import or_, select, update
from sqlalchemy.orm import undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.capacity import PORT, Profile, peak
from confbridge.domain.capacity import ports as in_ports
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval
from confbridge.drivers import Participant
from confbridge.errors import Conflict, DriverError, Invalid, Phrase
from confbridge.inputs.directory import BridgeChange, BridgeDraft, PoolChange, PoolDraft
from confbridge.models import Account, Allocation, Bridge, Meeting, Occurrence, Pool
from confbridge.services import attendance, audit, hosts

VISIT_EVERY = timedelta(seconds=10)
LEASE = timedelta(seconds=40)


@dataclass(frozen=True)
class Call:
    """All that is needed to talk to a bridge, without a database."""

    bridge_id: int
    driver: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Visit:
    """A bridge to be asked how it is, and who is in the rooms it should have open."""

    call: Call
    rooms: Mapping[str, frozenset[str]]  # room: the legs that we think are in it


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a visit found."""

    software: str
    epoch: str
    counts: Mapping[str, int]
    participants: Mapping[str, Sequence[Participant]]


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
        settings=dict(draft.settings),
        secrets=dict(draft.secrets),
        state=BridgeState.DOWN,
        state_since=now,
        probe_at=now,
    )
    db.session.add(bridge)
    db.session.flush()
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
    for name in ("failure_domain", "head_room", "rooms_per_minute"):
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


def claim_next_visit() -> Visit | None:
    """Take the bridge that has waited longest to be asked, for LEASE."""
    now = clock.now()
    bridge = db.session.scalar(
        select(Bridge)
        .where(Bridge.probe_at <= now, Bridge.active)
        .options(undefer(Bridge.secrets))
        .order_by(Bridge.probe_at)
        .with_for_update(skip_locked=True, key_share=True)
        .limit(1)
    )
    if bridge is None:
        return None
    bridge.probe_at = now + LEASE
    return Visit(call_of(bridge), attendance.legs_by_room(bridge.id))


def visited(bridge_id: int, findings: Findings, asked_at: datetime) -> BridgeState | None:
    """Record a good answer: health, load, who is in, and what the bridge has forgotten.

    Return the bridge's state if it is another one now.
    """
    bridge = _to_record(bridge_id)
    changed = _note(bridge, good=True, trouble="")
    if bridge.epoch and bridge.epoch != findings.epoch:
        attendance.everybody_left(bridge_id)
    bridge.software, bridge.epoch = findings.software, findings.epoch
    bridge.ports_in_use = sum(findings.counts.values())
    attendance.heard(bridge_id, "unreachable")
    bridge.heard_at = asked_at
    attendance.compare(bridge_id, findings.participants, asked_at)
    _reopen_forgotten(bridge_id, findings.counts, asked_at)
    _close_orphans(bridge_id, findings.counts, asked_at)
    return changed


def not_visited(bridge_id: int, error: DriverError) -> BridgeState | None:
    """Record that the bridge did not answer as it should; return its state if that changed."""
    bridge = _to_record(bridge_id)
    attendance.not_heard(bridge_id, "unreachable", bridge.heard_at or clock.now())
    return _note(bridge, good=False, trouble=str(error))


def _to_record(bridge_id: int) -> Bridge:
    return db.session.scalars(
        select(Bridge).where(Bridge.id == bridge_id).with_for_update(key_share=True)
    ).one()


def _note(bridge: Bridge, *, good: bool, trouble: str) -> BridgeState | None:
    health = bridge.health.after(good=good)
    changed = health.state if health.state != bridge.state else None
    if changed:
        bridge.state_since = clock.now()
        audit.record("health", f"bridge {health.state}", f"bridge {bridge.code}", trouble)
    bridge.state, bridge.against, bridge.trouble = health.state, health.against, trouble
    # A change of state is confirmed quickly; calm is asked for calmly.
    settled = health.against == 0
    bridge.probe_at = clock.now() + (VISIT_EVERY if settled else VISIT_EVERY / 5)
    return changed


def _reopen_forgotten(bridge_id: int, counts: Mapping[str, int], asked_at: datetime) -> None:
    """Have every room opened again that should be open and is not there."""
    forgotten = update(Allocation).where(
        Allocation.bridge_id == bridge_id,
        Allocation.live,
        Allocation.opened_at < asked_at,
        Allocation.closed_at.is_(None),
        Allocation.open_at.is_(None),
        Allocation.ends > asked_at,
        Allocation.room.not_in(counts.keys()),
    )
    db.session.execute(forgotten.values(open_at=clock.now()))


def _close_orphans(bridge_id: int, counts: Mapping[str, int], asked_at: datetime) -> None:
    """Have every room closed that is there and should not be: its opener died, say."""
    gone = ~Allocation.live | Allocation.closed_at.is_not(None)
    orphans = update(Allocation).where(
        Allocation.bridge_id == bridge_id,
        gone,
        Allocation.close_at.is_(None),
        or_(Allocation.closed_at.is_(None), Allocation.closed_at < asked_at),
        Allocation.room.in_(counts.keys()),
    )
    db.session.execute(orphans.values(close_at=clock.now()))


def _check_settings(kind: str, settings: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    problems = {}
    known = {one.name: one for one in drivers.declared(kind)}
    for one in known.values():
        place, given = ("secrets", secrets) if one.is_secret else ("settings", settings)
        if not given.get(one.name):
            problems[f"{place}.{one.name}"] = Phrase("This is missing.")
    for place, given in (("settings", settings), ("secrets", secrets)):
        for name in given:
            if name not in known or known[name].is_secret != (place == "secrets"):
                problems[f"{place}.{name}"] = Phrase("There is no such field.")
    if problems:
        raise Invalid(**problems)
