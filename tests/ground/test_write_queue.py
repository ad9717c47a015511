"""Writers of one SQLite file go one after another, across threads and processes, and nobody can leave it locked."""

import multiprocessing
import os
import sqlite3
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
from tests.cast import Cast

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


def test_who_waits_is_told_by_another_process_that_it_is_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "QUEUE_STEP_SECONDS", 60)
    queue, context = WriteQueue(str(tmp_path / "forum.sqlite3")), multiprocessing.get_context("fork")
    is_held, is_in = context.Event(), context.Event()

    def write() -> None:
        is_held.wait(10)
        queue.leave(queue.enter())
        is_in.set()

    other = context.Process(target=write, daemon=True)
    other.start()
    turn = queue.enter()
    is_held.set()
    assert not is_in.wait(0.2)
    queue.leave(turn)
    assert is_in.wait(10)
    other.join()


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


def test_the_queue_is_for_whoever_may_open_the_database(tmp_path: Path) -> None:
    file = tmp_path / "forum.sqlite3"
    file.touch()
    file.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1235)
    before = os.umask(0o077)
    try:
        queue = WriteQueue(str(file))
        queue.leave(queue.enter())
    finally:
        os.umask(before)
    made, like = (tmp_path / "forum.sqlite3-queue").stat(), file.stat()
    assert (made.st_mode, made.st_uid, made.st_gid) == (like.st_mode, like.st_uid, like.st_gid)


def test_a_queue_that_cannot_be_opened_is_an_error_of_the_database(tmp_path: Path) -> None:
    queue = WriteQueue(str(tmp_path / "nowhere" / "forum.sqlite3"))
    for _ in range(2):  # the first one left it for the second
        with pytest.raises(OperationalError, match="cannot queue to write"):
            queue.enter()


@pytest.mark.kinds("sqlite")
def test_a_post_that_another_program_keeps_waiting_is_asked_to_come_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = cast.reader
    with cast.app.app_context():
        db.engine.dispose()  # the next connections wait for less
        file = str(db.engine.url.database)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = reader.comment(cast.slug, "Too late.")
    other.close()
    with cast.app.app_context():
        db.engine.dispose()
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")
    monkeypatch.undo()
    assert reader.comment(cast.slug, "In time.").status_code == 303


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


@pytest.mark.kinds("sqlite")
def test_a_comment_is_on_the_disk_before_it_is_acknowledged(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    sync = os.fdatasync

    def note(file: int) -> None:
        synced.append(os.pread(file, os.fstat(file).st_size, 0))
        sync(file)

    monkeypatch.setattr(os, "fdatasync", note)
    for visitor in (cast.reader, cast.stranger):
        visitor.comment(cast.slug, f"Words of {visitor.name} that the disk has to take.")
        assert f"Words of {visitor.name} that the disk has to take.".encode() in synced[-1]


@pytest.mark.kinds("sqlite")
def test_what_the_disk_does_not_take_is_not_acknowledged(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int) -> None:
        raise OSError("no room")

    with monkeypatch.context() as full:
        full.setattr(os, "fdatasync", refuse)
        for visitor in (cast.reader, cast.stranger):
            assert visitor.comment(cast.slug, "Words that the disk does not take.").status_code == 500
    with cast.app.app_context():
        assert db.session.connection().exec_driver_sql("PRAGMA synchronous").scalar() == 2
