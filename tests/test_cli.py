"""The operator's commands."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select, text

from confbridge.database import db, transaction
from confbridge.models import Account, Bridge, Endpoint, Organisation
from confbridge.services import access, accounts
from tests.factories import scalar


@pytest.fixture
def run(app):
    runner = app.test_cli_runner()
    return lambda *command, **given: runner.invoke(args=command, **given)


def counted(model):
    return scalar(select(func.count()).select_from(model))


def test_the_demo_is_the_province_with_34_endpoints(run):
    done = run("demo", "load")
    assert done.exit_code == 0, done.output
    assert (counted(Endpoint), counted(Organisation), counted(Bridge)) == (34, 35, 2)
    roles = set(db.session.scalars(select(Account.role)))
    assert roles == {"admin", "secretariat", "operator", "viewer"}
    kinds = {"room": 9, "soft": 25}
    for kind, number in kinds.items():
        asked = select(func.count()).select_from(Endpoint).where(Endpoint.kind == kind)
        assert scalar(asked) == number


def test_the_demo_prints_passwords_that_work(run):
    printed = run("demo", "load").output
    pairs = [line.split("\t") for line in printed.splitlines()]
    assert len(pairs) == 5
    for email, password in pairs:
        with transaction():
            is_right = accounts.is_right(email, password)
            assert accounts.sign_in(email, is_right=is_right)


def test_the_demo_touches_nothing_that_is_there(run, cast):
    done = run("demo", "load")
    assert (done.exit_code, done.output) == (0, "")
    assert counted(Endpoint) == 4


def test_the_demo_is_told_where_its_bridges_listen(run, tmp_path):
    run("demo", "load")
    (tmp_path / "cau-a").mkdir()
    found = {
        "settings": {"admin_url": "http://127.0.0.1:9/admin", "ws_url": "ws://127.0.0.1:9"},
        "secrets": {"admin_secret": "a", "admin_key": "b", "events_password": "c"},
    }
    (tmp_path / "cau-a" / "bridge.json").write_text(json.dumps(found))
    assert run("demo", "load", "--bridges", str(tmp_path)).exit_code == 0
    bridge = db.session.scalars(select(Bridge).where(Bridge.code == "cau-a")).one()
    assert (bridge.settings, dict(bridge.secrets)) == (found["settings"], found["secrets"])


def test_an_account_is_made_with_a_password_from_standard_input(run, cast):
    command = ("account", "create", "New@Example.org", "--role", "viewer", "--organisation", "HOME")
    done = run(*command, "--password-stdin", input="a-long-enough-password\n")
    assert done.exit_code == 0, done.output
    with transaction():
        assert accounts.is_right("new@example.org", "a-long-enough-password")
        assert not accounts.is_right("new@example.org", "another-long-password")
    kept = db.session.execute(text("SELECT password_hash FROM accounts")).scalars().all()
    assert any(one.startswith("$argon2id$") for one in kept)


@pytest.mark.parametrize(
    ("organisation", "password", "said"),
    [("NOWHERE", "a-long-enough-password", "NOWHERE"), ("HOME", "short", "at least")],
)
def test_an_account_that_makes_no_sense_is_refused(run, cast, organisation, password, said):
    command = ("account", "create", "x@example.org", "--role", "viewer", "--password-stdin")
    done = run(*command, "--organisation", organisation, input=f"{password}\n")
    assert done.exit_code == 1
    assert said in done.output


def test_a_token_stands_alone_on_its_line(run, cast):
    done = run("token", "create", cast.ann.email, "--name", "test", "--days", "1")
    (token,) = done.output.splitlines()
    assert accounts.by_token(token).email == cast.ann.email
    assert run("token", "create", "nobody@example.org").exit_code == 1


def test_check_says_of_everything_whether_it_is_fit(run, cast, janus_server):
    unfit = run("check")
    assert unfit.exit_code == 1
    lines = dict(line.split(": ", 1) for line in unfit.output.splitlines())
    assert set(lines) == {
        *("settings", "database", "migrations", "mail", "mailbox"),
        f"bridge {cast.bridge.code}",
    }
    assert lines[f"bridge {cast.bridge.code}"].startswith("UNFIT")
    found = janus_server.as_bridge()
    with transaction():
        bridge = access.bridge(cast.carla, cast.bridge.code, to_change=True)
        bridge.settings, bridge.secrets = found["settings"], found["secrets"]
    fit = run("check")
    assert fit.exit_code == 0, fit.output
    assert "not signed" in lines["mail"]
    for secret in found["secrets"].values():
        assert secret not in fit.output + unfit.output
