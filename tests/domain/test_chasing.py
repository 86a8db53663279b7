"""When whom to remind."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from confbridge.domain import chasing
from confbridge.domain.chasing import Deed, Plan, Step
from confbridge.domain.workdays import Hours, Workdays

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
DAYS = Workdays(zone=ZONE, hours=[Hours(time(7), time(17))])
MONDAY = datetime(2031, 3, 10, 8, tzinfo=ZONE)  # the tenth of March 2031
STEPS = chasing.steps(Plan((1440, 60), 3), MONDAY, DAYS)


def test_steps_count_minutes_and_working_days():
    assert [(one.name, one.due.astimezone(ZONE).strftime("%a %d %H:%M")) for one in STEPS] == [
        ("silent", "Wed 05 08:00"),
        ("office", "Thu 06 08:00"),
        ("before 1440", "Sun 09 08:00"),
        ("before 60", "Mon 10 07:00"),
    ]


@pytest.mark.parametrize(
    ("step", "partstat", "role", "deed"),
    [
        ("silent", "NEEDS-ACTION", "optional", Deed.ASK),
        ("silent", "ACCEPTED", "required", None),
        ("office", "NEEDS-ACTION", "required", Deed.ESCALATE),
        ("office", "NEEDS-ACTION", "optional", None),
        ("office", "DECLINED", "required", None),
        ("before 60", "ACCEPTED", "required", Deed.REMIND),
        ("before 60", "TENTATIVE", "required", Deed.REMIND),
        ("before 60", "DECLINED", "required", None),
        ("before 60", "NEEDS-ACTION", "required", Deed.ASK),
    ],
)
def test_who_is_done_what_with(step, partstat, role, deed):
    assert chasing.deed_of(Step(step, MONDAY), partstat, role) is deed


def due(now, *, told=None, given=None, starts=MONDAY):
    plan = chasing.steps(Plan((1440, 60), 3), starts, DAYS)
    found = chasing.due_now(plan, now=now, starts=starts, told=told, given=given or {})
    return [one.name for one in found]


def test_what_was_due_before_the_invitation_went_out_is_left_out():
    now = MONDAY - timedelta(minutes=30)
    assert due(now, told=MONDAY - timedelta(hours=2)) == ["before 60"]
    assert due(now, told=MONDAY - timedelta(minutes=45)) == []


def test_the_same_reminder_is_not_given_again_for_a_start_nearby():
    given = {"before 1440": MONDAY, "silent": MONDAY, "office": MONDAY}
    now = MONDAY - timedelta(hours=20)
    assert due(now, given=given) == []
    assert due(now, given=given, starts=MONDAY + timedelta(minutes=10)) == []
    later = MONDAY + timedelta(days=2)
    assert "before 1440" in due(later - timedelta(hours=20), given=given, starts=later)


def test_when_to_look_again():
    assert chasing.next_due(STEPS, MONDAY - timedelta(hours=3)) == MONDAY - timedelta(hours=1)
    assert chasing.next_due(STEPS, MONDAY) is None
    assert chasing.next_due(STEPS, datetime(2031, 1, 1, tzinfo=UTC)) == STEPS[0].due
