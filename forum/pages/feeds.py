"""The addresses for programs: feeds of essays and of comments, robots.txt, the sitemap."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, redirect, render_template
from sqlalchemy import Select, literal, select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response as AnyResponse

from forum import clock
from forum.database import db
from forum.discussion.comment import Comment
from forum.essays.essay import Access, Essay, EssayTag, find_essay
from forum.essays.feeds import feed_answer, with_whole_addresses
from forum.essays.leaps import leaps, values_of
from forum.essays.listing import years_published

FEED_ESSAYS = 20
FEED_COMMENTS = 50
SITEMAP_ESSAYS = 1_000
"""Numbers of essays that share a part of the sitemap; a part may hold 50,000 addresses (sitemaps.org)."""
SITEMAP_OTHERS = 9_000
"""The most authors, and the most tags."""
MOST_PARTS = 50_000
"""That an index of a sitemap may name (sitemaps.org)."""

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
    """List the parts of the sitemap for search engines: one for the site, one for every thousand essays."""
    following = partial(_essays_of_later_parts, clock.now())
    parts = db.session.scalars(values_of(leaps(following(literal(0)), following), MOST_PARTS - 1))
    names = ["site", *(f"essays-{_beginning_of_part(essay_id)}" for essay_id in parts)]
    return feed_answer(render_template("feeds/sitemap.xml", names=names), "application/xml", [])


@blueprint.get("/sitemap/essays-<int:first>.xml")
def sitemap_of_essays(first: int) -> Response:
    """List the addresses of the published essays that have a thousand numbers from `first` on."""
    now, here = clock.now(), Essay.id.between(first, first + SITEMAP_ESSAYS - 1)
    published = select(Essay.slug, Essay.published_at, Essay.updated_at).where(here, Essay.published(now))
    essays = db.session.execute(published.order_by(Essay.id)).all()
    if not essays:
        abort(404)
    return _sitemap_part(
        [(f"/essays/{one.slug}", max(one.published_at or now, one.updated_at)) for one in essays]
    )


@blueprint.get("/sitemap/site.xml")
def sitemap_of_site() -> Response:
    """List the addresses of the lists of essays: home, the archive and its years, authors, tags."""
    now = clock.now()
    later_authors, later_tags = partial(_authors_after, now), partial(_tags_after, now)
    authors = db.session.scalars(values_of(leaps(later_authors(literal(0)), later_authors), SITEMAP_OTHERS))
    tags = db.session.scalars(values_of(leaps(later_tags(literal("")), later_tags), SITEMAP_OTHERS))
    paths = ["/", "/archive", *(f"/archive/{year}" for year in years_published(now))]
    paths += [f"/authors/{author_id}" for author_id in authors]
    return _sitemap_part([(path, None) for path in [*paths, *(f"/tags/{tag}" for tag in tags)]])


def _sitemap_part(entries: Sequence[tuple[str, datetime | None]]) -> Response:
    body = render_template("feeds/sitemap-part.xml", entries=entries)
    return feed_answer(body, "application/xml", [changed for _, changed in entries])


def _beginning_of_part(essay_id: int) -> int:
    return (essay_id - 1) // SITEMAP_ESSAYS * SITEMAP_ESSAYS + 1


def _essays_of_later_parts(now: datetime, essay_id: Any) -> Select[Any]:
    last_of_part = (essay_id + SITEMAP_ESSAYS - 1) // SITEMAP_ESSAYS * SITEMAP_ESSAYS
    return select(Essay.id).where(Essay.id > last_of_part, Essay.published(now)).order_by(Essay.id)


def _authors_after(now: datetime, author_id: Any) -> Select[Any]:
    later = select(Essay.author_id).where(Essay.author_id > author_id, Essay.published(now))
    return later.order_by(Essay.author_id)


def _tags_after(now: datetime, slug: Any) -> Select[Any]:
    is_out = select(Essay.id).where(Essay.id == EssayTag.essay_id, Essay.published(now)).exists()
    return select(EssayTag.slug).where(EssayTag.slug > slug, is_out).order_by(EssayTag.slug)


def _host() -> str:
    """Return the host in whose name the entries are numbered (RFC 4151), so that a new slug is no new entry."""
    return urlsplit(current_app.config["SITE_URL"]).hostname or ""
