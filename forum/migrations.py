"""Which migration a database is at and which the program needs, without Alembic, which takes 11 MB."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Connection, column, inspect, select, table

from forum.database import db

VERSIONS = "alembic_version"
"""Where Alembic notes how far a database has come."""

LINK = re.compile(r'^(revision|down_revision) = "(\w+)"', re.MULTILINE)


def init_migrations(app: Flask) -> None:
    """Let Flask-Migrate's commands find what they need, from the first time that they ask for it."""
    app.extensions["migrate"] = _OnDemand(app)


class _OnDemand:
    """Stands where Flask-Migrate keeps its own until somebody looks into it."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        from flask_migrate import Migrate  # noqa: PLC0415  # a server that starts has 0.15 s and 11 MB less to load

        Migrate(self._app, db, str(self._app.config["MIGRATIONS"]), render_as_batch=True)
        return getattr(self._app.extensions["migrate"], name)


def migration_of(connection: Connection) -> str | None:
    """Return the migration that a database is at, or None where it has none."""
    if not inspect(connection).has_table(VERSIONS):
        return None
    number: str | None = connection.scalar(select(column("version_num")).select_from(table(VERSIONS)))
    return number


@cache
def newest_migration(folder: Path) -> str:
    """Return the last migration of this program; the files are read once, not at each question of a proxy."""
    files = (folder / "versions").glob("*.py")
    links = [link for file in files for link in LINK.findall(file.read_text("utf-8"))]
    every = {number for kind, number in links if kind == "revision"}
    newest: set[str] = every - {number for kind, number in links if kind == "down_revision"}
    return newest.pop()
