"""The real server over the wire: it restarts without failing a request, outlives its processes and bad clients."""

import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.site import children, process_name, tree
from forum.server.body import Bodies
from tests.server.test_kill import free_port

LONGEST_SECONDS = 30
READERS = 4
SITE = """
import os, time
from io import BytesIO
from werkzeug.wsgi import FileWrapper
from forum.finding import Unmade, may_make_here

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    if environ["PATH_INFO"] == "/made":
        if not may_make_here():
            raise Unmade
        while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
            time.sleep(0.01)
    if environ["PATH_INFO"] == "/file":
        if not may_make_here():
            raise Unmade
        start_response("200 OK", [("Content-Length", "50000000")])
        return FileWrapper(BytesIO(bytes(50_000_000)))
    body = environ["wsgi.input"].read() if environ.get("CONTENT_LENGTH") else b"generation {number}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""
"""The server is the real one; a small application behind it starts in no time."""


def test_a_restart_brings_the_new_code_and_fails_no_request(site: "Site") -> None:
    readers = [Reader(site.port) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    old = set(site.web_workers())
    site.write(2)
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: all(reader.said == b"generation 2" for reader in readers))
    wait_until(lambda: not old & set(site.web_workers()))
    for reader in readers:
        reader.stop()
    assert [reader.failures for reader in readers] == [[]] * READERS
    assert len(site.web_workers()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers share one socket")
def test_those_who_come_at_once_are_spread_over_the_workers(site: "Site") -> None:
    def sockets() -> list[int]:
        return [len(os.listdir(f"/proc/{worker}/fd")) for worker in site.web_workers()]

    before = sockets()
    connections = [site.connect(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n") for _ in range(32)]
    for connection in connections:
        assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
    assert all(more - less > 3 for less, more in zip(before, sockets(), strict=True))
    for connection in connections:
        connection.close()


def test_a_second_server_at_the_same_address_is_refused(site: "Site") -> None:
    second = subprocess.run(
        site.command, check=False, env=site.environ, capture_output=True, text=True, timeout=LONGEST_SECONDS
    )
    assert second.returncode == 1
    assert "cannot listen" in second.stderr
    assert site.get("/") == b"generation 1"


def test_new_code_that_does_not_start_leaves_the_old_one_serving(site: "Site") -> None:
    old = site.web_workers()
    site.file.write_text("no python")
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "did not start" in site.log.read_text())
    assert site.get("/") == b"generation 1"
    assert site.web_workers() == old


def test_a_request_in_hand_is_answered_when_the_server_is_told_to_stop(site: "Site") -> None:
    asking = site.connect(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    time.sleep(0.3)
    processes = tree(site.process.pid)
    site.process.terminate()
    assert site.process.wait(LONGEST_SECONDS) == 0
    assert b"generation 1" in asking.makefile("rb").read()
    asking.close()
    assert not any(is_alive(process) for process in processes)
    assert "Traceback" not in site.log.read_text()


def test_whoever_of_the_server_is_killed_is_replaced_and_with_the_first_all_end(site: "Site") -> None:
    for who in (lambda: site.web_workers()[0], lambda: children(site.process.pid)[-1]):
        before = site.web_workers()
        os.kill(who(), signal.SIGKILL)
        wait_until(lambda before=before: len(set(site.web_workers()) - set(before)) >= 2)  # type: ignore[misc]
        assert site.get("/") == b"generation 1"
    processes = tree(site.process.pid)
    site.process.kill()
    site.process.wait()
    wait_until(lambda: not any(is_alive(process) for process in processes))


def test_clients_that_stall_hold_up_nobody(site: "Site") -> None:
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    stalled = [site.connect(head) for _ in range(20)]
    stalled += [site.connect(head + b"Content-Length: 100\r\n\r\nwords") for _ in range(20)]
    assert site.get("/") == b"generation 1"
    whole = site.connect(head + b"Content-Length: 5\r\nConnection: close\r\n\r\nwords")
    assert whole.makefile("rb").read().endswith(b"words")
    long = site.connect(b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n")
    assert is_turned_away(long)
    for connection in (*stalled, whole, long):
        connection.close()


def test_what_takes_its_time_holds_up_nobody_who_asks_for_what_is_there(site: "Site") -> None:
    asking = [
        site.connect(b"GET /made HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n") for _ in range(20)
    ]
    assert site.get("/") == b"generation 1"
    (site.file.parent / "go").touch()
    for connection in asking:
        assert connection.makefile("rb").read().endswith(b"generation 1")
        connection.close()


def is_turned_away(connection: socket.socket) -> bool:
    """Tell whether a request was refused as too long, or cut: the answer to what is not read on may get lost."""
    try:
        return b" 431 " in connection.recv(100)
    except ConnectionResetError:
        return True


def test_a_body_that_does_not_come_is_given_up_and_its_connection_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("forum.server.body.BODY_SECONDS", 0.1)
    reached: list[str] = []
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        bodies = Bodies(door.getsockname()[1], ThreadPoolExecutor())
        client = socket.create_connection(door.getsockname(), LONGEST_SECONDS)
        server, _ = door.accept()
        client.sendall(b"wor")
        scope = {"CONTENT_LENGTH": "100", "wsgi.input": server.makefile("rb"), "REMOTE_ADDR": "127.0.0.1"}
        bodies.wait_for(scope, lambda: reached.append("it"), lambda status, _: said.append(status))
        assert client.recv(1) == b""
        wait_until(lambda: bool(said))
        assert (said, reached) == (["408 Request Timeout"], [])
        client.close()
        server.close()


def test_who_sent_everything_is_not_refused_however_long_the_work_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("forum.server.body.QUEUE_SECONDS", 0.1)
    monkeypatch.setattr("forum.server.body.LOOK_SECONDS", 0.05)
    may_work, done, refused = threading.Event(), list[object](), list[str]()
    bodies = Bodies(0, ThreadPoolExecutor(1))
    for _ in range(40):
        scope = {"CONTENT_LENGTH": "5", "wsgi.input": io.BytesIO(b"words")}
        bodies.wait_for(
            scope, lambda: done.append(may_work.wait(LONGEST_SECONDS)), lambda *said: refused.append(said[0])
        )
    time.sleep(0.3)
    may_work.set()
    wait_until(lambda: len(done) == 40)
    assert refused == []


def test_who_takes_a_large_file_slowly_holds_up_only_large_files(site: "Site") -> None:
    slow = [site.connect(b"GET /file HTTP/1.1\r\nHost: here\r\n\r\n") for _ in range(10)]
    for connection in slow:
        assert connection.recv(12) == b"HTTP/1.1 200"
    (site.file.parent / "go").touch()
    assert site.get("/made") == b"generation 1"
    for connection in slow:
        connection.close()


class Site:
    """A small application behind the real server."""

    def __init__(self, folder: Path) -> None:
        self.file, self.log, self.port = folder / "small_site.py", folder / "log", free_port()
        self.write(1)
        program = (
            "import sys; from forum.server.supervisor import web_server; "
            f"sys.exit(web_server('small_site:app', '127.0.0.1', {self.port}, 2).serve())"
        )
        self.command = [sys.executable, "-c", program]
        self.environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environ, stdout=log, stderr=log)
        wait_until(lambda: "Serving" in self.log.read_text() and len(self.web_workers()) == 2)

    def write(self, number: int) -> None:
        """Write the application's code, whose answer tells its number."""
        self.file.write_text(SITE.replace("{number}", str(number)))

    def web_workers(self) -> list[int]:
        """Return the processes that answer requests."""
        return [one for one in tree(self.process.pid) if process_name(one) == "forum-web"]

    def connect(self, request: bytes) -> socket.socket:
        """Open a connection and send the beginning of a request."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST_SECONDS)
        connection.sendall(request)
        return connection

    def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_SECONDS)
        connection.request("GET", path)
        body = connection.getresponse().read()
        connection.close()
        return body


class Reader(threading.Thread):
    """Somebody who asks again and again over one connection, until an answer says that it was the last on it."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.said = b""
        self.failures: list[str] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_SECONDS)
        self._is_over = threading.Event()

    def run(self) -> None:
        """Ask until it is over."""
        while not self._is_over.wait(0.002):
            try:
                self._connection.request("GET", "/")
                self.said = self._connection.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                self._connection.close()

    def stop(self) -> None:
        """Ask no more."""
        self._is_over.set()
        self.join()
        self._connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a site that serves; gone after the test."""
    one = Site(tmp_path)
    yield one
    for process in tree(one.process.pid):
        if is_alive(process):
            os.kill(process, signal.SIGKILL)
    one.process.wait()


def is_alive(process: int) -> bool:
    """Tell whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)
