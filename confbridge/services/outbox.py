"""Mail waiting for delivery."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from sqlalchemy import func, insert, select, update

from confbridge import clock, config
from confbridge.database import db
from confbridge.errors import Conflict, MailError, Phrase
from confbridge.mail.compose import Copy
from confbridge.models import (
    Account,
    Attendee,
    Letter,
    LetterKind,
    Mail,
    MailState,
    Meeting,
    Occurrence,
    Reservation,
)
from confbridge.services import access, audit, links

LEASE = timedelta(minutes=2)  # longer than the slowest mail server is waited for
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(minutes=30)
LANGUAGE = "vi"  # of the province's letters
MOST_TRIES = 12  # with the waits above, about three hours


@dataclass(frozen=True)
class Dispatch:
    """A mail claimed for sending, with all that its text needs."""

    mail: Mail
    letter: Letter
    uid: str
    lease: datetime | None = None  # how long it is ours; None when it is only to be read


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


def add(telling: Telling, to: Sequence[Attendee], *, organizer: Account | None = None) -> None:
    """Queue one letter, frozen as things are now, and a mail to each attendee and the organizer.

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
    if letter.sequence or telling.kind != LetterKind.INVITATION:
        _supersede(letter, to)
    _, _, domain = parseaddr(config.in_force().mail_from)[1].partition("@")
    mails = [_mail(letter, attendee, now, domain) for attendee in to]
    absent = _absences(telling) if letter.rrule else {}
    for mail, attendee in zip(mails, to, strict=True):
        mail["exdates"] = _written(absent.get(attendee.endpoint_id, ()))
        mail["partstat"] = telling.partstat or mail["partstat"]
    if organizer is not None:
        mails.append(_mail_to_account(letter, organizer, now, domain))
    if mails:
        db.session.execute(insert(Mail), mails)


def _letter(telling: Telling) -> Letter:
    meeting, one = telling.meeting, telling.occurrence
    during = one.during if one else meeting.during
    return Letter(
        meeting_id=meeting.id,
        kind=telling.kind,
        sequence=meeting.sequence,
        stamped=meeting.stamped,
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
        reason=telling.reason,
        occurrence_id=one.id if one else None,
        original=one.original if one else None,
        rrule="" if one else meeting.rrule,
        exdates="" if one or not meeting.repeats else _written(meeting.skipped),
        related_to=_related(meeting),
        offers=_written(telling.offers),
        until=telling.until,
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


def claim_next_due() -> Dispatch | None:
    """Take the mail that has waited longest, for LEASE."""
    now = clock.now()
    found = db.session.execute(
        select(Mail, Meeting.uid)
        .join(Letter, Letter.id == Mail.letter_id)
        .join(Meeting, Meeting.id == Letter.meeting_id)
        .where(Mail.due <= now, Mail.state == MailState.QUEUED)
        .order_by(Mail.due, Mail.id)
        .with_for_update(of=Mail, skip_locked=True)
        .limit(1)
    ).first()
    if found is None:
        return None
    mail, uid = found
    mail.due = now + LEASE
    mail.tries += 1
    return Dispatch(mail, mail.letter, uid, mail.due)


def copy_of(dispatch: Dispatch) -> Copy:
    """Return the recipient's copy of the letter, ready to be made into a mail."""
    mail, letter = dispatch.mail, dispatch.letter
    return Copy(
        kind=letter.kind,
        message_id=mail.message_id,
        sender=config.in_force().mail_from,
        recipient=mail.recipient,
        name=mail.name,
        role=mail.role,
        partstat=mail.partstat,
        language=LANGUAGE,
        uid=dispatch.uid,
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
        join_url=_join_url(dispatch),
        reply_url=_reply_url(dispatch),
        original=letter.original,
        rrule=letter.rrule,
        exdates=tuple(sorted({*letter.left_out, *mail.left_out})),
        related_to=letter.related_to,
        offers=tuple(letter.new_times),
        until=letter.until,
    )


def _join_url(dispatch: Dispatch) -> str:
    number = dispatch.mail.attendee_id
    return links.join_url(number) if number else links.meeting_url(dispatch.uid)


def _reply_url(dispatch: Dispatch) -> str:
    number = dispatch.mail.attendee_id
    return links.reply_url(number) if number else links.meeting_url(dispatch.uid)


def sent(mail_id: int) -> None:
    """Record that the mail server has taken it: it is never sent again."""
    taken = update(Mail).where(Mail.id == mail_id)
    now = clock.now()
    db.session.execute(taken.values(state=MailState.SENT, due=None, sent_at=now, trouble=""))


def not_sent(dispatch: Dispatch, error: MailError) -> None:
    """Try again later, or give up and show it."""
    mail = dispatch.mail
    # Only while the lease is ours: another worker may have sent it meanwhile.
    ours = update(Mail).where(Mail.id == mail.id, Mail.due == dispatch.lease)
    ours = ours.where(Mail.state == MailState.QUEUED)
    if error.permanent or mail.tries >= MOST_TRIES:
        db.session.execute(ours.values(state=MailState.FAILED, due=None, trouble=str(error)))
    else:
        wait = min(FIRST_RETRY * 2 ** (mail.tries - 1), LONGEST_RETRY)
        db.session.execute(ours.values(due=clock.now() + wait, trouble=str(error)))


def send_again(mail: Mail, *, by: Account) -> None:
    """Queue a mail that could not be sent; it keeps its Message-ID.

    Raises Conflict.
    """
    if mail.state != MailState.FAILED:
        raise Conflict(Phrase("Only a mail that could not be sent can be sent again."))
    mail.state, mail.due, mail.tries = MailState.QUEUED, clock.now(), 0
    if mail.attendee_id is not None:  # its address may have been put right meanwhile
        asked = select(Attendee).where(Attendee.id == mail.attendee_id)
        mail.recipient = db.session.scalars(asked).one().endpoint.email
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


def dispatch_of(mail: Mail) -> Dispatch:
    """Return a mail with all that its text needs, to be read."""
    asked = select(Meeting.uid).where(Meeting.id == mail.letter.meeting_id)
    return Dispatch(mail, mail.letter, db.session.scalars(asked).one())


def deliveries(meetings: Sequence[Meeting]) -> dict[int, Mail]:
    """Return the last mail to each attendee, by the attendee's id."""
    ids = [attendee.id for meeting in meetings for attendee in meeting.attendees]
    last = select(func.max(Mail.id)).where(Mail.attendee_id.in_(ids)).group_by(Mail.attendee_id)
    mails = db.session.scalars(select(Mail).where(Mail.id.in_(last)))
    return {mail.attendee_id: mail for mail in mails if mail.attendee_id is not None}


def _mail(letter: Letter, attendee: Attendee, now: datetime, domain: str) -> dict[str, object]:
    endpoint = attendee.endpoint
    return {
        "letter_id": letter.id,
        "attendee_id": attendee.id,
        "message_id": f"<{uuid.uuid4()}@{domain}>",
        "recipient": endpoint.email,
        "name": endpoint.name,
        "role": attendee.role,
        "partstat": attendee.partstat,
        "due": now,
    }


def _mail_to_account(
    letter: Letter, account: Account, now: datetime, domain: str
) -> dict[str, object]:
    return {
        "letter_id": letter.id,
        "attendee_id": None,
        "message_id": f"<{uuid.uuid4()}@{domain}>",
        "recipient": account.email,
        "name": account.name,
        "role": "organizer",
        "partstat": "",
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
        .where(Mail.letter_id.in_(same))
        .values(state=MailState.SUPERSEDED, due=None)
    )
