"""Slots held for a limited time: by drafts, by who waits for room, by what was displaced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.lifecycle import MeetingState
from confbridge.errors import Conflict, Phrase
from confbridge.models import Account, Meeting, Occurrence
from confbridge.services import access, allocation, audit, demands, invitations
from confbridge.services.allocation import Claim

LOOK_AGAIN = timedelta(minutes=2)
MAY_HOLD = {MeetingState.DRAFT, MeetingState.POSTPONED}


def hold(meeting: Meeting, minutes: int | None, *, by: Account) -> None:
    """Let a draft hold its slots for so many minutes (None: as is usual), or no longer (0).

    Raises Conflict, Clash.
    """
    if meeting.state not in MAY_HOLD:
        raise Conflict(Phrase("Only a draft, or what was postponed, is held for a while."))
    some = [one for one in meeting.occurrences if one.state in MAY_HOLD]
    if minutes == 0:
        let_go(meeting, some)
        room_was_made()
    else:
        if any(one.hold_until is None for one in some):
            take(meeting, some)
        keep(meeting, minutes)
    meeting.version += 1
    said = "let go" if minutes == 0 else "held"
    audit.record(by.email, f"slots {said}", f"meeting {meeting.uid}")
    db.session.flush()


def keep(meeting: Meeting, minutes: int | None) -> None:
    """Say until when what is held now is held (None: as long as is usual)."""
    usual = config.in_force().hold_minutes
    until = clock.now() + timedelta(minutes=usual if minutes is None else minutes)
    for one in meeting.occurrences:
        if one.state in MAY_HOLD:
            one.hold_until = until


def take(meeting: Meeting, some: Sequence[Occurrence]) -> None:
    """Hold the slots of these occurrences where they stand; no room is opened.

    Raises Clash.
    """
    needs = demands.needs_now(meeting, some)
    claims = [Claim(one, need) for one, need in zip(some, needs, strict=True)]
    allocation.shift(claims, opening=False)


def let_go(meeting: Meeting, some: Sequence[Occurrence]) -> None:
    """Give back what these hold; who was offered room and does not take it waits no longer."""
    allocation.release(some)
    if is_offered(meeting):
        meeting.waiting_since = None


def is_offered(meeting: Meeting) -> bool:
    """Say whether room was found for one that waited: there is nothing to look for any more."""
    return meeting.waiting_since is not None and meeting.check_at is None


def release_one() -> bool:
    """Give back the hold that has run out longest ago; say whether there was one."""
    now = clock.now()
    asked = (
        select(Occurrence)
        .where(Occurrence.hold_until <= now)
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.hold_until, Occurrence.id)
        .limit(1)
    )
    found = db.session.scalar(asked)
    if found is None:
        return False
    locked = select(Meeting).where(Meeting.id == found.meeting_id)
    meeting = db.session.scalars(
        locked.with_for_update(of=Meeting).execution_options(populate_existing=True)
    ).one()
    due = [one for one in meeting.occurrences if one.hold_until and one.hold_until <= now]
    if not due:
        return True  # another worker was quicker
    let_go(meeting, due)
    meeting.version += 1
    audit.record("holds", "hold ended", f"meeting {meeting.uid}")
    room_was_made()
    return True


def wait(meeting: Meeting, *, by: Account) -> None:
    """Put a draft, or what was postponed, on the waiting list for its time.

    Raises Conflict.
    """
    if meeting.state not in MAY_HOLD:
        raise Conflict(Phrase("Only a draft, or what was postponed, can wait for room."))
    if meeting.occurrence.starts <= clock.now():
        raise Conflict(Phrase("Its time has come already."))
    meeting.waiting_since = meeting.waiting_since or clock.now()
    meeting.check_at = clock.now()
    meeting.version += 1
    audit.record(by.email, "waits for room", f"meeting {meeting.uid}")
    db.session.flush()


def stop_waiting(meeting: Meeting, *, by: Account) -> None:
    """Take it off the waiting list."""
    meeting.waiting_since = meeting.check_at = None
    meeting.version += 1
    audit.record(by.email, "waits no longer", f"meeting {meeting.uid}")
    db.session.flush()


def room_was_made() -> None:
    """Let everybody who waits be looked at again, the longest waiting first.

    Who is being looked at or changed by another transaction is left alone, for
    that may wait for what this one holds; it is looked at again soon anyway.
    """
    waiting = (
        select(Meeting.id)
        .where(Meeting.check_at.is_not(None), Meeting.waiting_since.is_not(None))
        .with_for_update(skip_locked=True)
    )
    numbers = db.session.scalars(waiting).all()
    if numbers:
        again = update(Meeting).where(Meeting.id.in_(numbers)).values(check_at=clock.now())
        db.session.execute(again)


def serve_one() -> bool:
    """Offer room to the next who waits and is due; say whether anybody was looked at."""
    now = clock.now()
    meeting = db.session.scalar(
        select(Meeting)
        .where(Meeting.check_at <= now)
        .order_by(Meeting.waiting_since, Meeting.id)
        .with_for_update(of=Meeting, skip_locked=True)
        .limit(1)
    )
    if meeting is None:
        return False
    meeting.check_at = now + LOOK_AGAIN
    some = [one for one in meeting.occurrences if one.state in MAY_HOLD]
    if meeting.state not in MAY_HOLD or not some or some[0].starts <= now:
        meeting.waiting_since = meeting.check_at = None
        meeting.version += 1
        return True
    if all(one.hold_until for one in some):
        return True  # it holds its slots already, and waits on in case that ends
    if not _can_be_held(meeting, some):
        return True
    take(meeting, some)
    _offer(meeting, some)
    return True


def offer_back(cause: Sequence[Occurrence]) -> None:
    """Offer what these had displaced its old time again, where that is still free."""
    asked = (
        select(Occurrence)
        .where(Occurrence.displaced_by_id.in_([one.id for one in cause]))
        .where(Occurrence.state == MeetingState.POSTPONED, Occurrence.starts > clock.now())
        .options(joinedload(Occurrence.meeting))
        .order_by(Occurrence.meeting_id, Occurrence.id)
    )
    found = db.session.scalars(asked).unique().all()
    if not found:
        return
    # All of them first, then their endpoints, before any bridge: as everybody locks.
    locked = select(Meeting.id).where(Meeting.id.in_([one.meeting_id for one in found]))
    db.session.execute(locked.order_by(Meeting.id).with_for_update(of=Meeting))
    needs = [demands.needs_now(one.meeting, [one])[0] for one in found]
    allocation.lock_endpoints({number for need in needs for number in need.endpoints})
    for one in found:
        if _can_be_held(one.meeting, [one]):
            take(one.meeting, [one])
            _offer(one.meeting, [one])


def listed(account: Account) -> Sequence[Meeting]:
    """Return drafts, what waits and what is postponed, of those that `account` runs."""
    some_postponed = (
        select(Occurrence.id)
        .where(Occurrence.meeting_id == Meeting.id)
        .where(Occurrence.state == MeetingState.POSTPONED, Occurrence.ends > clock.now())
        .exists()
    )
    asked = (
        select(Meeting)
        .where(access.meeting_is_own(account))
        .where(Meeting.state.in_(MAY_HOLD) | Meeting.waiting_since.is_not(None) | some_postponed)
        .order_by(Meeting.starts, Meeting.id)
        .limit(200)
    )
    return db.session.scalars(asked).all()


def _offer(meeting: Meeting, some: Sequence[Occurrence]) -> None:
    until = _until(some[0].starts)
    for one in some:
        one.hold_until = until
    meeting.check_at = None
    meeting.version += 1
    invitations.offer(meeting, some[0], until=until)
    audit.record("holds", "room offered", f"meeting {meeting.uid}")
    db.session.flush()


def _until(starts: datetime) -> datetime:
    """Return how long an offer stands: not beyond the start of what it is for."""
    return min(clock.now() + timedelta(minutes=config.in_force().offer_minutes), starts)


def _can_be_held(meeting: Meeting, some: Sequence[Occurrence]) -> bool:
    """Look, with the locks taken, whether every slot is free: a Clash would undo the rest."""
    needs = demands.needs_now(meeting, some)
    return all(allocation.plan(needs, but=[one.id for one in some]))
