"""How many statements a page costs, counted by the databases themselves while the site answers in this process.

python bench/statements.py [--comments 100] [--database sqlite|postgresql|both] [--port 8330]
"""

import argparse
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, READER, Server, Site, made_site, wait_until
from bench.table import Figure
from bench.writer import Writer
from bench.wrk import GZIP
from forum.app import create_app
from forum.config import read_settings

LIMITS = {
    "a stranger, kept": 1,
    "a stranger, rendered": None,
    "signed in, kept": 6,
    "posting a thread": 12,
    "posting a reply": 12,
}
BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA SYNCHRONOUS", ";")
"""Told apart, for they neither read nor change a row: where transactions begin and end, who waits for the disk, and the
empty question by which a kept connection to PostgreSQL is tried."""

NAME = "counted"
"""What the counted connections call themselves to PostgreSQL."""

Log = Callable[[], list[str]]
"""Return the statements since the last call."""


def measure_statements(site: Site, product: Server, sizes: tuple[int, int]) -> list[Figure]:
    """Return how many statements each kind of request costs on a small and on a large discussion (5)."""
    return [
        _figure(comments, what, statements)
        for comments, found in statements_of(site, product, sizes).items()
        for what, statements in found.items()
    ]


def statements_of(site: Site, product: Server, sizes: Sequence[int]) -> dict[int, dict[str, list[str]]]:
    """Return the statements of each kind of request, by the number of comments; limits of rate are on."""
    # Another one for each discussion: they may not post as often as all of this takes.
    readers = {size: site.reader(product.url, READER + number) for number, size in enumerate(sizes)}
    with _counting(site) as (app, log):
        client = app.test_client(use_cookies=False)
        return {size: _requests(site, client, log, readers[size], site.addresses[size]) for size in sizes}


def _requests(
    site: Site, client: FlaskClient, log: Log, reader: Writer, address: str
) -> dict[str, list[str]]:
    def write() -> None:
        _write_elsewhere(site)

    cookie, tokens = {"Cookie": reader.cookie_header()}, count()

    def post(parent: str = "") -> None:
        token = f"counted-{address}-{next(tokens)}"
        words = {"body": f"Words of {token}.", "form_token": token, "csrf_token": reader.csrf_token}
        _ask(client, "POST", f"{address}/comments", cookie, words | {"parent_id": parent})

    shown = re.findall(r'id="comment-(\d+)"', client.get(address, headers={"Host": "127.0.0.1"}).text)
    return {
        "a stranger, kept": _count(log, lambda: _ask(client, "GET", address), 2, write),
        "a stranger, rendered": _count(log, lambda: _ask(client, "GET", f"{address}?sort=newest")),
        "signed in, kept": _count(log, lambda: _ask(client, "GET", address, cookie), 2, write),
        "posting a thread": _count(log, post, warm=1),
        "posting a reply": _count(log, lambda: post(shown[len(shown) // 2])),
    }


def _write_elsewhere(site: Site) -> None:
    """Let somebody write what concerns no page: on SQLite nothing is read again until somebody does."""
    with create_engine(site.database_url).begin() as connection:
        connection.execute(text("INSERT INTO setting (name, value) VALUES ('elsewhere', '1')"))
        connection.execute(text("DELETE FROM setting WHERE name = 'elsewhere'"))


def _figure(comments: int, what: str, statements: Sequence[str]) -> Figure:
    brackets = sum(one.lstrip().upper().startswith(BRACKETS) for one in statements)
    title = f"statements at {comments:,} comments: {what}"
    detail = f"and {brackets} around transactions, or that try the connection"
    return Figure("5", title, len(statements) - brackets, "", LIMITS[what], detail=detail)


def _count(
    log: Log, ask: Callable[[], None], warm: int = 0, disturb: Callable[[], None] | None = None
) -> list[str]:
    for _ in range(warm):
        ask()
    if disturb is not None:
        disturb()
    log()
    ask()
    if not (found := log()):
        raise RuntimeError("nothing was counted: the site reads its database in a way that this does not see")
    return found


def _ask(
    client: FlaskClient,
    method: str,
    address: str,
    cookie: Mapping[str, str] = MappingProxyType({}),
    form: dict[str, str] | None = None,
) -> None:
    answer = client.open(address, method=method, headers={"Host": "127.0.0.1", **GZIP, **cookie}, data=form)
    if answer.status_code not in (200, 303):
        raise RuntimeError(f"{method} {address}: {answer.status} {answer.text[:300]}")


@contextmanager
def _counting(site: Site) -> Iterator[tuple[Flask, Log]]:
    """Give a whole site of its own in this process, all of whose statements are noted."""
    settings = read_settings({**site.environ, "FORUM_RATE_LIMITS": "on"})
    how = _traced_sqlite if site.kind == "sqlite" else _logging_postgresql
    with how(site) as log:
        yield create_app(settings), log


@contextmanager
def _traced_sqlite(_site: Site) -> Iterator[Log]:
    """Let SQLite call back for each statement that it runs, on every connection that is opened meanwhile."""
    connect, traced = sqlite3.connect, list[str]()

    def connect_traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(traced.append)
        return connection

    def log() -> list[str]:
        found = list(traced)
        traced.clear()
        return found

    sqlite3.connect = sqlite3.dbapi2.connect = connect_traced  # type: ignore[assignment]
    try:
        yield log
    finally:
        sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]


@contextmanager
def _logging_postgresql(site: Site) -> Iterator[Log]:
    """Let PostgreSQL log every statement with the name of its connection, and read the log."""
    address = site.database_url.replace("+psycopg", "")
    file = Path(address.partition("host=")[2]) / "log"
    marks, place = count(), [file.stat().st_size]
    os.environ["PGAPPNAME"] = NAME
    with psycopg.connect(address, autocommit=True, application_name="bench") as own:
        own.execute("ALTER SYSTEM SET log_statement = 'all'")
        own.execute("ALTER SYSTEM SET log_line_prefix = '<%a>'")
        own.execute("SELECT pg_reload_conf()")

        def log() -> list[str]:
            mark = f"SELECT 'mark {os.getpid()} {next(marks)}'"

            def is_there() -> bool:
                own.execute(mark)
                return mark.encode() in _tail(file, place[0])

            wait_until(is_there, 10, "PostgreSQL does not log")
            text = _tail(file, place[0])
            place[0] += len(text)
            said = re.findall(rf"^<{NAME}>LOG:  (?:statement|execute [^:]*): (.*)$", text.decode(), re.M)
            return list(said)

        try:
            yield log
        finally:
            del os.environ["PGAPPNAME"]
            own.execute("ALTER SYSTEM RESET log_statement")
            own.execute("SELECT pg_reload_conf()")


def _tail(file: Path, place: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(place)
        return opened.read()


def main() -> None:
    """Print every statement of every kind of request."""
    asked = _arguments()
    for kind in KINDS if asked.database == "both" else (asked.database,):
        with made_site(kind, asked.port, (asked.comments,)) as site, site.serve() as product:
            found = statements_of(site, product, (asked.comments,))[asked.comments]
        for what, statements in found.items():
            figure = _figure(asked.comments, what, statements)
            print(f"\n{kind}, {figure.what}: {figure.value:.0f}, {figure.detail}")
            print(*(f"  {' '.join(one.split())[:200]}" for one in statements), sep="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the statements of a page.")
    parser.add_argument("--comments", type=int, default=100)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--port", type=int, default=8330)
    return parser.parse_args()


if __name__ == "__main__":
    main()
