"""Booking, moving, changing, calling off: what is held, and who is told (S1 to S9)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from confbridge.database import db, transaction
from confbridge.domain.capacity import PORT
from confbridge.domain.health import BridgeState
from confbridge.domain.lifecycle import MeetingState
from confbridge.errors import Clash, Conflict, Invalid, NotAllowed, NotFound, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer, MeetingChange
from confbridge.models import (
    Allocation,
    AuditEntry,
    Letter,
    LetterKind,
    Mail,
    Meeting,
    Reservation,
)
from confbridge.services import access, attendees, meetings, refusals, replies
from tests import factories
from tests.factories import scalar


def count(model, *conditions):
    return scalar(select(func.count()).select_from(model).where(*conditions))


def change(cast, meeting, by=None, **given):
    by = by or cast.ann
    with transaction():
        found = access.meeting(by, meeting.uid, to_change=True)
        meetings.change(found, parse(MeetingChange, given), by=by)
        return found


def cancel(cast, meeting, reason="Bão số 5"):
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.cancel(found, reason, by=cast.ann)
        return found


def answer(cast, meeting, code="E-1", **given):
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        attendee = replies.of_endpoint(found, code)
        wanted = parse(Answer, {"partstat": "ACCEPTED", **given})
        replies.record(replies.Seat(found, attendee), wanted, via="phone", by="ann")


def last_letters(number=1):
    letters = scalar_all(select(Letter).order_by(Letter.id.desc()).limit(number))
    return list(reversed(letters))


def scalar_all(question):
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(question))


def recipients(letter):
    return set(scalar_all(select(Mail.recipient).where(Mail.letter_id == letter.id)))


def test_a_booking_holds_endpoints_and_ports_and_queues_a_mail_for_each(app, cast):
    meeting = factories.meeting(cast.ann, cast.codes, guest_ports=2)
    assert meeting.number.startswith("1/")
    assert count(Reservation, Reservation.live) == 4
    held = scalar(select(Allocation))
    assert held.ports == 6
    assert held.starts == meeting.occurrence.starts - timedelta(minutes=15)
    assert held.ends == meeting.occurrence.ends + timedelta(minutes=15)
    assert (held.open_at, held.close_at) == (held.starts, held.ends)
    assert count(Mail, Mail.state == "queued") == 4
    assert count(AuditEntry, AuditEntry.deed == "booked") == 1


def test_s1_the_first_letter_is_sequence_nought(app, cast):
    factories.meeting(cast.ann)
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence) == (LetterKind.INVITATION, 0)


def test_numbers_are_given_out_without_a_hole(app, cast):
    factories.meeting(cast.ann, ["E-1"])
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1"])
    assert factories.meeting(cast.ann, ["E-2"]).number.startswith("2/")


def test_a_refused_booking_leaves_nothing_behind(app, cast):
    factories.meeting(cast.ann, ["E-1"])
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1", "E-2"])
    assert count(Meeting) == count(Mail) == count(Reservation) == count(Allocation) == 1


def test_an_unknown_endpoint_is_named_at_its_place(app, cast):
    with pytest.raises(Invalid) as refusal:
        factories.meeting(cast.ann, ["E-1", "NOWHERE"])
    assert set(refusal.value.problems) == {"endpoints.1.code"}
    assert count(Meeting) == 0


@pytest.mark.parametrize("state", [{"state": BridgeState.DOWN}, {"draining": True}])
def test_nothing_is_placed_on_a_bridge_that_is_down_or_draining(app, cast, state):
    with transaction():
        bridge = access.bridge(cast.carla, cast.bridge.code, to_change=True)
        for name, value in state.items():
            setattr(bridge, name, value)
    with pytest.raises(Clash):
        factories.meeting(cast.ann)


def test_nothing_is_placed_on_a_bridge_that_an_endpoint_cannot_reach(app, cast):
    factories.endpoint("FAR", cast.below, networks=frozenset({"satellite"}))
    with pytest.raises(Clash):
        factories.meeting(cast.ann, ["E-1", "FAR"])
    far = factories.bridge(networks=frozenset({"satellite", "tslcd"}))
    meeting = factories.meeting(cast.ann, ["E-1", "FAR"])
    assert meeting.occurrence.allocations[0].bridge.code == far.code


def test_the_fullest_bridge_that_fits_is_taken(app, cast):
    factories.bridge(ports=50)
    small = factories.bridge(ports=3)
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    assert meeting.occurrence.allocations[0].bridge.code == small.code


def test_a_refusal_names_every_clash_and_offers_free_times(app, cast):
    taken = factories.meeting(cast.ann, ["E-1", "E-2"])
    draft = factories.draft(["E-1", "E-2", "E-3"])
    found = refusals.explain(meetings.wanted_by(draft, cast.ann), reader=cast.ann)
    assert [(one.kind, one.subject, one.uid) for one in found.clashes] == [
        ("endpoint", "E-1", taken.uid),
        ("endpoint", "E-2", taken.uid),
    ]
    assert len(found.alternatives) >= 3


def test_who_may_not_know_the_meeting_learns_only_that_something_is_there(app, cast):
    factories.meeting(cast.ann, ["E-1"])
    draft = factories.draft(["E-1"])
    (clash,) = refusals.explain(meetings.wanted_by(draft, cast.dan), reader=cast.dan).clashes
    assert (clash.uid, clash.title) == (None, "")


def test_a_refusal_says_how_many_ports_are_short_and_when(app, cast):
    first = factories.meeting(cast.ann, ["E-1", "E-2", "E-3"], guest_ports=4)
    draft = factories.draft(["E-4"], guest_ports=4)
    found = refusals.explain(meetings.wanted_by(draft, cast.ann), reader=cast.ann)
    (clash,) = found.clashes
    assert (clash.kind, clash.subject, clash.short_by) == ("ports", cast.bridge.code, 2 * PORT)
    assert clash.peak_at == first.occurrence.starts - timedelta(minutes=15)


def test_every_time_that_is_offered_is_accepted(app, cast):
    factories.meeting(cast.ann, ["E-1"], guest_ports=6)
    factories.meeting(cast.ann, ["E-2"], start=factories.soon(26).isoformat(), guest_ports=8)
    draft = factories.draft(["E-1", "E-2"], guest_ports=3)
    offered = refusals.explain(meetings.wanted_by(draft, cast.ann), reader=cast.ann).alternatives
    assert len(offered) >= 3
    for one in offered:
        moved = factories.meeting(
            cast.ann, ["E-1", "E-2"], guest_ports=3, start=one.during.start.isoformat()
        )
        assert moved.occurrence.during == one.during
        cancel(cast, moved)


def test_s3_a_move_raises_the_sequence_and_opens_every_answer(app, cast):
    meeting = factories.meeting(cast.ann)
    answer(cast, meeting)
    later = factories.soon(48)
    moved = change(cast, meeting, start=later.isoformat())
    assert moved.sequence == 1
    assert {one.partstat for one in moved.attendees} == {"NEEDS-ACTION"}
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence, letter.starts) == (LetterKind.MOVED, 1, later)
    assert recipients(letter) == {"e-1@example.org", "e-2@example.org"}
    held = scalar(select(Allocation).where(Allocation.live))
    assert held.starts == later - timedelta(minutes=15)
    assert count(Reservation, Reservation.live) == 2


def test_a_move_may_overlap_the_time_it_leaves(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2", "E-3"], guest_ports=7)
    later = factories.soon() + timedelta(minutes=30)
    assert change(cast, meeting, start=later.isoformat()).occurrence.starts == later


def test_a_refused_move_loses_nothing(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1"])
    factories.meeting(cast.ann, ["E-1"], start=factories.soon(30).isoformat())
    with pytest.raises(Clash):
        change(cast, meeting, start=factories.soon(30).isoformat(), title="Moved")
    kept = access.meeting(cast.ann, meeting.uid)
    assert (kept.title, kept.version, kept.sequence) == ("Giao ban trực tuyến", 1, 0)
    assert kept.occurrence.starts == factories.soon()
    assert count(Reservation, Reservation.live) == 2
    assert count(Letter) == 2


def test_a_move_leaves_a_bridge_that_has_gone_down(app, cast):
    meeting = factories.meeting(cast.ann)
    with transaction():
        access.bridge(cast.carla, cast.bridge.code, to_change=True).state = BridgeState.DOWN
    other = factories.bridge()
    moved = change(cast, meeting, start=factories.soon(30).isoformat())
    assert [one.bridge.code for one in moved.occurrence.allocations] == [other.code]
    assert count(Allocation, Allocation.live) == 1


def test_s4_other_words_keep_sequence_and_answers_with_a_newer_stamp(app, cast):
    meeting = factories.meeting(cast.ann)
    answer(cast, meeting)
    changed = change(cast, meeting, agenda="1. Báo cáo")
    first, second = last_letters(2)
    assert (second.kind, second.sequence) == (LetterKind.CHANGED, 0)
    assert second.stamped > first.stamped
    assert {one.partstat for one in changed.attendees} == {"ACCEPTED", "NEEDS-ACTION"}
    kept = scalar_all(select(Mail.partstat).where(Mail.letter_id == second.id))
    assert sorted(kept) == ["ACCEPTED", "NEEDS-ACTION"]


def test_s6_only_the_silent_are_asked_again_with_the_same_sequence(app, cast):
    meeting = factories.meeting(cast.ann)
    answer(cast, meeting, "E-1")
    with transaction():
        attendees.remind(access.meeting(cast.ann, meeting.uid, to_change=True), by=cast.ann)
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence) == (LetterKind.REMINDER, 0)
    assert recipients(letter) == {"e-2@example.org"}
    with pytest.raises(Conflict), transaction():  # not again at once
        attendees.remind(access.meeting(cast.ann, meeting.uid, to_change=True), by=cast.ann)


def test_s7_an_added_endpoint_alone_is_invited(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    change(cast, meeting, endpoints=[{"code": code} for code in ("E-1", "E-2", "E-3")])
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence) == (LetterKind.INVITATION, 0)
    assert recipients(letter) == {"e-3@example.org"}
    assert scalar(select(Allocation.units).where(Allocation.live)) == 3 * PORT


def test_s8_a_removed_endpoint_alone_is_told_and_is_free_again(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    changed = change(cast, meeting, endpoints=[{"code": "E-1"}])
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence) == (LetterKind.WITHDRAWN, 1)
    assert recipients(letter) == {"e-2@example.org"}
    assert [one.endpoint.code for one in changed.attendees] == ["E-1"]
    assert factories.meeting(cast.ann, ["E-2"])


def test_another_role_is_told_to_whom_it_concerns(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    roles = [{"code": "E-1"}, {"code": "E-2", "role": "optional"}]
    assert change(cast, meeting, endpoints=roles).version == 2
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence) == (LetterKind.CHANGED, 0)
    assert recipients(letter) == {"e-2@example.org"}


def test_who_is_added_while_the_meeting_moves_is_invited_and_not_asked_anew(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1"])
    codes = [{"code": "E-1"}, {"code": "E-2"}]
    change(cast, meeting, endpoints=codes, start=factories.soon(40).isoformat())
    moved, invited = last_letters(2)
    assert (moved.kind, invited.kind) == (LetterKind.MOVED, LetterKind.INVITATION)
    assert (recipients(moved), recipients(invited)) == ({"e-1@example.org"}, {"e-2@example.org"})
    assert moved.sequence == invited.sequence == 1


def test_a_letter_that_was_not_sent_yet_gives_way_to_a_later_one(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    cancel(cast, meeting)
    states = scalar_all(select(Mail.state).order_by(Mail.id))
    assert states == ["superseded", "superseded", "queued", "queued"]


def test_a_meeting_whose_end_has_passed_can_no_longer_be_cancelled(app, cast, clock_at):
    meeting = factories.meeting(cast.ann)
    clock_at(meeting.occurrence.ends)
    with pytest.raises(Conflict):
        cancel(cast, meeting)


def test_a_retired_endpoint_stays_in_the_meetings_it_has(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    with transaction():
        access.endpoint(cast.carla, "E-2", to_change=True).active = False
    codes = [{"code": "E-1"}, {"code": "E-2"}, {"code": "E-3"}]
    assert len(change(cast, meeting, endpoints=codes).attendees) == 3
    with pytest.raises(Invalid):
        factories.meeting(cast.ann, ["E-2"], start=factories.soon(50).isoformat())


def test_a_removed_endpoint_can_be_invited_again(app, cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2"])
    answer(cast, meeting, "E-2")
    change(cast, meeting, endpoints=[{"code": "E-1"}])
    again = change(cast, meeting, endpoints=[{"code": "E-1"}, {"code": "E-2"}])
    assert {one.endpoint.code: one.partstat for one in again.attendees}["E-2"] == "NEEDS-ACTION"


def test_s9_a_cancelled_meeting_tells_all_and_gives_everything_back(app, cast):
    meeting = factories.meeting(cast.ann)
    cancelled = cancel(cast, meeting)
    assert (cancelled.state, cancelled.sequence) == (MeetingState.CANCELLED, 1)
    (letter,) = last_letters()
    assert (letter.kind, letter.sequence, letter.reason) == (LetterKind.CANCELLED, 1, "Bão số 5")
    assert recipients(letter) == {"e-1@example.org", "e-2@example.org"}
    assert count(Reservation, Reservation.live) == count(Allocation, Allocation.live) == 0
    assert factories.meeting(cast.ann)


def test_a_cancelled_meeting_cannot_be_cancelled_again(app, cast):
    meeting = factories.meeting(cast.ann)
    cancel(cast, meeting)
    with pytest.raises(Conflict):
        cancel(cast, meeting)
    with pytest.raises(Conflict):
        change(cast, meeting, title="Too late")
    assert count(Letter) == 2


def test_a_change_that_changes_nothing_tells_nobody(app, cast):
    meeting = factories.meeting(cast.ann)
    assert change(cast, meeting, title=meeting.title).version == 1
    assert count(Letter) == 1


def test_more_guests_take_more_ports_and_tell_nobody(app, cast):
    meeting = factories.meeting(cast.ann)
    change(cast, meeting, guest_ports=5)
    assert scalar(select(Allocation.units).where(Allocation.live)) == 7 * PORT
    assert count(Letter) == 1
    with pytest.raises(Clash):
        change(cast, meeting, guest_ports=9)


def test_a_stale_version_is_refused(app, cast):
    meeting = factories.meeting(cast.ann)
    change(cast, meeting, title="Another")
    with pytest.raises(StaleVersion), transaction():
        access.meeting(cast.ann, meeting.uid, to_change=True, version=1)


def test_dan_sees_nothing_and_bob_changes_nothing(app, cast):
    meeting = factories.meeting(cast.ann)
    with pytest.raises(NotFound):
        access.meeting(cast.dan, meeting.uid)
    assert access.meeting(cast.bob, meeting.uid)
    with pytest.raises(NotAllowed):
        access.meeting(cast.bob, meeting.uid, to_change=True)
    with pytest.raises(NotAllowed):
        factories.meeting(cast.dan, ["E-1"], host="HOME")
    with pytest.raises(NotAllowed):
        factories.meeting(cast.bob, ["E-1"])


def test_a_declined_invitation_needs_a_reason(app, cast):
    meeting = factories.meeting(cast.ann)
    with pytest.raises(Invalid) as refusal:
        answer(cast, meeting, partstat="DECLINED")
    assert set(refusal.value.problems) == {"comment"}
    answer(cast, meeting, partstat="DECLINED", comment="Đi cơ sở")
    kept = replies.of_endpoint(access.meeting(cast.ann, meeting.uid), "E-1")
    assert (kept.partstat, kept.comment, kept.via) == ("DECLINED", "Đi cơ sở", "phone")
