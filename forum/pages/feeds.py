"""The addresses for programs: feeds of essays and of comments, robots.txt, the sitemap."""

from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, redirect, render_template
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response as AnyResponse

from forum import clock
from forum.database import db
from forum.discussion.comment import Comment
from forum.essays.essay import Access, Essay, EssayTag, find_essay
from forum.essays.feeds import feed_answer, with_whole_addresses

FEED_ESSAYS = 20
FEED_COMMENTS = 50
SITEMAP_ESSAYS = 40_000
"""A sitemap may hold 50,000 addresses (sitemaps.org); the rest is for authors and tags."""
SITEMAP_OTHERS = 9_000

NOT_FOR_ROBOTS = ("/account", "/admin", "/comments", "/desk", "/dev", "/moderation", "/sign-in", "/sign-up")

blueprint = Blueprint("feeds", __name__)


@blueprint.get("/feed.xml")
def essays_feed() -> Response:
    """Give the newest essays as Atom: the whole text of those for everyone, the opening of the others."""
    now = clock.now()
    newest = select(Essay).where(Essay.published(now)).order_by(Essay.published_at.desc(), Essay.id.desc())
    essays = db.session.scalars(newest.limit(FEED_ESSAYS)).all()
    body = render_template(
        "feeds/essays.xml",
        essays=essays,
        host=_host(),
        updated=max((max(one.published_at or now, one.updated_at) for one in essays), default=now),
        whole=with_whole_addresses,
    )
    changed = [moment for one in essays for moment in (one.published_at, one.updated_at)]
    return feed_answer(body, "application/atom+xml", changed)


@blueprint.get("/essays/<slug>/feed.xml")
def comments_feed(slug: str) -> AnyResponse:
    """Give the newest comments on an essay as Atom, if everyone may read them."""
    now = clock.now()
    essay = find_essay(slug)
    if essay is None:
        abort(404)
    if essay.is_withdrawn():
        abort(410)
    if not essay.is_published(now) or essay.access != Access.PUBLIC:
        abort(404)
    if essay.slug != slug:
        return redirect(f"{essay.path}/feed.xml", 301)
    # In the order in which readers saw them first: what was held and then let through is news, and it is an index.
    seen = (Comment.essay_id == essay.id) & Comment.visible & Comment.spoken_at.is_not(None)
    newest = select(Comment).where(seen).order_by(Comment.spoken_at.desc()).limit(FEED_COMMENTS)
    comments = db.session.scalars(newest.options(joinedload(Comment.shown))).all()
    body = render_template("feeds/comments.xml", essay=essay, comments=comments, host=_host())
    changed = [moment for one in comments for moment in (one.created_at, one.edited_at)]
    return feed_answer(body, "application/atom+xml", changed or [essay.published_at])


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Tell robots what is not worth their while."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in NOT_FOR_ROBOTS)]
    lines += ["", f"Sitemap: {current_app.config['SITE_URL']}/sitemap.xml", ""]
    return feed_answer("\n".join(lines), "text/plain", [])


@blueprint.get("/sitemap.xml")
def sitemap() -> Response:
    """List the addresses of essays, authors and tags for search engines."""
    now = clock.now()
    newest = select(Essay.slug, Essay.author_id, Essay.published_at, Essay.updated_at).where(
        Essay.published(now)
    )
    essays = db.session.execute(newest.order_by(Essay.published_at.desc()).limit(SITEMAP_ESSAYS)).all()
    tags = select(EssayTag.slug).join(Essay, Essay.id == EssayTag.essay_id).where(Essay.published(now))
    body = render_template(
        "feeds/sitemap.xml",
        essays=essays,
        authors=sorted({essay.author_id for essay in essays})[:SITEMAP_OTHERS],
        tags=db.session.scalars(tags.distinct().order_by(EssayTag.slug).limit(SITEMAP_OTHERS)).all(),
    )
    changed = [moment for one in essays for moment in (one.published_at, one.updated_at)]
    return feed_answer(body, "application/xml", changed)


def _host() -> str:
    """Return the host in whose name the entries are numbered (RFC 4151), so that a new slug is no new entry."""
    return urlsplit(current_app.config["SITE_URL"]).hostname or ""
