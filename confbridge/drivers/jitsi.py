"""Jitsi: it asks us for reservations and tells us who comes; we sign who may come in.

Sources: Prosody's mod_reservations and the event_sync component, the handbook on JWT, and the
documentation of the Videobridge's REST interface; see docs/drivers/jitsi.md. Not run against a
real server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import jwt

from confbridge import clock
from confbridge.domain.health import Patience
from confbridge.drivers import (
    NONSENSE,
    Answer,
    Delivery,
    Event,
    Joined,
    Left,
    Participant,
    RoomSpec,
    Setting,
    Terms,
    Ticket,
    Visitor,
    checked,
    is_same,
)
from confbridge.drivers.http import as_object, ask
from confbridge.errors import DriverError, Phrase

GOOD_FOR = timedelta(hours=12)  # a token lasts as long as the longest meeting
EARLY = timedelta(minutes=1)  # clocks differ
STRESSED = 0.9  # of 1: a videobridge that says so takes no more in good quality


class JitsiDriver:
    """One Jitsi deployment: Prosody, Jicofo and a videobridge."""

    TERMS = Terms(can_end=False, patience=Patience(connect=2.0, answer=4.0))
    SETTINGS = (
        Setting("url", Phrase("Address for browsers")),
        Setting("jvb_url", Phrase("Private REST address of the videobridge")),
        Setting("jicofo_url", Phrase("REST address of Jicofo"), is_optional=True),
        Setting("app_id", Phrase("Application ID of the tokens")),
        Setting("app_secret", Phrase("Application secret of the tokens"), is_secret=True),
        Setting("bearer", Phrase("Bearer by which Prosody reports"), is_secret=True),
        Setting("domain", Phrase("Domain of the tokens"), default="*"),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)

    def probe(self) -> Answer:
        """Return how the videobridge is, and Jicofo if it can be asked."""
        self._healthy(self._settings["jvb_url"], "videobridge")
        if self._settings["jicofo_url"]:
            self._healthy(self._settings["jicofo_url"], "jicofo")
        url = self._settings["jvb_url"].rstrip("/") + "/colibri/stats"
        answer = ask("GET", url, patience=self.TERMS.patience, saying="stats")
        if not answer.is_success:
            raise DriverError(f"the videobridge answers {answer.status_code}")
        stats = as_object(answer)
        stress = float(stats.get("stress_level", 0) or 0)
        trouble = ""
        if stats.get("graceful_shutdown") or stats.get("drain"):
            trouble = "the videobridge is being drained"
        elif stress >= STRESSED:
            trouble = f"the videobridge is at {stress:.0%} of what it can bear"
        return Answer(
            software=f"Jitsi Videobridge {stats.get('version', '')}".strip(),
            epoch="",
            trouble=trouble,
            load=min(stress, 1.0),
            in_use=int(stats.get("participants", 0) or 0),
        )

    def open_room(self, spec: RoomSpec) -> None:
        """Do nothing: the first who comes opens it, and Prosody asks us whether it may."""

    def close_room(self, room: str, secret: str) -> None:
        """Do nothing: Prosody ends it when the time that we told it is over."""

    def participants(self, room: str) -> Sequence[Participant]:
        raise DriverError("Jitsi cannot be asked who is in", permanent=True)

    def counts(self) -> None:
        return None

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        """Return its page with a token signed for this visitor and this room (RFC 7519, HS256)."""
        now = clock.now()
        claims = {
            "aud": self._settings["app_id"],
            "iss": self._settings["app_id"],
            "sub": self._settings["domain"],
            "room": room,
            "nbf": int((now - EARLY).timestamp()),
            "exp": int((now + GOOD_FOR).timestamp()),
            "context": {
                "user": {
                    "id": visitor.token,
                    "name": visitor.name,
                    "moderator": visitor.is_chair,
                },
                "features": {"recording": False, "livestreaming": False},
            },
        }
        signed = jwt.encode(claims, self._settings["app_secret"], algorithm="HS256")
        base = self._settings["url"].rstrip("/")
        return Ticket(url=f"{base}/{quote(room)}?{urlencode({'jwt': signed})}", room=room)

    def events(self, body: str) -> Sequence[Event]:
        try:
            kept = json.loads(body)
            return list(_event(kept["path"], json.loads(kept["body"])))
        except NONSENSE as error:
            raise DriverError("an event makes no sense", permanent=True) from error

    def is_from_bridge(self, delivery: Delivery) -> bool:
        kind, _, bearer = delivery.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and is_same(bearer.strip(), self._settings["bearer"])

    def _healthy(self, base: str, what: str) -> None:
        url = base.rstrip("/") + "/about/health"
        answer = ask("GET", url, patience=self.TERMS.patience, saying=f"health of {what}")
        if not answer.is_success:
            raise DriverError(f"{what} says that it is not well: {answer.status_code}")


def _event(path: str, told: Mapping[str, Any]) -> Iterator[Event]:
    """Yield what one call of event_sync means. It has neither key nor number; times in seconds."""
    room = str(told["room_name"])
    match path.strip("/"):
        case "events/occupant/joined":
            yield _came(room, told["occupant"])
        case "events/occupant/left":
            one = told["occupant"]
            yield Left(at=_moment(one["left_at"]), room=room, leg=str(one["occupant_jid"]))
        case "events/room/destroyed":
            # All who ever were in, also those of whom no event has come.
            for one in told.get("all_occupants", []):
                yield _came(room, one)
                if one.get("left_at"):
                    leg = str(one["occupant_jid"])
                    yield Left(at=_moment(one["left_at"]), room=room, leg=leg)
            yield Left(at=_moment(told["destroyed_at"]), room=room)


def _came(room: str, one: Mapping[str, Any]) -> Joined:
    return Joined(
        at=_moment(one["joined_at"]),
        room=room,
        leg=str(one["occupant_jid"]),
        name=str(one.get("name", "")),
        token=str(one.get("id", "")),
    )


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
