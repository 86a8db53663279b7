"""Janus and its VideoRoom: it forwards pictures and sound, and mixes nothing.

Sources: the Janus documentation of the VideoRoom plugin, and what version 1.1.2 does when asked;
see docs/drivers/janus.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from confbridge.drivers import Event, Joined, Left, Participant, RoomSpec, Ticket, Visitor
from confbridge.drivers.janus_api import Janus, events_in
from confbridge.errors import DriverError


class JanusDriver(Janus):
    """The VideoRoom of one Janus server.

    Its rooms could be linked as remote publishers; that has not been built, so it is not offered.
    """

    PLUGIN = "janus.plugin.videoroom"
    EXISTS, NO_ROOM, NOBODY = 427, 426, 428
    UNAUTHORIZED = frozenset({429, 433})

    def open_room(self, spec: RoomSpec) -> None:
        created = self._plugin(
            "create",
            allowing=self.EXISTS,
            room=spec.name,
            admin_key=self._settings["admin_key"],
            description=spec.title[:200],
            secret=spec.secret,
            pin=spec.pin,
            publishers=spec.ports,
            allowed=sorted(spec.tokens),
            is_private=True,
            require_pvtid=True,  # else whoever knows the PIN could watch without a token
            notify_joining=True,
            audiocodec="opus",
            videocodec="vp8,h264",
            bitrate=1_000_000,
            permanent=False,
        )
        if created.get("error_code") == self.EXISTS:
            self._bring_up_to_date(spec)
        self._hand_out(spec.tokens)

    def participants(self, room: str) -> Sequence[Participant]:
        found = self._plugin("listparticipants", room=room)["participants"]
        return [Participant(leg=str(one["id"]), name=str(one.get("display", ""))) for one in found]

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        return Ticket(url=self._settings["ws_url"], room=room, pin=pin, token=visitor.token)

    def loop_ticket(self, room: str, secret: str, visitor: Visitor) -> Ticket:
        alone = frozenset({visitor.token})
        pin = secrets.token_hex(4)
        spec = RoomSpec(name=room, title="", ports=1, pin=pin, secret=secret, tokens=alone)
        self.open_room(spec)
        return self.ticket(room, pin, visitor)

    def mute(self, room: str, secret: str, legs: Sequence[str], *, muted: bool) -> None:
        for leg, info in self._inside(room):
            if leg not in legs:
                continue
            for stream in info["plugin_specific"].get("streams", []):
                if stream.get("type") == "audio":
                    asked = {"room": room, "secret": secret, "id": leg, "mid": stream["mid"]}
                    self._plugin("moderate", allowing=self.NOBODY, mute=muted, **asked)

    def record(self, room: str, secret: str, *, recording: bool) -> None:
        folder = self._settings.get("recordings", "")
        if not folder:
            raise DriverError("no folder for recordings is set for this bridge", permanent=True)
        self._plugin("edit", room=room, secret=secret, new_rec_dir=folder)
        self._plugin("enable_recording", room=room, secret=secret, record=recording)

    def events(self, body: str) -> Sequence[Event]:
        return events_in(body, self.PLUGIN, _room_event)

    def _bring_up_to_date(self, spec: RoomSpec) -> None:
        self._plugin(
            "edit",
            room=spec.name,
            secret=spec.secret,
            new_pin=spec.pin,
            new_publishers=spec.ports,
            new_description=spec.title[:200],
        )
        self._admit(spec)

    def _leg_in(self, room: str, info: Mapping[str, Any]) -> str:
        publisher = info.get("plugin_specific", {})
        if publisher.get("room") != room or publisher.get("type") != "publisher":
            return ""
        return str(publisher.get("id", ""))


def _room_event(data: Mapping[str, Any], at: datetime, handle: str) -> Event | None:
    room, leg = str(data.get("room", "")), str(data.get("id", ""))
    match data.get("event"):
        case "joined":
            return Joined(
                at=at,
                room=room,
                leg=leg,
                name=str(data.get("display", "")),
                token=str(data.get("token", "")),
                handle=handle,
            )
        case "leaving" | "kicked":
            return Left(at=at, room=room, leg=leg)
        case "destroyed":
            return Left(at=at, room=room)
        case _:
            return None
