"""Answers by link, telephone and program: one state machine, with its evidence."""

from __future__ import annotations

from datetime import timedelta

import pytest

from confbridge import clock
from confbridge.database import transaction
from confbridge.errors import Clash, Conflict, Invalid, NotFound
from confbridge.models import (
    OccurrenceAnswer,
    ReplyState,
    Reservation,
    SubstituteState,
    Task,
    Why,
)
from confbridge.services import access, replies
from tests import factories
from tests.services.mailing import attendee, evidence, say
from tests.services.scheduling import change, change_one, count, monday_series, seen


def is_held(occurrence, endpoint):
    asked = (Reservation.occurrence_id == occurrence, Reservation.endpoint_id == endpoint.id)
    return count(Reservation, *asked, Reservation.live) == 1


def test_every_answer_is_kept_with_how_and_by_whom_it_came(cast):
    meeting = factories.meeting(cast.ann)
    say(cast.ann, meeting, partstat="TENTATIVE")
    say(cast.ann, meeting, via="api", headcount=3, delegates="Ông A, Phó Giám đốc")
    first, last = evidence(meeting_id=meeting.id)
    assert (first.state, first.via, first.person) == ("earlier", "phone", "ann@example.org")
    assert (last.state, last.via, last.headcount) == ("counted", "api", 3)
    assert attendee(cast.ann, meeting).delegates == "Ông A, Phó Giám đốc"


def test_r6_an_answer_to_one_occurrence_leaves_the_rest_of_the_series(cast):
    meeting = monday_series(cast.ann)
    one = meeting.occurrences[1]
    say(cast.ann, meeting)
    say(cast.ann, meeting, number=one.id, partstat="DECLINED")
    found = seen(meeting.uid, cast.ann)
    who = replies.of_endpoint(found, "E-1")
    said = {each.id: what.partstat for each, what in replies.to_answer(who, found)}
    assert list(said.values()) == ["ACCEPTED", "DECLINED", "ACCEPTED", "ACCEPTED"]
    say(cast.ann, meeting, partstat="TENTATIVE")  # to the series: the one stays as it was said
    found = seen(meeting.uid, cast.ann)
    said = [what.partstat for _, what in replies.to_answer(who, found)]
    assert said == ["TENTATIVE", "DECLINED", "TENTATIVE", "TENTATIVE"]


def test_a_soft_client_gives_back_only_the_occurrence_it_declines(cast):
    soft = factories.endpoint("S-1", cast.below, kind="soft")
    meeting = monday_series(cast.ann, ["E-1", "S-1"])
    first, second, *_ = [one.id for one in meeting.occurrences]
    say(cast.ann, meeting, "S-1", second, partstat="DECLINED")
    assert is_held(first, soft)
    assert not is_held(second, soft)
    other = factories.meeting(cast.ann, ["S-1"], start=meeting.occurrences[1].starts.isoformat())
    with pytest.raises(Clash):
        say(cast.ann, meeting, "S-1", second)
    with pytest.raises(NotFound):
        say(cast.ann, meeting, "E-1", other.occurrences[0].id)


def test_a_declined_series_gives_back_all_but_what_was_answered_apart(cast):
    soft = factories.endpoint("S-1", cast.below, kind="soft")
    meeting = monday_series(cast.ann, ["E-1", "S-1"])
    numbers = [one.id for one in meeting.occurrences]
    say(cast.ann, meeting, "S-1", numbers[0])
    say(cast.ann, meeting, "S-1", partstat="DECLINED")
    assert [is_held(number, soft) for number in numbers] == [True, False, False, False]


def test_s10_one_occurrence_moved_asks_anew_for_that_one_alone(cast):
    meeting = monday_series(cast.ann)
    say(cast.ann, meeting)
    one = meeting.occurrences[2]
    later = (one.starts + timedelta(hours=2)).isoformat()
    change_one(cast.ann, meeting.uid, one.id, start=later)
    found = seen(meeting.uid, cast.ann)
    who = replies.of_endpoint(found, "E-1")
    said = {each.id: what.partstat for each, what in replies.to_answer(who, found)}
    assert said.pop(one.id) == "NEEDS-ACTION"
    assert set(said.values()) == {"ACCEPTED"}
    apart = replies.standings(found, found.occurrences[2])[who.id]
    assert apart.asked == found.sequence


def test_s3_a_moved_series_forgets_what_was_said_apart(cast):
    meeting = monday_series(cast.ann)
    say(cast.ann, meeting, number=meeting.occurrences[1].id, partstat="DECLINED")
    later = (meeting.starts + timedelta(hours=1)).isoformat()
    change(cast.ann, meeting.uid, start=later)
    assert count(OccurrenceAnswer) == 0
    assert attendee(cast.ann, meeting).asked == seen(meeting.uid, cast.ann).sequence


def test_s4_other_words_leave_answers_and_sequence_as_they_are(cast):
    meeting = factories.meeting(cast.ann)
    say(cast.ann, meeting)
    change(cast.ann, meeting.uid, title="Giao ban quý")
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"
    assert seen(meeting.uid, cast.ann).sequence == 0


def test_a_substitute_waits_for_the_chairs_side(cast):
    meeting = factories.meeting(cast.ann)
    say(cast.ann, meeting, substitute="Bà B, Phó Chánh Văn phòng")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.substitute_state) == ("DELEGATED", SubstituteState.WAITING)
    (row,) = evidence(meeting_id=meeting.id)
    assert (row.state, row.why) == (ReplyState.WAITING, Why.SUBSTITUTE)
    say(cast.ann, meeting)  # it comes itself after all
    assert [one.state for one in evidence(meeting_id=meeting.id)] == ["earlier", "counted"]
    assert attendee(cast.ann, meeting).substitute_state == ""


def test_what_makes_no_sense_is_refused_and_changes_nothing(cast):
    meeting = factories.meeting(cast.ann)
    for given in (
        {"partstat": "DECLINED", "comment": ""},
        {"partstat": "NEEDS-ACTION"},
        {"partstat": "DELEGATED"},
    ):
        with pytest.raises(Invalid):
            say(cast.ann, meeting, **given)
    assert evidence() == []


def test_a_required_endpoints_refusal_is_a_task_until_it_comes_after_all(cast):
    meeting = factories.meeting(cast.ann)
    say(cast.ann, meeting, partstat="DECLINED", comment="Đi cơ sở")
    say(cast.ann, meeting, partstat="DECLINED", comment="Họp Bộ")
    assert count(Task, Task.done_at.is_(None), Task.detail == "Họp Bộ") == count(Task) == 1
    say(cast.ann, meeting)
    assert count(Task, Task.done_at.is_(None)) == 0


def test_an_optional_endpoints_refusal_is_no_task(cast):
    meeting = factories.meeting(
        cast.ann, endpoints=[{"code": "E-1", "role": "optional"}, {"code": "E-2"}]
    )
    say(cast.ann, meeting, partstat="DECLINED")
    assert count(Task) == 0


def test_after_the_list_is_closed_an_answer_counts_and_is_marked_late(cast, clock_at):
    meeting = factories.meeting(cast.ann)
    starts = meeting.occurrences[0].starts
    clock_at(starts - timedelta(minutes=16))
    say(cast.ann, meeting)
    assert not attendee(cast.ann, meeting).late
    clock_at(starts - timedelta(minutes=15))
    say(cast.ann, meeting, partstat="DECLINED")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.late) == ("DECLINED", True)
    assert [one.late for one in evidence()] == [False, True]


def test_a_page_opened_is_seen_once(cast, clock_at):
    meeting = factories.meeting(cast.ann)
    link = replies.links.for_attendee(meeting.attendees[0].id)
    first = clock.now()
    clock_at(first)
    with transaction():
        replies.seen(link)
    clock_at(first + timedelta(hours=1))
    with transaction():
        replies.seen(link)
    assert attendee(cast.ann, meeting).seen_at == first


def test_nobody_answers_to_an_occurrence_that_was_called_off(cast):
    meeting = monday_series(cast.ann)
    one = meeting.occurrences[1]
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        found.occurrences[1].state = "cancelled"
    with pytest.raises(Conflict):
        say(cast.ann, meeting, number=one.id)
