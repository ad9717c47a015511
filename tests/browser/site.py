"""A real site for a browser: the server's own command on a free port, with its own database; its mail is read here."""

import html
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
MAIL_SECONDS = 20


class Site:
    """One running site; a context manager. `url` has no slash at its end."""

    def __init__(self, instance: Path, database_url: str | None = None, **settings: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FORUM_")},
            "FORUM_INSTANCE": str(instance),
            "FORUM_SITE_URL": self.url,
            "FORUM_RATE_LIMITS": "off",
            **({"FORUM_DATABASE_URL": database_url} if database_url else {}),
            **settings,
        }
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Site":
        self.forum("db", "upgrade")
        command = [sys.executable, "-m", "forum", "serve", "--port", str(self.port), "--workers", "1"]
        self._server = subprocess.Popen(command, cwd=ROOT, env=self.environ, start_new_session=True)
        self._wait_for_an_answer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                raise

    def forum(self, *arguments: str, typed: str = "") -> str:
        """Run one command of the product and return what it printed."""
        command = [sys.executable, "-m", "forum", *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"forum {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def link_mailed_to(self, address: str, after: int = 0) -> str:
        """Return the newest link mailed to an address, waiting for it."""
        until = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < until:
            for number in self.mails_to(address):
                if number > after and (
                    found := re.search(rf"{re.escape(self.url)}/sign-in/link/[\w-]+", self._mail(number))
                ):
                    return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no link was mailed to {address}")

    def mails_to(self, address: str) -> list[int]:
        """Return the numbers of the mails to an address, newest first."""
        rows = re.findall(r'href="/dev/mail/(\d+)">.*?<bdi>(.*?)</bdi>', self._open("/dev/mail"), flags=re.S)
        return [int(number) for number, to in rows if html.unescape(to) == address]

    def _mail(self, number: int) -> str:
        return html.unescape(self._open(f"/dev/mail/{number}"))

    def _open(self, path: str) -> str:
        with urlopen(self.url + path, timeout=30) as answer:
            return str(answer.read().decode())

    def _wait_for_an_answer(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self._open("/sign-in")
                return
            except (URLError, ConnectionError):
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.1)


def free_port() -> int:
    """Return a port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
