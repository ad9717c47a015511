"""How many comments a second readers get acknowledged, as a share of what SQLAlchemy alone commits of the same rows.

python bench/posting.py [--rounds 5] [--seconds 4] [--largest 100000 | --small] [--database sqlite|postgresql|both]
                        [--seed 1] [--port 8360]
"""

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, bindparam, create_engine, event, insert, select, update

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, SEED, WORKERS, WRITERS, Server, Site, made_site, writer_address
from bench.statements import measure_statements
from bench.table import Figure, machine, ratio, text_table
from bench.writer import Writer
from forum import clock
from forum.accounts.user import User
from forum.database import table_of
from forum.discussion.comment import Comment, CommentRevision, Verdict, path_of
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.notifications.notice import Notice
from forum.text.markdown import RENDERER

SMALL = 1_000
FEW = 100
BEST_PEER = 370
"""Comments a second, 8 clients: the most that another system got acknowledged on the machine of the first figures."""

WORDS = "{}: " + "The tide that carried the letter out does not bring an answer back; and yet we *wait*. " * 3
HTML = (
    "<p>"
    + "The tide that carried the letter out does not bring an answer back; and yet we <em>wait</em>. " * 3
    + "</p>"
)


def measure(kind: str, asked: argparse.Namespace) -> list[Figure]:
    """Return what measure_posting() does, of a site made for it, and the statements that posting takes (5)."""
    with made_site(kind, asked.port, (FEW, asked.largest), asked.seed) as site, site.serve() as product:
        found = measure_statements(
            site, product, (FEW, asked.largest)
        )  # first: it keeps to the limits of rate
        posting = measure_posting(site, product, asked)
    return [*posting, *(one for one in found if "posting" in one.what)]


def measure_posting(site: Site, product: Server, asked: argparse.Namespace) -> list[Figure]:
    """Return how fast 8 clients post, beside SQLAlchemy alone, in turn on the same database (4)."""
    with _clients(product.url, site.addresses[asked.largest]) as post, _bare(site) as commit:
        for warm in (post, commit):
            warm(1)
        rounds = [(post(asked.seconds), commit(asked.seconds)) for _ in range(asked.rounds)]
    posted, bare = [one for one, _ in rounds], [one for _, one in rounds]
    rate = statistics.median(posted)
    clients = f"posting, {WRITERS} clients, {asked.largest:,} comments"
    return [
        ratio("4", f"{clients} ÷ SQLAlchemy alone", posted, bare, 0.5, of=" a second"),
        Figure("4", f"{clients}, a second", rate, "rate", BEST_PEER, True, min(posted), max(posted)),
    ]


Measured = Callable[[float], float]
"""Work for some seconds and return how many comments a second were kept."""


@contextmanager
def _clients(url: str, address: str) -> Iterator[Measured]:
    """Sign 8 writers in, who post one thread after another, each on a connection that is kept for a round.

    All begin at once, as busy people do. One after the other they would mostly come to the same worker, whichever
    wakes first, while the other one has nothing to do.
    """
    writers = [Writer(url, writer_address(number)) for number in range(WRITERS)]
    for writer in writers:
        writer.sign_in()
    tokens = count()

    def write(writer: Writer, until: float) -> int:
        writer.hang_up()
        kept = 0
        while time.monotonic() < until:
            token = f"posted-{next(tokens)}"
            if writer.post(address, WORDS.format(token), token) is None:
                raise RuntimeError(f"{token} was refused")
            kept += 1
        return kept

    def post(seconds: float) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(WRITERS) as pool:
            kept = sum(pool.map(lambda one: write(one, began + seconds), writers))
        return kept / (time.monotonic() - began)

    yield post
    for writer in writers:
        writer.hang_up()


@contextmanager
def _bare(site: Site) -> Iterator[Measured]:
    """Start as many processes as the server has workers, in each its share of 8 threads that do nothing but commit."""
    context = multiprocessing.get_context("spawn")
    slug = site.addresses[FEW].rpartition("/")[2]
    lines: list[Connection] = []
    processes = []
    for number in range(WORKERS):
        here, there = context.Pipe()
        lines.append(here)
        processes.append(
            context.Process(
                target=_commit_when_told, args=(there, site.database_url, slug, number), daemon=True
            )
        )
        processes[-1].start()
    for line in lines:
        line.recv()

    def commit(seconds: float) -> float:
        for line in lines:
            line.send(seconds)
        return sum(line.recv() for line in lines)

    try:
        yield commit
    finally:
        for line in lines:
            line.send(0)
        for process in processes:
            process.join(20)


def _commit_when_told(line: Connection, database_url: str, slug: str, number: int) -> None:
    """Be one of the processes: commit for as many seconds as the line says, answer the rate, until it says 0."""
    threads = WRITERS // WORKERS
    engine = _engine(database_url, threads)
    rows = Rows.of(engine, slug)
    tokens = (f"bare-{number}-{one}" for one in count())
    line.send(None)
    while seconds := line.recv():
        counts, began = [0] * threads, time.monotonic()

        def work(place: int, counts: list[int] = counts, until: float = began + seconds) -> None:
            while time.monotonic() < until:
                rows.commit(engine, rows.writers[number * threads + place], next(tokens))
                counts[place] += 1

        workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        line.send(sum(counts) / (time.monotonic() - began))


def _engine(database_url: str, threads: int) -> Engine:
    """Return an engine with the settings of the site's own on which it depends whether a commit is kept."""
    engine = create_engine(database_url, pool_size=threads)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@dataclass(frozen=True)
class Rows:
    """What one comment adds and changes: four rows, and the counters of an essay and of its writer."""

    essay_id: int
    author_id: int
    writers: list[int]

    @classmethod
    def of(cls, engine: Engine, slug: str) -> "Rows":
        """Read once who writes, and where."""
        essay, user = table_of(Essay), table_of(User)
        with engine.connect() as connection:
            found = connection.execute(
                select(essay.c.id, essay.c.author_id).where(essay.c.slug == slug)
            ).one()
            names = [writer_address(number) for number in range(WRITERS)]
            people = connection.scalars(select(user.c.id).where(user.c.email.in_(names)).order_by(user.c.id))
            return cls(found.id, found.author_id, list(people))

    def commit(self, engine: Engine, writer: int, token: str) -> None:
        """Add one comment with all that belongs to it, in one transaction."""
        now = clock.now()
        with engine.begin() as connection:
            added: Any = connection.execute(_COMMENT, self._comment(writer, token, now))
            comment_id = added.inserted_primary_key[0]
            connection.execute(_WORDING, _wording(comment_id, token, now))
            connection.execute(_EVENT, self._event(comment_id, writer, now))
            connection.execute(_ACCEPTED, {"row_id": writer})
            connection.execute(_COUNTED, {"row_id": self.essay_id, "now": now})
            if writer != self.author_id:
                connection.execute(_NOTICE, self._notice(comment_id, writer, token, now))

    def _comment(self, writer: int, token: str, now: datetime) -> dict[str, Any]:
        return {
            "essay_id": self.essay_id,
            "author_id": writer,
            "thread_number": FEW,
            "path": path_of(
                writer
            ),  # of the right length: the true one needs the id, and so a statement more
            "form_token": token,
            "created_at": now,
            "spoken_at": now,
            "shown_number": 1,
            "visible": True,
        }

    def _event(self, comment_id: int, writer: int, now: datetime) -> dict[str, Any]:
        return {
            "at": now,
            "actor_id": writer,
            "act": "post",
            "essay_id": self.essay_id,
            "comment_id": comment_id,
            "revision": 1,
            "to_state": Verdict.ACCEPTED.value,
        }

    def _notice(self, comment_id: int, writer: int, token: str, now: datetime) -> dict[str, Any]:
        return {
            "user_id": self.author_id,
            "letter": "followed",
            "subject": f"comment:{comment_id}",
            "thread": f"thread:{comment_id}",
            "title": "An essay",
            "heading": "commented",
            "url": f"/comments/{comment_id}",
            "by_id": writer,
            "words": WORDS.format(token),
            "created_at": now,
            "not_before": now,
            "mail_at": now,
        }


def _wording(comment_id: int, token: str, now: datetime) -> dict[str, Any]:
    return {
        "comment_id": comment_id,
        "number": 1,
        "source": WORDS.format(token),
        "html": HTML,
        "renderer": RENDERER,
        "verdict": Verdict.ACCEPTED,
        "created_at": now,
    }


_COMMENT, _WORDING = insert(table_of(Comment)), insert(table_of(CommentRevision))
_EVENT, _NOTICE = insert(table_of(Event)), insert(table_of(Notice))
_ACCEPTED = (
    update(table_of(User))
    .where(table_of(User).c.id == bindparam("row_id"))
    .values(accepted_comments=table_of(User).c.accepted_comments + 1)
)
_COUNTED = (
    update(table_of(Essay))
    .where(table_of(Essay).c.id == bindparam("row_id"))
    .values(
        thread_version=table_of(Essay).c.thread_version + 1,
        visible_comments=table_of(Essay).c.visible_comments + 1,
        commented_at=bindparam("now"),
    )
)


def main() -> None:
    """Measure on each database that was asked for and print the table."""
    asked = _arguments()
    kinds = KINDS if asked.database == "both" else (asked.database,)
    facts = machine() | {"rounds": f"{asked.rounds} of {asked.seconds} s each, in turn"}
    for kind in kinds:
        print(text_table(measure(kind, asked), facts | {"database": kind}), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure posting against SQLAlchemy alone.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=4, help="how long each round posts, and commits bare"
    )
    parser.add_argument(
        "--largest", type=int, default=100_000, help="comments of the discussion that is posted to"
    )
    parser.add_argument(
        "--small", action="store_const", const=SMALL, dest="largest", help=f"of {SMALL:,} comments"
    )
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--port", type=int, default=8360)
    return parser.parse_args()


if __name__ == "__main__":
    main()
