"""What waits for a moderator: who sees which of it, how much it is and why, and a page of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, String, and_, false, func, or_, select, true, type_coerce
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import Role, User
from forum.database import Page, db
from forum.discussion.comment import Cause, Comment, CommentRevision
from forum.essays.essay import Essay
from forum.moderation.cards import Card, Line, cards_of, last_posted

PER_PAGE = 20
MOST_ESSAYS = 200
"""How many essays the list to choose from holds, the newest first."""

CAUSES = {
    "first": "First comments",
    "reported": "Reported",
    "rule": "Caught by a rule",
    "edits": "Edits",
    "appeals": "Appeals",
    "spam": "Looks like spam",
    "held": "Held people",
    "all": "Everything waits",
}
"""The parts of the queue, by their word in the address."""

HELD_FOR = {
    "first": frozenset({Cause.NEW_WRITER}),
    "reported": frozenset({Cause.REPORTS}),
    "rule": frozenset(cause for cause in Cause if cause.startswith("rule:")),
    "edits": frozenset({Cause.EDIT}),
    "appeals": frozenset({Cause.APPEAL}),
    "spam": frozenset({Cause.LEARNED}),
    "held": frozenset({Cause.PERSON}),
    "all": frozenset({Cause.PREMODERATION}),
}


@dataclass(frozen=True)
class Filters:
    """What narrows the queue: a part of it, an essay, words in the text or the name; and its order."""

    cause: str | None = None
    essay_id: int | None = None
    find: str = ""
    newest_first: bool = False


@dataclass(frozen=True)
class Overview:
    """How much waits in all and in each part, and since when at the longest and the shortest."""

    total: int
    by_cause: dict[str, int]
    oldest: datetime | None
    newest: datetime | None


def may_use_desk(user: User | None, now: datetime) -> bool:
    """Tell whether a person has a moderation desk: by their role, while in good standing."""
    return user is not None and user.may_moderate and user.is_in_standing(now)


def moderates(user: User, now: datetime) -> ColumnElement[bool]:
    """Return the condition on essays whose discussion a person moderates, as `rights()` tells it for one."""
    if not may_use_desk(user, now):
        return false()
    if user.role == Role.ADMIN:
        return true()
    return Essay.published(now) if user.role == Role.MODERATOR else Essay.author_id == user.id


def moderated_comments(user: User, now: datetime) -> ColumnElement[bool]:
    """Return the condition on comments that a person may decide about; those of a moderator are for others."""
    if user.role == Role.ADMIN and may_use_desk(user, now):
        return true()
    there = Comment.essay_id.in_(select(Essay.id).where(moderates(user, now)))
    if user.role != Role.MODERATOR:
        return there
    own, essay = aliased(Comment), aliased(Essay)
    of_others = select(own.id).join(essay, essay.id == own.essay_id).where(essay.author_id != user.id)
    return there & Comment.id.not_in(of_others.where(own.author_id == user.id))


def waiting_count(user: User) -> int:
    """Return how many comments wait for this person. One query."""
    return db.session.scalar(_count(_waiting(user, clock.now()))) or 0


def overview(user: User) -> Overview:
    """Return the numbers of every part of the queue, from the index of what waits alone. One query."""
    since = Comment.waits_since
    columns = (Comment.waits_for, func.count(), func.min(since), func.max(since))
    statement = _waiting(user, clock.now()).with_only_columns(*columns).group_by(Comment.waits_for)
    by_cause = dict.fromkeys(CAUSES, 0)
    total = 0
    moments: list[datetime] = []
    for causes, count, first, last in db.session.execute(statement):
        total += count
        moments += [moment for moment in (first, last) if moment is not None]
        for part, held_for in HELD_FOR.items():
            if causes & held_for:
                by_cause[part] += count
    return Overview(total, by_cause, min(moments, default=None), max(moments, default=None))


def cause_named(given: str | None) -> str | None:
    """Return the part of the queue that an address names, also by the word for the cause itself."""
    if given in CAUSES:
        return given
    return next((part for part, causes in HELD_FOR.items() if given in causes), None)


def essays_moderated(user: User) -> list[tuple[int, str]]:
    """Return id and title of the newest essays that a person moderates. One query."""
    now = clock.now()
    newest = select(Essay.id, Essay.title).where(moderates(user, now), Essay.published(now))
    found = db.session.execute(newest.order_by(Essay.published_at.desc()).limit(MOST_ESSAYS))
    return [(row.id, row.title) for row in found]


def waiting(user: User, filters: Filters, number: int = 1) -> Page[Card]:
    """Return one page of what waits for a person. The same number of queries for 20 as for 10,000."""
    now = clock.now()
    matching = _matching(user, filters, now)
    since, row_id = Comment.waits_since, Comment.id
    ordered = matching.order_by(*((since.desc(), row_id.desc()) if filters.newest_first else (since, row_id)))
    first = (number - 1) * PER_PAGE
    if filters.find:  # so many texts are looked through once only
        found = db.session.scalars(ordered).all()
        total, ids = len(found), found[first : first + PER_PAGE]
    else:
        total = db.session.scalar(_count(matching)) or 0
        ids = db.session.scalars(ordered.limit(PER_PAGE).offset(first)).all()
    return Page(cards_of(user, ids, moderates(user, now), now), number, PER_PAGE, total)


def arrived_since(user: User, filters: Filters, moment: datetime) -> int:
    """Return how much that meets the filters began to wait after a moment. One query."""
    arrived = _matching(user, filters, clock.now()).where(Comment.waits_since > moment)
    return db.session.scalar(_count(arrived)) or 0


def seen_waiting(user: User, filters: Filters, moment: datetime) -> Select[int, int]:
    """Return a select of id and wording of all that meets the filters, waited at a moment and was not edited since."""
    newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number)
    unchanged = select(CommentRevision.id).where(newest, CommentRevision.created_at <= moment).exists()
    seen = _matching(user, filters, clock.now()).where(Comment.waits_since <= moment, unchanged)
    return seen.with_only_columns(Comment.id, Comment.newest_number).order_by(Comment.waits_since, Comment.id)


def newest_posted(user: User, count: int = 3) -> Sequence[Line]:
    """Return the comments that readers saw last, for a desk where nothing waits. One query."""
    return last_posted(moderates(user, clock.now()), count)


def how_long(wait: timedelta) -> str:
    """Return a length of time in words, in its largest whole unit."""
    minutes = int(wait.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    for unit, size in (("day", 2 * 24 * 60), ("hour", 60), ("minute", 1)):
        if minutes >= size:
            count = minutes // (24 * 60 if unit == "day" else size)
            break
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _waiting(user: User, now: datetime) -> Select[int]:
    return select(Comment.id).where(Comment.waits_since.is_not(None), moderated_comments(user, now))


def _matching(user: User, filters: Filters, now: datetime) -> Select[int]:
    statement = _waiting(user, now)
    if filters.cause is not None:
        causes = type_coerce(Comment.waits_for, String)
        held_for = HELD_FOR[filters.cause]
        statement = statement.where(or_(*(causes.contains(f" {cause} ") for cause in sorted(held_for))))
    if filters.essay_id is not None:
        statement = statement.where(Comment.essay_id == filters.essay_id)
    if filters.find:
        statement = statement.where(_says_or_is_by(filters.find))
    return statement


def _says_or_is_by(find: str) -> ColumnElement[bool]:
    """Return the condition on comments whose newest words or whose writer's name hold some words."""
    writer = aliased(User)
    words = select(CommentRevision.id).where(
        CommentRevision.comment_id == Comment.id,
        CommentRevision.number == Comment.newest_number,
        CommentRevision.source.icontains(find, autoescape=True),
    )
    named = select(writer.id).where(
        writer.id == Comment.author_id, writer.name.icontains(find, autoescape=True)
    )
    return words.exists() | named.exists()


def _count(statement: Select[int]) -> Select[int]:
    return statement.with_only_columns(func.count())
