"""What the operator on duty has to look after: found by watching, ended when it is no longer so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain.health import BridgeState
from confbridge.errors import Invalid, Phrase
from confbridge.inputs.live import DutyDraft
from confbridge.models import (
    Account,
    Allocation,
    Attendee,
    Bridge,
    Duty,
    Incident,
    IncidentKind,
    Occurrence,
    Role,
)
from confbridge.services import access, audit


def open_one(kind: IncidentKind, key: str, detail: str, **about: int | None) -> None:
    """Open an incident, unless the same is open already: then only its detail is the new one."""
    known = _open(key)
    if known is not None:
        known.detail = detail
        return
    db.session.add(Incident(kind=kind, key=key, since=clock.now(), detail=detail, **about))


def settle(key: str) -> None:
    """End what is no longer so."""
    known = _open(key)
    if known is not None:
        known.ended = clock.now()


def settle_all(prefix: str, but: set[str] | None = None) -> None:
    """End all that begin so, but for some."""
    asked = select(Incident).where(
        Incident.key.startswith(prefix, autoescape=True), Incident.ended.is_(None)
    )
    for one in db.session.scalars(asked):
        if one.key not in (but or ()):
            one.ended = clock.now()


def is_open(key: str) -> bool:
    return _open(key) is not None


def prefix(occurrence: Occurrence) -> str:
    """Return how the keys of all begin that is about one conference."""
    return f"{occurrence.id}:"


def key_of(occurrence: Occurrence, kind: str, attendee_id: int | None = None) -> str:
    return f"{prefix(occurrence)}{kind}:{attendee_id or ''}"


def lost_key(occurrence: Occurrence) -> str:
    return key_of(occurrence, IncidentKind.LOST)


def bridge_changed(bridge: Bridge) -> None:
    """A bridge came into another state."""
    key = f"bridge:{bridge.id}"
    if bridge.state == BridgeState.UP:
        settle(key)
    else:
        open_one(IncidentKind.BRIDGE, key, bridge.state, bridge_id=bridge.id)


def lost(occurrence: Occurrence, code: str) -> None:
    """A bridge is lost, and no other has the ports for what was on it."""
    open_one(IncidentKind.LOST, lost_key(occurrence), code, occurrence_id=occurrence.id)


def bridge_is_back(bridge_id: int) -> None:
    """What could not be held elsewhere need not be any more."""
    asked = (
        select(Incident)
        .join(Allocation, Allocation.occurrence_id == Incident.occurrence_id)
        .where(Incident.kind == IncidentKind.LOST, Incident.ended.is_(None))
        .where(Allocation.bridge_id == bridge_id, Allocation.live)
    )
    for one in db.session.scalars(asked):
        one.ended = clock.now()


def listed(account: Account, *, limit: int = 200) -> Sequence[Incident]:
    """Return what is open, the oldest first: for who runs the bridges.

    Raises NotAllowed.
    """
    access.check_role(account, Role.ADMIN, Role.OPERATOR)
    asked = (
        select(Incident)
        .where(Incident.ended.is_(None))
        .options(
            joinedload(Incident.occurrence).joinedload(Occurrence.meeting),
            joinedload(Incident.attendee).joinedload(Attendee.endpoint),
            joinedload(Incident.bridge),
        )
        .order_by(Incident.since, Incident.id)
        .limit(limit)
    )
    return db.session.scalars(asked).unique().all()


def of_conference(occurrence: Occurrence) -> Sequence[Incident]:
    """Return what is open about one conference, the oldest first."""
    asked = (
        select(Incident)
        .where(Incident.occurrence_id == occurrence.id, Incident.ended.is_(None))
        .options(joinedload(Incident.attendee).joinedload(Attendee.endpoint))
        .order_by(Incident.since, Incident.id)
    )
    return db.session.scalars(asked).unique().all()


def duties(since: datetime) -> Sequence[Duty]:
    """Return who is on duty from then on, in order of time."""
    asked = select(Duty).where(Duty.ends > since).order_by(Duty.starts, Duty.id)
    return db.session.scalars(asked).all()


def put_on_duty(draft: DutyDraft, *, by: Account) -> Duty:
    """Plan somebody's duty.

    Raises Invalid.
    """
    found = db.session.scalar(
        select(Account).where(Account.email == draft.email.lower(), Account.active)
    )
    if found is None:
        raise Invalid(email=Phrase("There is no account with this address."))
    if draft.end <= draft.start:
        raise Invalid(end=Phrase("The end must be after the start."))
    if draft.phone:
        found.phone = draft.phone
    made = Duty(account_id=found.id, starts=draft.start, ends=draft.end)
    db.session.add(made)
    db.session.flush()
    audit.record(by.email, "duty planned", f"account {found.email}")
    return made


def take_off_duty(duty: Duty, *, by: Account) -> None:
    """Take a planned duty back."""
    audit.record(by.email, "duty taken back", f"account {duty.account.email}")
    db.session.delete(duty)


def take(incident: Incident, note: str, *, by: Account) -> None:
    """Say who looks after it."""
    incident.taken_by, incident.taken_at, incident.note = by.email, clock.now(), note
    audit.record(by.email, "incident taken", f"incident {incident.id}", incident.kind)


def on_duty(moment: datetime) -> Sequence[Duty]:
    """Return who is on duty at a moment."""
    asked = select(Duty).where(Duty.starts <= moment, Duty.ends > moment)
    return db.session.scalars(asked.order_by(Duty.starts, Duty.id)).all()


def _open(key: str) -> Incident | None:
    asked = select(Incident).where(Incident.key == key, Incident.ended.is_(None))
    found: Incident | None = db.session.scalars(asked).first()
    return found
