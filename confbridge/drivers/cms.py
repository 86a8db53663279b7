"""Cisco Meeting Server, by its API and its call detail records.

Sources: the API reference and the guide to call detail records of Cisco Meeting Server; see
docs/drivers/cms.md. Not run against a real server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from confbridge.domain.health import Patience
from confbridge.drivers import (
    Answer,
    Begun,
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
    Visitor,
    checked,
    credentials,
    is_same,
)
from confbridge.drivers.http import ask
from confbridge.drivers.xml import number_of, parsed, text_of
from confbridge.errors import DriverError, Phrase, RoomGone

PER_PAGE = 20
LONGEST_LABEL = 50  # bytes of a name in a picture
MESSAGE_SECONDS = 30
BUSY = 503
GONE = 404


class CmsDriver:
    """One call bridge of a Cisco Meeting Server."""

    TERMS = Terms(patience=Patience(connect=2.0, answer=5.0))
    LAYOUTS = ("allEqual", "speakerOnly", "telepresence", "stacked", "onePlusN")
    SETTINGS = (
        Setting("api_url", Phrase("Address of the API, ending in /api/v1")),
        Setting("user", Phrase("User of the API")),
        Setting("password", Phrase("Password of the API"), is_secret=True),
        Setting("web_url", Phrase("Address for browsers")),
        Setting("domain", Phrase("Domain that is dialled")),
        Setting("events_user", Phrase("User of the CDR receiver"), default="cms"),
        Setting("events_password", Phrase("Password of the CDR receiver"), is_secret=True),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = checked(self.SETTINGS, settings)

    def probe(self) -> Answer:
        """Return its version, its alarms, and the number of the record that comes next."""
        status = parsed(self._ask("GET", "system/status").text)
        alarms = [text_of(one, "type") for one in self._all("system/alarms", "alarm")]
        load = parsed(self._ask("GET", "system/load").text)
        return Answer(
            software=f"Cisco Meeting Server {text_of(status, 'softwareVersion')}".strip(),
            epoch=text_of(status, "hostId"),
            trouble=f"alarms: {', '.join(alarms[:3])}" if alarms else "",
            in_use=number_of(status, "callLegsActive"),
            load=min(number_of(load, "mediaProcessingLoad") / 100_000, 1.0),
            next_number=number_of(status, "cdrCorrelatorIndex"),
        )

    def open_room(self, spec: RoomSpec) -> None:
        wanted = {
            "name": spec.title[:200],
            "uri": spec.name,
            "callId": spec.number,
            "cdrTag": spec.name,
            "passcode": spec.pin,
            "requireCallId": "true",
        }
        found = self._space(spec.name)
        if found:
            self._ask("PUT", f"coSpaces/{found}", wanted)
        else:  # it makes another one each time that it is asked: so only if there is none
            self._ask("POST", "coSpaces", wanted)

    def close_room(self, room: str, secret: str) -> None:
        found = self._space(room)
        if not found:
            return
        for call in self._calls(found):
            self._ask("DELETE", f"calls/{call}", allowing=GONE)
        self._ask("DELETE", f"coSpaces/{found}", allowing=GONE)

    def participants(self, room: str) -> Sequence[Participant]:
        found = self._space(room)
        if not found:
            raise RoomGone("there is no such room")
        return [
            Participant(
                leg=str(one.get("id", "")),
                name=text_of(one, "name"),
                address=text_of(one, "remoteParty"),
                token=text_of(one, "ownerId"),
            )
            for call in self._calls(found)
            for one in self._all(f"calls/{call}/callLegs", "callLeg")
        ]

    def counts(self) -> Mapping[str, int]:
        spaces = {
            str(one.get("id", "")): text_of(one, "uri") for one in self._all("coSpaces", "coSpace")
        }
        found = {name: 0 for name in spaces.values() if name}
        for call in self._all("calls", "call"):
            name = spaces.get(text_of(call, "coSpace"), "")
            if name:  # how many there are, only the call itself tells
                one = parsed(self._ask("GET", f"calls/{call.get('id', '')}").text)
                found[name] += number_of(one, "numCallLegs")
        return found

    def ticket(self, room: str, pin: str, visitor: Visitor) -> Ticket:
        """Return the address of its own page; the PIN is shown beside it, not written into it."""
        base = self._settings["web_url"].rstrip("/")
        return Ticket(url=f"{base}/meeting?{urlencode({'uri': room})}", room=room, pin=pin)

    def dial_strings(self, number: str) -> Sequence[str]:
        return [f"sip:{number}@{self._settings['domain']}"]

    def mute(self, room: str, secret: str, legs: Sequence[str], *, muted: bool) -> None:
        wanted = {"rxAudioMute": "true" if muted else "false"}
        for leg in legs:
            self._ask("PUT", f"callLegs/{leg}", wanted, allowing=GONE)

    def disconnect(self, room: str, secret: str, leg: str) -> None:
        self._ask("DELETE", f"callLegs/{leg}", allowing=GONE)

    def lock(self, room: str, *, locked: bool) -> None:
        self._change_calls(room, locked="true" if locked else "false")

    def record(self, room: str, secret: str, *, recording: bool) -> None:
        self._change_calls(room, recording="true" if recording else "false")

    def message(self, room: str, text: str) -> None:
        shown = {"messagePosition": "top", "messageDuration": str(MESSAGE_SECONDS)}
        self._change_calls(room, messageText=text[:200], **shown)

    def layout(self, room: str, name: str) -> None:
        for call in self._calls(self._space(room)):
            self._ask("PUT", f"calls/{call}/participants/*", {"chosenLayout": name})

    def dial_out(self, spec: RoomSpec, address: str, visitor: Visitor) -> None:
        space = self._space(spec.name)
        if not space:
            raise DriverError("there is no such room", permanent=True)
        calls = self._calls(space)
        call = calls[0] if calls else self._new_call(space)
        label = visitor.name.encode()[:LONGEST_LABEL].decode(errors="ignore")
        wanted = {
            "remoteParty": address.removeprefix("sip:"),
            "ownerId": visitor.token,  # comes back on the leg: whose it is
            "nameLabelOverride": label,
        }
        self._ask("POST", f"calls/{call}/participants", wanted)

    def events(self, body: str) -> Sequence[Event]:
        try:
            records = parsed(body)
            session = records.get("session", "")
            return [
                said for one in records.iterfind("record") for said in self._record(session, one)
            ]
        except (ValueError, OverflowError) as error:
            raise DriverError("a record makes no sense", permanent=True) from error

    def is_from_bridge(self, delivery: Delivery) -> bool:
        user, password = credentials(delivery)
        return is_same(user, self._settings["events_user"]) and is_same(
            password, self._settings["events_password"]
        )

    def _record(self, session: str, record: Element) -> Iterator[Event]:
        """Yield what one record means; of a leg it names the call, and of that the room."""
        stamp: dict[str, Any] = {
            "at": _moment(record.get("time", "")),
            "key": f"{session}|{record.get('correlatorIndex', '')}",
            "stream": session,
            "number": int(record.get("correlatorIndex", "0")),
            "missing": int(record.get("numPreceedingRecordsMissing", "0")),
        }
        match record.get("type"), record.find("callLeg"):
            case "callStart", _:
                call = record.find("call")
                number, tag = "", ""
                if call is not None:
                    number, tag = str(call.get("id", "")), text_of(call, "cdrTag")
                yield Begun(**stamp, room=tag, call=number)
            case "callLegStart", Element() as leg:
                yield Joined(
                    **stamp,
                    call=text_of(leg, "call"),
                    leg=str(leg.get("id", "")),
                    name=text_of(leg, "displayName"),
                    address=text_of(leg, "remoteParty"),
                    token=text_of(leg, "ownerId"),
                )
            case "callLegEnd", Element() as leg:
                yield Left(**stamp, leg=str(leg.get("id", "")))
            case _:
                yield Other(**stamp)

    def _space(self, name: str) -> str:
        """Return the id of the coSpace with this URI; "" if there is none."""
        for one in self._all("coSpaces", "coSpace", filter=name):
            if text_of(one, "uri") == name:
                return str(one.get("id", ""))
        return ""

    def _calls(self, space: str) -> list[str]:
        if not space:
            return []
        some = self._all("calls", "call", coSpacefilter=space)
        return [str(one.get("id", "")) for one in some if text_of(one, "coSpace") == space]

    def _new_call(self, space: str) -> str:
        answer = self._ask("POST", "calls", {"coSpace": space})
        return str(answer.headers.get("Location", "")).rstrip("/").rpartition("/")[2]

    def _change_calls(self, room: str, **wanted: str) -> None:
        for call in self._calls(self._space(room)):
            self._ask("PUT", f"calls/{call}", wanted, allowing=GONE)

    def _all(self, path: str, tag: str, **filters: str) -> list[Element]:
        """Return every element of a list, page by page."""
        found: list[Element] = []
        while True:
            asked = {**filters, "offset": str(len(found)), "limit": str(PER_PAGE)}
            page = parsed(self._ask("GET", f"{path}?{urlencode(asked)}").text)
            some = page.findall(tag)
            found += some
            if not some or len(found) >= int(page.get("total", "0")):
                return found

    def _ask(
        self, method: str, path: str, form: Mapping[str, str] | None = None, *, allowing: int = 0
    ) -> Any:
        answer = ask(
            method,
            f"{self._settings['api_url'].rstrip('/')}/{path}",
            patience=self.TERMS.patience,
            saying=f"{method} {path.partition('?')[0]}",
            auth=(self._settings["user"], self._settings["password"]),
            data=form,
        )
        if answer.is_success or answer.status_code == allowing:
            return answer
        said = f"CMS refuses {method} {path.partition('?')[0]}: {answer.status_code}"
        raise DriverError(said, permanent=answer.status_code < 500 and answer.status_code != BUSY)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
