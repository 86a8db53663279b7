"""A rehearsal is planned with its meeting, and goes where that goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import doors
from confbridge.database import attempt, db
from confbridge.errors import Conflict, Invalid
from confbridge.inputs.meetings import MeetingChange, OccurrenceChange
from confbridge.models import Meeting
from confbridge.services import access, meetings, rehearsals
from tests import factories
from tests.services.scheduling import everything

HOUR = timedelta(hours=1)


def book(by, **rest):
    return doors.book(factories.draft(rehearsal_minutes=30, **rest), by=by)


def rehearsal():
    db.session.rollback()
    db.session.expire_all()
    asked = select(Meeting).where(Meeting.rehearses_id.is_not(None))
    return db.session.scalars(asked).one()


def test_it_is_held_an_hour_before_by_the_same_sites(cast):
    meeting = book(cast.ann)
    found = rehearsal()
    assert (found.starts, found.during.lasts) == (meeting.starts - HOUR, timedelta(minutes=30))
    assert found.title == "Phiên thử: Giao ban trực tuyến"
    assert [one.endpoint.code for one in found.attendees] == ["E-1", "E-2"]
    assert found.rehearses_id == meeting.id
    assert found.occurrence.primary is not None


def test_a_site_that_is_not_free_for_it_refuses_both(cast):
    first = factories.meeting(cast.ann)
    before = everything()
    with pytest.raises(Conflict, match="rehearsal"):
        book(cast.ann, start=(first.starts + HOUR).isoformat())
    assert everything() == before


def test_it_moves_with_its_meeting_and_is_called_off_with_it(cast):
    meeting = book(cast.ann)
    later = meeting.starts + timedelta(hours=3)
    doors.change(meeting.uid, MeetingChange(start=later), by=cast.ann, version=None)
    assert rehearsal().starts == later - HOUR

    def cancel():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.cancel(found, "Bão", by=cast.ann)
        rehearsals.follow(found, by=cast.ann)

    attempt(cancel)
    assert rehearsal().state == "cancelled"


def test_each_of_a_series_has_one_that_moves_with_it(cast):
    meeting = book(cast.ann, rrule="FREQ=DAILY;COUNT=3")
    assert len(rehearsal().occurrences) == 3
    second = meeting.occurrences[1]
    later = second.starts + timedelta(hours=2)
    doors.change_occurrence(
        meeting.uid, second.id, OccurrenceChange(start=later), by=cast.ann, version=None
    )
    assert rehearsal().occurrences[1].starts == later - HOUR
    assert rehearsal().occurrences[2].starts == meeting.occurrences[2].starts - HOUR


def test_it_is_not_held_any_more_if_none_is_wanted(cast):
    meeting = book(cast.ann)
    doors.change(meeting.uid, MeetingChange(rehearsal_minutes=0), by=cast.ann, version=None)
    assert rehearsal().state == "cancelled"


def test_a_rehearsal_longer_than_the_hour_makes_no_sense(cast):
    with pytest.raises(Invalid):
        factories.draft(rehearsal_minutes=61)
