"""The threads of a web worker: one hands out what is kept, others look at the database, work, or wait for bodies."""

import logging
import sys
import threading
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, cast

from werkzeug.wsgi import FileWrapper

from forum.database import NEXT
from forum.finding import MAKER, Unmade, Unread, only_find_here, only_finding
from forum.rawreads import moment
from forum.server.body import Bodies, body_length

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WORK_THREADS = 4
"""For requests that bring something, and as many for the others. They take turns with the interpreter's lock, but
also wait for the disk and for each other."""

FILES_AT_ONCE = 16
"""So many large files may be on their way at once; who takes one slowly holds up only those who want one too."""

SMALL_FILE = 256 * 1_024

ALONE_SECONDS = 0.05
"""So long whoever brings something waits for another one to be done: side by side they only wait for the interpreter,
and one of them with the turn to write. Eight who posted at once were a fifth faster one by one."""

SAME_FOR_ALL: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "forum",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}

log = logging.getLogger("forum.server")


class Wire(Protocol):
    """Granian's side of a request: whoever has it may answer, in any thread and at any time."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send an answer."""

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Any) -> None:
        """Send an answer in pieces, which come from `__next__()`; with `close()` at the end."""


class Crew:
    """What granian calls with each request, in the only Python thread that it has; the request may go on to another.

    So what takes long, what waits for a lock and who sends slowly hold up nobody who reads what is kept.
    """

    def __init__(self, application: "WSGIApplication", port: int) -> None:
        self._application = application
        self._work = ThreadPoolExecutor(WORK_THREADS, "work")
        # One page after the other: two at once take twice as long, and the first one is what most people wait for.
        self._pages = ThreadPoolExecutor(1, "page")
        self._files = ThreadPoolExecutor(FILES_AT_ONCE, "file")
        self._bodies = Bodies(port, ThreadPoolExecutor(WORK_THREADS, "write"))
        self._alone = threading.Lock()
        self._unread: SimpleQueue[tuple[Wire, WSGIEnvironment]] = SimpleQueue()
        threading.Thread(target=self._read, name="read", daemon=True).start()
        self._waiting: dict[Hashable, list[tuple[Wire, WSGIEnvironment]]] = {}
        """By what they wait for, which a thread is making."""
        self._lock = threading.Lock()
        self._only_finds = False
        self.is_leaving = False

    def __call__(self, wire: Wire, scope: "WSGIEnvironment") -> None:
        """Answer a request at once if that can be, else see to it that it is answered."""
        if not self._only_finds:
            self._only_finds = True
            only_find_here()
        if "CONTENT_LENGTH" not in scope:
            self._find(wire, scope)
        elif body_length(scope) > 0:
            self._bodies.wait_for(scope, partial(self._write, wire, scope), partial(_refuse, wire))
        else:
            self._make(wire, scope, None)

    def _find(self, wire: Wire, scope: "WSGIEnvironment") -> None:
        """Answer with what is kept, or pass the request on."""
        try:
            self._answer(wire, scope)
        except Unread:
            self._unread.put((wire, scope))
        except Unmade as missing:
            self._make(wire, scope, missing.key)

    def _read(self) -> None:
        """Answer those who need a look at the database: all who came while the last ones were answered with one."""
        only_find_here()
        while True:
            together = [self._unread.get()]
            while not self._unread.empty():
                together.append(self._unread.get())
            with moment():
                for wire, scope in together:
                    try:
                        self._answer(wire, scope)
                    except Unmade as missing:
                        self._make(wire, scope, missing.key)
                    except Exception:  # no thread can be begun, for instance
                        log.exception("a request was not passed on")

    def _write(self, wire: Wire, scope: "WSGIEnvironment") -> None:
        """Answer a request that brings something: one by one until each is stored, unless it takes long."""
        alone = ExitStack()
        if self._alone.acquire(timeout=ALONE_SECONDS):
            alone.callback(self._alone.release)
        with alone:
            self._answer(wire, scope | {NEXT: alone.close, MAKER: self._pages.submit})

    def _make(self, wire: Wire, scope: "WSGIEnvironment", key: Hashable) -> None:
        """Have a request answered by a thread that may take its time; who needs the same waits until it is made."""
        if key is None:
            self._work.submit(self._answer, wire, scope)
            return
        with self._lock:
            if key in self._waiting:
                self._waiting[key].append((wire, scope))
                return
            self._waiting[key] = []
        self._pages.submit(self._make_for_all, wire, scope, key)

    def _make_for_all(self, wire: Wire, scope: "WSGIEnvironment", key: Hashable) -> None:
        try:
            self._answer(wire, scope)
        finally:
            with self._lock:
                waiting = self._waiting.pop(key)
        with only_finding():
            for one in waiting:
                try:
                    self._answer(*one)
                except Unread:
                    self._unread.put(one)
                except Unmade:  # perhaps it cannot be kept: then nobody is to wait for others again
                    self._make(*one, None)

    def _answer(self, wire: Wire, scope: "WSGIEnvironment") -> None:
        start = _Start()
        try:
            body = self._application(SAME_FOR_ALL | scope, cast("StartResponse", start))
            headers = [*start.headers, ("Connection", "close")] if self.is_leaving else start.headers
            if isinstance(body, list):
                wire.response_bytes(start.status, headers, body[0] if len(body) == 1 else b"".join(body))
            elif isinstance(body, FileWrapper) and int(dict(headers).get("Content-Length", 0)) > SMALL_FILE:
                self._files.submit(wire.response_iter, start.status, headers, _Pieces(body))
            else:
                wire.response_iter(start.status, headers, _Pieces(body))
        except Unmade:
            raise
        except Exception:
            log.exception("a request failed")
            _refuse(wire, "500 Internal Server Error", "Something went wrong here.")


def _refuse(wire: Wire, status: str, sentence: str) -> None:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"), ("Retry-After", "5")]
    wire.response_bytes(int(status[:3]), headers, sentence.encode())


class _Start:
    """What an application says of its answer before its body."""

    __slots__ = ("headers", "status")

    def __call__(self, status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        self.status = int(status[:3])
        self.headers = headers


class _Pieces:
    """A body as granian asks for it."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._pieces: Iterator[bytes] = iter(body)

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
