"""How Alembic reaches the database: through the application that Flask-Migrate hands over."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from forum.database import Base, UtcDateTime, Words, db, is_sqlite


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """Write our own column types as what the database stores, so that a migration stands on its own."""
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, Words):
        return "sa.String(200)"
    return False


def run() -> None:
    """Run the migrations, each in one transaction, with the engine settings that the site itself uses."""
    with db.engine.connect() as connection, without_references(connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=False,
            render_as_batch=True,
            render_item=render_item,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def without_references(connection: Connection) -> Iterator[None]:
    """Let SQLite put a table in place of one that others refer to; afterwards every reference has to hold again."""
    if not is_sqlite():
        yield
        return
    sqlite = connection.connection.driver_connection  # within a transaction the pragma does nothing
    sqlite.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        sqlite.execute("PRAGMA foreign_keys=ON")
    if broken := sqlite.execute("PRAGMA foreign_key_check").fetchall():
        raise SystemExit(f"The migration left references to rows that are not there: {broken[:5]}")


if context.is_offline_mode():
    raise SystemExit(f"Migrations of {current_app.name} run on a live database only.")
run()
