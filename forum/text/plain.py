"""Our own HTML as mails carry it: as plain text that reads well by itself, and as HTML that fetches nothing."""

import re
import unicodedata
from html import escape
from html.parser import HTMLParser

from forum.text.normal import one_line
from forum.text.safe_html import clean_essay_html

WIDTH = 72
"""Quoted twice, a line still fits the 78 characters of RFC 5322."""

MOST_LEVELS = 8
"""Deeper lists and quotes are not indented further, or a hostile one would be mostly indentation."""

Attributes = list[tuple[str, str | None]]


def as_text(html: str, base_url: str) -> str:
    """Return an essay's or a comment's HTML as plain text, wrapped, its links in angle brackets behind their words.

    `base_url` ("https://site.example") completes addresses on this site. Takes any string, in linear time.
    """
    writer = _TextWriter(base_url)
    writer.feed(
        clean_essay_html(html)
    )  # what comes out of it is balanced: the parser is slow on anything else
    writer.close()
    return writer.finish()


def for_mail(html: str, site_url: str, page_url: str = "") -> str:
    """Return an essay's or a comment's HTML for a mail: every address complete, nothing to fetch, no ids.

    Pictures and places in the text become links to `page_url`, where they can be seen.
    """
    writer = _MailWriter(site_url, page_url or site_url)
    writer.feed(clean_essay_html(html))
    writer.close()
    return "".join(writer.pieces).strip()


def _complete(href: str, site_url: str) -> str:
    """Return an address that works outside of the site; "" for a place in the text itself."""
    if href.startswith("#"):
        return ""
    return site_url + href if href.startswith("/") else href


# As text

_SPACE = re.compile(r"[ \t\n\r\f]+")
_BLOCKS = frozenset(["p", "div", "details", "summary", "figcaption", "caption", "dt"])
_MARKS = {"em": "*", "strong": "*", "del": "~~", "code": "`", "sup": "^"}
_INDENTED = {"blockquote": "> ", "dd": "    "}
_HEADINGS = {"h2": "## ", "h3": "### ", "h4": "#### "}


class _Level:
    """A list item, a quote, a heading: what its lines begin with, the first one perhaps differently."""

    def __init__(self, first: str, rest: str) -> None:
        self.first: str | None = first
        self.rest = rest

    def take(self) -> str:
        first, self.first = self.first, None
        return self.rest if first is None else first


class _TextWriter(HTMLParser):
    """Writes block after block; the words of the one at hand wait in `_words`."""

    def __init__(self, base_url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._base_url = base_url
        self._lines: list[str] = []
        self._levels: list[_Level] = []
        self._lists: list[tuple[int, int] | None] = []  # (next number, step); None: no numbers
        self._words: list[str] = []
        self._links: list[tuple[str, int]] = []  # (address, where its words begin)
        self._wants_gap = False
        self._shallowest = 0  # how many levels the last line and the next one share
        self._code = 0
        self._note_is_unmarked = False
        self._tables = 0
        self._rows: list[list[str]] = []

    def finish(self) -> str:
        self._flush()
        return "\n".join(self._lines)

    def handle_data(self, data: str) -> None:
        self._words.append(data if self._code else _SPACE.sub(" ", data))

    def handle_starttag(self, tag: str, attributes: Attributes) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "img":
            self._words.append(f"[Picture: {one_line(given.get('alt'))}]")
        elif tag == "a":
            self._open_link(given)
        elif tag == "br":
            self._words.append(" " if self._tables else "\n")
        elif tag == "q":
            self._words.append("“")
        elif tag == "sup" and self._note_is_unmarked:
            self._words.append("[")
        elif tag in _MARKS:
            self._words.append("" if self._code else _MARKS[tag])
        elif tag == "table" or self._tables:
            self._open_in_table(tag)
        else:
            self._open_block(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._close_link()
        elif tag == "q":
            self._words.append("”")
        elif tag == "sup" and self._note_is_unmarked:
            self._words.append("]")
            self._note_is_unmarked = False
        elif tag in _MARKS and tag != "sup":
            self._words.append("" if self._code else _MARKS[tag])
        elif self._tables:
            self._close_in_table(tag)
        else:
            self._close_block(tag)

    # Links

    def _open_link(self, given: dict[str, str]) -> None:
        if given.get("class") == "sidenote-ref":
            self._words.append("[")
            self._links.append(("]", 0))
        else:
            self._links.append((_complete(given.get("href", ""), self._base_url), len(self._words)))

    def _close_link(self) -> None:
        url, start = self._links.pop()
        if url == "]":
            self._words.append(url)
        elif url and "".join(self._words[start:]).strip() not in (url, url.removeprefix("mailto:")):
            self._words.append(f" <{url}>")

    # Blocks

    def _open_block(self, tag: str, given: dict[str, str]) -> None:
        if tag == "pre":
            self._separate()
            self._code += 1
        elif tag in ("ul", "ol"):
            self._flush() if self._lists else self._separate()
            self._lists.append(_numbers(given) if tag == "ol" else None)
        elif tag == "li":
            self._flush()
            self._push(self._list_mark(given))
        elif tag in _INDENTED:
            self._flush() if tag == "dd" else self._separate()
            self._push(_INDENTED[tag], _INDENTED[tag])
        elif tag in _HEADINGS:
            self._separate()
            self._push(_HEADINGS[tag])
        elif tag == "aside":
            self._separate()
            self._push("", "    ")
            self._note_is_unmarked = True
        elif tag == "figcaption":
            self._flush()
        elif tag == "hr":
            self._separate()
            self._write_line("* * *")
            self._wants_gap = True
        elif tag in _BLOCKS or tag == "figure":
            self._separate()

    def _close_block(self, tag: str) -> None:
        if tag == "pre":
            self._write_code()
            self._code -= 1
        elif tag in ("ul", "ol"):
            self._flush()
            if self._lists:
                self._lists.pop()
            self._wants_gap = self._wants_gap or not self._lists
        elif tag == "li":
            self._flush()
            self._pop()
        elif tag in _INDENTED or tag in _HEADINGS or tag == "aside":
            self._flush()
            self._pop()
            self._wants_gap = True
            self._note_is_unmarked = False
        elif (tag in _BLOCKS and tag != "dt") or tag in ("figure", "dl"):
            self._separate()

    def _list_mark(self, given: dict[str, str]) -> str:
        numbers = self._lists[-1] if self._lists else None
        if numbers is None:
            return "- "
        number = _number(given.get("value"), numbers[0])
        self._lists[-1] = (number + numbers[1], numbers[1])
        return f"{number}. "

    def _push(self, first: str, rest: str | None = None) -> None:
        deep = len(self._levels) >= MOST_LEVELS
        self._levels.append(_Level("" if deep else first, "" if deep else rest or " " * len(first)))

    def _pop(self) -> None:
        if self._levels:
            self._levels.pop()
        self._shallowest = min(self._shallowest, len(self._levels))

    def _separate(self) -> None:
        """End the block at hand; an empty line follows, but none between a list's mark and its words."""
        self._flush()
        self._wants_gap = self._wants_gap or not (self._levels and self._levels[-1].first)

    def _flush(self) -> None:
        """Write the words that wait as a block."""
        words, self._words = "".join(self._words), []
        self._links = [(url, 0) for url, _ in self._links]
        for line in words.split("\n"):
            room = WIDTH - sum(len(level.rest) for level in self._levels[:MOST_LEVELS])
            for part in _wrapped(line, max(room, 24)):
                self._write_line(part)

    def _write_code(self) -> None:
        code, self._words = "".join(self._words), []
        for line in code.strip("\n").split("\n"):
            self._write_line(f"    {line.expandtabs(4)}".rstrip())
        self._wants_gap = True

    def _write_line(self, line: str) -> None:
        if self._wants_gap and self._lines:
            shared = self._levels[: min(self._shallowest, MOST_LEVELS)]
            self._lines.append("".join(level.rest for level in shared).rstrip())
        self._wants_gap = False
        begin = "".join(level.take() for level in self._levels[:MOST_LEVELS])
        self._lines.append((begin + line).rstrip())
        self._shallowest = len(self._levels)

    # Tables

    def _open_in_table(self, tag: str) -> None:
        if tag == "table":
            if not self._tables:
                self._separate()
                self._rows = []
            self._tables += 1
        if self._tables == 1 and tag in ("td", "th", "caption"):
            self._words = []
        elif self._tables == 1 and tag == "tr":
            self._rows.append([])
        else:
            self._words.append(" ")  # a block in a cell, or a table in a table

    def _close_in_table(self, tag: str) -> None:
        if self._tables == 1 and tag == "caption":
            caption = one_line("".join(self._words))
            self._words, self._rows = [], [[caption]] if caption else []
        elif self._tables == 1 and tag in ("td", "th") and self._rows:
            self._rows[-1].append(one_line("".join(self._words)))
            self._words = []
        elif tag == "table":
            self._tables -= 1
            if not self._tables:
                self._write_table()
        else:
            self._words.append(" ")

    def _write_table(self) -> None:
        self._words = []
        for line in _table_lines([row for row in self._rows if any(row)]):
            for part in _wrapped(line, WIDTH) if _width(line) > WIDTH else [line]:
                self._write_line(part)
        self._wants_gap = True


def _numbers(given: dict[str, str]) -> tuple[int, int]:
    return _number(given.get("start"), 1), -1 if "reversed" in given else 1


def _number(typed: str | None, otherwise: int) -> int:
    return int(typed) if typed else otherwise  # the sanitiser leaves numbers only


def _table_lines(rows: list[list[str]]) -> list[str]:
    """Return a line for each row: in columns if these fit, else with bars between the cells."""
    columns = max((len(row) for row in rows), default=0)
    if columns * 3 > WIDTH:
        return [" | ".join(row) for row in rows]
    widths = [max((_width(row[n]) for row in rows if n < len(row) > 1), default=0) for n in range(columns)]
    if sum(widths) + 3 * (columns - 1) > WIDTH:
        return [" | ".join(row) for row in rows]
    return [
        row[0]
        if len(row) == 1
        else " | ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False))
        for row in rows
    ]


# Lines

_OPENING = "（「『【〈《〔［｛“‘(["
_LETTER = (
    "\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff71-\uff9d\U00020000-\U0003fffd"
)
_OTHER = rf"[^\s{_LETTER}{re.escape(_OPENING)}]"
_BREAKABLE = re.compile(rf"[{re.escape(_OPENING)}]{{0,3}}[{_LETTER}]{_OTHER}*|{_OTHER}+|.")
_CJK = re.compile(f"[{_LETTER}]")


def _wrapped(line: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` columns; a longer word stays whole, so that addresses work."""
    lines: list[str] = []
    parts: list[str] = []
    used = 0
    for word in line.split():
        for number, piece in enumerate(_pieces(word)):
            gap = 0 if number or not parts else 1
            size = _width(piece)
            if parts and used + gap + size > width:
                lines.append("".join(parts))
                parts, used, gap = [], 0, 0
            parts.append(" " * gap + piece)
            used += gap + size
    return [*lines, "".join(parts)] if parts else lines


def _pieces(word: str) -> list[str]:
    """Return the parts between which a word may be broken: Chinese and Japanese stand without spaces."""
    if word.isascii() or word.startswith(("<", "http")) or not _CJK.search(word):
        return [word]
    return _BREAKABLE.findall(word)


def _width(text: str) -> int:
    """Return how many columns a text takes in a fixed-width font."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


# As the HTML of a mail

_OTHER_TAGS = {"details": "div", "summary": "div", "aside": "div", "figure": "div", "figcaption": "div"}
"""Mail programs know less than browsers, and a text that is folded in one could not be unfolded."""

_KEPT = frozenset(["title", "lang", "dir", "start", "reversed", "value", "colspan", "rowspan", "scope"])
_KEPT_CLASSES = frozenset(["sidenote", "table-scroll", "small-caps", "align-center", "align-end"])
_CLASS_OF = {"figcaption": "caption", "summary": "summary"}
_EMPTY = frozenset({"br", "hr", "img"})


class _MailWriter(HTMLParser):
    """Copies tags with what a mail needs of their attributes; `_open` holds how each one ends."""

    def __init__(self, site_url: str, page_url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._site_url = site_url
        self._page_url = page_url
        self._open: list[str] = []
        self._links = 0

    def handle_data(self, data: str) -> None:
        self.pieces.append(escape(data, quote=False))

    def handle_starttag(self, tag: str, attributes: Attributes) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "img":
            words = escape(f"[Picture: {one_line(given.get('alt'))}]")
            self.pieces.append(words if self._links else f'<a href="{escape(self._page_url)}">{words}</a>')
            return
        if tag == "a":
            self._links += 1
            tag, kept = self._link(given)
        else:
            kept = {name: value for name, value in given.items() if name in _KEPT}
        mark = _CLASS_OF.get(tag) or given.get("class", "")
        if mark in _KEPT_CLASSES or tag in _CLASS_OF:
            kept["class"] = mark
        tag = _OTHER_TAGS.get(tag, tag)
        written = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
        self.pieces.append(f"<{tag}{written}>")
        if tag not in _EMPTY:
            self._open.append(f"</{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY and self._open:
            self.pieces.append(self._open.pop())
        if tag == "a":
            self._links -= 1

    def _link(self, given: dict[str, str]) -> tuple[str, dict[str, str]]:
        href = given.get("href", "")
        if given.get("class") == "sidenote-ref":
            return "sup", {}  # its note stands below; ids do not survive every mail program
        if href.startswith("#"):
            return "a", {"href": self._page_url + href}
        if not href:
            return "span", {}
        return "a", {"href": _complete(href, self._site_url)} | (
            {"title": t} if (t := given.get("title")) else {}
        )
