"""The tables, and the two promises that the database itself keeps.

An endpoint is in one meeting at a time, and no instant has more ports
promised than a bridge has. On PostgreSQL the first is an exclusion
constraint; the rest are triggers, which lock the bridge's row. On SQLite,
which has one writer at a time, triggers do for both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    ALTER TABLE reservations ADD CONSTRAINT endpoint_taken
    EXCLUDE USING gist (endpoint_id WITH =, tstzrange(starts, ends) WITH &&) WHERE (live)
    """,
    # The most ports promised at any instant between two. A sum that only rises at the
    # start of an allocation has its peak at one of those starts, or at the beginning.
    """
    CREATE FUNCTION peak_of(bridge integer, since timestamptz, until timestamptz)
    RETURNS bigint LANGUAGE sql STABLE AS $$
        WITH span AS (
            SELECT greatest(starts, since) AS starts, ends, ports FROM allocations
            WHERE bridge_id = bridge AND live AND starts < until AND ends > since
        ), changes AS (
            SELECT starts AS at, ports AS change FROM span
            UNION ALL SELECT ends, -ports FROM span
        ), running AS (
            SELECT sum(change) OVER (ORDER BY at, change ROWS UNBOUNDED PRECEDING) AS taken
            FROM changes
        )
        SELECT coalesce(max(taken), 0)::bigint FROM running
    $$
    """,
    """
    CREATE FUNCTION guard_ports() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE available integer;
    BEGIN
        SELECT ports INTO available FROM bridges WHERE id = NEW.bridge_id FOR NO KEY UPDATE;
        IF peak_of(NEW.bridge_id, NEW.starts, NEW.ends) > available THEN
            RAISE EXCEPTION 'ports_taken' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER guard_ports AFTER INSERT OR UPDATE OF bridge_id, ports, starts, ends, live
    ON allocations FOR EACH ROW WHEN (NEW.live) EXECUTE FUNCTION guard_ports()
    """,
    """
    CREATE FUNCTION guard_promises() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF peak_of(NEW.id, now(), 'infinity') > NEW.ports THEN
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

ENDPOINT_TAKEN = """
CREATE TRIGGER endpoint_taken_{verb} BEFORE {event} ON reservations WHEN NEW.live BEGIN
    SELECT RAISE(ABORT, 'endpoint_taken') WHERE EXISTS (
        SELECT 1 FROM reservations
        WHERE endpoint_id = NEW.endpoint_id AND live AND id IS NOT NEW.id
        AND ends > NEW.starts AND starts < NEW.ends
    );
END
"""

# The peak of a span is at its beginning or where something starts within it.
PEAK = """
SELECT max(taken) FROM (
    SELECT (
        SELECT coalesce(sum(ports), 0) FROM allocations
        WHERE bridge_id = {bridge} AND live AND starts <= instant.at AND ends > instant.at
    ) AS taken
    FROM (
        SELECT {since} AS at
        UNION SELECT starts FROM allocations
        WHERE bridge_id = {bridge} AND live AND starts > {since} AND starts < {until}
    ) AS instant
)
"""

PORTS_TAKEN = """
CREATE TRIGGER ports_taken_{verb} AFTER {event} ON allocations WHEN NEW.live BEGIN
    SELECT RAISE(ABORT, 'ports_taken') WHERE ({peak})
        > (SELECT ports FROM bridges WHERE id = NEW.bridge_id);
END
"""

PROMISES_KEPT = """
CREATE TRIGGER ports_taken_bridge AFTER UPDATE OF ports ON bridges WHEN NEW.ports < OLD.ports BEGIN
    SELECT RAISE(ABORT, 'ports_taken') WHERE ({peak}) > NEW.ports;
END
"""


def sqlite_guards() -> list[str]:
    of_new = PEAK.format(bridge="NEW.bridge_id", since="NEW.starts", until="NEW.ends")
    from_now = PEAK.format(bridge="NEW.id", since="strftime('%Y-%m-%d %H:%M:%f000', 'now')", until="'9999-12-31'")
    return [
        ENDPOINT_TAKEN.format(verb="insert", event="INSERT"),
        ENDPOINT_TAKEN.format(verb="update", event="UPDATE OF endpoint_id, starts, ends, live"),
        PORTS_TAKEN.format(verb="insert", event="INSERT", peak=of_new),
        PORTS_TAKEN.format(verb="update", event="UPDATE OF bridge_id, ports, starts, ends, live", peak=of_new),
        PROMISES_KEPT.format(peak=from_now),
    ]


def guard() -> None:
    for statement in POSTGRESQL if on_postgresql() else sqlite_guards():
        op.get_bind().exec_driver_sql(statement)


def unguard() -> None:
    # The triggers went with their tables; PostgreSQL keeps the functions.
    if on_postgresql():
        for function in ("guard_ports", "guard_promises", "peak_of"):
            op.get_bind().exec_driver_sql(f"DROP FUNCTION {function}")


def on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade():
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("deed", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject", "at"], unique=False)

    op.create_table(
        "bridges",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("driver", sa.String(), nullable=False),
        sa.Column("ports", sa.Integer(), nullable=False),
        sa.Column("networks", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("against", sa.Integer(), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("software", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=False),
        sa.Column("ports_in_use", sa.Integer(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ports >= 0", name=op.f("ck_bridges_ports")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridges")),
        sa.UniqueConstraint("code", name=op.f("uq_bridges_code")),
    )
    op.create_index("ix_bridges_probe_at", "bridges", ["probe_at"], unique=False)

    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "organisations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("short_name", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_organisations_validity")),
        sa.ForeignKeyConstraint(["parent_id"], ["organisations.id"], name=op.f("fk_organisations_parent_id_organisations")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("code", "valid_from", name="uq_organisations_code"),
    )
    op.create_index("ix_organisations_parent", "organisations", ["parent_id"], unique=False)

    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("session_key", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failed_sign_ins", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_accounts_organisation_id_organisations")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
    )
    op.create_table(
        "bridge_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_bridge_events_bridge_id_bridges")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridge_events")),
    )
    op.create_index("ix_bridge_events_due", "bridge_events", ["due"], unique=False)

    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("networks", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("search", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('room', 'soft')", name=op.f("ck_endpoints_kind")),
        sa.CheckConstraint("seats >= 0", name=op.f("ck_endpoints_seats")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_endpoints_organisation_id_organisations")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("code", name=op.f("uq_endpoints_code")),
    )
    op.create_index("ix_endpoints_organisation", "endpoints", ["organisation_id"], unique=False)

    op.create_table(
        "gaps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_gaps_bridge_id_bridges")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gaps")),
    )
    op.create_index("ix_gaps_bridge", "gaps", ["bridge_id", "starts"], unique=False)

    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_api_tokens_account_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_idempotent_answers_account_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_answers")),
        sa.UniqueConstraint("account_id", "key", name="uq_idempotent_answers_account_key"),
    )
    op.create_table(
        "meetings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stamped", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("agenda", sa.String(), nullable=False),
        sa.Column("chair", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("host_id", sa.Integer(), nullable=False),
        sa.Column("organizer_id", sa.Integer(), nullable=False),
        sa.Column("guest_ports", sa.Integer(), nullable=False),
        sa.Column("lead_minutes", sa.Integer(), nullable=False),
        sa.Column("tail_minutes", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("search", sa.String(), nullable=False),
        sa.CheckConstraint("guest_ports >= 0", name=op.f("ck_meetings_guest_ports")),
        sa.ForeignKeyConstraint(["host_id"], ["organisations.id"], name=op.f("fk_meetings_host_id_organisations")),
        sa.ForeignKeyConstraint(["organizer_id"], ["accounts.id"], name=op.f("fk_meetings_organizer_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meetings")),
        sa.UniqueConstraint("number", name=op.f("uq_meetings_number")),
        sa.UniqueConstraint("uid", name=op.f("uq_meetings_uid")),
    )
    op.create_index("ix_meetings_host", "meetings", ["host_id"], unique=False)
    op.create_index("ix_meetings_organizer", "meetings", ["organizer_id"], unique=False)

    op.create_table(
        "attendees",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("ports", sa.Integer(), nullable=False),
        sa.Column("invited", sa.Boolean(), nullable=False),
        sa.Column("partstat", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("delegates", sa.String(), nullable=False),
        sa.Column("headcount", sa.Integer(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ports > 0", name=op.f("ck_attendees_ports")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_attendees_endpoint_id_endpoints")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_attendees_meeting_id_meetings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attendees")),
        sa.UniqueConstraint("meeting_id", "endpoint_id", name="uq_attendees_meeting_endpoint"),
    )
    op.create_index("ix_attendees_endpoint", "attendees", ["endpoint_id"], unique=False)

    op.create_table(
        "letters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stamped", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("agenda", sa.String(), nullable=False),
        sa.Column("chair", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_minutes", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_letters_meeting_id_meetings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letters")),
    )
    op.create_index("ix_letters_meeting", "letters", ["meeting_id"], unique=False)

    op.create_table(
        "occurrences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.CheckConstraint("starts < ends", name=op.f("ck_occurrences_span")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_occurrences_meeting_id_meetings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_occurrences")),
    )
    op.create_index("ix_occurrences_meeting", "occurrences", ["meeting_id"], unique=False)
    op.create_index("ix_occurrences_starts", "occurrences", ["starts"], unique=False)

    op.create_table(
        "allocations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("occurrence_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("ports", sa.Integer(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("room", sa.String(), nullable=False),
        sa.Column("open_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=False),
        sa.CheckConstraint("ports > 0", name=op.f("ck_allocations_ports")),
        sa.CheckConstraint("starts < ends", name=op.f("ck_allocations_span")),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_allocations_bridge_id_bridges")),
        sa.ForeignKeyConstraint(["occurrence_id"], ["occurrences.id"], name=op.f("fk_allocations_occurrence_id_occurrences")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocations")),
    )
    op.create_index("ix_allocations_bridge_time", "allocations", ["bridge_id", "ends", "starts"], unique=False)
    op.create_index("ix_allocations_close_at", "allocations", ["close_at"], unique=False)
    op.create_index("ix_allocations_occurrence", "allocations", ["occurrence_id"], unique=False)
    op.create_index("ix_allocations_open_at", "allocations", ["open_at"], unique=False)
    op.create_index("ix_allocations_room", "allocations", ["room"], unique=True)

    op.create_table(
        "mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("letter_id", sa.Integer(), nullable=False),
        sa.Column("attendee_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("partstat", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["attendee_id"], ["attendees.id"], name=op.f("fk_mails_attendee_id_attendees")),
        sa.ForeignKeyConstraint(["letter_id"], ["letters.id"], name=op.f("fk_mails_letter_id_letters")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("message_id", name=op.f("uq_mails_message_id")),
    )
    op.create_index("ix_mails_attendee", "mails", ["attendee_id"], unique=False)
    op.create_index("ix_mails_due", "mails", ["due"], unique=False)
    op.create_index("ix_mails_letter", "mails", ["letter_id"], unique=False)

    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("occurrence_id", sa.Integer(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.CheckConstraint("starts < ends", name=op.f("ck_reservations_span")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_reservations_endpoint_id_endpoints")),
        sa.ForeignKeyConstraint(["occurrence_id"], ["occurrences.id"], name=op.f("fk_reservations_occurrence_id_occurrences")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
    )
    op.create_index("ix_reservations_endpoint_time", "reservations", ["endpoint_id", "ends", "starts"], unique=False)
    op.create_index("ix_reservations_occurrence", "reservations", ["occurrence_id"], unique=False)

    op.create_table(
        "legs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("allocation_id", sa.Integer(), nullable=False),
        sa.Column("attendee_id", sa.Integer(), nullable=True),
        sa.Column("leg", sa.String(), nullable=False),
        sa.Column("handle", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("joined", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_source", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocations.id"], name=op.f("fk_legs_allocation_id_allocations")),
        sa.ForeignKeyConstraint(["attendee_id"], ["attendees.id"], name=op.f("fk_legs_attendee_id_attendees")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legs")),
        sa.UniqueConstraint("allocation_id", "leg", name="uq_legs_allocation_leg"),
    )
    op.create_index("ix_legs_attendee", "legs", ["attendee_id"], unique=False)
    op.create_index("ix_legs_handle", "legs", ["handle"], unique=False)

    guard()


def downgrade():
    op.drop_table("legs")
    op.drop_table("reservations")
    op.drop_table("mails")
    op.drop_table("allocations")
    op.drop_table("occurrences")
    op.drop_table("letters")
    op.drop_table("attendees")
    op.drop_table("meetings")
    op.drop_table("idempotent_answers")
    op.drop_table("api_tokens")
    op.drop_table("gaps")
    op.drop_table("endpoints")
    op.drop_table("bridge_events")
    op.drop_table("accounts")
    op.drop_table("organisations")
    op.drop_table("counters")
    op.drop_table("bridges")
    op.drop_table("audit_entries")
    unguard()
