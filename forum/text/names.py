"""Names of people: what may be one, and when two of them look alike."""

import json
import re
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

from forum.text.normal import one_line

MIN_NAME_CHARACTERS = 2
MAX_NAME_CHARACTERS = 60
MOST_MARKS_IN_A_ROW = 2


class BadName(ValueError):
    """A name that cannot be used; the message is a sentence for the person who typed it."""


def clean_name(name: str) -> str:
    """Return `name` as it is stored and shown: NFKC, on one line.

    Raises: BadName, with a sentence for the person who typed it.
    """
    name = one_line(unicodedata.normalize("NFKC", one_line(name[:_LONGEST_WORTH_READING])))
    name = _VARIATION_SELECTOR.sub("", name)
    if len(name) < MIN_NAME_CHARACTERS:
        raise BadName(f"A name needs at least {MIN_NAME_CHARACTERS} characters.")
    if len(name) > MAX_NAME_CHARACTERS:
        raise BadName(f"A name can have at most {MAX_NAME_CHARACTERS} characters.")
    if _has_invisible(name):
        raise BadName("A name cannot hold invisible characters. Type it again by hand.")
    if _has_stacked_marks(name):
        raise BadName("A name cannot hold more than two accents on one letter.")
    if not any(_is_letter_or_digit(character) for character in name):
        raise BadName("A name needs at least one letter or digit.")
    if any(_mixes_alphabets(word) for word in name.split()):
        raise BadName("Write each word of the name in one alphabet.")
    return name


def name_key(name: str) -> str:
    """Return the skeleton of `name`: two names with one key look alike, so only one may be used.

    Case, spaces, punctuation, symbols and invisible characters do not count, and characters that
    Unicode lists as passing for a Latin letter count as that letter (after UTS #39). The price: a
    few honest pairs collide too, such as Ali and All. Accents do count: José is not Jose. Not for
    showing.
    """
    name = unicodedata.normalize("NFKC", one_line(name)).casefold()
    letters = unicodedata.normalize("NFD", name).translate(_look_alikes())
    letters = letters.replace("l\u0307", "l")  # the dot that İ leaves behind
    kept = "".join(character for character in letters if _counts_in_key(character))
    return unicodedata.normalize("NFC", kept.replace("rn", "m").replace("vv", "w"))


_LONGEST_WORTH_READING = 1_000  # cut, then refused as too long: NFKC may make one character 18
_VARIATION_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")

# Characters that show nothing although Unicode does not call them format characters.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_JOINERS = "\u200c\u200d"
# Arabic to Sinhala, Myanmar and Khmer spell with joiners; everywhere else they only hide.
_JOINING_LETTER = re.compile("[\u0600-\u0dff\u1000-\u109f\u1780-\u17ff]")

# Alphabets whose letters pass for each other's; others (kana with kanji, say) mix freely.
_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})


@cache
def _look_alikes() -> dict[int, str]:
    """Return what to write for each character that passes for a Latin letter or a digit.

    Made when the first name is compared. The list that it is made from takes 7 MB, so only its file is read here:
    the module of the same package would keep it.
    """
    listed = json.loads((files("confusable_homoglyphs") / "confusables.json").read_bytes())
    table: dict[str, str] = {}
    # Small letters first: names are case-folded, so a look-alike capital counts only if its
    # small letter resembles nothing (В is like B, в alone is like nothing).
    for plain in "abcdefghijklmnopqrstuvwxyz23456789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for similar in _similar_to(plain, listed):
            table.setdefault(similar.casefold(), plain.casefold())
    # Unlike the case-blind rest these cannot be told apart once case is gone: I, i, l and 1.
    table |= dict.fromkeys("iı1|", "l") | {"0": "o"}
    return {
        ord(similar): "l" if plain == "i" else plain
        for similar, plain in table.items()
        if len(similar) == 1 and (similar not in _PLAIN or similar in "i10")
    }


def _similar_to(plain: str, listed: dict[str, Any]) -> list[str]:
    return [homoglyph["c"].strip("\u200e") for homoglyph in listed.get(plain, ())]


_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"


def _has_invisible(name: str) -> bool:
    return any(
        character in _BLANK or (unicodedata.category(character) == "Cf" and not _joins(name, position))
        for position, character in enumerate(name)
    )


def _joins(name: str, position: int) -> bool:
    return (
        name[position] in _JOINERS
        and bool(_JOINING_LETTER.match(name, position - 1))
        and bool(_JOINING_LETTER.match(name, position + 1))
        if position
        else False
    )


def _has_stacked_marks(name: str) -> bool:
    in_a_row = 0
    for character in name:
        in_a_row = in_a_row + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if in_a_row > MOST_MARKS_IN_A_ROW:
            return True
    return False


def _is_letter_or_digit(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def _mixes_alphabets(word: str) -> bool:
    scripts = {unicodedata.name(character, "").partition(" ")[0] for character in word if character.isalpha()}
    return len(scripts & _ALPHABETS) > 1


def _counts_in_key(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" and character not in _BLANK
