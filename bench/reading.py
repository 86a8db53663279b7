"""Times what the pages ask: free times for 34 and 300 endpoints, and a day of 50 bridges.

In process, at a million reservations, p50 and p95 in milliseconds; each with
its ratio to the bare SQL that fetches the same rows.

    python bench/reading.py [--size 1000000] [--only postgresql]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from flask_migrate import upgrade  # noqa: E402

from bench.nation import connected, fill, first_free  # noqa: E402
from confbridge import create_app  # noqa: E402
from confbridge.database import UTCDateTime, db, transaction  # noqa: E402
from confbridge.domain.interval import Interval  # noqa: E402
from confbridge.inputs import parse  # noqa: E402
from confbridge.inputs.meetings import AvailabilityQuery  # noqa: E402
from confbridge.services import availability, bridges, demo, register  # noqa: E402
from tests.conftest import Postgres, settings  # noqa: E402

ROUNDS = 100
WEEKS = 4


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--size", type=int, default=1_000_000)
    asked.add_argument("--only", choices=["postgresql", "sqlite"])
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="confbridge-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"at {given.size:,} reservations                      p50 ms   p95 ms")
        if given.only != "sqlite":
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            postgres.start()
            try:
                measure("PostgreSQL", postgres.create("reading"), folder, given.size)
            finally:
                postgres.stop()
        if given.only != "postgresql":
            measure("SQLite", f"sqlite:///{folder / 'reading.db'}", folder, given.size)


def measure(name: str, url: str, folder: Path, size: int) -> None:
    app = create_app(settings(url, folder))
    with app.app_context():
        upgrade()
        with transaction():
            demo.load()
        with connected(url) as connection:
            connection.cursor().execute("UPDATE bridges SET state = 'up', ports = 100000")
            connection.commit()
        fill(url, size)
        for count in (34, 300):
            search(name, count)
        timeline(name)
        db.session.remove()
        db.engine.dispose()


def search(name: str, count: int) -> None:
    """Look for an hour within four weeks, for other endpoints each time."""
    chance = random.Random(count)
    start = first_free()
    known = db.session.execute(db.text("SELECT code FROM endpoints ORDER BY id")).scalars().all()

    def ask() -> None:
        listed = chance.sample(known, count)
        query = parse(
            AvailabilityQuery,
            {
                "endpoints": [{"code": code} for code in listed],
                "minutes": 60,
                "from": start.isoformat(),
                "to": (start + timedelta(weeks=WEEKS)).isoformat(),
                "working_hours": True,
            },
        )
        found = availability.answer(query, register.endpoints_named(query.endpoints))
        assert found.suggestions, found.said

    within = Interval(start, start + timedelta(days=1))
    ids = list(range(1, 12_000))

    def fetch() -> None:
        """Fetch what one day holds: where the search ends early, it reads no more."""
        availability.taken(chance.sample(ids, count), within)

    compare(f"{name}, free times of {count}", ask, fetch)


def timeline(name: str) -> None:
    """Draw a day of all bridges at a quarter of an hour."""
    start = first_free()
    day = Interval(start, start + timedelta(days=1))
    question = db.text(
        "SELECT bridge_id, starts, ends, units FROM allocations"
        " WHERE live AND bridge_id >= 100 AND ends > :since AND ends <= :bound AND starts < :until"
    ).bindparams(
        db.bindparam("since", day.start, type_=UTCDateTime()),
        db.bindparam("until", day.end, type_=UTCDateTime()),
        db.bindparam("bound", day.end + timedelta(days=2), type_=UTCDateTime()),
    )

    def ask() -> None:
        some = [one for one in bridges.listed() if one.code.startswith("n-")]
        found = bridges.timeline(some, day, timedelta(minutes=15))
        assert len(found) == len(some) == 50

    compare(f"{name}, a day of 50 bridges", ask, lambda: list(db.session.execute(question)))


def compare(what: str, deed: Callable[[], object], floor: Callable[[], object]) -> None:
    found, bare = figures(deed), figures(floor)
    print(f"{what:<44} {found[0]:8.1f} {found[1]:8.1f}")
    print(f"{what + ', bare SQL':<44} {bare[0]:8.1f} {bare[1]:8.1f}")
    print(f"{what}: {found[0] / bare[0]:.1f} times the bare SQL at the median", flush=True)


def figures(deed: Callable[[], object]) -> tuple[float, float]:
    """Return p50 and p95 in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        db.session.rollback()
        db.session.expire_all()
        start = time.perf_counter()
        deed()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000, statistics.quantiles(taken, n=20)[18] * 1000


if __name__ == "__main__":
    main()
