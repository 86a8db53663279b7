"""What the two HTTP doors, web and api, have in common."""

from __future__ import annotations

from flask.typing import ResponseReturnValue
from flask_babel import gettext

from confbridge.database import transaction
from confbridge.errors import (
    Clash,
    ConfbridgeError,
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Phrase,
    StaleVersion,
)
from confbridge.inputs.meetings import MeetingChange, MeetingDraft
from confbridge.models import Account, Meeting
from confbridge.services import access, meetings, refusals
from confbridge.services.refusals import Refusal

STATUS = {
    NotSignedIn: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    StaleVersion: 412,
    Invalid: 422,
}
BAD_GATEWAY = 502  # the rest: a bridge or mail server that let us down


class Refused(Conflict):
    """A booking that clashes, with every reason and the nearest free times."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(Phrase("An endpoint or a bridge is not free at that time."))
        self.refusal = refusal


def status_of(error: ConfbridgeError) -> int:
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), BAD_GATEWAY)


def plain_problem(status: int, title: str) -> ResponseReturnValue:
    """Return a problem document (RFC 9457) for what HTTP itself refuses."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": title}
    return document, status, {"Content-Type": "application/problem+json"}


def say(phrase: Phrase) -> str:
    """Return a phrase in the reader's language."""
    said: str = gettext(phrase.text)
    return said % phrase.values if phrase.values else said


def book(draft: MeetingDraft, *, by: Account) -> Meeting:
    """Book in a transaction of its own; what is in the way is found out after it.

    Raises Invalid, NotAllowed, Refused.
    """
    try:
        with transaction():
            return meetings.book(draft, by=by)
    except Clash as clash:
        raise refused(draft, by=by) from clash


def refused(draft: MeetingDraft, *, by: Account) -> Refused:
    """Return the explained refusal of a booking that has just clashed."""
    return Refused(refusals.explain(meetings.need_of_draft(draft), reader=by))


def change(uid: str, wanted: MeetingChange, *, by: Account, version: int | None) -> Meeting:
    """Change a meeting in a transaction of its own.

    Raises NotFound, NotAllowed, StaleVersion, Invalid, Conflict, Refused.
    """
    try:
        with transaction():
            meeting = access.meeting(by, uid, to_change=True, version=version)
            meetings.change(meeting, wanted, by=by)
            return meeting
    except Clash as clash:
        meeting = access.meeting(by, uid)
        draft = meetings.draft_after(meeting, wanted)
        need = meetings.need_of_draft(draft)
        refusal = refusals.explain(need, reader=by, but=meeting.occurrence)
        raise Refused(refusal) from clash
