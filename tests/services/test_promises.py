"""Whatever is done, in whatever order: both promises are kept, and no meeting is lost."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text

from confbridge import clock, doors
from confbridge.database import attempt, db, transaction
from confbridge.doors import Refused
from confbridge.errors import Clash, Conflict, Invalid
from confbridge.inputs import parse
from confbridge.inputs.directory import Maintenance
from confbridge.inputs.meetings import Answer, MeetingChange, OccurrenceChange
from confbridge.models import Account, Bridge, Meeting
from confbridge.services import access, holds, maintenance, meetings, replies
from tests import factories
from tests.services.scheduling import broken_promises, morning

CODES = ["E-1", "E-2", "E-3", "E-4", "S-1"]
WHO = st.sampled_from(["ann", "party"])
WHEN = st.integers(0, 30)
SOME = st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True)
REFUSALS = (Refused, Conflict, Invalid)
TABLES = (
    *("room_steps", "dial_outs", "exclusions", "notices", "incidents", "sign_offs", "line_tests"),
    "roll_calls",
    *("replies", "tasks", "reminders", "occurrence_answers"),
    *("offers", "exdates", "mails", "letters", "reservations", "allocations", "bridge_blocks"),
    *("occurrences", "attendees", "meetings", "audit_entries", "counters"),
)


@pytest.fixture
def people(app, cast) -> dict[str, Account]:
    committee = factories.organisation("TU", cast.home, level="party")
    factories.endpoint("S-1", cast.below, kind="soft")
    factories.bridge(ports=8)
    return {
        "ann": cast.ann,
        "party": factories.account("Phuong", committee),
        "carla": cast.carla,
    }


def test_no_sequence_of_deeds_breaks_a_promise_or_loses_a_meeting(people):
    bridges = [one.code for one in db.session.scalars(select(Bridge).order_by(Bridge.id))]

    class Deeds(RuleBasedStateMachine):
        made = Bundle("made")

        def __init__(self) -> None:
            super().__init__()
            with transaction():
                for table in TABLES:
                    db.session.execute(text(f"DELETE FROM {table}"))
                db.session.execute(text("UPDATE bridges SET draining = :no"), {"no": False})
            self.expected: dict[str, str] = {}  # what each meeting should be, by uid

        def at(self, quarter: int) -> str:
            return (morning(hour=7) + quarter * timedelta(minutes=15)).isoformat()

        def book(self, who: str, codes: list[str], when: int, **rest: Any) -> str | None:
            draft = factories.draft(codes, start=self.at(when), **rest)
            try:
                made = doors.book(draft, by=people[who])
            except REFUSALS:
                return None
            self.expected[made.uid] = str(made.state)
            return made.uid

        @rule(target=made, who=WHO, codes=SOME, when=WHEN, guests=st.integers(0, 6))
        def book_one(self, who, codes, when, guests):
            return self.book(who, codes, when, guest_ports=guests)

        @rule(target=made, who=WHO, codes=SOME, when=WHEN, misses=st.integers(0, 2))
        def book_series(self, who, codes, when, misses):
            rest = {"rrule": "FREQ=DAILY;COUNT=3", "max_misses": misses, "minutes": 30}
            return self.book(who, codes, when, **rest)

        @rule(target=made, codes=SOME, when=WHEN)
        def book_with_stand_by(self, codes, when):
            return self.book("ann", codes, when, standby=True)

        @rule(target=made, codes=SOME, when=WHEN, wait=st.booleans())
        def draft(self, codes, when, wait):
            return self.book("ann", codes, when, state="draft", wait=wait)

        @rule(uid=made, when=WHEN, codes=SOME)
        def change(self, uid, when, codes):
            given = {"start": self.at(when), "endpoints": [{"code": code} for code in codes]}
            if self.do(uid, MeetingChange, given) and self.expected[uid] == "postponed":
                self.expected[uid] = "scheduled"

        @rule(uid=made, number=st.integers(0, 2), when=WHEN, following=st.booleans())
        def change_one(self, uid, number, when, following):
            found = self.seen(uid)
            if found is None or number >= len(found.occurrences):
                return
            given = {"start": self.at(when), "following": following}
            one = found.occurrences[number].id
            wanted = parse(OccurrenceChange, given)
            with suppress(*REFUSALS):
                by = found.organizer
                new = doors.change_occurrence(uid, one, wanted, by=by, version=None)
                self.expected[uid] = str(self.seen(uid).state)
                self.expected[new.uid] = str(new.state)

        @rule(uid=made, number=st.integers(0, 2), following=st.booleans())
        def cancel_one(self, uid, number, following):
            found = self.seen(uid)
            if found is None or number >= len(found.occurrences):
                return

            def deed() -> None:
                meeting = access.meeting(found.organizer, uid, to_change=True)
                one = meeting.occurrences[number]
                meetings.cancel_occurrence(
                    meeting, one, "Thôi", following=following, by=meeting.organizer
                )

            with suppress(Conflict):
                attempt(deed)
                self.expected[uid] = str(self.seen(uid).state)

        @rule(uid=consumes(made))
        def cancel(self, uid):
            found = self.seen(uid)
            if found is None:
                return

            def deed() -> None:
                meeting = access.meeting(found.organizer, uid, to_change=True)
                meetings.cancel(meeting, "Thôi", by=meeting.organizer)

            with suppress(Conflict):
                attempt(deed)
                self.expected[uid] = "cancelled"

        @rule(target=made, codes=SOME, when=WHEN, guests=st.integers(0, 6))
        def displace(self, codes, when, guests):
            draft = factories.draft(codes, start=self.at(when), guest_ports=guests)
            try:
                made = doors.book(draft, by=people["party"])
            except Refused as error:
                lower = [one.occurrence_id for one in error.refusal.lower]
                if not lower:
                    return None
                given = {"reason": "Bão", "occurrences": lower}
                draft = factories.draft(
                    codes, start=self.at(when), guest_ports=guests, displace=given
                )
                made = doors.book(draft, by=people["party"])  # what was named must be enough
                for uid in list(self.expected):
                    self.expected[uid] = str(self.seen(uid).state)
            self.expected[made.uid] = "scheduled"
            return made.uid

        @rule(
            uid=made,
            code=st.sampled_from(CODES),
            partstat=st.sampled_from(["ACCEPTED", "DECLINED"]),
        )
        def answer(self, uid, code, partstat):
            found = self.seen(uid)
            if found is None:
                return

            def deed() -> None:
                meeting = access.meeting(found.organizer, uid, to_change=True)
                attendee = replies.of_endpoint(meeting, code)
                given = parse(Answer, {"partstat": partstat, "comment": "…"})
                replies.record(replies.Seat(meeting, attendee), given, via="phone", by="test")

            with suppress(Clash, Conflict, Invalid):
                attempt(deed)

        @rule(code=st.sampled_from(bridges), on=st.booleans())
        def drain(self, code, on):
            if on:
                doors.drain(code, by=people["carla"])
                return

            def deed() -> None:
                bridge = access.bridge(people["carla"], code, to_change=True)
                maintenance.undrain(bridge, by=people["carla"])

            attempt(deed)

        @rule(code=st.sampled_from(bridges), when=WHEN, left=st.integers(0, 8))
        def maintain(self, code, when, left):
            start = morning(hour=7) + when * timedelta(minutes=15)
            given = {"start": start, "end": start + timedelta(hours=1), "reason": "…"}
            wanted = parse(Maintenance, given | {"ports_left": left})

            def deed() -> None:
                bridge = access.bridge(people["carla"], code)
                maintenance.maintain_bridge(bridge, wanted, by=people["carla"])

            with suppress(Conflict):
                attempt(deed)

        @rule(late=st.booleans())
        def time_passes(self, late):
            while attempt(holds.serve_one):
                pass
            if not late:
                return
            real = clock.now
            clock.now = lambda: real() + timedelta(hours=2)
            try:
                while attempt(holds.release_one):
                    pass
            finally:
                clock.now = real

        @invariant()
        def both_promises_are_kept(self):
            assert broken_promises() == {}

        @invariant()
        def no_meeting_is_lost(self):
            rows = db.session.execute(select(Meeting.uid, Meeting.state))
            found = {uid: state for uid, state in rows}  # noqa: C416
            assert found == self.expected

        def seen(self, uid: str | None) -> Meeting | None:
            db.session.rollback()
            db.session.expire_all()
            return db.session.scalar(select(Meeting).where(Meeting.uid == uid)) if uid else None

        def do(self, uid: str | None, kind: type, given: dict[str, Any]) -> bool:
            found = self.seen(uid)
            if found is None:
                return False
            try:
                doors.change(found.uid, parse(kind, given), by=found.organizer, version=None)
            except REFUSALS:
                return False
            return True

    run_state_machine_as_test(
        Deeds,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
