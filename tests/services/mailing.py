"""Letters that come in, answers that are entered, and what is left of both."""

from __future__ import annotations

import itertools

from sqlalchemy import select

from confbridge import config
from confbridge.database import attempt, db
from confbridge.errors import Clash
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer
from confbridge.mail import incoming
from confbridge.models import Letter, Mail, Reply
from confbridge.services import access, inbox, links, replies
from confbridge.services.inbox import Place
from tests.services.scheduling import seen

_places = itertools.count(1)


def come_in(raw: bytes, place: str = ""):
    """Let a mail come in as the job does, and return what became of it."""
    arrival = incoming.read(raw, config.in_force().authserv_id)
    where = Place("test", place or f"mail {next(_places)}")
    try:
        return attempt(lambda: inbox.take(where, arrival))
    except Clash:
        return attempt(lambda: inbox.take(where, arrival, holding=False))


def outcome(raw: bytes) -> tuple[str, str]:
    received = come_in(raw)
    return received.outcome, received.detail


def mail_to(meeting, address="e-1@example.org"):
    db.session.rollback()
    asked = select(Mail).join(Letter).where(Letter.meeting_id == meeting.id)
    return db.session.scalars(asked.where(Mail.recipient == address)).first()


def token_address(mail) -> str:
    return f"hoinghi+{links.for_mail(mail.id)}@ninhthuan.example"


def say(by, meeting, code="E-1", number=None, via="phone", **given):
    def deed():
        found = access.meeting(by, meeting.uid, to_change=True)
        seat = replies.seat(replies.of_endpoint(found, code), found, number)
        wanted = parse(Answer, {"partstat": "ACCEPTED", "comment": "…"} | given)
        replies.record(seat, wanted, via=via, by=by.email)

    attempt(deed)


def attendee(by, meeting, code="E-1"):
    return replies.of_endpoint(seen(meeting.uid, by), code)


def evidence(**wanted):
    db.session.rollback()
    asked = select(Reply).filter_by(**wanted).order_by(Reply.id)
    return list(db.session.scalars(asked))
