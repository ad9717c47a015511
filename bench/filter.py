"""The learned filter on comments that others labelled: what it would hold, rightly or not, and from how many decisions.

python bench/filter.py --data FILE… [--share 0.2] [--draws 30] [--seed 1]

Each file is one place with its own subject. It is either CSV with a header, UTF-8, of which three columns are read:
the words (CONTENT or text), whether they were removed (CLASS or label: 1, true, spam or removed is yes), and if there
is one the moment (DATE, ISO 8601); or lines of label, tab, words. Rows are put in the order of time where all of a
file have one, else they stay as they are.
"""

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from forum.discussion.learned import SUSPECT_FROM
from forum.moderation.learning import ENOUGH_OF_EACH, Example, Trial, try_out
from forum.text.likeness import Likeness, learn_likeness, likeness, words_that_count

YES = {"1", "true", "spam", "removed"}
SIZES = (60, 100, 200, 500, 1_000)
MOST_TESTED = 600
LONGEST_COMMENT = 10_000


def main() -> None:
    """Measure and print."""
    options = _options()
    places = {path.stem: read_examples(path) for path in options.data}
    for name, rows in places.items():
        print(f"{name}: {len(rows)} rows, {sum(removed for _, removed in rows)} removed")
    print("\nThe newest fifth of each file, learned from the rest of all")
    _print_split(list(places.values()))
    print("\nThe same without words that were there before, in whichever file")
    _print_split(_first_time(list(places.values())))
    if len(places) > 1:
        print("\nEach file, learned from the others")
        for name, own in places.items():
            others = [row for other, rows in places.items() if other != name for row in rows]
            print(f"{name:24} {told(tried(learn_likeness(_mixed(others, options.seed)), own))}")
    rows = [row for rows in _first_time(list(places.values())) for row in rows]
    for share in (None, options.share):
        _print_curve(rows, share, options.draws, options.seed)
    _print_cost(rows)


def read_examples(path: Path) -> list[Example]:
    """Return the rows of a file, the oldest first, in one of the two formats above."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix != ".csv":
        pairs = (line.partition("\t") for line in text.split("\n") if "\t" in line)
        return [(words, label.lower() in YES) for label, _, words in pairs]
    rows = list(csv.DictReader(text.lstrip("\n").splitlines(keepends=True)))
    if all(row.get("DATE") for row in rows):
        rows.sort(key=lambda row: row["DATE"])
    return [
        (row.get("CONTENT") or row["text"], (row.get("CLASS") or row["label"]).lower() in YES) for row in rows
    ]


def tried(learned: Likeness, rows: Sequence[Example]) -> Trial:
    """Return what a filter makes of some rows."""
    caught = [removed for words, removed in rows if likeness(learned, words) >= SUSPECT_FROM]
    return Trial(len(rows), sum(removed for _, removed in rows), len(caught), sum(caught))


def told(trial: Trial) -> str:
    """Return a trial in one line."""
    return (
        f"precision {trial.precision:.3f} ({trial.right} of {trial.caught} held)"
        f"   recall {trial.recall:.3f} ({trial.right} of {trial.removed} removed)   tested {trial.tested}"
    )


def _print_split(places: list[list[Example]]) -> None:
    old = [row for rows in places for row in rows[: len(rows) - len(rows) // 5]]
    new = [row for rows in places for row in rows[len(rows) - len(rows) // 5 :]]
    print(told(tried(learn_likeness(_mixed(old, 0)), new)))


def _first_time(places: list[list[Example]]) -> list[list[Example]]:
    """Return the rows without those whose words, folded, were there before: repeated spam is easy to find again."""
    seen: set[frozenset[str]] = set()
    kept: list[list[Example]] = []
    for rows in places:
        kept.append([])
        for words, removed in rows:
            key = frozenset(words_that_count(words))
            if key not in seen:
                seen.add(key)
                kept[-1].append((words, removed))
    return kept


@dataclass(frozen=True)
class Draw:
    """One draw of decisions: how the trial on their newest fifth went, and how the filter then did on others."""

    trial: Trial
    after: Trial


def _print_curve(rows: list[Example], share: float | None, draws: int, seed: int) -> None:
    removed = sum(removed for _, removed in rows) / len(rows)
    print(
        f"\nFrom so many decisions, {share or removed:.0%} of them removals, drawn {draws} times; tested on others"
    )
    print("decisions  precision  recall    it is on    then: precision  the lowest  recall")
    for size in SIZES:
        found = list(_drawn(rows, size, share or removed, draws, seed))
        if not found:
            continue
        on = [
            draw.after for draw in found if draw.trial.is_good_enough and _is_enough(size, share or removed)
        ]
        after = [draw.after for draw in found]
        line = f"{size:9}  {_precision(after):9.3f}  {_recall(after):6.3f}"
        line += f"  {len(on):4} of {len(found)}"
        if on:
            lowest = min(trial.precision for trial in on)
            line += f"  {_precision(on):15.3f}  {lowest:10.3f}  {_recall(on):6.3f}"
        print(line)


def _drawn(rows: list[Example], size: int, share: float, draws: int, seed: int) -> Iterator[Draw]:
    chance = random.Random(seed)
    bad, good = [row for row in rows if row[1]], [row for row in rows if not row[1]]
    of_bad = round(size * share)
    if of_bad > len(bad) * 0.7 or size - of_bad > len(good) * 0.7:
        return
    for _ in range(draws):
        chance.shuffle(bad)
        chance.shuffle(good)
        known = [*bad[:of_bad], *good[: size - of_bad]]
        chance.shuffle(known)
        # As many of each kind as fit the same share.
        most = min(MOST_TESTED, (len(bad) - of_bad) / share, (len(good) - size + of_bad) / (1 - share))
        tested_bad = int(most * share)
        others = bad[of_bad : of_bad + tested_bad]
        others += good[size - of_bad : size - of_bad + int(most) - tested_bad]
        yield Draw(try_out(known), tried(learn_likeness(known), others))


def _is_enough(size: int, share: float) -> bool:
    return min(round(size * share), size - round(size * share)) >= ENOUGH_OF_EACH


def _precision(trials: Sequence[Trial]) -> float:
    caught = sum(trial.caught for trial in trials)
    return sum(trial.right for trial in trials) / caught if caught else 0.0


def _recall(trials: Sequence[Trial]) -> float:
    return sum(trial.right for trial in trials) / sum(trial.removed for trial in trials)


def _print_cost(rows: list[Example]) -> None:
    started = time.process_time()
    learned = learn_likeness(rows)
    taught = time.process_time() - started
    started = time.process_time()
    for words, _ in rows:
        likeness(learned, words)
    each = (time.process_time() - started) / len(rows)
    longest = " ".join(words for words, _ in rows)[:LONGEST_COMMENT]
    started = time.process_time()
    likeness(learned, longest)
    long = time.process_time() - started
    size = len(json.dumps({"bias": learned.bias, "weights": learned.weights}))
    print(
        f"\nLearned from {len(rows)} in {taught:.2f} s: {len(learned.weights)} words, {size / 1024:.0f} KB."
    )
    print(f"One comment: {each * 1e6:.0f} µs; one of {LONGEST_COMMENT:,} characters: {long * 1e3:.1f} ms.")


def _mixed(rows: Sequence[Example], seed: int) -> list[Example]:
    mixed = list(rows)
    random.Random(seed).shuffle(mixed)
    return mixed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="labelled files, see above")
    parser.add_argument(
        "--share", type=float, default=0.2, help="share of removals for a second learning curve"
    )
    parser.add_argument("--draws", type=int, default=30, help="how often each size is drawn")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
