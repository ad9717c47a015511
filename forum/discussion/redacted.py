"""Words that were taken out of a comment: the mark in their place, and how to tell them when they come back."""

import re

from sqlalchemy import select

from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.text.excerpt import plain_text
from forum.text.markdown import Rendered

MARK = "█ removed by the moderators █"
"""What stands in the place of the words: to be seen, to be read aloud, and without a meaning in Markdown."""

TRIED = 200
"""More than the blanks between words differ in length."""

_BETWEEN = r"[\s*_`~\\]+"
"""What may stand between two words in the source where a reader sees a blank: blanks, line breaks, marks."""


def pattern_of(words: str) -> re.Pattern[str]:
    """Return what finds these words, however they are spaced, emphasised or capitalised."""
    single = [re.escape(word) for word in re.split(_BETWEEN, words) if word]
    return re.compile(_BETWEEN.join(single) or "(?!)", re.IGNORECASE)


def says(words: str, source: str, html: str) -> bool:
    """Tell whether words are in a text, as it was typed or as it is read."""
    found = pattern_of(words)
    return bool(found.search(source) or found.search(plain_text(html)))


def wordings_before(comment: Comment) -> dict[int, str]:
    """Return the source of each wording that words were taken out of, as it was before, by the revision's id.

    Nothing but what its essay's author asks for by name is made of it. One query.
    """
    before: dict[int, str] = {}
    for event in _redactions(comment):
        for kind, row_id, field, old, _ in event.changes:
            if (kind, field) == ("comment_revision", "source"):
                before.setdefault(row_id, old)
    return before


def brings_back_redacted(comment: Comment, words: Rendered) -> bool:
    """Tell whether a new wording of a comment says again what was taken out of an earlier one. One query."""
    gone = {
        _taken_out(old, new)
        for event in _redactions(comment)
        for _, _, field, old, new in event.changes
        if field == "source"
    }
    return any(taken is not None and says(taken, words.source, words.html) for taken in gone)


def _redactions(comment: Comment) -> list[Event]:
    """Return the redactions of a comment that stand, the first one first."""
    mine = (Event.comment_id == comment.id) & (Event.act == "redact") & Event.is_undone.is_(False)
    return list(db.session.scalars(select(Event).where(mine).order_by(Event.id)))


def _taken_out(old: str, new: str) -> str | None:
    """Return the words that were taken out, read from a text before and after; they are stored nowhere else.

    They begin where the two part. Their length is tried, the mean of what is missing first, since they may have
    been spaced differently here and there.
    """
    start = next((at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
    marks = new.count(MARK) - old.count(MARK)
    if marks < 1:
        return None
    mean = (len(old) - len(new)) // marks + len(MARK)
    for length in sorted(range(1, len(old) - start + 1), key=lambda tried: abs(tried - mean))[:TRIED]:
        words = old[start : start + length]
        if pattern_of(words).sub(MARK, old) == new:
            return words
    return None
