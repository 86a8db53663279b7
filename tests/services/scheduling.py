"""What tests of scheduling ask for, and look up in plain SQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text

from confbridge.database import Base, attempt, db, transaction
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer, Cancellation, MeetingChange, OccurrenceChange
from confbridge.models import Letter, Mail, Meeting, Occurrence
from confbridge.services import access, meetings, replies
from tests import factories
from tests.factories import scalar

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")


def morning(days: int = 10, hour: int = 8, weekday: int = 0) -> datetime:
    """A full hour of a working day (Monday is 0) some days ahead, in Saigon."""
    now = datetime.now(SAIGON).replace(hour=hour, minute=0, second=0, microsecond=0)
    day = now + timedelta(days=days)
    return day + timedelta(days=(weekday - day.weekday()) % 7)


def seen(uid: str, by) -> Meeting:
    db.session.rollback()
    db.session.expire_all()
    return access.meeting(by, uid)


def change(by, uid: str, **given) -> Meeting:
    def deed() -> Meeting:
        found = access.meeting(by, uid, to_change=True)
        meetings.change(found, parse(MeetingChange, given), by=by)
        return found

    return attempt(deed)


def change_one(by, uid: str, number: int, **given) -> Meeting:
    def deed() -> Meeting:
        found = access.meeting(by, uid, to_change=True)
        one = meetings.occurrence_of(found, number)
        return meetings.change_occurrence(found, one, parse(OccurrenceChange, given), by=by)

    return attempt(deed)


def cancel_one(by, uid: str, number: int, *, following: bool = False) -> None:
    wanted = parse(Cancellation, {"reason": "Bão", "following": following})
    with transaction():
        found = access.meeting(by, uid, to_change=True)
        one = meetings.occurrence_of(found, number)
        meetings.cancel_occurrence(found, one, wanted.reason, following=following, by=by)


def answered(by, meeting: Meeting, code: str, partstat: str) -> None:
    """Enter an answer as if it had been telephoned."""
    with transaction():
        found = access.meeting(by, meeting.uid, to_change=True)
        given = parse(Answer, {"partstat": partstat, "comment": "…"})
        replies.record(
            replies.Seat(found, replies.of_endpoint(found, code)), given, via="phone", by="ann"
        )


def cancel(by, uid: str) -> None:
    with transaction():
        meetings.cancel(access.meeting(by, uid, to_change=True), "Bão", by=by)


def letters(meeting: Meeting) -> list[Letter]:
    db.session.rollback()
    db.session.expire_all()
    asked = select(Letter).where(Letter.meeting_id == meeting.id).order_by(Letter.id)
    return list(db.session.scalars(asked))


def recipients(letter: Letter) -> set[str]:
    return set(db.session.scalars(select(Mail.recipient).where(Mail.letter_id == letter.id)))


def count(model, *conditions) -> int:
    return scalar(select(func.count()).select_from(model).where(*conditions))


def occurrence(number: int) -> Occurrence:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Occurrence, number)


WRITTEN = (
    *("meetings", "occurrences", "reservations", "allocations", "attendees", "exdates"),
    *("letters", "mails", "counters", "audit_entries", "offers", "bridge_blocks"),
    *("replies", "occurrence_answers", "tasks", "reminders"),
)


def everything() -> list[tuple[object, ...]]:
    """Every row of every table that a booking writes."""
    db.session.rollback()
    rows: list[tuple[object, ...]] = []
    for name in WRITTEN:
        table = Base.metadata.tables[name]
        asked = table.select().order_by(*table.primary_key)
        rows += [(name, *row) for row in db.session.execute(asked)]
    return rows


OVERLAPS = (
    "SELECT count(*) FROM reservations a JOIN reservations b"
    " ON a.endpoint_id = b.endpoint_id AND a.id < b.id"
    " AND a.starts < b.ends AND b.starts < a.ends WHERE a.live AND b.live"
)
# At every start of a promise or of maintenance, all that is taken of that bridge.
OVER_PROMISES = (
    "SELECT count(*) FROM ("
    "  SELECT bridge_id, starts AS at FROM allocations WHERE live"
    "  UNION SELECT bridge_id, starts FROM bridge_blocks"
    ") i JOIN bridges r ON r.id = i.bridge_id WHERE r.ports * 12 < ("
    "  SELECT coalesce(sum(units), 0) FROM allocations a"
    "  WHERE a.bridge_id = i.bridge_id AND a.live AND a.starts <= i.at AND a.ends > i.at"
    ") + ("
    "  SELECT coalesce(sum((r.ports - b.ports_left) * 12), 0) FROM bridge_blocks b"
    "  WHERE b.bridge_id = i.bridge_id AND b.starts <= i.at AND b.ends > i.at"
    "  AND b.ports_left < r.ports)"
)
# What is scheduled must hold a bridge and at least one endpoint, where the meeting is.
HOMELESS = (
    "SELECT count(*) FROM occurrences o WHERE o.state = 'scheduled' AND (NOT EXISTS ("
    "  SELECT 1 FROM allocations a WHERE a.occurrence_id = o.id AND a.live"
    "  AND a.role = 'primary' AND a.starts <= o.starts AND a.ends >= o.ends"
    ") OR EXISTS ("
    "  SELECT 1 FROM reservations r WHERE r.occurrence_id = o.id AND r.live"
    "  AND (r.starts <> o.starts OR r.ends <> o.ends)))"
)


def broken_promises() -> dict[str, int]:
    """Count, in plain SQL, what must never be: all of it is nought."""
    found = {
        "overlaps": scalar(text(OVERLAPS)),
        "over-promises": scalar(text(OVER_PROMISES)),
        "homeless": scalar(text(HOMELESS)),
    }
    return {name: number for name, number in found.items() if number}


def monday_series(by, codes=None, **rest) -> Meeting:
    given = {"start": morning().isoformat(), "rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=4"}
    return factories.meeting(by, codes or ["E-1", "E-2"], **given | rest)
