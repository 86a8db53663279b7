"""Why a booking clashes, and what else would work: the cheapest change first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain.capacity import ports
from confbridge.domain.interval import Interval
from confbridge.domain.placement import Host
from confbridge.domain.workdays import Workdays
from confbridge.errors import Phrase
from confbridge.models import Account, Bridge, Endpoint, Meeting, Occurrence, Reservation
from confbridge.models.meeting import LONGEST
from confbridge.services import (
    access,
    allocation,
    availability,
    displacement,
    hosts,
    leaders,
    rules,
)
from confbridge.services.availability import Quest, moved
from confbridge.services.demands import Need
from confbridge.services.displacement import Lower

Kind = Literal["endpoint", "ports", "leader", "maintenance", "network"]
Change = Literal["time", "bridge", "fewer_endpoints", "cascade", "day"]

MOST_CLASHES = 200
SAME_DAY = OTHER_DAYS = 3
FORESEEN = 3  # dates of a series that are explained before it is sent
SERIES_TRIES = 40  # the quarters of an hour of a working day
HORIZON = timedelta(days=14)


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """One thing in the way; `uid` and `title` only if the reader may know them.

    `instead` are free endpoints of the same organisation. A soft one needs a
    reason, and is no refusal.
    """

    kind: Kind
    subject: str
    name: str
    start: datetime
    end: datetime
    uid: str | None = None
    title: str = ""
    short_by: int = 0  # units
    peak_at: datetime | None = None
    state: str = ""
    instead: Sequence[str] = ()

    @property
    def is_soft(self) -> bool:
        return self.kind == "leader"

    @property
    def minutes(self) -> int:
        return round((self.end - self.start).total_seconds() / 60)


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """What would be accepted if it were sent at once."""

    during: Interval
    change: Change
    without: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Every clash of a booking, what would work, and who could be made to give way."""

    clashes: Sequence[Obstacle]
    alternatives: Sequence[Alternative] = ()
    lower: Sequence[Lower] = field(default_factory=list)
    is_series: bool = False
    missed: int = 0  # dates of a series that clash, if the others do not
    needs_cascade: bool = False  # only linked bridges would do, and none here can be linked


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was refused: a need for each date, who need not come, the chair, and the rank."""

    needs: Sequence[Need]
    optional: frozenset[int] = frozenset()
    chair: str = ""
    leader_reason: str = ""
    rank: str = ""
    own: frozenset[int] = frozenset()  # occurrences whose own holdings do not count
    names: dict[int, str] = field(default_factory=dict)  # codes of endpoints, by id
    leaves_out: bool = False  # dates by their hour: at another hour they would be held
    is_part: bool = False  # of a series: its bridge and cascade are decided for the whole of it


def explain(wanted: Wanted, *, reader: Account) -> Refusal:
    """Say what is in the way of each date, and what could be had instead.

    Only reads, and may take a while: never called with the write lock held.
    """
    bridges = hosts.listed()
    clashes = obstacles(wanted, reader=reader)
    hard = any(not one.is_soft for one in clashes)
    single = wanted.needs[0] if len(wanted.needs) == 1 and hard else None
    lower = None
    if wanted.rank and hard:
        lower = displacement.could_give_way(wanted.needs, wanted.rank, but=wanted.own)
    is_series = len(wanted.needs) > 1
    misses = _misses(wanted.needs, wanted) if is_series and hard else 0
    if is_series and hard:
        alternatives = _another_hour(wanted)
    else:
        alternatives = _alternatives(wanted, single, bridges) if single else []
    return Refusal(
        clashes=clashes,
        alternatives=alternatives,
        lower=lower or [],
        is_series=is_series,
        missed=misses if misses < len(wanted.needs) else 0,
        needs_cascade=_needs_cascade(wanted, bridges),
    )


def obstacles(wanted: Wanted, *, reader: Account) -> list[Obstacle]:
    """Return all that is in the way, date by date; at most MOST_CLASHES of it."""
    bridges = hosts.listed()
    clashes: list[Obstacle] = []
    for need in wanted.needs:
        if len(clashes) < MOST_CLASHES:
            clashes += _taken_endpoints(need, reader, wanted.own)
            clashes += _short_bridges(need, bridges, wanted.own)
    return [*clashes, *_engaged(wanted, reader)][:MOST_CLASHES]


def foreseen(wanted: Wanted, *, reader: Account) -> tuple[list[Obstacle], int]:
    """Return what would be in the way of the first dates that clash, and how many dates do.

    Cheap enough to be asked while a form is filled in, however long the series.
    """
    if len(wanted.needs) == 1:
        found = obstacles(wanted, reader=reader)
        return found, int(bool(found))
    plans = allocation.plan(wanted.needs, but=wanted.own)
    clashing = [need for need, there in zip(wanted.needs, plans, strict=True) if there is None]
    some = clashing[:FORESEEN] or wanted.needs[:1]
    return obstacles(replace(wanted, needs=some), reader=reader), len(clashing)


def _taken_endpoints(need: Need, reader: Account, own: Collection[int]) -> list[Obstacle]:
    asked = (
        select(
            *(Endpoint, Reservation.starts, Reservation.ends, Reservation.occurrence_id),
            *(Reservation.reason, Meeting.uid, Meeting.title),
        )
        .join(Reservation, Reservation.endpoint_id == Endpoint.id)
        .outerjoin(Occurrence, Occurrence.id == Reservation.occurrence_id)
        .outerjoin(Meeting, Meeting.id == Occurrence.meeting_id)
        .where(
            Reservation.live,
            Reservation.endpoint_id.in_(need.endpoints),
            Reservation.ends > need.during.start,
            Reservation.ends <= need.during.end + LONGEST,
            Reservation.starts < need.during.end,
        )
        .order_by(Endpoint.id, Reservation.starts)
    )
    rows = [row for row in db.session.execute(asked) if row.occurrence_id not in own]
    known = _visible({row.uid for row in rows if row.uid}, reader)
    found = []
    for endpoint, starts, ends, occurrence, reason, uid, title in rows:
        seen = uid in known
        is_maintained = occurrence is None
        found.append(
            Obstacle(
                kind="maintenance" if is_maintained else "endpoint",
                subject=endpoint.code,
                name=endpoint.name,
                start=starts,
                end=ends,
                uid=uid if seen else None,
                title=reason if is_maintained else title if seen else "",
                instead=_free_neighbours(endpoint, need) if is_maintained else (),
            )
        )
    return found


def _free_neighbours(endpoint: Endpoint, need: Need) -> list[str]:
    """Return other endpoints of the same organisation that are free at that time."""
    asked = select(Endpoint).where(
        Endpoint.organisation_id == endpoint.organisation_id,
        Endpoint.active,
        Endpoint.id.not_in(need.endpoints),
    )
    others = {one.id: one.code for one in db.session.scalars(asked.order_by(Endpoint.id))}
    busy = {number for number, _, _ in availability.taken(others, need.during)}
    return [code for number, code in others.items() if number not in busy]


def _visible(uids: Collection[str], reader: Account) -> set[str]:
    asked = select(Meeting.uid).where(Meeting.uid.in_(uids), access.meeting_is_visible(reader))
    return set(db.session.scalars(asked)) if uids else set()


def _short_bridges(need: Need, bridges: Sequence[Bridge], own: Collection[int]) -> list[Obstacle]:
    """Return nothing if there is a place for it, or else what each bridge lacks."""
    demand = need.demand
    scene = hosts.scenes(bridges, [demand.span], but=own)[0]
    if scene.place(demand) is not None:
        return []
    usable = {host.known.id: host for host in scene.hosts}
    return [_lack(need, one, usable.get(one.id)) for one in bridges]


def _lack(need: Need, bridge: Bridge, host: Host | None) -> Obstacle:
    demand = need.demand
    known = hosts.known(bridge)
    reached = known.reaches_all(demand)
    cost = known.price(demand)
    short_by, peak_at, state = cost, None, _unusable(bridge)
    if host is not None:
        highest = host.profile.peak(demand.span)
        short_by = max(highest.units + cost - known.capacity, 0)
        peak_at = highest.at
        if reached and not short_by:
            opens = host.opening(demand.span, demand.opens_by)
            state = "pace" if opens is None else "standby" if demand.standby else "n-1"
    return Obstacle(
        kind="ports" if reached else "network",
        subject=bridge.code,
        name=bridge.name,
        start=demand.span.start,
        end=demand.span.end,
        short_by=short_by,
        peak_at=peak_at if reached else None,
        state=state,
    )


def _unusable(bridge: Bridge) -> str:
    if bridge.draining:
        return "draining"
    return "" if bridge.is_usable else "down"


def _engaged(wanted: Wanted, reader: Account) -> list[Obstacle]:
    if wanted.leader_reason:
        return []
    times = [need.during for need in wanted.needs]
    return [
        Obstacle(
            kind="leader",
            subject=wanted.chair,
            name=wanted.chair,
            start=one.during.start,
            end=one.during.end,
            uid=one.uid,
            title=one.title,
        )
        for one in leaders.engagements(wanted.chair, times, but=wanted.own, reader=reader)
    ]


def _needs_cascade(wanted: Wanted, bridges: Sequence[Bridge]) -> bool:
    """Say whether a meeting is too large for the whole of any bridge, and none can be linked."""
    usable = [hosts.known(one) for one in bridges if one.is_usable]
    if any(one.can_link for one in usable) or not usable:
        return False
    return any(
        all(one.price(need.demand) > one.capacity for one in usable if one.reaches_all(need.demand))
        for need in wanted.needs
    )


def _alternatives(wanted: Wanted, need: Need, bridges: Sequence[Bridge]) -> list[Alternative]:
    """Return what would work, the cheapest change first."""
    found: list[Alternative] = []
    if need.during.end > clock.now():
        found += _another_time(wanted, need, same_day=True)
        kinds = [_fewer] if wanted.is_part else [_another_bridge, _fewer, _as_cascade]
        found += filter(None, [kind(wanted, need, bridges) for kind in kinds])
    return found + _another_time(wanted, need, same_day=False, limit=OTHER_DAYS)


def _misses(needs: Sequence[Need], wanted: Wanted) -> int:
    """Return how many of these dates cannot be held."""
    return sum(one is None for one in allocation.plan(needs, but=wanted.own))


def _another_hour(wanted: Wanted) -> list[Alternative]:
    """Return other hours at which every date of a series can be held, on the same days."""
    if wanted.leaves_out:
        return []
    first = wanted.needs[0]
    engaged = _engagement_check(wanted)
    plans = allocation.plan(wanted.needs, but=wanted.own)
    clashing = [need for need, there in zip(wanted.needs, plans, strict=True) if there is None]
    found = []
    for one in _another_time(wanted, first, same_day=True, limit=SERIES_TRIES):
        shift = one.during.start - first.during.start
        # Those that clashed first: most hours fail there, and are done with.
        if all(_all_fit(_shifted(some, shift), wanted) for some in (clashing, wanted.needs)) and (
            not any(engaged(need.during) for need in _shifted(wanted.needs, shift))
        ):
            found.append(one)
        if len(found) == SAME_DAY:
            break
    return found


def _shifted(needs: Sequence[Need], shift: timedelta) -> list[Need]:
    return [
        moved(need, Interval(need.during.start + shift, need.during.end + shift)) for need in needs
    ]


def _all_fit(needs: Sequence[Need], wanted: Wanted) -> bool:
    return not _misses(needs, wanted)


def _another_time(
    wanted: Wanted, need: Need, *, same_day: bool, limit: int = SAME_DAY
) -> list[Alternative]:
    zone = config.in_force().zone
    now = clock.now()
    midnight = need.during.start.astimezone(zone).replace(hour=0, minute=0, second=0)
    next_day = midnight + timedelta(days=1)
    start, end = (midnight, next_day) if same_day else (next_day, next_day + HORIZON)
    if end <= now:
        return []
    quest = Quest(
        need=need,
        required=frozenset(need.endpoints),
        within=Interval(max(start, now), end),
        limit=limit,
        hours=_hours(need),
        but=wanted.own,
        near=need.during.start if same_day else None,
    )
    suggestions, _ = availability.look(quest)
    engaged = _engagement_check(wanted)
    return [
        Alternative(during=one.during, change="time")
        for one in suggestions
        if one.during != need.during and not engaged(one.during)
    ]


def _engagement_check(wanted: Wanted) -> Callable[[Interval], bool]:
    """Return whether the chair is elsewhere at a time: that would need a reason again."""

    def is_engaged(during: Interval) -> bool:
        if wanted.leader_reason or not wanted.chair:
            return False
        return leaders.is_engaged(wanted.chair, during, but=wanted.own)

    return is_engaged


def _hours(need: Need) -> Workdays | None:
    """Return working hours if the meeting was wanted in them; at night any hour will do."""
    workdays = rules.workdays()
    return workdays if workdays.suits(need.during) else None


def _is_free(wanted: Wanted, need: Need, bridges: Sequence[Bridge]) -> bool:
    busy = availability.taken(need.endpoints, need.during, but=wanted.own)
    if busy or _engagement_check(wanted)(need.during):
        return False
    scene = hosts.scenes(bridges, [need.demand.span], but=wanted.own)[0]
    return scene.place(need.demand) is not None


def _another_bridge(wanted: Wanted, need: Need, bridges: Sequence[Bridge]) -> Alternative | None:
    if not need.demand.bridge:
        return None
    anywhere = replace(need, demand=replace(need.demand, bridge=""))
    if not _is_free(wanted, anywhere, bridges):
        return None
    return Alternative(during=need.during, change="bridge")


def _fewer(wanted: Wanted, need: Need, bridges: Sequence[Bridge]) -> Alternative | None:
    """Return the same time without optional endpoints: those that are taken, or as few as fit."""
    busy = {
        number for number, _, _ in availability.taken(need.endpoints, need.during, but=wanted.own)
    }
    if busy - wanted.optional:
        return None
    left = [site for site in need.demand.sites if site.id in wanted.optional - busy]
    if len(busy) + len(left) >= len(need.endpoints) and not left:
        return None
    for without in _growing(busy, [site.id for site in reversed(left)]):
        if len(without) == len(need.endpoints):
            return None
        if without and _is_free(wanted, moved(need, need.during, without), bridges):
            codes = [wanted.names.get(number, "") for number in sorted(without)]
            return Alternative(during=need.during, change="fewer_endpoints", without=codes)
    return None


def _growing(first: set[int], rest: Sequence[int]) -> Iterator[set[int]]:
    yield set(first)
    for count in range(1, len(rest) + 1):
        yield first | set(rest[:count])


def _as_cascade(wanted: Wanted, need: Need, bridges: Sequence[Bridge]) -> Alternative | None:
    if need.demand.may_cascade:
        return None
    linked = replace(need, demand=replace(need.demand, may_cascade=True))
    if not _is_free(wanted, linked, bridges):
        return None
    return Alternative(during=need.during, change="cascade")


LACKS = {
    "draining": Phrase("%(name)s takes no new meetings at present."),
    "down": Phrase("%(name)s does not answer at present."),
    "pace": Phrase("%(name)s has as many rooms to open in those minutes as it can."),
    "standby": Phrase("Beside %(name)s there is no second bridge with the ports for a stand-by."),
    "n-1": Phrase("With this meeting, %(name)s or another bridge could not be lost without harm."),
}


def said(one: Obstacle, moment: Callable[[datetime], str]) -> Phrase:  # noqa: PLR0911
    """Return what is in the way as a sentence; `moment` writes a time as the reader does."""
    start, end = moment(one.start), moment(one.end)
    times = {"name": one.name, "start": start, "end": end}
    match one.kind:
        case "endpoint" if one.title:
            return Phrase(
                "%(name)s is in “%(title)s” from %(start)s to %(end)s.", title=one.title, **times
            )
        case "endpoint":
            return Phrase("%(name)s is in another meeting from %(start)s to %(end)s.", **times)
        case "maintenance":
            return Phrase(
                "%(name)s is under maintenance from %(start)s to %(end)s: %(reason)s.",
                reason=one.title,
                **times,
            )
        case "leader":
            return Phrase(
                "%(name)s chairs another meeting from %(start)s to %(end)s. Say why both shall be.",
                **times,
            )
        case "network":
            return Phrase(
                "%(name)s cannot be reached from the network of every endpoint.", name=one.name
            )
    if one.state in LACKS:
        return Phrase(LACKS[one.state].text, name=one.name)
    return Phrase(
        "%(name)s is %(short)s ports short at %(at)s.",
        name=one.name,
        short=ports(one.short_by),
        at=moment(one.peak_at or one.start),
    )
