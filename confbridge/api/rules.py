"""What the administrator decides, as JSON: pools, the order of ranks, swapped days."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, Response, g
from flask.typing import ResponseReturnValue

from confbridge.api import changes, shapes
from confbridge.api.shapes import Shape
from confbridge.database import attempt
from confbridge.errors import NotFound, Phrase, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.directory import DecidedDay, PoolChange, PoolDraft, Weights
from confbridge.models import Pool, Role
from confbridge.services import access, bridges, rules

resource = Blueprint("rules", __name__)


@resource.get("/pools")
def pools() -> Shape:
    """Return the pools of bridges, and in which of them the rule of N-1 holds."""
    access.check_role(g.account, Role.ADMIN, Role.OPERATOR)
    return {"items": [shapes.pool(one) for one in bridges.pools()], "next": None}


@resource.post("/pools")
def create() -> Response:
    """Add a pool of bridges."""
    draft = parse(PoolDraft, changes.body())

    def make() -> Pool:
        access.check_role(g.account, Role.ADMIN)
        return bridges.create_pool(draft, by=g.account)

    return changes.once(make, shapes.pool)


@resource.patch("/pools/<code>")
def change_pool(code: str) -> Response:
    """Change a pool: its name, and whether the rule of N-1 holds in it."""
    wanted = parse(PoolChange, changes.body())
    version = changes.version()

    def deed() -> Shape:
        access.check_role(g.account, Role.ADMIN)
        if version is not None and version != bridges.pool_named(code).version:
            raise StaleVersion
        return shapes.pool(bridges.change_pool(code, wanted, by=g.account))

    return changes.with_etag(attempt(deed))


@resource.get("/ranks")
def ranks() -> Shape:
    """Return the weight of each rank; a higher one goes first."""
    return {"weights": rules.weights()}


@resource.put("/ranks")
def order_ranks() -> Shape:
    """Give ranks other weights."""
    wanted = parse(Weights, changes.body())

    def deed() -> Shape:
        access.check_role(g.account, Role.ADMIN)
        rules.order_ranks(wanted.weights, by=g.account)
        return {"weights": rules.weights()}

    return attempt(deed)


@resource.get("/workdays")
def decided_days() -> Shape:
    """Return the days that are worked, or off, by decision."""
    return {"items": [shapes.decided_day(one) for one in rules.decided_days()], "next": None}


@resource.post("/workdays")
def decide_day() -> Shape:
    """Say that a day is worked, or off, whatever the calendar says."""
    wanted = parse(DecidedDay, changes.body())

    def deed() -> Shape:
        access.check_role(g.account, Role.ADMIN)
        made = rules.decide_day(wanted.day, worked=wanted.worked, basis=wanted.basis, by=g.account)
        return shapes.decided_day(made)

    return attempt(deed)


@resource.delete("/workdays/<day>")
def undecide_day(day: str) -> ResponseReturnValue:
    """Let the calendar say again what a day is."""
    try:
        wanted = date.fromisoformat(day)
    except ValueError as error:
        raise NotFound(Phrase("There is no such day.")) from error

    def deed() -> None:
        access.check_role(g.account, Role.ADMIN)
        rules.undecide_day(wanted, by=g.account)

    attempt(deed)
    return "", 204
