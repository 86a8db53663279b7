"""Janus and its VideoRoom, driven through the Admin API.

Sources: the Janus documentation of the Admin API and the VideoRoom plugin,
and what version 1.1.2 does when asked; see docs/drivers/janus.md.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from confbridge.domain.health import Patience
from confbridge.drivers import (
    Answer,
    Delivery,
    Event,
    Joined,
    Left,
    Marked,
    Participant,
    RoomSpec,
    Setting,
    Terms,
    Ticket,
    Visitor,
    checked,
    credentials,
    is_same,
)
from confbridge.drivers.http import post_json
from confbridge.errors import DriverError, Phrase

PLUGIN = "janus.plugin.videoroom"
EXISTS, NO_ROOM, NOBODY = 427, 426, 428
MARK = "confbridge-mark"
UNAUTHORIZED = {429, 433}

# A private room that only we make: if it is gone, Janus was restarted and has
# forgotten every room. Its description is the epoch.
SENTINEL = "confbridge-sentinel"


class JanusDriver:
    """One Janus server."""

    # It forwards and does not mix: a leg costs what it sends, a meeting nothing more. Its rooms
    # could be linked as remote publishers; that has not been built, so it is not offered.
    TERMS = Terms(can_link=False, by_page=True, patience=Patience(connect=1.0, answer=1.5))
    SETTINGS = (
        Setting("admin_url", Phrase("Address of the Admin API")),
        Setting("ws_url", Phrase("WebSocket address for browsers")),
        Setting("admin_secret", Phrase("Secret of the Admin API"), is_secret=True),
        Setting("admin_key", Phrase("Key of the VideoRoom plugin"), is_secret=True),
        Setting("events_password", Phrase("Password of the event handler"), is_secret=True),
        Setting("recordings", Phrase("Folder for recordings, on the bridge"), is_optional=True),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)

    def probe(self) -> Answer:
        """Return version and epoch, making a new epoch if Janus has forgotten ours."""
        version = str(self._ask("info").get("version_string", ""))
        for _ in range(2):
            for room in self._rooms():
                if room["room"] == SENTINEL:
                    return Answer(software=f"Janus {version}", epoch=room["description"])
            self._plugin(
                "create",
                allowing=EXISTS,
                room=SENTINEL,
                description=secrets.token_hex(8),
                admin_key=self._settings["admin_key"],
                secret=secrets.token_hex(16),
                is_private=True,
                publishers=1,
                permanent=False,
            )
        raise DriverError("Janus does not keep the room by which restarts are noticed")

    def open_room(self, spec: RoomSpec) -> None:
        created = self._plugin(
            "create",
            allowing=EXISTS,
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
        if created.get("error_code") == EXISTS:
            self._bring_up_to_date(spec)
        for token in spec.tokens:
            self._ask("add_token", token=token, plugins=[PLUGIN])

    def close_room(self, room: str, secret: str) -> None:
        allowed = self._plugin(
            "allowed", allowing=NO_ROOM, room=room, secret=secret, action="add", allowed=[]
        )
        self._plugin(
            "destroy",
            allowing=NO_ROOM,
            room=room,
            secret=secret,
            permanent=False,
        )
        for token in allowed.get("allowed", []):
            self._forget(token)

    def participants(self, room: str) -> Sequence[Participant]:
        found = self._plugin("listparticipants", room=room)["participants"]
        return [Participant(leg=str(one["id"]), name=str(one.get("display", ""))) for one in found]

    def counts(self) -> Mapping[str, int]:
        return {
            room["room"]: int(room["num_participants"])
            for room in self._rooms()
            if room["room"] != SENTINEL
        }

    def tokens(self, room: str) -> Mapping[str, str]:
        return {
            str(info["plugin_specific"].get("id", "")): str(info.get("token", ""))
            for info in self._publishers(room)
        }

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        return Ticket(url=self._settings["ws_url"], room=room, pin=pin, token=visitor.token)

    def loop_ticket(self, room: str, secret: str, visitor: Visitor) -> Ticket:
        alone = frozenset({visitor.token})
        pin = secrets.token_hex(4)
        spec = RoomSpec(name=room, title="", ports=1, pin=pin, secret=secret, tokens=alone)
        self.open_room(spec)
        return self.ticket(room, pin, visitor)

    def mute(self, room: str, secret: str, leg: str, *, muted: bool) -> None:
        for info in self._publishers(room):
            if str(info["plugin_specific"].get("id", "")) != leg:
                continue
            for stream in info["plugin_specific"].get("streams", []):
                if stream.get("type") == "audio":
                    asked = {"room": room, "secret": secret, "id": leg, "mid": stream["mid"]}
                    self._plugin("moderate", allowing=NOBODY, mute=muted, **asked)

    def disconnect(self, room: str, secret: str, leg: str) -> None:
        self._plugin("kick", allowing=NOBODY, room=room, secret=secret, id=leg)

    def lock(self, room: str, *, locked: bool) -> None:
        """Do nothing more: who may come in is a matter of tokens, which `open_room` has set."""

    def record(self, room: str, secret: str, *, recording: bool) -> None:
        folder = self._settings.get("recordings", "")
        if not folder:
            raise DriverError("no folder for recordings is set for this bridge", permanent=True)
        self._plugin("edit", room=room, secret=secret, new_rec_dir=folder)
        self._plugin("enable_recording", room=room, secret=secret, record=recording)

    def mark(self) -> None:
        self._ask("custom_event", schema=MARK, data={"mark": secrets.token_hex(4)})

    def events(self, body: str) -> Sequence[Event]:
        try:
            given = json.loads(body)
            batch = given if isinstance(given, list) else [given]
            said = [_event(one) for one in batch if isinstance(one, dict)]
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise DriverError("a batch of events makes no sense", permanent=True) from error
        return [one for one in said if one]

    def is_from_bridge(self, delivery: Delivery) -> bool:
        user, password = credentials(delivery)
        return bool(user) and is_same(password, self._settings["events_password"])

    def _publishers(self, room: str) -> list[dict[str, Any]]:
        """Return what Janus knows of each handle that publishes in a room."""
        found = []
        for session in self._ask("list_sessions")["sessions"]:
            try:
                handles = self._ask("list_handles", f"/{session}")["handles"]
                infos = [self._ask("handle_info", f"/{session}/{one}")["info"] for one in handles]
            except DriverError:
                continue  # it left while we were asking
            for info in infos:
                publisher = info.get("plugin_specific", {})
                if publisher.get("room") == room and publisher.get("type") == "publisher":
                    found.append(info)
        return found

    def _bring_up_to_date(self, spec: RoomSpec) -> None:
        known: dict[str, Any] = {"room": spec.name, "secret": spec.secret}
        self._plugin(
            "edit",
            new_pin=spec.pin,
            new_publishers=spec.ports,
            new_description=spec.title[:200],
            **known,
        )
        allowed = self._plugin("allowed", action="add", allowed=sorted(spec.tokens), **known)
        surplus = set(allowed["allowed"]) - spec.tokens
        if surplus:
            self._plugin("allowed", action="remove", allowed=sorted(surplus), **known)
            self._put_out(spec, surplus)

    def _put_out(self, spec: RoomSpec, surplus: set[str]) -> None:
        """Disconnect those who are no longer on the list, and keep them out."""
        for leg, token in self.tokens(spec.name).items():
            if token in surplus:
                self.disconnect(spec.name, spec.secret, leg)
        for token in surplus:
            self._forget(token)

    def _forget(self, token: str) -> None:
        self._ask("remove_token", allowing=470, token=token)

    def _rooms(self) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = self._plugin(
            "list", admin_key=self._settings["admin_key"]
        )["list"]
        return found

    def _plugin(self, request: str, *, allowing: int = 0, **body: Any) -> dict[str, Any]:
        """Return the plugin's answer; HTTP and Janus call it a success even when it is none."""
        asked: dict[str, Any] = {"plugin": PLUGIN, "request": {"request": request, **body}}
        answer = self._ask("message_plugin", **asked).get("response", {})
        code = answer.get("error_code", 0)
        if code and code != allowing:
            raise DriverError(
                f"Janus refuses {request}: {answer.get('error', code)}",
                permanent=code in UNAUTHORIZED or code == NO_ROOM,
            )
        found: dict[str, Any] = answer
        return found

    def _ask(
        self, question: str, path: str = "", *, allowing: int = 0, **body: Any
    ) -> dict[str, Any]:
        answer = post_json(
            self._settings["admin_url"].rstrip("/") + path,
            {
                "janus": question,
                "transaction": secrets.token_hex(6),
                "admin_secret": self._settings["admin_secret"],
                **body,
            },
            patience=self.TERMS.patience,
            saying=" ".join([question, str(body.get("request", {}).get("request", ""))]).strip(),
        )
        error = answer.get("error", {})
        if error and error.get("code") != allowing:
            code, reason = error.get("code"), error.get("reason", "")
            raise DriverError(f"Janus refuses {question}: {reason}", permanent=code == 403)
        return answer


def _event(given: Mapping[str, Any]) -> Event | None:
    """Return what one event means to us; the types are those of the Janus event handlers."""
    at = datetime.fromtimestamp(given.get("timestamp", 0) / 1_000_000, UTC)
    session, handle = given.get("session_id", ""), given.get("handle_id", "")
    match given.get("type"), given.get("event"):
        case 64, {"plugin": "janus.plugin.videoroom", "data": dict(data)}:
            return _room_event(data, at, f"{session}/{handle}")
        case 1, {"name": "destroyed" | "timeout"}:
            return Left(at=at, handle=f"{session}/")
        case 2, {"name": "detached"}:
            return Left(at=at, handle=f"{session}/{handle}")
        case 256, {"status": "started" | "shutdown"}:
            return Left(at=at)
        case 4, {"schema": "confbridge-mark"}:
            return Marked(at=at)
        case _:
            return None


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
