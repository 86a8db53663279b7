"""A meeting that is held on somebody else's bridge: Government, a ministry, a provider.

There is no server that we could ask. Endpoints and times are guarded all the same, everybody is
told what to dial, and who came is told by roll-call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confbridge.drivers import (
    Answer,
    Participant,
    RoomSpec,
    Setting,
    Terms,
    Ticket,
    Visitor,
    checked,
)
from confbridge.errors import DriverError, Phrase


class ExternalDriver:
    """A place elsewhere, of which we know only how to reach it."""

    TERMS = Terms(is_elsewhere=True)
    SETTINGS = (
        Setting("address", Phrase("Address: a page, or what is dialled")),
        Setting("number", Phrase("Number of the conference"), is_optional=True),
        Setting("pin", Phrase("PIN"), is_secret=True, is_optional=True),
        Setting("provider", Phrase("Who runs it"), default="external"),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)

    def probe(self) -> Answer:
        """Say that it is there: nobody but those who run it can know better."""
        return Answer(software=self._settings["provider"], epoch="")

    def open_room(self, spec: RoomSpec) -> None:
        """Do nothing: others open it."""

    def close_room(self, room: str, secret: str) -> None:
        """Do nothing: others close it."""

    def participants(self, room: str) -> Sequence[Participant]:
        raise DriverError("nobody can be asked who is in", permanent=True)

    def counts(self) -> None:
        return None

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        address = self._settings["address"]
        url = address if address.startswith(("https://", "http://")) else ""
        return Ticket(url=url, room=self._settings["number"], pin=self._settings["pin"])

    def dial_strings(self, number: str) -> Sequence[str]:
        lines = [self._settings["address"]]
        if self._settings["number"]:
            lines.append(self._settings["number"])
        return lines
