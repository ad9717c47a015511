"""The supervisor: a small process that holds the listening sockets while generations of workers come and go."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import IO

from forum.server.signals import Signals

BACKLOG = 1_024
"""So many connections wait at the door, while nobody answers, before the next one is refused."""

UNREAD_SECONDS = 30
"""A client that takes nothing of its answer for so long is cut off (TCP_USER_TIMEOUT)."""

THRIFT = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "524288", "MALLOC_TRIM_THRESHOLD_": "2097152"}
"""For glibc: the threads of a worker share two arenas. What is large goes back to the system at once, but not the room
that a page of text takes: to have it back took a seventh of the time in which one is made."""

RESTART_WAIT_SECONDS = 1.0
STOP_SECONDS = 25
"""Longer than a generation waits for its workers."""


def serve(host: str, port: int, workers: int, *, with_mail: bool = True) -> int:
    """Serve the site until SIGTERM or SIGINT, and return the exit status.

    `workers` web processes, and, if wanted, one worker for mail beside them, are a generation. At SIGHUP, and when
    one of them dies, a new generation begins, with the code and the settings of then; the one before leaves
    without failing a request. A new one that does not start leaves the old one serving.
    """
    os.environ.setdefault("FORUM_SITE_URL", f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")  # noqa: S104
    return web_server("wsgi:app", host, port, workers, with_mail=with_mail).serve()


def web_server(target: str, host: str, port: int, workers: int, *, with_mail: bool = False) -> "Supervisor":
    """Return the server of a WSGI callable, set as the site's own is: the benchmark measures a bare one beside it."""
    return Supervisor(target, host, port, workers, with_mail=with_mail)


@dataclass
class Generation:
    """The process that forks workers and keeps them; it ends them when its standard input is closed, as by our end."""

    process: subprocess.Popen[bytes]
    told: IO[bytes]
    """Where it says that its workers have begun."""

    @property
    def has_ended(self) -> bool:
        """Tell whether the process is gone."""
        return self.process.poll() is not None


class Supervisor:
    """Keeps one generation serving. It imports next to nothing, so that it can hold the door for long."""

    def __init__(self, target: str, host: str, port: int, workers: int, *, with_mail: bool) -> None:
        self._arguments = [target, str(workers), str(int(with_mail))]
        self._host, self._port, self._workers = host, port, workers
        self._serving: Generation | None = None
        self._coming: Generation | None = None
        self._leaving: list[Generation] = []
        self._begin_at: float | None = None
        self._has_served = False

    def serve(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit status, which is another than 0 if nothing ever started."""
        try:
            self._doors = _doors(self._host, self._port, self._workers)
        except OSError as error:
            print(f"Error: cannot listen on {self._host}:{self._port}: {error.strerror}.", file=sys.stderr)
            return 1
        signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        self._begin()
        status: int | None = None
        while status is None:
            wait = None if self._begin_at is None else max(0.0, self._begin_at - time.monotonic())
            heard, told = signals.wait(wait, [self._coming.told.fileno()] if self._coming else [])
            if heard & {signal.SIGTERM, signal.SIGINT}:
                status = 0
            elif told or signal.SIGCHLD in heard:
                status = self._look_around(is_told=bool(told))
            if signal.SIGHUP in heard or self._is_due():
                self._begin()
        self._end()
        return status

    def _begin(self) -> None:
        """Start a generation, unless one is coming already."""
        self._begin_at = None
        if self._coming is not None:
            self._begin_at = time.monotonic() + RESTART_WAIT_SECONDS
            return
        out, into = os.pipe()
        doors = [door.fileno() for door in self._doors]
        command = [sys.executable, "-m", "forum.server.generation", ",".join(map(str, doors)), str(into)]
        # Blocked signals stay blocked in what we start: Ctrl+C is for us alone, who then end the others in order.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process = subprocess.Popen(
            [*command, *self._arguments],
            stdin=subprocess.PIPE,
            pass_fds=(*doors, into),
            env={**THRIFT, **os.environ},
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.close(into)
        self._coming = Generation(process, os.fdopen(out, "rb"))

    def _is_due(self) -> bool:
        return self._begin_at is not None and time.monotonic() >= self._begin_at

    def _look_around(self, *, is_told: bool) -> int | None:
        """See who has begun and who has ended. Returns the exit status when there is no use in going on."""
        if self._coming is not None:
            if is_told and self._coming.told.read(1):
                self._take_over(self._coming)
            elif is_told or self._coming.has_ended:
                gone, self._coming = self._coming, None
                gone.told.close()
                gone.process.wait()
                if not self._has_served:
                    return gone.process.returncode or 1
                print("The new generation did not start.", file=sys.stderr, flush=True)
        if self._serving is not None and self._serving.has_ended:
            self._serving = None
        if self._serving is None and self._coming is None and self._begin_at is None:
            self._begin_at = time.monotonic() + RESTART_WAIT_SECONDS
        self._leaving = [one for one in self._leaving if not one.has_ended]
        return None

    def _take_over(self, coming: Generation) -> None:
        coming.told.close()
        if self._serving is not None:
            self._serving.process.send_signal(signal.SIGUSR1)
            self._leaving.append(self._serving)
        if not self._has_served:
            print(f"Serving on http://{self._host}:{self._port}/ until Ctrl+C.", flush=True)
        self._serving, self._coming, self._has_served = coming, None, True

    def _end(self) -> None:
        """Let every generation finish what it has in hand."""
        for door in self._doors:
            door.close()
        everyone = [one for one in (self._serving, self._coming, *self._leaving) if one is not None]
        for one in everyone:
            one.process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for one in everyone:
            try:
                one.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def _doors(host: str, port: int, workers: int) -> list[socket.socket]:
    """Return a socket for each worker, at one address. What waits in one belongs to none who may die.

    The system spreads those who come over them; from one socket, the worker that wakes first takes all. They listen as
    soon as the first generation can answer. Raises: OSError, where somebody else listens at the address.
    """
    if workers == 1 or sys.platform != "linux":  # elsewhere the last one gets all
        return [_bind(host, port)]
    with _bind(host, port) as first:  # the others would be let in beside another server
        port = first.getsockname()[1]
    return [_bind(host, port, is_shared=True) for _ in range(workers)]


def _bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # What is set here is so for every connection accepted from it.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1_000)
    door.bind((host, port))
    door.setblocking(False)
    return door
