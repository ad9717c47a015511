"""How fast essay pages are, as a share of what the same server does with the same bytes and no work at all."""

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bench.bare import PAGES, fetch, warm_up
from bench.site import WORKERS, Server, Site
from bench.table import Figure, ratio
from bench.wrk import BROTLI, GZIP, pace

USUAL = 1_000
"""How many comments the essay has that the figures are about."""


@dataclass
class Series:
    """One address that is asked again and again: which headers go with it, and what came of each round."""

    server: Server
    path: str
    headers: Mapping[str, str]
    bytes: int = 0
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Microseconds that the processors worked for an answer: what a busy machine changes least."""

    @property
    def url(self) -> str:
        """Return the whole address."""
        return self.server.url + self.path

    def ask(self, seconds: int) -> None:
        """Measure one round."""
        before = self.server.cpu_seconds()
        found = pace(self.url, seconds, self.headers)
        self.rates.append(found.rate)
        self.cpu.append((self.server.cpu_seconds() - before) / (found.rate * seconds) * 1e6)


def measure_pages(site: Site, product: Server, asked: argparse.Namespace) -> list[Figure]:
    """Return the figures of strangers (1), of a signed-in reader (2), or both, as `asked.only` has it."""
    series = _series(site, product, asked)
    with _bare(site, series) as bare:
        for name in [name for name in ("gzip", "br", "304") if name in series]:
            series[f"bare {name}"] = Series(bare, f"/{name}", series[name].headers)
        _measure(series, asked)
    return [*_strangers(series), *_signed_in(series)]


def _series(site: Site, product: Server, asked: argparse.Namespace) -> dict[str, Series]:
    usual = site.addresses[USUAL]
    series = {"gzip": Series(product, usual, GZIP)}
    if "pages" in asked.only:
        series["br"] = Series(product, usual, BROTLI)
        if etag := fetch(product.url + usual, GZIP).headers.get("etag"):
            series["304"] = Series(product, usual, {**GZIP, "If-None-Match": etag})
        for comments in [comments for comments in site.addresses if comments > USUAL]:
            series[f"gzip {comments}"] = Series(product, site.addresses[comments], GZIP)
    if "signed-in" in asked.only:
        cookie = {"Cookie": site.reader(product.url).cookie_header()}
        series["signed in"] = Series(product, usual, {**GZIP, **cookie})
    return series


@contextmanager
def _bare(site: Site, series: Mapping[str, Series]) -> Iterator[Server]:
    """Serve what the product answered, from the same server program."""
    folder = site.folder / "pages"
    folder.mkdir(exist_ok=True)
    for name, one in series.items():
        warm_up(one.url, one.headers)
        answer = fetch(one.url, one.headers)
        answer.keep(folder, name.replace(" ", "-"))
        one.bytes = len(answer.body)
    command = [sys.executable, "-m", "bench.bare", str(site.port + 1), str(WORKERS)]
    with Server(command, {**site.environ, PAGES: str(folder)}, site.port + 1, "/gzip") as server:
        yield server


def _measure(series: Mapping[str, Series], asked: argparse.Namespace) -> None:
    """Ask for each thing just before or after what it is divided by: what else the machine does falls on both."""
    order = sorted(series, key=lambda name: (name.removeprefix("bare "), name))
    for name in order:
        warm_up(series[name].url, series[name].headers)
    for number in range(asked.rounds):
        print(f"  round {number + 1} of {asked.rounds}: {', '.join(order)}", flush=True)
        for name in order if number % 2 else reversed(order):
            series[name].ask(asked.seconds)


def _strangers(series: Mapping[str, Series]) -> Iterator[Figure]:
    who = f"{USUAL:,} comments, a stranger"
    for name, what in (("gzip", "gzip ÷ bare"), ("br", "br ÷ bare"), ("304", "unchanged (304) ÷ bare 304")):
        if f"bare {name}" in series and "br" in series:
            yield _share(f"{who}, {what}", series[name], series[f"bare {name}"], 0.7)
    if "br" in series and "304" not in series:
        yield Figure("1", f"{who}: no ETag, hence no 304", 0, "ratio", 0.7, at_least=True)
    for name in [name for name in series if name.startswith("gzip ")]:
        larger = f"{int(name.split()[1]):,} comments ÷ {who}, gzip"
        yield _share(larger, series[name], series["gzip"], 0.9)


def _signed_in(series: Mapping[str, Series]) -> Iterator[Figure]:
    if "signed in" in series:
        what = f"{USUAL:,} comments, signed in ÷ a stranger, gzip"
        yield replace(_share(what, series["signed in"], series["gzip"], 0.33), number="2")


def _share(what: str, one: Series, other: Series, limit: float) -> Figure:
    figure = ratio("1", what, one.rates, other.rates, limit)
    sizes = " and ".join(dict.fromkeys(f"{size:,}" for size in (one.bytes, other.bytes or one.bytes)))
    cpu = f"{statistics.median(one.cpu):,.0f} and {statistics.median(other.cpu):,.0f} µs of processor"
    return replace(figure, detail=f"{figure.detail}; {cpu}; {sizes} bytes")
