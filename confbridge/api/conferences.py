"""Conferences as JSON, and what can be done to one that is on."""

from __future__ import annotations

from flask import Blueprint, g, request

from confbridge import doors
from confbridge.api import changes, shapes
from confbridge.api.shapes import Shape
from confbridge.errors import Invalid, Phrase
from confbridge.inputs import parse
from confbridge.inputs.live import Command
from confbridge.models import Occurrence
from confbridge.services import access, conferences, control

resource = Blueprint("conferences", __name__, url_prefix="/conferences")


@resource.get("")
def index() -> Shape:
    """Return the conferences that are on, or those that are over, the last first."""
    state = request.args.get("state", "live")
    if state not in {"live", "over"}:
        raise Invalid(state=Phrase("Choose one of: %(choices)s.", choices="live, over"))
    some = conferences.live(g.account) if state == "live" else conferences.over(g.account)
    return {"items": [_shape(one) for one in some], "next": None}


@resource.get("/<int:number>")
def show(number: int) -> Shape:
    return _shape(access.conference(g.account, number))


@resource.post("/<int:number>/extend")
def extend(number: int) -> Shape:
    """Let it last `minutes` longer; if it cannot, 409 says how much longer it can."""
    wanted = parse(Command, changes.body() or {})
    doors.extend(number, wanted.minutes, by=g.account)
    return show(number)


@resource.post("/<int:number>/end")
def end(number: int) -> Shape:
    """End it now."""
    doors.end(number, by=g.account)
    return show(number)


@resource.post("/<int:number>/<name>")
def command(number: int, name: str) -> Shape:
    """Mute, unmute, disconnect, readmit, lock, unlock, message, layout, dial, record and so on."""
    wanted = parse(Command, changes.body() or {})
    error = doors.command(number, name, wanted, by=g.account)
    if error is not None:
        raise error
    return show(number)


def _shape(one: Occurrence) -> Shape:
    return shapes.conference(one, control.legs_in(one), control.offered(one))
