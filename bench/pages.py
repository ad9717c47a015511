"""How fast essay pages are, as a share of what the same server does with the same bytes and no work at all."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.bare import PAGES, fetch
from bench.site import WORKERS, Server, Site
from bench.table import Figure, ratio
from bench.wrk import BROTLI, GZIP, pace

USUAL = 1_000
"""How many comments the essay has that the figures are about."""


@dataclass
class Series:
    """One address that is asked again and again: which headers go with it, and what came of each round."""

    url: str
    headers: Mapping[str, str]
    rates: list[float] = field(default_factory=list)


def measure_pages(site: Site, product: Server, asked: argparse.Namespace) -> list[Figure]:
    """Return the figures of strangers (1), of a signed-in reader (2), or both, as `asked.only` has it."""
    series = _series(site, product, asked)
    with _bare(site, series) as bare:
        for name in [name for name in ("gzip", "br", "304") if name in series]:
            series[f"bare {name}"] = Series(f"{bare.url}/{name}", series[name].headers)
        _measure(series, asked)
    rates = {name: one.rates for name, one in series.items()}
    return [*_strangers(rates), *_signed_in(rates)]


def _series(site: Site, product: Server, asked: argparse.Namespace) -> dict[str, Series]:
    usual = product.url + site.addresses[USUAL]
    series = {"gzip": Series(usual, GZIP)}
    if "pages" in asked.only:
        series["br"] = Series(usual, BROTLI)
        if etag := fetch(usual, GZIP).headers.get("etag"):
            series["304"] = Series(usual, {**GZIP, "If-None-Match": etag})
        for comments in [comments for comments in site.addresses if comments > USUAL]:
            series[f"gzip {comments}"] = Series(product.url + site.addresses[comments], GZIP)
    if "signed-in" in asked.only:
        cookie = {"Cookie": site.reader(product.url).cookie_header()}
        series["signed in"] = Series(usual, {**GZIP, **cookie})
    return series


@contextmanager
def _bare(site: Site, series: Mapping[str, Series]) -> Iterator[Server]:
    """Serve what the product answered, from the same server program."""
    folder = site.folder / "pages"
    folder.mkdir(exist_ok=True)
    for name, one in series.items():
        fetch(one.url, one.headers).keep(folder, name.replace(" ", "-"))
    command = [sys.executable, "-m", "bench.bare", str(site.port + 1), str(WORKERS)]
    with Server(command, {**site.environ, PAGES: str(folder)}, site.port + 1, "/gzip") as server:
        yield server


def _measure(series: Mapping[str, Series], asked: argparse.Namespace) -> None:
    """Ask for each thing just before or after what it is divided by: what else the machine does falls on both."""
    order = sorted(series, key=lambda name: (name.removeprefix("bare "), name))
    for name in order:
        pace(series[name].url, 1, series[name].headers)
    for number in range(asked.rounds):
        print(f"  round {number + 1} of {asked.rounds}: {', '.join(order)}", flush=True)
        for name in order if number % 2 else reversed(order):
            series[name].rates.append(pace(series[name].url, asked.seconds, series[name].headers).rate)


def _strangers(rates: Mapping[str, list[float]]) -> Iterator[Figure]:
    what = f"{USUAL:,} comments, a stranger"
    if "br" not in rates:
        return
    yield ratio("1", f"{what}, gzip ÷ bare", rates["gzip"], rates["bare gzip"], 0.7)
    yield ratio("1", f"{what}, br ÷ bare", rates["br"], rates["bare br"], 0.7)
    if "304" in rates:
        yield ratio("1", f"{what}, unchanged (304) ÷ bare 304", rates["304"], rates["bare 304"], 0.7)
    else:
        yield Figure(
            "1", f"{what}: the page has no ETag, so that there is no 304", 0, "ratio", 0.7, at_least=True
        )
    for name in [name for name in rates if name.startswith("gzip ")]:
        larger = f"{int(name.split()[1]):,} comments ÷ {what}, gzip"
        yield ratio("1", larger, rates[name], rates["gzip"], 0.9)


def _signed_in(rates: Mapping[str, list[float]]) -> Iterator[Figure]:
    if "signed in" in rates:
        what = f"{USUAL:,} comments, signed in ÷ a stranger, gzip"
        yield ratio("2", what, rates["signed in"], rates["gzip"], 0.33)
