"""Essays: Markdown from trusted authors, rendered with all its features, bounded in size and time."""

from dataclasses import dataclass
from importlib.metadata import version

from forum.text.composed import Composed
from forum.text.essay_process import TookTooLong, compose_apart
from forum.text.excerpt import count_words, plain_text
from forum.text.normal import normalise

MAX_ESSAY_CHARACTERS = 200_000
WORDS_A_MINUTE = 220

ESSAY_RENDERER = f"essay 1, Markdown {version('Markdown')}, nh3 {version('nh3')}"
"""Stored beside the HTML, so that what an older renderer made can be found and made again."""


class EssayRejected(ValueError):
    """An essay that cannot be shown as it is; the message is a sentence for its author."""


@dataclass(frozen=True)
class TocEntry:
    """One heading: `id` is its anchor, `level` is 2 to 4."""

    id: str
    title: str
    level: int


@dataclass(frozen=True)
class EssayText:
    """An essay ready to show; `preview_html` is what stands before `<!--more-->`, if it is there."""

    html: str
    preview_html: str | None
    toc: tuple[TocEntry, ...]
    words: int
    minutes: int
    excerpt: str
    renderer: str


def render_essay(source: str) -> EssayText:
    """Return the essay that `source` (Markdown) becomes, all its HTML sanitised.

    The excerpt comes from the preview when there is one, so it never gives away what follows.
    Runs in a process of its own, which is stopped after two seconds of CPU time.
    Raises: EssayRejected, with a sentence for the author: nothing there, too long, too slow or
    too deeply nested to format, or a picture without alternative text.
    """
    source = normalise(source)
    _check_size(source)
    composed = _compose_apart(source)
    words = count_words(plain_text(composed.html))
    return EssayText(
        html=composed.html,
        preview_html=composed.preview_html,
        toc=tuple(TocEntry(*entry) for entry in composed.toc),
        words=words,
        minutes=max(1, round(words / WORDS_A_MINUTE)),
        excerpt=composed.excerpt,
        renderer=ESSAY_RENDERER,
    )


def _check_size(source: str) -> None:
    if not source:
        raise EssayRejected("The essay is empty. Write something first.")
    if (over := len(source) - MAX_ESSAY_CHARACTERS) > 0:
        plural = "" if over == 1 else "s"
        raise EssayRejected(
            f"The essay is {over:,} character{plural} too long. The most is {MAX_ESSAY_CHARACTERS:,}."
        )


def _compose_apart(source: str) -> Composed:
    try:
        composed = compose_apart(source)
    except TookTooLong:
        raise EssayRejected(
            "The essay takes too long to format. Look for very deep lists or quotes, or long runs"
            " of brackets, and make them simpler."
        ) from None
    if composed.nested_too_deeply:
        raise EssayRejected(
            "Lists, quotes or brackets are nested too deeply in the essay. Take out some levels."
        )
    if composed.picture_without_alt is not None:
        raise EssayRejected(
            f"The picture {composed.picture_without_alt} has no alternative text. Say in a few"
            " words what it shows: ![what it shows](address)."
        )
    if not composed.html:
        raise EssayRejected("Nothing in the essay can be shown. Write something first.")
    return composed
