"""What waits for a moderator, with everything that helps to decide beside it, in a fixed number of queries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, case, false, func, select, true, type_coerce
from sqlalchemy.orm import aliased, defer, lazyload

from forum import clock
from forum.accounts.user import Role, User
from forum.database import Page, db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict
from forum.discussion.report import Appeal, Report
from forum.discussion.thread import placeholder
from forum.essays.essay import CommentPolicy, Essay
from forum.subscriptions.subscription import State, Subscription
from forum.subscriptions.tier import state_names
from forum.text.difference import Change, differences
from forum.text.excerpt import first_line

PER_PAGE = 20
ANSWERS_SHOWN = 3
LAST_SHOWN = 5
MOST_ESSAYS = 200
"""How many essays the list to choose from holds, the newest first."""

CAUSES = {
    Cause.NEW_WRITER: "First comments",
    Cause.PREMODERATION: "Everything waits",
    Cause.EDIT: "Edited later",
    Cause.REPORTS: "Reported",
    Cause.APPEAL: "Appeals",
    Cause.PERSON: "Held people",
}
"""The parts of the queue by cause."""

Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Filters:
    """What narrows the queue: a cause, an essay, words in the text or the name; and its order."""

    cause: Cause | None = None
    essay_id: int | None = None
    find: str = ""
    newest_first: bool = False


@dataclass(frozen=True)
class Chip:
    """Why a comment is here, in a few words, and how loud."""

    words: str
    kind: str | None = None


@dataclass(frozen=True)
class Line:
    """One comment in one line: of the thread, or of what a reader wrote last."""

    id: int
    name: str
    at: datetime
    words: str
    state: str
    is_author: bool = False
    title: str = ""


@dataclass
class Reader:
    """What helps to judge a writer: who they are here, and what they wrote last."""

    user: User
    subscription: str
    waiting: int = 0
    removed: int = 0
    reports_against: int = 0
    reports_made: int = 0
    last: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """One waiting comment with everything beside it. `changes` leads from the public words to the waiting ones."""

    comment: Comment
    newest: CommentRevision
    essay: Essay
    since: datetime
    reader: Reader
    chips: list[Chip]
    appeal: Appeal | None
    parent: Line | None
    answers: list[Line]
    changes: list[tuple[Change, str]]
    acts: frozenset[str]
    may_manage_reader: bool


@dataclass(frozen=True)
class Overview:
    """How much waits in all, for which causes, and since when at the longest and the shortest."""

    total: int
    by_cause: dict[Cause, int]
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


def waiting_count(user: User) -> int:
    """Return how many comments wait for this person. One query."""
    statement = (
        select(func.count())
        .select_from(Comment)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.waits_since.is_not(None), moderates(user, clock.now()))
    )
    return db.session.scalar(statement) or 0


def overview(user: User) -> Overview:
    """Return the numbers above the queue. One query."""
    statement = (
        select(Comment.waits_for, func.count(), func.min(Comment.waits_since), func.max(Comment.waits_since))
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.waits_since.is_not(None), moderates(user, clock.now()))
        .group_by(Comment.waits_for)
    )
    by_cause: dict[Cause, int] = {}
    total = 0
    oldest: list[datetime] = []
    newest: list[datetime] = []
    for causes, count, first, last in db.session.execute(statement):
        total += count
        oldest += [first] if first else []
        newest += [last] if last else []
        for cause in CAUSES:
            if cause.value in causes:
                by_cause[cause] = by_cause.get(cause, 0) + count
    return Overview(total, by_cause, min(oldest, default=None), max(newest, default=None))


def essays_moderated(user: User) -> list[tuple[int, str]]:
    """Return id and title of the newest essays that a person moderates. One query."""
    now = clock.now()
    newest = select(Essay.id, Essay.title).where(moderates(user, now), Essay.published(now))
    found = db.session.execute(newest.order_by(Essay.published_at.desc()).limit(MOST_ESSAYS))
    return [(row.id, row.title) for row in found]


def waiting(user: User, filters: Filters, number: int = 1) -> Page[Card]:
    """Return one page of what waits for a person. The same number of queries for 20 as for 2,000."""
    now = clock.now()
    statement = _narrow(_waiting(user, now), filters)
    counted = statement.with_only_columns(func.count(Comment.id), maintain_column_froms=True)
    total = db.session.scalar(counted) or 0
    since = Comment.waits_since
    ordered = statement.add_columns(since).order_by(
        since.desc() if filters.newest_first else since.asc(), Comment.id
    )
    rows = db.session.execute(
        ordered.limit(PER_PAGE).offset((number - 1) * PER_PAGE).options(*light_essay())
    ).all()
    return Page(_cards(user, [tuple(row) for row in rows], now), number, PER_PAGE, total)


def newest_posted(user: User, count: int = 3) -> list[Line]:
    """Return the comments that readers saw last, for a desk where nothing waits. One query."""
    statement = _lines_select().where(moderates(user, clock.now()), Comment.visible)
    return [_line(row) for row in db.session.execute(statement.order_by(Comment.id.desc()).limit(count))]


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


def _waiting(user: User, now: datetime) -> Rows:
    newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number)
    return (
        select(Comment, CommentRevision, Essay)
        .join(CommentRevision, newest)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.waits_since.is_not(None), moderates(user, now))
    )


def _narrow(statement: Rows, filters: Filters) -> Rows:
    if filters.cause is not None:
        statement = statement.where(waits_for(filters.cause))
    if filters.essay_id is not None:
        statement = statement.where(Comment.essay_id == filters.essay_id)
    if filters.find:
        writer = aliased(User)
        found = CommentRevision.source.icontains(filters.find, autoescape=True)
        statement = statement.join(writer, writer.id == Comment.author_id)
        statement = statement.where(found | writer.name.icontains(filters.find, autoescape=True))
    return statement


def waits_for(cause: Cause) -> ColumnElement[bool]:
    """Return the condition on comments that wait for this cause."""
    return type_coerce(Comment.waits_for, String).contains(f" {cause.value} ")


def light_essay() -> tuple[Any, ...]:
    """Return the options that leave an essay's long texts where they are."""
    return defer(Essay.source), defer(Essay.html), defer(Essay.preview_html), lazyload(Essay.tags)


def _cards(user: User, rows: Sequence[Any], now: datetime) -> list[Card]:
    comments = [comment for comment, *_ in rows]
    ids = [comment.id for comment in comments]
    parents = _lines(Comment.id.in_({comment.answers_id for comment in comments if comment.answers_id}))
    answers = _answers(ids)
    reports, appeals, public = _reports(ids), _appeals(ids), _public_words(comments)
    readers = _readers({comment.author_id: comment.author for comment in comments}, moderates(user, now), now)
    return [
        Card(
            comment=comment,
            newest=newest,
            essay=essay,
            since=since,
            reader=readers[comment.author_id],
            chips=_chips(comment, newest, reports.get((comment.id, newest.number), {}), appeals),
            appeal=appeals.get(comment.id),
            parent=parents.get(comment.answers_id),
            answers=answers.get(comment.id, []),
            changes=differences(public[comment.id], newest.source) if comment.id in public else [],
            acts=_acts(user, essay, now),
            may_manage_reader=user.is_admin,
        )
        for comment, newest, essay, since in rows
    ]


def _acts(user: User, essay: Essay, now: datetime) -> frozenset[str]:
    """Return what the desk offers; the routes behind it ask `rights()` again."""
    is_open = essay.is_published(now) and essay.discussion_closed_at is None
    own_only = essay.comments == CommentPolicy.AUTHOR_ONLY and essay.author_id != user.id
    if is_open and essay.comments != CommentPolicy.OFF and not own_only:
        return frozenset({"moderate", "reply"})
    return frozenset({"moderate"})


def _chips(
    comment: Comment,
    newest: CommentRevision,
    reports: dict[str, int],
    appeals: dict[int, Appeal],
) -> list[Chip]:
    chips = []
    if Cause.NEW_WRITER in newest.causes:
        chips.append(Chip("First comment" if comment.author.accepted_comments == 0 else "New here"))
    if Cause.PREMODERATION in newest.causes:
        chips.append(Chip("Everything waits here"))
    if Cause.PERSON in newest.causes:
        chips.append(Chip("Held person", "warn"))
    if Cause.EDIT in newest.causes:
        chips.append(Chip("Edited later"))
    if Cause.APPEAL in newest.causes:
        chips.append(Chip("Appeal" if comment.id in appeals else "Sent in again", "warn"))
    if reports:
        count = sum(reports.values())
        readers = "1 reader" if count == 1 else f"{count} readers"
        reasons = ", ".join(code.replace("-", " ") for code in reports)
        chips.append(Chip(f"Reported by {readers}: {reasons}", "danger"))
    if comment.presence == Presence.HIDDEN:
        chips.append(Chip("Hidden now"))
    elif comment.shown_number is not None:
        chips.append(Chip("First version is posted"))
    return chips


def _lines_select() -> Rows:
    """Return a select of comments with the words to show for them: the public ones, else the newest."""
    revision = aliased(CommentRevision)
    shown = revision.number == func.coalesce(Comment.shown_number, Comment.newest_number)
    return (
        select(
            Comment.id,
            Comment.parent_id,
            Comment.author_id,
            Comment.created_at,
            Comment.presence,
            Comment.visible,
            revision.verdict,
            revision.html,
            User.name,
            Essay.title,
            (Comment.author_id == Essay.author_id).label("is_author"),
        )
        .join(User, User.id == Comment.author_id)
        .join(revision, and_(revision.comment_id == Comment.id, shown))
        .join(Essay, Essay.id == Comment.essay_id)
    )


def _line(row: Any) -> Line:
    return Line(
        id=row.id,
        name=row.name,
        at=row.created_at,
        words=placeholder(row.presence) if row.presence == Presence.WITHDRAWN else first_line(row.html),
        state=_state(row),
        is_author=row.is_author,
        title=row.title,
    )


def _state(row: Any) -> str:
    if row.presence != Presence.LIVE:
        return str(row.presence)
    words = {Verdict.ACCEPTED: "posted", Verdict.HELD: "waiting", Verdict.REJECTED: "rejected"}
    return "posted" if row.visible else words[row.verdict]


def _lines(condition: ColumnElement[bool]) -> dict[int, Line]:
    rows = db.session.execute(_lines_select().where(condition, Comment.presence != Presence.ERASED))
    return {row.id: _line(row) for row in rows}


def _answers(ids: Iterable[int]) -> dict[int, list[Line]]:
    """Return the first visible answers below each of these comments."""
    rank = func.row_number().over(partition_by=Comment.parent_id, order_by=Comment.id)
    ranked = (
        select(Comment.id, rank.label("rank")).where(Comment.parent_id.in_(ids), Comment.visible).subquery()
    )
    first = select(ranked.c.id).where(ranked.c.rank <= ANSWERS_SHOWN)
    found: dict[int, list[Line]] = {}
    for row in db.session.execute(_lines_select().where(Comment.id.in_(first)).order_by(Comment.id)):
        found.setdefault(row.parent_id, []).append(_line(row))
    return found


def _reports(ids: Iterable[int]) -> dict[tuple[int, int], dict[str, int]]:
    """Return how many readers gave which reason, by comment and wording."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    columns = (Report.comment_id, Report.revision, Report.reason)
    statement = select(*columns, func.count()).where(Report.comment_id.in_(ids)).group_by(*columns)
    for comment_id, revision, reason, count in db.session.execute(statement.order_by(func.count().desc())):
        found.setdefault((comment_id, revision), {})[reason] = count
    return found


def _appeals(ids: Iterable[int]) -> dict[int, Appeal]:
    statement = select(Appeal).where(Appeal.comment_id.in_(ids), Appeal.decided_at.is_(None))
    return {appeal.comment_id: appeal for appeal in db.session.scalars(statement)}


def _public_words(comments: Sequence[Comment]) -> dict[int, str]:
    """Return the words that readers see, or saw last, where newer ones wait."""
    edited = [comment.id for comment in comments if comment.shown_number not in (None, comment.newest_number)]
    statement = (
        select(CommentRevision.comment_id, CommentRevision.source)
        .join(Comment, Comment.id == CommentRevision.comment_id)
        .where(Comment.id.in_(edited), CommentRevision.number == Comment.shown_number)
    )
    return {row.comment_id: row.source for row in db.session.execute(statement)}


def _readers(users: dict[int, User], own: ColumnElement[bool], now: datetime) -> dict[int, Reader]:
    """Return what is known of each writer, in six queries; what they wrote last on essays that meet `own`."""
    ids = list(users)
    periods = select(Subscription).where(Subscription.user_id.in_(ids))
    subscriptions = {period.user_id: period for period in db.session.scalars(periods)}
    names, readers = state_names(), {}
    for user_id, user in users.items():
        period = subscriptions.get(user_id)
        state = period.state(now) if period else State.FREE
        readers[user_id] = Reader(user, names[state if user.is_confirmed else State.UNCONFIRMED])
    for user_id, removed, held in db.session.execute(_removed_and_waiting(ids)):
        readers[user_id].removed, readers[user_id].waiting = removed, held
    against = (
        select(Comment.author_id, func.count(Report.id))
        .join(Comment, Comment.id == Report.comment_id)
        .where(Comment.author_id.in_(ids))
        .group_by(Comment.author_id)
    )
    for user_id, count in db.session.execute(against):
        readers[user_id].reports_against = count
    made = select(Report.user_id, func.count()).where(Report.user_id.in_(ids)).group_by(Report.user_id)
    for user_id, count in db.session.execute(made):
        readers[user_id].reports_made = count
    for row in db.session.execute(_last_of_each(ids, own)):
        readers[row.author_id].last.append(_line(row))
    return readers


def _removed_and_waiting(ids: Sequence[int]) -> Rows:
    is_live = Comment.presence == Presence.LIVE
    is_removed = (Comment.presence == Presence.HIDDEN) | (
        is_live & (CommentRevision.verdict == Verdict.REJECTED)
    )
    is_held = is_live & (CommentRevision.verdict == Verdict.HELD)
    newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number)
    return (
        select(
            Comment.author_id, func.sum(case((is_removed, 1), else_=0)), func.sum(case((is_held, 1), else_=0))
        )
        .join(CommentRevision, newest)
        .where(Comment.author_id.in_(ids))
        .group_by(Comment.author_id)
    )


def _last_of_each(ids: Sequence[int], own: ColumnElement[bool]) -> Rows:
    rank = func.row_number().over(partition_by=Comment.author_id, order_by=Comment.id.desc())
    ranked = select(Comment.id, rank.label("rank")).join(Essay, Essay.id == Comment.essay_id)
    last = ranked.where(Comment.author_id.in_(ids), Comment.presence != Presence.ERASED, own).subquery()
    wanted = select(last.c.id).where(last.c.rank <= LAST_SHOWN)
    return _lines_select().where(Comment.id.in_(wanted)).order_by(Comment.id.desc())
