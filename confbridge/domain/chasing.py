"""When whom to remind: of an answer that is missing, and of a meeting that is near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from confbridge.domain.rsvp import Partstat, Role
from confbridge.domain.workdays import Workdays


class Deed(StrEnum):
    """What is done at a step."""

    ASK = "ask"  # again for an answer
    REMIND = "remind"  # of the time
    ESCALATE = "escalate"  # tell the head office of who is silent


@dataclass(frozen=True)
class Plan:
    """So long before the start: minutes for everybody, working days for who is silent."""

    minutes: tuple[int, ...]
    days: int


@dataclass(frozen=True)
class Step:
    """One reminder of one endpoint's."""

    name: str
    due: datetime


def steps(plan: Plan, starts: datetime, workdays: Workdays) -> list[Step]:
    """Return the steps for a meeting that starts then, in order of time.

    The head office is told a working day after who is silent was asked again.
    """
    found = [Step(f"before {one}", starts - timedelta(minutes=one)) for one in plan.minutes]
    if plan.days:
        found.append(Step("silent", workdays.before(starts, plan.days)))
        found.append(Step("office", workdays.before(starts, max(plan.days - 1, 1))))
    return sorted(found, key=lambda one: one.due)


def deed_of(step: Step, partstat: str, role: str) -> Deed | None:
    """Return what a step asks for with who has answered so; None if nothing."""
    silent = partstat == Partstat.NEEDS_ACTION
    if step.name == "office":
        return Deed.ESCALATE if silent and role != Role.OPTIONAL else None
    if silent:
        return Deed.ASK
    if step.name == "silent" or partstat == Partstat.DECLINED:
        return None
    return Deed.REMIND


def is_done(step: Step, starts: datetime, given: Mapping[str, datetime]) -> bool:
    """Say whether the same reminder was given: for this start, or one not far from it.

    Only when the meeting went further than the reminder goes ahead is it another one.
    """
    about = given.get(step.name)
    return about is not None and abs(starts - about) < max(starts - step.due, timedelta(hours=1))


def due_now(
    plan: Sequence[Step],
    *,
    now: datetime,
    starts: datetime,
    told: datetime | None,
    given: Mapping[str, datetime],
) -> list[Step]:
    """Return the steps whose time has come and that were not given.

    What was due before the last invitation (`told`) said the same is left out.
    """
    return [
        one
        for one in plan
        if one.due <= now and (told is None or one.due > told) and not is_done(one, starts, given)
    ]


def next_due(plan: Sequence[Step], now: datetime) -> datetime | None:
    """Return when to look again."""
    return min((one.due for one in plan if one.due > now), default=None)
