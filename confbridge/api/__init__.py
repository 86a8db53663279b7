"""The JSON door, for programs. Refusals are RFC 9457 problem documents."""

from __future__ import annotations

import logging

from flask import Blueprint, Flask, g, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from confbridge.api import (
    availability,
    bridges,
    calendars,
    conferences,
    endpoints,
    hooks,
    meetings,
    openapi,
    organisations,
    rules,
    shapes,
)
from confbridge.database import db
from confbridge.doors import Refused, plain_problem, say, status_of
from confbridge.errors import ConfbridgeError, Invalid, NotSignedIn, Phrase
from confbridge.services import accounts
from confbridge.services.extension import CannotExtend
from confbridge.services.maintenance import NotMovable

log = logging.getLogger(__name__)

v1 = Blueprint("api", __name__, url_prefix="/api/v1")
NOUNS = (
    *(organisations, endpoints, bridges, meetings, conferences),
    *(availability, rules, calendars),
)
for noun in NOUNS:
    v1.register_blueprint(noun.resource)
v1.register_blueprint(openapi.resource)

# What needs no token: the description, and calendars whose address is the secret.
OPEN = {"api.openapi.document", "api.calendars.show", "api.calendars.free_busy"}


@v1.before_request
def ask_for_token() -> None:
    """Find out for whom the program acts."""
    if request.endpoint in OPEN:
        return
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise NotSignedIn(Phrase("Send a token: Authorization: Bearer …"))
    g.account = accounts.by_token(token.strip())


@v1.errorhandler(ConfbridgeError)
def problem(error: ConfbridgeError) -> ResponseReturnValue:
    """Answer a refusal: what, why, and for a clash what would work."""
    status = status_of(error)
    document: dict[str, object] = {
        "type": f"/problems/{type(error).__name__.lower()}",
        "title": type(error).__name__,
        "status": status,
        "detail": say(error.phrase),
    }
    if isinstance(error, Invalid):
        document["detail"] = gettext("Some of this cannot be used.")
        document["problems"] = {field: say(phrase) for field, phrase in error.problems.items()}
    if isinstance(error, Refused):
        document |= shapes.refusal(error.refusal)
    if isinstance(error, NotMovable):
        document["affected"] = [shapes.affected(one) for one in error.affected]
    if isinstance(error, CannotExtend):
        document["minutes"] = error.minutes
        document["in_the_way"] = [
            {"endpoint": one.endpoint, "at": shapes.moment(one.at)} for one in error.in_the_way
        ]
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return document, status, headers


@v1.errorhandler(HTTPException)
def http_problem(error: HTTPException) -> ResponseReturnValue:
    return plain_problem(error.code or 500, error.name)


@v1.errorhandler(Exception)
def failure(error: Exception) -> ResponseReturnValue:
    log.error("request failed: %s %s", request.method, request.endpoint, exc_info=error)
    return plain_problem(500, "Internal Server Error")


def init_app(app: Flask) -> None:
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    protection = app.extensions["confbridge_csrf"]
    app.register_blueprint(v1)
    app.register_blueprint(hooks.receivers)
    # A token in a header, or a bridge's password, is no cookie that another site could use.
    protection.exempt(v1)
    protection.exempt(hooks.receivers)
    for noun in NOUNS:
        protection.exempt(noun.resource)

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        try:
            db.session.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return {"status": "down"}, 503
        return {"status": "ok"}
