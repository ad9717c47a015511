"""The numbers that pages are ranges of: of threads in a discussion, of replies in a thread; and counting them anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select, update

from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.posting import bump_thread
from forum.discussion.thread import has_something
from forum.essays.essay import Essay
from forum.site.settings import site_settings

EVERY = timedelta(minutes=1)
"""How often it is looked where pages have become empty; until then a reader finds a page that says so."""

FIRST_LOOK = timedelta(days=1)
"""How far a worker looks back that has just begun."""

LATE = timedelta(minutes=1)
"""How long a transaction may take that says at its beginning when it was."""


def next_thread_number(essay_id: int) -> int:
    """Return the number of a new thread, which stands behind all others. One query, at the end of an index."""
    last = select(func.max(Comment.thread_number)).where(Comment.essay_id == essay_id)
    return (db.session.scalar(last) or 0) + 1


def count_places(root_id: int) -> None:
    """Give every reply of a thread its place: the order of writing, but nothing before what it stands below.

    The places follow from the thread alone, so that what is moved there and back has the place that it had. One
    statement. Does nothing for a comment that is a reply itself.
    """
    latest = Comment.id.label("latest")
    tree = select(Comment.id, latest, Comment.depth).where(Comment.id == root_id, Comment.root_id.is_(None))
    found = tree.cte("tree", recursive=True)
    later = case((Comment.id > found.c.latest, Comment.id), else_=found.c.latest)
    replies = select(Comment.id, later, Comment.depth).join(found, Comment.parent_id == found.c.id)
    found = found.union_all(replies)
    order = (found.c.latest, found.c.depth, found.c.id)
    counted = select(found.c.id, (func.row_number().over(order_by=order) - 1).label("place")).subquery()
    place = (
        update(Comment)
        .where(Comment.id == counted.c.id, Comment.place != counted.c.place)
        .values(place=counted.c.place)
    )
    db.session.execute(place.execution_options(synchronize_session=False))


def close_gaps(essay: Essay) -> bool:
    """Count the threads of a discussion anew where numbers are of threads that are gone; returns whether any changed.

    What is gone takes the number of the thread before it, so that it comes back in its place. Locks the discussion;
    its version grows.
    """
    db.session.scalar(select(Essay.id).where(Essay.id == essay.id).with_for_update(key_share=True))
    order = (Comment.thread_number.is_(None), Comment.thread_number, Comment.id)
    is_shown = case((has_something(), 1), else_=0)
    before = func.sum(is_shown).over(order_by=order, rows=(None, 0))
    threads = select(Comment.id, before.label("number")).where(
        Comment.essay_id == essay.id, Comment.root_id.is_(None)
    )
    counted = threads.subquery()
    number = case((counted.c.number < 1, 1), else_=counted.c.number)
    renumber = (
        update(Comment)
        .where(Comment.id == counted.c.id, Comment.thread_number.is_distinct_from(number))
        .values(thread_number=number)
    )
    changed: Any = db.session.execute(renumber.execution_options(synchronize_session=False))
    if changed.rowcount:
        bump_thread(essay.id)
    return bool(changed.rowcount)


@dataclass
class GapCloser:
    """A job of the worker: it remembers when it looked last, and looks at what has changed since."""

    looked_at: datetime | None = None

    def __call__(self, now: datetime) -> int:
        """Close the gaps of discussions whose pages have become empty, and return how many it were. Commits each."""
        if self.looked_at is not None and now < self.looked_at + EVERY:
            return 0
        since = (self.looked_at or now - FIRST_LOOK) - LATE
        recent = select(Event.essay_id).where(Event.at > since, Event.essay_id.is_not(None)).distinct()
        essay_ids: Sequence[int | None] = db.session.scalars(recent).all()
        db.session.commit()
        closed = sum([self._close(essay_id) for essay_id in essay_ids])
        self.looked_at = now
        return closed

    def _close(self, essay_id: int | None) -> bool:
        essay = db.session.get(Essay, essay_id)
        closed = essay is not None and has_gaps(essay, site_settings().threads_per_page) and close_gaps(essay)
        db.session.commit()
        return closed


def has_gaps(essay: Essay, per_page: int) -> bool:
    """Tell whether the numbers of a discussion should be counted anew: as many as a page has are of nothing.

    Also where one page alone is empty, where gone threads came back to one that has twice its threads now, and
    where a thread has no number. One query, which counts.
    """
    number = func.coalesce(Comment.thread_number, 0)
    pages = db.session.execute(
        select(func.count(), func.count(Comment.thread_number), func.max(number))
        .where(Comment.essay_id == essay.id, Comment.root_id.is_(None), has_something())
        .group_by((number - 1) // per_page)
    ).all()
    if not pages:
        return False
    shown, numbered, last_number = (
        sum(one[0] for one in pages),
        sum(one[1] for one in pages),
        max(one[2] for one in pages),
    )
    is_page_empty = len(pages) <= (last_number - 1) // per_page
    is_page_long = max(one[0] for one in pages) > 2 * per_page
    return numbered < shown or is_page_empty or is_page_long or last_number - shown >= per_page
