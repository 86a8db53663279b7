"""Pages about mail: what waits, what went out, what could not."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge.database import transaction
from confbridge.mail import compose
from confbridge.services import access, outbox
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("outbox", __name__, url_prefix="/outbox")

PER_PAGE = 50


@pages.get("")
def index() -> str:
    me = account()
    state = request.args.get("state", "")
    before = request.args.get("before", 0, type=int)
    found = outbox.page_of(me, state=state, before=before, limit=PER_PAGE + 1)
    return page(
        "outbox/index.html",
        mails=found[:PER_PAGE],
        more=found[PER_PAGE - 1].id if len(found) > PER_PAGE else 0,
        counts=outbox.count_by_state(me),
        state=state,
    )


@pages.get("/<int:number>")
def show(number: int) -> str:
    """Show a mail as its recipient gets it."""
    mail = access.mail(account(), number)
    uid = outbox.meeting_uid(mail)
    message = compose.mail(outbox.copy_of(mail, uid))
    text = message.get_body(("plain",))
    parts = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    return page(
        "outbox/show.html",
        mail=mail,
        uid=uid,
        subject=message["Subject"],
        sender=message["From"],
        text=text.get_content() if text else "",
        calendar=parts[0].get_content() if parts else "",
    )


@pages.post("/<int:number>/send-again")
def send_again(number: int) -> ResponseReturnValue:
    me = account()
    with transaction():
        outbox.send_again(access.mail(me, number, to_change=True), by=me)
    return after_change(go_to=url_for(".index"))
