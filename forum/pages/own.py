"""What of a page of comments is its viewer's own, and goes to the markers that the shared part leaves for it."""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from flask import current_app, render_template
from jinja2 import Environment
from markupsafe import Markup
from sqlalchemy import (
    ColumnElement,
    bindparam,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.discussion.reaction import Reaction
from forum.discussion.rights import Act, appealable, is_editable
from forum.discussion.thread import Node, Trace, traces, unseen_comments_of, waiting_node
from forum.discussion.waiting import last_words_on, usual_wait, waiting_sentence
from forum.essays.essay import Essay
from forum.notifications.watch import MutedPerson

MARKER = re.compile(r"<!--(own|liked|fold|unfold|below):(\d+)-->")

END_OF_FOLD = "</details>"

MOST_LINKS = 2_000
"""Comments whose links for their writers are remembered as they were rendered."""

OwnParts = dict[tuple[str, int], str]
"""A viewer's own parts of a discussion: the HTML for the marker of that name at that comment."""


class Concern(NamedTuple):
    """One thing that a viewer has to do with a comment: "own", "liked", or "fold", whose writer has the name."""

    kind: str
    comment_id: int
    name: str | None
    is_closed: bool
    """Whether the thread of an own comment is closed."""


def concerns() -> Any:
    """Return the statement for what a viewer has to do with comments, for `viewer_id`, `first_id` and `last_id`.

    It begins with what the viewer has, which is little, and not with the comments, which are many. The range of
    ids may hold comments of other pages.
    """
    viewer = bindparam("viewer_id", type_=Comment.author_id.type)
    root = aliased(Comment)
    closed_at = func.coalesce(root.closed_at, Comment.closed_at)
    own: Any = (
        select(literal_column("'own'").label("kind"), Comment.id, null(), closed_at.is_not(None))
        .outerjoin(root, root.id == Comment.root_id)
        .where(Comment.author_id == viewer, _in_range(Comment.id), Comment.visible)
    )
    thanked: Any = select(literal_column("'liked'"), Reaction.comment_id, null(), literal(value=False)).where(
        Reaction.user_id == viewer, _in_range(Reaction.comment_id)
    )
    muted: Any = (
        select(literal_column("'fold'"), Comment.id, User.name, literal(value=False))
        .join(MutedPerson, MutedPerson.muted_id == Comment.author_id)
        .join(User, User.id == Comment.author_id)
        .where(MutedPerson.user_id == viewer, _in_range(Comment.id))
    )
    return union_all(own, thanked, muted)


def thread_html(nodes: list[Node]) -> str:
    """Render threads, with markers where the viewer's own parts go."""
    return render_template("discussion/_thread.html", nodes=nodes)


def trace_parts(essay: Essay, ids: Sequence[int], *, with_threads: bool) -> OwnParts:
    """Return the lines where comments were that were moved away: the same for everybody. One query."""
    found: dict[int, list[Trace]] = {}
    for trace in traces(essay, ids, clock.now(), with_threads=with_threads):
        found.setdefault(trace.below, []).append(trace)
    return {
        ("below", place): render_template("discussion/_moved.html", traces=here, in_list=place == 0)
        for place, here in found.items()
    }


def joined(parts: OwnParts, others: OwnParts) -> OwnParts:
    """Return both, one after the other where both have something at one marker."""
    return parts | {marker: parts.get(marker, "") + html for marker, html in others.items()}


def put_own_parts(html: str, parts: OwnParts) -> Markup:
    """Put a viewer's own parts at the markers; the others go."""
    return Markup(MARKER.sub(lambda found: parts.get((found[1], int(found[2])), ""), html))  # noqa: S704


def own_parts(
    user: User | None, essay: Essay, ids: Sequence[int], may: frozenset[Act], *, top: int | None = None
) -> OwnParts:
    """Return a viewer's controls, thanks, waiting comments and folds of whom they muted. Two queries, a stranger none.

    `may` is what rights() says: who may not write here is offered no edit. `top` is the comment whose replies
    these are; without one, what stands below none of them goes to the end.
    """
    if user is None:
        return {}
    found: list[Concern] = []
    if ids:
        span = {"viewer_id": user.id, "first_id": min(ids), "last_id": max(ids)}
        found = [Concern(*row) for row in db.session.execute(concerns(), span)]
    theirs = parts_of(found, set(ids), may, current_app.jinja_env, top=top)
    return theirs | waiting_parts(user, essay, ids, may, top)


def waiting_parts(
    user: User, essay: Essay, ids: Sequence[int], may: frozenset[Act], top: int | None = None
) -> OwnParts:
    """Return a viewer's own comments that others do not see, for the places below what they answer.

    One query, one more where something waits: how long that usually takes; three more where something was
    refused: why, and what they may ask another look at.
    """
    parts: OwnParts = {}
    waiting: dict[int, list[tuple[Node, str, set[Act]]]] = {}
    own = [
        (place, comment, is_closed)
        for comment, is_closed in unseen_comments_of(user, essay)
        if not comment.visible and (place := _place(comment, ids, top)) is not None
    ]
    usually = usual_wait(essay.author_id) if any(comment.waits_since for _, comment, _ in own) else ""
    comments = [comment for _, comment, _ in own]
    last_words, open_to_appeal = last_words_on(comments), appealable(comments, clock.now())
    for place, comment, is_closed in own:
        sentence = waiting_sentence(comment, essay, last_words, usually=usually)
        offered = _offered(comment, may, is_closed=is_closed)
        if comment.id in open_to_appeal:
            offered.add(Act.APPEAL)
        waiting.setdefault(place, []).append((waiting_node(comment, essay), sentence, offered))
    for place, here in waiting.items():
        parts["below", place] = render_template("discussion/_waiting.html", waiting=here, in_list=place == 0)
    return parts


def parts_of(
    found: Iterable[Concern],
    ids: Collection[int],
    may: frozenset[Act],
    templates: Environment,
    *,
    top: int | None = None,
) -> OwnParts:
    """Return what a viewer has of their own at comments that everybody sees; what is not on the page is left out."""
    parts = OwnParts()
    for kind, comment_id, name, is_closed in found:
        if comment_id not in ids:
            continue
        if kind == "liked":
            parts["liked", comment_id] = _thanked(templates)
        elif kind == "own" and comment_id != top:
            may_edit = _may_edit(may, is_closed=is_closed)
            parts["own", comment_id] = _links(templates, comment_id, may_edit=may_edit)
        elif kind == "fold":
            fold = templates.get_template("discussion/_fold.html").render(name=name)
            parts["fold", comment_id] = fold.removesuffix(END_OF_FOLD)
            parts["unfold", comment_id] = END_OF_FOLD
    return parts


@cache
def _thanked(templates: Environment) -> str:
    return templates.get_template("discussion/_liked.html").render()


@lru_cache(MOST_LINKS)
def _links(templates: Environment, comment_id: int, *, may_edit: bool) -> str:
    return templates.get_template("discussion/_own.html").render(comment_id=comment_id, may_edit=may_edit)


def _in_range(column: Any) -> ColumnElement[bool]:
    first, last = (bindparam(name, type_=Comment.id.type) for name in ("first_id", "last_id"))
    between: ColumnElement[bool] = column.between(first, last)
    return between


def _may_edit(may: frozenset[Act], *, is_closed: bool) -> bool:
    """Tell whether somebody may edit what they wrote: in a closed thread only who moderates it."""
    return Act.COMMENT in may and (not is_closed or Act.MODERATE in may)


def _offered(comment: Comment, may: frozenset[Act], *, is_closed: bool) -> set[Act]:
    """Return what somebody may do at once with words of theirs that others do not see."""
    offered: set[Act] = set()
    if _may_edit(may, is_closed=is_closed) and is_editable(comment):
        offered.add(Act.EDIT)
    if comment.presence == Presence.LIVE:
        offered.add(Act.WITHDRAW)
    return offered


def _place(comment: Comment, ids: Sequence[int], top: int | None) -> int | None:
    """Return the comment on this page below which a waiting one stands, 0 for the end of the page, None for nowhere."""
    if comment.parent_id is not None and comment.parent_id != top and comment.parent_id in ids:
        return comment.parent_id
    return 0 if top is None or comment.parent_id == top else None
