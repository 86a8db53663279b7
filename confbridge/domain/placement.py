"""The choice of a bridge."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from confbridge.domain.health import BridgeState


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is decided on about a bridge: `free` ports for the whole time."""

    id: int
    state: BridgeState
    free: int


def reaches(bridge: frozenset[str], endpoints: Collection[frozenset[str]]) -> bool:
    """Say whether every endpoint hangs on a network that the bridge has too."""
    return all(bridge & networks for networks in endpoints)


def chosen(candidates: Collection[Candidate], ports: int) -> int | None:
    """Return the id of the fullest bridge that still has room, or None.

    Filling bridges up, rather than spreading the load, leaves the largest
    gaps for large meetings. A degraded bridge is taken only if no other will do.
    """
    fitting = [one for one in candidates if one.free >= ports]
    if not fitting:
        return None
    return min(fitting, key=lambda one: (one.state != BridgeState.UP, one.free, one.id)).id
