"""Visits to bridges: how they are, who is on them, and what they have forgotten."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import undefer

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.health import BridgeState, Verdict
from confbridge.domain.interval import Interval
from confbridge.domain.placement import AllocationRole
from confbridge.drivers import Participant
from confbridge.errors import DriverError
from confbridge.models import Allocation, Bridge, DialOut, EventStream, StateChange
from confbridge.services import attendance, audit, bridges, incidents, linetests
from confbridge.services.bridges import Call

LEASE = timedelta(seconds=40)
COMPARE_EVERY = timedelta(seconds=10)  # who is in the rooms
CHECK_EVERY = timedelta(hours=1)  # the certificate
MARK_LATE = timedelta(seconds=8)  # so long a mark may take to come back among the events
STATUS = "status"  # the stream that is not one: what the bridge says it has reported
SLOW = 2.0  # seconds that a good answer takes at most
MOST_CLOCK_OFF = 10.0  # seconds
EXPIRES_SOON = timedelta(days=14)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A bridge to be asked how it is, and perhaps who is in the rooms it should have open."""

    call: Call
    rooms: Mapping[str, frozenset[str]]  # room: the legs that we think are in it
    compare: bool  # who is in
    check: bool  # its certificate
    mark: bool  # set one among its events


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a visit found."""

    software: str
    epoch: str
    counts: Mapping[str, int] | None  # None: the bridge cannot tell
    in_use: int | None = None
    next_number: int | None = None
    trouble: str = ""
    capacity: int | None = None
    load: float | None = None
    took: float = 0.0
    clock_off: float | None = None
    certificate_until: datetime | None = None
    checked: bool = False
    marked: bool = False
    participants: Mapping[str, Sequence[Participant]] | None = None  # None: it was not asked


def claim_next_visit() -> Visit | None:
    """Take the bridge that has waited longest to be asked, for LEASE."""
    now = clock.now()
    bridge = db.session.scalar(
        select(Bridge)
        .where(Bridge.probe_at <= now, Bridge.active)
        .options(undefer(Bridge.secrets))
        .order_by(Bridge.probe_at)
        .with_for_update(of=Bridge, skip_locked=True, key_share=True)
        .limit(1)
    )
    if bridge is None:
        return None
    bridge.probe_at = now + LEASE
    compare = bridge.compared_at is None or now - bridge.compared_at >= COMPARE_EVERY
    rooms = attendance.legs_by_room(bridge.id) if compare else {}
    return Visit(
        call=bridges.call_of(bridge),
        rooms=rooms,
        compare=compare,
        check=bridge.checked_at is None or now - bridge.checked_at >= CHECK_EVERY,
        mark=bool(rooms),
    )


def visited(bridge_id: int, findings: Findings, asked_at: datetime) -> BridgeState | None:
    """Record an answer: health, load, who is in, and what the bridge has forgotten.

    Return the bridge's state if it is another one now.
    """
    bridge = _to_record(bridge_id)
    was_down = bridge.state == BridgeState.DOWN
    if bridge.epoch and bridge.epoch != findings.epoch:
        attendance.everybody_left(bridge_id)
    _write_down(bridge, findings, asked_at)
    trouble = _trouble(bridge, findings)
    changed = _note(bridge, Verdict.STRAINED if trouble else Verdict.GOOD, trouble)
    attendance.heard(bridge_id, "unreachable")
    bridge.heard_at = asked_at
    if findings.participants is not None:
        bridge.compared_at = asked_at
        attendance.compare(bridge_id, findings.participants, asked_at)
    _listen_for_marks(bridge, findings, asked_at)
    _compare_numbers(bridge, findings.next_number)
    if was_down and bridge.state != BridgeState.DOWN:
        _open_at_last(bridge_id)
        incidents.bridge_is_back(bridge_id)
    if findings.counts is not None:
        _reopen_forgotten(bridge_id, findings.counts, asked_at)
        _close_orphans(bridge_id, findings.counts, asked_at)
    _settle_drained(bridge)
    return changed


def not_visited(bridge_id: int, error: DriverError) -> BridgeState | None:
    """Record that the bridge did not answer as it should; return its state if that changed."""
    bridge = _to_record(bridge_id)
    attendance.not_heard(bridge_id, "unreachable", bridge.heard_at or clock.now())
    return _note(bridge, Verdict.BAD, str(error))


def history(some: Collection[Bridge], within: Interval) -> dict[int, list[tuple[Interval, str]]]:
    """Return the states each bridge was in within a time, in order, by its id."""
    ids = [one.id for one in some]
    asked = (
        select(StateChange)
        .where(StateChange.bridge_id.in_(ids), StateChange.since < within.end)
        .order_by(StateChange.since, StateChange.id)
    )
    changes: dict[int, list[StateChange]] = {number: [] for number in ids}
    for one in db.session.scalars(asked):
        changes[one.bridge_id].append(one)
    found = {}
    for number, row in changes.items():
        spans = []
        for place, one in enumerate(row):
            end = row[place + 1].since if place + 1 < len(row) else within.end
            start, end = max(one.since, within.start), min(end, within.end)
            if start < end:
                spans.append((Interval(start, end), one.state))
        found[number] = spans
    return found


def warnings(bridge: Bridge) -> list[str]:
    """Return what of a bridge wants looking after though it is up: names of texts."""
    now, found = clock.now(), []
    if bridge.certificate_until is not None and bridge.certificate_until - now < EXPIRES_SOON:
        found.append("certificate")
    if bridge.clock_off is not None and abs(bridge.clock_off) > 1:
        found.append("clock")
    if bridge.measured is not None and bridge.measured < bridge.ports:
        found.append("capacity")
    return found


def _to_record(bridge_id: int) -> Bridge:
    return db.session.scalars(
        select(Bridge).where(Bridge.id == bridge_id).with_for_update(of=Bridge, key_share=True)
    ).one()


def _write_down(bridge: Bridge, findings: Findings, asked_at: datetime) -> None:
    bridge.software, bridge.epoch = findings.software, findings.epoch
    bridge.measured, bridge.load = findings.capacity, findings.load
    bridge.took, bridge.clock_off = findings.took, findings.clock_off
    counted = [
        count for room, count in (findings.counts or {}).items() if not linetests.is_of_a_test(room)
    ]
    bridge.ports_in_use = findings.in_use if findings.in_use is not None else sum(counted)
    if bridge.ports_in_use > bridge.most_in_use:
        bridge.most_in_use, bridge.most_in_use_at = bridge.ports_in_use, asked_at
    if findings.checked:
        bridge.certificate_until, bridge.checked_at = findings.certificate_until, asked_at


def _trouble(bridge: Bridge, findings: Findings) -> str:
    """Return why a bridge that answers is strained all the same; "" if it is not."""
    if findings.trouble:
        return findings.trouble
    if findings.took > SLOW:
        return f"it took {findings.took:.1f} s to answer"
    if findings.clock_off is not None and abs(findings.clock_off) > MOST_CLOCK_OFF:
        return f"its clock is {findings.clock_off:+.0f} s off"
    if bridge.certificate_until is not None and bridge.certificate_until <= clock.now():
        return "its certificate has expired"
    return ""


def _note(bridge: Bridge, verdict: Verdict, trouble: str) -> BridgeState | None:
    settings, now = config.in_force(), clock.now()
    health = bridge.health.after(verdict, now, timedelta(seconds=settings.dwell_seconds))
    changed = health.state if health.state != bridge.state else None
    if changed:
        bridge.state_since = now
        row = StateChange(bridge_id=bridge.id, state=changed, since=now, why=trouble)
        db.session.add(row)
        audit.record("health", f"bridge {changed}", f"bridge {bridge.code}", trouble)
    bridge.state, bridge.bad, bridge.good = health.state, health.bad, health.good
    bridge.strained = health.strained
    bridge.was_up = bridge.was_up or health.state is BridgeState.UP
    bridge.trouble = trouble
    if changed and bridge.was_up:  # a new one that has not answered yet is no loss
        incidents.bridge_changed(bridge)
    bridge.probe_at = now + health.next_probe(
        is_live=_is_live(bridge.id), lost_within=timedelta(seconds=settings.lost_seconds)
    )
    return changed


def _is_live(bridge_id: int) -> bool:
    """Say whether a conference is on that would be lost with the bridge."""
    open_now = exists().where(
        Allocation.bridge_id == bridge_id,
        Allocation.live,
        Allocation.opened_at.is_not(None),
        Allocation.closed_at.is_(None),
    )
    return bool(db.session.scalar(select(open_now)))


def _listen_for_marks(bridge: Bridge, findings: Findings, asked_at: datetime) -> None:
    """State a gap if the mark set at an earlier visit has not come back among the events."""
    marked, heard = bridge.marked_at, bridge.mark_heard_at
    if marked is not None and asked_at - marked >= MARK_LATE and (heard is None or heard < marked):
        attendance.not_heard(bridge.id, "events", heard or marked)
    if findings.marked:
        is_heard = heard is not None and marked is not None and heard >= marked
        # While none comes back, the first that is missing stands.
        if marked is None or is_heard:
            bridge.marked_at = asked_at


def _compare_numbers(bridge: Bridge, next_number: int | None) -> None:
    """State a gap if the bridge has reported more than has come: nothing tells of the last ones.

    What it said a while ago is what counts, for the newest may still be on its way.
    """
    if next_number is None:
        return
    now = clock.now()
    asked = select(EventStream).where(EventStream.bridge_id == bridge.id)
    streams = {one.name: one for one in db.session.scalars(asked)}
    said = streams.pop(STATUS, None)
    if said is None:
        said = EventStream(bridge_id=bridge.id, name=STATUS, number=next_number, at=now)
        db.session.add(said)
    last = max(streams.values(), key=lambda one: one.at, default=None)
    if last is None or now - said.at < MARK_LATE:
        return
    if said.number > last.number + 1:
        attendance.not_heard(bridge.id, "events", bridge.mark_heard_at or last.at)
    else:
        bridge.mark_heard_at = said.at  # till then, all had come
        attendance.heard(bridge.id, "events")
    said.number, said.at = next_number, now


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
    found = db.session.execute(forgotten.values(open_at=clock.now()))
    if not getattr(found, "rowcount", 0):
        return
    again = select(Allocation.occurrence_id).where(
        Allocation.bridge_id == bridge_id, Allocation.live, Allocation.open_at.is_not(None)
    )
    called = update(DialOut).where(DialOut.occurrence_id.in_(again))
    db.session.execute(called.values(due=clock.now(), tries=0))


def _open_at_last(bridge_id: int) -> None:
    """Have what could not be opened by its start opened now that the bridge is back."""
    now = clock.now()
    late = update(Allocation).where(
        Allocation.bridge_id == bridge_id,
        Allocation.live,
        Allocation.role != AllocationRole.STANDBY,
        Allocation.opened_at.is_(None),
        Allocation.close_at.is_not(None),  # what is only held for a while is never opened
        or_(Allocation.open_at.is_(None), Allocation.open_at > now),
        Allocation.starts <= now,
        Allocation.ends > now,
    )
    db.session.execute(late.values(open_at=now, tries=0))


def _close_orphans(bridge_id: int, counts: Mapping[str, int], asked_at: datetime) -> None:
    """Have every room closed that is there and should not be: its opener died, say.

    What was detached is not among them: see `rescue.returned`.
    """
    gone = ~Allocation.live | Allocation.closed_at.is_not(None)
    orphans = update(Allocation).where(
        Allocation.bridge_id == bridge_id,
        gone,
        Allocation.detached_at.is_(None),
        Allocation.close_at.is_(None),
        or_(Allocation.closed_at.is_(None), Allocation.closed_at < asked_at),
        Allocation.room.in_(counts.keys()),
    )
    db.session.execute(orphans.values(close_at=clock.now()))


def _settle_drained(bridge: Bridge) -> None:
    """Note when the last conference of a draining bridge has ended, and nothing lies ahead."""
    if not bridge.draining or bridge.drained_at is not None:
        return
    left = exists().where(
        Allocation.bridge_id == bridge.id,
        or_(
            Allocation.live & (Allocation.ends > clock.now()),
            Allocation.opened_at.is_not(None) & Allocation.closed_at.is_(None),
        ),
    )
    if not db.session.scalar(select(left)):
        bridge.drained_at = clock.now()
        audit.record("health", "bridge drained", f"bridge {bridge.code}")
