"""Organisations as JSON."""

from __future__ import annotations

from flask import Blueprint

from confbridge.api import paging, shapes
from confbridge.api.shapes import Shape
from confbridge.services import organisations

resource = Blueprint("organisations", __name__, url_prefix="/organisations")


@resource.get("")
def index() -> Shape:
    most = paging.limit()
    found = organisations.listed(after=paging.number_in(paging.cursor()), limit=most + 1)
    return paging.paged(
        found, lambda pair: shapes.organisation(*pair), lambda pair: str(pair[0].id), most
    )


@resource.get("/<code>")
def show(code: str) -> Shape:
    return shapes.organisation(*organisations.by_code(code))
