"""Pages about endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, config
from confbridge.database import attempt
from confbridge.domain.directory import EndpointKind, Level
from confbridge.errors import Clash, Invalid, NotFound, Phrase
from confbridge.inputs import forms, parse
from confbridge.inputs.directory import EndpointChange, Maintenance
from confbridge.models import Endpoint, Role
from confbridge.services import access, endpoints, maintenance
from confbridge.services.endpoints import Wanted
from confbridge.web.render import after_change, page
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
    return _shown(endpoint)


@pages.post("/<code>/mail")
def change_mail(code: str) -> ResponseReturnValue:
    """Say who receives for the endpoint, and in which language."""
    me = account()
    form = request.form.to_dict()
    given = {
        "email": form.get("email", ""),
        "recipients": form.get("recipients", "").replace(",", " ").split(),
        "language": form.get("language", "vi"),
    }

    def deed() -> None:
        endpoint = access.endpoint(me, code, to_change=True)
        endpoints.change(endpoint, parse(EndpointChange, given), by=me)

    try:
        attempt(deed)
    except Invalid as error:
        problems = {name.partition(".")[0]: said for name, said in error.problems.items()}
        return _shown(access.endpoint(me, code), form=form, problems=problems), 422
    return after_change(go_to=url_for(".show", code=code))


@pages.post("/<code>/maintenance")
def maintain(code: str) -> ResponseReturnValue:
    """Let the endpoint be out of use for a time."""
    me = account()
    form = request.form.to_dict()
    zone = config.in_force().zone
    given = {
        "start": forms.in_zone(form.get("start", ""), zone),
        "end": forms.in_zone(form.get("end", ""), zone),
        "reason": form.get("reason", ""),
    }

    def deed() -> None:
        endpoint = access.endpoint(me, code, to_change=True)
        maintenance.maintain_endpoint(endpoint, parse(Maintenance, given), by=me)

    try:
        attempt(deed)
    except Invalid as error:
        return _shown(access.endpoint(me, code), form=form, problems=error.problems), 422
    except Clash:
        problems = {"start": Phrase("It is in a meeting at that time; move that first.")}
        return _shown(access.endpoint(me, code), form=form, problems=problems), 409
    return after_change(go_to=url_for(".show", code=code))


@pages.post("/<code>/maintenance/end")
def end_maintenance(code: str) -> ResponseReturnValue:
    me = account()
    moment = forms.in_zone(request.form.get("start", ""), config.in_force().zone)
    if not isinstance(moment, datetime):
        raise NotFound(Phrase("There is no such maintenance."))

    def deed() -> None:
        endpoint = access.endpoint(me, code, to_change=True)
        maintenance.end_endpoint_maintenance(endpoint, moment, by=me)

    attempt(deed)
    return after_change(go_to=url_for(".show", code=code))


def _shown(
    endpoint: Endpoint,
    *,
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, Phrase] | None = None,
) -> str:
    me = account()
    now = clock.now()
    return page(
        "endpoints/show.html",
        endpoint=endpoint,
        busy=[
            one
            for one in endpoints.busy(endpoint, now, now + timedelta(days=60), reader=me)
            if not one.is_maintenance
        ],
        maintenance=maintenance.endpoint_maintenance(endpoint),
        may_change=me.role == Role.ADMIN,
        form=form or {},
        problems=problems or {},
    )
