"""Whose answer it is, to what, and whether it counts: R1 to R8; each test names its rule."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from confbridge import config
from confbridge.database import db, transaction
from confbridge.models import (
    Attendee,
    Mail,
    OccurrenceAnswer,
)
from confbridge.services import replies
from tests import clients, factories
from tests.clients import SHAPES, Answer, stamp
from tests.services.mailing import attendee, come_in, outcome
from tests.services.scheduling import (
    cancel_one,
    change,
    change_one,
    count,
    monday_series,
    seen,
)


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("partstat", ["ACCEPTED", "DECLINED", "TENTATIVE"])
def test_r16_an_answer_counts_in_every_clients_shape(cast, meeting, shape, partstat):
    raw = shape(Answer(uid=meeting.uid, partstat=partstat, start=meeting.starts))
    assert outcome(raw) == ("effect", "counted")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.via, who.person) == (partstat, "mail", "e-1@example.org")


def test_r1_an_unknown_uid_is_laid_aside(cast, meeting):
    assert outcome(clients.simple(Answer(uid="nobody@example.org"))) == (
        "quarantine",
        "unknown_uid",
    )


@pytest.mark.parametrize("as_utc", [True, False])
def test_r1_an_occurrence_is_found_by_its_instant_in_any_zone(cast, as_utc):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    local = one.original.astimezone(config.in_force().zone)
    named = f":{stamp(one.original)}" if as_utc else f";TZID=Asia/Ho_Chi_Minh:{local:%Y%m%dT%H%M%S}"
    answer = Answer(uid=series.uid, partstat="DECLINED", recurrence_id=named)
    assert outcome(clients.google(answer)) == ("effect", "counted")
    found = seen(series.uid, cast.ann)
    said = [what.partstat for _, what in replies.to_answer(found.attendees[0], found)]
    assert said == ["NEEDS-ACTION", "DECLINED", "NEEDS-ACTION", "NEEDS-ACTION"]


def test_r1_windows_name_of_the_zone_is_understood(cast):
    series = monday_series(cast.ann)
    local = series.occurrences[2].original.astimezone(config.in_force().zone)
    named = f";TZID=SE Asia Standard Time:{local:%Y%m%dT%H%M%S}"
    raw = clients.outlook(Answer(uid=series.uid, recurrence_id=named))
    assert outcome(raw) == ("effect", "counted")
    assert count(OccurrenceAnswer) == 1


def test_r2_of_two_answers_the_later_stamp_wins_in_either_order(cast, meeting):
    early = Answer(uid=meeting.uid, partstat="ACCEPTED")
    late = early.but(partstat="DECLINED", stamped=early.stamped + timedelta(minutes=1))
    assert outcome(clients.simple(late)) == ("effect", "counted")
    assert outcome(clients.simple(early)) == ("effect", "earlier")
    assert attendee(cast.ann, meeting).partstat == "DECLINED"


def test_r2_r3_an_answer_to_an_earlier_time_does_not_count_and_is_asked_again(cast, meeting):
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    before = count(Mail)
    late = datetime(2026, 3, 9, tzinfo=UTC)
    raw = clients.outlook(Answer(uid=meeting.uid, sequence=0, stamped=late))
    assert outcome(raw) == ("effect", "outdated")
    assert attendee(cast.ann, meeting).partstat == "NEEDS-ACTION"
    assert count(Mail) == before + 1  # the invitation as it is now, to this one alone
    assert outcome(clients.outlook(Answer(uid=meeting.uid, sequence=0))) == ("effect", "outdated")
    assert count(Mail) == before + 1  # and once only
    raw = clients.outlook(Answer(uid=meeting.uid, sequence=1))
    assert outcome(raw) == ("effect", "counted")


def test_r2_what_did_not_ask_this_endpoint_anew_leaves_its_answer_good(cast):
    meeting = factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])
    change(cast.ann, meeting.uid, endpoints=[{"code": "E-1"}, {"code": "E-2"}])
    assert seen(meeting.uid, cast.ann).sequence == 1  # E-3 was withdrawn (S8)
    assert outcome(clients.simple(Answer(uid=meeting.uid))) == ("effect", "counted")


def test_r2_a_version_that_was_never_sent_is_laid_aside(cast, meeting):
    raw = clients.simple(Answer(uid=meeting.uid, sequence=7))
    assert outcome(raw) == ("quarantine", "unknown_version")


def test_r2_a_stamp_of_the_far_future_waits_for_a_human_or_nothing_could_follow_it(cast, meeting):
    far = Answer(uid=meeting.uid, stamped=datetime(2150, 1, 1, tzinfo=UTC))
    assert outcome(clients.simple(far)) == ("queue", "wrong_clock")
    assert outcome(clients.simple(far.but(stamped=Answer.stamped))) == ("effect", "counted")


def test_r2_a_draft_that_was_moved_and_a_series_that_was_split_can_be_answered(cast):
    draft = factories.meeting(cast.ann, state="draft")
    later = (draft.starts + timedelta(hours=1)).isoformat()
    change(cast.ann, draft.uid, start=later)
    change(cast.ann, draft.uid, start=(draft.starts + timedelta(hours=3)).isoformat())
    change(cast.ann, draft.uid, state="scheduled")
    assert outcome(clients.google(Answer(uid=draft.uid))) == ("effect", "counted")
    series = monday_series(cast.ann)
    one = series.occurrences[2]
    start = (one.starts + timedelta(hours=2)).isoformat()
    split = change_one(cast.ann, series.uid, one.id, start=start, following=True)
    assert outcome(clients.google(Answer(uid=split.uid))) == ("effect", "counted")
    assert outcome(clients.google(Answer(uid=series.uid))) == ("effect", "counted")


def test_r4_a_reply_names_one_attendee_or_the_one_who_sent_it(cast, meeting):
    more = ("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:e-2@example.org",)
    answer = Answer(uid=meeting.uid, lines=more)
    assert outcome(clients.simple(answer)) == ("effect", "counted")
    assert attendee(cast.ann, meeting, "E-2").partstat == "NEEDS-ACTION"
    other = answer.but(stamped=answer.stamped + timedelta(seconds=1))
    raw = clients.simple(other, sender="dan@example.org")
    assert outcome(raw) == ("quarantine", "whose_answer")


def test_r4_without_a_stamp_nothing_can_be_put_in_order(cast, meeting):
    text_of = clients.simple(Answer(uid=meeting.uid)).decode()
    raw = "\r\n".join(line for line in text_of.split("\r\n") if not line.startswith("DTSTAMP"))
    assert outcome(raw.encode()) == ("quarantine", "no_stamp")


@pytest.mark.parametrize(
    "lines", [("STATUS:CONFIRMED",), ("BEGIN:VALARM", "ACTION:DISPLAY", "END:VALARM")]
)
def test_r4_what_does_not_belong_into_a_reply_is_passed_over(cast, meeting, lines):
    assert outcome(clients.simple(Answer(uid=meeting.uid, lines=lines))) == ("effect", "counted")


def test_r5_a_reply_changes_nothing_of_the_meeting(cast, meeting):
    later = meeting.starts + timedelta(hours=5)
    lines = ("SUMMARY:Taken over", "LOCATION:Elsewhere")
    come_in(clients.simple(Answer(uid=meeting.uid, start=later, lines=lines)))
    found = seen(meeting.uid, cast.ann)
    assert (found.starts, found.title) == (meeting.starts, meeting.title)


def test_r6_an_occurrence_that_is_not_there_or_called_off_cannot_be_answered(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    nowhere = f":{stamp(one.original + timedelta(hours=1))}"
    raw = clients.google(Answer(uid=series.uid, recurrence_id=nowhere))
    assert outcome(raw) == ("ignored", "no_such_occurrence")
    cancel_one(cast.ann, series.uid, one.id)
    raw = clients.google(Answer(uid=series.uid, recurrence_id=f":{stamp(one.original)}"))
    assert outcome(raw) == ("ignored", "not_open")
    assert count(OccurrenceAnswer) == 0


def test_r6_an_occurrence_that_was_moved_keeps_its_name(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    change_one(cast.ann, series.uid, one.id, start=(one.starts + timedelta(hours=2)).isoformat())
    name = f":{stamp(one.original)}"
    old = Answer(uid=series.uid, recurrence_id=name, sequence=0)
    assert outcome(clients.google(old)) == ("effect", "outdated")
    assert outcome(clients.google(old.but(sequence=1))) == ("effect", "counted")
    assert outcome(clients.google(old.but(recurrence_id=""))) == ("effect", "counted")


@pytest.mark.parametrize("named", [":20310304T0100000Z", ";VALUE=DATE:20310304", ";BROKEN:x", ":"])
def test_r6_what_names_its_occurrence_wrongly_never_counts_for_them_all(cast, named):
    series = monday_series(cast.ann)
    raw = clients.simple(Answer(uid=series.uid, partstat="DECLINED", recurrence_id=named))
    assert outcome(raw) == ("quarantine", "strange_occurrence")
    assert attendee(cast.ann, series).partstat == "NEEDS-ACTION"


def test_r7_a_comment_is_kept_and_shown(cast, meeting):
    lines = ("COMMENT:Đi cơ sở\\, về muộn",)
    come_in(clients.simple(Answer(uid=meeting.uid, partstat="DECLINED", lines=lines)))
    assert attendee(cast.ann, meeting).comment == "Đi cơ sở, về muộn"


MESSAGES = st.lists(
    st.builds(
        lambda who, said, seconds, sequence, occurrence: (who, said, seconds, sequence, occurrence),
        st.sampled_from(["e-1@example.org", "e-2@example.org", "crasher@example.org"]),
        st.sampled_from(["ACCEPTED", "DECLINED", "TENTATIVE", "DELEGATED", "COUNTER"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([None, 1, 2]),
    ),
    min_size=2,
    max_size=6,
)


def state_of(uid):
    """Everything that replies leave behind, but the order in which they came."""
    db.session.rollback()
    db.session.expire_all()
    said = ("partstat", "substitute", "substitute_state", "said_sequence", "said_key", "late")
    whole = db.session.execute(text(f"SELECT endpoint_id, {', '.join(said)} FROM attendees"))
    apart = db.session.execute(
        text(f"SELECT occurrence_id, attendee_id, {', '.join(said)} FROM occurrence_answers")
    )
    rows = db.session.execute(text("SELECT key, kind, state, why FROM replies"))
    tasks = db.session.execute(
        text("SELECT attendee_id, occurrence_id, kind FROM tasks WHERE done_at IS NULL")
    )
    return [sorted(map(str, one)) for one in (whole, apart, rows, tasks)]


def test_any_order_and_repetition_of_the_same_replies_ends_in_the_same_state(cast):
    series = monday_series(cast.ann)
    change(cast.ann, series.uid, start=(series.starts + timedelta(hours=1)).isoformat())
    names = [one.original for one in seen(series.uid, cast.ann).occurrences]

    def raw(number, message):
        who, said, seconds, sequence, occurrence = message
        rid = f":{stamp(names[occurrence])}" if occurrence is not None else ""
        start = names[occurrence or 0] + timedelta(hours=2 + seconds)
        answer = Answer(
            uid=series.uid,
            attendee=who,
            partstat=said if said != "COUNTER" else "TENTATIVE",
            method="COUNTER" if said == "COUNTER" else "REPLY",
            stamped=Answer.stamped + timedelta(seconds=seconds),
            sequence=sequence,
            recurrence_id=rid,
            start=start,
            parameters=';DELEGATED-TO="mailto:deputy@example.org"' if said == "DELEGATED" else "",
        )
        return clients.google(answer, message_id=f"<{number}@example.org>")

    def played(messages):
        with transaction():
            for table in ("received", "replies", "occurrence_answers", "tasks"):
                db.session.execute(text(f"DELETE FROM {table}"))
            asked = select(Attendee).where(Attendee.meeting_id == series.id)
            for one in db.session.scalars(asked):
                one.open_answer(1)
        for message in messages:
            come_in(message)
        return state_of(series.uid)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(MESSAGES, st.randoms())
    def check(messages, mixer: random.Random):
        mails = [raw(number, message) for number, message in enumerate(messages)]
        mixed = mails + [one for one in mails if mixer.random() < 0.4]
        mixer.shuffle(mixed)
        assert played(mixed) == played(mails)

    check()
