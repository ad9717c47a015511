"""What has to be known before a comment is added, read in one statement while the locks are held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, literal, select, true

from forum import clock
from forum.accounts.user import User
from forum.database import UtcDateTime, db, is_sqlite
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.learned import LearnedFilter, know_newest
from forum.discussion.rules import rule
from forum.essays.essay import Essay
from forum.site.settings import site_settings

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Before:
    """How things stand as a comment arrives."""

    comment_id: int
    """The id that it will have."""
    number: int
    """Of a new thread its number in the discussion, of a reply its place in the thread."""
    posted_id: int | None
    """The comment that the same form made already."""
    recent: Sequence[datetime]
    """When its writer posted in the last hour, the newest first."""
    repeats_own: bool
    """Whether its writer posted the same words a moment ago."""
    same_words_at: datetime | None
    """When anybody posted the same words last, where a rule asks for it."""


def read_before(author: User, essay: Essay, source: str, form_token: str, answered: Comment | None) -> Before:
    """Return how things stand for a comment that is about to be added. One statement.

    The caller holds the locks of `lock_discussion`, which keep the number, and on SQLite the id, from others.
    """
    now, settings, repeat = clock.now(), site_settings(), rule("repeat")
    asks_repeat = repeat.is_on and len(source) >= repeat.values["characters"]
    statement = _statement(answered is not None, asks_repeat, is_sqlite())
    row, *rows = db.session.execute(
        statement,
        {
            "author": author.id,
            "thread": answered.root_comment_id if answered else essay.id,
            "form_token": form_token,
            "words": source,
            "same_since": now - timedelta(minutes=settings.same_text_minutes),
            "repeat_since": now - timedelta(days=repeat.values["days"]),
            "most": max(settings.posts_per_hour, settings.posts_in_burst, rule("fast").values["comments"])
            * 4,
        },
    )
    know_newest((row.learned_id, row.learned_at) if row.learned_id else None)
    recent = [one for one in (row, *rows) if one.created_at is not None]
    return Before(
        comment_id=row.comment_id,
        number=row.number,
        posted_id=row.posted_id,
        recent=[one.created_at for one in recent if now - one.created_at < HOUR],
        repeats_own=any(one.is_same for one in recent),
        same_words_at=row.same_words_at,
    )


@cache
def _statement(is_reply: bool, asks_repeat: bool, on_sqlite: bool) -> Select[Any]:
    """Return the select of one row for each recent comment of the writer, at least one, what else is known in each."""
    learned = select(LearnedFilter.id, LearnedFilter.trained_at).order_by(LearnedFilter.id.desc()).limit(1)
    by_form = (Comment.author_id == bindparam("author")) & (Comment.form_token == bindparam("form_token"))
    known = select(
        _next_id(on_sqlite).label("comment_id"),
        (_next_place() if is_reply else _next_thread_number()).label("number"),
        select(Comment.id).where(by_form).scalar_subquery().label("posted_id"),
        learned.with_only_columns(LearnedFilter.id).scalar_subquery().label("learned_id"),
        learned.with_only_columns(LearnedFilter.trained_at).scalar_subquery().label("learned_at"),
        (_same_words_at() if asks_repeat else literal(None, UtcDateTime)).label("same_words_at"),
    ).subquery()
    # By the ids, of which an index knows each writer's last: by the time all that they ever wrote would be read.
    recent = (
        select(
            Comment.id,
            Comment.created_at,
            (
                (Comment.created_at > bindparam("same_since"))
                & (CommentRevision.source == bindparam("words"))
            ).label("is_same"),
        )
        .join(CommentRevision, (CommentRevision.comment_id == Comment.id) & (CommentRevision.number == 1))
        .where(Comment.author_id == bindparam("author"))
        .order_by(Comment.id.desc())
        .limit(bindparam("most"))
        .subquery()
    )
    rows = select(*known.c, recent.c.created_at, recent.c.is_same)
    return rows.select_from(known.outerjoin(recent, true())).order_by(recent.c.id.desc())


def _next_id(on_sqlite: bool) -> ColumnElement[int]:
    """Return the id of the next comment: its path is made of it, and both are stored at once."""
    if on_sqlite:  # as SQLite numbers rows itself
        return func.coalesce(select(func.max(Comment.id)).scalar_subquery(), 0) + 1
    return func.nextval(func.pg_get_serial_sequence("comment", "id"))


def _next_thread_number() -> ColumnElement[int]:
    """Return the number of a new thread, as a look at the end of an index."""
    last = select(func.max(Comment.thread_number)).where(Comment.essay_id == bindparam("thread"))
    return func.coalesce(last.scalar_subquery(), 0) + 1


def _next_place() -> ColumnElement[int]:
    """Return the place of a new reply in its thread, in the same way."""
    last = select(func.max(Comment.place)).where(Comment.root_id == bindparam("thread"))
    return func.coalesce(last.scalar_subquery(), 0) + 1


def _same_words_at() -> ColumnElement[Any]:
    """Return when a comment began with the same words last."""
    found = select(func.max(CommentRevision.created_at)).where(
        CommentRevision.number == 1,
        CommentRevision.source == bindparam("words"),
        CommentRevision.created_at > bindparam("repeat_since"),
    )
    return found.scalar_subquery()
