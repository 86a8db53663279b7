"""Fills a database with the meetings of a nation: 12,000 endpoints and 50 bridges.

Meetings of 34 endpoints, one an hour long every three hours, half of them in
the past. The guards are taken away while filling and put back as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from pysqlite3 import dbapi2 as sqlite

SITES = 34
GROUPS = 353  # of 34 endpoints each: 12,002, the first being the demo province's own
BRIDGES = 50
EVERY = timedelta(hours=3)
LASTS = timedelta(hours=1)
MARGIN = timedelta(minutes=15)


def connect(url: str) -> Any:
    if url.startswith("sqlite"):
        connection = sqlite.connect(url.removeprefix("sqlite:///"), timeout=60)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    return psycopg.connect(url.replace("+psycopg", ""))


@contextmanager
def connected(url: str) -> Iterator[Any]:
    connection = connect(url)
    try:
        yield connection
    finally:
        connection.close()


def first_free() -> datetime:
    """Return a moment from which on the second and third hour of every three are free."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=2) + LASTS + MARGIN


def fill(url: str, reservations: int) -> None:
    """Add endpoints, bridges, and so many reservations with their meetings and promises."""
    occurrences = -(-reservations // SITES)
    slots = -(-occurrences // GROUPS)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begins = today - (slots // 2) * EVERY
    with connected(url) as connection:
        cursor = connection.cursor()
        is_sqlite = url.startswith("sqlite")
        guards = _unguard_sqlite(cursor) if is_sqlite else _unguard_postgresql(cursor)
        for statement in _rows(is_sqlite):
            cursor.execute(
                statement.format(
                    occurrences=occurrences,
                    groups=GROUPS,
                    sites=SITES,
                    bridges=BRIDGES,
                    begins=f"{begins:%Y-%m-%d %H:%M:%S}",
                )
            )
        for guard in guards:
            cursor.execute(guard)
        if not is_sqlite:
            for table in ("meetings", "occurrences", "endpoints", "bridges"):
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
                    f" (SELECT max(id) FROM {table}))"
                )
        connection.commit()
        if not is_sqlite:
            connection.autocommit = True
        cursor.execute("ANALYZE")


def _rows(is_sqlite: bool) -> list[str]:
    """Return the statements; ids are counted on from those of the demo."""
    if is_sqlite:
        numbers = (
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {most})"
        )
        at = (
            "strftime('%Y-%m-%d %H:%M:%S', '{{begins}}',"
            " (180 * (i / {{groups}}) + {minutes}) || ' minutes') || '.000000'"
        )
        yes, no = "1", "0"
    else:
        numbers = "WITH n(i) AS (SELECT generate_series(0, {most} - 1))"
        at = (
            "timestamptz '{{begins}} UTC'"
            " + (180 * (i / {{groups}}) + {minutes}) * interval '1 minute'"
        )
        yes, no = "true", "false"
    start, end = at.format(minutes=0), at.format(minutes=60)
    opens, closes = at.format(minutes=-15), at.format(minutes=75)
    of_all = numbers.format(most="{occurrences}")
    sites = numbers.format(most="{sites} * {groups}")
    some = numbers.format(most="{bridges}")
    first = "10000000"
    return [
        f"INSERT INTO endpoints (id, code, name, organisation_id, kind, quality, seats, address,"
        f" networks, email, contact, phone, active, version, search) {sites}"
        f" SELECT i + 1, 'N-' || i, 'N ' || i, 1, 'room', 'hd', 0, '', 'tslcd', 'n@example.org',"
        f" '', '', {yes}, 1, '' FROM n WHERE i >= {{sites}}",
        f"INSERT INTO bridges (id, code, name, driver, ports, networks, kinds, pool_id,"
        f" failure_domain, head_room, rooms_per_minute, settings, secrets, draining, active,"
        f" version, state, against, state_since, probe_at, software, epoch, trouble, ports_in_use)"
        f" {some} SELECT i + 100, 'n-' || i, 'N', b.driver, 100000, b.networks, b.kinds,"
        f" b.pool_id, '', 0, 10000, b.settings, b.secrets, {no}, {yes}, 1, 'up', 0,"
        f" b.state_since, b.probe_at, '', '', '', 0 FROM n, bridges b WHERE b.id = 1",
        f"INSERT INTO meetings (id, uid, number, version, sequence, stamped, state, rank, title,"
        f" agenda, chair, timezone, starts, ends, rrule, host_id, organizer_id, guest_ports,"
        f" lead_minutes, tail_minutes, network, only_bridge, standby, may_cascade, gives_back,"
        f" reason, leader_reason, search) {of_all}"
        f" SELECT i + {first}, 'n-' || i, 'n-' || i, 1, 0, {start}, 'scheduled', 'province', 'N',"
        f" '', '', 'Asia/Ho_Chi_Minh', {start}, {end}, '', 1, 1, 0, 15, 15, '', '', {no}, {yes},"
        f" {yes}, '', '', '' FROM n",
        f"INSERT INTO occurrences (id, meeting_id, starts, ends, original, state, reason,"
        f" chair_key) {of_all} SELECT i + {first}, i + {first}, {start}, {end}, {start},"
        f" 'scheduled', '', '' FROM n",
        f"INSERT INTO allocations (bridge_id, occurrence_id, role, units, legs, opens, starts,"
        f" ends, live, room, tries, trouble) {of_all} SELECT 100 + i % {{bridges}}, i + {first},"
        f" 'primary', 408, 34, {opens}, {opens}, {closes}, {yes}, 'n-' || i, 0, '' FROM n",
        f"INSERT INTO reservations (endpoint_id, occurrence_id, starts, ends, live, wanted, reason)"
        f" {of_all} SELECT (i % {{groups}}) * {{sites}} + e.id, i + {first}, {start}, {end}, {yes},"
        f" {yes}, '' FROM n, endpoints e WHERE e.id <= {{sites}}",
    ]


def _unguard_sqlite(cursor: Any) -> list[str]:
    """Drop triggers and indexes, and return what makes them again."""
    cursor.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND (type = 'trigger'"
        " OR (type = 'index' AND tbl_name IN ('reservations', 'allocations', 'occurrences')))"
        " ORDER BY type"
    )
    found = cursor.fetchall()
    for kind, name, _ in found:
        cursor.execute(f"DROP {kind} {name}")
    return [statement for _, _, statement in found]


def _unguard_postgresql(cursor: Any) -> list[str]:
    cursor.execute("SET maintenance_work_mem = '2GB'")
    cursor.execute("ALTER TABLE allocations DISABLE TRIGGER USER")
    cursor.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'reservations' AND indexname LIKE 'ix_%'"
    )
    indexes = [statement for (statement,) in cursor.fetchall()]
    cursor.execute("ALTER TABLE reservations DROP CONSTRAINT endpoint_taken")
    cursor.execute("DROP INDEX ix_reservations_endpoint_time, ix_reservations_occurrence")
    return [
        *indexes,
        "ALTER TABLE reservations ADD CONSTRAINT endpoint_taken EXCLUDE USING gist"
        " (endpoint_id WITH =, tstzrange(starts, ends) WITH &&) WHERE (live)",
        "ALTER TABLE allocations ENABLE TRIGGER USER",
    ]
