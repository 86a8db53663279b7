"""Mail waiting for delivery."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from sqlalchemy import func, insert, select, update

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, MailError, Phrase
from confbridge.mail.compose import PLAIN, Copy
from confbridge.models import (
    Account,
    Attendee,
    Letter,
    LetterKind,
    Mail,
    MailState,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Reservation,
    TaskKind,
)
from confbridge.services import access, audit, dialling, links, tasks

LEASE = timedelta(minutes=1)  # of a batch; longer than the slowest mail server is waited for
BATCH = 20
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(minutes=30)
MOST_TRIES = 12  # with the waits above, about three hours
FAILED = {MailState.FAILED, MailState.BOUNCED}
WORST = [  # first what has to be seen first
    *(MailState.FAILED, MailState.BOUNCED, MailState.QUEUED, MailState.SENT),
    *(MailState.DELIVERED, MailState.SUPERSEDED),
]


@dataclass(frozen=True)
class Dispatch:
    """A mail claimed for sending, with all that its text needs, and how long it is ours."""

    mail_id: int
    tries: int
    copy: Copy
    lease: datetime


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What is to be told; about one occurrence alone, if one is named."""

    meeting: Meeting
    kind: LetterKind
    contact: str
    reason: str = ""
    occurrence: Occurrence | None = None
    offers: tuple[datetime, ...] = ()
    until: datetime | None = None
    partstat: str = ""  # what each is to have said; "": what it has
    sequence: int | None = None  # where it echoes another one than the meeting's
    site: str = ""  # of which endpoint a head office is told


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody written to by address: beside the endpoints' own, or in their stead."""

    email: str
    name: str
    role: str
    attendee: Attendee | None = None  # whose mail it is
    delegated_from: str = ""
    language: str = "vi"
    partstat: str = Partstat.NEEDS_ACTION


def add(
    telling: Telling,
    to: Sequence[Attendee],
    *,
    organizer: Account | None = None,
    people: Sequence[Person] = (),
) -> None:
    """Queue one letter, frozen as things are now, and a mail to whoever receives for an attendee.

    DTSTAMP grows with every letter of a meeting, by a second at least, as
    RFC 5546 section 2.1.5 orders letters of the same SEQUENCE by it.
    """
    now = clock.now()
    meeting = telling.meeting
    second = timedelta(seconds=1)
    meeting.stamped = max(now.replace(microsecond=0), meeting.stamped + second)
    letter = _letter(telling)
    db.session.add(letter)
    db.session.flush()
    is_first = not letter.sequence and telling.kind == LetterKind.INVITATION
    if not is_first and telling.kind not in PLAIN:
        _supersede(letter, to)
    absent = _absences(telling) if letter.rrule else {}
    chains = _chains(telling, to)
    mails = []
    for attendee in to:
        for one in _recipients(attendee, telling, chains[attendee.id]):
            exdates = _written(absent.get(attendee.endpoint_id, ()))
            mails.append(_mail(letter, one, now) | {"exdates": exdates})
    mails += [_mail(letter, one, now) for one in people]
    if organizer is not None:
        one = Person(
            email=organizer.email,
            name=organizer.name,
            role="organizer",
            language=organizer.language or "vi",
        )
        mails.append(_mail(letter, one, now))
    if mails:
        db.session.execute(insert(Mail), mails)


def _chains(telling: Telling, to: Sequence[Attendee]) -> dict[int, list[str]]:
    """Return who stands in for each attendee in what the letter is about."""
    found = {one.id: one.substitutes for one in to}
    if telling.occurrence is not None and telling.meeting.repeats:
        asked = select(OccurrenceAnswer.attendee_id, OccurrenceAnswer.chain).where(
            OccurrenceAnswer.occurrence_id == telling.occurrence.id,
            OccurrenceAnswer.attendee_id.in_(found),
        )
        found |= {one: chain.split() or found[one] for one, chain in db.session.execute(asked)}
    return found


def _recipients(attendee: Attendee, telling: Telling, substitutes: Sequence[str]) -> list[Person]:
    """Return who receives for an attendee: its own address, the others, and who stands in."""
    endpoint = attendee.endpoint
    others = (endpoint.recipients | attendee.also) - {endpoint.email}
    addresses = [endpoint.email, *sorted(others)]
    role, partstat = attendee.role, telling.partstat or attendee.partstat
    found = [
        Person(
            email=email,
            name=endpoint.name,
            role=role,
            attendee=attendee,
            language=endpoint.language,
            partstat=partstat,
        )
        for email in addresses
    ]
    before = endpoint.email
    for email in substitutes:
        found.append(substitute(attendee, email, before, partstat))
        before = email
    return found


def substitute(attendee: Attendee, email: str, before: str, partstat: str) -> Person:
    """Return who stands in for an attendee, to be written to (RFC 5546 section 3.2.2.3)."""
    return Person(
        email=email,
        name=attendee.endpoint.name,
        role=attendee.role,
        attendee=attendee,
        delegated_from=before,
        language=attendee.endpoint.language,
        partstat=partstat,
    )


def add_ready(kind: LetterKind, body: str, to: Person, during: Interval) -> None:
    """Queue a mail about no meeting, with an iCalendar object that is ready."""
    now = clock.now()
    settings = config.in_force()
    blank = dict.fromkeys(("title", "agenda", "chair", "host", "number", "contact"), "")
    letter = Letter(
        kind=kind,
        sequence=0,
        stamped=now.replace(microsecond=0),
        timezone=settings.timezone,
        starts=during.start,
        ends=during.end,
        lead_minutes=0,
        body=body,
        **blank,
    )
    db.session.add(letter)
    db.session.flush()
    db.session.execute(insert(Mail), [_mail(letter, to, now)])


def _letter(telling: Telling) -> Letter:
    meeting, one = telling.meeting, telling.occurrence
    during = one.during if one else meeting.during
    return Letter(
        meeting_id=meeting.id,
        kind=telling.kind,
        sequence=meeting.sequence if telling.sequence is None else telling.sequence,
        stamped=meeting.stamped,
        secret=meeting.secret,
        title=meeting.title,
        agenda=meeting.agenda,
        chair=meeting.chair,
        host=meeting.host.name,
        number=meeting.number,
        contact=telling.contact,
        timezone=meeting.timezone,
        starts=during.start,
        ends=during.end,
        lead_minutes=meeting.lead_minutes,
        reason="" if meeting.secret else telling.reason,
        occurrence_id=one.id if one else None,
        original=one.original if one else None,
        rrule="" if one else meeting.rrule,
        exdates="" if one or not meeting.repeats else _written(meeting.skipped),
        related_to=_related(meeting),
        offers=_written(telling.offers),
        until=telling.until,
        site=telling.site,
        dial=dialling.told(meeting, one),
    )


def _absences(telling: Telling) -> dict[int, list[datetime]]:
    """Return the dates of a series from which single endpoints were taken off (S14)."""
    occurrences = {one.id: one.original for one in telling.meeting.occurrences}
    asked = select(Reservation.occurrence_id, Reservation.endpoint_id).where(
        Reservation.occurrence_id.in_(occurrences), ~Reservation.wanted
    )
    found: dict[int, list[datetime]] = {}
    for number, endpoint in db.session.execute(asked):
        found.setdefault(endpoint, []).append(occurrences[number or 0])
    return found


def _written(moments: Iterable[datetime]) -> str:
    return " ".join(one.isoformat() for one in moments)


def _related(meeting: Meeting) -> str:
    if meeting.related_id is None:
        return ""
    asked = select(Meeting.uid).where(Meeting.id == meeting.related_id)
    return db.session.scalars(asked).one()


def claim_due() -> list[Dispatch]:
    """Take the mails that have waited longest, a batch for LEASE."""
    now = clock.now()
    found = db.session.execute(
        select(Mail, Meeting.uid)
        .join(Letter, Letter.id == Mail.letter_id)
        .outerjoin(Meeting, Meeting.id == Letter.meeting_id)
        .where(Mail.due <= now, Mail.state == MailState.QUEUED)
        .order_by(Mail.due, Mail.id)
        .with_for_update(of=Mail, skip_locked=True)
        .limit(BATCH)
    ).all()
    lease = now + LEASE
    for mail, _ in found:
        mail.due = lease
        mail.tries += 1
    return [Dispatch(mail.id, mail.tries, copy_of(mail, uid or ""), lease) for mail, uid in found]


def put_back(dispatches: Sequence[Dispatch]) -> None:
    """Give back what was claimed and not tried."""
    for one in dispatches:
        ours = update(Mail).where(Mail.id == one.mail_id, Mail.due == one.lease)
        db.session.execute(ours.values(due=clock.now(), tries=Mail.tries - 1))


def copy_of(mail: Mail, uid: str) -> Copy:
    """Return the recipient's copy of the letter about the meeting `uid`, to be made into a mail."""
    letter = mail.letter
    sender = config.in_force().mail_from
    mailbox, _, domain = parseaddr(sender)[1].partition("@")
    return Copy(
        kind=letter.kind,
        message_id=mail.message_id,
        sender=sender,
        reply_to=f"{mailbox}+{links.for_mail(mail.id)}@{domain}",
        recipient=mail.recipient,
        name=mail.name,
        role=mail.role,
        partstat=mail.partstat,
        language=mail.language,
        uid=uid,
        sequence=letter.sequence,
        stamped=letter.stamped,
        during=letter.during,
        timezone=letter.timezone,
        title=letter.title,
        agenda=letter.agenda,
        chair=letter.chair,
        host=letter.host,
        number=letter.number,
        contact=letter.contact,
        lead_minutes=letter.lead_minutes,
        reason=letter.reason,
        join_url=_url(mail, uid, links.join_url),
        reply_url=_url(mail, uid, links.reply_url),
        original=letter.original,
        rrule=letter.rrule,
        exdates=tuple(sorted({*letter.left_out, *mail.left_out})),
        related_to=letter.related_to,
        offers=tuple(letter.new_times),
        until=letter.until,
        is_secret=letter.secret,
        delegated_from=mail.delegated_from,
        site=letter.site,
        body=letter.body,
        dial=tuple(letter.dial.splitlines()),
    )


def _url(mail: Mail, uid: str, made: Callable[[int], str]) -> str:
    if mail.attendee_id:
        return made(mail.attendee_id)
    return links.meeting_url(uid) if uid else ""


def preview(telling: Telling, attendee: Attendee) -> Copy:
    """Return an attendee's copy of a letter that is not sent: of how things are now."""
    letter = _letter(telling)
    absent = _absences(telling).get(attendee.endpoint_id, ()) if letter.rrule else ()
    one = _recipients(attendee, telling, ())[0]
    made = _mail(letter, one, clock.now()) | {"exdates": _written(absent), "id": 0}
    return copy_of(Mail(**made, letter=letter), telling.meeting.uid)


def sent(mail_id: int) -> None:
    """Record that the mail server has taken it: it is never sent again."""
    # A report that it came back may have been quicker.
    unsent = (MailState.QUEUED, MailState.SUPERSEDED)
    taken = update(Mail).where(Mail.id == mail_id, Mail.state.in_(unsent))
    now = clock.now()
    db.session.execute(taken.values(state=MailState.SENT, due=None, sent_at=now, trouble=""))


def not_sent(dispatch: Dispatch, error: MailError) -> None:
    """Try again later, or give up and show it."""
    # Only while the lease is ours: another worker may have sent it meanwhile.
    ours = update(Mail).where(Mail.id == dispatch.mail_id, Mail.due == dispatch.lease)
    ours = ours.where(Mail.state == MailState.QUEUED)
    if error.permanent or dispatch.tries >= MOST_TRIES:
        db.session.execute(ours.values(state=MailState.FAILED, due=None, trouble=str(error)))
        mail = db.session.get_one(Mail, dispatch.mail_id)
        attendee = db.session.get(Attendee, mail.attendee_id) if mail.attendee_id else None
        if attendee is not None and attendee.invited:
            tasks.add(attendee, TaskKind.BOUNCED, f"{mail.recipient}: {error}")
    else:
        wait = min(FIRST_RETRY * 2 ** (dispatch.tries - 1), LONGEST_RETRY)
        db.session.execute(ours.values(due=clock.now() + wait, trouble=str(error)))


def send_again(mail: Mail, *, by: Account) -> None:
    """Queue a mail that could not be sent; it keeps its Message-ID.

    Raises Conflict.
    """
    if mail.state not in FAILED:
        raise Conflict(Phrase("Only a mail that could not be sent can be sent again."))
    mail.state, mail.due, mail.tries = MailState.QUEUED, clock.now(), 0
    if mail.attendee_id is not None and not mail.delegated_from:
        # Its address may have been put right meanwhile.
        asked = select(Attendee).where(Attendee.id == mail.attendee_id)
        endpoint = db.session.scalars(asked).one().endpoint
        if mail.recipient not in endpoint.recipients:
            mail.recipient = endpoint.email
    audit.record(by.email, "mail queued again", f"mail {mail.id}")


def page_of(
    account: Account, *, state: str = "", before: int = 0, limit: int = 50
) -> Sequence[Mail]:
    """Return mails that `account` may read, the latest first."""
    asked = access.mails(account).order_by(Mail.id.desc()).limit(limit)
    if state:
        asked = asked.where(Mail.state == state)
    if before:
        asked = asked.where(Mail.id < before)
    return db.session.scalars(asked).all()


def count_by_state(account: Account) -> Mapping[str, int]:
    """Say how many mails are in each state, of those `account` may read."""
    mails = access.mails(account).subquery()
    asked = select(mails.c.state, func.count()).group_by(mails.c.state)
    return {str(state): int(count) for state, count in db.session.execute(asked)}


def last_written(meeting: Meeting, kind: LetterKind) -> datetime | None:
    """Return when the last letter of this kind was written about the meeting."""
    asked = select(func.max(Letter.stamped)).where(Letter.meeting_id == meeting.id)
    found: datetime | None = db.session.scalar(asked.where(Letter.kind == kind))
    return found


def meeting_uid(mail: Mail) -> str:
    """Return the UID of the meeting that a mail is about; "" if it is about none."""
    asked = select(Meeting.uid).where(Meeting.id == mail.letter.meeting_id)
    return db.session.scalar(asked) or ""


def deliveries(meetings: Sequence[Meeting]) -> dict[int, Mail]:
    """Return how the last letter to each attendee fared, by the attendee's id.

    Of several who receive for it, whose mail fared worst: that has to be seen.
    """
    ids = [attendee.id for meeting in meetings for attendee in meeting.attendees]
    last = (
        select(Mail.attendee_id, func.max(Mail.letter_id).label("letter_id"))
        .where(Mail.attendee_id.in_(ids))
        .group_by(Mail.attendee_id)
        .subquery()
    )
    asked = select(Mail).join(
        last, (Mail.attendee_id == last.c.attendee_id) & (Mail.letter_id == last.c.letter_id)
    )
    mails = sorted(
        db.session.scalars(asked), key=lambda one: WORST.index(MailState(one.state)), reverse=True
    )
    return {mail.attendee_id: mail for mail in mails if mail.attendee_id is not None}


def _mail(letter: Letter, one: Person, now: datetime) -> dict[str, object]:
    _, _, domain = parseaddr(config.in_force().mail_from)[1].partition("@")
    return {
        "letter_id": letter.id,
        "attendee_id": one.attendee.id if one.attendee else None,
        "message_id": f"<{uuid.uuid4()}@{domain}>",
        "recipient": one.email,
        "name": one.name,
        "role": one.role,
        "partstat": one.partstat,
        "language": one.language,
        "delegated_from": one.delegated_from,
        "exdates": "",
        "due": now,
    }


def _supersede(letter: Letter, attendees: Sequence[Attendee]) -> None:
    """Withdraw what these have not got yet: whoever reads mail in order is not led astray.

    Every REQUEST says the whole of what it is about, a meeting or one
    occurrence, so nothing is lost with an older one about the same.
    """
    unsent = (MailState.QUEUED, MailState.FAILED)
    same = select(Letter.id).where(Letter.meeting_id == letter.meeting_id, Letter.id != letter.id)
    if letter.occurrence_id is not None or letter.kind != LetterKind.CANCELLED:
        same = same.where(Letter.occurrence_id == letter.occurrence_id)
    db.session.execute(
        update(Mail)
        .where(Mail.attendee_id.in_([one.id for one in attendees]), Mail.state.in_(unsent))
        .where(Mail.letter_id.in_(same), Mail.delegated_from == "")
        .values(state=MailState.SUPERSEDED, due=None)
    )
