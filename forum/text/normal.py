"""Typed text in one normal form: nothing invisible or broken gets past here."""

import re
import unicodedata

MOST_MARKS_IN_A_ROW = 30
"""Combining marks kept on one character: the figure of UAX #15 for stream-safe text.

More of them only spill over the neighbouring lines, and NFC takes quadratic time on a long run.
"""


def normalise(text: str | None) -> str:
    """Return `text` with LF line ends, in NFC, without characters that break storage or layout.

    Drops controls (all but tab and newline), bidirectional overrides and isolates, byte order
    marks and noncharacters; a lone surrogate becomes U+FFFD. Indentation of the first line stays;
    blank lines before it and white space at the end of the whole text go. Idempotent. None, as a
    field that was not sent gives it, is an empty text.
    """
    text = text or ""
    if text.isascii() and text.replace("\n", "").isprintable():  # nothing is to be done to most texts
        return _BLANK_LINES_FIRST.sub("", text.rstrip())
    text = _LINE_ENDS.sub("\n", text)
    if not text.isascii():
        text = _mend_surrogates(text)
    text = _FORBIDDEN.sub("", text)
    if not text.isascii():
        # Before NFC for its running time; after it because NFC splits a few marks in two.
        text = _limit_marks(unicodedata.normalize("NFC", _limit_marks(text)))
    return _BLANK_LINES_FIRST.sub("", text.rstrip())


def one_line(text: str | None) -> str:
    """Return `text` normalised and on a single line: every run of white space is one space."""
    return " ".join(normalise(text).split())


_LINE_ENDS = re.compile("\r\n|[\r\u2028\u2029]")
_BLANK_LINES_FIRST = re.compile(r"\A(?:[^\S\n]*\n)+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLANE_ENDS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls
    "\u202a-\u202e\u2066-\u2069"  # leak out of <span> and even of <bdi>
    f"\ufeff\ufdd0-\ufdef{_PLANE_ENDS}]"
)
# The first combining mark is U+0300: only runs above it can hold too many.
_MAYBE_MARKS = re.compile(f"[\u0300-\U0010ffff]{{{MOST_MARKS_IN_A_ROW + 1},}}")


def _mend_surrogates(text: str) -> str:
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _limit_marks(text: str) -> str:
    return _MAYBE_MARKS.sub(lambda run: _limit_marks_of_run(run.group()), text)


def _limit_marks_of_run(run: str) -> str:
    kept: list[str] = []
    in_a_row = 0
    for character in run:
        in_a_row = in_a_row + 1 if unicodedata.combining(character) else 0
        if in_a_row <= MOST_MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)
