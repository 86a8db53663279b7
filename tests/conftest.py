"""What tests stand on: a service with a fresh database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from confbridge import clock, create_app
from confbridge.config import Settings
from confbridge.database import db
from deploy import janus
from tests import factories
from tests.post_office import PostOffice

HOUSE = Path(__file__).resolve().parent.parent
KEY = "only-for-tests-" + "k" * 40
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="keep pictures in docs/screens")


def settings(url: str, folder: Path, **given: object) -> Settings:
    defaults = {
        "secret_key": KEY,
        "base_url": "http://127.0.0.1:8000",
        "mail_url": f"maildir:{folder / 'mail'}",
        "mail_from": "Hội nghị truyền hình <hoinghi@ninhthuan.example>",
    }
    return Settings(database_url=url, **defaults | given)  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A PostgreSQL of our own, on loopback, without a password and without fsync."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        # initdb refuses to run as root.
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            shutil.chown(folder, "postgres")
        versions = Path("/usr/lib/postgresql").iterdir()
        self.programs = max(versions, key=lambda one: int(one.name)) / "bin"

    def start(self) -> None:
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "confbridge", "-A", "trust", "-E", "UTF8")
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
            " -c fsync=off -c max_connections=200"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(data), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://confbridge@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, template: str = "template1") -> str:
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def execute(self, statement: str) -> None:
        address = f"postgresql://confbridge@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(self.programs / program), *arguments]
        # A server started keeps its output open: it must not be ours to wait for.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with open_folder() as folder:
        server = Postgres(folder)
        server.start()
        yield server
        server.stop()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that servers under users of their own can reach.

    Each new run of pytest closes the one that its tests share to other users.
    """
    with tempfile.TemporaryDirectory(prefix="confbridge-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def migrated(url: str, folder: Path) -> None:
    app = create_app(settings(url, folder))
    with app.app_context():
        upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sqlite")
    migrated(f"sqlite:///{folder / 'template.db'}", folder)
    return folder / "template.db"


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    migrated(postgres.create("template_confbridge"), tmp_path_factory.mktemp("migrated"))
    return "template_confbridge"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with all tables and nothing in them."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    yield postgres.create(name, request.getfixturevalue("postgres_template"))
    postgres.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def service(url: str, folder: Path, **given: object) -> Iterator[Flask]:
    """The service with these settings; the test runs in its context."""
    made = create_app(settings(url, folder, **given))
    made.testing = True
    with made.app_context():
        yield made
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    with service(database_url, tmp_path) as made:
        yield made


class Client(FlaskClient):
    """Asks as from outside: nothing of the test's own context is known to the request."""

    def open(self, *given: Any, **named: Any) -> Any:
        return Context().run(super().open, *given, **named)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    app.test_client_class = Client
    return app.test_client()


@pytest.fixture
def cast(app: Flask) -> factories.Cast:
    """Ann, Bob, Carla and Dan, their organisations, endpoints, and one bridge of 10 ports."""
    return factories.cast()


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> object:
    """Stop the clock, at a time that the test may change."""

    def stop(moment: object) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    return stop


def kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


@pytest.fixture(scope="session")
def janus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[janus.Server]:
    """A real Janus; what it reports goes nowhere."""
    folder = tmp_path_factory.mktemp("janus")
    server = janus.prepare(folder, "bridge", "http://127.0.0.1:9/hooks/bridge")
    process = janus.start(folder, server)
    yield server
    process.terminate()
    process.wait()


@pytest.fixture
def janus_audio_server(janus_server: janus.Server) -> AudioBridge:
    """The AudioBridge of the same Janus."""
    return AudioBridge(janus_server)


class AudioBridge:
    def __init__(self, server: janus.Server) -> None:
        self.as_bridge = server.as_audio_bridge


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    office = PostOffice(free_port())
    office.open()
    yield office
    office.close()
