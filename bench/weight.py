"""What the first view of an essay brings to a real browser: requests, bytes on the wire by kind, hosts.

python bench/weight.py [--database sqlite|postgresql] [--port 8330]
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, CDPSession, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.bare import warm_up
from bench.site import KINDS, Server, Site, made_site
from bench.table import Figure, machine, text_table
from bench.wrk import BROTLI
from tests.chromium import chromium

SIZES = (25, 200)
HTML_LIMITS = {25: 25_000, 200: 60_000}
"""Bytes; a KB has a thousand of them, which is the stricter reading."""

SCRIPT_LIMIT = 8_000
STYLE_LIMIT = 9_000
REQUEST_LIMIT = 4
KINDS_OF_PARTS = {"Document": "HTML", "Script": "JS", "Stylesheet": "CSS"}

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)


@dataclass(frozen=True)
class Part:
    """One answer, as the browser counted it: `bytes` with its headers, as they came over the wire."""

    address: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class View:
    """The first view of a page by a browser that has nothing of it yet."""

    comments: int
    shown: int
    coding: str
    parts: list[Part]


def measure_weight(site: Site, product: Server) -> list[Figure]:
    """Return what essays with 25 and with 200 comments weigh (6)."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        try:
            views = [_view(browser, product.url + site.addresses[size], size) for size in SIZES]
        finally:
            browser.close()
    return [figure for view in views for figure in _figures(view, product.url)]


def _view(browser: Browser, url: str, comments: int) -> View:
    warm_up(url, BROTLI)
    page = browser.new_page()
    noted = _noted(page.context.new_cdp_session(page))
    page.goto(url, wait_until="networkidle")
    shown = page.locator('[id^="comment-"]').evaluate_all(
        "all => all.filter(one => /^comment-[0-9]+$/.test(one.id)).length"
    )
    page.close()
    parts = [Part(one["url"], one["kind"], one["bytes"]) for one in noted.values() if "bytes" in one]
    coding = next(one.get("coding", "none") for one in noted.values() if one["url"] == url)
    return View(comments, shown, coding, parts)


def _noted(session: CDPSession) -> dict[str, dict[str, Any]]:
    """Note every request of a page by its id, with its kind and what its answer weighed."""
    noted: dict[str, dict[str, Any]] = {}

    def asked(event: dict[str, Any]) -> None:
        noted[event["requestId"]] = {"url": event["request"]["url"], "kind": event["type"]}

    def answered(event: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in event["response"]["headers"].items()}
        noted[event["requestId"]]["coding"] = headers.get("content-encoding", "none")

    def finished(event: dict[str, Any]) -> None:
        noted[event["requestId"]]["bytes"] = round(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", asked)
    session.on("Network.responseReceived", answered)
    session.on("Network.loadingFinished", finished)
    session.send("Network.enable")
    return noted


def _figures(view: View, url: str) -> Iterator[Figure]:
    title = f"first view of {view.comments} comments ({view.shown} shown)"
    kinds: Counter[str] = Counter()
    for part in view.parts:
        kinds[KINDS_OF_PARTS.get(part.kind, "others")] += part.bytes
    html_limit = HTML_LIMITS[view.comments]
    yield Figure("6", f"{title}: HTML, bytes", kinds["HTML"], "bytes", html_limit, detail=view.coding)
    yield Figure(
        "6", f"{title}: JS, bytes", kinds["JS"], "bytes", SCRIPT_LIMIT, detail=_files(view, "Script")
    )
    yield Figure(
        "6", f"{title}: CSS, bytes", kinds["CSS"], "bytes", STYLE_LIMIT, detail=_files(view, "Stylesheet")
    )
    yield Figure("6", f"{title}: all else, bytes", kinds["others"], "bytes", detail=_files(view, ""))
    yield Figure("6", f"{title}: requests", len(view.parts), "", REQUEST_LIMIT)
    hosts = {urlsplit(part.address).netloc for part in view.parts} - {urlsplit(url).netloc}
    yield Figure("6", f"{title}: other hosts", len(hosts), "", 0, detail=", ".join(sorted(hosts)))


def _files(view: View, kind: str) -> str:
    parts = [part for part in view.parts if (part.kind == kind if kind else part.kind not in KINDS_OF_PARTS)]
    names = [f"{re.sub(r'^.*/', '', urlsplit(part.address).path)} {part.bytes:,}" for part in parts]
    return ", ".join(names[:12])


def main() -> None:
    """Weigh by itself; the exit status is 1 when anything is over its limit."""
    asked = _arguments()
    with made_site(asked.database, asked.port, SIZES) as site, site.serve() as product:
        figures = measure_weight(site, product)
    print(text_table(figures, machine()), flush=True)
    sys.exit(1 if any(figure.holds is False for figure in figures) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Weigh the first view of an essay in a real browser.")
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--port", type=int, default=8330)
    return parser.parse_args()


if __name__ == "__main__":
    main()
