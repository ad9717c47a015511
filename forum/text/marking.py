"""A mark round some of the words of a comment, where its HTML shows them."""

import re
from collections.abc import Iterable

from forum.text.phrases import find_phrases

MOST_MARKS = 300
"""So many words or phrases in one text at most: more help nobody, and would let a page grow without bound."""


def mark_words(html: str, words: Iterable[str]) -> str:
    """Return a comment's sanitised `html` with <mark> round every one of some words or phrases.

    They are found as `find_phrases` finds them, also across formatting; a tag parts two words. No mark holds
    a tag, and without its marks the result is `html` again. Takes linear time.
    """
    # Blanks of the same length instead of the rest: what is found in them stands there in the HTML.
    only_words = _NO_WORDS.sub(lambda found: " " * len(found.group()), html)
    pieces: list[str] = []
    done = 0
    for start, end in find_phrases(only_words, tuple(words))[:MOST_MARKS]:
        pieces += [html[done:start], _between_tags(html[start:end])]
        done = end
    return "".join([*pieces, html[done:]])


def _between_tags(html: str) -> str:
    pieces = enumerate(_TAG.split(html))  # every second one is a tag
    return "".join(
        f"<mark>{piece}</mark>" if at % 2 == 0 and piece.strip() else piece for at, piece in pieces
    )


# Possessive, so that a tag without an end is given up in one go.
_TAG_PATTERN = r'<[a-z/][^<>"]*+(?:"[^"]*+"[^<>"]*+)*+>'
_TAG = re.compile(rf"({_TAG_PATTERN})")
_NO_WORDS = re.compile(rf"{_TAG_PATTERN}|&#?\w{{1,31}};")
