"""Signing in and out, and the language of the pages."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

import flask_login
from flask import Blueprint, Flask, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, refresh
from flask_login import LoginManager, UserMixin, login_user, logout_user

from confbridge import config
from confbridge.database import transaction
from confbridge.errors import NotSignedIn, Phrase
from confbridge.models import Account
from confbridge.services import accounts
from confbridge.web.render import after_change, page

pages = Blueprint("session", __name__)

LANGUAGES = {"vi": "Tiếng Việt", "en": "English"}
COOKIE = "language"


class SignedIn(UserMixin):  # type: ignore[misc]
    """What the session remembers: a key that ends with the password it was made under."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def get_id(self) -> str:
        return self.account.session_key


def account() -> Account:
    """Return who is signed in; every page but the public ones asks this first.

    Raises NotSignedIn.
    """
    user = flask_login.current_user
    if not user.is_authenticated:
        raise NotSignedIn(Phrase("Please sign in."))
    return cast(Account, user.account)


def account_or_none() -> Account | None:
    user = flask_login.current_user
    return cast(Account, user.account) if user.is_authenticated else None


@pages.get("/sign-in")
def sign_in() -> str:
    return page("session/sign_in.html", next=request.args.get("next", ""), email="", problem="")


@pages.post("/sign-in")
def try_to_sign_in() -> ResponseReturnValue:
    email, password = request.form.get("email", ""), request.form.get("password", "")
    email = email[:254].replace("\x00", "")
    is_right = accounts.is_right(email, password[:1000])  # slow by design: before the transaction
    with transaction():
        found = accounts.sign_in(email, is_right=is_right)
    if found is None:
        view = page(
            "session/sign_in.html",
            next=request.form.get("next", ""),
            email=email,
            problem=accounts.WRONG,
        )
        return view, 403
    login_user(SignedIn(found))
    return after_change(go_to=_safe(request.form.get("next", "")))


@pages.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    logout_user()
    return after_change(go_to=url_for("session.sign_in"))


@pages.post("/language")
def choose_language() -> ResponseReturnValue:
    wanted = request.form.get("language", "")
    if wanted in LANGUAGES:
        user = account_or_none()
        if user:
            with transaction():
                accounts.speak(user, wanted)
    else:
        wanted = "vi"
    refresh()
    answer = redirect(_safe(request.form.get("next", "")), code=303)
    answer.set_cookie(
        COOKIE,
        wanted,
        max_age=365 * 86400,
        samesite="Lax",
        secure=config.in_force().is_https,
        httponly=True,
    )
    return answer


def chosen_language() -> str:
    """Return the language wanted: the account's, the browser's choice here, or its own."""
    if "account" in g and request.accept_languages:  # a program says what it wants each time
        return request.accept_languages.best_match(list(LANGUAGES)) or "vi"
    user = g.account if "account" in g else account_or_none()
    for wanted in (user.language if user else "", request.cookies.get(COOKIE, "")):
        if wanted in LANGUAGES:
            return wanted
    return request.accept_languages.best_match(list(LANGUAGES)) or "vi"


def init_app(app: Flask) -> None:
    manager = LoginManager()
    manager.session_protection = None  # behind a proxy the address is no sign of anything
    manager.init_app(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(key: str) -> SignedIn | None:
        found = accounts.by_session(key)
        return SignedIn(found) if found else None

    Babel(app, locale_selector=chosen_language)
    app.register_blueprint(pages)


def _safe(address: str) -> str:
    """Return where to go on, which is never another host."""
    parts = urlsplit(address.replace("\\", "/"))
    inside = address.startswith("/") and not address.startswith("//")
    if inside and not parts.scheme and not parts.netloc:
        return address
    return url_for("meetings.index")
