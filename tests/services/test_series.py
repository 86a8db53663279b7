"""Meetings that repeat: each occurrence is held, moved, called off (S2, S10 to S14)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge.database import db
from confbridge.domain.lifecycle import MeetingState
from confbridge.errors import Clash, Conflict, Invalid
from confbridge.models import Allocation, Exdate, Letter, Mail, Meeting, Occurrence, Reservation
from tests import factories
from tests.services.scheduling import (
    SAIGON,
    answered,
    broken_promises,
    cancel,
    cancel_one,
    change,
    change_one,
    count,
    everything,
    letters,
    monday_series,
    morning,
    occurrence,
    recipients,
    seen,
)

WEEK = timedelta(weeks=1)


def test_each_occurrence_has_its_own_reservations_and_ports(app, cast):
    made = monday_series(cast.ann)
    starts = [one.starts.astimezone(SAIGON) for one in made.occurrences]
    assert starts == [morning() + number * WEEK for number in range(4)]
    assert {f"{one:%a %H:%M}" for one in starts} == {"Mon 08:00"}
    assert count(Reservation, Reservation.live) == 8
    assert count(Allocation, Allocation.live) == 4
    assert broken_promises() == {}


def test_s2_a_series_is_invited_in_one_letter_with_its_rule(app, cast):
    made = monday_series(cast.ann, exdates=[(morning() + WEEK).isoformat()])
    (letter,) = letters(made)
    assert (letter.kind, letter.rrule) == ("invitation", "FREQ=WEEKLY;COUNT=4;BYDAY=MO")
    assert letter.left_out == [(morning() + WEEK)]
    assert len(made.occurrences) == 3


@pytest.mark.parametrize(
    ("rrule", "said"),
    [("FREQ=SECONDLY;COUNT=3", "SECONDLY"), ("FREQ=WEEKLY;BYDAY=TU;COUNT=3", "start")],
)
def test_what_is_not_offered_is_refused_at_its_field(app, cast, rrule, said):
    with pytest.raises(Invalid) as refusal:
        monday_series(cast.ann, rrule=rrule)
    assert said in str(refusal.value.problems["rrule"])
    assert count(Meeting) == 0


def test_a_clash_of_one_date_refuses_the_series_unless_a_miss_is_allowed(app, cast):
    factories.meeting(cast.ann, ["E-1"], start=(morning() + WEEK).isoformat())
    with pytest.raises(Clash):
        monday_series(cast.ann)
    assert count(Meeting) == 1
    made = monday_series(cast.ann, max_misses=1)
    assert [one.starts for one in made.exdates if one.missed] == [morning() + WEEK]
    assert len(made.occurrences) == 3
    assert letters(made)[0].left_out == [morning() + WEEK]
    assert broken_promises() == {}


def test_not_one_date_may_be_missed_more_than_was_said(app, cast):
    for number in (1, 2):
        factories.meeting(cast.ann, ["E-1"], start=(morning() + number * WEEK).isoformat())
    with pytest.raises(Clash):
        monday_series(cast.ann, max_misses=1)


def test_occurrences_of_one_series_may_not_overlap_each_other(app, cast):
    rest = {"rrule": "FREQ=DAILY;COUNT=3", "minutes": 1440, "lead_minutes": 0, "tail_minutes": 0}
    made = monday_series(cast.ann, **rest)
    assert len(made.occurrences) == 3
    assert broken_promises() == {}


def test_s10_one_occurrence_is_moved_by_an_override_alone(app, cast):
    made = monday_series(cast.ann)
    second = made.occurrences[1]
    there = second.starts + timedelta(hours=3)
    moved = change_one(cast.ann, made.uid, second.id, start=there.isoformat())
    assert moved.uid == made.uid
    assert [one.is_moved for one in moved.occurrences] == [False, True, False, False]
    letter = letters(made)[-1]
    assert (letter.kind, letter.original, letter.starts) == ("moved", second.original, there)
    assert (letter.rrule, letter.sequence) == ("", 1)
    assert recipients(letter) == {"e-1@example.org", "e-2@example.org"}
    assert broken_promises() == {}


def test_s14_who_comes_to_one_occurrence_gets_that_alone(app, cast):
    made = monday_series(cast.ann)
    second = made.occurrences[1]
    listed = [{"code": "E-1"}, {"code": "E-3"}]
    change_one(cast.ann, made.uid, second.id, endpoints=listed)
    withdrawn, invited = letters(made)[-2:]
    assert (withdrawn.kind, recipients(withdrawn)) == ("withdrawn", {"e-2@example.org"})
    assert (invited.kind, recipients(invited)) == ("invitation", {"e-3@example.org"})
    assert withdrawn.original == invited.original == second.original
    assert count(Reservation, Reservation.live) == 8
    # The change is of that one alone: E-2 is still in the others, E-3 in none of them.
    change(cast.ann, made.uid, guest_ports=1)
    assert count(Reservation, Reservation.live) == 8
    assert broken_promises() == {}


def test_s11_one_occurrence_is_called_off_and_becomes_an_exdate(app, cast):
    made = monday_series(cast.ann)
    third = made.occurrences[2]
    cancel_one(cast.ann, made.uid, third.id)
    letter = letters(made)[-1]
    assert (letter.kind, letter.original) == ("cancelled", third.original)
    found = seen(made.uid, cast.ann)
    assert found.state == MeetingState.SCHEDULED
    assert found.skipped == [third.original]
    assert count(Reservation, Reservation.live) == 6
    change(cast.ann, made.uid, title="Another")
    assert letters(made)[-1].left_out == [third.original]


def test_with_its_last_occurrence_the_series_is_called_off(app, cast):
    made = monday_series(cast.ann, rrule="FREQ=WEEKLY;COUNT=2")
    for one in made.occurrences:
        cancel_one(cast.ann, made.uid, one.id)
    assert seen(made.uid, cast.ann).state == MeetingState.CANCELLED


def test_s12_this_and_all_that_follow_become_a_series_of_their_own(app, cast):
    made = monday_series(cast.ann)
    third = made.occurrences[2]
    following = [one.id for one in made.occurrences[2:]]
    there = third.starts + timedelta(days=1, hours=2)
    new = change_one(cast.ann, made.uid, third.id, start=there.isoformat(), following=True)
    old = seen(made.uid, cast.ann)
    assert (len(old.occurrences), len(new.occurrences)) == (2, 2)
    assert new.uid != old.uid
    assert new.related_id == old.id
    assert new.number.split("/")[0] == "2"
    assert new.rrule == "FREQ=WEEKLY;COUNT=2;BYDAY=TU"
    assert [one.starts for one in new.occurrences] == [there, there + WEEK]
    assert [one.id for one in new.occurrences] == following
    assert letters(new)[0].kind == "invitation"
    assert letters(new)[0].related_to == old.uid
    shortened = letters(old)[-1]
    assert (shortened.kind, "UNTIL" in shortened.rrule) == ("changed", True)
    assert count(Reservation, Reservation.live) == 8
    assert broken_promises() == {}


def test_a_split_that_clashes_leaves_everything_as_it_was(app, cast):
    made = monday_series(cast.ann)
    third = made.occurrences[2]
    there = third.starts + timedelta(hours=4)
    factories.meeting(cast.ann, ["E-2"], start=there.isoformat())
    before = everything()
    with pytest.raises(Clash):
        change_one(cast.ann, made.uid, third.id, start=there.isoformat(), following=True)
    assert everything() == before


@pytest.mark.parametrize(
    "wanted",
    [
        {"start": (morning() + timedelta(hours=4)).isoformat()},
        {"rrule": "FREQ=DAILY;COUNT=5"},
        {"endpoints": [{"code": "E-1"}, {"code": "E-4"}], "title": "X"},
        {"guest_ports": 9},
    ],
)
def test_a_refused_change_leaves_everything_as_it_was_to_the_row(app, cast, wanted):
    made = monday_series(cast.ann)
    factories.meeting(cast.ann, ["E-2"], start=(morning() + WEEK + timedelta(hours=4)).isoformat())
    factories.meeting(cast.ann, ["E-2"], start=(morning() + timedelta(days=1)).isoformat())
    factories.meeting(cast.ann, ["E-4"], start=(morning() + 2 * WEEK).isoformat())
    before = everything()
    with pytest.raises(Clash):
        change(cast.ann, made.uid, **wanted)
    assert everything() == before


def test_the_whole_series_moves_though_each_takes_the_place_of_another(app, cast):
    made = monday_series(cast.ann)
    moved = change(cast.ann, made.uid, start=(morning() + WEEK).isoformat())
    assert [one.starts for one in moved.occurrences] == [
        morning() + number * WEEK for number in range(1, 5)
    ]
    assert [one.id for one in moved.occurrences] == [one.id for one in made.occurrences]
    assert letters(made)[-1].kind == "moved"
    assert count(Reservation, Reservation.live) == 8
    assert broken_promises() == {}


def test_an_occurrence_that_was_moved_alone_keeps_its_time_when_the_series_moves(app, cast):
    made = monday_series(cast.ann)
    there = made.occurrences[1].starts + timedelta(hours=5)
    change_one(cast.ann, made.uid, made.occurrences[1].id, start=there.isoformat())
    change(cast.ann, made.uid, start=(morning() + timedelta(hours=1)).isoformat())
    found = seen(made.uid, cast.ann)
    assert found.occurrences[1].starts == there
    assert found.occurrences[1].original == morning() + WEEK + timedelta(hours=1)
    kinds = [(one.kind, one.original is not None) for one in letters(made)[-2:]]
    assert kinds == [("moved", False), ("moved", True)]  # the series, then the one by itself


def test_another_rule_keeps_what_falls_on_the_same_days(app, cast):
    made = monday_series(cast.ann)
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;INTERVAL=2;COUNT=3")
    found = seen(made.uid, cast.ann)
    held = [one for one in found.occurrences if one.state == MeetingState.SCHEDULED]
    assert [one.starts for one in held] == [morning() + number * WEEK for number in (0, 2, 4)]
    assert [one.id for one in held[:2]] == [made.occurrences[0].id, made.occurrences[2].id]
    assert count(Reservation, Reservation.live) == 6
    assert broken_promises() == {}


def test_a_meeting_becomes_a_series_and_a_meeting_again(app, cast):
    made = factories.meeting(cast.ann, start=morning().isoformat())
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;COUNT=3")
    assert len(seen(made.uid, cast.ann).occurrences) == 3
    change(cast.ann, made.uid, rrule="")
    found = seen(made.uid, cast.ann)
    assert found.rrule == ""
    assert [one.state for one in found.occurrences] == ["scheduled", "cancelled", "cancelled"]
    assert count(Reservation, Reservation.live) == 2


def test_a_series_that_has_begun_is_changed_from_one_meeting_on(app, cast, clock_at):
    made = monday_series(cast.ann)
    clock_at(made.occurrences[1].starts - timedelta(days=1))
    with pytest.raises(Conflict):
        change(cast.ann, made.uid, start=(morning() + WEEK).isoformat())
    there = (made.occurrences[1].starts + timedelta(hours=1)).isoformat()
    new = change_one(cast.ann, made.uid, made.occurrences[1].id, start=there, following=True)
    assert len(new.occurrences) == 3


def test_ending_a_series_early_calls_the_rest_off(app, cast):
    made = monday_series(cast.ann)
    cancel_one(cast.ann, made.uid, made.occurrences[2].id, following=True)
    found = seen(made.uid, cast.ann)
    states = [one.state for one in found.occurrences]
    assert states == ["scheduled", "scheduled", "cancelled", "cancelled"]
    assert "UNTIL" in found.rrule
    assert count(Reservation, Reservation.live) == 4


def test_calling_a_series_off_gives_all_of_it_back(app, cast):
    made = monday_series(cast.ann)
    cancel(cast.ann, made.uid)
    assert count(Reservation, Reservation.live) == count(Allocation, Allocation.live) == 0
    assert {one.state for one in seen(made.uid, cast.ann).occurrences} == {"cancelled"}
    assert (letters(made)[-1].kind, letters(made)[-1].original) == ("cancelled", None)


def test_an_endpoint_taken_off_a_series_leaves_every_meeting_of_it(app, cast):
    made = monday_series(cast.ann)
    change(cast.ann, made.uid, endpoints=[{"code": "E-1"}, {"code": "E-4"}])
    assert count(Reservation, Reservation.live) == 8
    assert (
        count(Reservation, Reservation.live, Reservation.endpoint_id == cast.endpoints[3].id) == 4
    )
    assert (
        count(Reservation, Reservation.live, Reservation.endpoint_id == cast.endpoints[1].id) == 0
    )
    assert broken_promises() == {}


def test_nothing_is_left_of_a_series_whose_every_date_is_left_out(app, cast):
    days = [(morning() + number * WEEK).isoformat() for number in range(4)]
    with pytest.raises(Invalid):
        monday_series(cast.ann, exdates=days)
    assert count(Occurrence) == count(Exdate) == count(Letter) == 0


def test_dates_that_a_shorter_rule_dropped_come_back_with_a_longer_one(app, cast):
    made = monday_series(cast.ann)
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;COUNT=2")
    assert count(Reservation, Reservation.live) == 4
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;COUNT=5")
    found = seen(made.uid, cast.ann)
    assert [one.state for one in found.occurrences] == ["scheduled"] * 5
    assert [one.starts for one in found.occurrences] == [
        morning() + number * WEEK for number in range(5)
    ]
    assert count(Reservation, Reservation.live) == 10
    assert broken_promises() == {}


def test_what_was_called_off_by_itself_stays_so_under_another_rule(app, cast):
    made = monday_series(cast.ann)
    cancel_one(cast.ann, made.uid, made.occurrences[1].id)
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;COUNT=5")
    found = seen(made.uid, cast.ann)
    states = {one.original: one.state for one in found.occurrences}
    assert states[morning() + WEEK] == "cancelled"
    assert list(states.values()).count("scheduled") == 4


def test_what_was_called_off_stays_left_out_of_the_series_split_from_it(app, cast):
    made = monday_series(cast.ann)
    cancel_one(cast.ann, made.uid, made.occurrences[2].id)
    new = change_one(cast.ann, made.uid, made.occurrences[1].id, minutes=45, following=True)
    assert morning() + 2 * WEEK in letters(new)[0].left_out
    assert [one.starts for one in new.occurrences] == [morning() + WEEK, morning() + 3 * WEEK]
    change(cast.ann, new.uid, rrule="FREQ=WEEKLY;COUNT=3;BYDAY=MO", title="Khác nữa")
    assert count(Reservation, Reservation.live) == 6
    assert broken_promises() == {}


def test_who_was_taken_off_one_meeting_is_not_asked_to_it_by_later_letters(app, cast):
    made = monday_series(cast.ann)
    second = made.occurrences[1]
    change_one(cast.ann, made.uid, second.id, endpoints=[{"code": "E-1"}])
    change(cast.ann, made.uid, title="Khác")
    letter = letters(made)[-1]
    left_out = {mail.recipient: mail.left_out for mail in mails(letter)}
    assert left_out["e-1@example.org"] == []
    assert left_out["e-2@example.org"] == [second.original]


def test_who_comes_to_one_meeting_alone_is_told_of_changes_of_the_series(app, cast):
    made = monday_series(cast.ann)
    second, original = made.occurrences[1], made.occurrences[1].original
    listed = [{"code": "E-1"}, {"code": "E-2"}, {"code": "E-3"}]
    change_one(cast.ann, made.uid, second.id, endpoints=listed)

    def told() -> list[tuple[str, object]]:
        every = letters(made)
        return [(one.kind, one.original) for one in every if "e-3@example.org" in recipients(one)]

    change(cast.ann, made.uid, title="Khác")
    change(cast.ann, made.uid, start=(morning() + timedelta(hours=1)).isoformat())
    moved = morning() + WEEK + timedelta(hours=1)
    change(cast.ann, made.uid, rrule="FREQ=WEEKLY;INTERVAL=2;COUNT=2")
    kinds = [kind for kind, _ in told()]
    assert kinds == ["invitation", "changed", "moved", "cancelled"]
    assert [at for _, at in told()] == [original, original, moved, moved]
    assert broken_promises() == {}


def test_who_comes_to_one_meeting_alone_is_told_when_the_series_ends_before_it(app, cast):
    made = monday_series(cast.ann)
    third = made.occurrences[2]
    change_one(cast.ann, made.uid, third.id, endpoints=[{"code": "E-1"}, {"code": "E-3"}])
    cancel_one(cast.ann, made.uid, made.occurrences[1].id, following=True)
    every = [(one.kind, one.original) for one in letters(made)]
    assert ("cancelled", third.original) in every
    last = [one for one in letters(made) if "e-3@example.org" in recipients(one)][-1]
    assert last.kind == "cancelled"


def test_one_meeting_that_is_moved_asks_for_a_new_answer_to_it(app, cast):
    made = monday_series(cast.ann)
    answered(cast.ann, made, "E-1", "ACCEPTED")
    second = made.occurrences[1]
    there = (second.starts + timedelta(hours=3)).isoformat()
    change_one(cast.ann, made.uid, second.id, start=there)
    assert {mail.partstat for mail in mails(letters(made)[-1])} == {"NEEDS-ACTION"}


def test_answers_count_for_a_meeting_that_has_an_endpoint_of_its_own(app, cast):
    factories.endpoint("S-1", cast.below, kind="soft")
    made = monday_series(cast.ann, ["E-1", "S-1"])
    second = made.occurrences[1]
    change_one(cast.ann, made.uid, second.id, endpoints=[{"code": "E-1"}])
    answered(cast.ann, made, "S-1", "DECLINED")
    assert count(Reservation, Reservation.live) == 4
    answered(cast.ann, made, "S-1", "ACCEPTED")
    held = [
        count(Reservation, Reservation.live, Reservation.occurrence_id == one.id)
        for one in made.occurrences
    ]
    assert held == [2, 1, 2, 2]
    assert broken_promises() == {}


def test_an_answer_that_is_back_with_a_move_does_not_double_what_is_held(app, cast):
    """Answers are set open before what is held is reckoned: the declined one is held again."""
    factories.endpoint("S-1", cast.below, kind="soft")
    made = factories.meeting(cast.ann, ["E-1", "S-1"], start=morning().isoformat())
    answered(cast.ann, made, "S-1", "DECLINED")
    assert count(Reservation, Reservation.live) == 1
    change(cast.ann, made.uid, start=morning(hour=14).isoformat())
    assert count(Reservation, Reservation.live) == 2
    assert occurrence(made.occurrence.id).primary.ports == 2
    answered(cast.ann, made, "S-1", "DECLINED")
    assert count(Reservation, Reservation.live) == 1


def mails(letter: Letter) -> list[Mail]:
    return list(db.session.scalars(select(Mail).where(Mail.letter_id == letter.id)))
