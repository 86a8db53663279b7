"""Who was in a conference: heard from the bridge's events, and checked by asking it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import distinct, func, or_, select, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain.attendance import Presence, PresenceState, presence
from confbridge.domain.interval import Interval
from confbridge.drivers import Participant
from confbridge.models import (
    Allocation,
    Attendee,
    Endpoint,
    Gap,
    Leg,
    LegSource,
    Meeting,
    Occurrence,
    RollCall,
)
from confbridge.services import links

SCHEME = re.compile("^(sips?|h323|tel):")
EVENTS_LATE = timedelta(seconds=20)  # so long an event may be behind what asking finds


@dataclass(frozen=True, kw_only=True)
class Site:
    """What became of one endpoint, or of one guest (then `attendee` is None)."""

    attendee: Attendee | None
    name: str
    legs: Sequence[Leg]
    presence: Presence
    roll_call: RollCall | None = None

    @property
    def here_since(self) -> datetime | None:
        return min((leg.joined for leg in self.legs if leg.left is None), default=None)


@dataclass(frozen=True, kw_only=True)
class GapSeen:
    """A time of a conference in which its bridge could not be heard; None: it goes on."""

    bridge: str
    why: str
    starts: datetime
    ends: datetime | None


@dataclass(frozen=True, kw_only=True)
class Attendance:
    """Who was invited, who answered, who came, from when until when."""

    sites: Sequence[Site]
    uninvited: Sequence[Site]
    gaps: Sequence[GapSeen]


def of(meeting: Meeting, occurrence: Occurrence) -> Attendance:
    """Return the attendance of an occurrence as it is known now."""
    now = clock.now()
    legs = db.session.scalars(
        select(Leg)
        .join(Allocation, Allocation.id == Leg.allocation_id)
        .where(Allocation.occurrence_id == occurrence.id)
        .order_by(Leg.joined, Leg.id)
    ).all()
    by_attendee: dict[int | None, list[Leg]] = defaultdict(list)
    for leg in legs:
        by_attendee[leg.attendee_id].append(leg)
    called = _called(occurrence)
    sites = [
        _as_called(
            _site(one, one.endpoint.name, by_attendee.pop(one.id, []), occurrence, now),
            called.get(one.id),
        )
        for one in meeting.attendees
    ]
    strangers = [leg for some in by_attendee.values() for leg in some]
    uninvited = [_site(None, leg.name, [leg], occurrence, now) for leg in strangers]
    return Attendance(sites=sites, uninvited=uninvited, gaps=_gaps(occurrence))


def _called(occurrence: Occurrence) -> dict[int, RollCall]:
    asked = select(RollCall).where(RollCall.occurrence_id == occurrence.id)
    return {one.attendee_id: one for one in db.session.scalars(asked)}


def _as_called(site: Site, called: RollCall | None) -> Site:
    """Return a site as the secretary has recorded it, if that was done."""
    if called is None:
        return site
    presence = replace(site.presence, state=PresenceState(called.state))
    return replace(site, presence=presence, roll_call=called)


def legs_by_room(bridge_id: int) -> dict[str, frozenset[str]]:
    """Return, for each open room of a bridge, the legs that we think are in it."""
    rooms: dict[str, set[str]] = {
        allocation.room: set() for allocation in _open_allocations(bridge_id)
    }
    asked = (
        select(Allocation.room, Leg.leg)
        .join(Leg, Leg.allocation_id == Allocation.id)
        .where(Allocation.bridge_id == bridge_id, Leg.left.is_(None))
        # Of one that only an event has told of, without saying whose it is, the bridge is asked.
        .where(or_(Leg.attendee_id.is_not(None), Leg.seen_at > Leg.joined))
    )
    for room, leg in db.session.execute(asked):
        rooms.setdefault(room, set()).add(leg)
    return {room: frozenset(legs) for room, legs in rooms.items()}


def legs_of(allocation: Allocation, attendee: Attendee | None) -> int:
    """Say how many legs of an attendee (None: of guests) are in."""
    asked = select(func.count(Leg.id)).where(
        Leg.allocation_id == allocation.id,
        Leg.attendee_id == (attendee.id if attendee else None),
        Leg.left.is_(None),
    )
    return db.session.scalars(asked).one()


def sites_in(occurrences: Sequence[Occurrence]) -> dict[int, int]:
    """Return how many of the invited endpoints are in, by the occurrence's id."""
    asked = (
        select(Allocation.occurrence_id, func.count(distinct(Leg.attendee_id)))
        .join(Leg, Leg.allocation_id == Allocation.id)
        .where(Allocation.occurrence_id.in_([one.id for one in occurrences]))
        .where(Leg.left.is_(None), Leg.attendee_id.is_not(None))
        .group_by(Allocation.occurrence_id)
    )
    return {int(number): int(count) for number, count in db.session.execute(asked)}


def compare(bridge_id: int, found: Mapping[str, Sequence[Participant]], asked_at: datetime) -> None:
    """Make our record agree with who was in each room when the bridge was asked."""
    for allocation in _open_allocations(bridge_id):
        if allocation.room not in found:
            continue
        here = {one.leg: one for one in found[allocation.room]}
        holders: dict[str, int] | None = None
        known = {leg.leg: leg for leg in _legs(allocation.id)}
        for leg in list(known.values()):
            if leg.leg in here and is_another(leg, asked_at - EVENTS_LATE):
                make_way(leg)
                del known[leg.leg if "#" not in leg.leg else leg.leg.rpartition("#")[0]]
                continue
            if leg.left is None and leg.leg not in here and leg.joined < asked_at:
                leg.left, leg.left_source = asked_at, LegSource.POLL
            elif leg.leg in here:
                leg.seen_at = asked_at
                if leg.attendee_id is None and here[leg.leg].token:
                    holders = holders_by_key(allocation) if holders is None else holders
                    leg.attendee_id = holder(holders, here[leg.leg].token, "")
                _tell(leg, here[leg.leg], asked_at)
                if leg.left is not None and leg.left < asked_at - EVENTS_LATE:
                    leg.left, leg.left_source = None, ""  # it was concluded, and is not so
        for one in here.values():
            if one.leg not in known:
                since = one.joined or asked_at  # a bridge that says since when is believed
                holders = holders_by_key(allocation) if holders is None else holders
                whose = holder(holders, one.token, one.address)
                leg = new_leg(allocation, one, LegSource.POLL, since, whose)
                _tell(leg, one, asked_at)
                db.session.add(leg)
        _miss_events(bridge_id, known.values(), asked_at)


def _tell(leg: Leg, who: Participant, at: datetime) -> None:
    """Write down what the bridge says of a leg, where it does."""
    for name in ("picture", "sound", "hand", "loss", "delay"):
        value = getattr(who, name)
        if value is not None:
            setattr(leg, name, value)
            leg.told_at = at


def heard(bridge_id: int, why: str) -> None:
    """Record that a gap, if there was one, is over."""
    db.session.execute(
        update(Gap)
        .where(Gap.bridge_id == bridge_id, Gap.why == why, Gap.ends.is_(None))
        .values(ends=clock.now())
    )


def not_heard(bridge_id: int, why: str, since: datetime) -> None:
    """Record, once, that from `since` on the bridge has not been heard, until it is again."""
    known = select(Gap.id).where(
        Gap.bridge_id == bridge_id,
        Gap.why == why,
        or_(Gap.ends.is_(None), Gap.starts == since),
    )
    if db.session.scalars(known.limit(1)).first() is None:
        db.session.add(Gap(bridge_id=bridge_id, why=why, starts=since))


def everybody_left(bridge_id: int) -> None:
    """Close every leg of a bridge that was restarted, when it was last seen."""
    rooms = select(Allocation.id).where(Allocation.bridge_id == bridge_id)
    still_in = update(Leg).where(Leg.allocation_id.in_(rooms), Leg.left.is_(None))
    db.session.execute(still_in.values(left=Leg.seen_at, left_source=LegSource.RECONSTRUCTED))


def everybody_lost(allocation_id: int, last_heard: datetime) -> None:
    """Close every leg of a room whose bridge was lost, when that was last heard.

    Whoever joined after that was there a moment, for all that we know.
    """
    still_in = select(Leg).where(Leg.allocation_id == allocation_id, Leg.left.is_(None))
    for leg in db.session.scalars(still_in):
        leg.left = max(last_heard, leg.seen_at, leg.joined)
        leg.left_source = LegSource.RECONSTRUCTED


def everybody_left_room(allocation_id: int) -> None:
    """Close every leg of a room that has been closed."""
    still_in = update(Leg).where(Leg.allocation_id == allocation_id, Leg.left.is_(None))
    db.session.execute(still_in.values(left=clock.now(), left_source=LegSource.RECONSTRUCTED))


def _site(
    attendee: Attendee | None,
    name: str,
    legs: Sequence[Leg],
    occurrence: Occurrence,
    now: datetime,
) -> Site:
    sessions = [
        Interval(leg.joined, leg.left or now) for leg in legs if (leg.left or now) > leg.joined
    ]
    return Site(
        attendee=attendee, name=name, legs=legs, presence=presence(sessions, occurrence.during, now)
    )


def _gaps(occurrence: Occurrence) -> list[GapSeen]:
    """Return the gaps of the bridges it was on while it was there.

    After a loss nothing is heard until the room that stands in is open.
    """
    rooms = db.session.scalars(
        select(Allocation)
        .where(Allocation.occurrence_id == occurrence.id, Allocation.opened_at.is_not(None))
        .order_by(Allocation.opened_at, Allocation.id)
    ).all()
    found = []
    for place, one in enumerate(rooms):
        assert one.opened_at is not None
        until = one.closed_at or one.ends
        if one.detached_at is not None:
            after = [each.opened_at for each in rooms[place + 1 :] if each.opened_at]
            until = after[0] if after else one.detached_at
        asked = select(Gap).where(
            Gap.bridge_id == one.bridge_id,
            Gap.starts < until,
            or_(Gap.ends.is_(None), Gap.ends > one.opened_at),
        )
        for gap in db.session.scalars(asked.order_by(Gap.starts, Gap.id)):
            ends = gap.ends if gap.ends is not None and gap.ends <= until else None
            if ends is None and until <= clock.now():
                ends = until
            starts = max(gap.starts, one.opened_at)
            seen = GapSeen(bridge=one.bridge.code, why=gap.why, starts=starts, ends=ends)
            found.append(seen)
    return found


def new_leg(
    allocation: Allocation,
    who: Participant,
    source: LegSource,
    joined: datetime,
    attendee_id: int | None,
) -> Leg:
    """Return a leg that has just been heard of; an attendee of None is a guest."""
    return Leg(
        allocation_id=allocation.id,
        attendee_id=attendee_id,
        leg=who.leg,
        name=who.name[:300],
        source=source,
        joined=joined,
        seen_at=joined,
    )


def is_another(leg: Leg, joined: datetime) -> bool:
    """Say whether who came in under the name of a leg that has ended has come back, later.

    An end that was only concluded is none: whoever is still in has never left.
    """
    ended = leg.left is not None and leg.left_source != LegSource.RECONSTRUCTED
    return ended and leg.left is not None and leg.left < joined


def make_way(leg: Leg) -> None:
    """Let the name of a leg that has ended be that of another one."""
    leg.leg = f"{leg.leg}#{leg.id}"
    db.session.flush()


def holders_by_key(allocation: Allocation) -> dict[str, int]:
    """Return who comes by each token, and who calls from each address; not the guests.

    Also those no longer invited. A token that a bridge has checked is a proof; an address is what
    the bridge says of the caller, and taken where there is no token.
    """
    asked = (
        select(Attendee.id, Endpoint.address)
        .join(Endpoint, Endpoint.id == Attendee.endpoint_id)
        .join(Occurrence, Occurrence.meeting_id == Attendee.meeting_id)
        .where(Occurrence.id == allocation.occurrence_id)
    )
    found = {}
    for attendee_id, address in db.session.execute(asked):
        found[links.access_token(allocation.room, attendee_id)] = attendee_id
        if address:
            found[plain_address(address)] = attendee_id
    return found


def holder(known: Mapping[str, int], token: str, address: str) -> int | None:
    """Return whose leg it is; None for a guest."""
    if token:
        return known.get(token)
    return known.get(plain_address(address)) if address else None


def plain_address(address: str) -> str:
    """Return an address without what different bridges add to it."""
    return SCHEME.sub("", address.lower().strip()).partition(";")[0]


def _miss_events(bridge_id: int, legs: Iterable[Leg], asked_at: datetime) -> None:
    """State a gap if a join or a leave was found by asking and its event has not come."""
    for leg in legs:
        if leg.left and leg.left_source == LegSource.POLL and leg.left < asked_at - EVENTS_LATE:
            not_heard(bridge_id, "events", leg.left)
        is_late = leg.joined < asked_at - EVENTS_LATE
        if leg.source == LegSource.POLL and leg.left is None and is_late:
            not_heard(bridge_id, "events", leg.joined)


def _open_allocations(bridge_id: int) -> Sequence[Allocation]:
    asked = select(Allocation).where(
        Allocation.bridge_id == bridge_id,
        Allocation.opened_at.is_not(None),
        Allocation.closed_at.is_(None),
    )
    return db.session.scalars(asked).all()


def _legs(allocation_id: int) -> Sequence[Leg]:
    return db.session.scalars(select(Leg).where(Leg.allocation_id == allocation_id)).all()
