"""Reminders go out once each, to whom they concern."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from confbridge import clock
from confbridge.database import db, transaction
from confbridge.inputs import parse
from confbridge.inputs.directory import Reminders
from confbridge.jobs import run_until_idle
from confbridge.jobs.chasing import chase_one
from confbridge.models import Letter, Mail, Meeting, Occurrence, Task
from confbridge.services import chasing
from tests import factories
from tests.services.scheduling import answered, cancel, change, count, monday_series, morning


def given(kind=None):
    """What was sent besides invitations: kind and recipient, in order."""
    db.session.rollback()
    asked = select(Letter.kind, Mail.recipient).join(Mail, Mail.letter_id == Letter.id)
    asked = asked.where(Letter.kind.in_(["reminder", "upcoming", "silent"])).order_by(Mail.id)
    return [tuple(row) for row in db.session.execute(asked)]


@pytest.fixture
def meeting(cast):
    """A meeting on a Monday morning, three weeks ahead."""
    return factories.meeting(cast.ann, ["E-1", "E-2"], start=morning(days=20).isoformat())


def at(app, clock_at, moment):
    clock_at(moment)
    run_until_idle(app, chase_one)


def test_everybody_is_reminded_as_the_time_comes_and_of_the_silent_more(
    app, cast, meeting, clock_at
):
    answered(cast.ann, meeting, "E-1", "ACCEPTED")
    starts = meeting.starts
    at(app, clock_at, starts - timedelta(days=6))
    assert given() == []
    at(app, clock_at, starts - timedelta(days=4))  # the Thursday: since Wednesday it was due
    assert given() == [("reminder", "e-2@example.org")]
    at(app, clock_at, starts - timedelta(hours=24))
    assert given()[1:] == [("reminder", "e-2@example.org"), ("upcoming", "e-1@example.org")]
    at(app, clock_at, starts - timedelta(minutes=59))
    assert given()[3:] == [("reminder", "e-2@example.org"), ("upcoming", "e-1@example.org")]
    at(app, clock_at, meeting.ends)
    assert len(given()) == 5
    assert db.session.scalar(select(Occurrence.remind_at)) is None


def test_nothing_is_given_twice_however_often_it_is_looked_at(app, cast, meeting, clock_at):
    at(app, clock_at, meeting.starts - timedelta(hours=20))
    first = given()
    with transaction():
        db.session.scalars(select(Occurrence)).one().remind_at = clock.now()
    run_until_idle(app, chase_one)
    assert given() == first
    later = (meeting.starts + timedelta(minutes=10)).isoformat()
    change(cast.ann, meeting.uid, start=later)
    run_until_idle(app, chase_one)
    assert given() == first


def test_a_meeting_that_moved_far_is_reminded_of_anew(app, cast, meeting, clock_at):
    at(app, clock_at, meeting.starts - timedelta(hours=20))
    first = len(given())
    later = meeting.starts + timedelta(days=7)
    change(cast.ann, meeting.uid, start=later.isoformat())
    run_until_idle(app, chase_one)
    assert len(given()) == first
    at(app, clock_at, later - timedelta(hours=20))
    assert len(given()) == first + 2


def test_a_meeting_booked_at_short_notice_is_not_reminded_of_at_once(app, cast, clock_at):
    start = clock.now().replace(microsecond=0) + timedelta(minutes=30)
    factories.meeting(cast.ann, start=start.isoformat())
    run_until_idle(app, chase_one)
    assert given() == []


def test_who_has_declined_and_what_was_called_off_is_left_in_peace(app, cast, meeting, clock_at):
    answered(cast.ann, meeting, "E-1", "DECLINED")
    at(app, clock_at, meeting.starts - timedelta(hours=20))
    assert {recipient for _, recipient in given()} == {"e-2@example.org"}
    cancel(cast.ann, meeting.uid)
    before = given()
    at(app, clock_at, meeting.starts - timedelta(minutes=30))
    assert given() == before


def test_the_head_office_of_a_silent_required_endpoint_is_told(app, cast, meeting, clock_at):
    wanted = parse(Reminders, {"office_name": "Văn phòng", "office_email": "vp@example.org"})
    with transaction():
        chasing.change(chasing.organisation(cast.carla, "BELOW"), wanted, by=cast.carla)
    answered(cast.ann, meeting, "E-1", "ACCEPTED")
    at(app, clock_at, meeting.starts - timedelta(days=3))
    assert ("silent", "vp@example.org") in given()
    db.session.rollback()
    assert db.session.scalars(select(Letter.site).where(Letter.kind == "silent")).all() == [
        "Điểm cầu E-2"
    ]
    assert count(Task, Task.kind == "silent", Task.done_at.is_(None)) == 1
    answered(cast.ann, meeting, "E-2", "ACCEPTED")
    assert count(Task, Task.done_at.is_(None)) == 0


def test_an_organisation_may_have_times_of_its_own(app, cast, meeting, clock_at):
    wanted = parse(Reminders, {"remind_minutes": [120], "chase_days": 0})
    with transaction():
        chasing.change(chasing.organisation(cast.carla, "BELOW"), wanted, by=cast.carla)
    at(app, clock_at, meeting.starts - timedelta(hours=20))
    assert given() == []
    at(app, clock_at, meeting.starts - timedelta(hours=2))
    assert len(given()) == 2


def test_each_occurrence_of_a_series_is_reminded_of_by_itself(app, cast, clock_at):
    series = monday_series(cast.ann)
    second = series.occurrences[1]
    at(app, clock_at, second.starts - timedelta(minutes=30))
    db.session.rollback()
    about = db.session.scalars(select(Letter.original).where(Letter.kind == "reminder")).all()
    assert set(about) == {second.original}
    assert db.session.scalar(select(func.max(Letter.sequence))) == 0  # S6


def test_what_is_held_on_no_bridge_is_over_with_its_time(app, cast, clock_at):
    meeting = factories.meeting(cast.ann, title=None, secret=True)
    at(app, clock_at, meeting.starts + timedelta(minutes=1))
    at(app, clock_at, meeting.ends + timedelta(minutes=1))
    assert count(Meeting, Meeting.state == "over") == 1
