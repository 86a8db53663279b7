"""What the administrator has decided: the order of ranks, and which days are worked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.rank import Precedence, Rank, may_use, own
from confbridge.domain.workdays import Hours, Workdays
from confbridge.errors import Invalid, NotAllowed, Phrase
from confbridge.models import Account, DecidedDay, Organisation, RankWeight
from confbridge.services import audit


def weights() -> dict[str, int]:
    """Return the weight of each rank; a higher one goes first."""
    return {one.rank: one.weight for one in db.session.scalars(select(RankWeight))}


def precedence() -> Precedence:
    """Return the order in force, and how long before its start a meeting is safe."""
    return Precedence(weights(), timedelta(minutes=config.in_force().displace_minutes))


def rank_for(host: Organisation, wanted: Rank | None) -> Rank:
    """Return the rank with which `host` convenes: its own if none is named.

    Raises NotAllowed.
    """
    if wanted is None:
        return own(host.level)
    if not may_use(wanted, host.level, weights()):
        raise NotAllowed(Phrase("%(name)s may not convene with so high a rank.", name=host.name))
    return wanted


def order_ranks(wanted: Mapping[Rank, int], *, by: Account) -> None:
    """Give ranks other weights.

    Raises Invalid if an emergency would no longer go first.
    """
    now = weights() | {rank.value: weight for rank, weight in wanted.items()}
    others = [weight for rank, weight in now.items() if rank != Rank.EMERGENCY]
    if now[Rank.EMERGENCY] <= max(others):
        raise Invalid(emergency=Phrase("An emergency must stand above every other rank."))
    for one in db.session.scalars(select(RankWeight)):
        one.weight = now[one.rank]
    said = ", ".join(f"{rank} {weight}" for rank, weight in wanted.items())
    audit.record(by.email, "ranks ordered", "ranks", said)


def workdays() -> Workdays:
    """Return the calendar of working days and hours as it is in force."""
    settings = config.in_force()
    return Workdays(
        zone=settings.zone,
        hours=[Hours(start, end) for start, end in settings.hours],
        decided={one.day: one.worked for one in decided_days()},
    )


def decided_days() -> Sequence[DecidedDay]:
    """Return the days on which the administrator's word wins, in order."""
    return db.session.scalars(select(DecidedDay).order_by(DecidedDay.day)).all()


def decide_day(day: date, *, worked: bool, basis: str, by: Account) -> DecidedDay:
    """Say that a day is worked, or off, whatever the calendar says."""
    found = db.session.get(DecidedDay, day)
    if found is None:
        found = DecidedDay(day=day)
        db.session.add(found)
    found.worked, found.basis = worked, basis
    audit.record(by.email, "day decided", f"day {day}", f"{'work' if worked else 'off'}: {basis}")
    db.session.flush()
    return found


def undecide_day(day: date, *, by: Account) -> None:
    """Let the law and the calendar say again what a day is."""
    found = db.session.get(DecidedDay, day)
    if found is not None:
        db.session.delete(found)
        audit.record(by.email, "day no longer decided", f"day {day}")


def is_short_notice(start: datetime) -> int | None:
    """Return the working days of notice if they are fewer than the rule asks for, else None."""
    days = workdays().between(clock.now(), start)
    return days if days < config.in_force().notice_days else None
