"""A higher meeting takes what lower ones hold: never silently, never an equal one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from confbridge import doors
from confbridge.database import transaction
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rank import Rank
from confbridge.doors import Refused
from confbridge.errors import Clash, Conflict, Invalid, NotAllowed
from confbridge.models import Account, AuditEntry, Mail, Meeting, Offer, Reservation
from confbridge.services import access, displacement, holds, meetings, rules
from tests import factories
from tests.services.scheduling import (
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


@pytest.fixture
def party(app, cast) -> Account:
    """Somebody who convenes for the Provincial Party Committee."""
    committee = factories.organisation("TU", cast.home, level="party")
    return factories.account("Phuong", committee)


def displaced(by, lower: list[Meeting], codes, reason="Bão số 5", **rest) -> Meeting:
    numbers = [one.occurrence.id for one in lower]
    given = {"reason": reason, "occurrences": numbers}
    return factories.meeting(by, codes, displace=given, start=morning().isoformat(), **rest)


def test_the_displaced_keeps_its_number_is_postponed_and_is_offered_three_times(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1", "E-2"], start=morning().isoformat())
    higher = displaced(party, [lower], ["E-1", "E-3"])
    found = seen(lower.uid, cast.ann)
    assert (found.number, found.state, found.reason) == (lower.number, "postponed", "")
    assert (found.occurrence.state, found.occurrence.reason) == ("postponed", "Bão số 5")
    assert found.occurrence.displaced_by_id == higher.occurrence.id
    offers = displacement.offers_of(found.occurrence)
    assert len(offers) == 3
    assert all(not one.overlaps(higher.occurrence.during) for one in offers)
    letter = letters(found)[-1]
    assert (letter.kind, letter.reason, letter.sequence) == ("postponed", "Bão số 5", 1)
    assert letter.new_times == [one.start for one in offers]
    told = {"e-1@example.org", "e-2@example.org", "ann@example.org"}
    assert recipients(letter) == told
    assert count(Mail, Mail.letter_id == letter.id) == len(told)  # one mail each
    assert count(AuditEntry, AuditEntry.deed == "displaced", AuditEntry.detail == "Bão số 5") == 1
    assert broken_promises() == {}


def test_every_time_that_is_offered_to_the_displaced_is_accepted(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1", "E-2"], start=morning().isoformat())
    displaced(party, [lower], ["E-1"])
    for one in displacement.offers_of(seen(lower.uid, cast.ann).occurrence):
        back = change(cast.ann, lower.uid, start=one.start.isoformat())
        assert (back.state, back.occurrence.during) == (MeetingState.SCHEDULED, one)
        assert letters(back)[-1].kind == "moved"
        with transaction():
            found = access.meeting(cast.ann, lower.uid, to_change=True)
            meetings.postpone(found, "again", by=cast.ann)


def test_without_a_second_confirmation_nothing_is_displaced(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    draft = factories.draft(["E-1"], start=morning().isoformat())
    with pytest.raises(Refused) as refusal:
        doors.book(draft, by=party)
    assert [one.occurrence_id for one in refusal.value.refusal.lower] == [lower.occurrence.id]
    assert seen(lower.uid, cast.ann).state == MeetingState.SCHEDULED


def test_an_equal_or_a_higher_meeting_stays(app, cast, party):
    higher = factories.meeting(party, ["E-1"], start=morning().isoformat())
    before = everything()
    for by in (cast.ann, party):
        with pytest.raises(Conflict):
            displaced(by, [higher], ["E-1"])
        draft = factories.draft(["E-1"], start=morning().isoformat())
        with pytest.raises(Refused) as refusal:
            doors.book(draft, by=by)
        assert refusal.value.refusal.lower == []
    assert everything() == before


def test_only_what_is_in_the_way_can_be_displaced(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    elsewhere = factories.meeting(cast.ann, ["E-2"], start=morning(hour=14).isoformat())
    with pytest.raises(Invalid):
        displaced(party, [lower, elsewhere], ["E-1"])
    assert seen(lower.uid, cast.ann).state == MeetingState.SCHEDULED


def test_what_does_not_make_enough_room_is_not_done_at_all(app, cast, party):
    one = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    factories.meeting(cast.ann, ["E-2"], start=morning().isoformat())
    before = everything()
    with pytest.raises(Clash):
        displaced(party, [one], ["E-1", "E-2"])
    assert everything() == before


def test_shortly_before_its_start_only_an_emergency_displaces(app, cast, party, clock_at):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    clock_at(morning() - timedelta(minutes=20))
    with pytest.raises(Conflict):
        displaced(party, [lower], ["E-1"])
    displaced(party, [lower], ["E-1"], rank="emergency")
    assert seen(lower.uid, cast.ann).state == MeetingState.POSTPONED


def test_a_department_calls_no_emergency(app, cast):
    with pytest.raises(NotAllowed):
        factories.meeting(cast.dan, ["E-1"], rank="emergency")


def test_ports_can_be_made_free_by_displacing_too(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), guest_ports=6)
    draft = factories.draft(["E-2"], start=morning().isoformat(), guest_ports=5)
    with pytest.raises(Refused) as refusal:
        doors.book(draft, by=party)
    assert [one.occurrence_id for one in refusal.value.refusal.lower] == [lower.occurrence.id]
    displaced(party, [lower], ["E-2"], guest_ports=5)
    assert broken_promises() == {}


def test_of_several_that_could_give_way_no_more_are_named_than_are_needed(app, cast, party):
    small = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    large = factories.meeting(cast.ann, ["E-2"], start=morning().isoformat(), guest_ports=5)
    draft = factories.draft(["E-3"], start=morning().isoformat(), guest_ports=5)
    with pytest.raises(Refused) as refusal:
        doors.book(draft, by=party)
    named = {one.occurrence_id for one in refusal.value.refusal.lower}
    assert named == {large.occurrence.id} != {small.occurrence.id}


def test_of_a_series_only_the_meeting_in_the_way_is_postponed(app, cast, party):
    lower = monday_series(cast.ann, ["E-1"])
    displaced(party, [lower], ["E-1"])
    found = seen(lower.uid, cast.ann)
    assert found.state == MeetingState.SCHEDULED
    states = [one.state for one in found.occurrences]
    assert states == ["postponed", "scheduled", "scheduled", "scheduled"]
    assert letters(found)[-1].original == found.occurrences[0].original


def test_what_was_displaced_is_offered_back_when_the_cause_is_called_off(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1", "E-2"], start=morning().isoformat())
    higher = displaced(party, [lower], ["E-1"])
    cancel(party, higher.uid)
    one = occurrence(lower.occurrence.id)
    assert one.state == MeetingState.POSTPONED
    assert one.hold_until is not None
    assert count(Reservation, Reservation.live, Reservation.occurrence_id == one.id) == 2
    letter = letters(lower)[-1]
    assert (letter.kind, recipients(letter)) == ("offered", {"ann@example.org"})
    back = change(cast.ann, lower.uid, state="scheduled")
    assert (back.state, back.occurrence.starts) == (MeetingState.SCHEDULED, morning())
    assert count(Offer) == 0
    assert broken_promises() == {}


def test_what_is_offered_back_and_not_taken_is_given_to_others(app, cast, party, clock_at):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    cancel(party, displaced(party, [lower], ["E-1"]).uid)
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    clock_at(occurrence(lower.occurrence.id).hold_until)
    with transaction():
        assert holds.release_one()
    assert factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    assert seen(lower.uid, cast.ann).state == MeetingState.POSTPONED


def test_the_administrator_orders_the_ranks(app, cast, party):
    lower = factories.meeting(party, ["E-1"], start=morning().isoformat())
    with transaction():
        rules.order_ranks({Rank.DEPARTMENT: 85}, by=cast.carla)
    displaced(cast.ann, [lower], ["E-1"])
    with pytest.raises(Invalid), transaction():
        rules.order_ranks({Rank.CENTRAL: 200}, by=cast.carla)
    assert seen(lower.uid, party).state == MeetingState.POSTPONED


def test_a_change_may_displace_as_a_booking_may(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    higher = factories.meeting(party, ["E-1"], start=morning(hour=14).isoformat())
    given = {"reason": "Bão", "occurrences": [lower.occurrence.id]}
    change(party, higher.uid, start=morning().isoformat(), displace=given)
    assert seen(lower.uid, cast.ann).state == MeetingState.POSTPONED
    assert seen(higher.uid, party).occurrence.starts == morning()
    assert broken_promises() == {}


def test_what_a_lower_draft_holds_can_be_taken_and_only_its_organizer_is_told(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), state="draft")
    displaced(party, [lower], ["E-1"])
    found = seen(lower.uid, cast.ann)
    assert (found.state, found.occurrence.hold_until) == (MeetingState.DRAFT, None)
    (letter,) = letters(found)
    assert (letter.kind, recipients(letter)) == ("postponed", {"ann@example.org"})
    assert len(displacement.offers_of(found.occurrence)) == 3
    assert broken_promises() == {}


def test_who_only_shares_the_bridge_with_ports_to_spare_is_not_in_the_way(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    before = everything()
    with pytest.raises(Invalid):
        displaced(party, [lower], ["E-3"])
    assert everything() == before


def test_a_draft_displaces_nobody(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    before = everything()
    with pytest.raises(Invalid):
        displaced(party, [lower], ["E-1"], state="draft")
    assert everything() == before


def test_the_time_that_was_lost_is_not_offered_as_a_new_one(app, cast):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    during = made.occurrence.during
    with transaction():
        meetings.postpone(access.meeting(cast.ann, made.uid, to_change=True), "Ốm", by=cast.ann)
    offers = displacement.offers_of(seen(made.uid, cast.ann).occurrence)
    assert len(offers) == 3
    assert not any(one.overlaps(during) for one in offers)


def test_of_a_displacing_series_the_meeting_that_took_the_time_offers_it_back(app, cast, party):
    second = morning() + timedelta(weeks=1)
    lower = factories.meeting(cast.ann, ["E-1"], start=second.isoformat())
    higher = displaced(party, [lower], ["E-1"], rrule="FREQ=WEEKLY;COUNT=3")
    cause = higher.occurrences[1]
    assert seen(lower.uid, cast.ann).occurrence.displaced_by_id == cause.id
    cancel_one(party, higher.uid, cause.id)
    assert seen(lower.uid, cast.ann).occurrence.hold_until is not None
    assert broken_promises() == {}


def test_while_a_meeting_is_postponed_no_letter_says_that_it_takes_place(app, cast, party):
    lower = factories.meeting(cast.ann, ["E-1", "E-2"], start=morning().isoformat())
    displaced(party, [lower], ["E-1"])
    before = len(letters(lower))
    change(cast.ann, lower.uid, title="Khác")
    change(cast.ann, lower.uid, endpoints=[{"code": "E-1"}, {"code": "E-2"}, {"code": "E-4"}])
    assert len(letters(lower)) == before
    (first, *_) = displacement.offers_of(seen(lower.uid, cast.ann).occurrence)
    back = change(cast.ann, lower.uid, start=first.start.isoformat())
    told = set().union(*(recipients(one) for one in letters(back)[before:]))
    assert {"e-1@example.org", "e-2@example.org", "e-4@example.org"} <= told


def test_a_postponed_meeting_of_a_series_is_left_out_of_its_letters(app, cast, party):
    made = monday_series(cast.ann)
    one = made.occurrences[0]
    given = {"reason": "Bão", "occurrences": [one.id]}
    factories.meeting(party, ["E-1"], displace=given, start=morning().isoformat())
    change(cast.ann, made.uid, title="Khác")
    assert one.original in letters(made)[-1].left_out
    split = change_one(cast.ann, made.uid, made.occurrences[2].id, minutes=45, following=True)
    assert [each.state for each in split.occurrences] == ["scheduled", "scheduled"]
    assert seen(made.uid, cast.ann).occurrences[0].state == "postponed"
    assert broken_promises() == {}
