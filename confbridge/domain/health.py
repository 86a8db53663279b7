"""Whether a bridge is to be trusted, from its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

BAD_ANSWERS = 3  # in a row, until a bridge counts as down
GOOD_ANSWERS = 2  # in a row, until a bridge that was not up counts as up

CALM = timedelta(seconds=10)  # between two probes of a bridge on which nothing is going on


class BridgeState(StrEnum):
    """What is known of a bridge's health."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class Verdict(StrEnum):
    """What one probe says."""

    GOOD = "good"
    STRAINED = "strained"  # it answers, and something about it is not as it should be
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a driver waits for its bridge, in seconds: for the connection, and for an answer."""

    connect: float = 1.0
    answer: float = 3.0


@dataclass(frozen=True)
class Health:
    """A state, since when, and how many answers in a row were bad or good.

    `since` is None for a bridge that has never been up: it need not prove itself again.
    """

    state: BridgeState
    since: datetime | None = None
    bad: int = 0
    good: int = 0
    strained: int = 0

    def after(self, verdict: Verdict, now: datetime, dwell: timedelta) -> Health:
        """Return the health after one more answer.

        A bridge that misses an answer is degraded at once: what is on it goes on, but it comes
        last for new meetings, and is down after BAD_ANSWERS. What it has lost it gets back only
        after GOOD_ANSWERS, and after `dwell` in the worse state: one that comes and goes must
        not drag the schedule with it.
        """
        if verdict is Verdict.BAD:
            bad = self.bad + 1
            is_down = self.state is BridgeState.DOWN or bad >= BAD_ANSWERS
            state = BridgeState.DOWN if is_down else BridgeState.DEGRADED
            return self._to(state, now, bad=bad, good=0)
        good = self.good + 1
        best = BridgeState.UP if verdict is Verdict.GOOD else BridgeState.DEGRADED
        if self.state is BridgeState.UP and best is BridgeState.UP:
            return self._to(self.state, now, bad=0, good=good)
        if self.state is BridgeState.UP:  # two in a row that are strained, not a single one
            strained = self.strained + 1
            if strained < GOOD_ANSWERS:
                return replace(self, bad=0, good=0, strained=strained)
            return self._to(BridgeState.DEGRADED, now, bad=0, good=0)
        is_proven = good >= GOOD_ANSWERS and (self.since is None or now - self.since >= dwell)
        return self._to(best if is_proven else self.state, now, bad=0, good=good)

    def _to(self, state: BridgeState, now: datetime, *, bad: int, good: int) -> Health:
        if state is self.state:
            return replace(self, bad=bad, good=good, strained=0)
        return Health(state, now, bad, good)

    def next_probe(self, *, is_live: bool, lost_within: timedelta) -> timedelta:
        """Return when to ask again, so that a loss is noticed within `lost_within`.

        A bridge with conferences on it is asked four times as often as that, and at once again
        after a bad answer: its time-outs come on top.
        """
        if self.state is BridgeState.DOWN:
            return CALM / 3
        if self.bad:
            return lost_within / 20
        return min(lost_within / 4, CALM) if is_live else CALM
