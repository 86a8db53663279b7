"""What passes between us and drivers: plain values, and nothing of a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from confbridge.domain.capacity import Tariff
from confbridge.domain.health import Patience
from confbridge.errors import Phrase


@dataclass(frozen=True)
class Setting:
    """One thing a driver must be told, from which the form is drawn."""

    name: str
    label: Phrase
    is_secret: bool = False
    is_optional: bool = False
    default: str = ""


@dataclass(frozen=True)
class Terms:
    """What a make of bridge charges in ports, how its rooms are reached, and how long it may take.

    `can_link`: rooms can be linked. `by_page`: browsers come in through our own join page, so
    that hands, lines and messages go over it; else they are sent to a page of the bridge.
    `is_elsewhere`: it has no server that we could ask; who came is told by roll-call.
    """

    tariff: Tariff = field(default_factory=Tariff)
    can_link: bool = False
    by_page: bool = False
    is_elsewhere: bool = False
    can_end: bool = True  # else it ends a room when the time that it was told is over
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, kw_only=True)
class RoomSpec:
    """A room as it shall be; `tokens` are all that let anybody in.

    `number` is what is dialled for it, and stays the same on whatever bridge it is. `until` is
    when it will be closed at the latest.
    """

    name: str
    title: str
    ports: int
    pin: str
    secret: str
    tokens: frozenset[str]
    number: str = ""
    until: datetime | None = None
    locked: bool = False
    recording: bool = False

    @property
    def secrets(self) -> frozenset[str]:
        """All that must not be read in what is kept of a conversation."""
        return self.tokens | {self.pin, self.secret}


@dataclass(frozen=True, kw_only=True)
class Participant:
    """Who is in a room. `token` is the one the bridge checked, "" where it does not say.

    `address` is that of the endpoint, where the bridge has nothing better to tell it by. What
    else it knows of them is None where it does not say.
    """

    leg: str
    name: str
    token: str = ""
    address: str = ""
    joined: datetime | None = None
    picture: bool | None = None
    sound: bool | None = None
    hand: bool | None = None
    loss: float | None = None
    delay: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a bridge said to a probe. Another `epoch` means that it was restarted.

    `trouble` is what it says is wrong with it though it answers; `capacity` the ports it says
    it has, and `load` how much of it is in use, of 1: None where it does not say. `in_use` is how
    many legs there are, where `counts` cannot tell, and `next_number` that of the event which
    it will report next, where it numbers them: what has not come before it is lost.
    """

    software: str
    epoch: str
    trouble: str = ""
    capacity: int | None = None
    load: float | None = None
    in_use: int | None = None
    next_number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a browser needs to enter a room: of our own page, or only the `url` of another."""

    url: str
    room: str = ""
    pin: str = ""
    token: str = ""
    kind: str = "video"  # of what our own page enters: pictures and sound, or "audio" alone


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who wants to come in, as a bridge is told."""

    name: str
    token: str
    is_chair: bool = False


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls which conference."""

    number: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Into which room a caller is let."""

    room: str
    pin: str
    visitor: Visitor


Host = Callable[[Caller], Seat | None]


class Agent(Protocol):
    """Takes calls until it is stopped."""

    def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Stamped:
    """When something happened, and by what the same report is known when it comes again.

    `key` is the maker's own. Where the maker numbers what it reports, `number` is that, within
    its `stream`; `missing` is how many it says itself that it has lost before.
    """

    at: datetime
    key: str = ""
    stream: str = ""
    number: int | None = None
    missing: int = 0


@dataclass(frozen=True, kw_only=True)
class Joined(Stamped):
    """Somebody came in: into a room, or into a `call` of which another event told the room.

    `handle` is by which later events may name the same leg.
    """

    leg: str
    room: str = ""
    call: str = ""
    name: str
    token: str = ""
    address: str = ""
    handle: str = ""


@dataclass(frozen=True, kw_only=True)
class Begun(Stamped):
    """What goes on in a room has a name of its own on this bridge, by which legs are reported."""

    room: str
    call: str


@dataclass(frozen=True, kw_only=True)
class Left(Stamped):
    """A leg ended: named by room and leg, by its handle, or all of a room, or all there are."""

    room: str = ""
    leg: str = ""
    handle: str = ""


@dataclass(frozen=True, kw_only=True)
class Marked(Stamped):
    """A mark that we had set ourselves came back: what was reported before it has come, too."""


@dataclass(frozen=True, kw_only=True)
class Told(Stamped):
    """Something about a leg changed: its picture, its sound, its hand. None: not said."""

    room: str
    leg: str
    picture: bool | None = None
    sound: bool | None = None
    hand: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Other(Stamped):
    """Nothing that concerns us, but it has a number, and so none is missing."""


Event = Begun | Joined | Left | Marked | Told | Other


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What came to the address to which a bridge reports: untouched, to be checked and read."""

    url: str  # as the bridge was told it
    path: str  # what follows the address; "": nothing
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in small letters
    body: str

    def envelope(self) -> str:
        """Return what is kept of it, to be read as events: the body, with what names it."""
        if not self.path:
            return self.body
        return json.dumps({"path": self.path, "query": dict(self.query), "body": self.body})
