"""A whole site goes from SQLite into a real PostgreSQL: every row, after a kill too, and what differs is found."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask_migrate import upgrade

from forum import clock
from forum.cli import forum
from forum.database import db
from forum.demo.story import tell_story
from forum.outbox.suppression import Suppression, Why
from tests.conftest import make_app
from tests.postgres import Postgres

ADDRESSES = [
    f"{name}@gone.example" for name in ("Zoe", "adam", "Émile", "zoe", "Łukasz", "1st", "_x", "émile")
]
"""In another order in most languages than by their bytes."""

IN_SMALL_PIECES = "import forum.archive.copying as it; it.PIECE = 4; from forum.cli import main; main()"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an SQLite database: the demo, a comment that answers a newer one, a few rows whose keys are words."""
    folder = tmp_path_factory.mktemp("story")
    app = make_app(f"sqlite:///{folder / 'forum.sqlite3'}", folder)
    with app.app_context():
        upgrade()
        tell_story()
        for address in ADDRESSES:
            db.session.add(Suppression(address=address, why=Why.BOUNCED, created_at=clock.now()))
        db.session.commit()
        db.engine.dispose()
    with closing(sqlite3.connect(folder / "forum.sqlite3")) as rows:
        rows.execute(
            "UPDATE comment SET answers_id = (SELECT max(id) FROM comment) WHERE id = (SELECT min(id) FROM comment)"
        )
        rows.commit()
    return folder / "forum.sqlite3"


@pytest.fixture
def source(story: Path, tmp_path: Path) -> Path:
    """Return a copy of the story that a test may change."""
    return Path(shutil.copy(story, tmp_path / "forum.sqlite3"))


@pytest.fixture(scope="module")
def migrated(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a migrated database, for others to be copies of."""
    postgres.create_database("migrated")
    with make_app(postgres.url("migrated"), tmp_path_factory.mktemp("migrated")).app_context():
        upgrade()
        db.engine.dispose()
    return "migrated"


@pytest.fixture
def target(postgres: Postgres, migrated: str) -> Iterator[str]:
    """Make a migrated database without rows for one copy."""
    postgres.create_database("copy", template=migrated)
    yield postgres.url("copy")
    postgres.drop_database("copy")


def test_every_row_is_copied_and_new_ones_are_numbered_on(source: Path, postgres: Postgres) -> None:
    postgres.create_database("new")
    target = postgres.url("new")
    told = copy(source, target)
    assert told.exit_code == 0, told.output
    assert "rows are there, each compared" in told.output
    with closing(sqlite3.connect(source)) as here, connected(target) as there:
        for question in (
            "SELECT count(*), sum(id), sum(length(source)) FROM comment_revision",
            "SELECT id, answers_id FROM comment WHERE answers_id > id",
            'SELECT name, role, created_at FROM "user" WHERE id = 1',
        ):
            row, copied = here.execute(question).fetchone(), there.execute(question).fetchone()
            assert copied is not None
            assert [str(value)[:19] for value in row] == [str(value)[:19] for value in copied]
        (highest,) = there.execute("SELECT max(id) FROM comment").fetchone() or (0,)
        (following,) = there.execute(
            "SELECT nextval(pg_get_serial_sequence('comment', 'id'))"
        ).fetchone() or (0,)
        assert following == highest + 1
    assert make_app(target, source.parent / "instance").test_client().get("/").status_code == 200

    with connected(target) as there:
        there.execute("UPDATE essay SET thread_version = thread_version + 1 WHERE id = 1")
    told = copy(source, target)
    assert told.exit_code == 1
    assert "The target holds something else" in told.output
    assert "first essay 1: thread_version differs." in told.output


def test_a_copy_that_was_killed_goes_on_where_it_was(source: Path, target: str, tmp_path: Path) -> None:
    with connected(target) as blocking, connected(target) as looking:
        looking.autocommit = True
        # Whoever adds a row of the same key has to wait for the end of this transaction.
        seventh = sorted(ADDRESSES, key=str.encode)[6]
        blocking.execute("INSERT INTO suppression VALUES (%s, 'by-hand', '', NULL, now())", [seventh])
        words = [
            sys.executable,
            "-c",
            IN_SMALL_PIECES,
            "copy",
            "--from",
            f"sqlite:///{source}",
            "--to",
            target,
        ]
        killed = subprocess.Popen(words, env=os.environ | environment(tmp_path), stderr=subprocess.DEVNULL)
        wait_until(lambda: looking.execute("SELECT count(*) FROM suppression").fetchone() == (4,))
        assert looking.execute("SELECT count(*) FROM comment").fetchone() == (0,)
        killed.kill()
        killed.wait()
        blocking.rollback()
    told = copy(source, target)
    assert told.exit_code == 0, told.output


def test_a_row_that_is_changed_on_its_way_is_found_and_named(source: Path, target: str) -> None:
    with connected(target) as there:
        there.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.source := NEW.source || ' '; RETURN NEW; END $$"
        )
        there.execute(
            "CREATE TRIGGER spoil BEFORE INSERT ON comment_revision FOR EACH ROW WHEN (NEW.id = 3) "
            "EXECUTE FUNCTION spoil()"
        )
    told = copy(source, target)
    assert told.exit_code == 1
    assert "comment_revision 3: source differs." in told.output
    assert "1 row is not the same in both." in told.output


def test_it_begins_only_where_nothing_can_change_or_be_overwritten(source: Path, target: str) -> None:
    with closing(sqlite3.connect(source)) as site:
        site.execute("SELECT * FROM essay").fetchone()
        assert "Stop the site and its workers" in copy(source, target).output
    with connected(target) as there:
        assert there.execute('SELECT count(*) FROM "user"').fetchone() == (0,)
        there.execute("UPDATE alembic_version SET version_num = '0001'")
        there.execute("INSERT INTO setting (name, value) VALUES ('tagline', '\"x\"')")
    assert "The target has rows of another version" in copy(source, target).output
    assert "has to be an SQLite database that is there" in copy(source.with_name("none"), target).output
    assert "has to be a PostgreSQL database" in copy(source, f"sqlite:///{source}").output


def copy(source: Path, target: str) -> Result:
    """Run the command as the shell does."""
    words = ["copy", "--from", f"sqlite:///{source}", "--to", target]
    return CliRunner().invoke(forum, words, env=environment(source.parent))


def environment(folder: Path) -> dict[str, str]:
    return {"FORUM_INSTANCE": str(folder / "instance"), "FORUM_SITE_URL": "http://localhost"}


def connected(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""))


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
