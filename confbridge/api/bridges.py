"""Bridges as JSON; secrets go in and never come out."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, g, request

from confbridge import clock
from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import transaction
from confbridge.domain.interval import Interval
from confbridge.errors import Invalid, Phrase, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.directory import BridgeChange, BridgeDraft
from confbridge.models import Role
from confbridge.services import access, bridges

resource = Blueprint("bridges", __name__, url_prefix="/bridges")

MOST_STEPS = 3000


@resource.get("")
def index() -> Shape:
    access.check_role(g.account, Role.ADMIN, Role.OPERATOR)
    return {"items": [shapes.bridge(one) for one in bridges.listed()], "next": None}


@resource.post("")
def create() -> Response:
    draft = parse(BridgeDraft, changes.body())

    def make() -> Shape:
        access.check_role(g.account, Role.ADMIN)
        return shapes.bridge(bridges.create(draft, by=g.account))

    return changes.once(make)


@resource.get("/<code>")
def show(code: str) -> Response:
    return changes.with_etag(shapes.bridge(access.bridge(g.account, code)))


@resource.patch("/<code>")
def change(code: str) -> Response:
    wanted = parse(BridgeChange, changes.body())
    version = changes.version()
    with transaction():
        bridge = access.bridge(g.account, code, to_change=True)
        if version is not None and version != bridge.version:
            raise StaleVersion
        bridges.change(bridge, wanted, by=g.account)
    return changes.with_etag(shapes.bridge(bridge))


@resource.get("/<code>/timeline")
def timeline(code: str) -> Shape:
    bridge = access.bridge(g.account, code)
    since = paging.moment("from") or clock.now()
    until = paging.moment("to") or since + timedelta(days=1)
    text = request.args.get("step_minutes", "15")
    if not (text.isdecimal() and 1 <= int(text) <= 1440):
        raise Invalid(step_minutes=Phrase("This must be from 1 to %(most)s.", most=1440))
    step = timedelta(minutes=int(text))
    if not since < until <= since + MOST_STEPS * step:
        raise Invalid(to=Phrase("Ask for 1 to %(most)s steps.", most=MOST_STEPS))
    promised = bridges.promised([bridge], Interval(since, until), step)[bridge.id]
    return {
        "ports": bridge.ports,
        "steps": [
            {
                "start": shapes.moment(since + place * step),
                "promised": ports,
                "free": bridge.ports - ports,
            }
            for place, ports in enumerate(promised)
        ],
    }
