"""All figures that fit one machine and one command, as a table and a plot, with what each is held to.

python bench/run.py [--only pages,signed-in,…] [--rounds 5] [--seconds 4] [--database sqlite|postgresql|both]
                    [--largest 100000] [--seed 1] [--port 8330]
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.plot import draw
from bench.site import KINDS, ROOT, SEED, WORKERS, Server, Site, made_site
from bench.table import Figure, keep, machine, text_table
from bench.wrk import client_name
from forum.database import db

ESSAYS = {
    "weight": (25, 200),
    "statements": (100, 0),
    "pages": (1_000, 0),
    "signed-in": (1_000,),
    "fresh": (1_000,),
    "posting": (100, 0),
}
"""The parts that share a site, in their order, and how many comments their essays have; 0 stands for --largest."""

OF_THEIR_OWN = ("memory", "growth")
"""The parts that make their own sites, each a module here with a function measure()."""

PARTS = (*ESSAYS, *OF_THEIR_OWN)

Measure = Callable[[], list[Figure]]


class Run:
    """The figures so far, and the parts that failed: one that fails takes no other with it."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.facts = _facts(asked)
        self.figures: list[Figure] = []
        self.failed: list[str] = []
        self.began = time.monotonic()

    def add(self, part: str, kind: str, measure: Measure) -> None:
        """Measure one part and say so."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        print(f"[{minutes}:{seconds:02}] {part}, {kind}", flush=True)
        try:
            found = measure()
        except Exception as error:
            self.fail(part, kind, error)
        else:
            self.figures += [replace(one, what=f"{kind}: {one.what}") for one in found]

    def fail(self, part: str, kind: str, error: Exception) -> None:
        """Note that a part did not come to its end."""
        traceback.print_exc()
        self.failed.append(f"{part} on {kind}: {error!r}"[:300])


def main() -> None:
    """Measure all that was asked for, print the table and keep it; the exit status is 1 when a part failed."""
    asked = _arguments()
    run = Run(asked)
    for kind in KINDS if asked.database == "both" else (asked.database,):
        try:
            _measure_one_site(run, kind)
        except Exception as error:
            run.fail("the common site", kind, error)
        for part in [part for part in OF_THEIR_OWN if part in asked.only]:
            run.add(part, kind, partial(_measure_elsewhere, part, kind, asked))
    run.figures.sort(key=lambda one: one.number)
    facts, table = run.facts, text_table(run.figures, run.facts)
    over = sum(one.holds is False for one in run.figures)
    table += "\n".join(["", f"Over their limits: {over}.", *(f"Failed: {part}." for part in run.failed), ""])
    title = f"Essay Forum, {facts['date']}, {facts['rounds']}"
    file = keep(table, run.figures, {**facts, "failed": run.failed}, draw(run.figures, title))
    print(f"\n{table}\nKept in {file.relative_to(ROOT)}, with .json and .svg beside it.")
    sys.exit(1 if run.failed else 0)


def _measure_one_site(run: Run, kind: str) -> None:
    asked = run.asked
    parts = [part for part in ESSAYS if part in asked.only]
    sizes = sorted({size or asked.largest for part in parts for size in ESSAYS[part]})
    if not sizes:
        return
    print(f"Making essays with {', '.join(f'{size:,}' for size in sizes)} comments on {kind}…", flush=True)
    with made_site(kind, asked.port, sizes, asked.seed) as site, site.serve() as product:
        if kind == "postgresql":
            with site.app.app_context():
                run.facts["PostgreSQL"] = str(db.session.scalar(text("SHOW server_version")))
        for part, measure in _measures(site, product, asked):
            run.add(part, kind, measure)


def _measures(site: Site, product: Server, asked: argparse.Namespace) -> Iterator[tuple[str, Measure]]:
    """Yield what is to be measured of one site; what posts comes last, for it changes what the others read."""
    from bench.fresh import measure_fresh
    from bench.pages import USUAL, measure_pages
    from bench.posting import measure_posting
    from bench.statements import measure_statements
    from bench.weight import measure_weight

    if "weight" in asked.only and (site.kind == KINDS[0] or asked.database != "both"):  # alike on both
        yield "weight", lambda: measure_weight(site, product)
    if "statements" in asked.only:
        yield "statements", lambda: measure_statements(site, product, (100, asked.largest))
    if both := [part for part in ("pages", "signed-in") if part in asked.only]:
        yield " and ".join(both), lambda: measure_pages(site, product, asked)
    if "fresh" in asked.only:
        yield "fresh", lambda: measure_fresh(site, product, site.addresses[USUAL], asked)
    if "posting" in asked.only:
        yield "posting", lambda: measure_posting(site, product, asked)


def _measure_elsewhere(part: str, kind: str, asked: argparse.Namespace) -> list[Figure]:
    found: list[Figure] = import_module(f"bench.{part}").measure(kind, asked)
    return found


def _facts(asked: argparse.Namespace) -> dict[str, str]:
    from forum.server.crew import WORK_THREADS

    return {
        **machine(),
        "load": f"{os.getloadavg()[0]:.2f} in the minute before; compare within this table only",
        "server": f"forum serve with {WORKERS} workers of {1 + WORK_THREADS} threads, and its mail worker",
        "client": client_name(),
        "rounds": f"{asked.rounds} rounds of {asked.seconds} s",
        "data": f"seed {asked.seed}; the same essay each time, and each discussion begins as the others do",
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the site against its limits.")
    parser.add_argument("--only", type=_parts, default=frozenset(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="how long each round asks for each thing")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--largest", type=int, default=100_000, help="comments of the largest discussion")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--port", type=int, default=8330, help="this port and some after it are used")
    return parser.parse_args()


def _parts(text: str) -> frozenset[str]:
    parts = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := parts - set(PARTS):
        raise argparse.ArgumentTypeError(
            f"there is no {', '.join(sorted(unknown))}; there is {', '.join(PARTS)}"
        )
    return parts


if __name__ == "__main__":
    main()
