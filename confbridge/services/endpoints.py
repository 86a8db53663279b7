"""The directory of endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.search import folded
from confbridge.errors import Invalid, Phrase
from confbridge.inputs.directory import EndpointChange, EndpointDraft
from confbridge.models import Account, Endpoint, Meeting, Occurrence, Organisation, Reservation
from confbridge.models.meeting import LONGEST
from confbridge.services import access, audit


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which endpoints somebody wants listed; what is not named does not matter."""

    text: str = ""
    level: str = ""
    organisation: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A time at which an endpoint is taken; the meeting only if the reader may know it."""

    during: Interval
    uid: str | None
    title: str
    is_maintenance: bool = False


def listed(wanted: Wanted, *, limit: int = 2000, after: int = 0) -> Sequence[Endpoint]:
    """Return endpoints that are in use, in the order of the directory."""
    asked = (
        select(Endpoint)
        .join(Organisation, Organisation.id == Endpoint.organisation_id)
        .options(joinedload(Endpoint.organisation))
        .where(Endpoint.active, Endpoint.id > after)
        .order_by(Endpoint.id)
        .limit(limit)
    )
    if wanted.text:
        asked = asked.where(Endpoint.search.contains(folded(wanted.text), autoescape=True))
    if wanted.level:
        asked = asked.where(Organisation.level == wanted.level)
    if wanted.organisation:
        asked = asked.where(Organisation.code == wanted.organisation)
    if wanted.kind:
        asked = asked.where(Endpoint.kind == wanted.kind)
    return db.session.scalars(asked).all()


def listed_with(meeting: Meeting | None) -> Sequence[Endpoint]:
    """Return endpoints that can be chosen for a meeting: those in use, and its own."""
    own = {one.endpoint_id for one in meeting.attendees} if meeting else set()
    asked = (
        select(Endpoint)
        .options(joinedload(Endpoint.organisation))
        .where(Endpoint.active | Endpoint.id.in_(own))
        .order_by(Endpoint.id)
    )
    return db.session.scalars(asked).all()


def busy(endpoint: Endpoint, since: datetime, until: datetime, *, reader: Account) -> list[Busy]:
    """Return when the endpoint is taken, in order; reservations never overlap."""
    within = Interval(since, until)
    return [one for _, some in _taken(within, reader, endpoint) for one in some]


def busy_together(within: Interval, *, reader: Account) -> list[tuple[Endpoint, list[Busy]]]:
    """Return every endpoint that is taken at some time within, and when."""
    return _taken(within, reader, None)


def _taken(
    within: Interval, reader: Account, only: Endpoint | None
) -> list[tuple[Endpoint, list[Busy]]]:
    asked = (
        select(
            *(Endpoint, Reservation.starts, Reservation.ends, Reservation.occurrence_id),
            *(Reservation.reason, Meeting.uid, Meeting.title),
        )
        .join(Reservation, Reservation.endpoint_id == Endpoint.id)
        .outerjoin(Occurrence, Occurrence.id == Reservation.occurrence_id)
        .outerjoin(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(Reservation.live)
        .where(Reservation.ends > within.start, Reservation.ends <= within.end + LONGEST)
        .where(Reservation.starts < within.end)
        .order_by(Endpoint.id, Reservation.starts)
    )
    if only is not None:
        asked = asked.where(Endpoint.id == only.id)
    rows = db.session.execute(asked).all()
    visible = select(Meeting.uid).where(
        Meeting.uid.in_({row.uid for row in rows if row.uid}), access.meeting_is_visible(reader)
    )
    known = set(db.session.scalars(visible)) if rows else set()
    taken: dict[Endpoint, list[Busy]] = {}
    for endpoint, starts, ends, occurrence, reason, uid, title in rows:
        seen = uid in known
        one = Busy(
            during=Interval(starts, ends),
            uid=uid if seen else None,
            title=reason if occurrence is None else title if seen else "",
            is_maintenance=occurrence is None,
        )
        taken.setdefault(endpoint, []).append(one)
    return list(taken.items())


def create(draft: EndpointDraft, *, by: Account) -> Endpoint:
    """Add an endpoint to the directory.

    Raises Invalid.
    """
    if db.session.scalar(select(Endpoint.id).where(Endpoint.code == draft.code)):
        raise Invalid(code=Phrase("There is already an endpoint with this code."))
    endpoint = Endpoint(
        **draft.model_dump(exclude={"organisation", "networks", "recipients"}),
        organisation=access.organisation(draft.organisation),
        networks=frozenset(draft.networks),
        recipients=frozenset(draft.recipients),
        search=folded(f"{draft.code} {draft.name}"),
    )
    db.session.add(endpoint)
    db.session.flush()
    audit.record(by.email, "endpoint added", f"endpoint {endpoint.code}")
    return endpoint


def change(endpoint: Endpoint, wanted: EndpointChange, *, by: Account) -> None:
    """Make the endpoint as wanted; what is not named stays.

    Raises Invalid.
    """
    names = ("name", "kind", "quality", "seats", "address", "email", "contact", "phone", "language")
    for name in names:
        value = getattr(wanted, name)
        if value is not None:
            setattr(endpoint, name, value)
    if wanted.organisation:
        endpoint.organisation = access.organisation(wanted.organisation)
    if wanted.networks:
        endpoint.networks = frozenset(wanted.networks)
    if wanted.recipients is not None:
        endpoint.recipients = frozenset(wanted.recipients)
    if wanted.state:
        endpoint.active = wanted.state == "active"
    endpoint.search = folded(f"{endpoint.code} {endpoint.name}")
    endpoint.version += 1
    audit.record(
        by.email,
        "endpoint changed",
        f"endpoint {endpoint.code}",
        ", ".join(wanted.model_fields_set),
    )
