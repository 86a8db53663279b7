"""The page on which calendars to subscribe to are made and revoked."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge.database import transaction
from confbridge.services import access, feeds, links
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("feeds", __name__, url_prefix="/feeds")


@pages.get("")
def index() -> str:
    me = account()
    return page(
        "feeds/index.html",
        feeds=[(feed, name, links.feed_url(feed.id)) for feed, name in feeds.listed(me)],
        organisations=access.hosts(me),
        endpoint=request.args.get("code", ""),
    )


@pages.post("")
def make() -> ResponseReturnValue:
    me = account()
    with transaction():
        feeds.make(
            me,
            endpoint=request.form.get("endpoint", "").strip(),
            organisation=request.form.get("organisation", ""),
        )
    return after_change(go_to=url_for(".index"))


@pages.post("/<int:number>/revoke")
def revoke(number: int) -> ResponseReturnValue:
    me = account()
    with transaction():
        feeds.revoke(access.feed(me, number), by=me)
    return after_change(go_to=url_for(".index"))
