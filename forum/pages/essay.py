"""The essay with its discussion: a page that is kept for everyone, and in it what is the viewer's own."""

from datetime import datetime

from flask import Blueprint, abort, current_app, jsonify, redirect, request

from forum import clock
from forum.accounts.user import User
from forum.discussion.answers import Answer, new_form_token
from forum.discussion.refusals import is_about_subscription, why_no_stranger, why_not
from forum.discussion.rights import Act, rights
from forum.discussion.screening import causes_to_hold
from forum.discussion.thread import Node, ThreadPage, thread_page
from forum.essays.essay import Access, Essay, find_essay
from forum.notifications.follow import is_following
from forum.pages.gate import gate_before
from forum.pages.own import own_parts
from forum.pages.shared import (
    Audience,
    Pages,
    Threads,
    Versions,
    View,
    essay_html,
    no_threads,
    order_of,
    put_in,
)
from forum.pages.viewer import remember
from forum.site.settings import site_settings
from forum.subscriptions.letters import Letter, Pace, pace_of
from forum.web import page_number, person, wants_json

blueprint = Blueprint("essay", __name__)


@blueprint.get("/essays/<slug>")
def essay_page(slug: str) -> Answer:
    """Show an essay and one page of its discussion. Most visits are answered before they get here: see front.py."""
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
    view = View(order_of(request.args.get("sort")), page_number())
    if wants_json():
        return _as_json(essay, may, view)
    pages, versions = kept_pages(), versions_of(essay)
    if user is not None:
        remember(pages, user, essay, audience_of(user, essay, may, now))
    threads = pages.threads(versions, view) if Act.READ in may else no_threads(essay, now)
    if view.number > threads.count:
        abort(404)
    page = _page_for(user, essay, may, view, threads, now)
    return put_in(page, threads, own_parts(user, essay, threads.ids, may))


def kept_pages() -> Pages:
    """Return the pages that this process keeps."""
    pages: Pages = current_app.extensions["pages"]
    return pages


def versions_of(essay: Essay) -> Versions:
    """Return the versions that name what a page of an essay shows just now."""
    return Versions(essay.id, essay.version, essay.thread_version, site_settings().page_version)


def audience_of(user: User, essay: Essay, may: frozenset[Act], now: datetime) -> Audience | None:
    """Return what of a person decides how the page looks to them and to others alike, None if it is theirs alone.

    Their own is what tells them of their standing or subscription.
    """
    if Act.READ not in may or not essay.is_published(now) or user.warning:
        return None
    if essay.access != Access.PUBLIC and gate_before(essay, user, now) is not None:
        return None
    if Act.COMMENT not in may and why_not(user, essay, now) != why_no_stranger(essay, now):
        return None
    return Audience(
        may=may,
        may_moderate=user.may_moderate,
        may_write=user.may_write,
        is_admin=user.is_admin,
        may_edit=essay.may_edit(user),
        theme=user.theme,
        keys_off=not user.uses_keys,
        first_is_held=bool(causes_to_hold(user, essay, now)),
    )


def _page_for(
    user: User | None,
    essay: Essay,
    may: frozenset[Act],
    view: View,
    threads: Threads,
    now: datetime,
) -> str:
    """Render the page for one viewer alone, around threads that are everybody's."""
    refusal = _refusal(user, essay, may, now)
    return essay_html(
        essay,
        now,
        view,
        threads,
        may=may,
        refusal=refusal,
        gate=gate_before(essay, user, now),
        form_token=new_form_token() if user is not None else "",
        may_edit=essay.may_edit(user),
        lacks_subscription=user is not None and bool(refusal) and is_about_subscription(user, essay, now),
        first_is_held=user is not None and bool(causes_to_hold(user, essay, now)),
        following=user is not None and is_following(user, essay.id),
        without_essays=user is not None and pace_of(user, Letter.ESSAYS) == Pace.NEVER,
    )


def _refusal(user: User | None, essay: Essay, may: frozenset[Act], now: datetime) -> str | None:
    """Return what stands in place of the composer; strangers have one, their words are kept."""
    if user is None:
        return why_no_stranger(essay, now)
    return None if Act.COMMENT in may else why_not(user, essay, now)


def _as_json(essay: Essay, may: frozenset[Act], view: View) -> Answer:
    order, number = view
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
        comments=[_node_as_json(thread.node()) for thread in page.threads],
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
