"""What pages cost as discussions and the site grow: time, statements and bytes of each, rendered and not kept.

python bench/growth.py [--database sqlite|postgresql|both] [--rounds 5] [--largest 100000] [--seed 1]
"""

import argparse
import gzip
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, insert, select, text, update
from werkzeug.test import TestResponse

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, SEED, database, environment, prepare
from bench.table import Figure, machine, text_table
from forum import clock
from forum.accounts.session import Session, token_digest
from forum.accounts.user import Role, User
from forum.app import create_app
from forum.config import read_settings
from forum.database import db, is_sqlite
from forum.discussion.comment import Comment
from forum.essays.essay import CommentPolicy, Essay, EssayAddress, EssayTag
from forum.essays.revision import EssayRevision
from tests.cast import Visitor
from tests.discussion.rows import statements

COMMENTS = (100, 1_000, 10_000, 100_000)
ESSAYS = (10, 1_000, 100_000)
AT_ONCE = 2_000
TAG = "water"
"""That every essay carries: the worst case for a list by tag."""

FULL_AT = 1_000
"""The size from which on a first page is full, and weighs the same."""

FLAT = 2.0
"""What is flat takes at most so many times longer at the largest size than at FULL_AT."""


@dataclass(frozen=True)
class Asked:
    """What is asked for at one size of one kind of thing."""

    app: Flask
    what: str
    size: int
    of: str
    ask: Callable[[], TestResponse]


@dataclass(frozen=True)
class Cost:
    """What one answer costs: the times in milliseconds, the rest does not depend on the machine."""

    what: str
    size: int
    of: str
    times: Sequence[float]
    statements: int
    identity: int
    packed: int

    @property
    def milliseconds(self) -> float:
        """Return the median time."""
        return statistics.median(self.times)

    def figure(self) -> Figure:
        """Return it as a line of the table."""
        what, times = f"{self.what}, {self.size:,} {self.of}", self.times
        detail = f"{self.statements} statements, {self.identity:,} bytes, {self.packed:,} with gzip"
        return Figure("9", what, self.milliseconds, "ms", None, False, min(times), max(times), detail)


def measure(kind: str, asked: argparse.Namespace) -> list[Figure]:
    """Return the table of growth (9): each cost, and how many times longer the largest takes than a full page."""
    found = costs(kind, asked.rounds, asked.largest, asked.seed)
    return [*(one.figure() for one in found), *_growth(found)]


def costs(kind: str, rounds: int, largest: int, seed: int = SEED) -> list[Cost]:
    """Make large discussions, and sites with many essays, and return what their pages cost at each size."""
    found: list[Cost] = []
    for make, sizes in ((_discussions, COMMENTS), (_sites, ESSAYS)):
        with ExitStack() as stack:
            new_site = partial(_environment, stack, kind)
            found += _in_turn(list(make(new_site, [size for size in sizes if size <= largest], seed)), rounds)
    return found


def _environment(stack: ExitStack, kind: str) -> dict[str, str]:
    """Return the settings of a site over a new database, which goes with the stack."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="forum-growth-")))
    url = stack.enter_context(database(kind, folder))
    return environment(folder, url, 8330) | {"FORUM_SITE_URL": "http://localhost"}


def _discussions(new_site: Callable[[], dict[str, str]], sizes: Sequence[int], seed: int) -> Iterator[Asked]:
    app, addresses = prepare(new_site(), sizes, 2, seed)
    stranger, author, numbers = app.test_client(use_cookies=False), _author(app), count()
    for size, address in zip(sizes, addresses, strict=True):
        slug = address.rpartition("/")[2]
        with app.app_context():
            essay_id = db.session.scalar(select(Essay.id).where(Essay.slug == slug))
            here = select(func.max(Comment.thread_number), func.max(Comment.id))
            threads, last = db.session.execute(here.where(Comment.essay_id == essay_id)).one()
            replies = select(Comment.id).where(Comment.essay_id == essay_id, Comment.place == 2)
            reply = db.session.scalar(replies.order_by(Comment.id).limit(1))
            roots = select(Comment.id).where(Comment.essay_id == essay_id, Comment.root_id.is_(None))
            longest = db.session.scalar(roots.order_by(Comment.visible_below.desc()).limit(1))
        pages = {
            "first page": address,
            "last page": f"{address}?page={-(-threads // 50)}",
            "newest first": f"{address}?sort=newest",
            "most thanked": f"{address}?sort=best",
            "a reply": f"/comments/{reply}",
            "the longest thread": f"/comments/{longest}",
            "feed of comments": f"{address}/feed.xml",
        }
        for what, path in pages.items():
            yield Asked(app, what, size, "comments", partial(stranger.get, path))
        words = (f"Said at the end, for the {number}. time." for number in numbers)
        post = partial(_post_reply, author, slug, words, last)
        yield Asked(app, "posting, and where to", size, "comments", post)


def _sites(new_site: Callable[[], dict[str, str]], sizes: Sequence[int], _seed: int) -> Iterator[Asked]:
    for size in sizes:
        app = create_app(read_settings(new_site()))
        with app.app_context():
            upgrade()
        _add_essays(app, size)
        stranger, first_year = app.test_client(use_cookies=False), _published_at(size - 1, clock.now()).year
        pages = {
            "home": "/",
            "home, last page": _last_page("/", size, 30),
            "archive": "/archive",
            "archive, last page": _last_page("/archive", size, 100),
            "archive, first year": f"/archive/{first_year}",
            "an author": "/authors/1",
            "a tag": f"/tags/{TAG}",
            "an essay": "/essays/essay-5",
            "feed": "/feed.xml",
            "sitemap": "/sitemap.xml",
            "sitemap, of lists": "/sitemap/site.xml",
            "sitemap, of essays": "/sitemap/essays-1.xml",
        }
        for what, path in pages.items():
            yield Asked(app, what, size, "essays", partial(stranger.get, path))


def _in_turn(asked: Sequence[Asked], rounds: int) -> Iterator[Cost]:
    """Ask a few times, all sizes in each round, so that the machine is the same for them."""
    for what in dict.fromkeys(one.what for one in asked):
        sizes = [one for one in asked if one.what == what]
        answers = [_counted(one) for one in sizes]
        times = [[_timed(one) for one in sizes] for _ in range(rounds)]
        for one, (sent, body), took in zip(sizes, answers, zip(*times, strict=True), strict=True):
            yield Cost(one.what, one.size, one.of, took, sent, len(body), len(gzip.compress(body, 6)))


def _counted(asked: Asked) -> tuple[int, bytes]:
    _grow_versions(asked.app)
    with statements(asked.app) as sent:
        answer = asked.ask()
    if answer.status_code not in (200, 303):
        raise RuntimeError(f"{asked.what} at {asked.size}: {answer.status}")
    return len(sent), answer.data


def _timed(asked: Asked) -> float:
    """Ask with another version of every discussion, so that nothing that is kept will do; return milliseconds."""
    _grow_versions(asked.app)
    began = time.perf_counter()
    asked.ask()
    return 1_000 * (time.perf_counter() - began)


def _growth(found: Sequence[Cost]) -> Iterator[Figure]:
    """Yield how many times longer each page takes at the largest size than at the one from which on pages are full."""
    for what, of in dict.fromkeys((one.what, one.of) for one in found):
        sizes = {one.size: one for one in found if (one.what, one.of) == (what, of)}
        largest = sizes[max(sizes)]
        if FULL_AT in sizes and largest.size > FULL_AT:
            full, words = sizes[FULL_AT], f"{what}: {largest.size:,} ÷ {FULL_AT:,} {of}"
            times = [many / few for many, few in zip(largest.times, full.times, strict=True)]
            detail = f"{largest.milliseconds:,.1f} ms ÷ {full.milliseconds:,.1f} ms"
            yield Figure(
                "9", words, statistics.median(times), "times", FLAT, False, min(times), max(times), detail
            )


def _grow_versions(app: Flask) -> None:
    with app.app_context():
        newest = select(Essay.id).order_by(Essay.id).limit(len(COMMENTS) + 2)
        grow = update(Essay).where(Essay.id.in_(newest)).values(thread_version=Essay.thread_version + 1)
        db.session.execute(grow.execution_options(synchronize_session=False))
        db.session.commit()


def _author(app: Flask) -> Visitor:
    """Return the browser of the essays' author, who may write as fast as they like."""
    client, now = app.test_client(), clock.now()
    with app.app_context():
        [author_id] = db.session.scalars(select(Essay.author_id).distinct())
        db.session.execute(update(User).where(User.id == author_id).values(role=Role.AUTHOR))
        session = {"user_id": author_id, "token_hash": token_digest("growth"), "created_at": now}
        db.session.add(Session(**session, last_seen_at=now))
        db.session.commit()
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = "growth", True
    return Visitor(app, client, author_id)


def _post_reply(author: Visitor, slug: str, words: Iterator[str], answered: int) -> TestResponse:
    return author.comment(slug, next(words), answered)


def _add_essays(app: Flask, how_many: int) -> None:
    """Put short essays straight into the database, one for each hour back in time, each with a comment since."""
    now = clock.now()
    with app.app_context():
        writer = User(name="Ada", email="ada@mail.example", role=Role.AUTHOR, created_at=now)
        db.session.add(writer)
        db.session.flush()
        author_id = writer.id
        for first in range(0, how_many, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, how_many))
            db.session.execute(insert(Essay), [_essay(number, author_id, now) for number in numbers])
            slugs = [{"slug": f"essay-{number}", "essay_id": number + 1} for number in numbers]
            db.session.execute(insert(EssayAddress), slugs)
            tags = [
                {"essay_id": number + 1, "slug": TAG, "label": "Water", "position": 0} for number in numbers
            ]
            db.session.execute(insert(EssayTag), tags)
            db.session.execute(
                insert(EssayRevision), [_revision(number, author_id, now) for number in numbers]
            )
        db.session.commit()
        _let_postgresql_look()


def _last_page(path: str, size: int, length: int) -> str:
    """Return the address of the oldest essays of a list; the oldest one has the highest number."""
    return f"{path}?before={size - length}" if size > length else path


def _published_at(number: int, now: datetime) -> datetime:
    return now - timedelta(hours=2 + number)


def _essay(number: int, author_id: int, now: datetime) -> dict[str, Any]:
    published_at = _published_at(number, now)
    return {
        "id": number + 1,
        "slug": f"essay-{number}",
        "author_id": author_id,
        "title": f"On number {number}",
        "source": "Water waits.",
        "html": "<p>Water waits.</p>",
        "excerpt": "Water waits.",
        "comments": CommentPolicy.SUBSCRIBERS,
        "created_at": published_at,
        "updated_at": published_at,
        "published_at": published_at,
        "commented_at": published_at + timedelta(hours=1),
        "visible_comments": 1,
    }


def _revision(number: int, author_id: int, now: datetime) -> dict[str, Any]:
    words = {"title": f"On number {number}", "source": "Water waits.", "created_at": now}
    return {"essay_id": number + 1, "number": 1, "editor_id": author_id, **words}


def _let_postgresql_look() -> None:
    """Let PostgreSQL count its rows, as it does by itself a while after they came."""
    if not is_sqlite():
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what pages cost as discussions and the site grow.")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    for kind in KINDS if asked.database == "both" else (asked.database,):
        print(f"\n{kind}\n{text_table(measure(kind, asked), machine())}", flush=True)


if __name__ == "__main__":
    main()
