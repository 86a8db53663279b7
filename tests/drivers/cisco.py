"""A small Cisco Meeting Server, as strict as the real one; see makers.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.drivers.makers import Asked, Maker, basic, nothing, xml


class Cms(Maker):
    """Wants forms, answers XML, says in Location what it made, and makes a new one each time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spaces: dict[str, dict[str, str]] = {}
        self.calls: dict[str, dict[str, str]] = {}
        self.legs: dict[str, dict[str, str]] = {}
        self.numbers = itertools.count(1)
        self.next_record = 0

    def as_bridge(self) -> dict[str, dict[str, str]]:
        settings = {
            "api_url": f"{self.url}/api/v1",
            "user": "confbridge",
            "web_url": "https://join.example",
            "domain": "vc.example",
        }
        secrets = {"password": "of the API", "events_password": "of the receiver"}
        return {"settings": settings, "secrets": secrets}

    def enter(self, room: str, user: str, name: str) -> None:
        space = next(key for key, one in self.spaces.items() if one["uri"] == room)
        call = next((key for key, one in self.calls.items() if one["coSpace"] == space), "")
        if not call:
            call = f"call-{next(self.numbers)}"
            self.calls[call] = {"coSpace": space}
        self.legs[user] = {"call": call, "name": name, "remoteParty": f"{name}@vc.example"}

    def answer(self, asked: Asked) -> Any:
        if not basic(asked, "confbridge", "of the API"):
            return nothing(401)
        if asked.body and asked.headers.get("content-type") != "application/x-www-form-urlencoded":
            self.wrong("not a form")
            return nothing(415)
        rest = unquote(asked.path).removeprefix("/api/v1/").split("/")
        handlers: dict[str, Callable[[Asked, list[str]], Any]] = {
            "system": self.system,
            "coSpaces": self.co_spaces,
            "calls": self.of_calls,
            "callLegs": self.of_legs,
        }
        if rest[0] not in handlers:
            self.wrong(asked.path)
            return self.failed(404, "unknownObject")
        return handlers[rest[0]](asked, rest[1:])

    def system(self, _asked: Asked, rest: list[str]) -> Any:
        match rest[0]:
            case "status":
                return xml(
                    "<status><softwareVersion>3.9</softwareVersion><hostId>h1</hostId>"
                    f"<callLegsActive>{len(self.legs)}</callLegsActive>"
                    f"<cdrCorrelatorIndex>{self.next_record}</cdrCorrelatorIndex></status>"
                )
            case "load":
                return xml("<load><mediaProcessingLoad>1000</mediaProcessingLoad></load>")
            case _:
                return xml('<alarms total="0"></alarms>')

    def co_spaces(self, asked: Asked, rest: list[str]) -> Any:
        if asked.method == "GET":
            some = [
                (key, one)
                for key, one in self.spaces.items()
                if asked.params.get("filter", "") in one["uri"] + one["name"]
            ]
            return self.listed("coSpaces", "coSpace", some, asked.params)
        if asked.method == "POST":
            if any(one["uri"] == asked.form["uri"] for one in self.spaces.values()):
                return self.failed(400, "duplicateCoSpaceUri")
            key = f"space-{next(self.numbers)}"
            self.spaces[key] = asked.form
            return nothing(200, Location=f"/api/v1/coSpaces/{key}")
        if rest[0] not in self.spaces:
            return self.failed(404, "coSpaceDoesNotExist")
        if asked.method == "PUT":
            self.spaces[rest[0]] |= asked.form
        else:
            del self.spaces[rest[0]]
        return nothing(200)

    def of_calls(self, asked: Asked, rest: list[str]) -> Any:
        if asked.method == "GET" and not rest:
            some = [
                (key, one)
                for key, one in self.calls.items()
                if asked.params.get("coSpacefilter", one["coSpace"]) == one["coSpace"]
            ]
            return self.listed("calls", "call", some, asked.params)
        if asked.method == "POST" and not rest:
            key = f"call-{next(self.numbers)}"
            self.calls[key] = dict(asked.form)
            return nothing(200, Location=f"/api/v1/calls/{key}")
        if rest[0] not in self.calls:
            return self.failed(404, "callDoesNotExist")
        return self.one_call(asked, rest)

    def one_call(self, asked: Asked, rest: list[str]) -> Any:
        match asked.method, rest[1:]:
            case "GET", []:
                count = sum(one["call"] == rest[0] for one in self.legs.values())
                return xml(f'<call id="{rest[0]}"><numCallLegs>{count}</numCallLegs></call>')
            case "GET", ["callLegs"]:
                some = [(key, one) for key, one in self.legs.items() if one["call"] == rest[0]]
                return self.listed("callLegs", "callLeg", some, asked.params)
            case "POST", ["participants"]:
                key = f"leg-{next(self.numbers)}"
                self.legs[key] = {**asked.form, "call": rest[0], "name": asked.form["remoteParty"]}
                return nothing(200, Location=f"/api/v1/participants/{key}")
            case "PUT", []:
                known = {"locked", "recording", "messageText", "messagePosition", "messageDuration"}
                if asked.form.keys() - known:
                    self.wrong(f"calls: {asked.form}")
                self.calls[rest[0]] |= asked.form
                return nothing(200)
            case "PUT", ["participants", "*"]:
                return nothing(200)
            case "DELETE", []:
                del self.calls[rest[0]]
                self.legs = {key: one for key, one in self.legs.items() if one["call"] != rest[0]}
                return nothing(200)
        self.wrong(f"{asked.method} {asked.path}")
        return self.failed(404, "unknownObject")

    def of_legs(self, asked: Asked, rest: list[str]) -> Any:
        if rest[0] not in self.legs:
            return self.failed(404, "callLegDoesNotExist")
        if asked.method == "PUT":
            self.legs[rest[0]] |= asked.form
        else:
            del self.legs[rest[0]]
        return nothing(200)

    def listed(
        self,
        list_tag: str,
        tag: str,
        some: list[tuple[str, dict[str, str]]],
        params: dict[str, str],
    ) -> Any:
        offset, limit = int(params.get("offset", 0)), int(params.get("limit", 20))
        rows = "".join(
            f'<{tag} id="{key}">'
            + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in one.items())
            + f"</{tag}>"
            for key, one in some[offset : offset + limit]
        )
        return xml(f'<{list_tag} total="{len(some)}">{rows}</{list_tag}>')

    def failed(self, status: int, code: str) -> Any:
        return xml(f"<failureDetails><{code}/></failureDetails>", status)
