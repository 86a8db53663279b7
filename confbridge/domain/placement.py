"""The choice of a bridge, or of several that are linked (a cascade)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import combinations

from confbridge.domain.capacity import Profile, Quality, Tariff, Usage
from confbridge.domain.health import BridgeState
from confbridge.domain.interval import Interval

QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
MOST_LINKED = 6  # bridges in one cascade
WIDEST_CHOICE = 10  # bridges of which a cascade is put together: the emptiest


class AllocationRole(StrEnum):
    """What an allocation is to its occurrence."""

    PRIMARY = "primary"
    CASCADE = "cascade"
    STANDBY = "standby"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What of an endpoint matters to a bridge, and the legs it will have."""

    id: int
    networks: frozenset[str]
    kind: str
    quality: Quality = Quality.HD
    legs: int = 1


@dataclass(frozen=True, kw_only=True)
class Demand:
    """A meeting that wants a place; `span` is the meeting with its lead and tail."""

    span: Interval
    opens_by: datetime  # the latest moment at which its room has to be opened
    sites: tuple[Site, ...]
    guests: int = 0  # legs of people without an endpoint, in HD
    network: str = ""
    bridge: str = ""  # the only one that will do, if one is named
    standby: bool = False
    may_cascade: bool = True
    off_bridge: bool = False  # its endpoints are taken, and it is held on no bridge of ours

    @cached_property
    def load(self) -> Mapping[Quality, int]:
        """How many legs there are of each quality, guests among them."""
        load: Counter[Quality] = Counter()
        for site in self.sites:
            load[site.quality] += site.legs
        if self.guests:
            load[Quality.HD] += self.guests
        return load

    @cached_property
    def reached_by(self) -> frozenset[tuple[frozenset[str], str]]:
        """The ways, few, in which all the many sites can be reached: networks and kind."""
        return frozenset((site.networks, site.kind) for site in self.sites)

    @property
    def legs(self) -> int:
        return sum(self.load.values())


class Host:
    """A bridge as placement sees it, with what it has promised around the time in question."""

    def __init__(
        self, known: Known, usages: Sequence[Usage] = (), opens: Sequence[datetime] = ()
    ) -> None:
        self.known = known
        self.usages = list(usages)
        self.opens = Counter(opens)
        self._profile: Profile | None = None

    def take(self, part: Part, span: Interval) -> None:
        """Count a part that has just been promised."""
        self.usages.append(Usage.of(span, part.units))
        self.opens[part.opens] += 1
        self._profile = None

    @property
    def profile(self) -> Profile:
        if self._profile is None:
            self._profile = Profile(self.usages)
        return self._profile

    def free(self, span: Interval) -> int:
        """Return the units that can still be promised for the whole time."""
        return self.known.capacity - self.profile.peak(span).units

    def rooms_near(self, start: datetime) -> int:
        """Return how many rooms open in the same quarter of an hour."""
        quarter = start - timedelta(
            minutes=start.minute % 15, seconds=start.second, microseconds=start.microsecond
        )
        return sum(count for at, count in self.opens.items() if quarter <= at < quarter + QUARTER)

    def opening(self, span: Interval, opens_by: datetime) -> datetime | None:
        """Return the first minute in which it can open one room more, None if there is none.

        The lead is there to be used: rooms of one hour open one after another.
        """
        minute = span.start
        while minute <= opens_by:
            count = sum(n for at, n in self.opens.items() if minute <= at < minute + MINUTE)
            if count < self.known.pace:
                return minute
            minute += MINUTE
        return None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a bridge is; `capacity` is in units, with its head-room taken off."""

    id: int
    code: str
    capacity: int
    state: BridgeState = BridgeState.UP
    networks: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset({"room", "soft"})
    domain: str = ""  # what fails together; "" stands alone
    pool: str = ""
    pace: int = 60  # rooms that it can open in one minute
    tariff: Tariff = field(default_factory=Tariff)
    can_link: bool = False

    def reaches(self, demand: Demand) -> bool:
        """Say whether the bridge itself will do, whatever its load."""
        return (not demand.bridge or self.code == demand.bridge) and (
            not demand.network or demand.network in self.networks
        )

    def reaches_site(self, site: Site) -> bool:
        return self._hangs(site.networks, site.kind)

    def reaches_all(self, demand: Demand) -> bool:
        """Say whether every site can be connected here."""
        return self.reaches(demand) and all(
            self._hangs(networks, kind) for networks, kind in demand.reached_by
        )

    def _hangs(self, networks: frozenset[str], kind: str) -> bool:
        return not self.networks.isdisjoint(networks) and kind in self.kinds

    def leg(self, site: Site) -> int:
        return self.tariff.legs[site.quality] * site.legs

    def price(self, demand: Demand) -> int:
        """Return the units that the whole meeting takes here.

        A room in which nobody is expected any more still takes the least there is.
        """
        legs = sum(self.tariff.legs[quality] * count for quality, count in demand.load.items())
        return max(legs + self.tariff.meeting, 1)

    def cost(self, sites: Collection[Site], guests: int = 0, links: int = 0) -> int:
        """Return the units that a share of a cascade takes here, with what the meeting costs."""
        return (
            self.tariff.meeting
            + sum(map(self.leg, sites))
            + guests * self.tariff.legs[Quality.HD]
            + links * self.tariff.link
        )

    def is_apart(self, other: Known) -> bool:
        """Say whether the two are in different failure domains."""
        return self.id != other.id and (not self.domain or self.domain != other.domain)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Units of one bridge for one meeting."""

    bridge_id: int
    role: AllocationRole
    units: int
    legs: int
    opens: datetime
    sites: frozenset[int] = frozenset()  # of a cascade: who comes in here


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where a meeting takes place: its primary part first."""

    parts: tuple[Part, ...]


def placed(
    demand: Demand,
    hosts: Sequence[Host],
    holds: Callable[[Plan], bool] = lambda _: True,
) -> Plan | None:
    """Return where the meeting can take place, or None.

    One bridge if any has the room, else a cascade over as few as possible; and
    the same once more in another failure domain if a stand-by is wanted.
    `holds` says whether a plan keeps what else has been promised.
    """
    if demand.off_bridge:
        return Plan(parts=())
    return next(filter(holds, _plans(demand, hosts)), None)


def _plans(demand: Demand, hosts: Sequence[Host]) -> Iterator[Plan]:
    for parts in _choices(demand, hosts):
        if not demand.standby:
            yield Plan(parts=parts)
            continue
        used = [host.known for host in hosts for part in parts if host.known.id == part.bridge_id]
        apart = [host for host in hosts if all(host.known.is_apart(one) for one in used)]
        for spare in _singles(replace(demand, bridge=""), apart):
            yield Plan(parts=(*parts, replace(spare, role=AllocationRole.STANDBY)))


def _choices(demand: Demand, hosts: Sequence[Host]) -> Iterator[tuple[Part, ...]]:
    yield from ((part,) for part in _singles(demand, hosts))
    if demand.may_cascade and not demand.bridge:
        parts = cascade(demand, hosts)
        if parts is not None:
            yield parts


def _singles(demand: Demand, hosts: Sequence[Host]) -> Iterator[Part]:
    """Yield a part on each bridge that has the room, the best first.

    The fullest that still fits, so that large gaps stay for large meetings;
    but rooms that open in one quarter of an hour are spread over the bridges,
    each by its pace. A degraded bridge is taken only if no other will do.
    """
    fitting: list[tuple[tuple[bool, float, int, int], Part]] = []
    for host in hosts:
        known = host.known
        if not known.reaches_all(demand):
            continue
        units = known.price(demand)
        free = host.free(demand.span)
        if units > free:
            continue
        opens = host.opening(demand.span, demand.opens_by)
        if opens is None:
            continue
        part = Part(
            bridge_id=known.id,
            role=AllocationRole.PRIMARY,
            units=units,
            legs=demand.legs,
            opens=opens,
        )
        near = host.rooms_near(demand.span.start) / max(known.pace, 1)
        fitting.append(((known.state is not BridgeState.UP, near, free, known.id), part))
    yield from (part for _, part in sorted(fitting, key=lambda one: one[0]))


def cascade(demand: Demand, hosts: Sequence[Host]) -> tuple[Part, ...] | None:
    """Return parts on as few linked bridges as possible, a star around the first; or None."""
    usable = []
    for host in hosts:
        if host.known.can_link and host.known.reaches(demand):
            opens = host.opening(demand.span, demand.opens_by)
            if opens is not None:
                usable.append(_Open(host.known, host.free(demand.span), opens))
    usable.sort(key=lambda one: (one.known.state is not BridgeState.UP, -one.free, one.known.id))
    usable = usable[:WIDEST_CHOICE]
    for count in range(2, min(len(usable), MOST_LINKED) + 1):
        for some in combinations(usable, count):
            parts = _shared(demand, some)
            if parts is not None:
                return parts
    return None


@dataclass(frozen=True)
class _Open:
    known: Known
    free: int
    opens: datetime


def _shared(demand: Demand, bridges: Sequence[_Open]) -> tuple[Part, ...] | None:
    """Divide the legs among these bridges; None if they do not fit."""
    links = [len(bridges) - 1] + [1] * (len(bridges) - 1)
    left = [
        one.free - one.known.cost((), 0, count) for one, count in zip(bridges, links, strict=True)
    ]
    if min(left) < 0:
        return None
    sites: list[list[Site]] = [[] for _ in bridges]
    reached: Mapping[int, list[int]] = {
        site.id: [place for place, one in enumerate(bridges) if one.known.reaches_site(site)]
        for site in demand.sites
    }
    # Who can come in at few bridges chooses first, and the large before the small.
    order = sorted(
        demand.sites,
        key=lambda site: (len(reached[site.id]), -bridges[0].known.leg(site), site.id),
    )
    for site in order:
        place = max(reached[site.id], key=lambda place: left[place], default=None)
        if place is None or left[place] < bridges[place].known.leg(site):
            return None
        sites[place].append(site)
        left[place] -= bridges[place].known.leg(site)
    guests = _guests(demand.guests, bridges, left)
    if guests is None:
        return None
    return tuple(
        Part(
            bridge_id=one.known.id,
            role=AllocationRole.CASCADE if place else AllocationRole.PRIMARY,
            units=one.known.cost(sites[place], guests[place], links[place]),
            legs=sum(site.legs for site in sites[place]) + guests[place] + links[place],
            opens=one.opens,
            sites=frozenset(site.id for site in sites[place]),
        )
        for place, one in enumerate(bridges)
    )


def _guests(count: int, bridges: Sequence[_Open], left: list[int]) -> list[int] | None:
    """Divide guests among the bridges by the room that is left; None if they do not fit."""
    shares = [0] * len(bridges)
    for _ in range(count):
        place = max(range(len(bridges)), key=lambda place: left[place])
        price = bridges[place].known.tariff.legs[Quality.HD]
        if left[place] < price:
            return None
        left[place] -= price
        shares[place] += 1
    return shares
