"""What stands on the desk beside each waiting comment to help to decide about it, in a fixed number of queries."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup
from sqlalchemy import ColumnElement, Select, and_, func, select, union_all
from sqlalchemy.orm import aliased, contains_eager, defer, lazyload

from forum.accounts.user import User
from forum.database import db
from forum.discussion.closing import closing_of
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict
from forum.discussion.judged import Judged, appeals_on
from forum.discussion.learned import words_that_weighed
from forum.discussion.report import Appeal, Report
from forum.discussion.rules import CHIPS
from forum.discussion.thread import placeholder
from forum.essays.essay import CommentPolicy, Essay
from forum.moderation.matched import marked
from forum.moderation.reports import Reported, reports_on
from forum.moderation.standing import why_not
from forum.subscriptions.subscription import State, Subscription
from forum.subscriptions.tier import state_names
from forum.text.difference import Change, differences
from forum.text.excerpt import first_line

ANSWERS_SHOWN = 3
LAST_SHOWN = 5
LOOKED_BACK = 50
"""Among how many of their last comments those are found that a person may decide about."""

Rows = Select[*tuple[Any, ...]]


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
    live: int = 0
    """How many of their comments a ban would take away."""
    reports_against: int = 0
    reports_made: int = 0
    last: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """One waiting comment with everything beside it. `changes` leads from the public words to the waiting ones."""

    comment: Comment
    newest: CommentRevision
    html: Markup
    """The newest words, those marked that are a reason to look."""
    essay: Essay
    since: datetime
    reader: Reader
    chips: list[Chip]
    reports: list[Reported]
    asked: Judged | None
    """The open appeal, with the words that it is about, which its writer may have replaced since."""
    parent: Line | None
    answers: list[Line]
    changes: list[tuple[Change, str]]
    acts: frozenset[str]
    """What the desk offers: moderate, reply, pin, feature, ban; the routes behind it ask again."""
    is_thread_closed: bool
    may_manage_reader: bool
    gone: str
    """What is not there any more around it, as a sentence; "" while all is."""

    @property
    def appeal(self) -> Appeal | None:
        """Return the appeal that waits for an answer."""
        return self.asked.appeal if self.asked else None


def cards_of(user: User, ids: Sequence[int], own: ColumnElement[bool], now: datetime) -> list[Card]:
    """Return the cards of some waiting comments, in their order; `own` is the condition on the user’s essays."""
    rows = _rows(ids)
    comments = [row.Comment for row in rows]
    parents = _lines(Comment.id.in_({one.answers_id for one in comments if one.answers_id}))
    answers, reports, public = _answers(ids), reports_on(ids, user), _public_words(comments)
    appeals = appeals_on(ids)
    readers = _readers({one.author_id: one.author for one in comments}, own, now)
    return [
        Card(
            comment=row.Comment,
            newest=row.CommentRevision,
            html=marked(row.CommentRevision),
            essay=row.Essay,
            since=row.Comment.waits_since,
            reader=readers[row.Comment.author_id],
            chips=_chips(row.Comment, row.CommentRevision, reports.get(row.Comment.id, []), appeals),
            reports=reports.get(row.Comment.id, []),
            asked=appeals.get(row.Comment.id),
            parent=parents.get(row.Comment.answers_id),
            answers=answers.get(row.Comment.id, []),
            changes=_changes(public.get(row.Comment.id), row.CommentRevision),
            acts=_acts(user, row.Comment, row.Essay, is_thread_closed=bool(row.closed_at), now=now),
            is_thread_closed=bool(row.closed_at),
            may_manage_reader=user.is_admin,
            gone=_gone(row.Essay, now),
        )
        for row in rows
    ]


def last_posted(own: ColumnElement[bool], count: int) -> list[Line]:
    """Return the comments that readers saw last on the essays of `own`. One query."""
    statement = _lines_select().where(own, Comment.visible)
    return [_line(row) for row in db.session.execute(statement.order_by(Comment.id.desc()).limit(count))]


def light_essay() -> tuple[Any, ...]:
    """Return the options that leave an essay's long texts where they are."""
    return defer(Essay.source), defer(Essay.html), defer(Essay.preview_html), lazyload(Essay.tags)


def _rows(ids: Sequence[int]) -> Sequence[Any]:
    """Return comment, newest wording, essay and when the thread was closed, in the order of the ids."""
    root = aliased(Comment)
    newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number)
    statement = (
        select(Comment, CommentRevision, Essay, root.closed_at)
        .join(CommentRevision, newest)
        .join(Essay, Essay.id == Comment.essay_id)
        .join(root, root.id == func.coalesce(Comment.root_id, Comment.id))
        .where(Comment.id.in_(ids))
        .options(*light_essay(), contains_eager(Comment.newest))
    )
    found = {row.Comment.id: row for row in db.session.execute(statement)}
    return [found[row_id] for row_id in ids if row_id in found]


def _changes(public: str | None, newest: CommentRevision) -> list[tuple[Change, str]]:
    return differences(public, newest.source) if public is not None else []


def _acts(
    user: User, comment: Comment, essay: Essay, *, is_thread_closed: bool, now: datetime
) -> frozenset[str]:
    acts = {"moderate"}
    is_open = essay.is_published(now) and closing_of(essay, now) is None and not is_thread_closed
    own_only = essay.comments == CommentPolicy.AUTHOR_ONLY and essay.author_id != user.id
    if is_open and essay.comments != CommentPolicy.OFF and not own_only:
        acts.add("reply")
    if comment.visible:
        acts |= {"feature", "pin"} if comment.depth == 0 else {"feature"}
    if why_not("ban", user, comment.author, now) is None and not comment.author.is_banned(now):
        acts.add("ban")
    return frozenset(acts)


def _gone(essay: Essay, now: datetime) -> str:
    return "" if essay.is_published(now) else "Readers do not see this essay any more."


def _chips(
    comment: Comment,
    newest: CommentRevision,
    reports: list[Reported],
    appeals: dict[int, Judged],
) -> list[Chip]:
    causes = comment.waits_for
    chips = []
    if Cause.NEW_WRITER in causes:
        chips.append(Chip("First comment" if comment.author.accepted_comments == 0 else "New here"))
    if Cause.PREMODERATION in causes:
        chips.append(Chip("Everything waits here"))
    if Cause.PERSON in causes:
        chips.append(Chip("Held person", "warn"))
    chips += [Chip(words, "warn") for cause, words in CHIPS.items() if cause in causes]
    if Cause.LEARNED in causes:
        weighed = ", ".join(words_that_weighed(newest.source))
        chips.append(Chip(f"Looks like what you remove{': ' if weighed else ''}{weighed}", "warn"))
    if Cause.EDIT in causes:
        chips.append(Chip("Edited later"))
    if Cause.APPEAL in causes:
        chips.append(Chip("Appeal" if comment.id in appeals else "Sent in again", "warn"))
    if reports:
        chips.append(Chip(_reported(reports), "danger"))
    return [*chips, *_where_it_stands(comment, newest)]


def _reported(reports: list[Reported]) -> str:
    readers = "1 reader" if len(reports) == 1 else f"{len(reports)} readers"
    reasons = Counter(one.reason.partition(":")[0].lower() or "something else" for one in reports)
    return f"Reported by {readers}: {', '.join(reason for reason, _ in reasons.most_common())}"


def _where_it_stands(comment: Comment, newest: CommentRevision) -> list[Chip]:
    if comment.presence == Presence.HIDDEN:
        return [Chip("Hidden now")]
    if comment.shown_number is None:
        return []
    return [Chip("Readers see it" if comment.shown_number == newest.number else "First version is posted")]


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
    """Return what is known of each writer, in seven queries; what they wrote last on essays that meet `own`."""
    ids = list(users)
    periods = select(Subscription).where(Subscription.user_id.in_(ids))
    subscriptions = {period.user_id: period for period in db.session.scalars(periods)}
    names, readers = state_names(), {}
    for user_id, user in users.items():
        period = subscriptions.get(user_id)
        state = period.state(now) if period else State.FREE
        readers[user_id] = Reader(user, names[state if user.is_confirmed else State.UNCONFIRMED])
    for user_id, live, held, removed in db.session.execute(_counts(ids)):
        readers[user_id].live, readers[user_id].waiting, readers[user_id].removed = live, held, removed
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
    for user_id, lines in _last_of_each(ids, own).items():
        readers[user_id].last = lines
    return readers


def _counts(ids: Sequence[int]) -> Rows:
    """Return how many comments of each writer are live, wait unseen, and were removed; without a look at the words."""
    is_live = Comment.presence == Presence.LIVE
    waits = Comment.waits_since.is_not(None)
    is_removed = (Comment.presence == Presence.HIDDEN) | (is_live & ~Comment.visible & ~waits)
    counts = [func.count().filter(one) for one in (is_live, waits & ~Comment.visible, is_removed)]
    return select(Comment.author_id, *counts).where(Comment.author_id.in_(ids)).group_by(Comment.author_id)


def _last_of_each(ids: Sequence[int], own: ColumnElement[bool]) -> dict[int, list[Line]]:
    """Return what each wrote last, of so few that it takes no longer for somebody who wrote thousands. Two queries."""
    newest = (
        select(Comment.id, Comment.author_id, Comment.essay_id)
        .where(Comment.presence != Presence.ERASED)
        .order_by(Comment.id.desc())
        .limit(LOOKED_BACK)
    )
    walks = [newest.where(Comment.author_id == author_id).subquery() for author_id in ids]
    if not walks:
        return {}
    lately = union_all(*(select(walk) for walk in walks)).subquery()
    mine = select(lately.c.id, lately.c.author_id).join(Essay, Essay.id == lately.c.essay_id).where(own)
    last: dict[int, list[int]] = {author_id: [] for author_id in ids}
    for row_id, author_id in db.session.execute(mine.order_by(lately.c.id.desc())):
        if len(last[author_id]) < LAST_SHOWN:
            last[author_id].append(row_id)
    lines = _lines(Comment.id.in_([row_id for row_ids in last.values() for row_id in row_ids]))
    return {author_id: [lines[row_id] for row_id in row_ids] for author_id, row_ids in last.items()}
