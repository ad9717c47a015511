"""Comments: Markdown from anyone, rendered in bounded time."""

import hashlib
import logging
import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from forum.text.excerpt import count_words, plain_text
from forum.text.normal import normalise
from forum.text.safe_html import clean_comment_html, is_outside_link

MAX_CHARACTERS = 10_000
MAX_LINE_BREAKS = 1_000
MIN_CHARACTERS = 2
MAX_HTML = 200 * 1024
RENDER_CPU_SECONDS = 0.25
MAX_NESTING = 20

RENDERER = f"comment 1, markdown-it-py {version('markdown-it-py')}, nh3 {version('nh3')}"
"""Stored beside the HTML, so that what an older renderer made can be found and made again."""

_log = logging.getLogger(__name__)


class Rejected(ValueError):
    """A comment that cannot be kept as it is; the message is a sentence for its writer."""


@dataclass(frozen=True)
class Rendered:
    """A comment as it is stored: the normalised source and the safe HTML made from it."""

    source: str
    html: str
    words: int
    links: int
    renderer: str


def render_comment(source: str) -> Rendered:
    """Return the comment that `source` becomes, its HTML sanitised and at most 200 KB.

    Raises: Rejected, with a sentence for the writer.
    """
    source = normalise(source)
    _check_size(source)
    html, text, cpu_seconds = _render(source)
    if cpu_seconds > RENDER_CPU_SECONDS:
        # A collection of the whole process's garbage may have fallen into it, which is not the writer's doing.
        html, text, cpu_seconds = _render(source)
    _check_effort(source, cpu_seconds)
    if not any(unicodedata.category(letter)[0] not in "CZ" for letter in text):
        raise Rejected("Write something first.")  # zero-width characters alone show nothing
    return Rendered(source, html, count_words(text), html.count("<a "), RENDERER)


def _check_size(source: str) -> None:
    if not source:
        raise Rejected("Write something first.")
    if len(source) < MIN_CHARACTERS:
        raise Rejected(f"Write at least {MIN_CHARACTERS} characters.")
    if (over := len(source) - MAX_CHARACTERS) > 0:
        raise Rejected(f"This is {_count(over, 'character')} too long. The most is {MAX_CHARACTERS:,}.")
    if (over := source.count("\n") - MAX_LINE_BREAKS) > 0:
        raise Rejected(f"This has {_count(over, 'line break')} too many. The most is {MAX_LINE_BREAKS:,}.")


def _render(source: str) -> tuple[str, str, float]:
    """Return the HTML, its plain text, and the seconds of CPU that both took."""
    if (prose := prose_html(source)) is not None:
        return prose, source.replace("*", ""), 0.0
    started = time.thread_time()
    html = _to_html(source)
    text = plain_text(html)
    return html, text, time.thread_time() - started


def prose_html(source: str) -> str | None:
    """Return what plain prose becomes, with the odd word between stars, in a tenth of the time; None for the parser.

    What may mean anything else to the parser is left to it, which says the same of all that is answered here.
    """
    if not _PROSE.fullmatch(source):
        return None
    stressed = _STRESS.sub(r"<em>\1</em>", source)
    if "*" in stressed:
        return None
    return f"<p>{stressed}</p>".replace("\n\n", "</p>\0<p>").replace("\n", "<br>\n").replace("\0", "\n")


def _to_html(source: str) -> str:
    environment: EnvType = {}
    tokens = _MARKDOWN.parse(source, environment)
    # Behind its limit the parser drops words without a sign.
    if any(token.type in _CONTAINERS and token.level >= MAX_NESTING - 1 for token in tokens):
        raise Rejected("Quotes or lists are nested too deeply here. Take out some levels.")
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, environment)
    if len(html) > MAX_HTML or len(html := clean_comment_html(html)) > MAX_HTML:
        raise Rejected("This is too complicated to show. Use fewer links, lists and quotes.")
    return html.strip()


def _check_effort(source: str, cpu_seconds: float) -> None:
    if cpu_seconds > RENDER_CPU_SECONDS:
        digest = hashlib.sha256(source.encode()).hexdigest()
        _log.warning("comment refused: %.2f s CPU to render, sha256 %s", cpu_seconds, digest)
        raise Rejected("This takes too long to show. Use fewer links, lists and quotes.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# Lines begin with a word or what opens a phrase, so that none is a list, a rule or a heading; they end with no blank.
_PROSE_CHARACTER = r"[^\W_]|[.,;:?!()'\"“”‘’«»–—…*-]"
_PROSE_LINE = rf"(?:[^\W\d_]|\d+(?![\d.)])|[\"'(“‘«]|\*(?=[^\W\d_]))(?:{_PROSE_CHARACTER}| (?![ \n]|\Z))*+"
_PROSE = re.compile(rf"{_PROSE_LINE}(?:\n\n?{_PROSE_LINE})*+")
# With blanks and marks around it, and letters within, a star can only open, and the next one only close.
_STRESS = re.compile(r"(?<![^\s\"'(“‘«])\*([^\W_](?:(?:[^\W_]|[ '’])*[^\W_])?)\*(?![^\s.,;:?!)\"'”’»–—…-])")

_CONTAINERS = {"blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open"}
_TAGS = {
    # A comment must not add to the outline of the page.
    "heading_open": "p",
    "heading_close": "p",
    "s_open": "del",
    "s_close": "del",
}


class _Renderer(RendererHTML):
    """Writes the tags of a comment where the library would write others."""

    def renderToken(  # noqa: N802 (the name is the library's)
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        token = tokens[idx]
        token.tag = _TAGS.get(token.type, token.tag)
        return super().renderToken(tokens, idx, options, env)

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Show fenced code without its language, which the sanitiser would take off anyway."""
        tokens[idx].info = ""
        return super().fence(tokens, idx, options, env)


_URL_START = re.compile(r"(?<![\w@])https?://", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"'`“”‘’«»\\]+", re.IGNORECASE)
_AFTER_URL = ".,:;!?…*_~'\""
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def bare_links(text: str) -> list[tuple[str, bool]]:
    """Return `text` in pieces, each with whether it is the address of a link, in linear time.

    Sentence marks and closing brackets without their opening one do not belong to an address.
    """
    pieces: list[tuple[str, bool]] = []
    done = searched = 0
    for start in _URL_START.finditer(text):
        if start.start() < searched or not (found := _URL.match(text, start.start())):
            continue
        searched = found.end()  # no second look at the same run: it would take quadratic time
        url = _without_sentence_marks(found.group())
        if not is_outside_link(url):
            continue
        pieces += [(text[done : start.start()], False), (url, True)]
        done = start.start() + len(url)
    pieces.append((text[done:], False))
    return [piece for piece in pieces if piece[0]]


def _without_sentence_marks(url: str) -> str:
    spare = {closing: url.count(closing) - url.count(opening) for closing, opening in _BRACKETS.items()}
    end = len(url)
    while end and (url[end - 1] in _AFTER_URL or spare.get(url[end - 1], 0) > 0):
        if url[end - 1] in spare:
            spare[url[end - 1]] -= 1
        end -= 1
    return url[:end]


def _mend_links(state: StateCore) -> None:
    """Drop the "!" of an image, which is shown as a link, and give every link words to see."""
    for token in state.tokens:
        if token.children:
            token.children = _mended(token.children)


def _mended(tokens: list[Token]) -> list[Token]:
    mended: list[Token] = []
    for position, token in enumerate(tokens):
        if token.type == "link_open" and token.info != "auto":
            before = mended[-1] if mended else None
            if before and before.type == "text" and before.content.endswith("!"):
                before.content = before.content[:-1]
        mended.append(token)
        if token.type == "link_open" and _has_no_words(tokens, position + 1):
            mended.append(_text(str(token.attrGet("href")), token.level + 1))
    return mended


def _has_no_words(tokens: list[Token], position: int) -> bool:
    """Tell whether nothing can be seen from `position` to the end of the link there."""
    # A text_special is an escaped character or an entity, such as &nbsp;.
    while tokens[position].type in {"text", "text_special"} and not tokens[position].content.strip():
        position += 1
    return tokens[position].type == "link_close"


def _link_bare_addresses(state: StateCore) -> None:
    for token in state.tokens:
        if token.children and "://" in token.content:
            token.children = _with_bare_links(token.children)


def _with_bare_links(tokens: list[Token]) -> list[Token]:
    linked: list[Token] = []
    depth = 0
    for token in tokens:
        depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type != "text" or depth:
            linked.append(token)
            continue
        for piece, is_url in bare_links(token.content):
            linked += _link(piece, token.level) if is_url else [_text(piece, token.level)]
    return linked


def _link(url: str, level: int) -> list[Token]:
    opening = Token("link_open", "a", 1, level=level, attrs={"href": url})
    return [opening, _text(url, level + 1), Token("link_close", "a", -1, level=level)]


def _text(content: str, level: int) -> Token:
    return Token("text", "", 0, content=content, level=level)


def _comment_markdown() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": MAX_NESTING}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    markdown.enable("strikethrough")
    # Reference links let a short text name one long address thousands of times.
    markdown.disable(["image", "reference", "lheading"])
    markdown.validateLink = is_outside_link  # type: ignore[method-assign]
    markdown.core.ruler.after("inline", "mend_links", _mend_links)
    markdown.core.ruler.push("bare_links", _link_bare_addresses)
    # It puts its rules together at the first words. Of two threads with first words, one would find half of them.
    markdown.render("The *first* words.")
    return markdown


_MARKDOWN = _comment_markdown()
