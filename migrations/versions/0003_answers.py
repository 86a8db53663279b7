"""Answers with their evidence, mail received, tasks, reminders, feeds; the state-secret mark."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)


def text(name: str, default: str = "") -> sa.Column:
    return sa.Column(name, sa.String(), nullable=False, server_default=default)


def whole(name: str, default: int) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=str(default))


def flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def maybe(name: str, kind: sa.types.TypeEngine = MOMENT) -> sa.Column:
    return sa.Column(name, kind, nullable=True)


def refers(name: str, table: str, to: str, *, nullable: bool = False) -> sa.Column:
    key = sa.ForeignKey(f"{to}.id", name=op.f(f"fk_{table}_{name}_{to}"))
    return sa.Column(name, sa.Integer(), key, nullable=nullable)


def table(name: str, *columns: sa.schema.SchemaItem) -> None:
    key = sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}"))
    op.create_table(name, sa.Column("id", sa.Integer(), nullable=False), *columns, key)


# What of an answer counts, on top of what an attendee had.
STANDING = (
    *("substitute", "substitute_state", "person", "late", "asked"),
    *("said_sequence", "said_depth", "said_stamp", "said_key", "chain"),
)


def standing() -> list[sa.Column]:
    return [
        *(text("substitute"), text("substitute_state"), text("person"), flag("late")),
        *(whole("asked", 0), whole("said_sequence", -1), whole("said_depth", 0)),
        *(maybe("said_stamp"), text("said_key"), text("chain")),
    ]


ADDED = {
    "meetings": [lambda: flag("secret")],
    "occurrences": [lambda: maybe("remind_at")],
    "attendees": [lambda: text("also"), lambda: maybe("seen_at"), lambda: maybe("away_at")],
    "endpoints": [lambda: text("recipients"), lambda: text("language", "vi")],
    "organisations": [
        lambda: maybe("remind_minutes", sa.String()),
        lambda: maybe("chase_days", sa.Integer()),
        lambda: text("office_name"),
        lambda: text("office_email"),
    ],
    "letters": [lambda: flag("secret"), lambda: text("site"), lambda: text("body")],
    "mails": [lambda: text("language", "vi"), lambda: text("delegated_from")],
}


def upgrade():
    for name, columns in ADDED.items():
        for column in columns:
            op.add_column(name, column())
    for column in standing():
        op.add_column("attendees", column)
    op.create_index("ix_occurrences_remind_at", "occurrences", ["remind_at"])
    op.create_index("ix_mails_recipient", "mails", ["recipient"])
    # What is ahead is looked at at once, and what was asked before no longer counts.
    about = "(SELECT m.{} FROM meetings m WHERE m.id = {}.meeting_id)"
    op.execute(f"UPDATE occurrences SET remind_at = {about.format('stamped', 'occurrences')}")
    op.execute(f"UPDATE attendees SET asked = {about.format('sequence', 'attendees')}")
    with op.batch_alter_table("letters") as batch:
        batch.alter_column("meeting_id", existing_type=sa.Integer(), nullable=True)
    answers()
    inbound()
    chasing()


def answers() -> None:
    table(
        "occurrence_answers",
        refers("attendee_id", "occurrence_answers", "attendees"),
        refers("occurrence_id", "occurrence_answers", "occurrences"),
        *(text("partstat"), text("comment"), text("delegates"), maybe("headcount", sa.Integer())),
        *(text("via"), maybe("answered_at"), *standing()),
        sa.UniqueConstraint("occurrence_id", "attendee_id", name="uq_occurrence_answers_occurrence_attendee"),
    )
    op.create_index("ix_occurrence_answers_attendee", "occurrence_answers", ["attendee_id"])
    table(
        "replies",
        refers("meeting_id", "replies", "meetings"),
        refers("attendee_id", "replies", "attendees", nullable=True),
        refers("occurrence_id", "replies", "occurrences", nullable=True),
        *(text("kind"), text("state"), text("why"), text("partstat"), text("comment")),
        *(text("delegates"), maybe("headcount", sa.Integer()), text("substitute"), text("substitute_email")),
        *(maybe("starts"), maybe("ends"), sa.Column("sequence", sa.Integer(), nullable=False)),
        whole("depth", 0),
        *(sa.Column("stamped", MOMENT, nullable=False), text("key"), text("via"), text("person")),
        *(text("message_id"), text("authentication"), text("request_status")),
        *(sa.Column("at", MOMENT, nullable=False), flag("late"), maybe("decided_at"), text("decided_by")),
        sa.UniqueConstraint("key", name=op.f("uq_replies_key")),
    )
    op.create_index("ix_replies_meeting", "replies", ["meeting_id", "state"])
    op.create_index("ix_replies_attendee", "replies", ["attendee_id", "at"])
    op.create_index("ix_replies_state", "replies", ["state", "at"])


def inbound() -> None:
    op.create_table(
        "mailboxes",
        sa.Column("name", sa.String(), nullable=False),
        *(whole("uidvalidity", 0), whole("last_uid", 0)),
        *(sa.Column("lease", MOMENT, nullable=False), maybe("read_at"), text("trouble")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mailboxes")),
    )
    table(
        "received",
        *(text("mailbox"), text("place"), text("message_id"), text("sender"), text("subject")),
        *(sa.Column("at", MOMENT, nullable=False), text("outcome"), text("detail")),
        refers("meeting_id", "received", "meetings", nullable=True),
        sa.UniqueConstraint("mailbox", "place", name="uq_received_mailbox_place"),
    )
    op.create_index("ix_received_message_id", "received", ["message_id"])
    op.create_index("ix_received_outcome", "received", ["outcome", "id"])


def chasing() -> None:
    table(
        "tasks",
        refers("meeting_id", "tasks", "meetings"),
        refers("attendee_id", "tasks", "attendees"),
        refers("occurrence_id", "tasks", "occurrences", nullable=True),
        *(text("kind"), text("detail"), sa.Column("at", MOMENT, nullable=False)),
        *(maybe("done_at"), text("done_by")),
    )
    op.create_index("ix_tasks_meeting", "tasks", ["meeting_id"])
    op.create_index("ix_tasks_open", "tasks", ["done_at", "at"])
    table(
        "reminders",
        refers("occurrence_id", "reminders", "occurrences"),
        refers("attendee_id", "reminders", "attendees"),
        *(text("step"), sa.Column("starts", MOMENT, nullable=False)),
        sa.UniqueConstraint("occurrence_id", "attendee_id", "step", name="uq_reminders_step"),
    )
    table(
        "feeds",
        refers("endpoint_id", "feeds", "endpoints", nullable=True),
        refers("organisation_id", "feeds", "organisations", nullable=True),
        *(sa.Column("made_at", MOMENT, nullable=False), text("made_by"), maybe("revoked_at")),
        sa.CheckConstraint("(endpoint_id IS NULL) <> (organisation_id IS NULL)", name=op.f("ck_feeds_of_one")),
    )
    op.create_index("ix_feeds_endpoint", "feeds", ["endpoint_id"])
    op.create_index("ix_feeds_organisation", "feeds", ["organisation_id"])


def downgrade():
    for name in ("feeds", "reminders", "tasks", "received", "mailboxes", "replies", "occurrence_answers"):
        op.drop_table(name)
    op.drop_index("ix_mails_recipient", "mails")
    op.drop_index("ix_occurrences_remind_at", "occurrences")
    op.execute("DELETE FROM mails WHERE letter_id IN (SELECT id FROM letters WHERE meeting_id IS NULL)")
    op.execute("DELETE FROM letters WHERE meeting_id IS NULL")
    with op.batch_alter_table("letters") as batch:
        batch.alter_column("meeting_id", existing_type=sa.Integer(), nullable=False)
    for column in STANDING:
        op.drop_column("attendees", column)
    for name, columns in ADDED.items():
        for column in columns:
            op.drop_column(name, column().name)
