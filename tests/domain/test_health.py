from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from confbridge.domain.health import (
    BAD_ANSWERS,
    CALM,
    GOOD_ANSWERS,
    BridgeState,
    Health,
    Verdict,
)
from confbridge.domain.lifecycle import NEXT, MeetingState, check_step
from confbridge.errors import Conflict

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)
VERDICTS = {"+": Verdict.GOOD, "~": Verdict.STRAINED, "-": Verdict.BAD}


def after(health: Health, answers: str, dwell: int = 0) -> Health:
    now = START
    for answer in answers:
        now += STEP
        health = health.after(VERDICTS[answer], now, timedelta(seconds=dwell))
    return health


UP, DOWN = Health(BridgeState.UP, START), Health(BridgeState.DOWN, START)
NEW = Health(BridgeState.DOWN)


@pytest.mark.parametrize(
    ("start", "answers", "state"),
    [
        (UP, "+", BridgeState.UP),
        (UP, "-", BridgeState.DEGRADED),
        (UP, "--", BridgeState.DEGRADED),
        (UP, "---", BridgeState.DOWN),
        (UP, "--+", BridgeState.DEGRADED),
        (UP, "--++", BridgeState.UP),
        (UP, "--+--", BridgeState.DEGRADED),
        (UP, "~", BridgeState.UP),
        (UP, "~~", BridgeState.DEGRADED),
        (UP, "~~++", BridgeState.UP),
        (UP, "~+~", BridgeState.UP),
        (DOWN, "+", BridgeState.DOWN),
        (DOWN, "++", BridgeState.UP),
        (DOWN, "~~", BridgeState.DEGRADED),
        (DOWN, "+-+", BridgeState.DOWN),
        (DOWN, "+-++", BridgeState.UP),
        (NEW, "++", BridgeState.UP),
    ],
)
def test_a_bridge_changes_its_state_after_several_answers_in_a_row(start, answers, state):
    assert (BAD_ANSWERS, GOOD_ANSWERS) == (3, 2)
    assert after(start, answers).state is state


@pytest.mark.parametrize(
    ("start", "answers", "state"),
    [
        (DOWN, "+++", BridgeState.DOWN),
        (DOWN, "+++++", BridgeState.DOWN),
        (DOWN, "++++++", BridgeState.UP),
        (DOWN, "+++++-", BridgeState.DOWN),
        (NEW, "++", BridgeState.UP),
    ],
)
def test_what_was_down_dwells_there_before_it_counts_as_better(start, answers, state):
    assert after(start, answers, dwell=60).state is state


def test_a_bridge_that_comes_and_goes_does_not_drag_the_schedule_with_it():
    states = {after(UP, "---" + "+-" * count, dwell=60).state for count in range(10)}
    assert states == {BridgeState.DOWN}


@pytest.mark.parametrize("lost_within", [4, 10, 30])
@pytest.mark.parametrize("waits", [0.0, 1.5])
def test_a_bridge_with_conferences_on_it_is_known_to_be_lost_in_time(lost_within, waits):
    limit = timedelta(seconds=lost_within)
    if waits * BAD_ANSWERS >= lost_within:
        return  # its driver waits longer than that: a matter of settings
    health, passed = UP, UP.next_probe(is_live=True, lost_within=limit)
    while health.state is not BridgeState.DOWN:
        passed += timedelta(seconds=waits)
        health = health.after(Verdict.BAD, START + passed, timedelta())
        if health.state is not BridgeState.DOWN:
            passed += health.next_probe(is_live=True, lost_within=limit)
    assert passed <= limit


def test_a_quiet_bridge_is_asked_calmly():
    assert UP.next_probe(is_live=False, lost_within=timedelta(seconds=10)) == CALM


@pytest.mark.parametrize("now", list(MeetingState))
@pytest.mark.parametrize("then", list(MeetingState))
def test_a_meeting_goes_only_where_it_may(now, then):
    if then in NEXT[now]:
        check_step(now, then)
    else:
        with pytest.raises(Conflict):
            check_step(now, then)
