"""The essay with its discussion: one part that is the same for everyone, and around it what is the viewer's own."""

import re
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, abort, jsonify, redirect, render_template, request
from markupsafe import Markup
from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.answers import Answer, new_form_token
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment, Presence
from forum.discussion.forms import CommentForm
from forum.discussion.reaction import Reaction
from forum.discussion.refusals import is_about_subscription, supporters_only, why_no_stranger, why_not
from forum.discussion.rights import Act, appealable, is_editable, is_for_supporters, rights
from forum.discussion.screening import causes_to_hold
from forum.discussion.thread import (
    Node,
    Order,
    ThreadPage,
    Trace,
    thread_page,
    traces,
    unseen_comments_of,
    waiting_node,
)
from forum.discussion.waiting import last_words_on, usual_wait, waiting_sentence
from forum.essays.essay import Essay, find_essay
from forum.notifications.follow import is_following
from forum.notifications.watch import is_muted_by
from forum.pages.gate import gate_before
from forum.site.settings import site_settings
from forum.subscriptions.letters import Letter, Pace, pace_of
from forum.text.markdown import MAX_CHARACTERS
from forum.web import page_number, person, wants_json

MARKER = re.compile(r"<!--(own|liked|fold|unfold|below):(\d+)-->")

END_OF_FOLD = "</details>"

OwnParts = dict[tuple[str, int], str]
"""A viewer's own parts of a discussion: the HTML for the marker of that name at that comment."""

blueprint = Blueprint("essay", __name__)


@dataclass(frozen=True)
class SharedThread:
    """A page of a discussion as everyone gets it: a function of the thread's version, the order and the page."""

    html: str
    ids: list[int]
    count: int
    has_picks: bool = False
    has_lost: bool = False


@blueprint.get("/essays/<slug>")
def essay_page(slug: str) -> Answer:
    """Show an essay and one page of its discussion."""
    user, now = person(), clock.now()
    essay = find_essay(slug)
    if essay is None or (essay.is_withdrawn() and essay.published_at is None):
        abort(404)
    if essay.is_withdrawn() and not essay.may_edit(user):
        abort(410)
    if not essay.may_see(user, now):
        abort(404)
    if essay.slug != slug:
        query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        return redirect(essay.path + query, 301)
    may = rights(user, essay, None, now)
    order, number = _order(), page_number()
    if wants_json():
        return _as_json(essay, may, order, number)
    shared = shared_thread(essay, order, number) if Act.READ in may else SharedThread("", [], 1)
    if number > shared.count:
        abort(404)
    return _page(essay, user, may, order, number, shared, now)


def shared_thread(essay: Essay, order: Order, number: int) -> SharedThread:
    """Render one page of threads for everyone; nothing in it depends on who looks."""
    page = thread_page(essay, order, number, site_settings().threads_per_page)
    return SharedThread(thread_html(page.nodes), page.ids(), page.count, page.has_picks, page.has_lost)


def thread_html(nodes: list[Node]) -> str:
    """Render threads, with markers where the viewer's own parts go."""
    return render_template("discussion/_thread.html", nodes=nodes)


def trace_parts(essay: Essay, ids: list[int], *, with_threads: bool) -> OwnParts:
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
    user: User | None, essay: Essay, ids: list[int], may: frozenset[Act], *, top: int | None = None
) -> OwnParts:
    """Return a viewer's controls, thanks, waiting comments and folds of whom they muted. Two queries, a stranger none.

    `may` is what rights() says: who may not write here is offered no edit. `top` is the comment whose replies
    these are; without one, what stands below none of them goes to the end.
    """
    if user is None:
        return {}
    return _parts_of_comments(user, ids, may, top) | _waiting_parts(user, essay, ids, may, top)


def _page(
    essay: Essay,
    user: User | None,
    may: frozenset[Act],
    order: Order,
    number: int,
    shared: SharedThread,
    now: datetime,
) -> str:
    order = Order.OLDEST if order == Order.PICKS and not shared.has_picks else order
    is_end = number == shared.count and order != Order.PICKS  # among the picks no thread is missed
    form = CommentForm(formdata=None)
    form.form_token.data = new_form_token() if user is not None else ""
    refusal = _refusal(user, essay, may, now)
    return render_template(
        "pages/essay.html",
        essay=essay,
        now=now,
        whole=essay.may_read_whole(user, now),
        gate=gate_before(essay, user, now),
        may=may,
        thread=put_own_parts(shared.html, _parts(user, essay, may, shared, is_end=is_end)),
        has_picks=shared.has_picks,
        order=order,
        number=number,
        page_count=shared.count,
        address_of=lambda page: _address(essay, order, page),
        form=form,
        refusal=refusal,
        closing=closing_of(essay, now),
        lacks_subscription=user is not None and bool(refusal) and is_about_subscription(user, essay, now),
        first_is_held=user is not None and bool(causes_to_hold(user, essay, now)),
        following=user is not None and is_following(user, essay.id),
        without_essays=user is not None and pace_of(user, Letter.ESSAYS) == Pace.NEVER,
        house_rules=site_settings().house_rules,
        supporters_only=supporters_only() if user is None and is_for_supporters(essay) else "",
        max_characters=MAX_CHARACTERS,
    )


def _parts(
    user: User | None, essay: Essay, may: frozenset[Act], shared: SharedThread, *, is_end: bool
) -> OwnParts:
    """Return what goes to the markers of a page of threads: traces of what was moved away, and the viewer's own."""
    moved = trace_parts(essay, shared.ids, with_threads=is_end) if shared.has_lost else {}
    return joined(moved, own_parts(user, essay, shared.ids, may))


def _refusal(user: User | None, essay: Essay, may: frozenset[Act], now: datetime) -> str | None:
    """Return what stands in place of the composer; strangers have one, their words are kept."""
    if user is None:
        return why_no_stranger(essay, now)
    return None if Act.COMMENT in may else why_not(user, essay, now)


def _parts_of_comments(user: User, ids: list[int], may: frozenset[Act], top: int | None) -> OwnParts:
    """Return what a viewer has of their own at comments that everybody sees. One query."""
    is_own = and_(Comment.author_id == user.id, Comment.visible)
    thanks = select(Reaction.comment_id).where(Reaction.user_id == user.id, Reaction.comment_id == Comment.id)
    is_thanked, is_muted, root = exists(thanks), is_muted_by(user, Comment.author_id), aliased(Comment)
    closed_at = func.coalesce(root.closed_at, Comment.closed_at)
    rows = db.session.execute(
        select(
            Comment.id,
            User.name,
            is_own.label("own"),
            is_thanked.label("thanked"),
            is_muted.label("muted"),
            closed_at.is_not(None).label("closed"),
        )
        .join(User, User.id == Comment.author_id)
        .outerjoin(root, root.id == Comment.root_id)
        .where(Comment.id.in_(ids), or_(is_own, is_thanked, is_muted))
    )
    is_liked, parts = render_template("discussion/_liked.html"), OwnParts()
    for row in rows:
        if row.own and row.id != top:
            parts["own", row.id] = render_template(
                "discussion/_own.html", comment_id=row.id, may_edit=_may_edit(may, is_closed=row.closed)
            )
        if row.thanked:
            parts["liked", row.id] = is_liked
        if row.muted:
            fold = render_template("discussion/_fold.html", name=row.name)
            parts["fold", row.id], parts["unfold", row.id] = fold.removesuffix(END_OF_FOLD), END_OF_FOLD
    return parts


def _may_edit(may: frozenset[Act], *, is_closed: bool) -> bool:
    """Tell whether somebody may edit what they wrote: in a closed thread only who moderates it."""
    return Act.COMMENT in may and (not is_closed or Act.MODERATE in may)


def _waiting_parts(
    user: User, essay: Essay, ids: list[int], may: frozenset[Act], top: int | None
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


def _offered(comment: Comment, may: frozenset[Act], *, is_closed: bool) -> set[Act]:
    """Return what somebody may do at once with words of theirs that others do not see."""
    offered: set[Act] = set()
    if _may_edit(may, is_closed=is_closed) and is_editable(comment):
        offered.add(Act.EDIT)
    if comment.presence == Presence.LIVE:
        offered.add(Act.WITHDRAW)
    return offered


def _place(comment: Comment, ids: list[int], top: int | None) -> int | None:
    """Return the comment on this page below which a waiting one stands, 0 for the end of the page, None for nowhere."""
    if comment.parent_id is not None and comment.parent_id != top and comment.parent_id in ids:
        return comment.parent_id
    return 0 if top is None or comment.parent_id == top else None


def _order() -> Order:
    given = request.args.get("sort", Order.OLDEST.value)
    return Order(given) if given in {order.value for order in Order} else Order.OLDEST


def _address(essay: Essay, order: Order, page: int) -> str:
    query = [f"page={page}"] if page > 1 else []
    query += [f"sort={order}"] if order != Order.OLDEST else []
    return f"{essay.path}{'?' if query else ''}{'&'.join(query)}#discussion"


def _as_json(essay: Essay, may: frozenset[Act], order: Order, number: int) -> Answer:
    page = ThreadPage([], number, 1, order)
    if Act.READ in may:
        page = thread_page(essay, order, number, site_settings().threads_per_page)
    if number > page.count:
        abort(404)
    return jsonify(
        title=essay.title,
        url=essay.path,
        thread_version=essay.thread_version,
        order=page.order,
        page=page.number,
        pages=page.count,
        comments=[_node_as_json(node) for node in page.nodes],
    )


def _node_as_json(node: Node) -> dict[str, object]:
    return {
        "id": node.id,
        "name": node.name if node.gone is None else None,
        "gone": node.gone,
        "html": node.html,
        "likes": node.likes,
        "created_at": node.created_at.isoformat(),
        "closed": node.is_closed,
        "more": node.more,
        "replies": [_node_as_json(reply) for reply in node.replies],
    }
