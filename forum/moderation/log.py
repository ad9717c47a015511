"""The log of decisions: who did what to which comment, discussion or person, when and why, and what can be undone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select, true
from sqlalchemy.orm import aliased, contains_eager, lazyload

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.reasons import words_of
from forum.essays.essay import Essay
from forum.moderation.cards import light_essay
from forum.moderation.decisions import actor_name
from forum.moderation.queue import may_use_desk, moderates
from forum.moderation.undo import (
    later_events,
    may_take_back_later,
    refused_undos,
    why_not_alone,
    why_not_undo,
)

PER_PAGE = 50
PARTS_SHOWN = 20
"""How many comments of an act on many unfold in the log; all of them are a page of their own."""

ACTS = {
    "approve": "Posted",
    "keep": "Kept after reports",
    "overturn": "Posted after an appeal",
    "reject": "Rejected",
    "uphold": "Upheld after an appeal",
    "hide": "Hidden",
    "remove": "Removed",
    "spam": "Removed as spam",
    "restore": "Restored",
    "undo": "Undone",
    "pin": "Pinned",
    "unpin": "Unpinned",
    "feature": "Made the author’s pick",
    "unfeature": "No longer the author’s pick",
    "close": "Discussion closed",
    "reopen": "Discussion reopened",
    "close-thread": "Thread closed",
    "reopen-thread": "Thread reopened",
    "move": "Moved",
    "redact": "Words taken out",
    "merge": "Merged with another",
    "fold": "Folded after reports",
    "warn": "Warned",
    "hold": "New comments held",
    "release": "New comments no longer held",
    "suspend": "Suspended",
    "unsuspend": "Suspension lifted",
    "ban": "Banned",
    "unban": "Ban lifted",
}
"""The acts that the log shows, in its words."""

OF_PARTS = {"ban": "Hidden with a ban", "unban": "Restored with the ban lifted"}
"""What one comment's part in an act on a person is called."""


@dataclass(frozen=True)
class Part:
    """One comment of an act on many."""

    comment_id: int
    writer: str
    title: str
    is_undone: bool


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    `why_not` tells why it cannot be undone, None where it can; `may_take_later` whether it can together with what
    was decided since. `count` is how many comments an act on many is about, `parts` the first of them.
    """

    id: int
    at: datetime
    who: str
    act: str
    what: str
    comment_id: int | None
    writer: str | None
    essay: Essay | None
    person_id: int | None
    person: str | None
    part_of_id: int | None
    reason: str
    note: str
    undoes_id: int | None
    is_undone: bool
    why_not: str | None
    may_take_later: bool
    count: int
    parts: list[Part] = field(default_factory=list)

    @property
    def about(self) -> str:
        """Return the name of whom or what it is about, for the label of its button."""
        return self.writer or self.person or (self.essay.title if self.essay else f"{self.count} comments")


@dataclass(frozen=True)
class LogFilters:
    """What narrows the log: an act, an essay, a comment, the parts of an act on many, a name of anybody in it."""

    act: str | None = None
    comment_id: int | None = None
    essay_id: int | None = None
    part_of_id: int | None = None
    find: str = ""


def entries(user: User, filters: LogFilters, number: int = 1) -> Page[Entry]:
    """Return one page of the log of what a person may see, the newest first, in a fixed number of queries."""
    statement = _narrow(_events(user), filters)
    total = (
        db.session.scalar(statement.with_only_columns(func.count(Event.id), maintain_column_froms=True)) or 0
    )
    rows = db.session.execute(
        statement.order_by(Event.id.desc()).limit(PER_PAGE).offset((number - 1) * PER_PAGE)
    ).all()
    events = [row.Event for row in rows]
    parts = _parts(user, [event.id for event in events if event.parts])
    later, refused = later_events(events), refused_undos(user, events)
    return Page([_entry(row, later, parts, refused) for row in rows], number, PER_PAGE, total)


def find_event(user: User, event_id: int) -> Event | None:
    """Return an event that a person may see in the log."""
    return db.session.scalar(
        select(Event).where(Event.id == event_id, Event.act.in_(ACTS), _is_seen_by(user))
    )


def _is_seen_by(user: User) -> ColumnElement[bool]:
    """Return the condition on events: of one's discussions, on people, and on many comments of which some are there."""
    if not may_use_desk(user, clock.now()):
        return false()
    if user.is_admin:
        return true()
    essays = select(Essay.id).where(moderates(user, clock.now()))
    part = aliased(Event)
    some = select(part.id).where(part.part_of_id == Event.id, part.essay_id.in_(essays)).exists()
    return or_(
        Event.essay_id.in_(essays),
        Event.comment_id.is_(None) & Event.person_id.is_not(None),
        (Event.parts > 0) & some,
        Event.comment_id.is_(None) & (Event.actor_id == user.id),  # also while the worker has done none of it
    )


def _events(user: User) -> Select[*tuple[Any, ...]]:
    writer, person = aliased(User, name="writer"), aliased(User, name="person")
    return (
        select(Event, Essay, writer.id.label("writer_id"), writer.name.label("writer"))
        .outerjoin(Essay, Essay.id == Event.essay_id)
        .outerjoin(Comment, Comment.id == Event.comment_id)
        .outerjoin(writer, writer.id == Comment.author_id)
        .outerjoin(person, person.id == Event.person_id)
        .options(*light_essay(), lazyload(Essay.author), contains_eager(Event.person.of_type(person)))
        .where(Event.act.in_(ACTS), _is_seen_by(user))
    )


def _narrow(statement: Select[*tuple[Any, ...]], filters: LogFilters) -> Select[*tuple[Any, ...]]:
    is_whole = Event.part_of_id.is_(None)
    if filters.part_of_id is not None:
        return statement.where(Event.part_of_id == filters.part_of_id)
    if filters.comment_id is not None:
        return statement.where(Event.comment_id == filters.comment_id)
    if filters.act is not None:
        statement = statement.where(Event.act == filters.act)
    if filters.essay_id is not None:
        part = aliased(Event)
        some = select(part.id).where(part.part_of_id == Event.id, part.essay_id == filters.essay_id).exists()
        statement = statement.where(or_(Event.essay_id == filters.essay_id, some))
    if filters.find:
        named = select(User.id).where(User.name.icontains(filters.find, autoescape=True))
        whole = is_whole & or_(Event.actor_id.in_(named), Event.person_id.in_(named))
        return statement.where(or_(whole, Comment.author_id.in_(named)))
    return statement.where(is_whole)


def _parts(user: User, heads: Sequence[int]) -> dict[int | None, list[Part]]:
    """Return the first parts of each of these acts on many, by its id. One query, none for no such act."""
    if not heads:
        return {}
    rank = func.row_number().over(partition_by=Event.part_of_id, order_by=Event.id).label("rank")
    ranked = select(Event.id, rank).where(Event.part_of_id.in_(heads), _is_seen_by(user)).subquery()
    rows = db.session.execute(
        select(Event.part_of_id, Comment.id, User.name, Essay.title, Event.is_undone)
        .join(ranked, ranked.c.id == Event.id)
        .join(Comment, Comment.id == Event.comment_id)
        .join(User, User.id == Comment.author_id)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(ranked.c.rank <= PARTS_SHOWN)
        .order_by(Event.id)
    )
    found: dict[int | None, list[Part]] = {}
    for part_of_id, comment_id, writer, title, is_undone in rows:
        found.setdefault(part_of_id, []).append(Part(comment_id, writer, title, is_undone))
    return found


def _entry(
    row: Any, later: list[Event], parts: dict[int | None, list[Part]], refused: dict[int, str]
) -> Entry:
    event: Event = row.Event
    refusal = refused.get(event.id) or why_not_alone(event)
    return Entry(
        id=event.id,
        at=event.at,
        who=actor_name(event),
        act=event.act,
        what=(OF_PARTS.get(event.act) if event.comment_id else None) or ACTS[event.act],
        comment_id=event.comment_id,
        writer=row.writer,
        essay=row.Essay,
        person_id=event.person_id if event.comment_id is None else row.writer_id,
        person=event.person.name if event.person else None,
        part_of_id=event.part_of_id,
        reason=words_of(event.reason),
        note=event.note,
        undoes_id=event.undoes_id,
        is_undone=event.is_undone,
        why_not=refusal or why_not_undo(event, later),
        may_take_later=not refusal and may_take_back_later(event, later),
        count=event.parts,
        parts=parts.get(event.id, []),
    )
