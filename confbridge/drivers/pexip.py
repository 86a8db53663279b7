"""Pexip Infinity, by its management API and its event sinks.

Sources: the management API guide (configuration, command, status) and the event sink guide of
Pexip Infinity; see docs/drivers/pexip.md. Not run against a real server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from confbridge.domain.health import Patience
from confbridge.drivers import (
    NONSENSE,
    Answer,
    Delivery,
    Event,
    Joined,
    Left,
    Other,
    Participant,
    RoomSpec,
    Setting,
    Terms,
    Ticket,
    Told,
    Visitor,
    checked,
    credentials,
    is_same,
)
from confbridge.drivers.http import as_object, ask
from confbridge.errors import DriverError, Phrase, RoomGone

PER_PAGE = 200
ROLES = {True: "chair", False: "guest"}
NO_LEG = {"api"}  # a protocol by which nobody takes part


class PexipDriver:
    """A Pexip Infinity management node, and the conferencing nodes behind it."""

    TERMS = Terms(patience=Patience(connect=2.0, answer=5.0))
    LAYOUTS = ("five_mains_seven_pips", "one_main_seven_pips", "two_mains_twentyone_pips", "ac")
    SETTINGS = (
        Setting("manager_url", Phrase("Address of the management node")),
        Setting("user", Phrase("User of the management API")),
        Setting("password", Phrase("Password of the management API"), is_secret=True),
        Setting("web_url", Phrase("Address for browsers")),
        Setting("domain", Phrase("Domain that is dialled")),
        Setting("location", Phrase("System location that calls out")),
        Setting("events_user", Phrase("User of the event sink"), default="pexip"),
        Setting("events_password", Phrase("Password of the event sink"), is_secret=True),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)

    def probe(self) -> Answer:
        """Return what the conferencing nodes can carry, and what is wrong with them."""
        nodes = [one for one in self._all("status", "worker_vm") if one.get("deploy_status", "")]
        working = [one for one in nodes if not one.get("maintenance_mode")]
        if not working:
            raise DriverError("no conferencing node is working")
        asleep = [str(one["name"]) for one in nodes if one.get("maintenance_mode")]
        alarms = [str(one.get("name", "?")) for one in self._all("status", "alarm")]
        said = [f"in maintenance: {', '.join(asleep)}"] if asleep else []
        said += [f"alarms: {', '.join(alarms[:3])}"] if alarms else []
        load = max(float(one.get("media_load", 0) or 0) for one in working)
        return Answer(
            software="Pexip Infinity",
            epoch="",
            trouble="; ".join(said),
            capacity=sum(int(one.get("max_hd_calls", 0) or 0) for one in working),
            load=min(load / 100, 1.0),
        )

    def open_room(self, spec: RoomSpec) -> None:
        wanted = {
            "name": spec.name,
            "service_type": "conference",
            "description": spec.title[:250],
            "pin": spec.pin,
            "allow_guests": False,
            "participant_limit": spec.ports,
            "tag": spec.name,  # comes back in status, history and events
        }
        found = self._room(spec.name)
        if found is None:
            aliases = [{"alias": alias} for alias in self._aliases(spec)]
            self._send("POST", "configuration", "conference", {**wanted, "aliases": aliases})
        else:
            self._send("PATCH", "configuration", f"conference/{found['id']}", wanted)

    def close_room(self, room: str, secret: str) -> None:
        for one in self._running(room):
            self._command("conference/disconnect", conference_id=one["id"])
        found = self._room(room)
        if found is not None:  # by its number: the address of the list would take all of them
            self._send("DELETE", "configuration", f"conference/{found['id']}")

    def participants(self, room: str) -> Sequence[Participant]:
        if self._room(room) is None:
            raise RoomGone("there is no such room")
        return [
            Participant(
                leg=str(one["call_uuid"]),
                name=str(one.get("display_name", "")),
                address=str(one.get("source_alias", "")),
                token=str(one.get("call_tag", "")),
                joined=_moment_of_text(one.get("connect_time")),
                sound=not (one.get("is_muted") or one.get("is_client_muted")),
            )
            for one in self._legs(room)
        ]

    def counts(self) -> Mapping[str, int]:
        found = {str(one["name"]): 0 for one in self._all("configuration", "conference")}
        for one in self._all("status", "participant"):
            if _is_a_leg(one) and one["conference"] in found:
                found[one["conference"]] += 1
        return found

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        """Return the address of its own page; the PIN is shown beside it, not written into it."""
        base = self._settings["web_url"].rstrip("/")
        name = quote(visitor.name)
        return Ticket(url=f"{base}/webapp/conference/{quote(room)}?name={name}", room=room, pin=pin)

    def dial_strings(self, number: str) -> Sequence[str]:
        return [f"sip:{number}@{self._settings['domain']}"]

    def mute(self, room: str, secret: str, legs: Sequence[str], *, muted: bool) -> None:
        here = {str(one["call_uuid"]) for one in self._legs(room)}
        for leg in legs:
            if leg in here:
                self._command(f"participant/{'mute' if muted else 'unmute'}", participant_id=leg)

    def disconnect(self, room: str, secret: str, leg: str) -> None:
        if any(str(one["call_uuid"]) == leg for one in self._legs(room)):
            self._command("participant/disconnect", participant_id=leg)

    def lock(self, room: str, *, locked: bool) -> None:
        for one in self._running(room):
            self._command(f"conference/{'lock' if locked else 'unlock'}", conference_id=one["id"])

    def layout(self, room: str, name: str) -> None:
        for one in self._running(room):
            self._command("conference/transform_layout", conference_id=one["id"], layout=name)

    def dial_out(self, spec: RoomSpec, address: str, visitor: Visitor) -> None:
        kind, _, rest = address.partition(":")
        protocol, destination = (kind, rest) if kind in {"sip", "h323"} else ("sip", address)
        self._command(
            "participant/dial",
            conference_alias=spec.name,
            destination=destination,
            protocol=protocol,
            role=ROLES[visitor.is_chair],
            call_type="video",
            routing="manual",
            system_location=self._settings["location"],
            remote_display_name=visitor.name,
        )

    def events(self, body: str) -> Sequence[Event]:
        try:
            given = json.loads(body)
            inside = given["data"] if given.get("event") == "eventsink_bulk" else [given]
            return [said for one in inside for said in _event(one)]
        except NONSENSE as error:
            raise DriverError("an event makes no sense", permanent=True) from error

    def is_from_bridge(self, delivery: Delivery) -> bool:
        user, password = credentials(delivery)
        return is_same(user, self._settings["events_user"]) and is_same(
            password, self._settings["events_password"]
        )

    def _aliases(self, spec: RoomSpec) -> list[str]:
        return [spec.name, f"{spec.number}@{self._settings['domain']}"]

    def _room(self, name: str) -> dict[str, Any] | None:
        found = self._all("configuration", "conference", name=name)
        return found[0] if found else None

    def _running(self, name: str) -> list[dict[str, Any]]:
        return self._all("status", "conference", name=name)

    def _legs(self, room: str) -> list[dict[str, Any]]:
        some = self._all("status", "participant", conference=room)
        return [one for one in some if _is_a_leg(one)]

    def _all(self, kind: str, resource: str, **filters: str) -> list[dict[str, Any]]:
        """Return every object of a list, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            asked = {**filters, "limit": str(PER_PAGE), "offset": str(len(found))}
            page = as_object(self._ask("GET", kind, resource, params=asked))
            found += page["objects"]
            if not page["objects"] or len(found) >= page["meta"]["total_count"]:
                return found

    def _send(
        self, method: str, kind: str, resource: str, wanted: Mapping[str, Any] | None = None
    ) -> None:
        self._ask(method, kind, resource, **({"json": wanted} if wanted is not None else {}))

    def _command(self, name: str, **wanted: Any) -> None:
        """Give a command; an answer of 200 may still say that it failed."""
        told = as_object(self._ask("POST", "command", name, json=wanted))
        if told.get("status") != "success":
            raise DriverError(f"Pexip refuses {name}: {told.get('message', '')}", permanent=True)

    def _ask(self, method: str, kind: str, resource: str, **given: Any) -> Any:
        base = self._settings["manager_url"].rstrip("/")
        answer = ask(
            method,
            f"{base}/api/admin/{kind}/v1/{resource}/",  # without the last slash it is redirected
            patience=self.TERMS.patience,
            saying=f"{method} {kind} {resource}",
            auth=(self._settings["user"], self._settings["password"]),
            **given,
        )
        if not answer.is_success:
            permanent = answer.status_code in {400, 401, 403, 404, 405}
            said = f"Pexip refuses {kind} {resource}: {answer.status_code}"
            raise DriverError(said, permanent=permanent)
        return answer


def _is_a_leg(one: Mapping[str, Any]) -> bool:
    """Say whether somebody takes part by this: no stream to elsewhere, no control connection."""
    return (
        not one.get("is_streaming")
        and one.get("has_media", True) is not False
        and str(one.get("protocol", "")).lower() not in NO_LEG
    )


def _event(given: Mapping[str, Any]) -> Iterator[Event]:
    """Yield what one event means; each has a number, one higher than the last of its node."""
    data = given["data"]
    stamp: dict[str, Any] = {
        "at": datetime.fromtimestamp(float(given["time"]), UTC),
        "stream": str(given["node"]),
        "number": int(given["seq"]),
    }
    leg = str(data.get("uuid", "")) if isinstance(data, Mapping) else ""
    room = str(data.get("conference", "")) if isinstance(data, Mapping) else ""
    match given["event"]:
        case "participant_connected" if _is_a_leg(data):
            yield Joined(
                **stamp,
                room=room,
                leg=leg,
                name=str(data.get("display_name", "")),
                address=str(data.get("source_alias", "")),
                token=str(data.get("call_tag", "")),
            )
        case "participant_disconnected":
            yield Left(**stamp, room=room, leg=leg)
        case "participant_updated" if "is_muted" in data or "is_client_muted" in data:
            muted = data.get("is_muted") or data.get("is_client_muted")
            yield Told(**stamp, room=room, leg=leg, sound=not muted)
        case _:
            # A conference ends on every node by itself: that people left says who is gone.
            yield Other(**stamp)


def _moment_of_text(text: Any) -> datetime | None:
    """Return a moment of the API, which is in UTC without saying so."""
    if not text:
        return None
    found = datetime.fromisoformat(str(text))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
