"""Pages about endpoints."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, request

from confbridge import clock
from confbridge.domain.directory import EndpointKind, Level
from confbridge.services import access, endpoints
from confbridge.services.endpoints import Wanted
from confbridge.web.render import page
from confbridge.web.session import account

pages = Blueprint("endpoints", __name__, url_prefix="/endpoints")


@pages.get("")
def index() -> str:
    account()
    wanted = Wanted(
        text=request.args.get("q", "")[:100],
        level=request.args.get("level", ""),
        kind=request.args.get("kind", ""),
    )
    found = endpoints.listed(wanted)
    return page(
        "endpoints/index.html",
        endpoints=found,
        wanted=wanted,
        levels=list(Level),
        kinds=list(EndpointKind),
    )


@pages.get("/<code>")
def show(code: str) -> str:
    me = account()
    endpoint = access.endpoint(me, code)
    now = clock.now()
    busy = endpoints.busy(endpoint, now, now + timedelta(days=60), reader=me)
    return page("endpoints/show.html", endpoint=endpoint, busy=busy)
