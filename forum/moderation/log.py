"""The log of decisions: who did what to which comment or discussion, when and why, and what can still be undone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.reasons import words_of
from forum.essays.essay import Essay
from forum.moderation.cards import light_essay
from forum.moderation.decisions import actor_name
from forum.moderation.queue import moderates
from forum.moderation.undo import later_events, why_not_undo

PER_PAGE = 50

ACTS = {
    "approve": "Posted",
    "overturn": "Posted after an appeal",
    "reject": "Rejected",
    "uphold": "Upheld after an appeal",
    "hide": "Hidden",
    "spam": "Removed as spam",
    "restore": "Restored",
    "undo": "Undone",
    "pin": "Pinned",
    "unpin": "Unpinned",
    "feature": "Made the author’s pick",
    "unfeature": "No longer the author’s pick",
    "close": "Discussion closed",
    "reopen": "Discussion reopened",
    "fold": "Folded after reports",
    "ban": "Hidden with a ban",
    "unban": "Restored with the ban lifted",
}
"""The acts that the log shows, in its words."""


@dataclass(frozen=True)
class Entry:
    """One line of the log. `why_not` tells why it cannot be undone, None where it can."""

    id: int
    at: datetime
    who: str
    act: str
    what: str
    comment_id: int | None
    writer: str | None
    essay: Essay
    reason: str
    note: str
    undoes_id: int | None
    why_not: str | None


@dataclass(frozen=True)
class LogFilters:
    """What narrows the log: an act, an essay, a comment, a name of who decided or wrote."""

    act: str | None = None
    comment_id: int | None = None
    essay_id: int | None = None
    find: str = ""


def entries(user: User, filters: LogFilters, number: int = 1) -> Page[Entry]:
    """Return one page of the log of what a person moderates, the newest first, in three queries."""
    statement = _narrow(_events(user), filters)
    total = (
        db.session.scalar(statement.with_only_columns(func.count(Event.id), maintain_column_froms=True)) or 0
    )
    rows = db.session.execute(
        statement.order_by(Event.id.desc())
        .limit(PER_PAGE)
        .offset((number - 1) * PER_PAGE)
        .options(*light_essay())
    ).all()
    later = later_events([row.Event for row in rows])
    return Page([_entry(row, later) for row in rows], number, PER_PAGE, total)


def find_event(user: User, event_id: int) -> Event | None:
    """Return an event of a discussion that a person moderates."""
    return db.session.scalar(
        select(Event)
        .join(Essay, Essay.id == Event.essay_id)
        .where(Event.id == event_id, moderates(user, clock.now()))
    )


def _events(user: User) -> Select[*tuple[Any, ...]]:
    writer = aliased(User, name="writer")
    return (
        select(Event, Essay, writer.name.label("writer"))
        .join(Essay, Essay.id == Event.essay_id)
        .outerjoin(Comment, Comment.id == Event.comment_id)
        .outerjoin(writer, writer.id == Comment.author_id)
        .where(Event.act.in_(ACTS), moderates(user, clock.now()))
    )


def _narrow(statement: Select[*tuple[Any, ...]], filters: LogFilters) -> Select[*tuple[Any, ...]]:
    if filters.act is not None:
        statement = statement.where(Event.act == filters.act)
    if filters.comment_id is not None:
        statement = statement.where(Event.comment_id == filters.comment_id)
    if filters.essay_id is not None:
        statement = statement.where(Event.essay_id == filters.essay_id)
    if filters.find:
        named = select(User.id).where(User.name.icontains(filters.find, autoescape=True))
        statement = statement.where(or_(Event.actor_id.in_(named), Comment.author_id.in_(named)))
    return statement


def _entry(row: Any, later: list[Event]) -> Entry:
    event: Event = row.Event
    return Entry(
        id=event.id,
        at=event.at,
        who=actor_name(event),
        act=event.act,
        what=ACTS[event.act],
        comment_id=event.comment_id,
        writer=row.writer,
        essay=row.Essay,
        reason=words_of(event.reason),
        note=event.note,
        undoes_id=event.undoes_id,
        why_not=why_not_undo(event, later),
    )
