"""BigBlueButton, also behind Scalelite, by its API and its webhooks.

Sources: the API documentation of BigBlueButton and the source of bbb-webhooks; see
docs/drivers/bigbluebutton.md. Not run against a real server.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.etree.ElementTree import Element

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
    Told,
    Visitor,
    checked,
    is_same,
)
from confbridge.drivers.http import ask
from confbridge.drivers.xml import number_of, parsed, text_of
from confbridge.errors import DriverError, Phrase, RoomGone

GONE = {"notFound"}
REFUSED = {"checksumError"}
LENGTHS = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}  # of a digest in hex
EXTRA_MINUTES = 60  # for which a room outlives the time it was made for: it may be extended


class BigBlueButtonDriver:
    """One BigBlueButton server, or a Scalelite that stands for many."""

    TERMS = Terms(patience=Patience(connect=2.0, answer=5.0))
    SETTINGS = (
        Setting("api_url", Phrase("Address of the API, ending in /bigbluebutton/api")),
        Setting("secret", Phrase("Shared secret"), is_secret=True),
        Setting("algorithm", Phrase("Digest of calls"), default="sha256"),
        Setting(
            "hook_url", Phrase("Address at which it reports to this service"), is_optional=True
        ),
        Setting("server_tag", Phrase("Tag of servers, for Scalelite"), is_optional=True),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)
        if self._settings["algorithm"] not in LENGTHS.values():
            raise DriverError("no such digest", permanent=True)

    def probe(self) -> Answer:
        """Return the version; a call that needs the secret shows that it is the right one."""
        answer = self._ask("")
        version = text_of(answer, "bbbVersion") or text_of(answer, "apiVersion")
        self._ask("getMeetings")
        return Answer(software=f"BigBlueButton {version}".strip(), epoch="")

    def open_room(self, spec: RoomSpec) -> None:
        minutes = EXTRA_MINUTES
        if spec.until is not None:
            minutes += max(ceil((spec.until - clock.now()).total_seconds() / 60), 0)
        wanted = {
            "name": spec.title[:200],
            "meetingID": spec.name,
            "attendeePW": self._password("attendee", spec.secret),
            "moderatorPW": self._password("moderator", spec.secret),
            "maxParticipants": str(spec.ports),
            "record": "false",
            "guestPolicy": "ALWAYS_ACCEPT",
            "muteOnStart": "false",
            # Else it is gone five minutes after it was made, if nobody has come.
            "meetingExpireIfNoUserJoinedInMinutes": str(minutes),
            "meetingExpireWhenLastUserLeftInMinutes": "0",
            "meetingKeepEvents": "true",
        }
        if tag := self._settings["server_tag"]:
            wanted["meta_server-tag"] = tag
        if hook := self._settings["hook_url"]:
            signed = urlencode({"room": spec.name, "sig": self._signature(spec.name)})
            wanted["meta_endCallbackUrl"] = f"{hook}/ended?{signed}"
            wanted["meta_analytics-callback-url"] = f"{hook}/analytics?{signed}"
        self._ask("create", **wanted)
        if hook:
            self._ask("hooks/create", callbackURL=hook, meetingID=spec.name)

    def close_room(self, room: str, secret: str) -> None:
        password = self._password("moderator", secret)
        self._ask("end", allowing=GONE, meetingID=room, password=password)

    def participants(self, room: str) -> Sequence[Participant]:
        answer = self._ask("getMeetingInfo", meetingID=room)
        return [
            Participant(
                leg=text_of(one, "userID"),
                name=text_of(one, "fullName"),
                token=_token(text_of(one, "userID")),
                picture=text_of(one, "hasVideo") == "true",
                sound=text_of(one, "hasJoinedVoice") == "true",
            )
            for one in answer.iterfind("attendees/attendee")
        ]

    def counts(self) -> Mapping[str, int]:
        return {
            text_of(one, "meetingID"): number_of(one, "participantCount")
            for one in self._ask("getMeetings").iterfind("meetings/meeting")
        }

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        """Return a signed address of its own page, good for this visitor alone."""
        wanted = {
            "fullName": visitor.name[:100],
            "meetingID": room,
            "role": "MODERATOR" if visitor.is_chair else "VIEWER",
            # Who has several legs has several users; the token says whose they are.
            "userID": f"{visitor.token}.{secrets.token_hex(4)}",
            "redirect": "true",
        }
        return Ticket(url=self._url("join", wanted), room=room, pin=pin)

    def events(self, body: str) -> Sequence[Event]:
        try:
            if body.startswith("{"):
                return list(_callback(json.loads(body)))
            form = parse_qs(body, strict_parsing=True)
            domain = form.get("domain", [""])[0]
            batch = json.loads(form["event"][0])
            return [said for one in batch for said in _event(domain, one["data"])]
        except NONSENSE as error:
            raise DriverError("a batch of events makes no sense", permanent=True) from error

    def is_from_bridge(self, delivery: Delivery) -> bool:
        """Check the checksum of a webhook, its bearer, or our own signature of a callback."""
        secret = self._settings["secret"]
        if delivery.path:
            return is_same(
                delivery.query.get("sig", ""), self._signature(delivery.query.get("room", ""))
            )
        kind, _, bearer = delivery.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return is_same(bearer.strip(), secret)
        given = delivery.query.get("checksum", "")
        algorithm = LENGTHS.get(len(given))
        if algorithm is None:
            return False
        said = f"{self._settings['hook_url']}{delivery.body}{secret}"
        return is_same(given, _digest(algorithm, said))

    def _password(self, role: str, secret: str) -> str:
        return _digest("sha256", f"{role} {secret}")[:24]

    def _signature(self, room: str) -> str:
        """Return by which a callback about one room is known; good for nothing else."""
        key = self._settings["secret"].encode()
        return hmac.new(key, f"callback {room}".encode(), hashlib.sha256).hexdigest()[:32]

    def _url(self, call: str, wanted: Mapping[str, str]) -> str:
        """Return the address of a call: the query is encoded once, and signed as it is sent."""
        query = urlencode(wanted)
        signed = _digest(self._settings["algorithm"], f"{call}{query}{self._settings['secret']}")
        base = self._settings["api_url"].rstrip("/")
        return f"{base}/{call}?{query}{'&' if query else ''}checksum={signed}"

    def _ask(self, call: str, *, allowing: Iterable[str] = (), **wanted: str) -> Element:
        """Return the answer to a call, which says itself whether it is a success."""
        url = self._url(call, wanted) if call else self._settings["api_url"].rstrip("/")
        answer = ask("GET", url, patience=self.TERMS.patience, saying=call or "version")
        if not answer.is_success:
            raise DriverError(f"the bridge answers {answer.status_code}")
        found = parsed(answer.text)
        key = text_of(found, "messageKey")
        if text_of(found, "returncode") != "SUCCESS" and key not in allowing:
            reason = text_of(found, "message") or key
            if key in GONE:
                raise RoomGone(f"BigBlueButton refuses {call}: {reason}")
            raise DriverError(f"BigBlueButton refuses {call}: {reason}", permanent=key in REFUSED)
        return found


def _digest(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


def _token(user: str) -> str:
    return user.partition(".")[0]


def _moment(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(float(milliseconds) / 1000, UTC)


def _event(domain: str, data: Mapping[str, Any]) -> Iterator[Event]:
    """Yield what one event of a webhook means; it has no number, so its key is put together."""
    attributes = data["attributes"]
    meeting, user = attributes.get("meeting", {}), attributes.get("user", {})
    at = _moment(data["event"]["ts"])
    leg = str(user.get("external-user-id", ""))
    room = str(meeting.get("external-meeting-id", ""))
    inner = meeting.get("internal-meeting-id", "")
    key = "|".join([domain, str(inner), str(data["id"]), leg, str(data["event"]["ts"])])
    match data["id"]:
        case "user-joined":
            name = str(user.get("name", ""))
            yield Joined(at=at, key=key, room=room, leg=leg, name=name, token=_token(leg))
        case "user-left":
            yield Left(at=at, key=key, room=room, leg=leg)
        case "meeting-ended":
            yield Left(at=at, key=key, room=room)
        case "user-audio-muted" | "user-audio-voice-disabled":
            yield Told(at=at, key=key, room=room, leg=leg, sound=False)
        case "user-audio-unmuted" | "user-audio-voice-enabled":
            yield Told(at=at, key=key, room=room, leg=leg, sound=True)
        case "user-cam-broadcast-start":
            yield Told(at=at, key=key, room=room, leg=leg, picture=True)
        case "user-cam-broadcast-end":
            yield Told(at=at, key=key, room=room, leg=leg, picture=False)
        case "user-raise-hand-changed":
            raised = bool(user.get("raise-hand", user.get("raiseHand", False)))
            yield Told(at=at, key=key, room=room, leg=leg, hand=raised)


def _callback(kept: Mapping[str, Any]) -> Iterator[Event]:
    """Yield what a callback at the end of a meeting means."""
    room = str(kept["query"]["room"])
    if kept["path"] == "ended":
        yield Left(at=clock.now(), key=f"ended|{room}", room=room)
        return
    told = json.loads(kept["body"])
    for one in told["data"]["attendees"]:
        leg, name = str(one["ext_user_id"]), str(one.get("name", ""))
        for at in map(_any_moment, one.get("joins", [])):
            key = f"analytics|{room}|{leg}|joined|{at.isoformat()}"
            yield Joined(at=at, key=key, room=room, leg=leg, name=name, token=_token(leg))
        leaves = [_any_moment(each) for each in one.get("leaves", [])]
        if leaves:
            key = f"analytics|{room}|{leg}|left|{max(leaves).isoformat()}"
            yield Left(at=max(leaves), key=key, room=room, leg=leg)


def _any_moment(given: Any) -> datetime:
    """Return a moment that may come as ISO 8601, or in milliseconds."""
    if isinstance(given, int | float) or str(given).isdecimal():
        return _moment(given)
    found = datetime.fromisoformat(str(given))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
