"""Whether the sites are ready for a meeting: what they sign for, and what their lines showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.domain.readiness import POINTS, Ready, verdict
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Phrase
from confbridge.inputs.live import SignOffDraft
from confbridge.models import Attendee, LineTest, Meeting, Occurrence, SignOff
from confbridge.services import demands

CHECKPOINTS = (60, 30, 15)  # minutes before the start


@dataclass(frozen=True, kw_only=True)
class Row:
    """One site on the board."""

    attendee: Attendee
    sign_off: SignOff | None
    line_test: LineTest | None  # the last one
    ready: Ready


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """How many were ready so many minutes before the start; None: that is still to come."""

    minutes: int
    at: datetime
    ready: int | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """Who is ready, who is not, and how it was at each checkpoint."""

    rows: Sequence[Row]
    checkpoints: Sequence[Checkpoint]

    @property
    def ready(self) -> int:
        return sum(one.ready is Ready.READY for one in self.rows)

    @property
    def to_call(self) -> list[Row]:
        """Who is not ready, those who said that something is wrong first."""
        some = [one for one in self.rows if one.ready is not Ready.READY]
        return sorted(some, key=lambda one: one.ready is not Ready.NOT_READY)


def board(meeting: Meeting, occurrence: Occurrence) -> Board:
    """Return the board of an occurrence, with everybody who is expected."""
    signed = _signed(occurrence)
    tests = _tests(occurrence)
    said = demands.said_apart(meeting, [occurrence])[occurrence.id]
    members = demands.members([occurrence])[occurrence.id]
    some = [
        one
        for one in meeting.attendees
        if one.endpoint_id in members and said.get(one.id, one.partstat) != Partstat.DECLINED
    ]
    rows = [
        Row(
            attendee=one,
            sign_off=signed.get(one.id),
            line_test=tests[one.id][-1] if one.id in tests else None,
            ready=_ready(signed.get(one.id), tests.get(one.id, ())),
        )
        for one in some
    ]
    return Board(rows=rows, checkpoints=_checkpoints(occurrence, some, signed, tests))


def sign_off(attendee: Attendee, occurrence: Occurrence, draft: SignOffDraft, *, by: str) -> None:
    """Keep what a site says of itself; what it said before is replaced.

    Raises Conflict once the meeting is over.
    """
    if clock.now() >= occurrence.ends:
        raise Conflict(Phrase("The meeting is over."))
    asked = select(SignOff).where(
        SignOff.occurrence_id == occurrence.id, SignOff.attendee_id == attendee.id
    )
    one = db.session.scalar(asked.with_for_update())
    if one is None:
        one = SignOff(occurrence_id=occurrence.id, attendee_id=attendee.id)
        db.session.add(one)
    for name in (*POINTS, "note"):
        setattr(one, name, getattr(draft, name))
    one.at, one.by = clock.now(), by
    db.session.flush()


def of_site(attendee: Attendee, occurrence: Occurrence) -> Row:
    """Return how one site stands."""
    signed = _signed(occurrence).get(attendee.id)
    tests = _tests(occurrence).get(attendee.id, [])
    return Row(
        attendee=attendee,
        sign_off=signed,
        line_test=tests[-1] if tests else None,
        ready=_ready(signed, tests),
    )


def _ready(signed: SignOff | None, tests: Sequence[LineTest]) -> Ready:
    points = {name: getattr(signed, name) for name in POINTS} if signed else {}
    last = tests[-1] if tests else None
    works = None
    if last is not None:
        works = last.camera and last.microphone and last.loudspeaker and last.looped
    return verdict(points, works, last.loss if last else None, last.delay if last else None)


def _checkpoints(
    occurrence: Occurrence,
    some: Sequence[Attendee],
    signed: Mapping[int, SignOff],
    tests: Mapping[int, Sequence[LineTest]],
) -> list[Checkpoint]:
    now, found = clock.now(), []
    for minutes in CHECKPOINTS:
        at = occurrence.starts - timedelta(minutes=minutes)
        count = None
        if at <= now:
            count = sum(
                _ready(
                    one if (one := signed.get(each.id)) and one.at <= at else None,
                    [test for test in tests.get(each.id, ()) if test.at <= at],
                )
                is Ready.READY
                for each in some
            )
        found.append(Checkpoint(minutes=minutes, at=at, ready=count))
    return found


def _signed(occurrence: Occurrence) -> dict[int, SignOff]:
    asked = select(SignOff).where(SignOff.occurrence_id == occurrence.id)
    return {one.attendee_id: one for one in db.session.scalars(asked)}


def _tests(occurrence: Occurrence) -> dict[int, list[LineTest]]:
    asked = select(LineTest).where(LineTest.occurrence_id == occurrence.id)
    found: dict[int, list[LineTest]] = {}
    for one in db.session.scalars(asked.order_by(LineTest.at, LineTest.id)):
        found.setdefault(one.attendee_id, []).append(one)
    return found
