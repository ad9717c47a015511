"""A process beside the web worker in which essays are composed, because it can be stopped.

Python-Markdown needs minutes for some texts of a few kilobytes, and a thread cannot be ended from
outside. The process starts with the first essay and composes one at a time. It ends itself when an
essay takes too long, when it has been idle, and when the web worker is gone in whatever way.
"""

import atexit
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from forum.text.composed import Composed

RENDER_CPU_SECONDS = 2.0
# For a machine so busy that two seconds of work take longer; then the process is killed.
ANSWER_WITHIN_SECONDS = 10.0
IDLE_SECONDS = 300.0
MAX_MEMORY_BYTES = 1 << 30


class TookTooLong(Exception):
    """The essay needed more time or memory than an essay may."""


def compose_apart(source: str) -> Composed:
    """Return what `essay_html.compose` makes of `source`, made in the rendering process.

    Raises: TookTooLong; RuntimeError if the process cannot do its work at all.
    """
    return _rendering.compose(source)


class _EndedBefore(RuntimeError):
    pass


# The web worker's end


class _Rendering:
    """The rendering process of this web worker: one essay at a time, whichever thread asks."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Know of no process: there is none yet, or it belongs to whom this one was forked from."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def compose(self, source: str) -> Composed:
        with self._lock:
            try:
                return self._ask(source)
            except _EndedBefore:
                # Idle, or killed by someone: a new one is asked, once.
                return self._ask(source)

    def stop(self) -> int | None:
        """End the process if there is one, and return its status as Popen gives it."""
        process, line = self._process, self._line
        self._process = self._line = None
        if line:
            line.close()
        if not process:
            return None
        try:
            # With its line closed it ends by itself, unless it is busy.
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _ask(self, source: str) -> Composed:
        answer = self._answer(source)
        if answer is None:
            status = self.stop()
            if status == -signal.SIGPROF:
                raise TookTooLong
            raise _EndedBefore(f"the rendering process ended with status {status}")
        if "out_of_memory" in answer:
            raise TookTooLong
        if "failed" in answer:
            raise RuntimeError(f"composing an essay failed with {answer['failed']}")
        return Composed(**answer["composed"])

    def _answer(self, source: str) -> dict[str, Any] | None:
        """Return the answer of the process, started if need be; None if it ended instead."""
        line = self._line or self._start()
        deadline = time.monotonic() + ANSWER_WITHIN_SECONDS
        try:
            _send(line, {"source": source}, deadline)
            return _receive(line, deadline)
        except TimeoutError:
            self.stop()
            raise TookTooLong from None
        except OSError:
            return None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "forum.text.essay_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
            )
        self._line = ours
        return ours


def _environment() -> dict[str, str]:
    """Return ours without the site's settings: no secret is needed there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUM_")}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)}


_rendering = _Rendering()
atexit.register(_rendering.stop)
os.register_at_fork(after_in_child=_rendering.start_anew)


# Both ends: messages of JSON, each behind its length in four bytes


def _send(line: socket.socket, message: dict[str, Any], deadline: float) -> None:
    body = json.dumps(message).encode()
    _wait_until(line, deadline)
    line.sendall(struct.pack("!I", len(body)) + body)


def _receive(line: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Return the next message, or None if the other end is gone."""
    head = _read(line, 4, deadline)
    body = _read(line, struct.unpack("!I", head)[0], deadline) if head else None
    return json.loads(body) if body else None


def _read(line: socket.socket, size: int, deadline: float) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        _wait_until(line, deadline)
        piece = line.recv(min(size - len(data), 1 << 16))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _wait_until(line: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    line.settimeout(left)


# The rendering process's end


def _serve(line: socket.socket) -> None:
    """Compose what comes through `line` until it is closed or silent for long."""
    from forum.text.essay_html import compose  # noqa: PLC0415  # 2 MB and 20 ms that web workers are spared

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the web worker
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    with contextlib.suppress(OSError):  # the other end went away, or was silent for long
        while request := _receive(line, time.monotonic() + IDLE_SECONDS):
            _send(line, _answer(compose, request["source"]), time.monotonic() + IDLE_SECONDS)


def _answer(compose: Callable[[str], Composed], source: str) -> dict[str, Any]:
    # No handler is set: the kernel ends the process, even inside a regular expression.
    signal.setitimer(signal.ITIMER_PROF, RENDER_CPU_SECONDS)
    try:
        return {"composed": asdict(compose(source))}
    except MemoryError:
        return {"out_of_memory": True}
    except Exception as error:
        # Its message may hold the author's words: those belong in no log.
        return {"failed": type(error).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=0))
