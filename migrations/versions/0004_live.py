"""Bridges with a history, rooms with their steps, live control, readiness, and events in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.Double()


def text(name: str, default: str = "") -> sa.Column:
    return sa.Column(name, sa.String(), nullable=False, server_default=default)


def whole(name: str, default: int) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=str(default))


def flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def maybe(name: str, kind: sa.types.TypeEngine = MOMENT) -> sa.Column:
    return sa.Column(name, kind, nullable=True)


def at(name: str = "at") -> sa.Column:
    return sa.Column(name, MOMENT, nullable=False)


def refers(name: str, table: str, to: str, *, nullable: bool = False) -> sa.Column:
    key = sa.ForeignKey(f"{to}.id", name=op.f(f"fk_{table}_{name}_{to}"))
    return sa.Column(name, sa.Integer(), key, nullable=nullable)


def table(name: str, *columns: sa.schema.SchemaItem) -> None:
    key = sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}"))
    op.create_table(name, sa.Column("id", sa.Integer(), nullable=False), *columns, key)


ADDED = {
    "bridges": [
        *(lambda: whole("good", 0), lambda: whole("strained", 0), lambda: flag("was_up"), lambda: whole("in_flight", 4)),
        *(lambda: maybe("certificate_until"), lambda: maybe("checked_at")),
        *(lambda: maybe("clock_off", NUMBER), lambda: maybe("took", NUMBER)),
        *(lambda: maybe("measured", sa.Integer()), lambda: maybe("load", NUMBER)),
        *(lambda: whole("most_in_use", 0), lambda: maybe("most_in_use_at")),
        *(lambda: maybe("compared_at"), lambda: maybe("marked_at"), lambda: maybe("mark_heard_at")),
        lambda: maybe("drained_at"),
    ],
    "allocations": [
        lambda: text("call"),
        *(lambda: maybe("claimed_until"), lambda: maybe("detached_at"), lambda: maybe("rescue_at")),
    ],
    "occurrences": [
        *(lambda: flag("locked"), lambda: flag("recording"), lambda: text("recording_decision")),
        *(lambda: text("dial"), lambda: maybe("watch_at")),
    ],
    "meetings": [lambda: whole("rehearsal_minutes", 0), lambda: maybe("rehearses_id", sa.Integer())],
    "legs": [
        *(lambda: maybe("picture", sa.Boolean()), lambda: maybe("sound", sa.Boolean())),
        *(lambda: flag("hand"), lambda: flag("muted"), lambda: maybe("loss", NUMBER)),
        *(lambda: maybe("delay", NUMBER), lambda: maybe("told_at")),
    ],
    "letters": [lambda: text("dial")],
    "accounts": [lambda: text("phone")],
}
INDEXES = {
    "ix_allocations_claimed_until": ("allocations", ["claimed_until"]),
    "ix_allocations_detached_at": ("allocations", ["detached_at"]),
    "ix_occurrences_watch_at": ("occurrences", ["watch_at"]),
    "ix_meetings_rehearses": ("meetings", ["rehearses_id"]),
}


def upgrade():
    for name, columns in ADDED.items():
        for column in columns:
            op.add_column(name, column())
    for name, (table_name, columns) in INDEXES.items():
        op.create_index(name, table_name, columns)
    is_open = sa.text("opened_at IS NOT NULL AND closed_at IS NULL")
    op.create_index("ix_allocations_open", "allocations", ["bridge_id"], sqlite_where=is_open, postgresql_where=is_open)
    op.execute("ALTER TABLE bridges RENAME COLUMN against TO bad")
    op.execute(f"UPDATE bridges SET was_up = {sa.true().compile(dialect=op.get_bind().dialect)}")
    histories()
    op.execute("INSERT INTO bridge_states (bridge_id, state, since, why) SELECT id, state, state_since, '' FROM bridges")
    control()
    readiness()


def histories() -> None:
    table(
        "bridge_states",
        *(refers("bridge_id", "bridge_states", "bridges"), text("state"), at("since"), text("why")),
    )
    op.create_index("ix_bridge_states_bridge", "bridge_states", ["bridge_id", "since"])
    table(
        "room_steps",
        refers("allocation_id", "room_steps", "allocations"),
        *(at(), text("step"), whole("number", 0), flag("ok"), text("said"), text("answer"), whole("took", 0)),
    )
    op.create_index("ix_room_steps_allocation", "room_steps", ["allocation_id", "id"])
    table(
        "event_streams",
        *(refers("bridge_id", "event_streams", "bridges"), text("name"), whole("number", 0), at()),
        sa.UniqueConstraint("bridge_id", "name", name="uq_event_streams_bridge_name"),
    )
    table(
        "event_keys",
        *(refers("bridge_id", "event_keys", "bridges"), text("key"), at()),
        sa.UniqueConstraint("bridge_id", "key", name="uq_event_keys_bridge_key"),
    )
    op.create_index("ix_event_keys_at", "event_keys", ["at"])


def control() -> None:
    table(
        "exclusions",
        refers("occurrence_id", "exclusions", "occurrences"),
        refers("attendee_id", "exclusions", "attendees"),
        *(at(), text("by")),
        sa.UniqueConstraint("occurrence_id", "attendee_id", name="uq_exclusions_occurrence_attendee"),
    )
    table(
        "dial_outs",
        refers("occurrence_id", "dial_outs", "occurrences"),
        refers("attendee_id", "dial_outs", "attendees"),
        *(at(), text("by"), maybe("due"), whole("tries", 0), text("trouble")),
        sa.UniqueConstraint("occurrence_id", "attendee_id", name="uq_dial_outs_occurrence_attendee"),
    )
    op.create_index("ix_dial_outs_due", "dial_outs", ["due"])
    table(
        "notices",
        *(refers("occurrence_id", "notices", "occurrences"), at(), text("by"), text("text")),
    )
    op.create_index("ix_notices_occurrence", "notices", ["occurrence_id", "id"])
    table(
        "incidents",
        *(text("kind"), text("key"), at("since"), maybe("ended"), text("detail")),
        refers("occurrence_id", "incidents", "occurrences", nullable=True),
        refers("attendee_id", "incidents", "attendees", nullable=True),
        refers("bridge_id", "incidents", "bridges", nullable=True),
        *(text("taken_by"), maybe("taken_at"), text("note")),
    )
    op.create_index("ix_incidents_open", "incidents", ["ended", "since"])
    op.create_index("ix_incidents_key", "incidents", ["key"])
    table(
        "duties",
        *(refers("account_id", "duties", "accounts"), at("starts"), at("ends")),
        sa.CheckConstraint("starts < ends", name=op.f("ck_duties_span")),
    )
    op.create_index("ix_duties_time", "duties", ["ends", "starts"])


def readiness() -> None:
    table(
        "roll_calls",
        refers("occurrence_id", "roll_calls", "occurrences"),
        refers("attendee_id", "roll_calls", "attendees"),
        *(text("state"), text("reason"), maybe("headcount", sa.Integer()), text("by"), at()),
        sa.UniqueConstraint("occurrence_id", "attendee_id", name="uq_roll_calls_occurrence_attendee"),
    )
    table(
        "sign_offs",
        refers("occurrence_id", "sign_offs", "occurrences"),
        refers("attendee_id", "sign_offs", "attendees"),
        *(text("power"), text("picture"), text("sound"), text("line"), text("account")),
        *(text("note"), text("by"), at()),
        sa.UniqueConstraint("occurrence_id", "attendee_id", name="uq_sign_offs_occurrence_attendee"),
    )
    table(
        "line_tests",
        refers("occurrence_id", "line_tests", "occurrences"),
        refers("attendee_id", "line_tests", "attendees"),
        refers("bridge_id", "line_tests", "bridges", nullable=True),
        *(at(), flag("camera"), flag("microphone"), flag("loudspeaker"), flag("looped")),
        *(maybe("loss", NUMBER), maybe("delay", NUMBER), text("detail")),
    )
    op.create_index("ix_line_tests_occurrence", "line_tests", ["occurrence_id", "attendee_id"])


def downgrade():
    for name in ("roll_calls", "line_tests", "sign_offs", "duties", "incidents", "notices", "dial_outs", "exclusions"):
        op.drop_table(name)
    for name in ("event_keys", "event_streams", "room_steps", "bridge_states"):
        op.drop_table(name)
    op.execute("ALTER TABLE bridges RENAME COLUMN bad TO against")
    op.drop_index("ix_allocations_open", "allocations")
    for name, (table_name, _) in INDEXES.items():
        op.drop_index(name, table_name)
    for name, columns in ADDED.items():
        for column in columns:
            op.drop_column(name, column().name)
