"""Words and phrases found in a text: whole words, whatever their case and accents, in linear time."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

MOST_PHRASES = 500
LONGEST_PHRASE = 100
MOST_WORDS_IN_PHRASE = 10

Word = tuple[str, int, int]
"""A word as it is compared, and where it begins and ends in the text."""


def find_phrases(text: str, phrases: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return where any of the phrases stands in a text, as non-overlapping ranges, in order.

    The time grows with the length of the text, not with the number of phrases: at each word at most
    MOST_WORDS_IN_PHRASE lengths are looked up.
    """
    wanted, longest = _index(phrases)
    words = list(words_of(text))
    keys = [key for key, _, _ in words]
    found, position = [], 0
    while position < len(words):
        most = min(longest, len(words) - position)
        lengths = (n for n in range(most, 0, -1) if tuple(keys[position : position + n]) in wanted)
        length = next(lengths, 0)
        if length:
            found.append((words[position][1], words[position + length - 1][2]))
        position += length or 1
    return found


def words_of(text: str) -> Iterator[Word]:
    """Return the words of a text; a letter of a script that puts no spaces between words is one by itself."""
    for found in _WORD.finditer(text):
        if key := fold(found[0]):
            yield key, found.start(), found.end()


def fold(word: str) -> str:
    """Return a word as it is compared: without case, accents and invisible characters."""
    if word.isascii():
        return word.lower()
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(one for one in letters if not unicodedata.combining(one) and one not in _INVISIBLE)


@lru_cache(maxsize=8)
def _index(phrases: tuple[str, ...]) -> tuple[frozenset[tuple[str, ...]], int]:
    wanted = frozenset(key for phrase in phrases if (key := _key(phrase)))
    return wanted, max((len(key) for key in wanted), default=0)


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(key for key, _, _ in words_of(phrase[:LONGEST_PHRASE]))[:MOST_WORDS_IN_PHRASE]


def has_words(phrase: str) -> bool:
    """Tell whether there is anything in a phrase that a text can be searched for."""
    return bool(_key(phrase))


def distinct(pieces: Iterable[str]) -> list[str]:
    """Return the pieces that differ in more than case and accents, in order."""
    first: dict[str, str] = {}
    for piece in pieces:
        first.setdefault(" ".join(key for key, _, _ in words_of(piece)), piece)
    return list(first.values())


# What shows nothing could be put into a word so that it is not found: soft hyphens, joiners, zero-width spaces.
_INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u3164\ufe0e\ufe0f\uffa0"
)
_UNSPACED = (  # Thai and Lao, Myanmar, Khmer, kana, and the Han of every plane
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Python's \w leaves out the marks that belong to the letter before them.
_MARKS = "".join(chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code))[0] == "M")
_ALONE = f"(?=[{_UNSPACED}])[^\\W_]"
_WORD = re.compile(f"{_ALONE}|(?:(?![{_UNSPACED}])(?:[^\\W_]|[{_MARKS}{''.join(_INVISIBLE)}]))++")
