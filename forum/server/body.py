"""Bodies of requests, read whole before the application sees them, so that a slow client holds up nobody else."""

import logging
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODIES_AT_ONCE = 16
"""So many bodies may be late at once, each worker; a proxy that buffers them never lets one be."""

MOST_BYTES = 32 * 1_024 * 1_024
"""Of all bodies that a worker has in hand, those for which there is no thread yet among them."""

LARGEST_BYTES = 8 * 1_024 * 1_024
"""No address takes more. A longer one is not read: the application refuses it by its announced length."""

QUEUE_SECONDS = 1.0
"""Nearly every body is there when it is read. Where all that are read are late, the next are asked to come again."""

BODY_SECONDS = 10
SLOWEST_BYTES_A_SECOND = 32 * 1_024
"""A large body has a second more for each of these."""

LOOK_SECONDS = 0.5
"""How often somebody looks for bodies whose time is over."""

TOO_MUCH = ("503 Service Unavailable", "Too much arrives at once. Try again.")

log = logging.getLogger("forum.server")

Refuse = Callable[[str, str], None]
"""Answers a request with a status and a sentence."""


@dataclass
class Arriving:
    """A body that is on its way."""

    scope: "WSGIEnvironment"
    length: int
    until: float
    """By when it is to be read, and, once it is, by when it is to be there, in monotonic time."""
    then: Callable[[], None]
    """What to do when it is there; it takes the place of what it was read from."""
    refuse: Refuse


class Bodies:
    """Waits for the bodies of requests: each in a thread that nobody else needs, for nothing else can wait for one."""

    def __init__(self, port: int, work: Executor) -> None:
        """Begin. What is to be done with bodies that are there, `work` does."""
        self._port = port
        self._work = work
        self._threads = ThreadPoolExecutor(BODIES_AT_ONCE, "body")
        self._numbers = count()
        self._queued: dict[int, Arriving] = {}
        self._read: dict[int, Arriving] = {}
        self._in_hand = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="bodies", daemon=True).start()

    def wait_for(self, scope: "WSGIEnvironment", then: Callable[[], None], refuse: Refuse) -> None:
        """Do something when a body has arrived; refuse the request if it does not."""
        length = body_length(scope)
        with self._lock:
            has_room = self._in_hand + length <= MOST_BYTES
            self._in_hand += length if has_room else 0
        if not has_room:
            return refuse(*TOO_MUCH)
        number = next(self._numbers)
        self._queued[number] = Arriving(scope, length, time.monotonic() + QUEUE_SECONDS, then, refuse)
        self._threads.submit(self._receive, number)
        return None

    def _receive(self, number: int) -> None:
        body = self._queued.pop(number, None)
        if body is None:
            return  # it waited too long, and was refused
        body.until = time.monotonic() + BODY_SECONDS + body.length / SLOWEST_BYTES_A_SECOND
        self._read[number] = body
        try:
            content = body.scope["wsgi.input"].read(body.length)
        except OSError:
            content = b""  # what is missing is seen by its length
        finally:
            del self._read[number]
        if len(content) == body.length:
            body.scope["wsgi.input"] = BytesIO(content)
            self._work.submit(self._finish, body)
        elif time.monotonic() < body.until:
            self._refuse(body, "400 Bad Request", "What you sent did not arrive whole.")
        else:
            self._refuse(body, "408 Request Timeout", "What you sent did not arrive in time.")

    def _finish(self, body: Arriving) -> None:
        try:
            body.then()
        finally:
            self._let_go(body)

    def _refuse(self, body: Arriving, status: str, sentence: str) -> None:
        self._let_go(body)
        body.refuse(status, sentence)

    def _let_go(self, body: Arriving) -> None:
        with self._lock:
            self._in_hand -= body.length

    def _watch(self) -> None:
        """Refuse who waits too long for somebody to read, and cut off who is too slow: then nothing more is read."""
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self._look(time.monotonic())
            except Exception:  # no file can be opened, for instance; later there may be one
                log.exception("slow clients were not cut off")

    def _look(self, now: float) -> None:
        for number, body in list(self._queued.items()):
            if body.until < now and self._queued.pop(number, None) is body:
                self._refuse(body, *TOO_MUCH)
        for body in list(self._read.values()):
            if body.until < now:
                cut_off(body.scope.get("REMOTE_ADDR", ""), self._port, BODY_SECONDS - 1)


def cut_off(address: str, port: int, seconds: int) -> None:
    """Close the connections from an address to our port to which nothing was sent for so long: nobody answered them.

    A server behind WSGI does not say which connection a request came by. Does nothing where there is no TCP_INFO.
    """
    for name in os.listdir("/proc/self/fd") if hasattr(socket, "TCP_INFO") else ():
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with connection:
            try:
                is_theirs = connection.getpeername()[0] == address and connection.getsockname()[1] == port
                if is_theirs and _quiet_ms(connection) >= seconds * 1_000:
                    connection.shutdown(socket.SHUT_RDWR)
            except (OSError, IndexError):
                continue


def _quiet_ms(connection: socket.socket) -> int:
    """Return how long ago something was last sent: `tcpi_last_data_sent` of linux/tcp.h."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 48)
    milliseconds: int = struct.unpack_from("=I", info, 44)[0]
    return milliseconds


def body_length(scope: "WSGIEnvironment") -> int:
    """Return how many bytes are to be waited for: none of what is too long."""
    try:
        length = int(scope.get("CONTENT_LENGTH", 0))
    except ValueError:
        return 0
    return length if length <= LARGEST_BYTES else 0
