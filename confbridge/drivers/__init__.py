"""How confbridge talks to bridges.

A driver is a class with the methods of `Driver`, in a module of its own,
listed in DRIVERS. It knows one make of bridge and nothing of meetings,
accounts or the database.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from confbridge.database import in_transaction
from confbridge.drivers.values import (
    Agent,
    Answer,
    Begun,
    Caller,
    Delivery,
    Event,
    Host,
    Joined,
    Left,
    Marked,
    Other,
    Participant,
    RoomSpec,
    Seat,
    Setting,
    Stamped,
    Terms,
    Ticket,
    Told,
    Visitor,
)
from confbridge.errors import DriverError, Invalid, Phrase


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

    def mute(self, room: str, secret: str, legs: Sequence[str], *, muted: bool) -> None:
        """Mute some legs, or let them be heard again; one that is gone is no error."""


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


@contextmanager
def sensible() -> Iterator[None]:
    """Take what a driver did not foresee in a bridge's answer for what it is: a bad answer.

    Raises DriverError.
    """
    try:
        yield
    except DriverError:
        raise
    except NONSENSE as error:
        raise DriverError(f"the bridge's answer makes no sense: {type(error).__name__}") from error


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


__all__ = [
    "DRIVERS",
    "NONSENSE",
    "POWERS",
    "Agent",
    "Answer",
    "Begun",
    "Caller",
    "CanDialIn",
    "CanDialOut",
    "CanDisconnect",
    "CanIdentify",
    "CanLayout",
    "CanLock",
    "CanLoop",
    "CanMark",
    "CanMessage",
    "CanMute",
    "CanRecord",
    "CanReportEvents",
    "CanTakeCalls",
    "Delivery",
    "Driver",
    "Event",
    "Host",
    "Joined",
    "Left",
    "Marked",
    "Other",
    "Participant",
    "RoomSpec",
    "Seat",
    "Setting",
    "Stamped",
    "Terms",
    "Ticket",
    "Told",
    "Visitor",
    "checked",
    "connect",
    "credentials",
    "declared",
    "is_same",
    "layouts",
    "load",
    "powers",
    "secrets_among",
    "sensible",
    "terms",
]
