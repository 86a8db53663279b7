from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.attendance import Presence, PresenceState, presence
from confbridge.domain.interval import Interval

EIGHT = datetime(2031, 3, 4, 8, tzinfo=UTC)


def at(minute: float) -> datetime:
    return EIGHT + timedelta(minutes=minute)


def during(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


MEETING = during(0, 60)


def test_who_came_late_and_left_early_is_told_in_minutes():
    assert presence([during(10, 30), during(40, 50)], MEETING, at(70)) == Presence(
        state=PresenceState.PRESENT_ONLINE, minutes=30, late_minutes=10, left_early_minutes=10
    )


def test_two_legs_at_once_count_once():
    assert presence([during(0, 60), during(0, 60)], MEETING, at(70)).minutes == 60


def test_waiting_before_the_meeting_does_not_count():
    found = presence([during(-15, 75)], MEETING, at(80))
    assert (found.minutes, found.late_minutes, found.left_early_minutes) == (60, 0, 0)


def test_while_the_meeting_goes_on_nobody_has_left_early():
    assert presence([during(0, 20)], MEETING, at(30)).left_early_minutes == 0


def test_who_only_tried_the_line_beforehand_was_absent():
    tried = [during(-15, -10)]
    assert presence(tried, MEETING, at(-5)).state is PresenceState.NOT_CALLED
    assert presence(tried, MEETING, at(70)) == Presence(state=PresenceState.ABSENT)


def test_who_waits_inside_is_there():
    assert presence([during(-15, -5)], MEETING, at(-5)).state is PresenceState.PRESENT_ONLINE


def test_absence_is_known_only_once_the_meeting_has_begun():
    assert presence([], MEETING, at(-5)).state is PresenceState.NOT_CALLED
    assert presence([], MEETING, at(5)).state is PresenceState.ABSENT


@given(st.lists(st.tuples(st.integers(-20, 70), st.integers(1, 30)), max_size=8))
def test_minutes_agree_with_counting_them(rows):
    sessions = [during(start, start + lasts) for start, lasts in rows]
    counted = sum(
        any(one.overlaps(during(minute, minute + 1)) for one in sessions) for minute in range(60)
    )
    assert presence(sessions, MEETING, at(200)).minutes == counted
