"""The plain words of a text, whole or only the first of them."""

import re
from html.parser import HTMLParser


def first_line(source_or_html_text: str, length: int = 90) -> str:
    """Return the first words of rendered HTML or of typed text, on one line, for a card.

    At most `length` characters; what was cut is shown by "…" at the end of a whole word.
    """
    if _RENDERED.match(source_or_html_text):
        words = plain_text(source_or_html_text)
    else:
        words = _without_marks(source_or_html_text)
    return shorten(words, length)


def plain_text(html: str) -> str:
    """Return the words of sanitised `html`: blocks end with a newline, no note numbers."""
    collector = _Words()
    collector.feed(html)
    collector.close()
    lines = (" ".join(line.split()) for line in "".join(collector.pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def shorten(text: str, length: int) -> str:
    """Return `text` on one line of at most `length` characters, cut between words with "…"."""
    # Nothing behind this can be shown: white space only shrinks runs of it.
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    cut = line[:length]
    if not line[length - 1].isspace() and " " in cut:
        cut = cut[: cut.rindex(" ")]
    return cut[: length - 1].rstrip(" ,;:.–—-…") + "…"


def count_words(text: str) -> int:
    """Return how many words `text` has; don’t and well-known count as one."""
    return len(_WORD.findall(text))


_RENDERED = re.compile(r"\s*<(?:p|ul|ol|dl|pre|blockquote|hr|h[2-4]|figure|div|details)\b[^<>]*>")
_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_BLOCK_TAGS = (
    "p br li ul ol pre blockquote hr h2 h3 h4 figure figcaption table tr td th caption dl dt dd"
    " details summary aside div"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())

# All bounded, so that no input makes them slow.
_LINE_MARKS = re.compile(r"^(?:[ \t]{0,8}(?:>|#{1,6}(?=\s)|[-*+](?=\s)|\d{1,9}[.)](?=\s))){1,20}", re.M)
_LINK_MARKS = re.compile(r"!?\[([^\[\]\n]{1,200})\]\([^()\s]{0,500}\)")
_WORD_MARKS = re.compile(
    r"(?<!\w)(?:\*{1,3}|_{1,3}|~~|`{1,3})(?=\S)|(?<=\S)(?:\*{1,3}|_{1,3}|~~|`{1,3})(?!\w)"
)


def _without_marks(source: str) -> str:
    return _WORD_MARKS.sub("", _LINK_MARKS.sub(r"\1", _LINE_MARKS.sub("", source)))


class _Words(HTMLParser):
    """Collects text, with a newline at each edge of a block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._in_reference = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")
        # "claim¹" reads "claim1" without the look of it.
        self._in_reference = tag == "a" and ("class", "sidenote-ref") in attributes

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")
        self._in_reference = False

    def handle_data(self, data: str) -> None:
        if not self._in_reference:
            self.pieces.append(data)
