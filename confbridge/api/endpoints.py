"""Endpoints as JSON."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, g, request

from confbridge import clock
from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import attempt, transaction
from confbridge.errors import Invalid, Phrase, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.directory import EndpointChange, EndpointDraft, Maintenance
from confbridge.models import Endpoint, Role
from confbridge.services import access, endpoints, maintenance
from confbridge.services.endpoints import Wanted

resource = Blueprint("endpoints", __name__, url_prefix="/endpoints")


@resource.get("")
def index() -> Shape:
    most = paging.limit()
    wanted = Wanted(
        text=request.args.get("q", ""),
        level=request.args.get("level", ""),
        organisation=request.args.get("organisation", ""),
        kind=request.args.get("kind", ""),
    )
    found = endpoints.listed(wanted, limit=most + 1, after=paging.number_in(paging.cursor()))
    return paging.paged(found, shapes.endpoint, lambda one: str(one.id), most)


@resource.post("")
def create() -> Response:
    draft = parse(EndpointDraft, changes.body())

    def make() -> Endpoint:
        access.check_role(g.account, Role.ADMIN)
        return endpoints.create(draft, by=g.account)

    return changes.once(make, shapes.endpoint)


@resource.get("/<code>")
def show(code: str) -> Response:
    return changes.with_etag(shapes.endpoint(access.endpoint(g.account, code)))


@resource.patch("/<code>")
def change(code: str) -> Response:
    wanted = parse(EndpointChange, changes.body())
    version = changes.version()
    with transaction():
        endpoint = access.endpoint(g.account, code, to_change=True)
        if version is not None and version != endpoint.version:
            raise StaleVersion
        endpoints.change(endpoint, wanted, by=g.account)
    return changes.with_etag(shapes.endpoint(endpoint))


@resource.get("/<code>/freebusy")
def freebusy(code: str) -> Shape:
    endpoint = access.endpoint(g.account, code)
    since = paging.moment("from") or clock.now()
    until = paging.moment("to") or since + timedelta(days=28)
    if until <= since:
        raise Invalid(to=Phrase("The end must be after the beginning."))
    found = endpoints.busy(endpoint, since, until, reader=g.account)
    return {"busy": [shapes.busy(one) for one in found]}


@resource.post("/<code>/maintenance")
def maintain(code: str) -> Shape:
    """Let the endpoint be out of use for a time in which it is in no meeting."""
    wanted = parse(Maintenance, changes.body())

    def deed() -> Shape:
        endpoint = access.endpoint(g.account, code, to_change=True)
        maintenance.maintain_endpoint(endpoint, wanted, by=g.account)
        found = maintenance.endpoint_maintenance(endpoint)
        return {"maintenance": [shapes.interval(one) for one in found]}

    return attempt(deed)
