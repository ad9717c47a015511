"""What changed between two versions of a text, word by word."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

Change = Literal["same", "ins", "del"]

# difflib compares in up to cubic time. These bounds keep the worst case of 200,000 characters
# under a second; past them a whole stretch is shown as taken out and put in.
MOST_LINES = 2_000
MOST_WORDS = 1_000
WORDS_BUDGET = 30_000


def differences(old: str, new: str) -> list[tuple[Change, str]]:
    """Return the segments that lead from `old` to `new`, in reading order, as plain text.

    "same" and "del" joined are `old`, "same" and "ins" joined are `new`. No two neighbours are of
    one kind. Very long or very different texts are compared by lines only.
    """
    head, old_middle, new_middle, tail = _without_common_ends(_lines(old), _lines(new))
    segments: list[tuple[Change, str]] = [("same", "".join(head))]
    budget = WORDS_BUDGET
    for removed, added, same in _compare(old_middle, new_middle, MOST_LINES):
        for old_part, new_part in _pairs(removed, added):
            old_words, new_words = _words(old_part), _words(new_part)
            budget -= len(old_words) + len(new_words)
            if budget >= 0:
                segments += _word_differences(old_words, new_words)
            else:
                segments += [("del", old_part), ("ins", new_part)]
        segments.append(("same", "".join(same)))
    segments.append(("same", "".join(tail)))
    return _joined(segments)


def _pairs(removed: list[str], added: list[str]) -> list[tuple[str, str]]:
    """Return what to compare by words: line with line if as many came as went, else all at once."""
    if len(removed) == len(added):
        return list(zip(removed, added, strict=True))
    return [("".join(removed), "".join(added))]


def _word_differences(old: list[str], new: list[str]) -> Iterator[tuple[Change, str]]:
    head, old, new, tail = _without_common_ends(old, new)
    yield "same", "".join(head)
    removed = added = ""
    for out, into, kept in _compare(old, new, MOST_WORDS):
        same = "".join(kept)
        removed, added = removed + "".join(out), added + "".join(into)
        if same.isspace():
            # A lone space that stayed between two changes only scatters them.
            removed, added = removed + same, added + same
            continue
        yield from (("del", removed), ("ins", added), ("same", same))
        removed = added = ""
    yield from (("del", removed), ("ins", added))
    yield "same", "".join(tail)


def _compare(old: list[str], new: list[str], most: int) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Yield (taken out, put in, then the same) in order; past `most` parts all at once."""
    if len(old) > most or len(new) > most:
        yield old, new, []
        return
    old_done = new_done = 0
    for block in SequenceMatcher(str.isspace, old, new).get_matching_blocks():
        yield (
            old[old_done : block.a],
            new[new_done : block.b],
            old[block.a : block.a + block.size],
        )
        old_done, new_done = block.a + block.size, block.b + block.size


def _without_common_ends(old: list[str], new: list[str]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return (common beginning, rest of old, rest of new, common end)."""
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    return old[:head], old[head : len(old) - tail], new[head : len(new) - tail], old[len(old) - tail :]


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\S+", text)


def _joined(segments: list[tuple[Change, str]]) -> list[tuple[Change, str]]:
    """Leave out empty segments and join neighbours of one kind; "del" comes before "ins"."""
    joined: list[tuple[Change, str]] = []
    for change, text in segments:
        if not text:
            continue
        if joined and joined[-1][0] == change:
            joined[-1] = (change, joined[-1][1] + text)
        elif change == "del" and joined and joined[-1][0] == "ins":
            _add_before_insertion(joined, text)
        else:
            joined.append((change, text))
    return joined


def _add_before_insertion(joined: list[tuple[Change, str]], removed: str) -> None:
    if len(joined) > 1 and joined[-2][0] == "del":
        joined[-2] = ("del", joined[-2][1] + removed)
    else:
        joined.insert(len(joined) - 1, ("del", removed))
