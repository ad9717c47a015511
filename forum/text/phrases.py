"""Words and phrases found in a text: whole words, whatever their case and accents, in linear time."""

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
    start: int | None = None
    for position, character in enumerate(text):
        is_alone = _stands_alone(character)
        if start is not None and (is_alone or not _is_in_word(character)):
            yield from _word(text, start, position)
            start = None
        if is_alone:
            yield from _word(text, position, position + 1)
        elif start is None and _is_in_word(character):
            start = position
    if start is not None:
        yield from _word(text, start, len(text))


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
    return list(
        {" ".join(key for key, _, _ in words_of(piece)): piece for piece in reversed([*pieces])}.values()
    )[::-1]


def _word(text: str, start: int, end: int) -> Iterator[Word]:
    if key := fold(text[start:end]):
        yield key, start, end


def _is_in_word(character: str) -> bool:
    if character.isascii():
        return character.isalnum()
    return unicodedata.category(character)[0] in "LNM" or character in _INVISIBLE


def _stands_alone(character: str) -> bool:
    return character > "\u0dff" and any(first <= character <= last for first, last in _UNSPACED)


# What shows nothing could be put into a word so that it is not found: soft hyphens, joiners, zero-width spaces.
_INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u3164\ufe0e\ufe0f\uffa0"
)
_UNSPACED = (
    ("\u0e00", "\u0eff"),  # Thai and Lao
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3040", "\u30ff"),  # kana
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
