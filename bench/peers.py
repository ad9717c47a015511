"""Our product beside its peers, each driven through its own public interface: reading, posting, memory.

python bench/peers.py [--only isso,xtd,flaskbb,forum] [--comments 1000] [--seconds 4] [--rounds 3] [--port 8450]
"""

import argparse
import http.client
import json
import math
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.systems.comments_xtd import CommentsXtd
from bench.systems.flaskbb import FlaskBB
from bench.systems.forum import Ours
from bench.systems.isso import Isso
from bench.systems.process import Memory, Process
from bench.systems.shape import discussion, letters
from bench.systems.system import LARGE, OPEN, SMALL, Post, System
from bench.wrk import CONNECTIONS, client_name, requests_a_second

RESULTS = Path(__file__).parent / "results"

OURS = "forum"
SYSTEMS: dict[str, Callable[[Path, int], System]] = {
    OURS: Ours,
    "isso": Isso,
    "xtd": CommentsXtd,
    "flaskbb": FlaskBB,
}

FEW = 100
"""Comments of the small discussion."""

CLIENTS = (1, 8)
MOST_SECONDS = 20
"""A slow system is asked longer than the others, so that each connection gets an answer, but no longer than this."""

LETTERS = 500

QUOTED_READING = 674
QUOTED_POSTING = 370
QUOTED = f"""\
Not measured here, as no Python registry has them: Remark42 (Go), Ghost and Waline (Node). Measured earlier on the
same kind of machine, at 1,000 comments: Remark42 as installed 5 to 30 req/s; with its cache made large by hand 579 to
{QUOTED_READING} req/s, the best of any peer in any configuration, and {QUOTED_POSTING} posts a second with 8 clients;
Ghost 58 pages and 76 API calls a second, 56 posts; Waline 54 and 57."""


@dataclass
class Figures:
    """What was measured of one system; rates a second, one for each round."""

    title: str
    version: str
    brings: str
    bytes: dict[str, int] = field(default_factory=dict)
    reading: dict[str, list[float]] = field(default_factory=lambda: {SMALL: [], LARGE: []})
    posting: dict[int, list[float]] = field(default_factory=lambda: {clients: [] for clients in CLIENTS})
    refused: int = 0
    """Posts that were not acknowledged."""
    memory: Memory | None = None
    failed: str = ""
    """Why it could not be measured."""

    @property
    def rates(self) -> list[list[float]]:
        """Return the four series in the order of the table."""
        return [*self.reading.values(), *self.posting.values()]


class Running(NamedTuple):
    """One system whose server answers, with its writers and what is known of it so far."""

    system: System
    process: Process
    writers: list[Post]
    figures: Figures


def main() -> None:
    """Install, start, measure in turn, print the table and keep it."""
    asked = _arguments()
    if not shutil.which("wrk"):
        sys.exit("This needs wrk (Debian: apt install wrk).")
    for asks in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asks, _unwind)
    figures: dict[str, Figures] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forum-peers-")))
        running = list(_started(asked, folder, stack, figures))
        for number in range(1, asked.rounds + 1):
            _read(running, number, asked)
        for number in range(1, asked.rounds + 1):
            _post(running, number, asked)
        for one in running:
            one.figures.memory = one.process.memory()
    table = _table(asked, figures)
    print(table)
    print(f"Kept in {_keep(table, figures, asked)}")


def _unwind(number: int, _frame: object) -> None:
    """End what was started and remove the folder, whoever asks for an end; a second Ctrl+C does not break that off."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def _started(
    asked: argparse.Namespace, folder: Path, stack: ExitStack, figures: dict[str, Figures]
) -> Iterator[Running]:
    """Set up each system and start it; one that fails is left out, and its row says why."""
    sizes = {SMALL: FEW, LARGE: asked.comments, OPEN: 0}
    discussions = [discussion(slug, size) for slug, size in sizes.items()]
    for offset, (name, kind) in enumerate(SYSTEMS.items()):
        if name not in asked.only:
            continue
        system = kind(folder / name, asked.port + offset)
        one = figures[name] = Figures(system.title, system.version, system.brings)
        _say(f"{system.title} {system.version}: set up")
        try:
            system.set_up(discussions, max(CLIENTS))
            process = stack.enter_context(system.process())
            one.bytes = {slug: _weight(system.page(slug)) for slug in (SMALL, LARGE)}
            yield Running(system, process, [system.client(number) for number in range(max(CLIENTS))], one)
        except (RuntimeError, OSError) as error:
            one.failed = str(error)
            _say(f"{system.title}: {error}")


def _read(running: list[Running], number: int, asked: argparse.Namespace) -> None:
    """Read each discussion from each system in turn, so that what else the machine does falls on all."""
    for slug in (SMALL, LARGE):
        for one in running:
            _say(f"{one.system.title}: reading, {slug}, round {number} of {asked.rounds}")
            one.figures.reading[slug].append(_reading_rate(one.system.page(slug), asked.seconds))


def _reading_rate(url: str, seconds: int) -> float:
    """Return how many whole answers came in a second; 0 when some did not come at all."""
    try:
        _weight(url)
        began = time.monotonic()
        _weight(url)
        needed = math.ceil(CONNECTIONS * (time.monotonic() - began))
        rate = requests_a_second(url, min(MOST_SECONDS, max(seconds, needed)))
        # A slow server still works on what wrk no longer waits for; this answer comes after that.
        _weight(url)
    except (RuntimeError, OSError) as error:
        _say(f"{url}: {error}")
        return 0.0
    return rate


def _weight(url: str) -> int:
    """Return how many bytes the body has on its way to a browser that takes gzip."""
    with urlopen(Request(url, headers={"Accept-Encoding": "gzip"}), timeout=60) as answer:
        return len(answer.read())


def _post(running: list[Running], number: int, asked: argparse.Namespace) -> None:
    """Let one client, then several, write to each system in turn."""
    texts = _texts()
    for many in CLIENTS:
        for one in running:
            _say(f"{one.system.title}: posting by {many}, round {number} of {asked.rounds}")
            rate, refused = _posting_rate(one.writers[:many], texts, asked.seconds)
            one.figures.posting[many].append(rate)
            one.figures.refused += refused


def _texts() -> Callable[[], str]:
    """Return what gives a new text at each call, in any thread: some systems take a second like one for a slip."""
    texts, numbers, began = letters(LETTERS), count(), time.monotonic_ns()
    return lambda: f"{texts[(number := next(numbers)) % LETTERS]} {began}, {number}"


def _posting_rate(writers: Sequence[Post], text: Callable[[], str], seconds: int) -> tuple[float, int]:
    """Return how many posts were acknowledged in a second, and how many were not at all."""
    began = time.monotonic()

    def write(post: Post) -> Counter[bool]:
        said = Counter[bool]()
        while time.monotonic() < began + seconds:
            try:
                said[post(text())] += 1
            except (OSError, http.client.HTTPException):
                said[False] += 1
        return said

    with ThreadPoolExecutor(len(writers)) as pool:
        said = sum(pool.map(write, writers), Counter[bool]())
    return said[True] / (time.monotonic() - began), said[False]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(asked: argparse.Namespace, figures: dict[str, Figures]) -> str:
    sizes = f"{FEW} and {asked.comments:,}"
    lines = [
        f"Beside its peers, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC: {client_name()}, "
        f"{asked.rounds} rounds of {asked.seconds} s in turn, medians. "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, all on SQLite.",
        "",
        f"| system | what one request brings | bytes at {sizes} | reading {FEW}, req/s "
        f"| reading {asked.comments:,}, req/s | posts/s by 1 | by 8 | memory, RSS / PSS MB "
        f"| ours ÷ its: reading {FEW} / {asked.comments:,} / posting by 1 / 8 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    lines += [_row(one, figures.get(OURS)) for one in figures.values()]
    refused = [f"{one.title} did not acknowledge {one.refused:,}" for one in figures.values() if one.refused]
    if refused:
        lines += ["", f"Posts: {'; '.join(refused)}."]
    lines += ["", QUOTED, *_against_quoted(figures.get(OURS))]
    return "\n".join(["", *lines, ""])


def _row(one: Figures, ours: Figures | None) -> str:
    name = f"{one.title} {one.version}"
    if one.failed or one.memory is None:
        return f"| {name} | not measured: {one.failed} | | | | | | | |"
    weights = " and ".join(f"{size:,}" for size in one.bytes.values())
    rates = " | ".join(_number(statistics.median(rates)) if all(rates) else "errors" for rates in one.rates)
    memory = f"{one.memory.rss:.0f} / {one.memory.pss:.0f}"
    return f"| {name} | {one.brings} | {weights} | {rates} | {memory} | {_times(ours, one)} |"


def _times(ours: Figures | None, one: Figures) -> str:
    """Return the medians of the rounds' ratios; a dash where the other had no answer in time."""
    if ours is None or ours.failed or ours is one:
        return "–"
    pairs = [list(zip(mine, theirs, strict=True)) for mine, theirs in zip(ours.rates, one.rates, strict=True)]
    return " / ".join(
        _number(statistics.median(mine / theirs for mine, theirs in rounds))
        if all(theirs for _, theirs in rounds)
        else "–"
        for rounds in pairs
    )


def _against_quoted(ours: Figures | None) -> list[str]:
    if ours is None or ours.failed:
        return []
    read, wrote = (statistics.median(rates) for rates in (ours.reading[LARGE], ours.posting[max(CLIENTS)]))
    return [
        f"Ours against those best figures: reading {_number(read / QUOTED_READING)} times, "
        f"posting by 8 {_number(wrote / QUOTED_POSTING)} times."
    ]


def _number(value: float) -> str:
    """Return a number with as many digits as it deserves."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _keep(table: str, figures: dict[str, Figures], asked: argparse.Namespace) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"peers-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.md"
    file.write_text(table.lstrip())
    kept = {"asked": vars(asked), "systems": {name: asdict(one) for name, one in figures.items()}}
    file.with_suffix(".json").write_text(json.dumps(kept, indent=2))
    return file


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure our product beside its peers.")
    parser.add_argument(
        "--only", type=_names, default=list(SYSTEMS), help="names with commas: isso,xtd,flaskbb,forum"
    )
    parser.add_argument("--comments", type=int, default=1000, help="of the large discussion")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement; a slow one takes longer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=8450, help="this port and the next three are used")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if strange := set(names) - set(SYSTEMS):
        raise argparse.ArgumentTypeError(f"no such system: {', '.join(sorted(strange))}")
    return names


if __name__ == "__main__":
    main()
