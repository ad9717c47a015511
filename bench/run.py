"""How fast the essay page is, as a share of what the same server does with the same bytes and no work at all.

python bench/run.py [--rounds 5] [--seconds 4] [--database sqlite|postgresql] [--port 8330]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from flask import Flask
from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.bare import PAGES
from bench.site import KINDS, ROOT, Server, database, environment, prepare, serve, writer_address
from bench.writer import Writer
from bench.wrk import client_name, requests_a_second
from forum.database import db

DISCUSSIONS = (100, 1_000)
WORKERS = 2
WRITERS = 8
POSTING_SECONDS = 5
RESULTS = ROOT / "bench" / "results"


@dataclass
class Figure:
    """What was measured of one page: rates are requests a second, medians over the rounds."""

    comments: int
    shown: int
    bytes: int
    statements: int
    page_rate: float
    bare_rate: float
    ratio: float
    lowest_ratio: float
    highest_ratio: float


def main() -> None:
    """Measure, print the table and keep it in bench/results."""
    asked = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="forum-bench-") as name,
        database(asked.database, Path(name)) as url,
    ):
        folder = Path(name)
        environ = environment(folder, url, asked.port)
        print(f"Making essays with {' and '.join(map(str, DISCUSSIONS))} comments…", flush=True)
        app, addresses = prepare(environ, DISCUSSIONS, WRITERS)
        with serve(environ, asked.port, WORKERS) as product:
            figures = _measure_pages(app, product, addresses, folder, environ, asked)
            rates = {clients: _posting_rate(product.url, addresses[0], clients) for clients in (1, WRITERS)}
    table = _table(asked, figures, rates)
    print(table)
    print(f"Kept in {_keep(table, figures, rates, asked).relative_to(ROOT)}.")


def _measure_pages(
    app: Flask,
    product: Server,
    addresses: Sequence[str],
    folder: Path,
    environ: dict[str, str],
    asked: argparse.Namespace,
) -> list[Figure]:
    pages = folder / "pages"
    pages.mkdir()
    bodies = [
        _store_page(product.url + address, pages / str(number)) for number, address in enumerate(addresses)
    ]
    command = [sys.executable, "-m", "bench.bare", str(asked.port + 1), str(WORKERS)]
    with Server(command, {**environ, PAGES: str(pages)}, asked.port + 1, "/0") as bare:
        figures = []
        for number, address in enumerate(addresses):
            rates = _rounds(product.url + address, f"{bare.url}/{number}", asked)
            ratios = [page / plain for page, plain in rates]
            figures.append(
                Figure(
                    comments=DISCUSSIONS[number],
                    shown=bodies[number].count(b'id="comment-'),
                    bytes=len(bodies[number]),
                    statements=count_statements(app, address),
                    page_rate=statistics.median(page for page, _ in rates),
                    bare_rate=statistics.median(plain for _, plain in rates),
                    ratio=statistics.median(ratios),
                    lowest_ratio=min(ratios),
                    highest_ratio=max(ratios),
                )
            )
    return figures


def _rounds(page: str, bare: str, asked: argparse.Namespace) -> list[tuple[float, float]]:
    """Measure the page and the bare bytes in turn, so that what else the machine does falls on both."""
    for url in (page, bare):
        requests_a_second(url, 1)
    rates = []
    for number in range(asked.rounds):
        print(f"{page}: round {number + 1} of {asked.rounds}", flush=True)
        rates.append((requests_a_second(page, asked.seconds), requests_a_second(bare, asked.seconds)))
    return rates


def _store_page(url: str, file: Path) -> bytes:
    """Keep a page, as it is sent, with its headers for the bare server."""
    with urlopen(Request(url, headers={"Accept-Encoding": "gzip"}), timeout=60) as answer:
        body: bytes = answer.read()
        headers = [(name, value) for name, value in answer.headers.items() if name not in ("server", "date")]
    file.with_suffix(".json").write_text(json.dumps(headers))
    file.with_suffix(".body").write_bytes(body)
    return body


def count_statements(app: Flask, address: str) -> int:
    """Return how many SQL statements a stranger's visit costs."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            said.append(statement)

    with app.app_context():
        engine = db.engine
    client = app.test_client()
    client.get(address, headers={"Host": "127.0.0.1"})
    event.listen(engine, "before_cursor_execute", note)
    answer = client.get(address, headers={"Host": "127.0.0.1"})
    event.remove(engine, "before_cursor_execute", note)
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status}")
    return len(said)


def _posting_rate(url: str, essay: str, clients: int) -> float:
    """Return how many comments a second are kept when so many readers write at once."""
    writers = [Writer(url, writer_address(number)) for number in range(clients)]
    for writer in writers:
        writer.sign_in()
    counts, began = [0] * clients, time.monotonic()
    until = began + POSTING_SECONDS

    def write(number: int) -> None:
        while time.monotonic() < until:
            token = f"{clients}-{number}-{counts[number]}"
            if (
                writers[number].post(essay, f"Words of form {token}, which nobody wrote before.", token)
                is None
            ):
                raise RuntimeError(f"form {token} was refused")
            counts[number] += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(write, range(clients)))  # the list lets what went wrong in a thread be heard
    return sum(counts) / (time.monotonic() - began)


def _table(asked: argparse.Namespace, figures: list[Figure], rates: dict[int, float]) -> str:
    lines = [
        f"Page speed, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC: {asked.database}, {WORKERS} workers, "
        f"{client_name()}, {asked.rounds} rounds of {asked.seconds} s, medians.",
        f"Python {platform.python_version()}, granian {version('granian')}, {os.cpu_count()} cores.",
        "",
        "| comments | on the page | bytes sent | statements | page, req/s | bare, req/s | ratio (lowest to highest) |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.comments:,} | {one.shown} | {one.bytes:,} | {one.statements} | {one.page_rate:,.1f} "
        f"| {one.bare_rate:,.0f} | {one.ratio:.5f} ({one.lowest_ratio:.5f} to {one.highest_ratio:.5f}) |"
        for one in figures
    ]
    posting = ", ".join(f"{rate:.0f} a second by {clients} at once" for clients, rate in rates.items())
    return "\n".join(["", *lines, "", f"Posting: {posting}.", ""])


def _keep(table: str, figures: list[Figure], rates: dict[int, float], asked: argparse.Namespace) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"pages-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.md"
    file.write_text(table.lstrip())
    kept = {"asked": vars(asked), "pages": [asdict(one) for one in figures], "posts_a_second": rates}
    file.with_suffix(".json").write_text(json.dumps(kept, indent=2))
    return file


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure page speed against the bare server.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=int, default=4, help="how long each round asks, for page and bare bytes"
    )
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--port", type=int, default=8330, help="this port and the next are used")
    return parser.parse_args()


if __name__ == "__main__":
    main()
