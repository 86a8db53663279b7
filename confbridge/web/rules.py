"""The page on which the administrator decides: ranks, swapped days, pools of bridges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import config
from confbridge.database import attempt
from confbridge.domain.rank import Rank
from confbridge.errors import Invalid, NotFound, Phrase
from confbridge.inputs import parse
from confbridge.inputs.directory import DecidedDay, PoolChange, Reminders, Weights
from confbridge.models import Account, Role
from confbridge.services import access, bridges, chasing, organisations, rules
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("rules", __name__, url_prefix="/rules")


@pages.get("")
def index() -> str:
    return _page()


@pages.post("/ranks")
def order_ranks() -> ResponseReturnValue:
    given = {rank: request.form[rank] for rank in Rank if request.form.get(rank)}

    def deed(me: Account) -> None:
        rules.order_ranks(parse(Weights, {"weights": given}).weights, by=me)

    return _decided(deed)


@pages.post("/days")
def decide_day() -> ResponseReturnValue:
    def deed(me: Account) -> None:
        wanted = parse(
            DecidedDay,
            {
                "day": request.form.get("day", ""),
                "worked": request.form.get("worked") == "1",
                "basis": request.form.get("basis", ""),
            },
        )
        rules.decide_day(wanted.day, worked=wanted.worked, basis=wanted.basis, by=me)

    return _decided(deed)


@pages.post("/days/<day>/forget")
def undecide_day(day: str) -> ResponseReturnValue:
    try:
        wanted = date.fromisoformat(day)
    except ValueError as error:
        raise NotFound(Phrase("There is no such day.")) from error
    return _decided(lambda me: rules.undecide_day(wanted, by=me))


@pages.post("/pools/<code>")
def change_pool(code: str) -> ResponseReturnValue:
    wanted = PoolChange(survives_loss="survives_loss" in request.form)
    return _decided(lambda me: bridges.change_pool(code, wanted, by=me))


@pages.post("/reminders")
def change_reminders() -> ResponseReturnValue:
    """Give an organisation its own times of reminding; what is empty is as the settings say."""
    form = request.form
    minutes, days = form.get("remind_minutes", "").split(), form.get("chase_days", "").strip()
    given = {
        "remind_minutes": minutes or None,
        "chase_days": days or None,
        "office_name": form.get("office_name", ""),
        "office_email": form.get("office_email", ""),
    }

    def deed(me: Account) -> None:
        wanted = parse(Reminders, given)
        chasing.change(chasing.organisation(me, form.get("organisation", "")), wanted, by=me)

    return _decided(deed)


def _decided(deed: Callable[[Account], object]) -> ResponseReturnValue:
    me = account()
    access.check_role(me, Role.ADMIN)
    try:
        attempt(lambda: deed(me))
    except Invalid as error:
        return _page(problems=error.problems), 422
    return after_change(go_to=url_for(".index"))


def _page(*, problems: Mapping[str, Phrase] | None = None) -> str:
    access.check_role(account(), Role.ADMIN)
    weights = rules.weights()
    return page(
        "rules/index.html",
        ranks=sorted(weights.items(), key=lambda one: -one[1]),
        days=rules.decided_days(),
        pools=bridges.pools(),
        organisations=[one for one, _ in organisations.listed(limit=5000)],
        usual=config.in_force(),
        problems=problems or {},
    )
