"""How many statements a page costs, counted by the databases themselves while the site answers in this process."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient

from bench.site import Server, Site, wait_until
from bench.table import Figure
from bench.writer import Writer
from bench.wrk import GZIP
from forum.app import create_app
from forum.config import read_settings

LIMITS = {
    "a stranger, kept": 1,
    "a stranger, rendered": None,
    "signed in, kept": 6,
    "posting": 12,
}
BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
"""Where transactions begin and end is told apart: neither reads nor changes a row."""

NAME = "counted"
"""What the counted connections call themselves to PostgreSQL."""

Log = Callable[[], list[str]]
"""Return the statements since the last call."""


def measure_statements(site: Site, product: Server, sizes: tuple[int, int]) -> list[Figure]:
    """Return how many statements each kind of request costs on a small and on a large discussion (5).

    Limits of rate are on, as readers have them.
    """
    reader = site.reader(product.url)
    with _counting(site) as (app, log):
        client = app.test_client(use_cookies=False)
        return [
            figure
            for comments in sizes
            for figure in _measure_one(client, log, reader, site.addresses[comments], comments)
        ]


def _measure_one(
    client: FlaskClient, log: Log, reader: Writer, address: str, comments: int
) -> Iterator[Figure]:
    cookie, tokens = {"Cookie": reader.cookie_header()}, count()

    def post() -> None:
        token = f"counted-{comments}-{next(tokens)}"
        words = {"body": f"Words of {token}.", "form_token": token, "csrf_token": reader.csrf_token}
        _ask(client, "POST", f"{address}/comments", cookie, words)

    found = {
        "a stranger, kept": _count(log, lambda: _ask(client, "GET", address), warm=2),
        "a stranger, rendered": _count(log, lambda: _ask(client, "GET", f"{address}?order=newest")),
        "signed in, kept": _count(log, lambda: _ask(client, "GET", address, cookie), warm=2),
        "posting": _count(log, post, warm=1),
    }
    for what, statements in found.items():
        brackets = sum(one.lstrip().upper().startswith(BRACKETS) for one in statements)
        title = f"statements at {comments:,} comments: {what}"
        detail = f"and {brackets} that begin or end transactions"
        yield Figure("5", title, len(statements) - brackets, "", LIMITS[what], detail=detail)


def _count(log: Log, ask: Callable[[], None], warm: int = 0) -> list[str]:
    for _ in range(warm):
        ask()
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
