"""A site to measure: the server's own command on loopback, over data made for it, in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Engine, text

from bench.writer import Writer
from forum import clock
from forum.accounts.password import hash_password
from forum.accounts.sign_up import make_user
from forum.app import create_app
from forum.config import read_settings
from forum.database import db
from forum.demo.accounts import PASSWORD
from forum.demo.load import load_comments, load_essays, load_readers, load_thanks
from forum.demo.story import FIRST
from forum.notifications.follow import toggle_follow
from tests.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
STOP_SECONDS = 20
KINDS = ("sqlite", "postgresql")
WORKERS = 2
WRITERS = 8
READER = 1
"""The number of the signed-in reader whose pages are measured: not the author, and somebody who takes part."""

FOLLOWED = 2
SEED = 1
"""What all made data follows from; another one makes another discussion of the same shape."""

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
"""PostgreSQL as a site runs it: every commit waits for the disk, as SQLite's does."""


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of an empty database of one kind; a PostgreSQL is started for it and stopped again."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'forum.sqlite3'}"
        return
    with Postgres(**DURABLE) as server:
        server.create_database("forum")
        yield server.url("forum")


def environment(folder: Path, database_url: str, port: int) -> dict[str, str]:
    """Return the settings of the site under measurement, without those of whoever measures."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FORUM_")},
        "PYTHONPATH": str(ROOT),
        "FORUM_INSTANCE": str(folder),
        "FORUM_DATABASE_URL": database_url,
        "FORUM_SITE_URL": f"http://127.0.0.1:{port}",
        "FORUM_RATE_LIMITS": "off",
    }


@dataclass(frozen=True)
class Site:
    """A database full of discussions, and how to reach it; `addresses` are the essays by their number of comments."""

    kind: str
    folder: Path
    database_url: str
    environ: dict[str, str]
    port: int
    app: Flask
    addresses: dict[int, str]

    def serve(self) -> "Server":
        """Return the product's own server of this site."""
        return serve(self.environ, self.port, WORKERS)

    def reader(self, url: str, number: int = READER) -> Writer:
        """Return a reader who signed in, wrote here and was thanked; the usual one follows the first two essays."""
        reader = Writer(url, writer_address(number))
        reader.sign_in()
        return reader


@contextmanager
def made_site(kind: str, port: int, discussions: Sequence[int], seed: int = SEED) -> Iterator[Site]:
    """Make a site in a temporary folder, with an essay for each number of comments."""
    with TemporaryDirectory(prefix="forum-bench-") as name, database(kind, Path(name)) as url:
        environ = environment(Path(name), url, port)
        app, addresses = prepare(environ, discussions, WRITERS, seed)
        yield Site(kind, Path(name), url, environ, port, app, dict(zip(discussions, addresses, strict=True)))


def prepare(
    environ: dict[str, str], discussions: Sequence[int], writers: int, seed: int = SEED
) -> tuple[Flask, list[str]]:
    """Fill the database: an essay for each number of comments, and people who can sign in to write.

    Returns the app and the essays' addresses, in the order of `discussions`. All have the same text, and
    each discussion begins as the others do, so that their first pages compare. Writers have the addresses
    writer-0@bench.example, …; the first of them is the essays' author, the others took part in each discussion.
    """
    app = create_app(read_settings(environ))
    now = clock.now()
    password_hash = hash_password(PASSWORD)
    with app.app_context():
        upgrade()
        people = [
            make_user(f"Writer {number}", writer_address(number), password_hash=password_hash)
            for number in range(writers)
        ]
        commenters = [person.id for person in people[1:]]
        readers = load_readers(max(20, max(discussions) // 10), now, _quietly)
        essays = load_essays(people[0], len(discussions), now, _quietly, [FIRST])
        for essay, count in zip(essays, discussions, strict=True):
            here = [*commenters, *readers[: max(20, count // 10)]]
            random = Random(seed)
            load_comments(essay, here, count, random, _quietly)
            load_thanks(essay, here, random)
            if essay in essays[:FOLLOWED]:
                toggle_follow(people[READER], essay.id)
        db.session.commit()
        _let_the_database_look(db.engine)
        return app, [essay.path for essay in essays]


def _quietly(_rows: int) -> None:
    pass


def _let_the_database_look(engine: Engine) -> None:
    """Let PostgreSQL count its rows at once, which it does by itself a minute later; SQLite never does on a site."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def writer_address(number: int) -> str:
    """Return the e-mail address with which a writer signs in."""
    return f"writer-{number}@bench.example"


class Server:
    """One process tree that serves, ended by its own process id; a context manager."""

    def __init__(self, command: Sequence[str], environ: dict[str, str], port: int, probe: str) -> None:
        self.command = command
        self.environ = environ
        self.url = f"http://127.0.0.1:{port}"
        self.probe = probe
        self.revivals = 0
        """How often it had ended by itself and was started again."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises: RuntimeError."""
        self._process = subprocess.Popen(self.command, cwd=ROOT, env=self.environ)
        wait_until(self._answers, START_SECONDS, "the server does not answer")

    def stop(self) -> None:
        """Ask it to end, and end it by force when it does not."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the whole tree without a word, as a power cut would, and wait for its end."""
        if self._process is not None:
            pids = self.processes()
            for pid in pids:
                end(pid)
            self._process.wait(timeout=STOP_SECONDS)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), STOP_SECONDS, "alive")
            self._process = None

    def has_ended(self) -> bool:
        """Tell whether it ended by itself, which it does when a worker dies soon after it was started again."""
        return self._process is not None and self._process.poll() is not None

    def web_workers(self) -> list[int]:
        """Return the ids of the processes that answer requests."""
        return [pid for pid in self.processes() if process_name(pid) == "forum-web"]

    def processes(self) -> list[int]:
        """Return the ids of the whole tree: the supervisor, its generation, the web workers and the mail worker."""
        return [] if self._process is None else tree(self._process.pid)

    def cpu_seconds(self) -> float:
        """Return how long the processors have worked for the whole tree so far."""
        return sum(cpu_seconds(pid) for pid in self.processes())

    def _answers(self) -> bool:
        try:
            with urlopen(self.url + self.probe, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            if self.has_ended():
                raise RuntimeError(f"{' '.join(self.command)} ended by itself") from None
            return False


def serve(environ: dict[str, str], port: int, workers: int) -> Server:
    """Return the product's server, as its command line starts it."""
    command = [sys.executable, "-m", "forum", "serve", "--port", str(port), "--workers", str(workers)]
    return Server(command, environ, port, "/sign-in")


def end(pid: int) -> None:
    """Kill one process that this benchmark started, if it still runs."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children(pid: int) -> list[int]:
    """Return the processes that any thread of a process started; none when it is gone."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return found


def tree(pid: int) -> list[int]:
    """Return a process and all that come from it, the oldest first."""
    return [pid, *(one for child in children(pid) for one in tree(child))]


def command_line(pid: int) -> bytes:
    """Return the words with which a process was started; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def cpu_seconds(pid: int) -> float:
    """Return how long the processors have worked for a process; nothing when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_name(pid: int) -> str:
    """Return the name that a process gave itself; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def wait_until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until something is so. Raises: RuntimeError, after `seconds`."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError(otherwise)
        time.sleep(0.05)
