"""What the two HTTP doors, web and api, have in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from werkzeug.routing import IntegerConverter, Map

from confbridge import config
from confbridge.database import attempt
from confbridge.domain import wording
from confbridge.errors import (
    Clash,
    ConfbridgeError,
    Conflict,
    DriverError,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Phrase,
    StaleVersion,
)
from confbridge.inputs.live import Command
from confbridge.inputs.meetings import Decision, MeetingChange, MeetingDraft, OccurrenceChange
from confbridge.models import Account, Bridge, Meeting, Occurrence
from confbridge.services import (
    access,
    control,
    decisions,
    extension,
    holds,
    maintenance,
    meetings,
    refusals,
    rehearsals,
)
from confbridge.services.maintenance import Affected
from confbridge.services.refusals import Refusal, Wanted

Result = TypeVar("Result")

STATUS = {
    NotSignedIn: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    StaleVersion: 412,
    Invalid: 422,
}
TAKEN = Phrase("An endpoint or a bridge is not free at that time.")
NEEDS_REASON = Phrase("The chair is in another meeting at that time. Say why both shall be held.")
MOST_ROWS = 2**31 - 1
BAD_GATEWAY = 502  # the rest: a bridge or mail server that let us down


class Refused(Conflict):
    """A booking that clashes, with every reason and what else would work."""

    def __init__(self, refusal: Refusal) -> None:
        soft = bool(refusal.clashes) and all(one.is_soft for one in refusal.clashes)
        super().__init__(NEEDS_REASON if soft else TAKEN)
        self.refusal = refusal


class RowNumber(IntegerConverter):
    """The number of a row in an address; one that no database could have is no page."""

    def __init__(self, map: Map, *args: Any, **rest: Any) -> None:
        super().__init__(map, *args, **{"max": MOST_ROWS, **rest})


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


def written_moment(when: datetime) -> str:
    """Return a moment in the reader's language."""
    return wording.moment(when, config.in_force().zone, str(get_locale() or "vi"))


def book(draft: MeetingDraft, *, by: Account) -> Meeting:
    """Book in a transaction of its own; what is in the way is found out after it.

    Raises Invalid, NotAllowed, Conflict, Refused.
    """
    try:
        return attempt(lambda: booked(draft, by=by))
    except Clash as clash:
        raise refused(draft, by=by) from clash


def booked(draft: MeetingDraft, *, by: Account) -> Meeting:
    """Book a meeting with its rehearsal, in the transaction that is open.

    Raises Invalid, NotAllowed, Conflict, Clash.
    """
    meeting = meetings.book(draft, by=by)
    if draft.rehearsal_minutes:
        rehearsals.follow(meeting, by=by)
    return meeting


def refused(draft: MeetingDraft, *, by: Account) -> Refused:
    """Return the explained refusal of a booking that has just clashed."""
    return Refused(refusals.explain(meetings.wanted_by(draft, by), reader=by))


def change(uid: str, wanted: MeetingChange, *, by: Account, version: int | None) -> Meeting:
    """Change a meeting in a transaction of its own.

    Raises NotFound, NotAllowed, StaleVersion, Invalid, Conflict, Refused.
    """

    def deed() -> Meeting:
        meeting = access.meeting(by, uid, to_change=True, version=version)
        meetings.change(meeting, wanted, by=by)
        rehearsals.follow(meeting, by=by)
        return meeting

    try:
        return attempt(deed)
    except Clash as clash:
        raise change_refused(uid, wanted, by=by) from clash


def change_refused(uid: str, wanted: MeetingChange, *, by: Account) -> Refused:
    """Return the explained refusal of a change that has just clashed."""
    need = trial(lambda: meetings.wanted_after(access.meeting(by, uid), wanted))
    return Refused(refusals.explain(need, reader=by))


def change_occurrence(
    uid: str, number: int, wanted: OccurrenceChange, *, by: Account, version: int | None
) -> Meeting:
    """Change one occurrence, or it and all that follow, in a transaction of its own.

    Raises NotFound, NotAllowed, StaleVersion, Invalid, Conflict, Refused.
    """

    def deed() -> Meeting:
        meeting = access.meeting(by, uid, to_change=True, version=version)
        one = meetings.occurrence_of(meeting, number)
        changed = meetings.change_occurrence(meeting, one, wanted, by=by)
        rehearsals.follow(meeting, by=by)
        return changed

    try:
        return attempt(deed)
    except Clash as clash:
        raise occurrence_refused(uid, number, wanted, by=by) from clash


def occurrence_refused(uid: str, number: int, wanted: OccurrenceChange, *, by: Account) -> Refused:
    """Return the explained refusal of a change of one occurrence that has just clashed."""
    need = trial(lambda: _wanted_of_one(uid, number, wanted, by))
    return Refused(refusals.explain(need, reader=by))


def _wanted_of_one(uid: str, number: int, wanted: OccurrenceChange, by: Account) -> Wanted:
    meeting = access.meeting(by, uid)
    return meetings.wanted_of_one(meeting, meetings.occurrence_of(meeting, number), wanted, by=by)


def decide(uid: str, number: int, wanted: Decision, *, by: Account) -> Meeting:
    """Decide about a reply, in a transaction of its own.

    Raises NotFound, NotAllowed, Invalid, Conflict, Refused.
    """

    def deed() -> Meeting:
        row = access.reply(by, uid, number)
        decisions.decide(row, wanted, by=by)
        rehearsals.follow(row.meeting, by=by)
        return row.meeting

    try:
        return attempt(deed)
    except Clash as clash:
        raise _decision_refused(uid, number, clash, by=by) from clash


def _decision_refused(uid: str, number: int, clash: Clash, *, by: Account) -> Conflict:
    """Return why a proposed time cannot be taken; of an answer that wants its place the clash."""

    def look() -> tuple[int | None, MeetingChange | OccurrenceChange] | None:
        row = access.reply(by, uid, number)
        return (row.occurrence_id, decisions.change_wanted(row)) if row.starts else None

    found = trial(look)
    if found is None:
        return clash
    occurrence, change_wanted = found
    if isinstance(change_wanted, OccurrenceChange):
        return occurrence_refused(uid, occurrence or 0, change_wanted, by=by)
    return change_refused(uid, change_wanted, by=by)


def hold(uid: str, minutes: int | None, *, by: Account, version: int | None) -> Meeting:
    """Let a draft hold its slots, in a transaction of its own.

    Raises NotFound, NotAllowed, StaleVersion, Conflict, Refused.
    """

    def deed() -> Meeting:
        meeting = access.meeting(by, uid, to_change=True, version=version)
        holds.hold(meeting, minutes, by=by)
        return meeting

    try:
        return attempt(deed)
    except Clash as clash:
        raise change_refused(uid, MeetingChange(), by=by) from clash


def drain(code: str, *, by: Account) -> tuple[Bridge, list[Affected]]:
    """Let a bridge take nothing new, then move what lies ahead, each in a transaction of its own.

    Raises NotFound, NotAllowed.
    """

    def begin() -> tuple[Bridge, list[int]]:
        bridge = access.bridge(by, code, to_change=True)
        maintenance.drain(bridge, by=by)
        return bridge, maintenance.on_bridge(bridge)

    bridge, numbers = attempt(begin)
    found = [attempt(partial(maintenance.move, number, bridge)) for number in numbers]
    attempt(holds.room_was_made)
    return bridge, [one for one in found if one is not None]


def drain_preview(code: str, *, by: Account) -> list[Affected]:
    """Return what draining a bridge would move, and what it could not; nothing is changed.

    Raises NotFound, NotAllowed.
    """

    def look() -> list[Affected]:
        bridge = access.bridge(by, code, to_change=True)
        maintenance.drain(bridge, by=by)
        found = [maintenance.move(number, bridge) for number in maintenance.on_bridge(bridge)]
        return [one for one in found if one is not None]

    return trial(look)


def command(number: int, name: str, wanted: Command, *, by: Account) -> DriverError | None:
    """Do to a conference what an operator wants, and return what its bridge could not do.

    Allowed and kept in one transaction, done on the bridge outside any, and written down with
    its outcome in another.

    Raises NotFound, NotAllowed, Invalid, Conflict.
    """
    deed = attempt(
        lambda: control.prepare(access.conference(by, number, to_change=True), name, wanted, by=by)
    )
    error = control.carry_out(deed)
    attempt(lambda: control.written_down(deed, error, by=by))
    return error


def extend(number: int, minutes: int, *, by: Account) -> None:
    """Let a conference last longer, in a transaction of its own.

    Raises NotFound, NotAllowed, Conflict; CannotExtend says what is possible.
    """

    def conference() -> Occurrence:
        return access.conference(by, number, to_change=True)

    try:
        attempt(lambda: extension.extend(conference(), minutes, by=by))
    except Clash as clash:
        raise trial(lambda: extension.possible(conference(), minutes)) from clash


def end(number: int, *, by: Account) -> None:
    """End a conference now, in a transaction of its own.

    Raises NotFound, NotAllowed, Conflict.
    """
    attempt(lambda: extension.end(access.conference(by, number, to_change=True), by=by))


def trial(deed: Callable[[], Result]) -> Result:
    """Do it in a transaction that is taken back, and return what it found."""
    found: list[Result] = []

    def then_take_back() -> None:
        found.append(deed())
        raise TakenBack

    try:
        attempt(then_take_back)
    except TakenBack:
        return found[-1]
    raise AssertionError("a trial is always taken back")


class TakenBack(Exception):
    """Raised to undo what a trial has done."""
