"""The real server is killed with SIGKILL while eight clients post: nothing acknowledged is lost, nothing is doubled."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select, text

from bench.site import process_name, tree
from forum.database import db, is_sqlite
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.event import Event
from tests.cast import Cast, Visitor
from tests.conftest import make_app
from tests.discussion.rows import wrong_counters

CLIENTS = 8
KILLS = 2
POSTING_SECONDS = 0.5
START_SECONDS = 30


def test_what_was_acknowledged_survives_every_kill_exactly_once(cast: Cast, server: "Server") -> None:
    clients = [Client(reader, server.port) for reader in readers(cast)]
    stop = threading.Event()
    threads = [threading.Thread(target=client.post_until, args=(stop,)) for client in clients]
    server.start()
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            wait_for_progress(clients)
            time.sleep(POSTING_SECONDS)
            server.kill()
            server.start()
        wait_for_progress(clients)
        time.sleep(POSTING_SECONDS)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=START_SECONDS)
    server.kill()  # once more, without a chance to put anything in order
    assert not any(thread.is_alive() for thread in threads)
    acknowledged = {key: one for client in clients for key, one in client.acknowledged.items()}
    assert len(acknowledged) > CLIENTS * (KILLS + 1)
    assert sum(client.retries for client in clients) > 0
    assert [answer for client in clients for answer in client.unexpected] == []
    check_rows(cast.app, acknowledged)
    assert wrong_counters(cast.app, {client.reader.user_id or 0: 2 for client in clients}) == []


def test_what_is_no_proper_request_is_refused_over_the_wire_and_the_server_goes_on(tmp_path: Path) -> None:
    app, server = small_site(tmp_path)
    Cast(app)
    server.start()
    try:
        check_manners(server)
    finally:
        server.kill()
    with app.app_context():
        assert db.session.scalars(select(Comment)).all() == []


def test_the_worker_for_mail_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    _, server = small_site(tmp_path)
    server.start()
    try:
        first = wait_for_mail_worker(server, other_than=None)
        os.kill(first, signal.SIGKILL)
        wait_for_mail_worker(server, other_than=first)
    finally:
        server.kill()


def small_site(folder: Path) -> tuple[Flask, "Server"]:
    """Return a site over an SQLite file, and its server, not yet started."""
    database_url = f"sqlite:///{folder / 'forum.sqlite3'}"
    app = make_app(database_url, folder)
    with app.app_context():
        upgrade()
    return app, Server(database_url, folder)


def check_manners(server: "Server") -> None:
    """Send what no browser sends, then what every browser does."""
    chunked = (
        b"POST /essays/on-tides/comments HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
        b"f\r\nbody=some+words\r\n0\r\n\r\n"
    )
    assert speak(server.port, chunked).startswith(b"HTTP/1.1 411")
    large = (
        b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\nConnection: close\r\n\r\nx"
    )
    assert speak(server.port, large).startswith(b"HTTP/1.1 413")
    empty = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert speak(server.port, empty).startswith(b"HTTP/1.1 400")
    foreign = b"GET /essays/on-tides HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert speak(server.port, foreign).startswith(b"HTTP/1.1 400")
    fine = b"GET /essays/on-tides HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert speak(server.port, fine).startswith(b"HTTP/1.1 200")


def wait_for_mail_worker(server: "Server", *, other_than: int | None) -> int:
    """Wait until there is a process that sends mail, another one than before; return its id."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        for process in server.processes():
            if process_name(process) == "forum-mail" and process != other_than:
                return process
        time.sleep(0.02)
    pytest.fail("nobody sends mail")


class Server:
    """The site as `forum serve` runs it, on a free port, in a process group of its own."""

    def __init__(self, database_url: str, instance: Path) -> None:
        self.port = free_port()
        self._log = instance / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("FORUM_")}
        self._environ |= {
            "FORUM_DATABASE_URL": database_url,
            "FORUM_INSTANCE": str(instance),
            "FORUM_SECRET_KEY": "only for tests " * 4,
            "FORUM_SITE_URL": f"http://127.0.0.1:{self.port}",
            "FORUM_RATE_LIMITS": "off",
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "forum", "serve", "--workers", "2", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if answers(self.port):
                return
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        pytest.fail(f"the server did not answer: {self._log.read_text()}")

    def processes(self) -> list[int]:
        """Return the whole tree."""
        return [] if self._process is None else tree(self._process.pid)

    def kill(self) -> None:
        """End the whole process group with SIGKILL and wait until nobody listens."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        until = time.monotonic() + START_SECONDS
        while answers(self.port):
            assert time.monotonic() < until, "a worker outlived its process group"
            time.sleep(0.02)


@pytest.fixture
def server(app: Flask, database_url: str, tmp_path: Path) -> Iterator[Server]:
    """Return the server over the test's database, not yet started; gone after the test."""
    with app.app_context():
        db.engine.dispose()
    one = Server(database_url, tmp_path)
    yield one
    one.kill()


@dataclass
class Client:
    """A reader's browser that posts, and posts again under the same form token until it is told that it arrived."""

    reader: Visitor
    port: int
    acknowledged: dict[tuple[int, str], int] = field(default_factory=dict)
    retries: int = 0
    unexpected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._csrf_token = self.reader.token()
        cookie = self.reader.client.get_cookie("forum")
        assert cookie is not None
        self._cookie = f"forum={cookie.value}"

    def post_until(self, stop: threading.Event) -> None:
        """Post one comment after the other, every second one as a reply to the one before."""
        parent, number = "", 0
        while not stop.is_set():
            number += 1
            comment = self._post(f"token-{number}", f"Comment {number} of {self.reader.name}.", parent)
            if comment is None:
                return
            self.acknowledged[self.reader.user_id or 0, f"token-{number}"] = comment
            parent = str(comment) if number % 4 else ""

    def _post(self, form_token: str, body: str, parent: str) -> int | None:
        form = {"csrf_token": self._csrf_token, "form_token": form_token, "body": body, "parent_id": parent}
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                status, location = self._send(form)
            except (OSError, http.client.HTTPException):
                self.retries += 1
                time.sleep(0.05)
                continue
            if status == 303 and "comment-" in location:
                return int(location.rpartition("comment-")[2])
            self.unexpected.append(f"{status} {location}")
            return None
        self.unexpected.append("no answer in time")
        return None

    def _send(self, form: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request("POST", f"/essays/{Cast.slug}/comments", urlencode(form), headers)
            answer = connection.getresponse()
            said = re.sub(r"<[^>]+>|\s+", " ", answer.read().decode())
            return answer.status, answer.headers.get("Location", said)
        finally:
            connection.close()


def check_rows(app: Flask, acknowledged: dict[tuple[int, str], int]) -> None:
    """Compare what clients were told with what is stored, and have the database check itself."""
    with app.app_context():
        if is_sqlite():
            assert db.session.scalar(text("PRAGMA integrity_check")) == "ok"
            assert db.session.execute(text("PRAGMA foreign_key_check")).all() == []
        rows = db.session.execute(select(Comment.author_id, Comment.form_token, Comment.id)).all()
        stored = {(author, token): one for author, token, one in rows}
        assert len(stored) == len(rows)
        assert {key: stored.get(key) for key in acknowledged} == acknowledged
        bodies = db.session.scalars(select(CommentRevision.source)).all()
        assert len(bodies) == len(set(bodies)) == len(rows)
        # Up to one comment of each client may have been stored whose answer the end of the test cut off.
        assert len(rows) - len(acknowledged) <= CLIENTS
        events = db.session.scalars(select(Event.comment_id).where(Event.act == "post")).all()
        assert sorted(str(one) for one in events) == sorted(str(row.id) for row in rows)


def readers(cast: Cast) -> list[Visitor]:
    """Return eight readers in good standing."""
    return [cast.person(f"reader {number}", accepted_comments=2) for number in range(CLIENTS)]


def wait_for_progress(clients: list[Client]) -> None:
    """Wait until every client had another comment acknowledged."""
    before = [len(client.acknowledged) for client in clients]
    until = time.monotonic() + START_SECONDS
    while any(len(client.acknowledged) == count for client, count in zip(clients, before, strict=True)):
        assert time.monotonic() < until, [client.unexpected for client in clients]
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def speak(port: int, request: bytes) -> bytes:
    """Send bytes and return the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(4_096)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
