"""What is to be done: replies to decide on, tasks, and the mail that came in."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge.database import transaction
from confbridge.models import Role
from confbridge.services import access, decisions, inbox, tasks
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("inbox", __name__, url_prefix="/inbox")

PER_PAGE = 50


@pages.get("")
def index() -> str:
    """Show what waits for a decision and what has to be looked after."""
    me = account()
    access.check_role(me, Role.ADMIN, Role.OPERATOR, Role.SECRETARIAT)
    return page(
        "inbox/index.html",
        waiting=decisions.waiting(me),
        tasks=tasks.listed(me),
        may_decide=me.role in access.BOOK,
        may_see_mail=me.role in access.SEE_ALL,
    )


@pages.get("/mail")
def mail() -> str:
    """Show the mail that came in, and what became of it."""
    me = account()
    access.check_role(me, *access.SEE_ALL)
    outcome = request.args.get("outcome", "")
    before = request.args.get("before", 0, type=int)
    found = inbox.listed(outcome=outcome, before=before, limit=PER_PAGE + 1)
    return page(
        "inbox/mail.html",
        mails=found[:PER_PAGE],
        more=found[PER_PAGE - 1].id if len(found) > PER_PAGE else 0,
        boxes=inbox.boxes(),
        outcome=outcome,
    )


@pages.post("/tasks/<int:number>/done")
def done(number: int) -> ResponseReturnValue:
    me = account()
    with transaction():
        tasks.done(access.task(me, number), by=me)
    uid = request.form.get("uid", "")
    return after_change(go_to=url_for("meetings.show", uid=uid) if uid else url_for(".index"))
