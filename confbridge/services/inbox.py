"""What comes in by mail, and what it does: the receiving side of iTIP (RFC 5546, 6047).

Rules R1 to R20 are named in docs/invitations.md. Every mail ends in an effect,
in the queue of what somebody has to decide, in quarantine, or refused; that and
its effect are written in one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr

from sqlalchemy import select
from sqlalchemy.orm import lazyload, selectinload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import itip_reading, rsvp
from confbridge.domain.itip import Method
from confbridge.domain.itip_reading import Part, Unusable
from confbridge.mail.incoming import Arrival, Report
from confbridge.models import (
    Attendee,
    Letter,
    Mail,
    Mailbox,
    MailState,
    Meeting,
    Occurrence,
    Outcome,
    Received,
    TaskKind,
)
from confbridge.services import audit, freebusy, itip_replies, links, tasks
from confbridge.services.itip_replies import Verdict

LEASE = timedelta(seconds=30)
FROM_ORGANIZER = {Method.REQUEST, Method.CANCEL, Method.ADD, Method.PUBLISH, Method.DECLINECOUNTER}
FROM_ATTENDEE = {Method.REPLY, Method.COUNTER, Method.REFRESH}
MOST_PARTS = 60  # of a series with many occurrences answered one by one
# Of a meeting, what an answer hardly ever needs: read only then.
SELDOM = (
    lazyload(Meeting.host),
    lazyload(Meeting.organizer),
    lazyload(Meeting.exdates),
    selectinload(Meeting.occurrences).lazyload(Occurrence.allocations),
)
GRAVEST = [  # of several parts of one mail: what has to be seen first
    *(Outcome.QUEUE, Outcome.QUARANTINE, Outcome.EFFECT, Outcome.REPEATED, Outcome.IGNORED),
]


@dataclass(frozen=True)
class Place:
    """Which mail of which mailbox."""

    mailbox: str
    name: str


def claim(name: str) -> Mailbox | None:
    """Take a mailbox to read for LEASE; None while somebody else reads it."""
    now = clock.now()
    found = db.session.scalar(select(Mailbox).where(Mailbox.name == name).with_for_update())
    if found is None:
        found = Mailbox(name=name, lease=now)
        db.session.add(found)
    if found.lease > now:
        return None
    found.lease = now + LEASE
    db.session.flush()
    return found


def renew(name: str) -> None:
    """Go on reading for another LEASE."""
    db.session.get_one(Mailbox, name).lease = clock.now() + LEASE


def begin(name: str, validity: int) -> int:
    """Return the number after which to read; another UIDVALIDITY numbers all anew."""
    box = db.session.get_one(Mailbox, name)
    if box.uidvalidity != validity:
        box.uidvalidity, box.last_uid = validity, 0
    return box.last_uid


def let_go(name: str, trouble: str = "") -> None:
    """Let others read it; say what was wrong."""
    box = db.session.get_one(Mailbox, name)
    box.lease, box.trouble = clock.now(), trouble
    if not trouble:
        box.read_at = clock.now()


def read_up_to(name: str, number: int) -> None:
    """Note how far it has been read."""
    box = db.session.get_one(Mailbox, name)
    box.last_uid = max(box.last_uid, number)


def outcome_of(place: Place) -> str | None:
    """Return what became of a mail, None if it has not been worked on."""
    asked = select(Received.outcome).where(
        Received.mailbox == place.mailbox, Received.place == place.name
    )
    return db.session.scalar(asked)


def refuse(place: Place, head: tuple[str, str, str], why: str) -> Received:
    """Note a mail that is not read: it is too large, or too deep (R15)."""
    return _aside(place, head, Outcome.REFUSED, why)


def set_aside(place: Place, head: tuple[str, str, str]) -> Received:
    """Note a mail on which we failed: somebody has to look at it, and the next ones come on."""
    return _aside(place, head, Outcome.QUARANTINE, "our_fault")


def _aside(place: Place, head: tuple[str, str, str], outcome: Outcome, why: str) -> Received:
    known = db.session.scalar(
        select(Received).where(Received.mailbox == place.mailbox, Received.place == place.name)
    )
    if known is not None:
        return known
    message_id, sender, subject = head
    row = Received(
        mailbox=place.mailbox,
        place=place.name,
        message_id=message_id,
        sender=sender,
        subject=subject,
        at=clock.now(),
        outcome=outcome,
        detail=why,
    )
    db.session.add(row)
    return row


def take(place: Place, arrival: Arrival, *, holding: bool = True) -> Received:
    """Let a mail have its effect, once (R18), and write down what became of it.

    Not `holding`, an answer that would need a place which is taken waits for a decision.

    Raises Clash if it is `holding` and such an answer is among them.
    """
    known = db.session.scalar(
        select(Received).where(Received.mailbox == place.mailbox, Received.place == place.name)
    )
    if known is not None:
        return known
    verdicts = _verdicts(arrival, holding=holding)
    gravest = min(verdicts, key=lambda one: GRAVEST.index(one.outcome))
    row = Received(
        mailbox=place.mailbox,
        place=place.name,
        message_id=arrival.message_id,
        sender=arrival.sender,
        subject=arrival.subject,
        at=clock.now(),
        outcome=gravest.outcome,
        detail=gravest.why,
        meeting_id=next((one.meeting_id for one in verdicts if one.meeting_id), None),
    )
    db.session.add(row)
    db.session.flush()
    return row


def listed(*, outcome: str = "", before: int = 0, limit: int = 50) -> Sequence[Received]:
    """Return what came in, the latest first."""
    asked = select(Received).order_by(Received.id.desc()).limit(limit)
    if outcome:
        asked = asked.where(Received.outcome == outcome)
    if before:
        asked = asked.where(Received.id < before)
    return db.session.scalars(asked).all()


def boxes() -> Sequence[Mailbox]:
    """Return the mailboxes that are read, and how that goes."""
    return db.session.scalars(select(Mailbox).order_by(Mailbox.name)).all()


def _verdicts(arrival: Arrival, *, holding: bool) -> list[Verdict]:
    worked_on = select(Received.id).where(
        Received.message_id == arrival.message_id,
        Received.outcome.in_([Outcome.EFFECT, Outcome.QUEUE, Outcome.IGNORED]),
    )
    if arrival.message_id and db.session.scalar(worked_on.limit(1)):
        return [Verdict(Outcome.REPEATED, "same_message")]
    if arrival.sender == parseaddr(config.in_force().mail_from)[1].lower():
        return [Verdict(Outcome.IGNORED, "our_own")]
    if arrival.report is not None:
        return [_reported(arrival, arrival.report)]
    found = [
        verdict
        for raw in arrival.calendars
        for verdict in _of_calendar(raw, arrival, holding=holding)
    ]
    if found and not all(one.why == "claims_to_organize" for one in found):
        return found
    # Words beside our own invitation, which their program has sent back with them.
    words = _without_calendar(arrival)
    return found if found and words.outcome == Outcome.QUARANTINE else [words]


def _of_calendar(raw: bytes, arrival: Arrival, *, holding: bool) -> list[Verdict]:
    try:
        parts = itip_reading.parts(raw, config.in_force().zone)
    except Unusable as error:
        return [Verdict(Outcome.QUARANTINE, str(error))]
    if len(parts) > MOST_PARTS:
        return [Verdict(Outcome.QUARANTINE, "too_many_parts")]
    return [_of_part(part, arrival, holding=holding) for part in parts]


def _of_part(part: Part, arrival: Arrival, *, holding: bool) -> Verdict:  # noqa: PLR0911
    if part.kind == "VFREEBUSY":
        return freebusy.answer(part, arrival)
    if part.kind != "VEVENT":
        return Verdict(Outcome.QUARANTINE, "other_component")
    if not part.uid:
        return Verdict(Outcome.QUARANTINE, "no_uid")
    asked = select(Meeting).where(Meeting.uid == part.uid).options(*SELDOM)
    meeting = db.session.scalar(asked.with_for_update(of=Meeting))
    if meeting is None:
        return Verdict(Outcome.QUARANTINE, "unknown_uid")  # R1
    if part.method in FROM_ORGANIZER:
        said = f"{part.method} from {arrival.sender}"
        audit.record("mail", "claimed to be the organizer", f"meeting {meeting.uid}", said)
        return Verdict(Outcome.IGNORED, "claims_to_organize", meeting.id)  # R14
    if part.method not in FROM_ATTENDEE:
        return Verdict(Outcome.QUARANTINE, "no_method", meeting.id)
    return itip_replies.work_on(meeting, part, arrival, holding=holding)


def _reported(arrival: Arrival, report: Report) -> Verdict:
    """Note what a mail server says of a mail of ours, for that recipient alone (R17)."""
    mail = _mail_meant(arrival)
    if mail is None:
        return Verdict(Outcome.QUARANTINE, "report_of_what")
    letter = db.session.get_one(Letter, mail.letter_id)
    said = " ".join(part for part in (report.status, report.said) if part)
    if report.action in {"delivered", "relayed", "expanded"}:
        if mail.state == MailState.SENT:
            mail.state = MailState.DELIVERED
        return Verdict(Outcome.EFFECT, "delivered", letter.meeting_id)
    mail.trouble = said or report.action
    if report.action == "failed":
        mail.state, mail.due = MailState.BOUNCED, None
        attendee = db.session.get(Attendee, mail.attendee_id) if mail.attendee_id else None
        if attendee is not None and attendee.invited:
            tasks.add(attendee, TaskKind.BOUNCED, f"{mail.recipient}: {mail.trouble}")
        audit.record("mail", "came back", f"mail {mail.id}", mail.trouble)
    return Verdict(Outcome.EFFECT, report.action[:20], letter.meeting_id)


def _without_calendar(arrival: Arrival) -> Verdict:
    """Put words before the secretary; of an out-of-office only note that there was one."""
    mail = _mail_meant(arrival)
    attendee = db.session.get(Attendee, mail.attendee_id) if mail and mail.attendee_id else None
    if mail is None or attendee is None or not attendee.invited:
        return Verdict(Outcome.QUARANTINE, "about_what")
    letter = db.session.get_one(Letter, mail.letter_id)
    if arrival.is_away or arrival.is_automatic:
        attendee.away_at = clock.now()
        return Verdict(Outcome.EFFECT, "away", letter.meeting_id)
    by_token = any(links.mail_of(token) == mail.id for token in arrival.tokens)
    if arrival.sender != mail.recipient.lower() and not by_token:
        return Verdict(Outcome.QUARANTINE, "unknown_sender", letter.meeting_id)
    if not arrival.text:
        return Verdict(Outcome.QUARANTINE, "no_words", letter.meeting_id)
    meeting = db.session.get_one(Meeting, letter.meeting_id, with_for_update=True)
    key = hashlib.sha256(f"words {arrival.message_id or arrival.text} {mail.id}".encode())
    itip_replies.suggest(
        meeting,
        attendee,
        mail,
        itip_replies.Words(
            partstat=rsvp.worded(arrival.text),
            text=arrival.text,
            key=key.hexdigest(),
            arrival=arrival,
        ),
    )
    return Verdict(Outcome.QUEUE, "words", meeting.id)


def _mail_meant(arrival: Arrival) -> Mail | None:
    """Return the mail of ours that this answers or reports, by its token or its Message-ID."""
    for token in arrival.tokens:
        number = links.mail_of(token)
        if number is not None and (found := db.session.get(Mail, number)):
            return found
    if not arrival.references:
        return None
    asked = select(Mail).where(Mail.message_id.in_(arrival.references[:20]))
    return db.session.scalars(asked.order_by(Mail.id.desc()).limit(1)).first()
