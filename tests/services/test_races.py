"""Two at once: the database lets only one of them win."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from confbridge.database import db, transaction
from confbridge.domain.capacity import PORT
from confbridge.errors import Clash
from confbridge.inputs import parse
from confbridge.inputs.meetings import MeetingChange, MeetingDraft
from confbridge.models import Account, Allocation, Reservation
from confbridge.services import access, meetings
from tests import factories
from tests.conftest import HOUSE
from tests.services import race
from tests.services.scheduling import broken_promises

CLIENTS = 8
ROUNDS = 40


def at_once(app: Flask, deeds: Sequence[Callable[[], object]]) -> list[object]:
    """Do all of it in threads that start together; return what each came to."""
    start = threading.Barrier(len(deeds))
    came_to: list[object] = [None] * len(deeds)

    def run(place: int, deed: Callable[[], object]) -> None:
        with app.app_context():
            start.wait()
            try:
                came_to[place] = deed()
            except Exception as error:  # noqa: BLE001
                came_to[place] = error
            db.session.remove()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came_to


def booking(draft: MeetingDraft, by: int) -> Callable[[], object]:
    def deed() -> object:
        with transaction():
            account = db.session.get_one(Account, by)
            return meetings.book(draft, by=account).number

    return deed


def winners(came_to: Sequence[object]) -> list[str]:
    strange = [one for one in came_to if not isinstance(one, str | Clash)]
    assert not strange, strange
    return [one for one in came_to if isinstance(one, str)]


def test_of_eight_bookings_for_one_endpoint_exactly_one_wins_forty_times(app, cast):
    factories.bridge(ports=500)
    for number in range(ROUNDS):
        start = factories.soon(24 + 3 * number).isoformat()
        draft = factories.draft(["E-1"], start=start)
        came_to = at_once(app, [booking(draft, cast.ann.id)] * CLIENTS)
        assert len(winners(came_to)) == 1, f"round {number}"
    held = select(func.count()).select_from(Reservation).where(Reservation.live)
    assert factories.scalar(held) == ROUNDS


def test_of_eight_bookings_of_four_ports_on_a_bridge_of_ten_exactly_two_win(app, cast):
    for number in range(CLIENTS):
        factories.endpoint(f"R-{number}", cast.below)
    drafts = [
        factories.draft(None, endpoints=[{"code": f"R-{number}", "ports": 4}])
        for number in range(CLIENTS)
    ]
    came_to = at_once(app, [booking(draft, cast.ann.id) for draft in drafts])
    assert len(winners(came_to)) == 2
    promised = select(func.sum(Allocation.units)).where(Allocation.live)
    assert factories.scalar(promised) == 8 * PORT


def test_moving_and_booking_at_once_leave_one_holder(app, cast):
    factories.bridge(ports=500)
    for number in range(10):
        first = factories.soon(24 + 10 * number)
        moved = factories.meeting(cast.ann, ["E-1"], start=first.isoformat())
        wanted = first + timedelta(hours=4)
        deeds = [
            booking(factories.draft(["E-1", "E-2"], start=wanted.isoformat()), cast.ann.id),
            moving(moved.uid, wanted.isoformat(), cast.ann.id),
        ]
        assert len(winners(at_once(app, deeds))) == 1, f"round {number}"
    assert overlaps() == 0


def moving(uid: str, start: str, by: int) -> Callable[[], object]:
    def deed() -> object:
        with transaction():
            account = db.session.get_one(Account, by)
            meeting = access.meeting(account, uid, to_change=True)
            meetings.change(meeting, parse(MeetingChange, {"start": start}), by=account)
            return meeting.number

    return deed


def overlaps() -> int:
    """Count, in plain SQL, pairs of live reservations of one endpoint that overlap."""
    counted = text(
        "SELECT count(*) FROM reservations a JOIN reservations b"
        " ON a.endpoint_id = b.endpoint_id AND a.id < b.id"
        " AND a.starts < b.ends AND b.starts < a.ends WHERE a.live AND b.live"
    )
    return factories.scalar(counted)


@pytest.mark.parametrize("shift", [0, 30, -30])
def test_not_even_a_hand_written_insert_can_book_an_endpoint_twice(app, cast, shift):
    meeting = factories.meeting(cast.ann, ["E-1"])
    held = db.session.scalars(select(Reservation)).one()
    start = held.starts + timedelta(minutes=shift)
    again = Reservation(
        endpoint_id=held.endpoint_id,
        occurrence_id=meeting.occurrence.id,
        starts=start,
        ends=start + timedelta(hours=1),
    )
    with pytest.raises(Clash), transaction():
        db.session.add(again)


def test_an_endpoint_may_go_from_one_meeting_straight_to_the_next(app, cast):
    factories.meeting(cast.ann, ["E-1"])
    next_hour = factories.soon(25).isoformat()
    assert factories.meeting(cast.ann, ["E-1"], start=next_hour)


def test_not_even_a_hand_written_insert_can_promise_too_many_ports(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])
    held = meeting.occurrence.allocations[0]
    more = Allocation(
        bridge_id=held.bridge_id,
        occurrence_id=meeting.occurrence.id,
        units=8 * PORT,
        legs=8,
        opens=held.ends,
        starts=held.ends - timedelta(minutes=1),
        ends=held.ends + timedelta(hours=1),
        room="another",
    )
    with pytest.raises(Clash), transaction():
        db.session.add(more)


def test_a_bridge_cannot_be_made_smaller_than_it_has_promised(app, cast):
    factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])
    with pytest.raises(Clash), transaction():
        db.session.execute(text("UPDATE bridges SET ports = 2"))
    with transaction():
        db.session.execute(text("UPDATE bridges SET ports = 3"))


RACERS, ATTEMPTS, SECONDS = 16, 60, 30


@pytest.mark.timeout(240)
def test_sixteen_processes_for_thirty_seconds_break_no_promise(app, cast, database_url):
    for number in range(race.ENDPOINTS):
        factories.endpoint(f"R-{number}", cast.below)
    for ports in (30, 25):
        factories.bridge(ports=ports)
    db.session.remove()
    command = [sys.executable, "-m", "tests.services.race", database_url]
    racers = [
        subprocess.Popen(
            [*command, str(seed), str(ATTEMPTS), str(SECONDS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HOUSE,
        )
        for seed in range(RACERS)
    ]
    came_to: Counter[str] = Counter()
    for racer in racers:
        said, complained = racer.communicate(timeout=200)
        assert racer.returncode == 0, complained[-2000:]
        came_to.update(json.loads(said))
    assert came_to.total() == RACERS * ATTEMPTS
    # Clashes are expected; a deadlock, a lock, or anything else is not shown to anybody.
    assert set(came_to) <= {"book", "series", "move", "cancel", "clash"}, came_to
    assert min(came_to[deed] for deed in ("book", "move", "cancel", "clash")) > 20, came_to
    assert broken_promises() == {}
