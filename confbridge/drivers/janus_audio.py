"""Janus and its AudioBridge: sound alone, mixed, for browsers and for SIP endpoints that call.

Janus sends and takes plain RTP here but knows no SIP: that a small user agent of ours speaks
(`sip.py`), which sits beside it. Sources: the Janus documentation of the AudioBridge plugin, and
what version 1.1.2 does when asked; see docs/drivers/janus_audio.md.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from confbridge.domain.health import Patience
from confbridge.drivers import (
    Caller,
    Event,
    Host,
    Joined,
    Left,
    Participant,
    RoomSpec,
    Seat,
    Setting,
    Ticket,
    Told,
    Visitor,
)
from confbridge.drivers.http import as_object, ask
from confbridge.drivers.janus_api import SETTINGS, Janus, events_in
from confbridge.drivers.sip import Admission, Agent, Media, Message
from confbridge.errors import DriverError, Phrase

log = logging.getLogger(__name__)

KEEP_ALIVE = 5.0  # seconds; well under the time after which Janus ends a session
# Janus answers a question for events after 30 s at the latest.
LISTENING = Patience(connect=1.0, answer=40.0)
MOST_MISSED = 3  # answers in a row, until a leg is given up
MOST_EVENTS = 10  # looked through for the answer to a join


class JanusAudioDriver(Janus):
    """The AudioBridge of one Janus server."""

    PLUGIN = "janus.plugin.audiobridge"
    EXISTS, NO_ROOM, NOBODY = 486, 485, 492
    UNAUTHORIZED = frozenset({483, 489})
    SETTINGS = (
        *SETTINGS,
        Setting("api_url", Phrase("Address of the Janus API, for SIP callers")),
        Setting("sip_address", Phrase("Address and port of SIP: where it is called")),
    )

    def open_room(self, spec: RoomSpec) -> None:
        created = self._plugin(
            "create",
            allowing=self.EXISTS,
            room=spec.name,
            admin_key=self._settings["admin_key"],
            description=spec.title[:200],
            secret=spec.secret,
            pin=spec.pin,
            allowed=sorted(spec.tokens),
            is_private=True,
            sampling_rate=16000,
            allow_rtp_participants=True,
            permanent=False,
        )
        if created.get("error_code") == self.EXISTS:
            known: dict[str, Any] = {"room": spec.name, "secret": spec.secret}
            self._plugin("edit", new_pin=spec.pin, new_description=spec.title[:200], **known)
            self._admit(spec)
        self._hand_out(spec.tokens)

    def participants(self, room: str) -> Sequence[Participant]:
        found = self._plugin("listparticipants", room=room)["participants"]
        return [
            Participant(
                leg=str(one["id"]),
                name=str(one.get("display", "")),
                sound=not one.get("muted", False),
            )
            for one in found
        ]

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        url = self._settings["ws_url"]
        return Ticket(url=url, room=room, pin=pin, token=visitor.token, kind="audio")

    def dial_strings(self, number: str) -> Sequence[str]:
        return [f"sip:{number}@{self._settings['sip_address']}"]

    def mute(self, room: str, secret: str, legs: Sequence[str], *, muted: bool) -> None:
        request = "mute" if muted else "unmute"
        for leg in legs:
            self._plugin(request, allowing=self.NOBODY, room=room, secret=secret, id=leg)

    def record(self, room: str, secret: str, *, recording: bool) -> None:
        folder = self._settings.get("recordings", "")
        if not folder:
            raise DriverError("no folder for recordings is set for this bridge", permanent=True)
        place: dict[str, Any] = {"record_dir": folder, "record_file": f"{room}.wav"}
        known: dict[str, Any] = {"room": room, "secret": secret}
        self._plugin("enable_recording", record=recording, **known, **place)

    def dial_out(self, spec: RoomSpec, address: str, visitor: Visitor) -> None:
        """Call an endpoint, and join its sound once it has answered."""
        seat = Seat(room=spec.name, pin=spec.pin, visitor=visitor)
        agent = calling(self._settings["sip_address"].partition(":")[0])
        legs: list[Leg] = []

        def answer(theirs: Media) -> tuple[Media, Callable[[], None]]:
            ours, leg = self._seated(seat, theirs)
            legs.append(leg)
            return ours, leg.leave

        call = agent.call(address, "ConfBridge", answer)
        legs[0].on_gone = lambda: agent.hang_up(call)

    def answering(self, host: Host) -> Agent:
        """Take calls at the SIP address; `host` says who is let in where.

        Raises DriverError if somebody else takes them there already.
        """
        name, _, port = self._settings["sip_address"].partition(":")

        def admit(message: Message, theirs: Media) -> Admission:
            caller = Caller(number=message.user, address=message.caller)
            seat = host(caller)
            if seat is None:
                return 403, None, _nothing
            try:
                ours, leg = self._seated(seat, theirs)
            except DriverError as error:
                log.warning("%s cannot be joined: %s", caller.address, error)
                return 503, None, _nothing
            leg.on_gone = lambda: agent.hang_up_by(message.get("call-id"))
            return 200, ours, leg.leave

        try:
            agent = Agent(name, int(port or 5060), admit)
        except (OSError, ValueError, OverflowError) as error:
            raise DriverError("somebody else takes calls there, or nobody can") from error
        return agent

    def events(self, body: str) -> Sequence[Event]:
        return events_in(body, self.PLUGIN, _room_event)

    def _seated(self, seat: Seat, theirs: Media) -> tuple[Media, Leg]:
        """Join somebody's sound; return where ours is, and the leg that it is."""
        leg = Leg(self._settings["api_url"], seat.visitor.token)
        ours = leg.join(
            self.PLUGIN,
            {
                "request": "join",
                "room": seat.room,
                "pin": seat.pin,
                "token": seat.visitor.token,
                "display": seat.visitor.name,
                "codec": theirs.codec,
                "rtp": {"ip": theirs.ip, "port": theirs.port},
            },
        )
        return Media(ours["ip"], int(ours["port"]), theirs.codec), leg

    def _leg_in(self, room: str, info: Mapping[str, Any]) -> str:
        inside = info.get("plugin_specific", {})
        return str(inside.get("id", "")) if inside.get("room") == room else ""


class Leg:
    """A session with Janus on behalf of somebody who calls by SIP, kept alive until they leave."""

    def __init__(self, api_url: str, token: str) -> None:
        self._base = api_url.rstrip("/")
        self._token = token
        self._over = threading.Event()
        self.on_gone: Callable[[], None] = _nothing  # Janus has ended it, not the caller
        self._session = self._ask("", janus="create")["data"]["id"]

    def join(self, plugin: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return where Janus takes this one's RTP.

        Raises DriverError.
        """
        handle = self._ask(f"/{self._session}", janus="attach", plugin=plugin)["data"]["id"]
        self._ask(f"/{self._session}/{handle}", janus="message", body=dict(body))
        for _ in range(MOST_EVENTS):
            told = self._next(Janus.TERMS.patience).get("plugindata", {}).get("data", {})
            if told.get("error_code"):
                self.leave()
                raise DriverError(f"Janus refuses: {told.get('error', '')}", permanent=True)
            if "rtp" in told:
                for deed in (self._stay, self._keep_alive):
                    threading.Thread(target=deed, name="leg", daemon=True).start()
                found: Mapping[str, Any] = told["rtp"]
                return found
        self.leave()
        raise DriverError("Janus does not say where it takes sound")

    def leave(self) -> None:
        """End the session; Janus ends it by itself if it does not hear of it."""
        if self._over.is_set():
            return
        self._over.set()
        try:
            self._ask(f"/{self._session}", janus="destroy")
        except DriverError as error:
            log.info("a session that should end: %s", error)

    def _stay(self) -> None:
        """Listen, and notice when Janus has put this one out."""
        missed = 0
        while not self._over.is_set() and missed < MOST_MISSED:
            try:
                event = self._next(LISTENING)
            except DriverError as error:
                log.info("a leg is not heard of: %s", error)
                missed += 1
                self._over.wait(1.0)
                continue
            missed = 0
            told = event.get("plugindata", {}).get("data", {})
            is_out = "kicked" in told or told.get("audiobridge") == "destroyed"
            if is_out or event.get("janus") in {"timeout", "error", "detached"}:
                break
        if not self._over.is_set():
            self.leave()
            self.on_gone()

    def _keep_alive(self) -> None:
        while not self._over.wait(KEEP_ALIVE):
            try:
                self._ask(f"/{self._session}", janus="keepalive")
            except DriverError as error:
                log.info("a session is not kept alive: %s", error)

    def _next(self, patience: Patience) -> dict[str, Any]:
        url = f"{self._base}/{self._session}"
        answer = ask(
            "GET",
            url,
            patience=patience,
            saying="next event",
            params={"maxev": "1", "token": self._token},
        )
        return as_object(answer)

    def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        wanted = {**body, "transaction": secrets.token_hex(6), "token": self._token}
        answer = as_object(
            ask(
                "POST",
                self._base + path,
                json=wanted,
                patience=Janus.TERMS.patience,
                saying=str(body.get("janus", "")),
            )
        )
        if answer.get("janus") == "error":
            reason = answer.get("error", {}).get("reason", "")
            raise DriverError(f"Janus refuses {body.get('janus')}: {reason}", permanent=True)
        return answer


_agents: dict[str, Agent] = {}
_agents_lock = threading.Lock()


def calling(host: str) -> Agent:
    """Return the agent of this process that calls out from a host, on a port of its own."""
    with _agents_lock:
        if host not in _agents:
            try:
                _agents[host] = Agent(host, 0)
            except OSError as error:
                raise DriverError(f"this machine cannot call from {host}") from error
        return _agents[host]


def _room_event(data: Mapping[str, Any], at: datetime, handle: str) -> Event | None:
    room, leg = str(data.get("room", "")), str(data.get("id", ""))
    match data.get("event"):
        case "joined":
            name = str(data.get("display", ""))
            return Joined(at=at, room=room, leg=leg, name=name, handle=handle)
        case "left" | "kicked":
            return Left(at=at, room=room, leg=leg)
        case "destroyed" | "kicked_all":
            return Left(at=at, room=room)
        case "mute" | "unmute" as word:
            return Told(at=at, room=room, leg=leg, sound=word == "unmute")
        case _:
            return None


def _nothing() -> None:
    """Do nothing: nobody was let in."""
