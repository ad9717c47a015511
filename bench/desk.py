"""How the moderation desk opens over 20 and over 10,000 waiting comments, and whom a decision about 1,000 holds up.

python bench/desk.py [--many 10000] [--batch 1000] [--database sqlite|postgresql|both] [--port 8336]
"""

import argparse
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, database, environment, prepare, serve, wait_until, writer_address
from bench.writer import Writer
from forum import clock
from forum.accounts.session import Session, token_digest
from forum.accounts.sign_up import make_user
from forum.accounts.user import Role, User
from forum.database import db
from forum.demo.load import load_comments
from forum.discussion.comment import Cause, Comment, CommentRevision, Verdict
from forum.essays.essay import Essay
from tests.counting import wrong_counters
from tests.discussion.rows import statements

FEW = 20
SHOWN = 200
"""How many comments readers see below each essay from the start."""

READERS = 1_000
OPENINGS = 15
QUIET_SECONDS = 12
LONGEST_SECONDS = 600
LOOKERS = 2
PAUSES = {"look": 0.1, "post": 0.5}
"""Seconds between what one of them does and the next: they are people, not a load test."""


@dataclass
class Waits:
    """How long some people waited for the site, in milliseconds: for the essay's page, and for a comment to be kept."""

    look: list[float] = field(default_factory=list)
    post: list[float] = field(default_factory=list)


def main() -> None:
    """Measure on each database that was asked for; the exit status is 1 when a counter is wrong afterwards."""
    asked = _arguments()
    kinds = KINDS if asked.database == "both" else (asked.database,)
    sound = [_run(kind, asked) for kind in kinds]
    sys.exit(0 if all(sound) else 1)


def _run(kind: str, asked: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="forum-desk-") as name, database(kind, Path(name)) as url:
        environ = environment(Path(name), url, asked.port)
        app, addresses = prepare(environ, (SHOWN, SHOWN), LOOKERS + 2)
        with app.app_context():
            db.session.execute(update(User).where(User.email == writer_address(0)).values(role=Role.AUTHOR))
            newcomers = [
                make_user(f"Newcomer {number}", f"newcomer-{number}@bench.example")
                for number in range(READERS)
            ]
            db.session.commit()
            readers = [newcomer.id for newcomer in newcomers]
        _measure_desk(kind, app, addresses, readers, asked)
        with serve(environ, asked.port, 2) as server:
            quiet, during, seconds, done = _measure_batch(app, server.url, addresses[1], asked)
        print(f"{kind}: {done} comments decided in {seconds:.0f} s, {done / seconds:.0f} a second.")
        _print_waits("the essay's page", quiet.look, during.look)
        _print_waits("posting there", quiet.post, during.post)
        with app.app_context():
            wrong = wrong_counters()
        print(f"{kind}: {len(wrong)} counters wrong.", *wrong[:5], sep="\n  ", flush=True)
        return not wrong and done == asked.batch


def _measure_desk(
    kind: str, app: Flask, addresses: Sequence[str], readers: Sequence[int], asked: argparse.Namespace
) -> None:
    """Open the desk over few and over many, and print how often it asks the database and how long it takes."""
    one, other = addresses
    found: dict[int, dict[str, tuple[int, float, float]]] = {}
    for total, amounts in ((FEW, (FEW, 0)), (asked.many, (asked.many - FEW - asked.batch, asked.batch))):
        with app.app_context():
            for address, amount in zip((one, other), amounts, strict=True):
                _let_wait(address, amount, readers)
            db.session.commit()
        author = _signed_in(app)
        pages = {"opened": "/moderation", "the newest first": "/moderation?order=newest"}
        pages |= {"one part": "/moderation?cause=first", "last page": f"/moderation?page={-(-total // 20)}"}
        pages |= {"searched": "/moderation?q=water"}
        found[total] = {name: _open(app, author, path) for name, path in pages.items()}
    for name, (queries, few, least) in found[FEW].items():
        more_queries, many, least_of_many = found[asked.many][name]
        print(
            f"{kind}: the desk, {name}: {queries} queries and {few:.0f} ms over {FEW}, "
            f"{more_queries} and {many:.0f} ms over {asked.many:,}: {many / few:.2f} times as long; "
            f"at best {least:.0f} and {least_of_many:.0f} ms.",
            flush=True,
        )


def _let_wait(address: str, count: int, readers: Sequence[int]) -> None:
    """Add comments that wait, as newcomers' do, and bring the counters in line."""
    if not count:
        return
    essay = db.session.scalars(select(Essay).where(Essay.slug == address.rsplit("/", 1)[1])).one()
    seen, spoken = essay.visible_comments, essay.commented_at
    random = Random(count)
    ids = load_comments(essay, readers, count, random, lambda _rows: None, root_share=1)
    mine, causes = Comment.id.between(ids[0], ids[-1]), frozenset({Cause.NEW_WRITER.value})
    hidden = {"shown_number": None, "visible": False, "spoken_at": None, "waits_for": causes}
    db.session.execute(update(Comment).where(mine).values(waits_since=Comment.created_at, **hidden))
    wordings = CommentRevision.comment_id.between(ids[0], ids[-1])
    db.session.execute(update(CommentRevision).where(wordings).values(verdict=Verdict.HELD, causes=causes))
    essay.visible_comments, essay.commented_at = seen, spoken
    accepted = select(func.count()).where(Comment.author_id == User.id, Comment.visible).scalar_subquery()
    db.session.execute(update(User).where(User.id.in_(readers)).values(accepted_comments=accepted))


def _signed_in(app: Flask) -> FlaskClient:
    client, token, now = app.test_client(), f"desk-{time.monotonic()}", clock.now()
    with app.app_context():
        user_id = db.session.scalars(select(User.id).where(User.email == writer_address(0))).one()
        session = {"token_hash": token_digest(token), "created_at": now, "last_seen_at": now}
        db.session.add(Session(user_id=user_id, **session))
        db.session.commit()
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    return client


def _open(app: Flask, author: FlaskClient, path: str) -> tuple[int, float, float]:
    """Return the number of queries, and the median and the least time in milliseconds."""
    times = []
    with statements(app) as sent:
        for _ in range(OPENINGS):
            began = time.perf_counter()
            page = author.get(path)
            times.append((time.perf_counter() - began) * 1000)
            if page.status_code != 200:
                raise RuntimeError(f"{path} answered {page.status_code}")
    return len(sent) // OPENINGS, statistics.median(times), min(times)


def _measure_batch(
    app: Flask, url: str, address: str, asked: argparse.Namespace
) -> tuple[Waits, Waits, float, int]:
    """Approve all that waits below one essay while people read it and one writes there."""
    author = Writer(url, writer_address(0))
    author.sign_in()
    quiet, during = Waits(), Waits()
    with _people(url, address, quiet):
        time.sleep(QUIET_SECONDS)
    with app.app_context():
        essay_id = db.session.scalars(select(Essay.id).where(Essay.slug == address.rsplit("/", 1)[1])).one()
    everything = {"do": "approve", "all": "yes", "as_of": clock.now().isoformat(), "essay": str(essay_id)}
    with _people(url, address, during):
        began = time.monotonic()
        status, batch, page = author.send("POST", "/moderation/batch", everything)
        if status != 303 or "/batches/" not in batch:
            raise RuntimeError(f"the batch was not taken: {status} {batch} {page[:300]!r}")
        wait_until(lambda: b"data-refresh" not in author.send("GET", batch)[2], LONGEST_SECONDS, "unfinished")
        seconds = time.monotonic() - began
    found = re.search(rb"Posted ([0-9,]+) comment", author.send("GET", batch)[2])
    return quiet, during, seconds, int(found[1].replace(b",", b"")) if found else 0


@contextmanager
def _people(url: str, address: str, waits: Waits) -> Iterator[None]:
    """Let some people read an essay, and one comment there, until the block ends."""
    stop = threading.Event()

    def look(number: int) -> None:
        reader = Writer(url, writer_address(number))
        while not stop.wait(PAUSES["look"]):
            waits.look.append(_timed(lambda: reader.send("GET", address)[0] == 200))

    def post() -> None:
        writer, made = Writer(url, writer_address(1)), 0
        writer.sign_in()
        while not stop.wait(PAUSES["post"]):
            made += 1
            token = f"desk-{time.monotonic()}"
            waits.post.append(
                _timed(lambda token=token: writer.post(address, f"Words of {token}.", token) is not None)
            )

    threads = [threading.Thread(target=look, args=(number + 2,)) for number in range(LOOKERS)]
    threads.append(threading.Thread(target=post))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _timed(ask: Callable[[], bool]) -> float:
    began = time.perf_counter()
    if not ask():
        raise RuntimeError("somebody was refused")
    return (time.perf_counter() - began) * 1000


def _print_waits(what: str, quiet: Sequence[float], during: Sequence[float]) -> None:
    lines = [
        f"{name} p50 {statistics.median(waits):.0f}, p99 {_p99(waits):.0f}, at most {max(waits):.0f} ms ({len(waits)})"
        for name, waits in (("quiet", quiet), ("during", during))
    ]
    print(f"  {what}: {'; '.join(lines)}", flush=True)


def _p99(waits: Sequence[float]) -> float:
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * 0.99))]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Open the desk, and decide about many at once.")
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--port", type=int, default=8336)
    return parser.parse_args()


if __name__ == "__main__":
    main()
