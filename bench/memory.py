"""What the whole server takes: time to its first answer, and memory after thousands of different pages.

python bench/memory.py [--pages 10000] [--rounds 5] [--database sqlite|postgresql] [--port 8340]
"""

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import select

from bench.site import KINDS, Server, Site, made_site, process_name
from bench.table import Figure, machine, text_table
from forum.database import db
from forum.discussion.comment import Comment

PAGES = 10_000
CLIENTS = 4
WANTED_MB = 200
FLAT = 1.05
"""Twice as many pages may take so much more: what is noise here is about three megabytes."""


@dataclass(frozen=True)
class Memory:
    """Megabytes of the whole process tree. `private` is what each process has for itself, added up."""

    resident: float
    proportional: float
    private: float
    each: str

    @classmethod
    def of(cls, server: Server) -> "Memory":
        """Look at every process of a server."""
        rows = [(process_name(pid), _rollup(pid)) for pid in server.processes()]
        return cls(
            sum(row["Rss"] for _, row in rows),
            sum(row["Pss"] for _, row in rows),
            sum(row["Private_Dirty"] for _, row in rows),
            ", ".join(f"{name} {row['Rss']:.0f}/{row['Pss']:.0f}" for name, row in rows),
        )


def measure(kind: str, asked: argparse.Namespace) -> list[Figure]:
    """Return the figures of cold start and memory. Makes a site of its own."""
    pages: int = getattr(asked, "pages", PAGES)
    half = pages * 11 // 10
    with made_site(kind, asked.port, (half, half + 1)) as site:
        addresses = _addresses(site)
        cold, other = _cold_starts(site, addresses[0], asked.rounds)
        memories = []
        with site.serve() as server:
            _ask(server, addresses[:1])
            memories.append(Memory.of(server))
            for some in (addresses[:pages], addresses[pages : 2 * pages]):
                _ask(server, some)
                memories.append(Memory.of(server))
    return [_cold_figure(cold, other), *_memory_figures(memories, pages)]


def _cold_figure(cold: Sequence[float], other: Sequence[float]) -> Figure:
    limit = 2 * statistics.median(other) + 1
    detail = f"flask --version {statistics.median(other):.2f} s, in turn with it"
    what = "from exec to the first essay page; limit 2 × flask --version + 1 s"
    return Figure("7", what, statistics.median(cold), "s", limit, False, min(cold), max(cold), detail)


def _memory_figures(memories: Sequence[Memory], pages: int) -> Iterator[Figure]:
    names = ("at the start", f"after {pages:,} different pages", f"after {2 * pages:,} different pages")
    for name, one in zip(names, memories, strict=True):
        detail = f"each process, RSS/PSS: {one.each}; private {one.private:,.0f} MB"
        wanted = WANTED_MB if one is not memories[0] else None
        yield Figure(
            "7", f"memory {name}: PSS, what the machine gives", one.proportional, "MB", wanted, detail=detail
        )
        detail = "what several processes share is counted in each of them"
        yield Figure("7", f"memory {name}: RSS of all processes added up", one.resident, "MB", detail=detail)
    growth = memories[2].proportional / memories[1].proportional
    yield Figure("7", f"memory after {2 * pages:,} ÷ after {pages:,} pages", growth, "ratio", FLAT)


def _addresses(site: Site) -> list[str]:
    """Return different pages, essays' pages among those of single comments."""
    found = [
        f"{essay}?page={page}&order={order}"
        for essay in site.addresses.values()
        for order in ("best", "newest", "oldest")
        for page in range(1, 40)
    ]
    with site.app.app_context():
        found += [
            f"/comments/{number}" for number in db.session.scalars(select(Comment.id).order_by(Comment.id))
        ]
    return found


def _cold_starts(site: Site, address: str, rounds: int) -> tuple[list[float], list[float]]:
    """Return how long `forum serve` and `flask --version` take, in turn."""
    cold, other = [], []
    for _ in range(rounds):
        server = site.serve()
        server.probe = address
        began = time.monotonic()
        server.start()
        cold.append(time.monotonic() - began)
        server.stop()
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "flask", "--version"], stdout=subprocess.DEVNULL, check=True)
        other.append(time.monotonic() - began)
    return cold, other


def _ask(server: Server, addresses: Sequence[str]) -> None:
    """Ask for each address once, over a few kept connections."""
    host = server.url.removeprefix("http://")

    def ask(some: Sequence[str]) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        for address in some:
            connection.request("GET", address, headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 303, 404):
                raise RuntimeError(f"{address}: {answer.status}")
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, [addresses[number::CLIENTS] for number in range(CLIENTS)]))


def _rollup(pid: int) -> dict[str, float]:
    """Return the memory of a process in megabytes, as the kernel adds it up."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) / 1_024 for name, _, rest in (line.partition(":") for line in lines)}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure the server's memory and its cold start.")
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--port", type=int, default=8340)
    asked = parser.parse_args()
    load = f"{os.getloadavg()[0]:.2f} in the minute before"
    print(text_table(measure(asked.database, asked), {**machine(), "load": load}))


if __name__ == "__main__":
    main()
