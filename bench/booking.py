"""Times a booking of 34 endpoints through the API, beside the bare inserts of the same rows.

Prints p50, p95 and bookings per second for 1 and 8 clients, on SQLite and on
PostgreSQL, and the ratio of the medians: API to floor, each with as many clients.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from pysqlite3 import dbapi2 as sqlite

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from tests.conftest import KEY, Postgres, free_port  # noqa: E402

ROUNDS = 400  # bookings for each figure
# In the order in which they are inserted; the columns that refer to a new row of another.
TABLES: dict[str, set[str]] = {
    "meetings": set(),
    "occurrences": {"meeting_id"},
    "attendees": {"meeting_id"},
    "reservations": {"occurrence_id"},
    "allocations": {"occurrence_id"},
    "letters": {"meeting_id"},
    "mails": {"letter_id", "attendee_id"},
    "audit_entries": set(),
}
UNIQUE = {"uid", "number", "message_id", "room"}
SHIFT = 100_000

Deed = Callable[[int], None]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="confbridge-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print("34 endpoints, one booking           p50 ms   p95 ms   per s")
        measure("SQLite", f"sqlite:///{folder / 'bench.db'}", folder)
        (folder / "postgres").mkdir()
        postgres = Postgres(folder / "postgres")
        postgres.start()
        try:
            measure("PostgreSQL", postgres.create("bench"), folder)
        finally:
            postgres.stop()


def measure(name: str, url: str, folder: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "CONFBRIDGE_DATABASE_URL": url,
        "CONFBRIDGE_SECRET_KEY": KEY,
        "CONFBRIDGE_BASE_URL": f"http://127.0.0.1:{port}",
        "CONFBRIDGE_MAIL_URL": f"maildir:{folder / 'mail'}",
    }
    token = prepared(environment)
    with served(environment, port):
        book = booker(port, token)
        book(next(_number))  # the first builds what later ones find built
        found = {clients: figures(lambda: booker(port, token), clients) for clients in (1, 8)}
    client = floor(url)
    bare = {clients: figures(client, clients) for clients in (1, 8)}
    for clients in (1, 8):
        show(f"{name}, {clients} client(s), API", found[clients])
        show(f"{name}, {clients} client(s), floor", bare[clients])
        ratio = found[clients][0] / bare[clients][0]
        print(f"{name}, {clients} client(s): {ratio:.1f} times the floor at the median")


def prepared(environment: dict[str, str]) -> str:
    """Load the demo province with bridges that are up and large, and return a token."""
    flask(environment, "db", "upgrade")
    flask(environment, "demo", "load")
    url = environment["CONFBRIDGE_DATABASE_URL"]
    with connected(url) as connection:
        connection.cursor().execute("UPDATE bridges SET state = 'up', ports = 100000")
        connection.commit()
    return flask(environment, "token", "create", "thuky@ninhthuan.example").strip()


def flask(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *command],
        cwd=HOUSE,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


@contextmanager
def served(environment: dict[str, str], port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "--threads", "4", "--log-level"]
    command += ["error", "-b", f"127.0.0.1:{port}", "app:app"]
    process = subprocess.Popen(command, cwd=HOUSE, env=environment)
    try:
        for _ in range(100):
            time.sleep(0.1)
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                continue
        yield
    finally:
        process.terminate()
        process.wait()


_number = itertools.count()
_first = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def booker(port: int, token: str) -> Deed:
    """Return a client with a connection of its own that books the n-th time from tomorrow on."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    endpoints = [{"code": code} for code in codes()]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def book(number: int) -> None:
        start = _first + timedelta(minutes=2 * number)
        body = {
            "title": "Giao ban trực tuyến",
            "start": start.isoformat(),
            "minutes": 1,
            "lead_minutes": 0,
            "tail_minutes": 0,
            "endpoints": endpoints,
        }
        connection.request("POST", "/api/v1/meetings", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text

    return book


def codes() -> list[str]:
    rows = (HOUSE / "confbridge" / "demo" / "endpoints.csv").read_text(encoding="utf-8")
    return [row.partition(",")[0] for row in rows.splitlines()[1:]]


def figures(client: Callable[[], Deed], clients: int) -> tuple[float, float, float]:
    """Return p50 and p95 in milliseconds and deeds per second, of `clients` at once."""
    taken: list[float] = []
    each = ROUNDS // clients

    def work() -> None:
        deed = client()
        for _ in range(each):
            number = next(_number)
            start = time.perf_counter()
            deed(number)
            taken.append(time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - begun
    assert len(taken) == each * clients, "a client has failed"
    cuts = statistics.quantiles(taken, n=20)
    return statistics.median(taken) * 1000, cuts[18] * 1000, len(taken) / whole


def show(what: str, found: tuple[float, float, float]) -> None:
    print(f"{what:<33} {found[0]:8.1f} {found[1]:8.1f} {found[2]:7.0f}")


@contextmanager
def connected(url: str) -> Iterator[Any]:
    connection = connect(url)
    try:
        yield connection
    finally:
        connection.close()


def connect(url: str) -> Any:
    if url.startswith("sqlite"):
        connection = sqlite.connect(url.removeprefix("sqlite:///"), timeout=60)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    return psycopg.connect(url.replace("+psycopg", ""))


def floor(url: str) -> Callable[[], Deed]:
    """Return a maker of clients that insert the rows of the last booking again, and no more."""
    with connected(url) as connection:
        unguard(connection, url)
        rows = last_booking(connection)
    mark = "?" if url.startswith("sqlite") else "%s"
    statements = {
        table: f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join([mark] * len(names))})"
        for table, (names, _) in rows.items()
    }

    def client() -> Deed:
        connection = connect(url)

        def insert(number: int) -> None:
            fresh = {table: shifted(table, *found, number + 1) for table, found in rows.items()}
            cursor = connection.cursor()
            for table, statement in statements.items():
                cursor.executemany(statement, fresh[table])
            connection.commit()

        return insert

    return client


def unguard(connection: Any, url: str) -> None:
    """Take away what a bare insert does not do: the guards of both promises."""
    cursor = connection.cursor()
    if url.startswith("sqlite"):
        found = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (trigger,) in found:
            cursor.execute(f"DROP TRIGGER {trigger}")
    else:
        cursor.execute("DROP TRIGGER guard_ports ON allocations")
        cursor.execute("ALTER TABLE reservations DROP CONSTRAINT endpoint_taken")
    connection.commit()


def last_booking(connection: Any) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Return the columns and rows of every table that the last booking wrote."""
    cursor = connection.cursor()
    last = "SELECT max(id) FROM meetings"
    of_meeting = f"meeting_id = ({last})"
    where = {
        "meetings": f"id = ({last})",
        "occurrences": of_meeting,
        "attendees": of_meeting,
        "letters": of_meeting,
        "reservations": f"occurrence_id IN (SELECT id FROM occurrences WHERE {of_meeting})",
        "allocations": f"occurrence_id IN (SELECT id FROM occurrences WHERE {of_meeting})",
        "mails": f"letter_id IN (SELECT id FROM letters WHERE {of_meeting})",
        "audit_entries": "id = (SELECT max(id) FROM audit_entries)",
    }
    found = {}
    for table in TABLES:
        cursor.execute(f"SELECT * FROM {table} WHERE {where[table]}")
        names = [column[0] for column in cursor.description]
        found[table] = (names, [tuple(row) for row in cursor.fetchall()])
    assert sum(len(rows) for _, rows in found.values()) == 5 + 3 * 34
    return found


def shifted(
    table: str, names: list[str], rows: list[tuple[Any, ...]], number: int
) -> list[tuple[Any, ...]]:
    """Return the rows once more, with ids and unique texts of their own."""
    moved = {"id", *TABLES[table]}
    return [
        tuple(
            value + number * SHIFT
            if name in moved
            else f"{value}-{number}"
            if name in UNIQUE
            else value
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    ]


if __name__ == "__main__":
    main()
