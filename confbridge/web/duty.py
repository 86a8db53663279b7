"""What the operators on duty have to look after, and who is on duty when."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, config
from confbridge.database import attempt
from confbridge.errors import Invalid, Phrase
from confbridge.inputs import forms, parse
from confbridge.inputs.live import DutyDraft, Taking
from confbridge.models import Role
from confbridge.services import access, incidents
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("duty", __name__, url_prefix="/duty")


@pages.get("")
def index() -> str:
    """Show what is wrong now; the page asks for itself again and again."""
    return _shown()


@pages.post("/incidents/<int:number>/take")
def take(number: int) -> ResponseReturnValue:
    me = account()
    wanted = parse(Taking, {"note": request.form.get("note", "")})
    attempt(lambda: incidents.take(access.incident(me, number), wanted.note, by=me))
    return after_change(go_to=url_for(".index"))


@pages.post("/roster")
def plan() -> ResponseReturnValue:
    me = account()
    access.check_role(me, Role.ADMIN)
    form = request.form.to_dict()
    zone = config.in_force().zone
    given = {
        "email": form.get("email", ""),
        "phone": form.get("phone", ""),
        "start": forms.in_zone(form.get("start", ""), zone),
        "end": forms.in_zone(form.get("end", ""), zone),
    }
    try:
        draft = parse(DutyDraft, given)
        attempt(lambda: incidents.put_on_duty(draft, by=me))
    except Invalid as error:
        return _shown(form=form, problems=error.problems), 422
    return after_change(go_to=url_for(".index"))


@pages.post("/roster/<int:number>/remove")
def remove(number: int) -> ResponseReturnValue:
    me = account()
    attempt(lambda: incidents.take_off_duty(access.duty(me, number), by=me))
    return after_change(go_to=url_for(".index"))


def _shown(*, form: dict[str, str] | None = None, problems: dict[str, Phrase] | None = None) -> str:
    me, now = account(), clock.now()
    return page(
        "duty/index.html",
        incidents=incidents.listed(me),
        on_duty=incidents.on_duty(now),
        duties=incidents.duties(now),
        may_plan=me.role == Role.ADMIN,
        form=form or {},
        problems=problems or {},
        now=now,
    )
