"""The migrations make what the models say, and can be taken back."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect

from confbridge.database import Base, db


def test_the_migrations_make_exactly_what_the_models_say(app):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_all_can_be_taken_back_and_made_again(app):
    downgrade(revision="base")
    assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
    upgrade()
    assert "meetings" in inspect(db.engine).get_table_names()


OLD = [  # what a service of the first migration may hold
    "INSERT INTO organisations (id, code, name, short_name, level, valid_from)"
    " VALUES (1, 'TU', 'TU', 'TU', 'party', '2010-01-01'),"
    " (2, 'X', 'X', 'X', 'hamlet', '2010-01-01')",
    "INSERT INTO accounts (id, email, name, role, organisation_id, password_hash, session_key,"
    " language, active, failed_sign_ins)"
    " VALUES (1, 'a@b.c', 'A', 'admin', 1, '', '', '', {yes}, 0)",
    "INSERT INTO endpoints (id, code, name, organisation_id, kind, seats, address, networks,"
    " email, contact, phone, active, version, search)"
    " VALUES (1, 'E', 'E', 1, 'room', 0, '', 'tslcd', 'e@b.c', '', '', {yes}, 1, '')",
    "INSERT INTO bridges (id, code, name, driver, ports, networks, settings, secrets, draining,"
    " active, version, state, against, state_since, probe_at, software, epoch, trouble,"
    " ports_in_use) VALUES (1, 'b', 'b', 'janus', 5, 'tslcd', '{{}}', '', {no}, {yes}, 1, 'up', 0,"
    " {at}, {at}, '', '', '', 0)",
    "INSERT INTO meetings (id, uid, number, version, sequence, stamped, state, title, agenda,"
    " chair, timezone, host_id, organizer_id, guest_ports, lead_minutes, tail_minutes, reason,"
    " search)"
    " VALUES"
    " (1, 'u1', '1', 1, 0, {at}, 'scheduled', 't', '', '', 'UTC', 1, 1, 0, 15, 15, '', ''),"
    " (2, 'u2', '2', 1, 0, {at}, 'scheduled', 't', '', '', 'UTC', 2, 1, 0, 15, 15, '', '')",
    "INSERT INTO occurrences (id, meeting_id, starts, ends, state)"
    " VALUES (1, 1, {at}, {later}, 'scheduled'), (2, 2, {later}, {latest}, 'scheduled')",
    "INSERT INTO attendees (id, meeting_id, endpoint_id, role, ports, invited, partstat, comment,"
    " delegates, via) VALUES (1, 1, 1, 'main', 1, {yes}, 'ACCEPTED', '', '', '')",
    "INSERT INTO reservations (id, endpoint_id, occurrence_id, starts, ends, live) VALUES"
    " (1, 1, 1, {later}, {latest}, {no}), (2, 1, 1, {at}, {later}, {yes}),"
    " (3, 1, 2, {at}, {later}, {no}), (4, 1, 2, {later}, {latest}, {no})",
    "INSERT INTO allocations (id, bridge_id, occurrence_id, role, ports, starts, ends, live, room,"
    " tries, trouble) VALUES (1, 1, 1, 'primary', 5, {at}, {later}, {yes}, 'r', 0, '')",
]
HOURS = {"at": "08", "later": "09", "latest": "10"}


def moment(hour: str) -> str:
    text = f"'2031-03-04 {hour}:00:00.000000'"
    return text if db.engine.dialect.name == "sqlite" else f"timestamptz {text}"


def test_what_was_there_before_the_second_migration_is_kept(app):
    downgrade(revision="0001")
    words = {"yes": "true", "no": "false"} | {name: moment(at) for name, at in HOURS.items()}
    with db.engine.begin() as connection:
        for statement in OLD:
            connection.exec_driver_sql(statement.format(**words))
    upgrade()
    with db.engine.connect() as connection:
        held = connection.exec_driver_sql(
            "SELECT units, legs, opens = starts FROM allocations"
        ).all()
        assert [tuple(one) for one in held] == [(60, 5, True)]
        rows = connection.exec_driver_sql(
            "SELECT id, live, wanted FROM reservations ORDER BY id"
        ).all()
        assert [tuple(one) for one in rows] == [(2, True, True), (4, False, True)]
        meetings = connection.exec_driver_sql(
            "SELECT m.rank, m.starts = o.starts, o.original = o.starts"
            " FROM meetings m JOIN occurrences o ON o.meeting_id = m.id ORDER BY m.id"
        ).all()
        assert [tuple(one) for one in meetings] == [("party", True, True), ("commune", True, True)]
        pools = connection.exec_driver_sql("SELECT b.pool_id = p.id FROM bridges b, pools p").all()
        assert [tuple(one) for one in pools] == [(True,)]
    downgrade(revision="0001")
    with db.engine.connect() as connection:
        held = connection.exec_driver_sql("SELECT ports FROM allocations").all()
        assert [tuple(one) for one in held] == [(5,)]
