"""How confbridge talks to bridges.

A driver is a class with the methods of `Driver`, in a module of its own,
listed in DRIVERS. It knows one make of bridge and nothing of meetings,
accounts or the database.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from confbridge.database import in_transaction
from confbridge.domain.capacity import Tariff
from confbridge.domain.health import Patience
from confbridge.errors import DriverError, Invalid, Phrase


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


class Driver(Protocol):
    """Every method may raise DriverError, and nothing else of its own."""

    def probe(self) -> Answer:
        """Return what the bridge is; raise if it is not fit for use."""

    def open_room(self, spec: RoomSpec) -> None:
        """Open the room, or bring the open one to this state. Repeating is harmless."""

    def close_room(self, room: str, secret: str) -> None:
        """End the room for everyone. A room already gone is not an error."""

    def participants(self, room: str) -> Sequence[Participant]:
        """Say who is in the room now."""

    def counts(self) -> Mapping[str, int] | None:
        """Return the number of participants of every room that is open; None: it cannot tell."""

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        """Return what this visitor needs to enter; asks nobody."""


@runtime_checkable
class CanIdentify(Protocol):
    """The bridge can say afterwards which token it let a leg in by."""

    def tokens(self, room: str) -> Mapping[str, str]:
        """Return the token of each leg in the room, as the bridge checked it."""


@runtime_checkable
class CanReportEvents(Protocol):
    """The bridge sends what happens, as it happens."""

    def events(self, body: str) -> Sequence[Event]:
        """Return what a batch says, in its order; what does not concern us is left out."""

    def is_from_bridge(self, delivery: Delivery) -> bool:
        """Say whether the bridge, and nobody else, has sent this."""


@runtime_checkable
class CanMark(Protocol):
    """A mark can be set among the events that the bridge reports, so that a loss is noticed."""

    def mark(self) -> None:
        """Have a mark reported among the events; see Marked."""


@runtime_checkable
class CanMute(Protocol):
    """Single legs can be muted."""

    def mute(self, room: str, secret: str, leg: str, *, muted: bool) -> None:
        """Mute a leg, or let it be heard again."""


@runtime_checkable
class CanDisconnect(Protocol):
    """Single legs can be put out of a room."""

    def disconnect(self, room: str, secret: str, leg: str) -> None:
        """End a leg; who may not come back is a matter of the room's tokens. Gone is no error."""


@runtime_checkable
class CanLock(Protocol):
    """A room can be locked, so that nobody new comes in."""

    def lock(self, room: str, *, locked: bool) -> None:
        """Lock the room, or open it again; where tokens do that, `open_room` has done it."""


@runtime_checkable
class CanMessage(Protocol):
    """The bridge itself can show a text to all in a room."""

    def message(self, room: str, text: str) -> None:
        """Show a text to everybody."""


@runtime_checkable
class CanLayout(Protocol):
    """How pictures are arranged can be chosen."""

    LAYOUTS: Sequence[str]  # their names, as the bridge has them

    def layout(self, room: str, name: str) -> None:
        """Arrange the pictures so."""


@runtime_checkable
class CanDialOut(Protocol):
    """The bridge can call an endpoint."""

    def dial_out(self, spec: RoomSpec, address: str, visitor: Visitor) -> None:
        """Call an endpoint into the room; it is in once it has answered."""


@runtime_checkable
class CanRecord(Protocol):
    """A conference can be recorded."""

    def record(self, room: str, secret: str, *, recording: bool) -> None:
        """Begin to record, or stop."""


@runtime_checkable
class CanDialIn(Protocol):
    """A conference can be reached by dialling."""

    def dial_strings(self, number: str) -> Sequence[str]:
        """Return what is dialled for a conference with this number; asks nobody."""


@runtime_checkable
class CanTakeCalls(Protocol):
    """Calls come to us, not to the bridge: we take them for it."""

    def answering(self, host: Host) -> Agent:
        """Take calls until the agent is stopped; `host` says who is let in where.

        Raises DriverError if somebody else takes them already.
        """


@runtime_checkable
class CanLoop(Protocol):
    """A single browser can send pictures and sound to the bridge and have them back."""

    def loop_ticket(self, room: str, secret: str, visitor: Visitor) -> Ticket:
        """Return what a test of one line needs, in a room for itself, which this makes."""


# What reading a report raises that is not what its maker says it is.
NONSENSE = (LookupError, ValueError, TypeError, AttributeError, OverflowError, OSError)

POWERS: Mapping[str, type] = {
    "mute": CanMute,
    "disconnect": CanDisconnect,
    "lock": CanLock,
    "message": CanMessage,
    "layout": CanLayout,
    "dial_out": CanDialOut,
    "record": CanRecord,
    "dial_in": CanDialIn,
    "events": CanReportEvents,
    "identify": CanIdentify,
    "loop": CanLoop,
    "take_calls": CanTakeCalls,
}

DRIVERS: Mapping[str, str] = {
    "bigbluebutton": "confbridge.drivers.bigbluebutton:BigBlueButtonDriver",
    "cms": "confbridge.drivers.cms:CmsDriver",
    "external": "confbridge.drivers.external:ExternalDriver",
    "janus": "confbridge.drivers.janus:JanusDriver",
    "janus_audio": "confbridge.drivers.janus_audio:JanusAudioDriver",
    "jitsi": "confbridge.drivers.jitsi:JitsiDriver",
    "pexip": "confbridge.drivers.pexip:PexipDriver",
}


def checked(declared: Sequence[Setting], given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings a driver was given, with what is usual where nothing is.

    Raises DriverError if one is missing.
    """
    found = {one.name: given.get(one.name) or one.default for one in declared}
    missing = [one.name for one in declared if not found[one.name] and not one.is_optional]
    if missing:
        raise DriverError(f"not set: {', '.join(missing)}", permanent=True)
    return found


def credentials(delivery: Delivery) -> tuple[str, str]:
    """Return user and password of HTTP Basic (RFC 7617); empty if there are none."""
    kind, _, text = delivery.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (user, password) if kind.lower() == "basic" else ("", "")


def is_same(given: str, wanted: str) -> bool:
    """Compare secrets in a time that says nothing about them; an empty one is never right."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


@cache
def powers(kind: str) -> frozenset[str]:
    """Return what bridges of this kind can do besides; nothing if it is not installed."""
    try:
        made = _class_of(kind)
    except Invalid:
        return frozenset()
    # A protocol is met by having its methods, which a class tells as well as its objects.
    return frozenset(
        name
        for name, protocol in POWERS.items()
        if all(hasattr(made, method) for method in _methods(protocol))
    )


def layouts(kind: str) -> Sequence[str]:
    """Return the layouts that bridges of this kind know; none where they know none."""
    return getattr(_class_of(kind), "LAYOUTS", ()) if "layout" in powers(kind) else ()


def _methods(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def declared(kind: str) -> Sequence[Setting]:
    """Return the settings that this kind of bridge needs.

    Raises Invalid.
    """
    settings: Sequence[Setting] = _class_of(kind).SETTINGS  # type: ignore[attr-defined]
    return settings


def secrets_among(kind: str, settings: Mapping[str, str]) -> frozenset[str]:
    """Return the values of settings that must not be read anywhere.

    Raises Invalid.
    """
    return frozenset(settings.get(one.name, "") for one in declared(kind) if one.is_secret)


@cache
def terms(kind: str) -> Terms:
    """Return what this kind of bridge charges; one that is not installed charges as usual.

    A driver declares it as `TERMS`, or takes what is usual.
    """
    try:
        return getattr(_class_of(kind), "TERMS", Terms())
    except Invalid:
        return Terms()


def load(kind: str, settings: Mapping[str, str]) -> Driver:
    """Return the driver of this kind of bridge, for what it knows without asking.

    Raises DriverError.
    """
    try:
        driver: Driver = _class_of(kind)(settings)
    except Invalid as error:
        raise DriverError(str(error), permanent=True) from error
    return driver


def connect(kind: str, settings: Mapping[str, str]) -> Driver:
    """Return the driver of this kind of bridge, ready to talk to it.

    Raises DriverError.
    """
    assert not in_transaction(), "bridges are slow: commit before talking to one"
    return load(kind, settings)


def _class_of(kind: str) -> type:
    path = DRIVERS.get(kind)
    if path:
        module, _, name = path.partition(":")
        found: type = getattr(import_module(module), name)
        return found
    for entry in entry_points(group="confbridge.drivers", name=kind):
        loaded: type = entry.load()
        return loaded
    raise Invalid(driver=Phrase("There is no driver “%(kind)s”.", kind=kind))
