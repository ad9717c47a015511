"""Readers of an essay while others post to it: how much slower they are served, and whether any page lags behind.

python bench/fresh.py [--rounds 5] [--seconds 4] [--comments 1000] [--database sqlite|postgresql|both] [--port 8330]
"""

import argparse
import gzip
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.bare import fetch, warm_up
from bench.site import KINDS, READER, WRITERS, Server, Site, made_site, writer_address
from bench.table import Figure, machine, ratio, text_table
from bench.writer import Writer
from bench.wrk import GZIP, Pace, pace

POSTS_A_SECOND = 5
LOOKS = 4
"""Connections from which a stranger looks for each comment: each web worker gets some of them, over a whole run."""

LONGEST_LAG_SECONDS = 0.5
"""A post that begins later than this after its turn is told: then less was posted than the figure promises."""


@dataclass
class Posted:
    """What was acknowledged, and on how many pages it was looked for and missing."""

    comments: int = 0
    looks: int = 0
    late: int = 0
    stale: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def measure_fresh(site: Site, product: Server, address: str, asked: argparse.Namespace) -> list[Figure]:
    """Return rate and p99 of readers while comments arrive, by those in quiet, and the number of stale pages (3)."""
    writers = _writers(product.url)
    onlooker = site.reader(product.url).cookie_header()
    quiet: list[Pace] = []
    busy: list[Pace] = []
    posted, numbers = Posted(), count()
    url = product.url + address
    warm_up(url, GZIP)
    for number in range(asked.rounds):
        print(
            f"  round {number + 1} of {asked.rounds}: quiet, then {POSTS_A_SECOND} posts a second", flush=True
        )
        quiet.append(pace(url, asked.seconds))
        with _posting(product.url, address, writers, onlooker, posted, numbers):
            busy.append(pace(url, asked.seconds))
    return list(_figures(quiet, busy, posted, posted.comments / (asked.rounds * asked.seconds)))


def _figures(
    quiet: Sequence[Pace], busy: Sequence[Pace], posted: Posted, posts_a_second: float
) -> Iterator[Figure]:
    while_posting = f"a stranger while {POSTS_A_SECOND} comments a second arrive"
    rates = [one.rate for one in busy], [one.rate for one in quiet]
    yield ratio("3", f"{while_posting} ÷ in quiet", *rates, 0.8)
    waits = [one.p99 for one in busy], [one.p99 for one in quiet]
    yield ratio("3", f"{while_posting}, p99 ÷ in quiet", *waits, 3, at_least=False, unit="times", of=" ms")
    late = f"{posted.late} of {posted.comments} began more than {LONGEST_LAG_SECONDS} s late"
    least = POSTS_A_SECOND * 0.9
    yield Figure(
        "3", "comments a second that did arrive", posts_a_second, "rate", least, at_least=True, detail=late
    )
    looks = f"{posted.looks} looks for {posted.comments} comments"
    stale = f": {'; '.join(posted.stale[:3])}" if posted.stale else ""
    title = "pages without a comment that was acknowledged before they were asked for"
    yield Figure("3", title, len(posted.stale), "", 0, detail=looks + stale)


def _writers(url: str) -> list[Writer]:
    """Return those who post: all writers but the author and the one whose page is measured elsewhere."""
    writers = [Writer(url, writer_address(number)) for number in range(READER + 1, WRITERS)]
    for writer in writers:
        writer.sign_in()
    return writers


@contextmanager
def _posting(
    url: str, address: str, writers: Sequence[Writer], onlooker: str, posted: Posted, numbers: Iterator[int]
) -> Iterator[None]:
    """Post in turn, at an even pace, and look for each comment as soon as it is acknowledged, until the block ends."""
    stop, began = threading.Event(), time.monotonic()
    threads = re.findall(r'id="comment-(\d+)"', _page(url + address, {}))[:20]

    def write(own: int) -> None:
        turn = own
        while not stop.is_set():
            due = began + turn / POSTS_A_SECOND
            if stop.wait(max(0, due - time.monotonic())):
                return
            is_late = time.monotonic() - due > LONGEST_LAG_SECONDS
            turn += len(writers)
            number = next(numbers)
            # Every second one is a reply on the very page that everybody reads, the others go to the end.
            parent = threads[number % len(threads)] if number % 2 else ""
            comment, place = _post(writers[own], address, f"fresh-{own}-{number}", parent)
            stale, looks = _look(url, place, comment, onlooker)
            with posted.lock:
                posted.comments += 1
                posted.looks += looks
                posted.late += is_late
                posted.stale += stale

    with ThreadPoolExecutor(len(writers)) as pool:
        posting = [pool.submit(write, own) for own in range(len(writers))]
        try:
            yield
        finally:
            stop.set()
        for one in posting:
            one.result()


def _post(writer: Writer, address: str, token: str, parent: str) -> tuple[str, str]:
    """Post; return the mark of the new comment in a page, and the page that the site says it is on."""
    form = {"body": f"Words of {token}, which nobody wrote before.", "form_token": token, "parent_id": parent}
    status, location, page = writer.send("POST", f"{address}/comments", form)
    place, _, fragment = location.partition("#")
    if status != 303 or not fragment:
        raise RuntimeError(f"{token} was not taken: {status} {page[:300]!r}")
    return f'id="{fragment}"', place


def _look(url: str, place: str, comment: str, onlooker: str) -> tuple[list[str], int]:
    """Look for a comment where it should be, as strangers and as somebody signed in, each on a new connection."""
    viewers = [{}] * LOOKS + [{"Cookie": onlooker}]
    stale = [
        f"{comment} on {place} ({'signed in' if viewer else 'a stranger'})"
        for viewer in viewers
        if comment not in _page(url + place, viewer)
    ]
    return stale, len(viewers)


def _page(url: str, headers: dict[str, str]) -> str:
    answer = fetch(url, {**GZIP, **headers})
    packed = answer.headers.get("content-encoding") == "gzip"
    return (gzip.decompress(answer.body) if packed else answer.body).decode()


def main() -> None:
    """Measure by itself; the exit status is 1 when a page was stale."""
    asked = _arguments()
    is_sound = True
    for kind in KINDS if asked.database == "both" else (asked.database,):
        with made_site(kind, asked.port, (asked.comments,)) as site, site.serve() as product:
            figures = measure_fresh(site, product, site.addresses[asked.comments], asked)
        print(text_table(figures, {"database": kind, **machine()}), flush=True)
        is_sound = is_sound and figures[-1].value == 0
    sys.exit(0 if is_sound else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Read an essay while others post to it.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="how long each round asks, in quiet and not")
    parser.add_argument("--comments", type=int, default=1_000)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--port", type=int, default=8330)
    return parser.parse_args()


if __name__ == "__main__":
    main()
