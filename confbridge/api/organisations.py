"""Organisations as JSON."""

from __future__ import annotations

from flask import Blueprint, g

from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import attempt
from confbridge.inputs import parse
from confbridge.inputs.directory import Reminders
from confbridge.services import chasing, organisations

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


@resource.put("/<code>/reminders")
def change_reminders(code: str) -> Shape:
    """Say when its endpoints are reminded, and which head office is told of silence."""
    wanted = parse(Reminders, changes.body())

    def deed() -> None:
        chasing.change(chasing.organisation(g.account, code), wanted, by=g.account)

    attempt(deed)
    return wanted.model_dump()
