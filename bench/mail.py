"""Publishing to many subscribers while the worker is killed: who got the essay, who twice, how fast, in what memory.

python bench/mail.py [--readers 10000] [--few 1000] [--kills 5] [--database sqlite|postgresql|both] [--port 8301]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from socket import create_connection

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, ROOT, STOP_SECONDS, database, end, environment, wait_until
from forum import clock
from forum.accounts.sign_up import make_user
from forum.accounts.user import User
from forum.app import create_app
from forum.config import read_settings
from forum.database import db
from forum.demo.load import load_essays, load_readers
from forum.essays.essay import Essay
from forum.essays.sending import progress, wish_to_send
from forum.outbox.worker import LEASE
from forum.site.settings import change_setting

PAUSE_SECONDS = (1.0, 6.0)
"""From the first mail of a worker to its end."""

LONGEST_GAP_SECONDS = 1.0
"""Between two mails of a worker that is at it."""

MAILS_PER_MINUTE = 100_000
"""The highest rate that an admin can set, so that the machine is what limits."""


@dataclass(frozen=True)
class Run:
    """What came in at the mail server: lines of (seconds, address), and the most memory that a worker had, in MB."""

    readers: int
    kills: int
    subscribed: frozenset[str]
    arrived: list[tuple[float, str]]
    memory: float

    @property
    def missed(self) -> int:
        """Return how many subscribers got nothing."""
        return len(self.subscribed - {address for _, address in self.arrived})

    @property
    def doubled(self) -> int:
        """Return how many mails came that had come before."""
        return len(self.arrived) - len({address for _, address in self.arrived})

    @property
    def most(self) -> int:
        """Return how often the most often written one was written to."""
        return max(Counter(address for _, address in self.arrived).values())

    @property
    def rate(self) -> float:
        """Return mails a second, without the pauses in which no worker was there or a lease had to run out."""
        moments = [moment for moment, _ in self.arrived]
        gaps = (later - earlier for earlier, later in pairwise(moments))
        return len(moments) / sum(gap for gap in gaps if gap < LONGEST_GAP_SECONDS)

    @property
    def is_sound(self) -> bool:
        """Tell whether nobody was missed, and not more were doubled than workers killed."""
        return self.missed == 0 and self.doubled <= self.kills and self.most <= 2


def main() -> None:
    """Send to few, and to many while workers are killed; the exit status is 1 when that is not sound."""
    asked = _arguments()
    kinds = KINDS if asked.database == "both" else (asked.database,)
    print("| database | subscribers | kills | mails a second | worker's peak memory | missed | doubled |")
    print("|---|---|---|---|---|---|---|", flush=True)
    sound = True
    for kind in kinds:
        for readers, kills in ((asked.few, 0), (asked.readers, asked.kills)):
            with tempfile.TemporaryDirectory(prefix="forum-mail-") as name:
                folder = Path(name)
                with database(kind, folder) as url:
                    run = _run(folder, url, readers, kills, asked)
            print(
                f"| {kind} | {len(run.subscribed):,} | {kills} | {run.rate:.0f} | {run.memory:.0f} MB "
                f"| {run.missed} | {run.doubled} |",
                flush=True,
            )
            sound = sound and run.is_sound
    sys.exit(0 if sound else 1)


def _run(folder: Path, url: str, readers: int, kills: int, asked: argparse.Namespace) -> Run:
    """Publish one essay to that many readers and send it."""
    environ = environment(folder, url, asked.port)
    environ["FORUM_SMTP_URL"] = f"smtp://127.0.0.1:{asked.port}"
    app, essay_id, subscribed = _publish(environ, readers)
    arrived, memory = folder / "arrived", 0.0
    with _sink(asked.port, arrived):
        random = Random(asked.seed)
        for _ in range(kills):
            with _worker(environ, folder) as worker:
                before = _lines(arrived)
                wait_until(lambda before=before: _lines(arrived) > before, 60, "no mail leaves")  # type: ignore[misc]
                time.sleep(random.uniform(*PAUSE_SECONDS))
                memory = max(memory, _peak_memory(worker.pid))
                if _is_sent(app, essay_id):
                    raise RuntimeError("all was sent before the last kill: take more readers")
                end(worker.pid)
        with _worker(environ, folder) as worker:
            limit = LEASE.total_seconds() + readers / 5 + 60
            wait_until(lambda: _is_sent(app, essay_id), limit, "not all mails leave")
            memory = max(memory, _peak_memory(worker.pid))
            worker.terminate()
    lines = [line.split() for line in arrived.read_text().splitlines()]
    came = [(float(seconds), address) for seconds, address, _ in lines]
    return Run(readers, kills, subscribed, came, memory)


def _publish(environ: dict[str, str], readers: int) -> tuple[Flask, int, frozenset[str]]:
    """Make a site with so many readers and one essay that is to be sent to all of them."""
    app = create_app(read_settings(environ))
    with app.app_context():
        upgrade()
        author = make_user("Author", "author@bench.example")
        load_readers(readers, clock.now(), lambda _rows: None)
        [essay] = load_essays(author, 1, clock.now(), lambda _rows: None)
        wish_to_send(essay, author)
        change_setting("mails_per_minute", MAILS_PER_MINUTE)
        db.session.commit()
        subscribed = frozenset(db.session.scalars(select(User.email)))
        return app, essay.id, subscribed


@contextmanager
def _sink(port: int, file: Path) -> Iterator[None]:
    """Run the mail server in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "bench.mail_sink", str(port), str(file)], cwd=ROOT)
    try:
        wait_until(lambda: _listens(port), 30, "the mail server does not start")
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@contextmanager
def _worker(environ: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the product's own command until it ends, or the block."""
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "forum", "worker"], cwd=ROOT, env=environ, stdout=log, stderr=log
        )
    try:
        yield process
        process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()


def _is_sent(app: Flask, essay_id: int) -> bool:
    """Tell whether the publish page says that all mails have left. Asked seldom: the question takes a lock."""
    time.sleep(0.5)
    with app.app_context():
        essay = db.session.get_one(Essay, essay_id)
        so_far = progress(essay, clock.now())
        if so_far is None or so_far.failed:
            raise RuntimeError(f"mails failed: {so_far}")
        return so_far.stage == "sent"


def _peak_memory(pid: int) -> float:
    """Return the most memory that a process has had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _listens(port: int) -> bool:
    try:
        with create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Send an essay to many, kill the worker, and count.")
    parser.add_argument("--readers", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1_000, help="for the memory beside that of many")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="sqlite")
    parser.add_argument("--port", type=int, default=8301)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
