from __future__ import annotations

import pytest

from confbridge.domain.health import BAD_ANSWERS, GOOD_ANSWERS, BridgeState, Health
from confbridge.domain.lifecycle import NEXT, MeetingState, check_step
from confbridge.errors import Conflict


def after(health: Health, answers: str) -> Health:
    for answer in answers:
        health = health.after(good=answer == "+")
    return health


UP, DOWN = Health(BridgeState.UP), Health(BridgeState.DOWN)


@pytest.mark.parametrize(
    ("start", "answers", "state"),
    [
        (UP, "+", BridgeState.UP),
        (UP, "-", BridgeState.DEGRADED),
        (UP, "--", BridgeState.DEGRADED),
        (UP, "---", BridgeState.DOWN),
        (UP, "--+", BridgeState.UP),
        (UP, "--+--", BridgeState.DEGRADED),
        (DOWN, "+", BridgeState.DOWN),
        (DOWN, "++", BridgeState.UP),
        (DOWN, "+-+", BridgeState.DOWN),
        (DOWN, "+-++", BridgeState.UP),
    ],
)
def test_a_bridge_changes_its_state_after_several_answers_in_a_row(start, answers, state):
    assert (BAD_ANSWERS, GOOD_ANSWERS) == (3, 2)
    assert after(start, answers).state is state


@pytest.mark.parametrize("now", list(MeetingState))
@pytest.mark.parametrize("then", list(MeetingState))
def test_a_meeting_goes_only_where_it_may(now, then):
    if then in NEXT[now]:
        check_step(now, then)
    else:
        with pytest.raises(Conflict):
            check_step(now, then)
