"""What every test stands on: the app on SQLite and on a real PostgreSQL, an empty database, and the cast."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade

from forum.app import create_app
from forum.config import read_settings
from forum.database import Base, db
from tests.cast import Cast
from tests.postgres import Postgres

KINDS = ("sqlite", "postgresql")
DELETE_ALL = "".join(f'DELETE FROM "{table.name}";' for table in reversed(Base.metadata.sorted_tables))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that touches the app once for each kind of database; `kinds` names those where one will do."""
    if "kind" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("kinds")
        metafunc.parametrize("kind", only.args if only else KINDS, scope="session", indirect=True)


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of database that this test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start a real PostgreSQL for this test process."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def database_url(kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> str:
    """Return the address of a database of this kind that belongs to this test process alone."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'forum.sqlite3'}"
    server: Postgres = request.getfixturevalue("postgres")
    server.create_database("forum")
    return server.url("forum")


@pytest.fixture(scope="session")
def migrated_app(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Return one app for the whole run, its database migrated from nothing."""
    app = make_app(database_url, tmp_path_factory.mktemp("instance"))
    with app.app_context():
        upgrade()
    return app


@pytest.fixture
def app(migrated_app: Flask) -> Flask:
    """Return the app over an empty database."""
    empty(migrated_app)
    return migrated_app


@pytest.fixture
def cast(app: Flask) -> Cast:
    """Return the people of the story: an author with an essay, readers, a moderator, an admin, a stranger."""
    return Cast(app)


def make_app(database_url: str, instance: Path, **environ: str) -> Flask:
    """Build an app as its commands do, from an environment; rate limits are off unless the test says otherwise."""
    given = {
        "FORUM_DATABASE_URL": database_url,
        "FORUM_INSTANCE": str(instance),
        "FORUM_SECRET_KEY": "only for tests " * 4,
        "FORUM_SITE_URL": "http://localhost",
        "FORUM_RATE_LIMITS": "off",
    }
    app = create_app(read_settings(given | environ))
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a visitor meets the error page, so a test does
    return app


def empty(app: Flask) -> None:
    """Delete every row, children first; both kinds check the references at the end of each statement.

    The rows of the next test have the same ids and versions, which no site ever sees: what is kept goes too.
    """
    app.extensions["pages"].clear()
    with app.app_context():
        connection = db.engine.raw_connection()
        # All at once: forty statements, each on its way through the library, were the longest part of a test's start.
        if db.engine.dialect.name == "sqlite":
            connection.driver_connection.executescript(f"BEGIN IMMEDIATE; {DELETE_ALL} COMMIT;")
        else:
            connection.driver_connection.execute(DELETE_ALL)
            connection.commit()
        connection.close()


os.environ.pop("FORUM_DATABASE_URL", None)  # tests never touch the database of whoever runs them
