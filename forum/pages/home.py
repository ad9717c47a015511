"""The ways to an essay: the home page, the archive by year, an author's page, tags."""

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

from flask import Blueprint, abort, render_template, request
from sqlalchemy import select
from sqlalchemy.orm import lazyload

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Essay
from forum.essays.listing import (
    EssayList,
    Place,
    Stretch,
    by_year,
    essays_by,
    essays_with,
    find_place,
    has_tag,
    is_by,
    tally_of,
    without_text,
    years_published,
)
from forum.subscriptions.letters import Letter, Pace, pace_of
from forum.web import page_number, person, require_found

ARCHIVE_PER_PAGE = 100
MOST_ACTIVE = 5
ACTIVE_FOR = timedelta(days=30)
LONGEST_NUMBER = 18
"""Digits in the number of a row."""

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show the newest essay, the others by year, and the discussions that are going on."""
    now = clock.now()
    page, user = _asked_for(EssayList("/", now)), person()
    lead = page.essays[0] if page.essays and not page.before else None
    return render_template(
        "pages/home.html",
        lead=lead,
        years=by_year(page.essays[1:] if lead else page.essays),
        active_essays=[] if page.before else _discussed(now),
        page=page,
        without_essays=user is not None and pace_of(user, Letter.ESSAYS) == Pace.NEVER,
    )


@blueprint.get("/archive")
def archive() -> str:
    """List every essay by year."""
    now = clock.now()
    page = _asked_for(EssayList("/archive", now, length=ARCHIVE_PER_PAGE))
    return render_template(
        "pages/archive.html", years=by_year(page.essays), tallies=years_published(now), page=page
    )


@blueprint.get("/archive/<int:year>")
def archive_year(year: int) -> str:
    """List the essays of one year."""
    if not MINYEAR < year < MAXYEAR:
        abort(404)
    now = clock.now()
    began, ended = (
        datetime(year, 1, 1, tzinfo=UTC),
        datetime(year + 1, 1, 1, tzinfo=UTC) - timedelta.resolution,
    )
    page = _asked_for(EssayList(f"/archive/{year}", min(now, ended), began, length=ARCHIVE_PER_PAGE))
    if not page.essays:
        abort(404)
    return render_template(
        "pages/archive.html",
        years=by_year(page.essays),
        tallies=years_published(now),
        year=year,
        page=page,
    )


@blueprint.get("/authors/<int:author_id>")
def author(author_id: int) -> str:
    """Show who an author is and what they published."""
    now = clock.now()
    writer = require_found(db.session.get(User, author_id))
    counted = tally_of(essays_by(writer, now))
    if not counted.number and not writer.may_write:
        abort(404)
    theirs = is_by(writer, of_many=counted.is_more)
    page = _asked_for(EssayList(f"/authors/{author_id}", now, fits=theirs))
    return render_template(
        "pages/author.html", author=writer, years=by_year(page.essays), counted=counted, page=page
    )


@blueprint.get("/tags/<tag>")
def tagged(tag: str) -> str:
    """List the essays that carry a tag."""
    now = clock.now()
    counted = tally_of(essays_with(tag, now))
    if not counted.number:
        abort(404)
    those = has_tag(tag, of_many=counted.is_more)
    page = _asked_for(EssayList(f"/tags/{tag}", now, fits=those))
    label = next((one.label for essay in page.essays for one in essay.tags if one.slug == tag), tag)
    return render_template(
        "pages/tag.html", label=label, years=by_year(page.essays), counted=counted, page=page
    )


def _asked_for(listed: EssayList) -> Stretch:
    """Return the part of a list that is asked for; what follows the last essay is 404, but a list may be empty."""
    page = listed.stretch(_place_given(listed))
    if page.before is not None and not page.essays:
        abort(404)
    return page


def _place_given(listed: EssayList) -> Place | None:
    """Return the place of the essay that `?before=` names by its number; pages had numbers once, and still do."""
    given = request.args.get("before")
    if given is None:
        number = page_number()
        place: Place | None = require_found(listed.place_before(number)) if number > 1 else None
        return place
    if not given.isascii() or not given.isdigit() or len(given) > LONGEST_NUMBER:
        abort(404)
    place = require_found(find_place(int(given), clock.now()))
    return place


def _discussed(now: datetime) -> list[Essay]:
    """Return the essays with the latest comments, most recent first."""
    recent = (Essay.commented_at > now - ACTIVE_FOR) & (Essay.visible_comments > 0)
    found = select(Essay).where(Essay.published(now), recent).order_by(Essay.commented_at.desc())
    return list(db.session.scalars(without_text(found.limit(MOST_ACTIVE)).options(lazyload(Essay.tags))))
