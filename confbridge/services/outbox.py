"""Mail waiting for delivery."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from sqlalchemy import func, insert, select, update

from confbridge import clock, config
from confbridge.database import db
from confbridge.errors import Conflict, MailError, Phrase
from confbridge.mail.compose import Copy
from confbridge.models import Account, Attendee, Letter, LetterKind, Mail, MailState, Meeting
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


def add(
    meeting: Meeting, kind: LetterKind, to: Sequence[Attendee], *, contact: str, reason: str = ""
) -> None:
    """Queue one letter, frozen as things are now, and a mail to each attendee.

    DTSTAMP grows with every letter of a meeting, by a second at least, as
    RFC 5546 section 2.1.5 orders letters of the same SEQUENCE by it.
    """
    now = clock.now()
    second = timedelta(seconds=1)
    meeting.stamped = max(now.replace(microsecond=0), meeting.stamped + second)
    letter = Letter(
        meeting_id=meeting.id,
        kind=kind,
        sequence=meeting.sequence,
        stamped=meeting.stamped,
        title=meeting.title,
        agenda=meeting.agenda,
        chair=meeting.chair,
        host=meeting.host.name,
        number=meeting.number,
        contact=contact,
        timezone=meeting.timezone,
        starts=meeting.occurrence.starts,
        ends=meeting.occurrence.ends,
        lead_minutes=meeting.lead_minutes,
        reason=reason,
    )
    db.session.add(letter)
    db.session.flush()
    if letter.sequence or kind != LetterKind.INVITATION:
        _supersede(to)
    _, _, domain = parseaddr(config.in_force().mail_from)[1].partition("@")
    mails = [_mail(letter, attendee, now, domain) for attendee in to]
    if mails:
        db.session.execute(insert(Mail), mails)


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
        join_url=links.join_url(mail.attendee_id),
        reply_url=links.reply_url(mail.attendee_id),
    )


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
    mail.recipient = (
        db.session.scalars(select(Attendee).where(Attendee.id == mail.attendee_id))
        .one()
        .endpoint.email
    )
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
    return {mail.attendee_id: mail for mail in mails}


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


def _supersede(attendees: Sequence[Attendee]) -> None:
    """Withdraw what these have not got yet: whoever reads mail in order is not led astray.

    Every REQUEST says the whole of a meeting, so nothing is lost with an older one.
    """
    unsent = (MailState.QUEUED, MailState.FAILED)
    db.session.execute(
        update(Mail)
        .where(Mail.attendee_id.in_([one.id for one in attendees]), Mail.state.in_(unsent))
        .values(state=MailState.SUPERSEDED, due=None)
    )
