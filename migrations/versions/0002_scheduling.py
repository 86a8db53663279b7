"""Series, drafts and holds, ranks, maintenance, stand-by; ports counted in twelfths.

Every guard is made anew: capacity now counts maintenance of a bridge too, and
no reservation lasts longer than a day and no allocation longer than two, so
that a look-up of what overlaps never reads further back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"

EPOCH = sa.text("'1970-01-01 00:00:00.000000'")
MOMENT = sa.DateTime(timezone=True)
WEIGHTS = {"emergency": 100, "central": 90, "party": 80, "province": 70, "department": 50, "district": 40, "commune": 30}

DROP_POSTGRESQL = [
    "DROP TRIGGER guard_ports ON allocations",
    "DROP TRIGGER guard_promises ON bridges",
    "DROP FUNCTION guard_ports",
    "DROP FUNCTION guard_promises",
    "DROP FUNCTION peak_of",
]

PEAK_POSTGRESQL = """
    CREATE FUNCTION peak_of(bridge integer, since timestamptz, until timestamptz)
    RETURNS bigint LANGUAGE sql STABLE AS $$
        WITH span AS (
            {spans}
        ), changes AS (
            SELECT starts AS at, taken AS change FROM span
            UNION ALL SELECT ends, -taken FROM span
        ), running AS (
            SELECT sum(change) OVER (ORDER BY at, change ROWS UNBOUNDED PRECEDING) AS level
            FROM changes
        )
        SELECT coalesce(max(level), 0)::bigint FROM running
    $$
"""
ALLOCATED = """
            SELECT greatest(starts, since) AS starts, ends, {column} AS taken FROM allocations
            WHERE bridge_id = bridge AND live AND starts < until AND ends > since
"""
# A block takes what it leaves too little of: the rest of the bridge's ports.
BLOCKED = """
            AND ends <= until + interval '2 days'
            UNION ALL
            SELECT greatest(b.starts, since), b.ends, greatest(0, r.ports - b.ports_left) * 12
            FROM bridge_blocks b JOIN bridges r ON r.id = b.bridge_id
            WHERE b.bridge_id = bridge AND b.starts < until AND b.ends > since
"""

GUARDS_POSTGRESQL = [
    """
    CREATE FUNCTION guard_ports() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE available integer;
    BEGIN
        SELECT ports INTO available FROM bridges WHERE id = NEW.bridge_id FOR NO KEY UPDATE;
        IF peak_of(NEW.bridge_id, NEW.starts, NEW.ends) > available * {factor} THEN
            RAISE EXCEPTION 'ports_taken' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER guard_ports AFTER INSERT OR UPDATE OF bridge_id, {column}, starts, ends, live
    ON allocations FOR EACH ROW WHEN (NEW.live) EXECUTE FUNCTION guard_ports()
    """,
    """
    CREATE FUNCTION guard_promises() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF peak_of(NEW.id, now(), 'infinity') > NEW.ports * {factor} THEN
            RAISE EXCEPTION 'ports_taken' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER guard_promises AFTER UPDATE OF ports ON bridges
    FOR EACH ROW WHEN (NEW.ports < OLD.ports) EXECUTE FUNCTION guard_promises()
    """,
]
NEW_POSTGRESQL = [
    """
    CREATE TRIGGER guard_blocks AFTER INSERT OR UPDATE OF bridge_id, ports_left, starts, ends
    ON bridge_blocks FOR EACH ROW EXECUTE FUNCTION guard_ports()
    """,
    """
    ALTER TABLE bridge_blocks ADD CONSTRAINT bridge_blocked
    EXCLUDE USING gist (bridge_id WITH =, tstzrange(starts, ends) WITH &&)
    """,
    "ALTER TABLE reservations ADD CONSTRAINT too_long CHECK (ends <= starts + interval '1 day')",
    "ALTER TABLE allocations ADD CONSTRAINT too_long CHECK (ends <= starts + interval '2 days')",
]

TRIGGERS_SQLITE = ["endpoint_taken_insert", "endpoint_taken_update", "ports_taken_insert", "ports_taken_update", "ports_taken_bridge"]
NEW_TRIGGERS_SQLITE = ["ports_taken_block_insert", "ports_taken_block_update", "bridge_blocked_insert", "bridge_blocked_update"]

ENDPOINT_TAKEN = """
CREATE TRIGGER endpoint_taken_{verb} BEFORE {event} ON reservations WHEN NEW.live BEGIN
    SELECT RAISE(ABORT, 'too_long') WHERE julianday(NEW.ends) - julianday(NEW.starts) > 1.00001;
    SELECT RAISE(ABORT, 'endpoint_taken') WHERE EXISTS (
        SELECT 1 FROM reservations
        WHERE endpoint_id = NEW.endpoint_id AND live AND id IS NOT NEW.id
        AND ends > NEW.starts AND ends < datetime(NEW.ends, '+2 days') AND starts < NEW.ends
    );
END
"""
# The peak of a span is at its beginning or where something starts within it.
PEAK = """
SELECT max(taken) FROM (
    SELECT (
        SELECT coalesce(sum(units), 0) FROM allocations
        WHERE bridge_id = {bridge} AND live AND starts <= instant.at
        AND ends > instant.at AND ends < datetime(instant.at, '+3 days')
    ) + (
        SELECT coalesce(sum(max(0, r.ports - b.ports_left) * 12), 0)
        FROM bridge_blocks b JOIN bridges r ON r.id = b.bridge_id
        WHERE b.bridge_id = {bridge} AND b.starts <= instant.at AND b.ends > instant.at
    ) AS taken
    FROM (
        SELECT {since} AS at
        UNION SELECT starts FROM allocations
        WHERE bridge_id = {bridge} AND live AND starts > {since} AND starts < {until}
        AND ends > {since} AND ends < datetime({until}, '+3 days')
        UNION SELECT starts FROM bridge_blocks
        WHERE bridge_id = {bridge} AND starts > {since} AND starts < {until}
    ) AS instant
)
"""
PORTS_TAKEN = """
CREATE TRIGGER ports_taken_{verb} AFTER {event} {when} BEGIN
    SELECT RAISE(ABORT, 'ports_taken') WHERE ({peak})
        > (SELECT ports * 12 FROM bridges WHERE id = NEW.bridge_id);
END
"""
PROMISES_KEPT = """
CREATE TRIGGER ports_taken_bridge AFTER UPDATE OF ports ON bridges WHEN NEW.ports < OLD.ports BEGIN
    SELECT RAISE(ABORT, 'ports_taken') WHERE ({peak}) > NEW.ports * 12;
END
"""
TOO_LONG = """
CREATE TRIGGER too_long_{verb} BEFORE {event} ON allocations WHEN NEW.live BEGIN
    SELECT RAISE(ABORT, 'too_long') WHERE julianday(NEW.ends) - julianday(NEW.starts) > 2.00001;
END
"""
BRIDGE_BLOCKED = """
CREATE TRIGGER bridge_blocked_{verb} BEFORE {event} ON bridge_blocks BEGIN
    SELECT RAISE(ABORT, 'bridge_blocked') WHERE EXISTS (
        SELECT 1 FROM bridge_blocks
        WHERE bridge_id = NEW.bridge_id AND id IS NOT NEW.id
        AND ends > NEW.starts AND starts < NEW.ends
    );
END
"""


def guards_sqlite() -> list[str]:
    of_new = PEAK.format(bridge="NEW.bridge_id", since="NEW.starts", until="NEW.ends")
    from_now = PEAK.format(bridge="NEW.id", since="strftime('%Y-%m-%d %H:%M:%f000', 'now')", until="'9000-01-01'")
    moved = "UPDATE OF bridge_id, units, starts, ends, live ON allocations"
    blocked = "UPDATE OF bridge_id, ports_left, starts, ends ON bridge_blocks"
    live = "WHEN NEW.live"
    return [
        ENDPOINT_TAKEN.format(verb="insert", event="INSERT"),
        ENDPOINT_TAKEN.format(verb="update", event="UPDATE OF endpoint_id, starts, ends, live"),
        PORTS_TAKEN.format(verb="insert", event="INSERT ON allocations", when=live, peak=of_new),
        PORTS_TAKEN.format(verb="update", event=moved, when=live, peak=of_new),
        PORTS_TAKEN.format(verb="block_insert", event="INSERT ON bridge_blocks", when="", peak=of_new),
        PORTS_TAKEN.format(verb="block_update", event=blocked, when="", peak=of_new),
        PROMISES_KEPT.format(peak=from_now),
        TOO_LONG.format(verb="insert", event="INSERT"),
        TOO_LONG.format(verb="update", event="UPDATE OF starts, ends, live"),
        BRIDGE_BLOCKED.format(verb="insert", event="INSERT"),
        BRIDGE_BLOCKED.format(verb="update", event="UPDATE OF bridge_id, starts, ends"),
    ]


def run(statements: list[str]) -> None:
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def added(table: str, columns: list[tuple[sa.Column, str]]) -> None:
    """Add columns that may not be null: `fill` is SQL for what the rows there are get."""
    with op.batch_alter_table(table) as batch:
        for column, _ in columns:
            batch.add_column(column)
    for column, fill in columns:
        if fill:
            op.get_bind().exec_driver_sql(f"UPDATE {table} SET {column.name} = {fill}")
    with op.batch_alter_table(table) as batch:
        for column, _ in columns:
            if column.server_default is not None:
                batch.alter_column(column.name, existing_type=column.type, nullable=False, server_default=None)


def text(name: str, default: str = "") -> tuple[sa.Column, str]:
    return sa.Column(name, sa.String(), nullable=False, server_default=default), ""


def flag(name: str, *, default: bool) -> tuple[sa.Column, str]:
    given = sa.true() if default else sa.false()
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=given), ""


def number(name: str, default: int) -> tuple[sa.Column, str]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=str(default)), ""


def moment(name: str, fill: str) -> tuple[sa.Column, str]:
    return sa.Column(name, MOMENT, nullable=False, server_default=EPOCH), fill


def maybe(name: str) -> tuple[sa.Column, str]:
    return sa.Column(name, MOMENT, nullable=True), ""


def upgrade():
    if on_postgresql():
        run(DROP_POSTGRESQL)
    else:
        run([f"DROP TRIGGER {name}" for name in TRIGGERS_SQLITE])
    new_tables()
    changed_bridges()
    changed_meetings()
    changed_mail()
    if on_postgresql():
        spans = ALLOCATED.format(column="units") + BLOCKED
        run([PEAK_POSTGRESQL.format(spans=spans)])
        run([one.format(factor=12, column="units") for one in GUARDS_POSTGRESQL])
        run(NEW_POSTGRESQL)
    else:
        run(guards_sqlite())


def new_tables() -> None:
    ranks = op.create_table(
        "ranks",
        sa.Column("rank", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("rank", name=op.f("pk_ranks")),
    )
    op.bulk_insert(ranks, [{"rank": rank, "weight": weight} for rank, weight in WEIGHTS.items()])
    op.create_table(
        "decided_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("worked", sa.Boolean(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_decided_days")),
    )
    pools = op.create_table(
        "pools",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("survives_loss", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pools")),
        sa.UniqueConstraint("code", name=op.f("uq_pools_code")),
    )
    op.bulk_insert(pools, [{"code": "chung", "name": "Dùng chung", "survives_loss": False, "version": 1}])
    op.create_table(
        "bridge_blocks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("ports_left", sa.Integer(), nullable=False),
        sa.Column("starts", MOMENT, nullable=False),
        sa.Column("ends", MOMENT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.CheckConstraint("ports_left >= 0", name=op.f("ck_bridge_blocks_ports_left")),
        sa.CheckConstraint("starts < ends", name=op.f("ck_bridge_blocks_span")),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_bridge_blocks_bridge_id_bridges")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridge_blocks")),
    )
    op.create_index("ix_bridge_blocks_bridge_time", "bridge_blocks", ["bridge_id", "starts"])
    op.create_table(
        "exdates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("starts", MOMENT, nullable=False),
        sa.Column("missed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_exdates_meeting_id_meetings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exdates")),
    )
    op.create_index("ix_exdates_meeting", "exdates", ["meeting_id"])
    op.create_table(
        "offers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("occurrence_id", sa.Integer(), nullable=False),
        sa.Column("starts", MOMENT, nullable=False),
        sa.Column("ends", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["occurrence_id"], ["occurrences.id"], name=op.f("fk_offers_occurrence_id_occurrences")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
    )
    op.create_index("ix_offers_occurrence", "offers", ["occurrence_id"])


def changed_bridges() -> None:
    added(
        "bridges",
        [
            text("kinds", "room soft"),
            number("pool_id", 1),
            text("failure_domain"),
            number("head_room", 0),
            number("rooms_per_minute", 30),
        ],
    )
    with op.batch_alter_table("bridges") as batch:
        batch.create_foreign_key(op.f("fk_bridges_pool_id_pools"), "pools", ["pool_id"], ["id"])
        batch.create_check_constraint(op.f("ck_bridges_head_room"), "head_room >= 0 AND head_room < 100")
        batch.create_check_constraint(op.f("ck_bridges_rooms_per_minute"), "rooms_per_minute > 0")
        batch.create_index("ix_bridges_pool", ["pool_id"])
    with op.batch_alter_table("allocations") as batch:
        batch.drop_constraint(op.f("ck_allocations_ports"), type_="check")
        batch.alter_column("ports", new_column_name="units", existing_type=sa.Integer(), existing_nullable=False)
    # Until now every leg was one port.
    added("allocations", [(number("legs", 1)[0], "units"), moment("opens", "starts")])
    run(["UPDATE allocations SET units = units * 12"])
    with op.batch_alter_table("allocations") as batch:
        batch.create_check_constraint(op.f("ck_allocations_ports"), "units > 0")
    added("endpoints", [text("quality", "hd")])


def changed_meetings() -> None:
    first = "(SELECT min(o.{column}) FROM occurrences o WHERE o.meeting_id = meetings.id)"
    level = "(SELECT o.level FROM organisations o WHERE o.id = meetings.host_id)"
    rank = sa.Column("rank", sa.String(), nullable=False, server_default="commune")
    known = ", ".join(f"'{one}'" for one in WEIGHTS)
    added(
        "meetings",
        [
            (rank, f"CASE WHEN {level} IN ({known}) THEN {level} ELSE 'commune' END"),
            moment("starts", first.format(column="starts")),
            moment("ends", first.format(column="ends")),
            text("rrule"),
            (sa.Column("related_id", sa.Integer(), nullable=True), ""),
            text("network"),
            text("only_bridge"),
            flag("standby", default=False),
            flag("may_cascade", default=True),
            flag("gives_back", default=True),
            text("leader_reason"),
            maybe("waiting_since"),
            maybe("check_at"),
        ],
    )
    with op.batch_alter_table("meetings") as batch:
        batch.create_foreign_key(op.f("fk_meetings_related_id_meetings"), "meetings", ["related_id"], ["id"])
        batch.create_check_constraint(op.f("ck_meetings_span"), "starts < ends")
        batch.create_index("ix_meetings_check_at", ["check_at"])
    added(
        "occurrences",
        [
            moment("original", "starts"),
            text("reason"),
            text("chair_key"),
            maybe("hold_until"),
            (sa.Column("displaced_by_id", sa.Integer(), nullable=True), ""),
        ],
    )
    with op.batch_alter_table("occurrences") as batch:
        batch.create_foreign_key(op.f("fk_occurrences_displaced_by_id_occurrences"), "occurrences", ["displaced_by_id"], ["id"])
        batch.create_index("ix_occurrences_chair_time", ["chair_key", "ends", "starts"])
        batch.create_index("ix_occurrences_hold_until", ["hold_until"])
        batch.create_index("ix_occurrences_displaced_by", ["displaced_by_id"])
    added("attendees", [text("quality", "hd"), flag("everywhere", default=True)])
    # One row for an endpoint and an occurrence: what was given up is kept only if it is the last.
    run(
        [
            "DELETE FROM reservations WHERE NOT live AND EXISTS (SELECT 1 FROM reservations r"
            " WHERE r.endpoint_id = reservations.endpoint_id AND r.occurrence_id = reservations.occurrence_id"
            " AND r.id <> reservations.id AND (r.live OR r.id > reservations.id))"
        ]
    )
    added("reservations", [flag("wanted", default=True), text("reason")])
    op.drop_index("ix_reservations_occurrence", "reservations")
    with op.batch_alter_table("reservations") as batch:
        batch.alter_column("occurrence_id", existing_type=sa.Integer(), nullable=True)
        batch.create_index("ix_reservations_occurrence", ["occurrence_id", "endpoint_id"], unique=True)


def changed_mail() -> None:
    added(
        "letters",
        [
            (sa.Column("occurrence_id", sa.Integer(), nullable=True), ""),
            maybe("original"),
            text("rrule"),
            text("exdates"),
            text("related_to"),
            text("offers"),
            maybe("until"),
        ],
    )
    with op.batch_alter_table("letters") as batch:
        batch.create_foreign_key(op.f("fk_letters_occurrence_id_occurrences"), "occurrences", ["occurrence_id"], ["id"])
    added("mails", [text("exdates")])
    with op.batch_alter_table("mails") as batch:
        batch.alter_column("attendee_id", existing_type=sa.Integer(), nullable=True)


def downgrade():
    if on_postgresql():
        run(
            [
                "DROP TRIGGER guard_ports ON allocations",
                "DROP TRIGGER guard_promises ON bridges",
                "DROP TRIGGER guard_blocks ON bridge_blocks",
                "ALTER TABLE reservations DROP CONSTRAINT too_long",
                "ALTER TABLE allocations DROP CONSTRAINT too_long",
                "DROP FUNCTION guard_ports",
                "DROP FUNCTION guard_promises",
                "DROP FUNCTION peak_of",
            ]
        )
    else:
        names = [*TRIGGERS_SQLITE, *NEW_TRIGGERS_SQLITE, "too_long_insert", "too_long_update"]
        run([f"DROP TRIGGER {name}" for name in names])
    run(["DELETE FROM mails WHERE attendee_id IS NULL", "DELETE FROM reservations WHERE occurrence_id IS NULL"])
    with op.batch_alter_table("mails") as batch:
        batch.drop_column("exdates")
        batch.alter_column("attendee_id", existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table("letters") as batch:
        batch.drop_constraint(op.f("fk_letters_occurrence_id_occurrences"), type_="foreignkey")
        for name in ("occurrence_id", "original", "rrule", "exdates", "related_to", "offers", "until"):
            batch.drop_column(name)
    op.drop_table("offers")
    op.drop_table("exdates")
    with op.batch_alter_table("reservations") as batch:
        batch.drop_index("ix_reservations_occurrence")
        batch.alter_column("occurrence_id", existing_type=sa.Integer(), nullable=False)
        batch.drop_column("wanted")
        batch.drop_column("reason")
        batch.create_index("ix_reservations_occurrence", ["occurrence_id"])
    with op.batch_alter_table("attendees") as batch:
        batch.drop_column("quality")
        batch.drop_column("everywhere")
    with op.batch_alter_table("occurrences") as batch:
        for name in ("ix_occurrences_chair_time", "ix_occurrences_hold_until", "ix_occurrences_displaced_by"):
            batch.drop_index(name)
        batch.drop_constraint(op.f("fk_occurrences_displaced_by_id_occurrences"), type_="foreignkey")
        for name in ("original", "reason", "chair_key", "hold_until", "displaced_by_id"):
            batch.drop_column(name)
    with op.batch_alter_table("meetings") as batch:
        batch.drop_index("ix_meetings_check_at")
        batch.drop_constraint(op.f("ck_meetings_span"), type_="check")
        batch.drop_constraint(op.f("fk_meetings_related_id_meetings"), type_="foreignkey")
        for name in (
            *("rank", "starts", "ends", "rrule", "related_id", "network", "only_bridge", "standby", "may_cascade"),
            *("gives_back", "leader_reason", "waiting_since", "check_at"),
        ):
            batch.drop_column(name)
    with op.batch_alter_table("endpoints") as batch:
        batch.drop_column("quality")
    run(["UPDATE allocations SET units = (units + 11) / 12"])
    with op.batch_alter_table("allocations") as batch:
        batch.drop_constraint(op.f("ck_allocations_ports"), type_="check")
        batch.drop_column("legs")
        batch.drop_column("opens")
        batch.alter_column("units", new_column_name="ports", existing_type=sa.Integer(), existing_nullable=False)
    with op.batch_alter_table("allocations") as batch:
        batch.create_check_constraint(op.f("ck_allocations_ports"), "ports > 0")
    with op.batch_alter_table("bridges") as batch:
        batch.drop_index("ix_bridges_pool")
        batch.drop_constraint(op.f("ck_bridges_head_room"), type_="check")
        batch.drop_constraint(op.f("ck_bridges_rooms_per_minute"), type_="check")
        batch.drop_constraint(op.f("fk_bridges_pool_id_pools"), type_="foreignkey")
        for name in ("kinds", "pool_id", "failure_domain", "head_room", "rooms_per_minute"):
            batch.drop_column(name)
    for table in ("bridge_blocks", "pools", "decided_days", "ranks"):
        op.drop_table(table)
    old_guards()


def old_guards() -> None:
    """Put the guards of the first migration back; who holds what has kept its own."""
    first = context.script.get_revision("0001").module
    run(first.POSTGRESQL[2:] if on_postgresql() else first.sqlite_guards())
