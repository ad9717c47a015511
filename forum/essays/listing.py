"""Lists of essays: for the home page and its kin, the author's desk, the command line."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from sqlalchemy import Select, extract, func, select
from sqlalchemy.orm import defer

from forum import clock
from forum.accounts.user import User
from forum.database import db, is_sqlite
from forum.essays.essay import Essay, EssayTag

PER_PAGE = 30


def newest_essays(now: datetime, *conditions: Any) -> Select[Any]:
    """Return the select of published essays that fit, newest first, without their text."""
    newest_first = (Essay.published_at.desc(), Essay.id.desc())
    return without_text(select(Essay).where(Essay.published(now), *conditions).order_by(*newest_first))


def without_text(statement: Select[Any]) -> Select[Any]:
    """Leave out of a select of essays what lists do not show; asking for it all the same is an error."""
    long = (Essay.source, Essay.html, Essay.toc, Essay.closing)
    return statement.options(*(defer(column, raiseload=True) for column in long))


def addresses_of(path: str) -> Callable[[int], str]:
    """Return what gives the address of each page of a list; the first one has the list's own."""
    return lambda number: path if number == 1 else f"{path}?page={number}"


def by_year(essays: Sequence[Essay]) -> list[tuple[int, list[Essay]]]:
    """Return published essays under the years in which they appeared, in the order given."""
    years: dict[int, list[Essay]] = {}
    for essay in essays:
        if essay.published_at is not None:
            years.setdefault(essay.published_at.year, []).append(essay)
    return list(years.items())


def years_published(now: datetime) -> dict[int, int]:
    """Return how many essays each year of UTC brought, newest year first. One query."""
    moment = Essay.published_at if is_sqlite() else func.timezone("UTC", Essay.published_at)
    year = extract("year", moment)
    counted = select(year, func.count()).where(Essay.published(now)).group_by(year).order_by(year.desc())
    return {int(row[0]): row[1] for row in db.session.execute(counted)}


def published_in(year: int) -> Any:
    """Return the condition for essays that appeared in a year of UTC."""
    return (Essay.published_at >= datetime(year, 1, 1, tzinfo=UTC)) & (
        Essay.published_at < datetime(year + 1, 1, 1, tzinfo=UTC)
    )


def has_tag(slug: str) -> Any:
    """Return the condition for essays that carry a tag."""
    return Essay.id.in_(select(EssayTag.essay_id).where(EssayTag.slug == slug))


def state_of(essay: Essay, now: datetime) -> str:
    """Return the one word for where an essay stands: draft, scheduled, published or withdrawn."""
    if essay.is_withdrawn():
        return "withdrawn"
    if essay.published_at is None:
        return "draft"
    return "published" if essay.is_published(now) else "scheduled"


def desk_essays(user: User) -> Select[Any]:
    """Return the select of the essays that a person may edit, those changed last first."""
    theirs = select(Essay).order_by(Essay.updated_at.desc(), Essay.id.desc())
    return without_text(theirs if user.is_admin else theirs.where(Essay.author_id == user.id))


def essay_facts() -> list[dict[str, Any]]:
    """Return what the command line tells of every essay, newest first; times as ISO 8601 in UTC, or None."""
    now, site = clock.now(), current_app.config["SITE_URL"]
    newest_first = func.coalesce(Essay.published_at, Essay.created_at).desc()
    essays = db.session.scalars(without_text(select(Essay).order_by(newest_first, Essay.id.desc())))
    return [
        {
            "id": essay.id,
            "slug": essay.slug,
            "title": essay.title,
            "author": essay.author.name,
            "state": state_of(essay, now),
            "published_at": _iso(essay.published_at),
            "access": essay.access.value,
            "comments": essay.comments.value,
            "replies": essay.visible_comments,
            "tags": [tag.label for tag in essay.tags],
            "address": f"{site}{essay.path}",
        }
        for essay in essays
    ]


def _iso(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
