"""A higher meeting taking what lower ones hold: named one by one, with a reason, and told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import joinedload

from confbridge import clock
from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.placement import AllocationRole
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.meetings import Displacement
from confbridge.models import (
    Account,
    Allocation,
    Attendee,
    Meeting,
    Occurrence,
    Offer,
    Reservation,
)
from confbridge.models import bridge as bridge_models
from confbridge.models.meeting import LONGEST
from confbridge.services import allocation, audit, availability, demands, hosts, invitations, rules
from confbridge.services.availability import Quest
from confbridge.services.demands import Need

OFFERS = 3
HORIZON = timedelta(days=14)


@dataclass(frozen=True, kw_only=True)
class Lower:
    """An occurrence that could give way: whose, when, and with what rank."""

    occurrence_id: int
    meeting_id: int
    during: Interval
    rank: str


@dataclass(frozen=True)
class Displaced:
    """An occurrence that gave way; only those it was told to need to be told."""

    occurrence: Occurrence
    was_scheduled: bool


def could_give_way(
    needs: Sequence[Need], rank: str, *, but: Collection[int] = ()
) -> list[Lower] | None:
    """Return the lower meetings without which every need could be met, as few as we find.

    None if displacing would not help, or something in the way may not be displaced.
    """
    chosen: dict[int, Lower] = {}
    for need in needs:
        some = _for_one(need, rank, frozenset(but) | chosen.keys())
        if some is None:
            return None
        chosen |= {one.occurrence_id: one for one in some}
    return sorted(chosen.values(), key=lambda one: (one.during, one.occurrence_id))


def make_way(
    wanted: Displacement, needs: Sequence[Need], rank: str, *, by: Account
) -> list[Displaced]:
    """Postpone the occurrences named, each of which must be lower and in the way.

    What a draft holds for a while is taken from it; it stays a draft.
    Their meetings are locked in order of id, before endpoints and bridges.

    Raises Conflict, Invalid.
    """
    numbers = sorted(set(wanted.occurrences))
    meetings = select(Occurrence.meeting_id).where(Occurrence.id.in_(numbers))
    locked = select(Meeting).where(Meeting.id.in_(meetings)).order_by(Meeting.id)
    db.session.scalars(locked.with_for_update(of=Meeting)).all()
    asked = select(Occurrence).where(Occurrence.id.in_(numbers)).order_by(Occurrence.id)
    asked = asked.options(joinedload(Occurrence.meeting))
    found = db.session.scalars(asked.execution_options(populate_existing=True)).unique().all()
    if len(found) < len(numbers):
        raise Invalid(displace=Phrase("What is to give way is not there any more. Look again."))
    precedence = rules.precedence()
    for one in found:
        if not _is_needed(one.id, needs, numbers):
            raise Invalid(displace=Phrase("What is to give way is not in the way. Look again."))
        if not precedence.may_displace(rank, one.meeting.rank, starts=one.starts, now=clock.now()):
            raise Conflict(
                Phrase("A meeting of the same or a higher rank, or about to begin, stays.")
            )
    displaced = [Displaced(one, one.state == MeetingState.SCHEDULED) for one in found]
    for each in displaced:
        each.occurrence.reason = wanted.reason
        if each.was_scheduled:
            each.occurrence.state = MeetingState.POSTPONED
    allocation.release(found)
    audit.record(
        by.email, "displaced", f"occurrences {', '.join(map(str, numbers))}", wanted.reason
    )
    return displaced


def _is_needed(number: int, needs: Sequence[Need], named: Collection[int]) -> bool:
    """Say whether some need could not be met if this one stayed and only the others went."""
    others = frozenset(named) - {number}
    bridges = hosts.listed()
    for need in needs:
        if number in {one.occurrence_id for one in _endpoint_holders(need)}:
            return True
        if number in {one.occurrence_id for one in _port_holders(need)}:
            scene = hosts.scenes(bridges, [need.demand.span], but=others)[0]
            if scene.place(need.demand) is None:
                return True
    return False


def tell_displaced(displaced: Sequence[Displaced], cause: Meeting, *, by: Account) -> None:
    """Find new times for those who gave way, and tell everybody concerned, in one mail each."""
    for each in displaced:
        one = each.occurrence
        one.displaced_by_id = _cause_of(one, cause).id
        if one.meeting.waiting_since is not None:
            one.meeting.check_at = clock.now()  # what was offered to it has been taken
        settle_postponed(one.meeting)
        present = demands.members([one])[one.id] if each.was_scheduled else set()
        told = [who for who in one.meeting.attendees if who.endpoint_id in present]
        tell_postponed(one.meeting, one, told, by=by)


def _cause_of(one: Occurrence, cause: Meeting) -> Occurrence:
    """Return the occurrence that took the time: if that one is called off, it is offered back."""
    for each in cause.occurrences:
        if each.during.widened(cause.lead, cause.tail).overlaps(
            one.during.widened(one.meeting.lead, one.meeting.tail)
        ):
            return each
    return cause.occurrence


def tell_postponed(
    meeting: Meeting, one: Occurrence, told: Sequence[Attendee], *, by: Account
) -> None:
    """Find the best new times for what lost its own; tell these endpoints, and the organizer."""
    times = new_times(meeting, one)
    db.session.execute(delete(Offer).where(Offer.occurrence_id == one.id))
    db.session.add_all(
        Offer(occurrence_id=one.id, starts=during.start, ends=during.end) for during in times
    )
    meeting.version += 1
    invitations.postpone(
        meeting,
        one,
        by=by,
        offers=[during.start for during in times],
        told=told,
    )
    audit.record(by.email, "postponed", f"meeting {meeting.uid}", one.reason)
    db.session.flush()


def settle_postponed(meeting: Meeting) -> None:
    """Let the meeting as a whole be postponed when all of it that is ahead is."""
    ahead = [one for one in meeting.occurrences if one.state == MeetingState.SCHEDULED]
    if not ahead and meeting.state == MeetingState.SCHEDULED:
        meeting.state = MeetingState.POSTPONED


def new_times(meeting: Meeting, one: Occurrence) -> list[Interval]:
    """Return the three best times at which a postponed occurrence could be held."""
    (need,) = demands.needs_now(meeting, [one])
    now = clock.now()
    required = {each.endpoint_id for each in meeting.attendees if each.role != "optional"}
    start = max(one.starts, now)
    found, _ = availability.look(
        Quest(
            need=need,
            required=frozenset(required),
            within=Interval(start, start + HORIZON),
            limit=OFFERS,
            at_least=len(need.endpoints) - len(required & set(need.endpoints)),
            hours=rules.workdays(),
            but=frozenset({one.id}),
            near=one.starts,
            avoid=one.during,
        )
    )
    return [suggestion.during for suggestion in found]


def offers_of(occurrence: Occurrence) -> list[Interval]:
    """Return the new times that were found for an occurrence, the best first."""
    asked = select(Offer).where(Offer.occurrence_id == occurrence.id).order_by(Offer.id)
    return [Interval(one.starts, one.ends) for one in db.session.scalars(asked)]


def _for_one(need: Need, rank: str, but: frozenset[int]) -> list[Lower] | None:
    precedence, now = rules.precedence(), clock.now()

    def gives_way(one: Lower) -> bool:
        return precedence.may_displace(rank, one.rank, starts=one.during.start, now=now)

    holders = [one for one in _endpoint_holders(need) if one.occurrence_id not in but]
    if not all(map(gives_way, holders)) or _is_maintained(need):
        return None
    chosen = {one.occurrence_id: one for one in holders}
    bridges = hosts.listed()

    def fits() -> bool:
        span = need.demand.span
        scene = hosts.scenes(bridges, [span], but=but | chosen.keys())[0]
        return scene.place(need.demand) is not None

    # The lowest first, and of equals the largest: few that weigh little.
    weights = precedence.weights
    others = [one for one in _port_holders(need) if gives_way(one)]
    for one in sorted(others, key=lambda one: (weights[one.rank], one.occurrence_id)):
        if fits():
            break
        if one.occurrence_id not in but:
            chosen[one.occurrence_id] = one
    if not fits():
        return None
    for number in [one for one in chosen if one not in {each.occurrence_id for each in holders}]:
        kept = chosen.pop(number)  # perhaps it need not go after all
        if not fits():
            chosen[number] = kept
    return list(chosen.values())


LOWER = (Occurrence.id, Occurrence.meeting_id, Occurrence.starts, Occurrence.ends, Meeting.rank)


def _endpoint_holders(need: Need) -> list[Lower]:
    asked = (
        select(*LOWER)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(Reservation, Reservation.occurrence_id == Occurrence.id)
        .where(
            Reservation.live,
            Reservation.endpoint_id.in_(need.endpoints),
            Reservation.ends > need.during.start,
            Reservation.ends <= need.during.end + LONGEST,
            Reservation.starts < need.during.end,
        )
        .distinct()
    )
    return _lower(asked)


def _port_holders(need: Need) -> list[Lower]:
    span = need.demand.span
    asked = (
        select(*LOWER)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(Allocation, Allocation.occurrence_id == Occurrence.id)
        .where(
            Allocation.live,
            or_(
                Allocation.role == AllocationRole.PRIMARY,
                Allocation.role == AllocationRole.CASCADE,
            ),
            Allocation.ends > span.start,
            Allocation.ends <= span.end + bridge_models.LONGEST,
            Allocation.starts < span.end,
        )
        .distinct()
    )
    return _lower(asked)


def _lower(asked: object) -> list[Lower]:
    return [
        Lower(occurrence_id=number, meeting_id=meeting, during=Interval(starts, ends), rank=rank)
        for number, meeting, starts, ends, rank in db.session.execute(asked)  # type: ignore[call-overload]
    ]


def _is_maintained(need: Need) -> bool:
    """Say whether an endpoint is under maintenance: no rank moves that."""
    asked = select(Reservation.id).where(
        Reservation.live,
        Reservation.occurrence_id.is_(None),
        Reservation.endpoint_id.in_(need.endpoints),
        Reservation.ends > need.during.start,
        Reservation.starts < need.during.end,
    )
    return db.session.scalars(asked.limit(1)).first() is not None
