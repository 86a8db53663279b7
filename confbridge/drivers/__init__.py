"""How confbridge talks to bridges.

A driver is a class with the methods of `Driver`, in a module of its own,
listed in DRIVERS. It knows one make of bridge and nothing of meetings,
accounts or the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from confbridge.database import in_transaction
from confbridge.domain.capacity import Tariff
from confbridge.errors import DriverError, Invalid, Phrase


@dataclass(frozen=True)
class Setting:
    """One thing a driver must be told, from which the form is drawn."""

    name: str
    label: Phrase
    is_secret: bool = False


@dataclass(frozen=True)
class Terms:
    """What a make of bridge charges in ports, and whether its rooms can be linked."""

    tariff: Tariff = field(default_factory=Tariff)
    can_link: bool = False


@dataclass(frozen=True, kw_only=True)
class RoomSpec:
    """A room as it shall be; `tokens` are all that let anybody in."""

    name: str
    title: str
    ports: int
    pin: str
    secret: str
    tokens: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Participant:
    """Who is in a room. `token` is the one the bridge checked, "" where it does not say."""

    leg: str
    name: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a bridge said to a probe. Another `epoch` means that it was restarted."""

    software: str
    epoch: str


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a browser needs to enter a room."""

    url: str
    room: str
    pin: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Somebody came in. `handle` is by which later events may name the same leg."""

    at: datetime
    room: str
    leg: str
    name: str
    token: str
    handle: str


@dataclass(frozen=True, kw_only=True)
class Left:
    """A leg ended: named by room and leg, by its handle, or all of a room, or all there are."""

    at: datetime
    room: str = ""
    leg: str = ""
    handle: str = ""


Event = Joined | Left


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

    def counts(self) -> Mapping[str, int]:
        """Return the number of participants of every room that is open."""

    def ticket(self, room: str, pin: str, token: str) -> Ticket:
        """Return what the holder of this token needs to enter."""


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

    def is_from_bridge(self, user: str, password: str) -> bool:
        """Say whether these are the credentials the bridge was given to report with."""


DRIVERS: Mapping[str, str] = {
    "janus": "confbridge.drivers.janus:JanusDriver",
}


def declared(kind: str) -> Sequence[Setting]:
    """Return the settings that this kind of bridge needs.

    Raises Invalid.
    """
    settings: Sequence[Setting] = _class_of(kind).SETTINGS  # type: ignore[attr-defined]
    return settings


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
