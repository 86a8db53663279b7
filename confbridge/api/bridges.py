"""Bridges as JSON; secrets go in and never come out."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, g, request
from flask.typing import ResponseReturnValue

from confbridge import clock, doors
from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import attempt, transaction
from confbridge.domain.capacity import ports
from confbridge.domain.interval import Interval
from confbridge.errors import Invalid, Phrase, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.directory import BridgeChange, BridgeDraft, Maintenance
from confbridge.models import Bridge, Role
from confbridge.services import access, bridges, maintenance

resource = Blueprint("bridges", __name__, url_prefix="/bridges")

MOST_STEPS = 3000


@resource.get("")
def index() -> Shape:
    access.check_role(g.account, Role.ADMIN, Role.OPERATOR)
    risks = bridges.at_risk()
    items = [
        shapes.bridge(one) | {"loss": [shapes.at_risk(each) for each in risks.get(one.id, [])]}
        for one in bridges.listed()
    ]
    return {"items": items, "next": None}


@resource.post("")
def create() -> Response:
    draft = parse(BridgeDraft, changes.body())

    def make() -> Bridge:
        access.check_role(g.account, Role.ADMIN)
        return bridges.create(draft, by=g.account)

    return changes.once(make, shapes.bridge)


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
    taken, free = bridges.timeline([bridge], Interval(since, until), step)[bridge.id]
    return {
        "ports": bridge.ports,
        "steps": [
            {
                "start": shapes.moment(since + place * step),
                "promised": ports(promised),
                "free": ports(left),
            }
            for place, (promised, left) in enumerate(zip(taken, free, strict=True))
        ],
    }


@resource.post("/<code>/drain")
def drain(code: str) -> Shape:
    """Let the bridge take nothing new, and move what lies ahead to others."""
    bridge, affected = doors.drain(code, by=g.account)
    return shapes.bridge(bridge) | {"affected": [shapes.affected(one) for one in affected]}


@resource.post("/<code>/undrain")
def undrain(code: str) -> Shape:
    """Let the bridge take new meetings again."""

    def deed() -> Bridge:
        bridge = access.bridge(g.account, code, to_change=True)
        maintenance.undrain(bridge, by=g.account)
        return bridge

    return shapes.bridge(attempt(deed)) | {"affected": []}


@resource.get("/<code>/maintenance")
def list_maintenance(code: str) -> Shape:
    """Return the maintenance of a bridge that is on or ahead."""
    bridge = access.bridge(g.account, code)
    return {"items": [shapes.maintenance(one) for one in maintenance.blocks(bridge)], "next": None}


@resource.post("/<code>/maintenance")
def maintain(code: str) -> ResponseReturnValue:
    """Let the bridge have fewer ports for a time, and move what would not fit; all or nothing."""
    wanted = parse(Maintenance, changes.body())

    def deed() -> Shape:
        access.check_role(g.account, Role.ADMIN)
        bridge = access.bridge(g.account, code)
        affected = maintenance.maintain_bridge(bridge, wanted, by=g.account)
        return shapes.bridge(bridge) | {"affected": [shapes.affected(one) for one in affected]}

    return doors.trial(deed) if wanted.dry_run else attempt(deed)


@resource.delete("/<code>/maintenance/<int:number>")
def end_maintenance(code: str, number: int) -> ResponseReturnValue:
    """Take maintenance off the calendar."""

    def deed() -> None:
        access.check_role(g.account, Role.ADMIN)
        maintenance.end_maintenance(access.bridge(g.account, code), number, by=g.account)

    attempt(deed)
    return "", 204
