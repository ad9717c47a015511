"""Which server, how many workers and threads: granian and gunicorn behind the same bytes, in turn.

python bench/servers.py [--seconds 2] [--rounds 1] [--port 8350]

gunicorn is no part of the product: it is installed for the run, into a temporary folder.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROWS = "BENCH_ROWS"
"""The variable that names the database of the stored bytes."""

BODY = b"x" * 30_000
WORKERS = (1, 2)
THREADS = (1, 2, 4, 8)
BARE = ("/bare", "/304", "/stored")
_own = threading.local()


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer 30 KB, or a 304, or the 30 KB after one indexed read of a row."""
    path = environ["PATH_INFO"]
    if path == "/304":
        start_response("304 Not Modified", [("ETag", '"1"')])
        return []
    if path == "/stored":
        if not hasattr(_own, "rows"):
            _own.rows = sqlite3.connect(os.environ[ROWS], isolation_level=None)
        _own.rows.execute("SELECT version FROM page WHERE name = ?", ("page-77",)).fetchone()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(BODY)))])
    return [BODY]


@dataclass(frozen=True)
class Kind:
    """One way to serve: its name, and the words that start it for a target."""

    name: str
    command: tuple[str, ...]

    def words(self, target: str) -> list[str]:
        """Return the command line."""
        return [*self.command, target]


def main() -> None:
    """Measure every kind, one after the other in each round, and print the best of the rounds."""
    from bench.site import made_site

    asked = _arguments()
    with TemporaryDirectory(prefix="forum-servers-") as name, made_site("sqlite", asked.port, (100,)) as site:
        folder = Path(name)
        _make_rows(folder / "rows.sqlite3")
        environ = {**site.environ, ROWS: str(folder / "rows.sqlite3")}
        kinds = _kinds(asked.port, _gunicorn(folder))
        rates: dict[tuple[str, str], float] = {}
        for _ in range(asked.rounds):
            for kind in kinds:
                for target, paths in (
                    ("bench.servers:application", BARE),
                    ("wsgi:app", [site.addresses[100]]),
                ):
                    for path, rate in _rates(kind.words(target), environ, asked, paths):
                        rates[kind.name, path] = max(rate, rates.get((kind.name, path), 0))
    columns = (*BARE, site.addresses[100])
    print(
        "| server | bare, 30 KB | 304 | 30 KB after one indexed read | the site's essay page, 100 comments |"
    )
    print("|---|---:|---:|---:|---:|")
    for kind in kinds:
        print(f"| {kind.name} | " + " | ".join(f"{rates[kind.name, path]:,.0f}" for path in columns) + " |")


def _rates(
    command: Sequence[str], environ: dict[str, str], asked: argparse.Namespace, paths: Sequence[str]
) -> list[tuple[str, float]]:
    from bench.site import Server

    with Server(command, environ, asked.port, paths[0]) as server:
        return [(path, _rate(server.url + path, asked.seconds)) for path in paths]


def _rate(url: str, seconds: int) -> float:
    """Return requests a second; a 304 is an answer as good as any here, of which wrk is not told."""
    words = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-H", "Accept-Encoding: gzip", url]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(said.split("Requests/sec:")[1].split()[0])


def _kinds(port: int, gunicorn: Path) -> list[Kind]:
    granian = str(Path(sys.executable).with_name("granian"))
    words = (granian, "--interface", "wsgi", "--port", str(port), "--log-level", "error")
    kinds = [
        Kind(
            f"granian, {workers} × {threads}",
            (*words, "--workers", str(workers), "--blocking-threads", str(threads)),
        )
        for workers in WORKERS
        for threads in THREADS
    ]
    for workers in WORKERS:
        for threads in (1, 4):
            other = (str(gunicorn), "-b", f"127.0.0.1:{port}", "--log-level", "error", "-w", str(workers))
            kinds.append(
                Kind(
                    f"gunicorn gthread, {workers} × {threads}",
                    (*other, "-k", "gthread", "--threads", str(threads)),
                )
            )
    return kinds


def _gunicorn(folder: Path) -> Path:
    """Install gunicorn by itself, seeing the site's packages; return its command."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "gunicorn"], check=True)
    packages = folder / "venv" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (packages / "site.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "gunicorn"


def _make_rows(file: Path) -> None:
    rows = sqlite3.connect(file)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("CREATE TABLE page (name TEXT PRIMARY KEY, version INT)")
    rows.executemany("INSERT INTO page VALUES (?, 1)", [(f"page-{number}",) for number in range(1_000)])
    rows.commit()
    rows.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare servers.")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--port", type=int, default=8350)
    return parser.parse_args()


if __name__ == "__main__":
    main()
