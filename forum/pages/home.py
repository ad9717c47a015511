"""The ways to an essay: the home page, the archive by year, an author's page, tags."""

from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from flask import Blueprint, abort, render_template
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.essays.essay import Essay
from forum.essays.listing import (
    PER_PAGE,
    addresses_of,
    by_year,
    has_tag,
    newest_essays,
    published_in,
    without_text,
    years_published,
)
from forum.subscriptions.letters import Letter, Pace, pace_of
from forum.web import page_number, person, require_found

ARCHIVE_PER_PAGE = 100
MOST_ACTIVE = 5
ACTIVE_FOR = timedelta(days=30)

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show the newest essay, the others by year, and the discussions that are going on."""
    now = clock.now()
    page = _page(page_of(newest_essays(now), page_number(), PER_PAGE))
    is_first, user = page.number == 1, person()
    lead = page.rows[0] if is_first and page.rows else None
    return render_template(
        "pages/home.html",
        lead=lead,
        years=by_year(page.rows[1:] if lead else page.rows),
        active_essays=_discussed(now) if is_first else [],
        page=page,
        address_of=addresses_of("/"),
        without_essays=user is not None and pace_of(user, Letter.ESSAYS) == Pace.NEVER,
    )


@blueprint.get("/archive")
def archive() -> str:
    """List every essay by year."""
    now = clock.now()
    page = _page(page_of(newest_essays(now), page_number(), ARCHIVE_PER_PAGE))
    return render_template(
        "pages/archive.html",
        years=by_year(page.rows),
        counts=years_published(now),
        page=page,
        address_of=addresses_of("/archive"),
    )


@blueprint.get("/archive/<int:year>")
def archive_year(year: int) -> str:
    """List the essays of one year."""
    if not MINYEAR < year < MAXYEAR:
        abort(404)
    now = clock.now()
    page = page_of(newest_essays(now, published_in(year)), page_number(), ARCHIVE_PER_PAGE)
    if not page.rows:
        abort(404)
    return render_template(
        "pages/archive.html",
        years=by_year(page.rows),
        counts=years_published(now),
        year=year,
        page=page,
        address_of=addresses_of(f"/archive/{year}"),
    )


@blueprint.get("/authors/<int:author_id>")
def author(author_id: int) -> str:
    """Show who an author is and what they published."""
    writer = require_found(db.session.get(User, author_id))
    page = page_of(newest_essays(clock.now(), Essay.author_id == writer.id), page_number(), PER_PAGE)
    if not page.total and not writer.may_write:
        abort(404)
    return render_template(
        "pages/author.html",
        author=writer,
        years=by_year(_page(page).rows),
        page=page,
        address_of=addresses_of(f"/authors/{author_id}"),
    )


@blueprint.get("/tags/<tag>")
def tagged(tag: str) -> str:
    """List the essays that carry a tag."""
    now = clock.now()
    page = page_of(newest_essays(now, has_tag(tag)), page_number(), PER_PAGE)
    if not page.rows:
        abort(404)
    label = next((one.label for one in page.rows[0].tags if one.slug == tag), tag)
    return render_template(
        "pages/tag.html",
        label=label,
        years=by_year(page.rows),
        page=page,
        address_of=addresses_of(f"/tags/{tag}"),
    )


def _page(page: Page[Essay]) -> Page[Essay]:
    """Return a page that there is: past the last one is 404, but a list may be empty."""
    if page.number > page.count:
        abort(404)
    return page


def _discussed(now: datetime) -> list[Essay]:
    """Return the essays with the latest comments, most recent first."""
    recent = (Essay.commented_at > now - ACTIVE_FOR) & (Essay.visible_comments > 0)
    found = select(Essay).where(Essay.published(now), recent).order_by(Essay.commented_at.desc())
    return list(db.session.scalars(without_text(found.limit(MOST_ACTIVE))))
