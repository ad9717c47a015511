"""The mark of a SQLite database changes with every commit of anybody; what nobody wrote to is not read again."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import bindparam, create_engine, text

from forum.rawreads import RawReads, RawStatement
from forum.walindex import WalIndex

pytestmark = pytest.mark.kinds("sqlite")

WRITE = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute("UPDATE one SET value = value + 1")
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database with one value, which the tests' own connections may change."""
    path = tmp_path / "one.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE one (value INTEGER)")
    connection.execute("INSERT INTO one VALUES (1)")
    return path


def test_a_commit_of_another_process_changes_the_mark_before_it_returns(database: Path) -> None:
    index = WalIndex(database)
    mark = index.mark()
    subprocess.run([sys.executable, "-c", WRITE, str(database)], check=True)
    assert index.mark() != mark


def test_nothing_but_a_commit_changes_the_mark(database: Path) -> None:
    index, other = WalIndex(database), sqlite3.connect(database, isolation_level=None)
    mark = index.mark()
    other.execute("SELECT * FROM one").fetchall()
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE one SET value = 9")
    assert index.mark() == mark  # nobody sees it yet
    other.execute("ROLLBACK")
    assert index.mark() == mark


def test_rows_are_read_again_after_every_commit_also_when_the_log_begins_anew(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    statement = RawStatement(
        text("SELECT value FROM one WHERE value > :least").bindparams(bindparam("least")), engine
    )
    reads, other = RawReads(engine), sqlite3.connect(database, isolation_level=None)
    assert reads.rows(statement, least=0) == [(1,)]
    for value in range(2, 6):
        other.execute("UPDATE one SET value = ?", [value])
        assert reads.rows(statement, least=0) == [(value,)]
        assert reads.rows(statement, least=value) == []
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert reads.rows(statement, least=0) == [(value,)]
    engine.dispose()


def test_the_database_keeps_its_index_while_the_mark_is_watched(database: Path) -> None:
    index = WalIndex(database)
    other = sqlite3.connect(database, isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("PRAGMA journal_mode=DELETE")
    other.close()
    mark = index.mark()
    subprocess.run([sys.executable, "-c", WRITE, str(database)], check=True)
    assert index.mark() != mark


def test_the_index_is_opened_once_however_many_come_first(tmp_path: Path) -> None:
    # A second file on it would take all of SQLite's locks away when it is closed.
    for number in range(20):
        path = tmp_path / f"{number}.sqlite3"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE one (value INTEGER)")
        together = threading.Barrier(8)

        def first(path: Path = path, together: threading.Barrier = together) -> int:
            together.wait()
            return id(WalIndex(path)._map)

        with ThreadPoolExecutor(8) as crowd:
            maps = [crowd.submit(first) for _ in range(8)]
        assert len({one.result() for one in maps}) == 1


def test_a_database_without_a_wal_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE one (value INTEGER)")
    path.with_name(f"{path.name}-shm").write_bytes(bytes(32_768))  # of another time
    engine = create_engine(f"sqlite:///{path}")
    assert RawReads(engine).mark() is None
    engine.dispose()
