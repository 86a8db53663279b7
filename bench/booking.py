"""Times bookings of 34 endpoints through the API, at several sizes of the database.

For PostgreSQL and SQLite, at each size and for 1, 8 and 32 clients: p50, p95
and bookings per second; the ratio of the median to that of bare inserts of the
same rows without any guard, and to that of the smallest size. Then a weekly
series of 52 meetings against a single one.

    python bench/booking.py [--sizes 10000,1000000] [--only postgresql]
"""

from __future__ import annotations

import argparse
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
from datetime import timedelta
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from bench.nation import connect, connected, fill, first_free  # noqa: E402
from tests.conftest import KEY, Postgres, free_port  # noqa: E402

ROUNDS = 320  # bookings for each figure
CLIENTS = (1, 8, 32)
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
SHIFT = 30_000_000

Deed = Callable[[int], None]
Figures = tuple[float, float, float]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--sizes", default="10000,1000000")
    asked.add_argument("--only", choices=["postgresql", "sqlite"])
    given = asked.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="confbridge-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print("one booking of 34 endpoints                       p50 ms   p95 ms   per s")
        if given.only != "sqlite":
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            postgres.start()
            try:
                compare("PostgreSQL", sizes, lambda size: postgres.create(f"b{size}"), folder)
            finally:
                postgres.stop()
        if given.only != "postgresql":
            compare("SQLite", sizes, lambda size: f"sqlite:///{folder / f'b{size}.db'}", folder)


def compare(name: str, sizes: list[int], url_of: Callable[[int], str], folder: Path) -> None:
    smallest: dict[int, float] = {}
    for size in sizes:
        found = measure(name, size, url_of(size), folder)
        for clients, median in found.items():
            if clients in smallest:
                times = median / smallest[clients]
                print(f"{name}, {size:,} reservations, {clients}: {times:.2f} times the smallest")
            else:
                smallest[clients] = median


def measure(name: str, size: int, url: str, folder: Path) -> dict[int, float]:
    """Return the median of a booking at this size, by the number of clients."""
    port = free_port()
    environment = {
        **os.environ,
        "CONFBRIDGE_DATABASE_URL": url,
        "CONFBRIDGE_SECRET_KEY": KEY,
        "CONFBRIDGE_BASE_URL": f"http://127.0.0.1:{port}",
        "CONFBRIDGE_MAIL_URL": f"maildir:{folder / 'mail'}",
    }
    token = prepared(environment, size)
    what = f"{name}, {size:,} reservations"
    with served(environment, port):
        book = booker(port, token)
        book(next(_number))  # the first builds what later ones find built
        found = {clients: figures(lambda: booker(port, token), clients) for clients in CLIENTS}
        one, series = series_against_one(port, token)
    client = floor(url)
    bare = {clients: figures(client, clients) for clients in CLIENTS}
    for clients in CLIENTS:
        show(f"{what}, {clients} client(s), API", found[clients])
        show(f"{what}, {clients} client(s), floor", bare[clients])
        ratio = found[clients][0] / bare[clients][0]
        print(f"{what}, {clients} client(s): {ratio:.1f} times the floor at the median")
    print(f"{what}: a series of 52 costs {series / one:.1f} times one meeting", flush=True)
    return {clients: figure[0] for clients, figure in found.items()}


def prepared(environment: dict[str, str], size: int) -> str:
    """Load the demo province and as many reservations as asked, and return a token."""
    flask(environment, "db", "upgrade")
    flask(environment, "demo", "load")
    url = environment["CONFBRIDGE_DATABASE_URL"]
    with connected(url) as connection:
        connection.cursor().execute(
            "UPDATE bridges SET state = 'up', ports = 100000, rooms_per_minute = 10000"
        )
        connection.commit()
    begun = time.perf_counter()
    fill(url, size)
    print(f"filled with {size:,} reservations in {time.perf_counter() - begun:.0f} s", flush=True)
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
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "--threads", "8", "--log-level"]
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


def booker(port: int, token: str, **rest: Any) -> Deed:
    """Return a client with a connection of its own that books the n-th free time."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    endpoints = [{"code": code} for code in codes()]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def book(number: int) -> None:
        # Of every three hours the first is taken, and fifty meetings fit into the rest.
        start = first_free() + (number // 50) * timedelta(hours=3) + number % 50 * MINUTES
        body = {
            "title": f"Giao ban trực tuyến {number}",
            "start": start.isoformat(),
            "minutes": 1,
            "lead_minutes": 0,
            "tail_minutes": 0,
            "endpoints": endpoints,
        }
        connection.request("POST", "/api/v1/meetings", json.dumps(body | rest), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text

    return book


MINUTES = timedelta(minutes=2)


def series_against_one(port: int, token: str) -> tuple[float, float]:
    """Return the median of a single booking, and of a weekly series of 52."""
    single = booker(port, token)
    weekly = booker(port, token, rrule="FREQ=WEEKLY;COUNT=52")
    return (
        figures(lambda: single, 1, rounds=20)[0],
        figures(lambda: weekly, 1, rounds=7)[0],
    )


def codes() -> list[str]:
    rows = (HOUSE / "confbridge" / "demo" / "endpoints.csv").read_text(encoding="utf-8")
    return [row.partition(",")[0] for row in rows.splitlines()[1:]]


def figures(client: Callable[[], Deed], clients: int, rounds: int = ROUNDS) -> Figures:
    """Return p50 and p95 in milliseconds and deeds per second, of `clients` at once."""
    taken: list[float] = []
    each = rounds // clients

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


def show(what: str, found: Figures) -> None:
    print(f"{what:<48} {found[0]:8.1f} {found[1]:8.1f} {found[2]:7.0f}")


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
    """Return the columns and rows of every table that the last single booking wrote."""
    cursor = connection.cursor()
    last = "SELECT max(id) FROM meetings WHERE rrule = '' AND agenda = '' AND title LIKE 'Giao%%'"
    last = last.replace("%%", "%")
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
            value + SHIFT + number * 1000
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
