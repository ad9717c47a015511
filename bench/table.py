"""One measured figure with its limit, and the table of many; each knows whether it holds."""

import json
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"

FORMATS = {
    "ratio": "{:.2f}",
    "times": "{:.1f}×",
    "bytes": "{:,.0f}",
    "rate": "{:,.1f}",
    "MB": "{:,.0f} MB",
    "ms": "{:,.1f} ms",
    "s": "{:.2f} s",
}
"""How values of a unit are written; all others are whole numbers."""

COLUMNS = {
    "no.": "the number of the figure in bench/README.md",
    "what": "what was measured; of a ratio, what was divided by what",
    "median": "the median of the rounds, or the one value there is; a ratio is made in each round, then its median",
    "lowest to highest": "of the rounds: how far the machine's noise moves the figure",
    "wanted": "the limit that the site is held to",
    "": "“ok” or “over”: whether the median keeps the limit; nothing where there is none",
    "from": "the medians that a ratio was made of, in requests a second unless it says otherwise",
}


@dataclass(frozen=True)
class Figure:
    """One line of the table. `limit` is the least where `at_least`, else the most."""

    number: str
    what: str
    value: float
    unit: str = ""
    limit: float | None = None
    at_least: bool = False
    lowest: float | None = None
    highest: float | None = None
    detail: str = ""

    @property
    def holds(self) -> bool | None:
        """Tell whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def words(self, value: float) -> str:
        """Return a value in the figure's unit."""
        return FORMATS.get(self.unit, "{:,.0f}").format(value)


def ratio(
    number: str,
    what: str,
    above: Sequence[float],
    below: Sequence[float],
    limit: float | None = None,
    *,
    at_least: bool = True,
    unit: str = "ratio",
    of: str = "",
) -> Figure:
    """Return the figure of two series that were measured in turn, round by round; `of` is their unit in the detail."""
    shares = [one / other for one, other in zip(above, below, strict=True)]
    places = 0 if min(*above, *below) > 100 else 2
    detail = f"{statistics.median(above):,.{places}f} ÷ {statistics.median(below):,.{places}f}{of}"
    return Figure(
        number, what, statistics.median(shares), unit, limit, at_least, min(shares), max(shares), detail
    )


def machine() -> dict[str, str]:
    """Return where and with what was measured."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.release()}",
        "versions": f"Python {platform.python_version()}, Flask {version('flask')}, granian {version('granian')}, "
        f"SQLAlchemy {version('sqlalchemy')}, SQLite {sqlite3.sqlite_version}",
    }


def text_table(figures: Iterable[Figure], facts: Mapping[str, str]) -> str:
    """Return the figures as a table in Markdown that can be read as it stands, with what each column means."""
    rows = [list(COLUMNS)] + [_cells(one) for one in figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = [f"- {name}: {words}" for name, words in facts.items()]
    lines += ["", *("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows), "", "Columns:"]
    lines += [f"- {name or 'the one without a name'}: {meaning}" for name, meaning in COLUMNS.items()]
    return "\n".join([*lines, ""])


def keep(table: str, figures: Iterable[Figure], facts: Mapping[str, Any], drawing: str) -> Path:
    """Keep a run in bench/results as text, as JSON and as a picture; returns the text's file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"bench-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.md"
    file.write_text(table, encoding="utf-8")
    rows = [{**vars(one), "holds": one.holds} for one in figures]
    whole = json.dumps({"facts": facts, "figures": rows}, indent=2, ensure_ascii=False)
    file.with_suffix(".json").write_text(whole + "\n", encoding="utf-8")
    file.with_suffix(".svg").write_text(drawing, encoding="utf-8")
    return file


def _cells(one: Figure) -> list[str]:
    spread = one.lowest is not None and one.highest is not None
    return [
        one.number,
        one.what,
        one.words(one.value),
        f"{one.words(one.lowest)} to {one.words(one.highest)}" if spread else "",
        "" if one.limit is None else f"{'≥' if one.at_least else '≤'} {one.words(one.limit)}",
        {True: "ok", False: "over", None: ""}[one.holds],
        one.detail,
    ]


def _processor() -> str:
    """Return the name of the processor where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
