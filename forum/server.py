"""The server: web workers and the mail worker as one process tree that stops cleanly."""

import os
import subprocess
import sys
import threading
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server as Granian
from granian.server.common import AbstractServer

THREADS_A_WORKER = 2
"""One would answer the most requests a second; with two, a sign-in's password hash holds up nobody."""

RESTART_WAIT_SECONDS = 1.0


def serve(host: str, port: int, workers: int, *, with_mail: bool = True) -> None:
    """Serve until SIGTERM or SIGINT: `workers` web processes, and, if wanted, one worker for mail beside them.

    A web or mail process that dies is started again. The mail process ends when this one does, however
    that happens: it watches its standard input.
    """
    os.environ.setdefault("FORUM_SITE_URL", f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")  # noqa: S104
    mail = MailProcess()
    if with_mail:
        mail.start()
    try:
        web_server("wsgi:app", host, port, workers).serve()
    finally:
        mail.stop()


def web_server(target: str, host: str, port: int, workers: int) -> AbstractServer[Any]:
    """Return the server of a WSGI callable, set as the site's own is: the benchmark measures a bare one beside it."""
    return Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS_A_WORKER,
        respawn_failed_workers=True,
        respawn_interval=RESTART_WAIT_SECONDS,
        workers_kill_timeout=10,
        websockets=False,
        log_level=LogLevels.warning,
    )


class MailProcess:
    """The mail worker as a child process that is kept alive."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)

    def start(self) -> None:
        """Start the worker and the thread that starts it again."""
        self._keeper.start()

    def stop(self) -> None:
        """Let the worker finish the mail in its hands and give back what else it had claimed, then end."""
        self._stopping.set()
        child = self._child
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()

    def _keep_alive(self) -> None:
        while not self._stopping.is_set():
            command = [sys.executable, "-m", "forum", "worker", "--with-parent"]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE)
            self._child.wait()
            self._stopping.wait(RESTART_WAIT_SECONDS)
