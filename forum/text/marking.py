"""The words of a text as they are compared, and a mark round some of them where a comment shows them."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import NamedTuple

MOST_MARKS = 300
"""So many in one text at most: more help nobody, and keep the page from growing without bound."""


def folded_words(text: str) -> list[str]:
    """Return the words of plain `text` in order, without case, accents and the marks between them.

    An underscore parts words, and so do an apostrophe and a hyphen.
    """
    return [fold(word) for word in _WORD.findall(text)]


def fold(word: str) -> str:
    """Return one word without case, accents and typographic forms: “Ｃasinó” is “casino”. Not for showing."""
    if word.isascii():
        return word.lower()
    letters = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def mark_words(html: str, words: Collection[str]) -> str:
    """Return a comment's sanitised `html` with <mark> round every one of some words or phrases.

    Compares whole folded words, a phrase also across formatting. Without its marks the result is
    `html` again, and no mark holds a tag. Takes linear time.
    """
    phrases = _by_first_word(words)
    return _with_marks(html, _found(list(_words_of_html(html)), phrases)) if phrases else html


# Combining marks belong to the word; Python's \w leaves out those of all scripts.
_COMBINING = "".join(chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code))[0] == "M")
_WORD_PATTERN = rf"[^\W_](?:[^\W_]+|[{_COMBINING}]+)*+"
_WORD = re.compile(_WORD_PATTERN)
# Possessive throughout, so that a tag without an end is given up in one go.
_PIECE = re.compile(
    r'(?P<tag><[a-z/][^<>"]*+(?:"[^"]*+"[^<>"]*+)*+>)'
    rf"|(?P<entity>&#?\w{{1,31}};)|(?P<word>{_WORD_PATTERN})"
)


class _Word(NamedTuple):
    """One word of some HTML, and in which of its stretches without tags it stands."""

    folded: str
    start: int
    end: int
    stretch: int


def _words_of_html(html: str) -> Iterator[_Word]:
    stretch = 0
    for piece in _PIECE.finditer(html):
        if piece["tag"]:
            stretch += 1
        elif piece["word"]:
            yield _Word(fold(piece["word"]), piece.start(), piece.end(), stretch)


def _by_first_word(words: Collection[str]) -> dict[str, list[list[str]]]:
    phrases: dict[str, list[list[str]]] = {}
    for phrase in filter(None, map(folded_words, words)):
        phrases.setdefault(phrase[0], []).append(phrase)
    return phrases


def _found(words: list[_Word], phrases: dict[str, list[list[str]]]) -> Iterator[tuple[int, int]]:
    """Yield where to mark from and to, in order and without overlap; a phrase once for each stretch."""
    done = 0  # words before this one are marked already
    for at, word in enumerate(words):
        for phrase in phrases.get(word.folded, []):
            end = at + len(phrase)
            if end > done and [one.folded for one in words[at:end]] == phrase:
                yield from _stretches(words[max(at, done) : end])
                done = end


def _stretches(words: list[_Word]) -> Iterator[tuple[int, int]]:
    first = words[0]
    for last, following in zip(words, [*words[1:], None], strict=True):
        if following is None or following.stretch != first.stretch:
            yield first.start, last.end
            first = following or last


def _with_marks(html: str, found: Iterator[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for (start, end), _ in zip(found, range(MOST_MARKS), strict=False):
        pieces += [html[done:start], "<mark>", html[start:end], "</mark>"]
        done = end
    return "".join([*pieces, html[done:]])
