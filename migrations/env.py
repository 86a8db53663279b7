"""Runs migrations with the connection and the tables of the service."""

from __future__ import annotations

from alembic import context
from flask import current_app

extension = current_app.extensions["migrate"]
database = extension.db

with database.engine.connect() as connection:
    if connection.dialect.name == "sqlite":
        # A table is altered by making it anew, which must not look like deleting its rows.
        connection.connection.dbapi_connection.execute("PRAGMA foreign_keys = OFF")
    context.configure(
        connection=connection,
        target_metadata=database.metadata,
        compare_server_default=True,
        **extension.configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
    connection.invalidate()  # the next one checks foreign keys again
