"""A discussion as readers see it: pages of threads, one comment with its surroundings; a fixed number of queries."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased, contains_eager

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict
from forum.essays.essay import Essay
from forum.site.settings import site_settings
from forum.text.excerpt import first_line

SHOWN_DEPTH = 6
"""Levels on one page; a phone shows four of them (static/css), the rest is one link away."""

MOST_TRACES = 100
"""Lines about comments that were moved away, on one page; the newest ones."""

SUPPORTING = ("paid", "complimentary")
"""What a writer's subscription was as they posted, where the comment may say that they support the site."""


class Order(StrEnum):
    """How the threads of a page follow each other; within a thread, replies follow time unless it is by thanks."""

    OLDEST = "oldest"
    NEWEST = "newest"
    BEST = "best"
    PICKS = "picks"
    """The author's picks alone, each without its thread."""


@dataclass
class Node:
    """One comment as the templates show it, the same for every reader."""

    id: int
    parent_id: int | None
    depth: int
    name: str
    user_id: int | None
    is_author: bool
    is_supporter: bool
    is_pinned: bool
    is_featured: bool
    created_at: datetime
    edited: bool
    html: str
    likes: int
    answering: str | None
    answering_gone: bool
    note_answering: bool
    gone: str | None
    reply_count: int
    has_moved_here: bool = False
    is_closed: bool = False
    closing_note: str = ""
    has_lost: bool = False
    """Whether comments were moved away from its discussion."""
    is_alone: bool = False
    """Whether it stands here as a pick, its thread elsewhere."""
    more: int = 0
    replies: list["Node"] = field(default_factory=list)

    @property
    def first_line(self) -> str:
        """Return its first words, for a line in a list."""
        return self.gone or first_line(self.html)


@dataclass(frozen=True)
class ThreadPage:
    """One page of threads; `number` counts from 1."""

    nodes: list[Node]
    number: int
    count: int
    order: Order
    has_picks: bool = False
    has_lost: bool = False
    """Whether comments were moved away from this discussion."""

    def ids(self) -> list[int]:
        """Return the id of every comment on the page."""
        return [node.id for node in walk(self.nodes)]


@dataclass(frozen=True)
class Trace:
    """What stands where a comment was before it was moved. `below` is what it stood below, 0 the essay itself."""

    id: int
    below: int
    name: str
    essay_title: str | None
    """Of the essay that it is at now, None while it is at the same one, or at one that is not public."""
    is_here: bool
    is_thread: bool


def thread_page(essay: Essay, order: Order, number: int, per_page: int) -> ThreadPage:
    """Return one page of an essay's threads, the pinned one first. Three queries, however many comments.

    Only the first 6 levels are loaded; deeper ones are counted in `more`. Where there are no picks, their page is
    that of the threads, the oldest first.
    """
    threads, picks, has_lost = _counts(essay)
    if order == Order.PICKS and not picks:
        order = Order.OLDEST
    total = picks if order == Order.PICKS else threads
    tops = select(Comment.id).where(_is_pick(essay.id)) if order == Order.PICKS else _roots(essay)
    ordered = tops.order_by(*_top_order(order)).limit(per_page).offset((number - 1) * per_page)
    ids: list[int] = list(db.session.scalars(ordered))
    nodes = (_load_picks if order == Order.PICKS else _load_threads)(essay, ids) if ids else {}
    _join(nodes, order)
    pages = max(1, -(-total // per_page))
    return ThreadPage([nodes[one] for one in ids], number, pages, order, bool(picks), has_lost)


def page_with(comment: Comment, per_page: int) -> int:
    """Return the number of the page, oldest first, on which a comment's thread stands. One query.

    A thread that nobody sees, because it waits or is gone, stands at its place, on the last page at the latest.
    """
    roots = _roots_condition(comment.essay_id)
    root = aliased(Comment)
    pinned = select(root.pinned_at).where(root.id == comment.root_comment_id).scalar_subquery()
    before = or_(
        and_(Comment.pinned_at.is_not(None), pinned.is_(None)),
        and_(Comment.pinned_at.is_(None) == pinned.is_(None), Comment.id < comment.root_comment_id),
    )
    counts = select(func.count(Comment.id).filter(before), func.count(Comment.id)).where(roots)
    earlier, total = db.session.execute(counts).one()
    return min(earlier // per_page + 1, max(1, -(-total // per_page)))


def comment_with_replies(essay: Essay, comment: Comment, order: Order = Order.OLDEST) -> Node:
    """Return one comment with 6 levels of replies, whose depths count from 0 as it stands on a page of its own.

    One query.
    """
    below = and_(Comment.below(comment.path), Comment.depth <= comment.depth + SHOWN_DEPTH, _has_something())
    nodes = _load(essay, or_(Comment.id == comment.id, below), top=comment.depth + 1)
    _join(nodes, order)
    nodes[comment.id].depth = 0
    return nodes[comment.id]


def parents_of(essay: Essay, comment: Comment) -> list[Node]:
    """Return the comments above one, the first of its thread first. One query."""
    above = comment.ancestor_ids()
    if comment.answers_id and comment.answers_id not in above:
        above.append(comment.answers_id)
    if not above:
        return []
    nodes = _load(essay, Comment.id.in_(above))
    return [nodes[node_id] for node_id in above if node_id in nodes]


def traces(essay: Essay, ids: Collection[int], now: datetime, *, with_threads: bool) -> list[Trace]:
    """Return what was moved away from below these comments, `with_threads` from below the essay too. One query."""
    below = Comment.moved_from_id.in_(ids)
    where = or_(below, Comment.moved_from_id.is_(None)) if with_threads else below
    rows = db.session.execute(
        select(
            Comment.id,
            Comment.moved_from_id,
            Comment.essay_id,
            Comment.depth,
            User.name,
            Essay.title,
            Essay.published(now).label("is_published"),
        )
        .join(User, User.id == Comment.author_id)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.moved_from_essay_id == essay.id, Comment.visible, where)
        .order_by(Comment.moved_at.desc(), Comment.id)
        .limit(MOST_TRACES)
    )
    found = []
    for row in rows:
        is_here = row.essay_id == essay.id
        title = row.title if row.is_published and not is_here else None
        found.append(Trace(row.id, row.moved_from_id or 0, row.name, title, is_here, row.depth == 0))
    return found


def walk(nodes: Iterable[Node]) -> Iterable[Node]:
    """Yield every node of a list of threads, each before its replies."""
    for node in nodes:
        yield node
        yield from walk(node.replies)


def _roots(essay: Essay) -> Select[int]:
    return select(Comment.id).where(_roots_condition(essay.id))


def _roots_condition(essay_id: int) -> ColumnElement[bool]:
    return and_(Comment.essay_id == essay_id, Comment.depth == 0, _has_something())


def _is_pick(essay_id: int) -> ColumnElement[bool]:
    return and_(Comment.essay_id == essay_id, Comment.featured_at.is_not(None), Comment.visible)


def _counts(essay: Essay) -> tuple[int, int, bool]:
    """Return how many threads and how many picks there are, and whether any comment was moved away. One query."""
    counts = select(
        func.count(Comment.id).filter(_roots_condition(essay.id)),
        func.count(Comment.id).filter(_is_pick(essay.id)),
        exists().where(_is_lost(essay.id)),
    ).where(Comment.essay_id == essay.id)
    threads, picks, has_lost = db.session.execute(counts).one()
    return threads, picks, bool(has_lost)


def _is_lost(essay_id: int) -> ColumnElement[bool]:
    lost = aliased(Comment)
    return lost.moved_from_essay_id == essay_id


def _load_threads(essay: Essay, root_ids: list[int]) -> dict[int, Node]:
    wanted = or_(Comment.id.in_(root_ids), Comment.root_id.in_(root_ids))
    return _load(essay, and_(wanted, Comment.depth < SHOWN_DEPTH, _has_something()))


def _load_picks(essay: Essay, ids: list[int]) -> dict[int, Node]:
    nodes = _load(essay, Comment.id.in_(ids))
    for node in nodes.values():
        node.depth, node.parent_id, node.is_alone = 0, None, True
    return nodes


def _has_something() -> ColumnElement[bool]:
    """Return the condition for a comment that leaves a trace: its words, or a placeholder above others' words."""
    return or_(Comment.visible, Comment.visible_below > 0)


def _top_order(order: Order) -> tuple[ColumnElement[Any], ...]:
    pinned = Comment.pinned_at.is_(None)
    match order:
        case Order.NEWEST:
            return pinned, Comment.id.desc()
        case Order.BEST:
            return pinned, Comment.likes.desc(), Comment.id.asc()
        case Order.OLDEST:
            return pinned, Comment.id.asc()
        case Order.PICKS:
            return (Comment.id.asc(),)


def _load(essay: Essay, condition: ColumnElement[bool], *, top: int = 0) -> dict[int, Node]:
    """Load the comments of a condition as nodes by id, in one query; depths count from `top`."""
    revision, answered, answered_author = aliased(CommentRevision), aliased(Comment), aliased(User)
    rows = db.session.execute(
        select(
            Comment.id,
            Comment.parent_id,
            Comment.answers_id,
            Comment.depth,
            Comment.author_id,
            Comment.presence,
            Comment.visible,
            Comment.visible_below,
            Comment.created_at,
            Comment.edited_at,
            Comment.likes,
            Comment.pinned_at,
            Comment.featured_at,
            Comment.closed_at,
            Comment.closing_note,
            Comment.moved_at,
            Comment.subscription,
            User.name,
            User.shows_support,
            revision.html,
            answered.visible.label("answered_visible"),
            answered_author.name.label("answered_name"),
            exists().where(_is_lost(essay.id)).label("has_lost"),
        )
        .join(User, User.id == Comment.author_id)
        .outerjoin(revision, and_(revision.comment_id == Comment.id, revision.number == Comment.shown_number))
        .outerjoin(answered, answered.id == Comment.answers_id)
        .outerjoin(answered_author, answered_author.id == answered.author_id)
        .where(Comment.essay_id == essay.id, condition)
        .order_by(Comment.id)
    )
    marks = site_settings().supporter_marks
    return {row.id: _node(row, essay, top, marks=marks) for row in rows}


def _node(row: Any, essay: Essay, top: int, *, marks: bool) -> Node:
    at_cap = row.answers_id is not None and row.answers_id != row.parent_id
    return Node(
        id=row.id,
        parent_id=row.parent_id,
        depth=row.depth - top,
        name=row.name,
        user_id=row.author_id if row.visible else None,
        is_author=row.author_id == essay.author_id,
        is_supporter=marks and row.shows_support and row.subscription in SUPPORTING,
        is_pinned=row.pinned_at is not None,
        is_featured=row.featured_at is not None,
        created_at=row.created_at,
        edited=row.edited_at is not None,
        html=row.html if row.visible else "",
        likes=row.likes,
        answering=row.answered_name if row.answered_visible else None,
        answering_gone=row.answers_id is not None and not row.answered_visible,
        note_answering=at_cap,
        gone=None if row.visible else placeholder(row.presence),
        reply_count=row.visible_below,
        has_moved_here=row.moved_at is not None,
        is_closed=row.closed_at is not None and row.parent_id is None,
        closing_note=row.closing_note,
        has_lost=row.has_lost,
    )


def placeholder(presence: Presence) -> str:
    """Return the sentence that stands where a comment was."""
    match presence:
        case Presence.WITHDRAWN:
            return "This comment was deleted by its writer."
        case Presence.HIDDEN:
            return "This comment was removed by the moderators."
        case Presence.ERASED:
            return "This comment was erased, and its writer’s name with it."
        case Presence.LIVE:
            return "This comment is waiting for the author."


def _join(nodes: dict[int, Node], order: Order) -> None:
    """Hang replies below what they answer, and count what is too deep to be here."""
    for node in nodes.values():
        if node.parent_id in nodes:
            nodes[node.parent_id].replies.append(node)
    for node in nodes.values():
        if order == Order.BEST:
            node.replies.sort(key=lambda reply: (-reply.likes, reply.id))
        if not node.replies and not node.is_alone:
            node.more = node.reply_count


def waiting_node(comment: Comment, essay: Essay) -> Node:
    """Return a comment as its own writer sees it: the newest wording, whatever its verdict."""
    return Node(
        id=comment.id,
        parent_id=comment.parent_id,
        depth=comment.depth,
        name=comment.author.name,
        user_id=comment.author_id,
        is_author=comment.author_id == essay.author_id,
        is_supporter=False,
        is_pinned=False,
        is_featured=False,
        created_at=comment.created_at,
        edited=False,
        html=comment.newest.html,
        likes=0,
        answering=None,
        answering_gone=False,
        note_answering=False,
        gone=None,
        reply_count=comment.visible_below,
    )


def unseen_comments_of(user: User, essay: Essay) -> list[tuple[Comment, bool]]:
    """Return a person's own comments on an essay that only they see, or whose newest wording waits. One query.

    With each comes whether its thread is closed. What was merged with another is not theirs to look for any more.
    """
    refused = (CommentRevision.verdict != Verdict.ACCEPTED) | (Comment.presence == Presence.HIDDEN)
    root = aliased(Comment)
    is_newest = and_(
        CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number
    )
    rows = db.session.execute(
        select(Comment, func.coalesce(root.closed_at, Comment.closed_at).is_not(None))
        .join(CommentRevision, is_newest)
        .outerjoin(root, root.id == Comment.root_id)
        .where(Comment.essay_id == essay.id, Comment.author_id == user.id, refused)
        .where(Comment.presence.in_((Presence.LIVE, Presence.HIDDEN)), Comment.merged_into_id.is_(None))
        .order_by(Comment.id)
        .options(contains_eager(Comment.newest))
    )
    return [(row[0], bool(row[1])) for row in rows.unique()]
