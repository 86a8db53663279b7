"""The HTML door, for people."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_talisman import Talisman
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import BadRequest, HTTPException

from confbridge import config
from confbridge.doors import plain_problem, say, status_of
from confbridge.errors import ConfbridgeError, Invalid, NotSignedIn, StaleVersion
from confbridge.web import (
    attendees,
    booking,
    bridges,
    conferences,
    duty,
    endpoints,
    feeds,
    filters,
    inbox,
    join,
    meetings,
    occurrences,
    outbox,
    readiness,
    replies,
    rules,
    session,
)

log = logging.getLogger(__name__)

NOUNS = (
    *(booking, meetings, occurrences, endpoints, bridges, conferences),
    *(outbox, replies, join, rules, attendees, inbox, feeds, duty, readiness),
)

# Nothing but our own scripts, styles and pictures; the join page adds its bridge.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self' blob: mediastream:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


def init_app(app: Flask) -> None:
    settings = config.in_force()
    session.init_app(app)
    filters.init_app(app)
    protection = CSRFProtect(app)
    app.extensions["confbridge_csrf"] = protection
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a form left open over lunch is still good
    app.config["WTF_CSRF_SSL_STRICT"] = False  # our pages send no referrer; the token does it
    app.after_request(let_bridges_in)  # before Talisman's own, which therefore runs first
    Talisman(
        app,
        content_security_policy=POLICY,
        force_https=False,  # the proxy's task: bridges and health checks come from inside
        strict_transport_security=settings.is_https,
        session_cookie_secure=settings.is_https,
        referrer_policy="no-referrer",
        permissions_policy={"camera": "(self)", "microphone": "(self)", "geolocation": "()"},
    )
    for noun in NOUNS:
        app.register_blueprint(noun.pages)
    app.register_error_handler(ConfbridgeError, refusal)
    app.register_error_handler(CSRFError, stale_form)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(500, failure)
    app.context_processor(_view)
    app.before_request(refuse_nul)

    @app.get("/")
    def index() -> ResponseReturnValue:
        return redirect(url_for("meetings.index"))


def refuse_nul() -> None:
    """Refuse an address with a NUL in it, which no database takes in text."""
    if "\x00" in request.path or any("\x00" in value for value in request.args.values()):
        raise BadRequest


def let_bridges_in(response: Response) -> Response:
    """Let the scripts of a join page, and of no other, connect to the bridges."""
    origins = g.get("bridge_origins")
    if origins:
        policy = response.headers.get("Content-Security-Policy", "")
        wider = f"connect-src 'self' {' '.join(origins)}"
        response.headers["Content-Security-Policy"] = policy.replace("connect-src 'self'", wider)
    return response


def refusal(error: ConfbridgeError) -> ResponseReturnValue:
    """Show a refusal as a page; who is not signed in is asked to."""
    if isinstance(error, NotSignedIn):
        if "HX-Request" in request.headers:  # a page that asks for itself: go to the door, whole
            return "", 401, {"HX-Redirect": url_for("session.sign_in")}
        here = request.full_path.rstrip("?") if request.method == "GET" else ""
        return redirect(url_for("session.sign_in", next=here), code=303)
    problems = error.problems if isinstance(error, Invalid) else {}
    status = status_of(error)
    text = say(error.phrase) if not problems else gettext("Some of this cannot be used.")
    uid = (request.view_args or {}).get("uid") if isinstance(error, StaleVersion) else None
    back = url_for("meetings.show", uid=uid) if uid else ""
    shown = {"text": text, "problems": problems, "status": status, "back": back}
    return render_template("error.html", **shown), status


def stale_form(_error: CSRFError) -> ResponseReturnValue:
    text = gettext("The form is too old, or does not come from here. Load the page again.")
    return render_template("error.html", text=text, problems={}, status=400), 400


def http_error(error: HTTPException) -> ResponseReturnValue:
    if request.path.startswith("/api/"):  # an address that no call of the API has
        return plain_problem(error.code or 500, error.name)
    texts = {
        404: gettext("There is no such page."),
        405: gettext("This page cannot be used like that."),
        413: gettext("That is too much at once."),
    }
    status = error.code or 500
    text = texts.get(status, gettext("The request could not be understood."))
    if status >= 500:
        text = gettext("Something went wrong on our side. It has been noted.")
    return render_template("error.html", text=text, problems={}, status=status), status


def failure(error: Exception) -> ResponseReturnValue:
    """Say that we failed; what and where is in the log, and not on the page."""
    log.error("request failed: %s %s", request.method, request.endpoint, exc_info=error)
    text = gettext("Something went wrong on our side. It has been noted.")
    return render_template("error.html", text=text, problems={}, status=500), 500


def _view() -> dict[str, object]:
    """Return what every page shows."""
    return {
        "me": session.account_or_none(),
        "languages": session.LANGUAGES,
        "language": filters.language(),
    }
