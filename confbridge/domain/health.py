"""Whether a bridge is to be trusted, from its answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BAD_ANSWERS = 3  # in a row, until a bridge that was up counts as down
GOOD_ANSWERS = 2  # in a row, until a bridge that was down counts as up


class BridgeState(StrEnum):
    """What is known of a bridge's health."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class Health:
    """A state, and how many answers in a row spoke against it."""

    state: BridgeState
    against: int = 0

    def after(self, *, good: bool) -> Health:
        """Return the health after one more answer.

        A bridge that misses an answer is degraded at once: what is on it goes
        on, but it comes last for new meetings, and is down after BAD_ANSWERS.
        """
        if self.state is BridgeState.DOWN:
            against = self.against + 1 if good else 0
            return (
                Health(BridgeState.UP) if against >= GOOD_ANSWERS else Health(self.state, against)
            )
        if good:
            return Health(BridgeState.UP)
        against = self.against + 1
        state = BridgeState.DOWN if against >= BAD_ANSWERS else BridgeState.DEGRADED
        return Health(state, 0 if state is BridgeState.DOWN else against)
