"""What all plugins of Janus have in common: its Admin API, its tokens, and its events.

Sources: the Janus documentation of the Admin API and of the event handlers, and what version
1.1.2 does when asked; see docs/drivers/janus.md.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from confbridge.domain.health import Patience
from confbridge.drivers import (
    Answer,
    Delivery,
    Event,
    Left,
    Marked,
    RoomSpec,
    Setting,
    Terms,
    checked,
    credentials,
    is_same,
)
from confbridge.drivers.http import post_json
from confbridge.errors import DriverError, Phrase, RoomGone

MARK = "confbridge-mark"
# A private room that only we make: if it is gone, Janus was restarted and has
# forgotten every room. Its description is the epoch.
SENTINEL = "confbridge-sentinel"

LEFT = {458, 459}  # no such session, no such handle: who was there left while we were asking

RoomEvent = Callable[[Mapping[str, Any], datetime, str], Event | None]

SETTINGS = (
    Setting("admin_url", Phrase("Address of the Admin API")),
    Setting("ws_url", Phrase("WebSocket address for browsers")),
    Setting("admin_secret", Phrase("Secret of the Admin API"), is_secret=True),
    Setting("admin_key", Phrase("Key of the plugin"), is_secret=True),
    Setting("events_password", Phrase("Password of the event handler"), is_secret=True),
    Setting("recordings", Phrase("Folder for recordings, on the bridge"), is_optional=True),
)


class Janus(ABC):
    """One plugin of one Janus server."""

    PLUGIN: ClassVar[str]
    # How this plugin numbers what it refuses.
    EXISTS: ClassVar[int]
    NO_ROOM: ClassVar[int]
    NOBODY: ClassVar[int]
    UNAUTHORIZED: ClassVar[frozenset[int]]

    # A leg costs what it sends, a meeting nothing more.
    TERMS = Terms(can_link=False, by_page=True, patience=Patience(connect=1.0, answer=1.5))
    SETTINGS: ClassVar[Sequence[Setting]] = SETTINGS

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
                allowing=self.EXISTS,
                room=SENTINEL,
                description=secrets.token_hex(8),
                admin_key=self._settings["admin_key"],
                secret=secrets.token_hex(16),
                is_private=True,
                permanent=False,
            )
        raise DriverError("Janus does not keep the room by which restarts are noticed")

    def counts(self) -> Mapping[str, int]:
        return {
            room["room"]: int(room["num_participants"])
            for room in self._rooms()
            if room["room"] != SENTINEL
        }

    def disconnect(self, room: str, secret: str, leg: str) -> None:
        self._plugin("kick", allowing=self.NOBODY, room=room, secret=secret, id=leg)

    def lock(self, room: str, *, locked: bool) -> None:  # noqa: B027 (it is done already)
        """Do nothing more: who may come in is a matter of tokens, which `open_room` has set."""

    def mark(self) -> None:
        self._ask("custom_event", schema=MARK, data={"mark": secrets.token_hex(4)})

    def tokens(self, room: str) -> Mapping[str, str]:
        return {leg: str(info.get("token", "")) for leg, info in self._inside(room)}

    def close_room(self, room: str, secret: str) -> None:
        known: dict[str, Any] = {"allowing": self.NO_ROOM, "room": room, "secret": secret}
        allowed = self._plugin("allowed", action="add", allowed=[], **known)
        self._plugin("destroy", permanent=False, **known)
        for token in allowed.get("allowed", []):
            self._forget(token)

    def is_from_bridge(self, delivery: Delivery) -> bool:
        user, password = credentials(delivery)
        return bool(user) and is_same(password, self._settings["events_password"])

    def _admit(self, spec: RoomSpec) -> None:
        """Let in those whose tokens the room has now, and nobody else."""
        known: dict[str, Any] = {"room": spec.name, "secret": spec.secret}
        allowed = self._plugin("allowed", action="add", allowed=sorted(spec.tokens), **known)
        surplus = set(allowed["allowed"]) - spec.tokens
        if surplus:
            self._plugin("allowed", action="remove", allowed=sorted(surplus), **known)
            self._put_out(spec, surplus)

    def _put_out(self, spec: RoomSpec, surplus: Collection[str]) -> None:
        """Disconnect those who are no longer on the list, and keep them out."""
        for leg, token in self.tokens(spec.name).items():
            if token in surplus:
                self.disconnect(spec.name, spec.secret, leg)
        for token in surplus:
            self._forget(token)

    def _hand_out(self, tokens: Collection[str]) -> None:
        for token in tokens:
            self._ask("add_token", token=token, plugins=[self.PLUGIN])

    def _forget(self, token: str) -> None:
        self._ask("remove_token", allowing={470}, token=token)

    def _inside(self, room: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what Janus knows of each handle that is in a room, with the leg's name."""
        found = []
        for session in self._ask("list_sessions")["sessions"]:
            handles = self._ask("list_handles", f"/{session}", allowing=LEFT).get("handles", [])
            told = [self._ask("handle_info", f"/{session}/{one}", allowing=LEFT) for one in handles]
            infos = [one["info"] for one in told if "info" in one]
            found += [(leg, info) for info in infos if (leg := self._leg_in(room, info))]
        return found

    @abstractmethod
    def _leg_in(self, room: str, info: Mapping[str, Any]) -> str:
        """Return as which leg a handle is in a room; "" if it is not."""

    def _rooms(self) -> Sequence[dict[str, Any]]:
        asked = self._plugin("list", admin_key=self._settings["admin_key"])
        found: Sequence[dict[str, Any]] = asked["list"]
        return found

    def _plugin(self, request: str, *, allowing: int = 0, **body: Any) -> dict[str, Any]:
        """Return the plugin's answer; HTTP and Janus call it a success even when it is none."""
        asked: dict[str, Any] = {"plugin": self.PLUGIN, "request": {"request": request, **body}}
        answer: dict[str, Any] = self._ask("message_plugin", **asked).get("response", {})
        code = answer.get("error_code", 0)
        if code == self.NO_ROOM and code != allowing:
            raise RoomGone(f"Janus refuses {request}: {answer.get('error', code)}")
        if code and code != allowing:
            raise DriverError(
                f"Janus refuses {request}: {answer.get('error', code)}",
                permanent=code in self.UNAUTHORIZED,
            )
        return answer

    def _ask(
        self, question: str, path: str = "", *, allowing: Collection[int] = (), **body: Any
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
            is_kept=question != "handle_info",  # it holds the keys of everybody else, too
        )
        error = answer.get("error", {})
        if error and error.get("code") not in allowing:
            code, reason = error.get("code"), error.get("reason", "")
            raise DriverError(f"Janus refuses {question}: {reason}", permanent=code == 403)
        return answer


def events_in(body: str, plugin: str, room_event: RoomEvent) -> Sequence[Event]:
    """Return what a batch says, in its order; `room_event` knows the plugin's own events.

    Raises DriverError.
    """
    try:
        given = json.loads(body)
        batch = given if isinstance(given, list) else [given]
        said = [_event(one, plugin, room_event) for one in batch if isinstance(one, dict)]
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise DriverError("a batch of events makes no sense", permanent=True) from error
    return [one for one in said if one]


def _event(given: Mapping[str, Any], plugin: str, room_event: RoomEvent) -> Event | None:
    """Return what one event means to us; the types are those of the Janus event handlers."""
    at = datetime.fromtimestamp(given.get("timestamp", 0) / 1_000_000, UTC)
    session, handle = given.get("session_id", ""), given.get("handle_id", "")
    match given.get("type"), given.get("event"):
        case 64, {"plugin": str(name), "data": dict(data)} if name == plugin:
            return room_event(data, at, f"{session}/{handle}")
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
