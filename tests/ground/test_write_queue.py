"""Writers of one SQLite file go one after another, across threads and processes, and nobody can leave it locked."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from forum import database
from forum.accounts.user import User
from forum.database import WriteQueue, db

HOLD = """
import sys
from forum.database import WriteQueue
WriteQueue(sys.argv[1]).enter()
print("in", flush=True)
sys.stdin.read()
"""


def test_a_writer_who_is_killed_lets_the_next_one_go(tmp_path: Path) -> None:
    file, is_in = str(tmp_path / "forum.sqlite3"), threading.Event()

    def write() -> None:
        queue = WriteQueue(file)
        queue.leave(queue.enter())
        is_in.set()

    with other_process_that_writes(file) as other:
        waiting = threading.Thread(target=write)
        waiting.start()
        assert not is_in.wait(0.2)
        other.kill()
        assert is_in.wait(10)
        waiting.join()


def test_who_waits_too_long_hears_that_the_database_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    file = str(tmp_path / "forum.sqlite3")
    here = WriteQueue(file)
    with other_process_that_writes(file), pytest.raises(OperationalError, match="database is locked"):
        here.enter()
    turn = here.enter()  # they went, and nobody else waits
    with pytest.raises(OperationalError, match="database is locked"):
        here.enter()
    here.leave(turn)
    here.leave(here.enter())


@pytest.mark.kinds("sqlite")
def test_a_transaction_leaves_the_queue_however_it_ends(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    with app.app_context():
        queue = WriteQueue(db.engine.url.database)
        for end in (db.session.commit, db.session.rollback, db.session.remove):
            db.session.get(User, 1)
            with pytest.raises(OperationalError, match="database is locked"):
                queue.enter()
            end()
            queue.leave(queue.enter())
        with pytest.raises(ZeroDivisionError), db.engine.begin():
            1 / 0  # noqa: B018
        queue.leave(queue.enter())
        assert list(Path(str(db.engine.url.database)).parent.glob("*-queue"))


def test_a_database_in_memory_needs_no_queue() -> None:
    queue = WriteQueue(":memory:")
    assert queue.enter() is queue.enter() is None
    queue.leave(None)


@contextmanager
def other_process_that_writes(file: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process whose turn it is until the end, or until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        yield process
