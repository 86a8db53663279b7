"""The operator's door: commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from confbridge import config, drivers
from confbridge.database import db, transaction
from confbridge.errors import BadConfig, ConfbridgeError
from confbridge.mail import delivery, mailbox
from confbridge.models import Role
from confbridge.services import access, accounts, bridges, demo
from confbridge.services.bridges import Call

account_group = AppGroup("account", help="People who may sign in.")
token_group = AppGroup("token", help="Keys for programs.")
demo_group = AppGroup("demo", help="The demo province.")


@account_group.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--organisation", default="UBND", help="Code of the organisation.")
@click.option("--name", default="", help="Name shown to others.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_account(
    email: str,
    role: str,
    organisation: str,
    name: str,
    password_stdin: bool,
) -> None:
    """Add an account."""
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    with _refusals(), transaction():
        home = access.organisation(organisation)
        accounts.create(email, password, role=role, organisation=home, name=name)
    click.echo(f"{email} may sign in as {role}")


@token_group.command("create")
@click.argument("email")
@click.option("--name", default="", help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, help="How long it is valid.")
def create_token(email: str, name: str, days: int) -> None:
    """Print a new API token, once."""
    with _refusals(), transaction():
        token = accounts.create_token(email, name=name, days=days)
    click.echo(token)


@demo_group.command("load")
@click.option(
    "--bridges",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder in which CODE/bridge.json says where each bridge listens.",
)
def load_demo(folder: Path | None) -> None:
    """Load the demo province into an empty database, and print how to sign in."""
    with _refusals(), transaction():
        passwords = demo.load() if demo.is_wanted() else {}
        for found in sorted(folder.glob("*/bridge.json")) if folder else []:
            demo.set_up_bridge(found.parent.name, json.loads(found.read_text(encoding="utf-8")))
    for email, password in passwords.items():
        click.echo(f"{email}\t{password}")


def init_app(app: Flask) -> None:
    for group in (account_group, token_group, demo_group):
        app.cli.add_command(group)

    @app.cli.command("check")
    def check() -> None:
        """Say of settings, database, mail and every bridge whether they are fit; exit 1 if not."""
        fit = True
        for name, test in _checks():
            try:
                click.echo(f"{name}: {test()}")
            except (ConfbridgeError, OSError, RuntimeError) as error:
                fit = False
                click.echo(f"{name}: UNFIT: {error}")
        sys.exit(0 if fit else 1)


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    settings = config.in_force()
    yield "settings", lambda: f"pages at {settings.base_url}, times in {settings.timezone}"
    yield "database", _database
    yield "migrations", _migrations
    yield "mail", lambda: f"{delivery.check(settings.mail_url)}, {_signing()}"
    yield "mailbox", _mailbox
    try:
        found = bridges.all_calls()
    except SQLAlchemyError:
        return  # told already, by the check of the database
    db.session.rollback()
    for code, call in found.items():
        yield f"bridge {code}", partial(_bridge, call)


def _signing() -> str:
    sign = delivery.signature()
    if sign is None:
        return "not signed: set CONFBRIDGE_DKIM_KEY_FILE"
    delivery.signed(b"From: a@example.org\r\n\r\n", sign)
    return f"signed for {sign.domain} (DKIM, selector {sign.selector})"


def _mailbox() -> str:
    url = config.in_force().mailbox_url
    return mailbox.check(url) if url else "none: answers come by link and telephone only"


def _database() -> str:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise BadConfig(str(error.__cause__ or error)) from error
    finally:
        db.session.rollback()
    return db.engine.dialect.name


def _migrations() -> str:
    with db.engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    wanted = ScriptDirectory(str(config.HOUSE / "migrations")).get_current_head()
    if now != wanted:
        raise BadConfig(f"at {now}, wanted {wanted}; run flask --app app db upgrade")
    return f"at {now}"


def _bridge(call: Call) -> str:
    return drivers.connect(call.driver, call.settings).probe().software


@contextmanager
def _refusals() -> Iterator[None]:
    """Say a refusal in one line, and exit with 1."""
    try:
        yield
    except ConfbridgeError as error:
        raise click.ClickException(str(error)) from error
