"""A discussion as readers see it: pages of threads, one comment with its surroundings; ranges of indexes alone."""

import pickle
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased, contains_eager

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict, first_of_thread
from forum.essays.essay import Essay
from forum.rawreads import RawStatement
from forum.replica import CONNECTION
from forum.site.settings import site_settings
from forum.text.excerpt import first_line

SHOWN_DEPTH = 6
"""Levels on one page; a phone shows four of them (static/css), the rest is one link away."""

SHOWN_REPLIES = 100
"""Of one thread, on a page of the essay, in the order of posting; the rest is one link away."""

MOST_BELOW = 200
"""Below one comment, on a page of its own; the next are on the next page."""

MOST_RANKED_PAGES = 20
"""Of an order that is no range of numbers. Each page reads past those before it, and few people go so far."""

CROWDED = 4
"""A page never shows more than so many times its threads."""

MOST_TRACES = 100
"""Lines about comments that were moved away, on one page; the newest ones."""

SUPPORTING = ("paid", "complimentary")
"""What a writer's subscription was as they posted, where the comment may say that they support the site."""


RawRow = tuple[Any, ...]
ID, ESSAY, ROOT, NUMBER, LIKES, PINNED, PARENT, VISIBLE, BELOW = range(9)
"""Where in a row as the driver gives it stands what decides where a comment goes."""

STEP = 10
"""For each so many threads more, another statement is put together once."""

ANOTHER, LOST, REVISION = aliased(Comment), aliased(Comment), aliased(CommentRevision)
"""Beside the comment that a query is about. Made anew for each query, they took as long as the query."""


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
    number: int | None = None
    """Of a thread, see `Comment.thread_number`."""
    is_context: bool = False
    """Whether it stands here only to say what the replies below it answer: it was on the page before."""
    more: int = 0
    """How many comments below it are not on the page, but for those below a reply that is."""
    replies: list["Node"] = field(default_factory=list)
    rendered: str = ""
    """Itself with its replies, where that is known already."""

    @property
    def first_line(self) -> str:
        """Return its first words, for a line in a list."""
        return self.gone or first_line(self.html)


@dataclass(frozen=True)
class Thread:
    """One thread of a page as it was read; its nodes are made when somebody wants to see it."""

    first_id: int
    """Of its first comment, or of a pick."""
    rows: list[RawRow]
    """Of all its comments on the page, by their ids, as the driver gave them."""
    reading: "_Reading"
    author_id: int
    """Of the essay."""
    order: Order
    marks: bool
    """Whether supporters are marked."""

    @property
    def digest(self) -> bytes:
        """Return what is another one when anything of it that a reader sees is."""
        return _digest((self.rows, self.author_id, self.order, self.marks))

    def twig(self) -> "Twig":
        """Return its first comment as it was read, with the replies below it."""
        below: dict[int | None, list[RawRow]] = defaultdict(list)
        for row in self.rows:
            below[row[PARENT]].append(row)
        return self._twig(next(row for row in self.rows if row[ID] == self.first_id), below)

    def _twig(self, row: RawRow, below: "dict[int | None, list[RawRow]]") -> "Twig":
        found = below[row[ID]]
        if self.order == Order.BEST:
            found = sorted(found, key=lambda reply: (-reply[LIKES], reply[ID]))
        is_alone = self.order == Order.PICKS
        more = 0 if is_alone else row[BELOW] - sum(reply[BELOW] + bool(reply[VISIBLE]) for reply in found)
        return Twig(row, [self._twig(reply, below) for reply in found], more)

    def digest_of(self, twig: "Twig") -> bytes:
        """Return what is another one when anything is that a reader sees of a comment, without those below it."""
        is_alone = self.order == Order.PICKS
        return _digest((twig.row, twig.more, bool(twig.replies), is_alone, self.author_id, self.marks))

    def digest_with(self, twig: "Twig") -> bytes:
        """Return the same of a comment with all that is below it."""
        return _digest(([*twig.rows()], self.author_id, self.order, self.marks))

    def node_of(self, twig: "Twig") -> Node:
        """Return one of its comments without those below it."""
        node = _node(self.reading.row(twig.row), self.author_id, 0, marks=self.marks)
        node.more = twig.more
        if self.order == Order.PICKS:
            node.depth, node.parent_id, node.is_alone = 0, None, True
        return node

    def node(self) -> Node:
        """Return its first comment with the replies below it."""
        return self._whole(self.twig())

    def _whole(self, twig: "Twig") -> Node:
        node = self.node_of(twig)
        node.replies = [self._whole(reply) for reply in twig.replies]
        return node


@dataclass(frozen=True)
class Twig:
    """A comment of a thread as it was read."""

    row: RawRow
    replies: "list[Twig]"
    """On the page, in their order."""
    more: int
    """How many comments below it are not on the page, but for those below a reply that is."""

    @property
    def id(self) -> int:
        """Return the number of the comment."""
        return cast(int, self.row[ID])

    def rows(self) -> Iterable[RawRow]:
        """Yield its row, then those of the replies, each before its own replies."""
        yield self.row
        for reply in self.replies:
            yield from reply.rows()


@dataclass(frozen=True)
class ThreadPage:
    """One page of threads; `number` counts from 1."""

    threads: list[Thread]
    number: int
    count: int
    order: Order
    has_picks: bool = False
    has_lost: bool = False
    """Whether comments were moved away from this discussion."""
    most: int = 0
    """After how many this order ends although there are more, 0 where it ends with the last one."""

    @property
    def is_empty(self) -> bool:
        """Tell whether all that stood on this page is gone, but not what follows it."""
        return not self.threads and 1 < self.count >= self.number

    def ids(self) -> list[int]:
        """Return the id of every comment on the page."""
        return [row[ID] for thread in self.threads for row in thread.rows]


@dataclass(frozen=True)
class CommentPage:
    """A comment on a page of its own, those above it, and some of those below it."""

    node: Node
    parents: list[Node]
    """The first of its thread first."""
    last_id: int | None
    """The comment after which the next page goes on, None where nothing follows."""

    def ids(self) -> list[int]:
        """Return the id of every comment whose words may be on the page."""
        below = [one.id for one in walk(self.node.replies) if not one.is_context]
        return [*(one.id for one in self.parents), self.node.id, *below]


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
    """Return one page of an essay's threads, on the first one the pinned thread before all. Three queries.

    Each reads a range of an index, as long as a page is, however large the discussion. Only the first 6 levels of a
    thread and its first 100 replies are loaded; what is left out is counted in `more`. Where there are no picks, their
    page is that of the threads, the oldest first. Beyond the last page there are no threads.
    """
    facts = _facts(essay, order, per_page)
    if order == Order.PICKS and not facts.has_picks:
        order = Order.OLDEST
    is_ranked = order in (Order.BEST, Order.PICKS)
    pages = max(1, -(-(facts.ranked if is_ranked else facts.last_number) // per_page))
    count = min(pages, MOST_RANKED_PAGES) if is_ranked else pages
    threads = _threads(essay, order, number, per_page, facts.last_number) if number <= count else []
    most = MOST_RANKED_PAGES * per_page if count < pages else 0
    return ThreadPage(threads, number, count, order, facts.has_picks, facts.has_lost, most)


def page_with(comment: Comment, per_page: int) -> int:
    """Return the number of the page, oldest first, on which a comment's thread stands. One query at most.

    A thread that nobody sees, because it waits or is gone, stands at its place, on the last page at the latest.
    """
    first = first_of_thread(comment)
    if first is not None and comment.visible:
        return 1 if first.pinned_at is not None else max(1, -(-(first.thread_number or 1) // per_page))
    root = aliased(Comment)
    found = select(root.thread_number, root.pinned_at, _last_number(comment.essay_id)).where(
        root.id == comment.root_comment_id
    )
    thread_number, pinned_at, last_number = db.session.execute(found).one()
    if pinned_at is not None:
        return 1
    return max(1, -(-min(thread_number or 1, last_number or 1) // per_page))


def is_on_page(comment: Comment) -> bool:
    """Tell whether a comment stands on its page of the essay: neither too deep in its thread nor too far behind."""
    return comment.depth < SHOWN_DEPTH and comment.place <= SHOWN_REPLIES


def comment_with_replies(essay: Essay, comment: Comment, after: Comment | None = None) -> CommentPage:
    """Return one comment, those above it, and the first 200 below it that follow `after`, each before its replies.

    Two queries, three where a page ends in a part that is too deep for it: of that, 6 levels are shown, whose depths
    count from 0.
    """
    rows, goes_on = _below(comment, after)
    shown = [row for row in rows if row.depth <= comment.depth + SHOWN_DEPTH]
    # The page may begin in the midst of answers to something that was on the page before.
    steps = shown[0].path.split("/")[comment.depth + 1 : -1] if shown else []
    context = [int(step, 16) for step in steps]
    above = comment.ancestor_ids()
    if comment.answers_id and comment.answers_id not in above:
        above.append(comment.answers_id)
    inside = [comment.id, *context, *(row.id for row in shown)]
    nodes = _load(essay, [*above, *inside], top=comment.depth + 1)
    _join({one: nodes[one] for one in inside if one in nodes}, Order.OLDEST, only_deepest=True)
    for one in context:
        if one in nodes:
            nodes[one].is_context = True
    nodes[comment.id].depth = 0
    parents = [nodes[one] for one in above if one in nodes]
    return CommentPage(nodes[comment.id], parents, shown[-1].id if goes_on else None)


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


class _Facts(NamedTuple):
    """What is known of a whole discussion without reading it."""

    last_number: int
    """The highest number of a thread that is shown and not pinned."""
    ranked: int
    """How many threads or picks an order has that is no range of numbers, up to one more than its pages hold."""
    has_picks: bool
    has_lost: bool


def _threads(essay: Essay, order: Order, number: int, per_page: int, last_number: int) -> list[Thread]:
    """Return the threads of a page. Two queries."""
    until = last_number - (number - 1) * per_page if order == Order.NEWEST else number * per_page
    page = {"until": until, "after": until - per_page, "per_page": per_page, "past": (number - 1) * per_page}
    _, tops = _read(_tops(order, is_first=number == 1), essay_id=essay.id, **page)
    reading, found = _read_threads(essay.id, [top for (top,) in tops], is_alone=order == Order.PICKS)
    rows, firsts = defaultdict(list), []
    for row in found:
        # In the query, this condition would let SQLite take an index of the whole discussion.
        if row[ESSAY] == essay.id:
            is_first = order == Order.PICKS or row[ROOT] is None
            rows[row[ID] if is_first else row[ROOT]].append(row)
            firsts += [row] * is_first
    marks = site_settings().supporter_marks
    return [
        Thread(one[ID], rows[one[ID]], reading, essay.author_id, order, marks)
        for one in sorted(firsts, key=_rank(order))
    ]


def _read_threads(essay_id: int, ids: Sequence[int], *, is_alone: bool) -> "tuple[_Reading, list[RawRow]]":
    """Return all comments of some threads, or those `ids` alone. One query."""
    # One statement for many numbers of ids: the last one stands there several times.
    size = -(-len(ids) // STEP) * STEP or STEP
    padded = [*ids, *[ids[-1] if ids else 0] * (size - len(ids))]
    given = {_name(at): one for at, one in enumerate(padded)}
    return _read(_threads_of(size, is_alone=is_alone), essay_id=essay_id, **given)


def _read(statement: Select[Any], **given: Any) -> "tuple[_Reading, list[RawRow]]":
    """Return what a statement that is made once finds, as the driver gives it.

    Most threads are kept as they were rendered: to make rows of them takes longer than to find them.
    """
    session = db.session()
    connection: Connection = session.info.get(CONNECTION) or session.connection()
    key = connection.dialect.name, statement
    reading = _readings.get(key)
    if reading is None:
        reading = _readings[key] = _Reading(statement, connection)
    return reading, reading.rows(connection, given)


class _Reading:
    """A statement that was turned into SQL once, and how the driver's values become SQLAlchemy's."""

    def __init__(self, statement: Select[Any], connection: Connection) -> None:
        dialect, columns = connection.dialect, statement.selected_columns
        self._raw = RawStatement(statement, connection.engine)
        self._names = columns.keys()
        converts = [one.type.dialect_impl(dialect).result_processor(dialect, None) for one in columns]
        self._converts = [(at, convert) for at, convert in enumerate(converts) if convert is not None]

    def rows(self, connection: Connection, given: dict[str, Any]) -> list[RawRow]:
        """Run it."""
        values = self._raw.values(given)
        found: Any = connection.exec_driver_sql(
            self._raw.sql, tuple(values) if isinstance(values, list) else values
        )
        rows: list[RawRow] = found.cursor.fetchall()
        found.close()
        return rows

    def row(self, raw: RawRow) -> Any:
        """Return a row with its values as SQLAlchemy gives them, by their names."""
        values = list(raw)
        for at, convert in self._converts:
            values[at] = convert(values[at])
        return SimpleNamespace(**dict(zip(self._names, values, strict=True)))


def _digest(values: object) -> bytes:
    return sha256(pickle.dumps(values, pickle.HIGHEST_PROTOCOL)).digest()


_readings: dict[tuple[str, Select[Any]], _Reading] = {}


def _name(at: int) -> str:
    return f"id_{at}"


def _facts(essay: Essay, order: Order, per_page: int) -> _Facts:
    """Look at the ends of indexes. One query."""
    _, [row] = _read(_looking(order), essay_id=essay.id, most=MOST_RANKED_PAGES * per_page + 1)
    return _Facts(row[0] or 0, row[1], bool(row[2]), bool(row[3]))


# Statements of every page, made once: to put one together takes longer than to run it.

ESSAY_ID: BindParameter[int] = bindparam("essay_id", type_=Comment.essay_id.type)


@cache
def _looking(order: Order) -> Select[Any]:
    ranked: ColumnElement[int] = literal(0)
    if order in (Order.BEST, Order.PICKS):
        some = _ranked(order).limit(bindparam("most")).subquery()
        ranked = select(func.count()).select_from(some).scalar_subquery()
    picks, lost = exists().where(_is_pick()), exists().where(_is_lost())
    looked: list[ColumnElement[Any]] = [_last_number(ESSAY_ID), ranked, picks, lost]
    return select(*looked)


def _last_number(essay_id: Any) -> ScalarSelect[int | None]:
    """Return the highest number of a thread that is shown in its place, read from the end of the index."""
    thread = ANOTHER
    is_shown = (thread.essay_id == essay_id) & thread.thread_number.is_not(None) & has_something(thread)
    last = select(thread.thread_number).where(is_shown, thread.pinned_at.is_(None))
    return last.order_by(thread.thread_number.desc()).limit(1).scalar_subquery()


@cache
def _tops(order: Order, *, is_first: bool) -> Select[int]:
    """Return the first comments of a page's threads, in any order; the first page has the pinned one too."""
    if order in (Order.BEST, Order.PICKS):
        # No range of numbers: it reads past the pages before, of which there are few.
        tops = _ranked(order).limit(bindparam("per_page")).offset(bindparam("past"))
    else:
        in_range = (Comment.thread_number > bindparam("after")) & (
            Comment.thread_number <= bindparam("until")
        )
        # More than a page's worth stand here only while gone ones are back that were not counted.
        tops = (
            select(Comment.id)
            .where(Comment.essay_id == ESSAY_ID, in_range, Comment.pinned_at.is_(None), has_something())
            .order_by(Comment.thread_number, Comment.id)
            .limit(CROWDED * bindparam("per_page", type_=Integer))
        )
    if not is_first or order == Order.PICKS:
        return tops
    pinned = (Comment.essay_id == ESSAY_ID) & Comment.pinned_at.is_not(None) & Comment.root_id.is_(None)
    both = union_all(
        select(Comment.id).where(pinned, has_something()), select(tops.subquery().c.id)
    ).subquery()
    return select(both.c.id)


def _ranked(order: Order) -> Select[int]:
    """Return the threads by thanks but for a pinned one, or the picks, in the order of their index."""
    if order == Order.PICKS:
        return select(Comment.id).where(_is_pick()).order_by(Comment.id)
    is_thread = (Comment.essay_id == ESSAY_ID) & Comment.root_id.is_(None) & Comment.pinned_at.is_(None)
    return (
        select(Comment.id).where(is_thread, has_something()).order_by(Comment.likes.desc(), Comment.id.desc())
    )


def _is_pick() -> ColumnElement[bool]:
    return and_(Comment.essay_id == ESSAY_ID, Comment.featured_at.is_not(None), Comment.visible)


def _is_lost() -> ColumnElement[bool]:
    return LOST.moved_from_essay_id == ESSAY_ID


@cache
def _threads_of(size: int, *, is_alone: bool) -> Select[Any]:
    """Return the comments of so many threads, or those ids alone."""
    ids = [bindparam(_name(at), type_=Comment.id.type) for at in range(size)]
    if is_alone:
        return _rows_where(Comment.id.in_(ids))
    replies = Comment.root_id.in_(ids) & (Comment.place <= SHOWN_REPLIES)
    return _rows_where(or_(Comment.id.in_(ids), replies), Comment.depth < SHOWN_DEPTH, has_something())


@cache
def _of_comments() -> Select[Any]:
    return _rows_where(Comment.id.in_(bindparam("ids", expanding=True)))


def _below(comment: Comment, after: Comment | None) -> tuple[Sequence[Any], bool]:
    """Return id, depth and path of what follows below a comment, and whether more does than is on one page."""
    deepest = comment.depth + SHOWN_DEPTH
    start = _path_after(after.path, deepest) if after is not None else f"{comment.path}/"
    is_next = (Comment.path >= start) & (Comment.path < f"{comment.path}0") & has_something()
    found = select(Comment.id, Comment.depth, Comment.path).where(is_next).order_by(Comment.path)
    rows = db.session.execute(found.limit(MOST_BELOW + 1)).all()
    if len(rows) <= MOST_BELOW:
        return rows, False
    start = _path_after(rows[-2].path, deepest)
    is_next = (Comment.path >= start) & (Comment.path < f"{comment.path}0") & has_something()
    goes_on = rows[-1].path >= start or db.session.scalar(select(exists().where(is_next)))
    return rows[:-1], bool(goes_on)


def _path_after(path: str, deepest: int) -> str:
    """Return where what follows a comment begins: with its replies, unless those are too deep to be shown."""
    steps = path.split("/")
    return f"{path}/" if len(steps) <= deepest else f"{'/'.join(steps[: deepest + 1])}0"


def has_something(comment: type[Comment] = Comment) -> ColumnElement[bool]:
    """Return the condition for a comment that leaves a trace: its words, or a placeholder above others' words."""
    return or_(comment.visible, comment.visible_below > 0)


def _rank(order: Order) -> Callable[[RawRow], tuple[int, ...]]:
    """Return what the threads of a page are sorted by; among as many thanks the newest comes first, as in the index."""
    match order:
        case Order.OLDEST:
            return lambda row: (row[PINNED] is None, row[NUMBER] or 0, row[ID])
        case Order.NEWEST:
            return lambda row: (row[PINNED] is None, -(row[NUMBER] or 0), -row[ID])
        case Order.BEST:
            return lambda row: (row[PINNED] is None, -row[LIKES], -row[ID])
        case Order.PICKS:
            return lambda row: (row[ID],)


def _load(essay: Essay, ids: Sequence[int], *, top: int) -> dict[int, Node]:
    """Load comments as nodes by id, in one query; depths count from `top`."""
    found = db.session.execute(_of_comments(), {"essay_id": essay.id, "ids": ids})
    marks = site_settings().supporter_marks
    return {
        row.id: _node(row, essay.author_id, top, marks=marks) for row in found if row.essay_id == essay.id
    }


def _rows_where(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return the statement for all that a reader sees of comments."""
    seen: list[Any] = [
        Comment.id,
        Comment.essay_id,
        Comment.root_id,
        Comment.thread_number,
        Comment.likes,
        Comment.pinned_at,
        Comment.parent_id,
        Comment.visible,
        Comment.visible_below,
        Comment.answers_id,
        Comment.depth,
        Comment.author_id,
        Comment.presence,
        Comment.created_at,
        Comment.edited_at,
        Comment.featured_at,
        Comment.closed_at,
        Comment.closing_note,
        Comment.moved_at,
        Comment.subscription,
        _of_writer(User.name, Comment).label("name"),
        _of_writer(User.shows_support, Comment).label("shows_support"),
        REVISION.html,
        ANOTHER.visible.label("answered_visible"),
        _of_writer(User.name, ANOTHER).label("answered_name"),
        exists().where(_is_lost()).label("has_lost"),
    ]
    return (
        select(*seen)
        .select_from(Comment)
        .outerjoin(REVISION, and_(REVISION.comment_id == Comment.id, REVISION.number == Comment.shown_number))
        .outerjoin(ANOTHER, ANOTHER.id == Comment.answers_id)
        .where(*conditions)
        .order_by(Comment.id)
    )


def _of_writer(column: InstrumentedAttribute[Any], comment: type[Comment]) -> ColumnElement[Any]:
    """Return something of a comment's writer. Joined, PostgreSQL would read all people of a site for one page."""
    return select(column).where(User.id == comment.author_id).scalar_subquery()


def _node(row: Any, author_id: int, top: int, *, marks: bool) -> Node:
    at_cap = row.answers_id is not None and row.answers_id != row.parent_id
    return Node(
        id=row.id,
        parent_id=row.parent_id,
        depth=row.depth - top,
        name=row.name,
        user_id=row.author_id if row.visible else None,
        is_author=row.author_id == author_id,
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
        number=row.thread_number,
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


def _join(nodes: dict[int, Node], order: Order, *, only_deepest: bool = False) -> None:
    """Hang replies below what they answer, and count what of them is not here.

    With `only_deepest` what is below the last level alone: the rest is on the pages before or after.
    """
    for node in nodes.values():
        if node.parent_id in nodes:
            nodes[node.parent_id].replies.append(node)
    for node in nodes.values():
        if order == Order.BEST:
            node.replies.sort(key=lambda reply: (-reply.likes, reply.id))
        if not node.is_alone and (node.depth == SHOWN_DEPTH - 1 or not only_deepest):
            node.more = node.reply_count - sum(reply.reply_count + (not reply.gone) for reply in node.replies)


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
    # In the words of ix_comment_unseen, which is read then; what is refused is among these.
    is_unseen = or_(
        Comment.shown_number.is_(None),
        Comment.newest_number != Comment.shown_number,
        Comment.presence == literal_column("'hidden'"),
    )
    root = aliased(Comment)
    is_newest = and_(
        CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number
    )
    rows = db.session.execute(
        select(Comment, func.coalesce(root.closed_at, Comment.closed_at).is_not(None))
        .join(CommentRevision, is_newest)
        .outerjoin(root, root.id == Comment.root_id)
        .where(Comment.essay_id == essay.id, Comment.author_id == user.id, is_unseen, refused)
        .where(Comment.presence.in_((Presence.LIVE, Presence.HIDDEN)), Comment.merged_into_id.is_(None))
        .order_by(Comment.id)
        .options(contains_eager(Comment.newest))
    )
    return [(row[0], bool(row[1])) for row in rows.unique()]
