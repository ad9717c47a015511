"""How the HTML of an essay is composed: Markdown, then notes, headings, figures and tables.

Runs inside the rendering process (see essay_process), because Markdown may never come back.
"""

import copy
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

from markdown import Markdown
from markdown.extensions import Extension
from markdown.extensions.footnotes import FootnoteExtension
from markdown.extensions.tables import TableExtension
from markdown.inlinepatterns import InlineProcessor, SimpleTagInlineProcessor
from markdown.util import AtomicString

from forum.text.composed import Composed
from forum.text.excerpt import plain_text, shorten
from forum.text.markdown import bare_links
from forum.text.safe_html import MORE_CLASS, clean_essay_draft, clean_essay_html

EXCERPT_CHARACTERS = 240


def compose(source: str) -> Composed:
    """Return the essay that normalised `source` becomes. May take minutes on hostile input."""
    try:
        return _compose(source)
    except RecursionError:
        return Composed(nested_too_deeply=True)


def _compose(source: str) -> Composed:
    essay = _tree(clean_essay_draft(_mark_more(_markdown_html(source))))
    if (picture := _picture_without_alt(essay)) is not None:
        return Composed(picture_without_alt=picture)
    _wrap_loose_words(essay)
    notes = _take_notes(essay)
    toc = _number_headings(essay)
    _make_figures(essay)
    _wrap_tables(essay)
    _make_code_reachable(essay)
    _mend_places(essay)
    opening = _up_to_more(essay)
    return Composed(
        html=_html(essay, notes),
        preview_html=None if opening is None else _html(opening, notes),
        toc=toc,
        excerpt=_excerpt(essay if opening is None else opening),
    )


# Markdown

_MORE = re.compile(r"<!--[ \t]*more[ \t]*-->", re.IGNORECASE)


def _markdown_html(source: str) -> str:
    return Markdown(
        extensions=[
            "abbr",
            "def_list",
            "fenced_code",
            "sane_lists",
            "smarty",
            FootnoteExtension(SEPARATOR="-"),
            TableExtension(use_align_attribute=True),
            _SameMarksAsComments(),
        ],
        output_format="html",
    ).convert(source)


def _mark_more(html: str) -> str:
    """Put an element for each `<!--more-->`: the sanitiser drops comments.

    Only a real mark is left to find here; inside code it is written with &lt; by now.
    """
    return _MORE.sub(f'<span class="{MORE_CLASS}"></span>', html)


class _SameMarksAsComments(Extension):
    """Bare addresses become links and ~~words~~ are struck out, as in comments."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is the library's)
        # Behind links and autolinks (160 to 120) and before emphasis (60).
        md.inlinePatterns.register(_BareLink(r"https?://[^\s<>\x02\x03]{1,2000}", md), "bare", 65)
        md.inlinePatterns.register(
            SimpleTagInlineProcessor(r"()~~(?=\S)([^~\n]{1,1000})(?<=\S)~~", "del"), "strike", 64
        )


class _BareLink(InlineProcessor):
    ANCESTOR_EXCLUDES = ("a",)

    def handleMatch(  # type: ignore[override]  # noqa: N802
        self, m: re.Match[str], data: str
    ) -> tuple[ElementTree.Element | None, int | None, int | None]:
        url, is_url = bare_links(m.group())[0]
        if not is_url:
            return None, None, None
        link = ElementTree.Element("a", href=url)
        link.text = AtomicString(url)  # no dashes or emphasis are made in it
        return link, m.start(), m.start() + len(url)


# From HTML to a tree and back


def _tree(html: str) -> ElementTree.Element:
    """Return sanitised (so balanced) `html` as a tree under one <div>."""
    builder = _TreeBuilder()
    builder.feed(html)
    return builder.finish()


class _TreeBuilder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._builder = ElementTree.TreeBuilder()
        self._builder.start("div", {})

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {name: value or "" for name, value in attributes})
        if tag in _EMPTY:
            self._builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        self._builder.data(data)

    def finish(self) -> ElementTree.Element:
        self.close()
        self._builder.end("div")
        return self._builder.close()


_EMPTY = {"br", "hr", "img"}
_INLINE_TAGS = "a abbr br cite code del em img kbd mark q small span strong sub sup"
_INLINE = frozenset(_INLINE_TAGS.split())


def _html(essay: ElementTree.Element, notes: "_Notes") -> str:
    page = copy.deepcopy(essay)
    _place_notes(page, notes)
    _remove_marks(page)
    return clean_essay_html("".join(_outer_html(block) for block in page)).strip()


def _outer_html(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode", method="html")


def _words(element: ElementTree.Element) -> str:
    return " ".join(plain_text(_outer_html(element)).split())


def _parents(root: ElementTree.Element) -> dict[ElementTree.Element, ElementTree.Element]:
    return {child: parent for parent in root.iter() for child in parent}


def _replace(parent: ElementTree.Element, old: ElementTree.Element, new: ElementTree.Element) -> None:
    new.tail, old.tail = old.tail, None
    parent[list(parent).index(old)] = new


def _remove(parent: ElementTree.Element, child: ElementTree.Element) -> None:
    """Remove `child` but keep the text behind it."""
    position = list(parent).index(child)
    if position:
        parent[position - 1].tail = (parent[position - 1].tail or "") + (child.tail or "")
    else:
        parent.text = (parent.text or "") + (child.tail or "")
    parent.remove(child)


def _wrap_loose_words(essay: ElementTree.Element) -> None:
    """Put words that stand outside of any block into paragraphs, so that blocks can be counted."""
    blocks: list[ElementTree.Element] = []
    loose = ElementTree.Element("p")
    loose.text = essay.text
    for child in essay:
        tail, child.tail = child.tail, None
        if child.tag in _INLINE:
            loose.append(child)
            child.tail = tail
            continue
        blocks += [loose, child] if len(loose) or (loose.text or "").strip() else [child]
        loose = ElementTree.Element("p")
        loose.text = tail
    blocks += [loose] if len(loose) or (loose.text or "").strip() else []
    essay.text = None
    essay[:] = blocks
    for block in blocks:
        block.tail = "\n"


# Pictures, tables, code


def _picture_without_alt(essay: ElementTree.Element) -> str | None:
    for picture in essay.iter("img"):
        if not picture.get("alt", "").strip():
            return picture.get("src") or "without an address"
    return None


def _make_figures(essay: ElementTree.Element) -> None:
    for paragraph in list(essay.iter("p")):
        if len(paragraph) == 1 and paragraph[0].tag == "img" and not _own_words(paragraph):
            picture = paragraph[0]
            if title := picture.get("title", "").strip():
                paragraph.tag = "figure"
                ElementTree.SubElement(paragraph, "figcaption").text = title
    # The first picture is likely on the first screen: waiting would only delay it.
    for picture in list(essay.iter("img"))[1:]:
        picture.set("loading", "lazy")


def _own_words(element: ElementTree.Element) -> str:
    return ((element.text or "") + "".join(child.tail or "" for child in element)).strip()


def _wrap_tables(essay: ElementTree.Element) -> None:
    parents = _parents(essay)
    for number, table in enumerate(list(essay.iter("table")), start=1):
        # A table wider than the screen scrolls by itself; with tabindex also by keyboard.
        wrapper = ElementTree.Element(
            "div",
            {
                "class": "table-scroll",
                "role": "region",
                "tabindex": "0",
                "aria-label": f"Table {number}",
            },
        )
        _replace(parents[table], table, wrapper)
        wrapper.append(table)
    for cell in essay.iter():
        if align := _ALIGNMENTS.get(cell.attrib.pop("align", "")):
            cell.set("class", align)
    for head in essay.iter("thead"):
        for cell in head.iter("th"):
            cell.set("scope", "col")


_ALIGNMENTS = {"center": "align-center", "right": "align-end"}  # else they begin at the start


def _make_code_reachable(essay: ElementTree.Element) -> None:
    for code in essay.iter("pre"):
        code.set("tabindex", "0")  # long lines scroll, also by keyboard


# Headings

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_FIRST_LEVEL, _LAST_LEVEL = 2, 4
_LONGEST_SLUG = 60


def _number_headings(essay: ElementTree.Element) -> list[tuple[str, str, int]]:
    """Bring headings to h2 to h4 without gaps, give each an id, and return the contents.

    The highest level that the essay uses becomes h2: the title of the page is its only h1.
    """
    headings = [
        (heading, title)
        for heading in essay.iter()
        if heading.tag in _HEADINGS and (title := _words(heading))
    ]
    top = min((_HEADINGS[heading.tag] for heading, _ in headings), default=1)
    level = _FIRST_LEVEL - 1
    taken: dict[str, int] = {}
    contents: list[tuple[str, str, int]] = []
    for heading, title in headings:
        wanted = _HEADINGS[heading.tag] - top + _FIRST_LEVEL
        level = min(wanted, level + 1, _LAST_LEVEL)  # a skipped level confuses screen readers
        anchor = _unique_anchor(title, taken)
        heading.tag = f"h{level}"
        heading.set("id", anchor)
        contents.append((anchor, title, level))
    return contents


def _unique_anchor(title: str, taken: dict[str, int]) -> str:
    slug = f"s-{_slug(title)}"
    taken[slug] = taken.get(slug, 0) + 1
    if taken[slug] == 1:
        return slug
    return _unique_anchor(f"{title} {taken[slug]}", taken)


def _slug(title: str) -> str:
    words = re.findall(r"\w+", title.casefold().replace("’", "").replace("'", ""))
    return "-".join(words)[:_LONGEST_SLUG].strip("-_") or "section"


def _mend_places(essay: ElementTree.Element) -> None:
    """Lead links to a place in the essay (#introduction) to the heading's real anchor."""
    anchors = {element.get("id") for element in essay.iter() if element.get("id")}
    for link in essay.iter("a"):
        place = link.get("href", "")
        if not place.startswith("#") or link.get("class") == "sidenote-ref":
            continue
        if place[1:] not in anchors:
            del link.attrib["href"]
            if (anchor := f"s-{_slug(place)}") in anchors:
                link.set("href", f"#{anchor}")


# Notes


@dataclass(frozen=True)
class _Notes:
    """The notes of an essay: `asides` by their anchor, ready to be placed beside the text."""

    asides: dict[str, ElementTree.Element]


def _take_notes(essay: ElementTree.Element) -> _Notes:
    """Take the list of footnotes out of `essay` and number the references in reading order.

    Notes that nothing refers to are left out.
    """
    bodies = _take_bodies(essay)
    for part in (essay, *bodies.values()):
        _drop_foreign_ids(part)
    numbers: dict[str, int] = {}
    times: dict[str, int] = {}
    asides: dict[str, ElementTree.Element] = {}
    waiting = [essay]
    while waiting:
        part = waiting.pop(0)
        for label in _number_references(part, bodies, numbers, times):
            aside = _aside(bodies[label], numbers[label])
            asides[f"fn-{numbers[label]}"] = aside
            waiting.append(aside)  # a note may refer to a note
    return _Notes(asides)


def _drop_foreign_ids(part: ElementTree.Element) -> None:
    for element in part.iter():
        if not _label(element):
            element.attrib.pop("id", None)


def _take_bodies(essay: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Return the bodies of the footnotes by label, and remove the list that holds them."""
    if not len(essay) or essay[-1].tag != "div" or essay[-1].find("ol/li[@id]") is None:
        return {}
    items = essay[-1].findall("ol/li[@id]")
    essay.remove(essay[-1])
    for item in items:
        parents = _parents(item)
        for back in [link for link in item.iter("a") if link.get("href", "").startswith("#fnref")]:
            _remove(parents[back], back)
    return {item.get("id", "").removeprefix("fn-"): item for item in items}


def _label(element: ElementTree.Element) -> str | None:
    """Return which footnote `element` refers to, if it is what Markdown makes of [^label]."""
    if element.tag == "sup" and element.get("id", "").startswith("fnref") and len(element) == 1:
        place = element[0].get("href", "")
        if place.startswith("#fn-"):
            return place.removeprefix("#fn-")
    return None


def _number_references(
    part: ElementTree.Element,
    bodies: dict[str, ElementTree.Element],
    numbers: dict[str, int],
    times: dict[str, int],
) -> list[str]:
    """Turn the references in `part` into numbered links; return the labels met for the first time."""
    first_met: list[str] = []
    parents = _parents(part)
    for element in list(part.iter()):
        label = _label(element)
        if label is None or label not in bodies:
            continue
        if label not in numbers:
            numbers[label] = len(numbers) + 1
            first_met.append(label)
        times[label] = times.get(label, 0) + 1
        _replace(parents[element], element, _reference(numbers[label], times[label]))
    return first_met


def _reference(number: int, time: int) -> ElementTree.Element:
    anchor = f"fnref-{number}" if time == 1 else f"fnref-{number}-{time}"
    link = ElementTree.Element(
        "a",
        {
            "class": "sidenote-ref",
            "id": anchor,
            "href": f"#fn-{number}",
            "aria-label": f"Note {number}",
        },
    )
    link.text = str(number)
    return link


def _aside(body: ElementTree.Element, number: int) -> ElementTree.Element:
    aside = ElementTree.Element("aside", {"class": "sidenote", "id": f"fn-{number}", "role": "note"})
    aside.text, aside[:] = body.text, list(body)
    for element in aside.iter():
        if element.tag in _HEADINGS:
            element.tag = "p"  # a note must not add to the outline of the essay
    if len(aside) == 1 and aside[0].tag == "p":
        paragraph = aside[0]
        aside.text, aside[:] = paragraph.text, list(paragraph)
    first = aside[0] if len(aside) and aside[0].tag == "p" else aside
    mark = ElementTree.Element("sup")
    mark.text, mark.tail, first.text = str(number), " " + (first.text or "").strip("\n"), None
    first.insert(0, mark)
    _trim_end(aside)
    return aside


def _trim_end(aside: ElementTree.Element) -> None:
    """Take off the space that stood before the link back to the text."""
    for element in [aside, *aside.iter()]:
        if len(element):
            element[-1].tail = (element[-1].tail or "").rstrip()


def _place_notes(page: ElementTree.Element, notes: _Notes) -> None:
    """Put each note behind the top-level block that first refers to it."""
    blocks: list[ElementTree.Element] = []
    placed: set[str] = set()
    waiting = list(reversed(page))
    while waiting:
        block = waiting.pop()
        blocks.append(block)
        beside: list[ElementTree.Element] = []
        for link in block.iter("a"):
            anchor = link.get("href", "")[1:]
            if link.get("class") == "sidenote-ref" and anchor not in placed:
                placed.add(anchor)
                beside.append(copy.deepcopy(notes.asides[anchor]))
                beside[-1].tail = "\n"
        waiting += reversed(beside)
    page[:] = blocks


# The mark up to which an essay is open to all


def _up_to_more(essay: ElementTree.Element) -> ElementTree.Element | None:
    """Return a copy of `essay` that ends at its first `<!--more-->`; None without one."""
    opening = copy.deepcopy(essay)
    mark = next((span for span in opening.iter("span") if _is_mark(span)), None)
    if mark is None:
        return None
    parents = _parents(opening)
    mark.tail = None
    inner = mark
    while (outer := parents.get(inner)) is not None:
        del outer[list(outer).index(inner) + 1 :]
        inner.tail = None
        outer.attrib.pop("id", None)  # the anchor of a heading holds all its words
        inner = outer
    return opening


def _is_mark(element: ElementTree.Element) -> bool:
    return element.tag == "span" and element.get("class") == MORE_CLASS


def _remove_marks(page: ElementTree.Element) -> None:
    parents = _parents(page)
    for mark in [span for span in page.iter("span") if _is_mark(span)]:
        parent = parents[mark]
        _remove(parent, mark)
        if parent.tag == "p" and not len(parent) and not (parent.text or "").strip():
            _remove(parents[parent], parent)


# Excerpt

_NOT_IN_EXCERPT = {"h2", "h3", "h4", "figure", "pre", "div", "aside", "hr"}


def _excerpt(opening: ElementTree.Element) -> str:
    """Return the first words of the running text, or of anything if there is none."""
    prose = [block for block in opening if block.tag not in _NOT_IN_EXCERPT]
    words = ""
    for block in prose or opening:
        words = f"{words} {_words(block)}"
        if len(words) > 2 * EXCERPT_CHARACTERS:
            break
    return shorten(words, EXCERPT_CHARACTERS)
