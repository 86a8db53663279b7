"""ConfBridge schedules video conferences and runs the bridges they are held on."""

from __future__ import annotations

import base64
import hashlib

from flask import Flask
from flask_migrate import Migrate

from confbridge import api, cli, doors, jobs, models, web
from confbridge.config import HOUSE, Settings, from_environment, put_in_force
from confbridge.database import db, engine_options, seal_with

__all__ = ["create_app", "models"]


def create_app(settings: Settings | None = None) -> Flask:
    """Return the whole service, ready to serve; the only place where parts are put together.

    Raises BadConfig.
    """
    settings = settings or from_environment()
    put_in_force(settings)
    app = Flask(__name__, template_folder=str(HOUSE / "templates"))
    app.url_map.converters["int"] = doors.RowNumber
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        CONFBRIDGE=settings,
        BABEL_DEFAULT_LOCALE="vi",
        BABEL_DEFAULT_TIMEZONE=settings.timezone,
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    sealing = hashlib.sha256(b"sealed columns" + settings.secret_key.encode()).digest()
    seal_with(base64.urlsafe_b64encode(sealing))
    db.init_app(app)
    Migrate(app, db, directory=str(HOUSE / "migrations"), render_as_batch=True)
    for door in (web, api, jobs, cli):
        door.init_app(app)
    return app
