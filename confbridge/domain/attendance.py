"""How long somebody was there, and what that makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from confbridge.domain.interval import Interval, merged


class PresenceState(StrEnum):
    """The secretary's word for it."""

    PRESENT_ONLINE = "present_online"
    PRESENT_IN_PERSON = "present_in_person"  # as the secretary has seen
    ABSENT = "absent"
    NOT_CALLED = "not_called"  # the meeting has not begun


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What the sessions of one site come to, in whole minutes of the meeting's time."""

    state: PresenceState
    minutes: int = 0
    late_minutes: int = 0
    left_early_minutes: int = 0


def presence(sessions: Sequence[Interval], during: Interval, now: datetime) -> Presence:
    """Return what the sessions come to; one that goes on ends `now`.

    Two sessions at once count once: a site with two legs was there one time.
    """
    within = _within(sessions, during)
    is_in = any(one.end >= now for one in sessions)
    if not within and not is_in:  # whoever only tried the line beforehand was not there
        begun = during.start <= now
        return Presence(state=PresenceState.ABSENT if begun else PresenceState.NOT_CALLED)
    over = now >= during.end
    first = min(one.start for one in sessions)
    last = max(*(one.end for one in sessions), during.start)
    return Presence(
        state=PresenceState.PRESENT_ONLINE,
        minutes=_minutes(within),
        late_minutes=_minutes(max(first - during.start, timedelta())),
        left_early_minutes=_minutes(max(during.end - last, timedelta())) if over else 0,
    )


def _within(sessions: Iterable[Interval], during: Interval) -> timedelta:
    spent = timedelta()
    for one in merged(sessions):
        spent += max(min(one.end, during.end) - max(one.start, during.start), timedelta())
    return spent


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
