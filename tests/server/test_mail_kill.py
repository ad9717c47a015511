"""The real worker is stopped and killed while it sends: nobody is missed, and a kill doubles one mail at most."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from forum import clock
from forum.database import db
from forum.outbox.message import Message
from forum.outbox.worker import CLAIMED_AT_ONCE
from tests.outbox.mails import put_letters
from tests.outbox.sink import Sink

LETTERS = 120
STOPPED_AFTER = 20
KILLED_AFTER = (50, 80)
LONGEST_SECONDS = 60


def test_nobody_is_missed_and_each_kill_doubles_one_mail_at_most(
    app: Flask, sink: Sink, worker: "Worker"
) -> None:
    put_letters(app, LETTERS)
    worker.start()
    wait_until(lambda: len(sink.got) >= STOPPED_AFTER)
    worker.end(signal.SIGTERM)
    assert in_hands(app) == 0  # asked to stop, it gives back what it has not sent
    assert unsent(app) == LETTERS - len(sink.got)
    for count in KILLED_AFTER:
        worker.start()
        wait_until(lambda count=count: len(sink.got) >= count)  # type: ignore[misc]
        worker.end(signal.SIGKILL)
        assert in_hands(app) <= CLAIMED_AT_ONCE
        let_leases_run_out(app)
    worker.start()
    wait_until(lambda: len({mail["To"] for mail in sink.got}) == LETTERS)
    worker.end(signal.SIGTERM)
    assert unsent(app) == 0
    got = Counter(sink.addresses())
    assert set(got) == {f"reader-{number}@mail.example" for number in range(LETTERS)}
    assert sum(got.values()) - LETTERS <= len(KILLED_AFTER)
    assert max(got.values()) <= 2
    twice = [address for address, count in got.items() if count > 1]
    for address in twice:
        assert len({mail["Message-ID"] for mail in sink.got if mail["To"] == address}) == 1


class Worker:
    """`forum worker` as a process of its own."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "forum", "worker"]
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)

    def end(self, how: signal.Signals) -> None:
        """Send a signal and wait until the process is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LONGEST_SECONDS)
            self._process = None


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Run a real mail server on loopback."""
    sink = Sink()
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture
def worker(app: Flask, database_url: str, sink: Sink, tmp_path: Path) -> Iterator[Worker]:
    """Return a worker over the test's database, not yet started; gone after the test."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FORUM_")}
    environ |= {
        "FORUM_DATABASE_URL": database_url,
        "FORUM_INSTANCE": str(tmp_path),
        "FORUM_SECRET_KEY": "only for tests " * 4,
        "FORUM_SITE_URL": "http://127.0.0.1:8000",
        "FORUM_SMTP_URL": sink.url,
    }
    one = Worker(environ, tmp_path / "worker.log")
    yield one
    one.end(signal.SIGKILL)


def unsent(app: Flask) -> int:
    """Return how many letters are still to leave."""
    with app.app_context():
        return db.session.scalar(select(func.count(Message.id)).where(Message.sent_at.is_(None))) or 0


def in_hands(app: Flask) -> int:
    """Return how many mails are claimed by a worker, be it dead or alive, under a lease that holds."""
    with app.app_context():
        held = Message.lease.is_not(None) & (Message.not_before > clock.now())
        return db.session.scalar(select(func.count(Message.id)).where(held)) or 0


def let_leases_run_out(app: Flask) -> None:
    """Make the moment come at which others may take what a dead worker held."""
    with app.app_context():
        db.session.execute(update(Message).where(Message.lease.is_not(None)).values(not_before=clock.now()))
        db.session.commit()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)
