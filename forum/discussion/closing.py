"""When a discussion or a thread is over: closed by somebody, or by a rule and the date, without a job."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from forum.database import db
from forum.discussion.comment import Comment, first_of_thread
from forum.discussion.rules import rule
from forum.essays.essay import Essay


@dataclass(frozen=True)
class Closing:
    """Since when nobody may comment, and what readers are told where the form was."""

    at: datetime
    note: str


def closing_of(essay: Essay, now: datetime) -> Closing | None:
    """Return how a discussion ended, None while it goes on. No query beyond that of the settings.

    What somebody reopened is closed by no rule any more.
    """
    if essay.discussion_closed_at is not None:
        return Closing(essay.discussion_closed_at, essay.closing_note)
    over = [end for end in _ends(essay) if end.at <= now]
    return min(over, key=lambda end: end.at, default=None)


def next_closing(essay: Essay, now: datetime) -> datetime | None:
    """Return when a rule is going to close a discussion if nothing happens until then, None for never."""
    return min((end.at for end in _ends(essay) if end.at > now), default=None)


def thread_closing_of(comment: Comment) -> Closing | None:
    """Return how the thread that a comment is in ended, None while it goes on. At most one query."""
    if (known := first_of_thread(comment)) is not None:
        return Closing(known.closed_at, known.closing_note) if known.closed_at else None
    first = select(Comment.closed_at, Comment.closing_note).where(Comment.id == comment.root_id)
    row = db.session.execute(first).first()
    return Closing(row[0], row[1]) if row is not None and row[0] is not None else None


def _ends(essay: Essay) -> list[Closing]:
    """Return when each rule that is on closes a discussion, as it stands."""
    if essay.kept_open_at is not None or essay.published_at is None:
        return []
    spoken = max(essay.published_at, essay.commented_at or essay.published_at)
    ends = (_end("close-age", essay.published_at), _end("close-silent", spoken))
    return [end for end in ends if end is not None]


def _end(code: str, since: datetime) -> Closing | None:
    closes = rule(code)
    if not closes.is_on:
        return None
    return Closing(since + timedelta(days=closes.values["days"]), closes.values["note"])
