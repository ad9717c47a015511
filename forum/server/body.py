"""Bodies of requests, read whole before the application sees them, so that a slow client holds up nobody else."""

import os
import socket
import stat
import struct
import threading
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BODIES_AT_ONCE = 1
"""So many requests of one worker may wait for their bodies; a proxy that buffers them never lets one wait."""

LARGEST_BYTES = 8 * 1_024 * 1_024
"""No address takes more. A longer one is not read: the application refuses it by its announced length."""

AT_ONCE_SECONDS = 0.1
"""Nearly every body is there by then; a late one is waited for if no other is. Who waits keeps a thread from others."""

BODY_SECONDS = 10
SLOWEST_BYTES_A_SECOND = 32 * 1_024
"""A large body has a second more for each of these."""


class Bodies:
    """Gives the application requests with bodies that have arrived, and answers for it where they do not."""

    def __init__(self, application: "WSGIApplication", port: int) -> None:
        self._application = application
        self._port = port
        self._room = threading.BoundedSemaphore(BODIES_AT_ONCE)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request that announces the length of its body."""
        length = _length(environ)
        if not 0 < length <= LARGEST_BYTES:
            return self._application(environ, start_response)
        body = _Body(environ["wsgi.input"], length)
        if not body.has_come.wait(AT_ONCE_SECONDS):
            if not self._room.acquire(blocking=False):
                return _refuse(
                    start_response, "503 Service Unavailable", "Too much arrives at once. Try again."
                )
            try:
                body.has_come.wait(BODY_SECONDS + length / SLOWEST_BYTES_A_SECOND)
            finally:
                self._room.release()
        if not body.has_come.is_set():
            cut_off(environ.get("REMOTE_ADDR", ""), self._port, BODY_SECONDS - 1)
            return _refuse(start_response, "408 Request Timeout", "What you sent did not arrive in time.")
        if len(body.content) < length:
            return _refuse(start_response, "400 Bad Request", "What you sent did not arrive whole.")
        environ["wsgi.input"] = BytesIO(body.content)
        return self._application(environ, start_response)


class _Body:
    """A body on its way, read by a thread of its own: there is no other way to stop waiting for it."""

    def __init__(self, source: BytesIO, length: int) -> None:
        self.content = b""
        self.has_come = threading.Event()
        self._source, self._length = source, length
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            self.content = self._source.read(self._length)
        except OSError:
            pass  # what is missing is seen by its length
        finally:
            self.has_come.set()


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


def _length(environ: "WSGIEnvironment") -> int:
    try:
        return int(environ["CONTENT_LENGTH"])
    except ValueError:
        return 0


def _refuse(start_response: "StartResponse", status: str, sentence: str) -> list[bytes]:
    start_response(
        status, [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"), ("Retry-After", "5")]
    )
    return [sentence.encode()]
