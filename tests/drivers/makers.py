"""Small servers that check what is sent to them as strictly as the makers' own do.

They stand in where no server of that make can run here: checksums, trailing slashes, form or
JSON, status codes. What is wrong is refused as the maker refuses it, and noted in `mistakes`.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.sax.saxutils import escape

SECRET = "639259d4-9dd8-4b25-bf01-95f9567eaf4b"


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass
class Maker(ABC):
    """A server in a thread; subclasses say how their maker answers."""

    mistakes: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        maker = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                address = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length).decode()
                asked = Asked(self.command, address.path, address.query, headers, body)
                maker.asked.append(asked)
                status, kind, text, more = maker.answer(asked)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @abstractmethod
    def answer(self, asked: Asked) -> tuple[int, str, str, dict[str, str]]:
        """Return status, kind, text and more headers."""

    def wrong(self, what: str) -> None:
        self.mistakes.append(what)


def xml(text: str, status: int = 200, **headers: str) -> tuple[int, str, str, dict[str, str]]:
    return status, "text/xml", text, headers


def as_json(given: Any, status: int = 200, **headers: str) -> tuple[int, str, str, dict[str, str]]:
    return status, "application/json", json.dumps(given), headers


def nothing(status: int, **headers: str) -> tuple[int, str, str, dict[str, str]]:
    return status, "text/plain", "", headers


def basic(asked: Asked, user: str, password: str) -> bool:
    wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
    return asked.headers.get("authorization") == f"Basic {wanted}"


class BigBlueButton(Maker):
    """Checks the checksum over call and query as they were sent, and the parameters it knows."""

    BASE = "/bigbluebutton/api"
    KNOWN: ClassVar[dict[str, set[str]]] = {
        "create": {"name", "meetingID", "attendeePW", "moderatorPW", "maxParticipants", "record"}
        | {"guestPolicy", "muteOnStart", "meetingExpireIfNoUserJoinedInMinutes"}
        | {"meetingExpireWhenLastUserLeftInMinutes", "meetingKeepEvents"},
        "end": {"meetingID", "password"},
        "getMeetings": set(),
        "getMeetingInfo": {"meetingID"},
        "join": {"fullName", "meetingID", "role", "userID", "redirect"},
        "hooks/create": {"callbackURL", "meetingID"},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rooms: dict[str, dict[str, Any]] = {}
        self.hooks: list[str] = []

    def as_bridge(self) -> dict[str, dict[str, str]]:
        settings = {"api_url": self.url + self.BASE, "hook_url": "https://us.example/hooks/bbb"}
        return {"settings": settings, "secrets": {"secret": SECRET}}

    def enter(self, room: str, user: str, name: str) -> None:
        self.rooms[room]["users"][user] = name

    def answer(self, asked: Asked) -> Any:
        call = asked.path.removeprefix(self.BASE).strip("/")
        if not call:
            return xml(
                "<response><returncode>SUCCESS</returncode><version>2.0</version>"
                "<bbbVersion>3.0.12</bbbVersion></response>"
            )
        if asked.method != "GET" or call not in self.KNOWN:
            self.wrong(f"{asked.method} {call}")
            return self.failed("unsupportedRequest")
        signed, _, checksum = asked.query.rpartition("checksum=")
        text = f"{call}{signed.removesuffix('&')}{SECRET}"
        if checksum != hashlib.sha256(text.encode()).hexdigest():
            return self.failed("checksumError")
        given = {name: value for name, value in asked.params.items() if name != "checksum"}
        for name in given.keys() - self.KNOWN[call]:
            if not name.startswith("meta_"):
                self.wrong(f"{call}: {name}")
        return getattr(self, call.replace("/", "_"))(given)

    def create(self, given: dict[str, str]) -> Any:
        name = given["meetingID"]
        if not 2 <= len(name) <= 256 or "," in name:
            return self.failed("invalidMeetingID")
        known = self.rooms.get(name)
        if known and known["moderator"] != given["moderatorPW"]:
            return self.failed("idNotUnique")
        self.rooms.setdefault(name, {"moderator": given["moderatorPW"], "users": {}})
        more = "<messageKey>duplicateWarning</messageKey>" if known else ""
        return self.good(f"<meetingID>{escape(name)}</meetingID>{more}")

    def end(self, given: dict[str, str]) -> Any:
        known = self.rooms.get(given["meetingID"])
        if known is None:
            return self.failed("notFound")
        if known["moderator"] != given.get("password"):
            return self.failed("invalidPassword")
        del self.rooms[given["meetingID"]]
        return self.good("<messageKey>sentEndMeetingRequest</messageKey>")

    def getMeetings(self, _given: dict[str, str]) -> Any:
        rows = "".join(
            f"<meeting><meetingID>{escape(name)}</meetingID>"
            f"<participantCount>{len(one['users'])}</participantCount></meeting>"
            for name, one in self.rooms.items()
        )
        return self.good(f"<meetings>{rows}</meetings>")

    def getMeetingInfo(self, given: dict[str, str]) -> Any:
        known = self.rooms.get(given["meetingID"])
        if known is None:
            return self.failed("notFound")
        rows = "".join(
            f"<attendee><userID>{escape(user)}</userID><fullName>{escape(name)}</fullName>"
            "<hasVideo>true</hasVideo><hasJoinedVoice>false</hasJoinedVoice></attendee>"
            for user, name in known["users"].items()
        )
        return self.good(f"<attendees>{rows}</attendees>")

    def join(self, given: dict[str, str]) -> Any:
        if given["meetingID"] not in self.rooms or given["role"] not in {"MODERATOR", "VIEWER"}:
            return self.failed("notFound")
        self.enter(given["meetingID"], given["userID"], given["fullName"])
        return self.good("<status>joined</status>")

    def hooks_create(self, given: dict[str, str]) -> Any:
        self.hooks.append(given["callbackURL"])
        return self.good("<hookID>1</hookID>")

    def good(self, inside: str) -> Any:
        return xml(f"<response><returncode>SUCCESS</returncode>{inside}</response>")

    def failed(self, key: str) -> Any:
        return xml(
            f"<response><returncode>FAILED</returncode><messageKey>{key}</messageKey>"
            f"<message>{key}</message></response>"
        )


class Pexip(Maker):
    """Wants the last slash, JSON, and never a DELETE of a whole list."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rooms: dict[int, dict[str, Any]] = {}
        self.legs: dict[str, dict[str, Any]] = {}
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(1)

    def as_bridge(self) -> dict[str, dict[str, str]]:
        settings = {
            "manager_url": self.url,
            "user": "confbridge",
            "web_url": "https://node.example",
            "domain": "vc.example",
            "location": "/api/admin/configuration/v1/system_location/1/",
        }
        secrets = {"password": "of the API", "events_password": "of the sink"}
        return {"settings": settings, "secrets": secrets}

    def enter(self, room: str, user: str, name: str) -> None:
        self.legs[user] = {
            "call_uuid": user,
            "conference": room,
            "display_name": name,
            "source_alias": f"{name}@vc.example",
            "protocol": "SIP",
            "has_media": True,
            "is_streaming": False,
            "is_muted": False,
            "connect_time": "2026-11-23T01:00:00",
        }

    def answer(self, asked: Asked) -> Any:
        if not basic(asked, "confbridge", "of the API"):
            return nothing(401)
        if not asked.path.endswith("/"):
            self.wrong(f"no last slash: {asked.path}")
            return nothing(301, Location=asked.path + "/")
        parts = asked.path.strip("/").split("/")
        if parts[:2] != ["api", "admin"] or parts[3] != "v1":
            return nothing(404)
        if asked.body and asked.headers.get("content-type") != "application/json":
            self.wrong("not JSON")
            return nothing(400)
        kind, rest = parts[2], parts[4:]
        if kind == "command" and asked.method == "POST":
            return self.command("/".join(rest), json.loads(asked.body))
        if rest[0] == "conference" and kind == "configuration":
            return self.conference(asked, rest[1:])
        if asked.method != "GET" or kind != "status":
            self.wrong(f"{asked.method} {asked.path}")
            return nothing(405)
        return self.listed(self.status(rest[0]), asked.params)

    def status(self, resource: str) -> list[dict[str, Any]]:
        if resource == "worker_vm":
            node = {"name": "node", "max_hd_calls": 20, "media_load": 10, "deploy_status": "OK"}
            return [{**node, "maintenance_mode": False}]
        if resource == "participant":
            return list(self.legs.values())
        if resource == "conference":
            busy = {one["conference"] for one in self.legs.values()}
            return [{"id": f"live-{name}", "name": name} for name in sorted(busy)]
        return []

    def conference(self, asked: Asked, rest: list[str]) -> Any:
        if asked.method == "GET":
            return self.listed(
                [{"id": key, **one} for key, one in self.rooms.items()], asked.params
            )
        if asked.method == "POST" and not rest:
            wanted = json.loads(asked.body)
            if any(one["name"] == wanted["name"] for one in self.rooms.values()):
                return as_json({"conference": {"name": ["already exists"]}}, 400)
            if wanted["service_type"] != "conference" or not wanted["aliases"]:
                self.wrong("a conference without type or alias")
            number = next(self.numbers)
            self.rooms[number] = wanted
            place = f"/api/admin/configuration/v1/conference/{number}/"
            return nothing(201, Location=place)
        if not rest or int(rest[0]) not in self.rooms:
            self.wrong(f"{asked.method} of a whole list" if not rest else "no such conference")
            return nothing(404)
        if asked.method == "PATCH":
            self.rooms[int(rest[0])] |= json.loads(asked.body)
            return nothing(202)
        name = self.rooms.pop(int(rest[0]))["name"]
        self.legs = {key: one for key, one in self.legs.items() if one["conference"] != name}
        return nothing(204)

    def command(self, name: str, given: dict[str, Any]) -> Any:
        self.commands.append((name, given))
        if "participant_id" in given:
            leg = self.legs.get(given["participant_id"])
            if leg is None:
                return as_json({"status": "failed", "message": "no such participant"})
            match name:
                case "participant/disconnect":
                    del self.legs[given["participant_id"]]
                case "participant/mute":
                    leg["is_muted"] = True
                case "participant/unmute":
                    leg["is_muted"] = False
        return as_json(self.answers.get(name, {"status": "success", "data": {}}))

    def listed(self, some: list[dict[str, Any]], params: dict[str, str]) -> Any:
        limit, offset = int(params.pop("limit", 20)), int(params.pop("offset", 0))
        found = [one for one in some if all(str(one.get(k)) == v for k, v in params.items())]
        meta = {"limit": limit, "offset": offset, "total_count": len(found)}
        return as_json({"meta": meta, "objects": found[offset : offset + limit]})


class Jitsi(Maker):
    """The private REST interface of a videobridge, and of Jicofo."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.health, self.stress = 200, 0.1

    def as_bridge(self) -> dict[str, dict[str, str]]:
        settings = {
            "url": "https://meet.example",
            "jvb_url": self.url,
            "jicofo_url": self.url,
            "app_id": "confbridge",
        }
        return {"settings": settings, "secrets": {"app_secret": SECRET, "bearer": "of Prosody"}}

    def answer(self, asked: Asked) -> Any:
        if asked.path == "/about/health":
            return nothing(self.health)
        if asked.path == "/colibri/stats":
            return as_json({"stress_level": self.stress, "participants": 3, "version": "2.3"})
        self.wrong(asked.path)
        return nothing(404)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
