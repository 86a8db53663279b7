from __future__ import annotations

import pytest

from confbridge.domain.health import BAD_ANSWERS, GOOD_ANSWERS, BridgeState, Health
from confbridge.domain.lifecycle import NEXT, MeetingState, check_step
from confbridge.domain.placement import Candidate, chosen, reaches
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


def candidate(number: int, free: int, state: BridgeState = BridgeState.UP) -> Candidate:
    return Candidate(id=number, state=state, free=free)


def test_the_fullest_bridge_that_still_fits_is_chosen():
    assert chosen([candidate(1, 50), candidate(2, 12), candidate(3, 9)], 10) == 2


def test_a_degraded_bridge_is_the_last_choice():
    assert chosen([candidate(1, 50), candidate(2, 12, BridgeState.DEGRADED)], 10) == 1
    assert chosen([candidate(1, 5), candidate(2, 12, BridgeState.DEGRADED)], 10) == 2


def test_if_none_fits_none_is_chosen():
    assert chosen([candidate(1, 9)], 10) is None
    assert chosen([], 1) is None


def test_a_bridge_must_share_a_network_with_every_endpoint():
    both, one = frozenset({"tslcd", "internet"}), frozenset({"tslcd"})
    assert reaches(both, [one, frozenset({"internet"})])
    assert not reaches(one, [one, frozenset({"internet"})])


@pytest.mark.parametrize("now", list(MeetingState))
@pytest.mark.parametrize("then", list(MeetingState))
def test_a_meeting_goes_only_where_it_may(now, then):
    if then in NEXT[now]:
        check_step(now, then)
    elif now is not MeetingState.SCHEDULED:
        with pytest.raises(Conflict):
            check_step(now, then)
