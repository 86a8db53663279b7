"""When endpoints are taken, told to calendars: VFREEBUSY (RFC 5545 section 3.6.4, 5546 3.3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parseaddr

from sqlalchemy import func, select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import itip
from confbridge.domain.interval import Interval
from confbridge.domain.itip import Busy, Method
from confbridge.domain.itip_reading import Part
from confbridge.mail.incoming import Arrival
from confbridge.models import Account, Endpoint, LetterKind, Outcome, Reservation
from confbridge.models.meeting import LONGEST
from confbridge.services import outbox
from confbridge.services.itip_replies import Verdict
from confbridge.services.outbox import Person

LONGEST_LOOK = timedelta(days=62)
AHEAD = timedelta(days=60)
UNSUPPORTED = "3.14;Unsupported capability"
SUCCESS = "2.0;Success"


def published(endpoint: Endpoint) -> bytes:
    """Return when an endpoint is taken in the next AHEAD, for others' calendars to read (S18)."""
    now = clock.now().replace(microsecond=0)
    within = Interval(now, now + AHEAD)
    return itip.free_busy(
        Busy(
            uid=f"freebusy-{endpoint.code}@{_domain()}",
            stamped=now,
            organizer_email=endpoint.email,
            within=within,
            taken=_taken(endpoint.id, within),
        ),
        is_reply=False,
    )


def answer(part: Part, arrival: Arrival) -> Verdict:
    """Answer a question after an endpoint's free time, to people whom we know alone (R20)."""
    if part.method != Method.REQUEST:
        return Verdict(Outcome.IGNORED, "no_answer")
    if arrival.is_automatic or not _is_known(arrival):
        return Verdict(Outcome.QUARANTINE, "unknown_sender")
    within = _within(part.starts, part.ends)
    if within is None or not part.attendees or not part.uid:
        return Verdict(Outcome.QUARANTINE, "no_time_asked")
    address = part.attendees[0].address
    endpoint = db.session.scalars(
        select(Endpoint).where(func.lower(Endpoint.email) == address, Endpoint.active)
    ).first()
    body = itip.free_busy(
        Busy(
            uid=part.uid,
            stamped=clock.now(),
            organizer_email=part.organizer.address if part.organizer else arrival.sender,
            within=within,
            taken=_taken(endpoint.id, within) if endpoint else [],
            attendee_email=address,
            request_status=SUCCESS if endpoint else UNSUPPORTED,
        ),
        is_reply=True,
    )
    name = endpoint.name if endpoint else address
    person = Person(email=arrival.sender, name=name, role="asking")
    outbox.add_ready(LetterKind.FREEBUSY, body.decode(), person, within)
    return Verdict(Outcome.EFFECT, "free_busy_told")


def _within(start: datetime | None, end: datetime | None) -> Interval | None:
    if start is None or end is None or not start < end <= start + LONGEST_LOOK:
        return None
    return Interval(start, end)


def _is_known(arrival: Arrival) -> bool:
    """Say whether the sender is one of us: who signs in here, or receives for an endpoint."""
    sender = arrival.sender
    if not sender or arrival.authentication.endswith("=fail"):
        return False
    account = select(Account.id).where(Account.email == sender, Account.active)
    if db.session.scalar(account) is not None:
        return True
    asked = select(Endpoint.email, Endpoint.recipients).where(
        Endpoint.active,
        (func.lower(Endpoint.email) == sender)
        | func.lower(Endpoint.recipients).contains(sender, autoescape=True),
    )
    return any(
        sender in {email.lower(), *map(str.lower, others)}
        for email, others in db.session.execute(asked)
    )


def _taken(endpoint_id: int, within: Interval) -> list[Interval]:
    """Return when the endpoint is taken, merged and in order; never why."""
    asked = (
        select(Reservation.starts, Reservation.ends)
        .where(Reservation.endpoint_id == endpoint_id, Reservation.live)
        .where(Reservation.ends > within.start, Reservation.ends <= within.end + LONGEST)
        .where(Reservation.starts < within.end)
        .order_by(Reservation.starts)
    )
    merged: list[Interval] = []
    for starts, ends in db.session.execute(asked):
        if merged and starts <= merged[-1].end:
            merged[-1] = Interval(merged[-1].start, max(ends, merged[-1].end))
        else:
            merged.append(Interval(starts, ends))
    return merged


def _domain() -> str:
    return parseaddr(config.in_force().mail_from)[1].partition("@")[2]
