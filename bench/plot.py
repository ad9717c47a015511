"""A plot of ratios with their limits, as SVG written by hand; it follows the reader's light or dark."""

from collections.abc import Sequence
from html import escape

from bench.table import Figure

WIDTH = 940
LABELS = 450
"""Where the bars begin: the words before them are right-aligned."""

SCALE = WIDTH - LABELS - 70
ROW = 30
TOP = 56
BOTTOM = 40

STYLE = """
  svg { color-scheme: light dark; }
  .ground { fill: #ffffff; } text { fill: #1f2328; font: 13px system-ui, sans-serif; }
  .title { font-weight: 600; font-size: 15px; } .small { font-size: 11px; fill: #59636e; }
  .bar { fill: #2f6f8f; } .over { fill: #b35900; } .spread { stroke: #1f2328; stroke-width: 1.5; }
  .limit { stroke: #c02525; stroke-width: 2; } .grid { stroke: #d1d9e0; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #e6edf3; } .small { fill: #9198a1; } .bar { fill: #5aa9cc; }
    .over { fill: #f0a050; } .spread { stroke: #e6edf3; } .limit { stroke: #ff7b72; } .grid { stroke: #30363d; }
  }
"""


def draw(figures: Sequence[Figure], title: str) -> str:
    """Return the ratios among the figures as bars: the median, a line from lowest to highest, a mark at the limit."""
    bars = [one for one in figures if one.unit == "ratio"]
    most = min(2.0, max([1.2, *((one.highest or one.value) for one in bars)]))
    height = TOP + ROW * len(bars) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        *(_grid(step / 5, most, height) for step in range(int(most * 5) + 1)),
        *(_bar(one, TOP + ROW * number, most) for number, one in enumerate(bars)),
        f'<text class="small" x="16" y="{height - 12}">Bar: median. Thin line: lowest to highest round. '
        "Upright mark: the limit.</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(value: float, most: float, height: int) -> str:
    x = _x(value, most)
    line = f'<line class="grid" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{height - BOTTOM}"/>'
    return f'{line}<text class="small" x="{x}" y="{TOP - 10}" text-anchor="middle">{value:.1f}</text>'


def _bar(one: Figure, y: int, most: float) -> str:
    start, end, middle = _x(0, most), _x(one.value, most), y + 11
    kind = "over" if one.holds is False else "bar"
    parts = [
        f'<text x="{LABELS - 10}" y="{y + 15}" text-anchor="end">{escape(one.what)}</text>',
        f'<rect class="{kind}" x="{start}" y="{y + 3}" width="{max(1, end - start):.1f}" height="16" rx="2"/>',
    ]
    if one.lowest is not None and one.highest is not None:
        low, high = _x(one.lowest, most), _x(one.highest, most)
        parts.append(f'<line class="spread" x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>')
    if one.limit is not None:
        x = _x(one.limit, most)
        parts.append(f'<line class="limit" x1="{x}" y1="{y}" x2="{x}" y2="{y + 22}"/>')
    beside = _x(max(one.value, one.highest or 0, one.limit or 0), most) + 8
    parts.append(f'<text x="{beside}" y="{y + 15}">{one.words(one.value)}</text>')
    return "\n".join(parts)


def _x(value: float, most: float) -> float:
    return round(LABELS + SCALE * min(value / most, 1), 1)
