"""Lists of essays: for the home page and its kin, the author's desk, the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from flask import current_app
from sqlalchemy import Select, and_, func, literal, select, tuple_
from sqlalchemy.orm import defer, lazyload

from forum import clock
from forum.accounts.user import User
from forum.database import db, is_sqlite
from forum.essays.essay import Essay, EssayTag
from forum.essays.leaps import leaps

PER_PAGE = 30

MOST_COUNTED = 1_000
"""Lists say how long they are up to here; counting all would take longer with every essay."""

NEWEST_FIRST = (Essay.published_at.desc(), Essay.id.desc())


class Tally(NamedTuple):
    """How many essays there are; of many only that there are more."""

    number: int
    is_more: bool


class Place(NamedTuple):
    """Where an essay stands in every list, as the index has it."""

    published_at: datetime
    id: int


@dataclass(frozen=True)
class Stretch:
    """Some essays of a list, newest first, with the addresses of what is newer and older than they are."""

    essays: Sequence[Essay]
    before: Place | None
    """Of the essay that they follow; None: they are the newest."""
    address: str
    """Its own address, under which the same essays stay while newer ones appear."""
    newer: str | None
    older: str | None


@dataclass(frozen=True)
class EssayList:
    """Published essays, newest first. Every stretch is a range of an index, wherever it begins."""

    path: str
    until: datetime
    """Now, or earlier."""
    since: datetime | None = None
    fits: Any = None
    """The condition for those that belong to it, if not all do."""
    length: int = PER_PAGE
    """How many are shown together."""

    def stretch(self, before: Place | None = None) -> Stretch:
        """Return the essays that follow a place, or the newest ones. Two queries, one for the newest ones."""
        if before is not None and before.published_at > self.until:
            before = None
        upto = Essay.published_at <= self.until if before is None else _place() < _literally(before)
        found = db.session.scalars(_newest(self._range(upto)).limit(self.length + 1)).all()
        shown, has_more = found[: self.length], len(found) > self.length
        return Stretch(
            shown,
            before,
            self.address_after(before.id) if before else self.path,
            newer=self._newer(before) if before else None,
            older=self.address_after(shown[-1].id) if has_more else None,
        )

    def address_after(self, essay_id: int) -> str:
        """Return the address of what follows an essay. The list goes back in time: that is what was before it."""
        return f"{self.path}?before={essay_id}"

    def place_before(self, page: int) -> Place | None:
        """Return the place that a page follows which once had a number, from 2 on; None: there is no such page.

        Reads its way through the index to there; no link of today has a number.
        """
        ids = select(Essay.published_at, Essay.id).where(self._range(Essay.published_at <= self.until))
        passed = ids.order_by(*NEWEST_FIRST).offset((page - 1) * self.length - 1)
        around = db.session.execute(passed.limit(2)).all()
        return Place(around[0].published_at, around[0].id) if len(around) == 2 else None

    def _newer(self, before: Place) -> str:
        """Return the address of what ends with the essay at a place: the list's own when that is the newest."""
        since = _place() >= _literally(before)
        ids = select(Essay.id).where(_in_range(Essay.published_at <= self.until, since, self.fits))
        nearest_first = ids.order_by(Essay.published_at, Essay.id)
        ahead = db.session.scalar(nearest_first.offset(self.length).limit(1))
        return self.path if ahead is None else self.address_after(ahead)

    def _range(self, upto: Any) -> Any:
        since = None if self.since is None else Essay.published_at >= self.since
        return _in_range(upto, since, self.fits)


def newest_essays(now: datetime, *conditions: Any) -> Select[Any]:
    """Return the select of published essays that fit, newest first, without their text; tags only when asked for."""
    return _newest(Essay.published(now) & and_(True, *conditions))


def find_place(essay_id: int, now: datetime) -> Place | None:
    """Return where an essay stands that readers could see at some time; it may be withdrawn by now."""
    was_out = Essay.published_at.is_not(None) & (Essay.published_at <= now)
    row = db.session.execute(
        select(Essay.published_at, Essay.id).where(Essay.id == essay_id, was_out)
    ).first()
    return None if row is None else Place(row.published_at, row.id)


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


def years_published(now: datetime) -> dict[int, Tally]:
    """Return how many essays each year of UTC brought, newest year first. One query, a look or two for each year."""

    def latest(upto: Any) -> Select[Any]:
        return select(Essay.published_at).where(_in_range(upto)).order_by(Essay.published_at.desc())

    latests = leaps(
        latest(Essay.published_at <= now), lambda last: latest(Essay.published_at < _beginning_of_year(last))
    )
    since = Essay.published_at >= _beginning_of_year(latests.c.key)
    in_year = select(Essay.id).where(_in_range(Essay.published_at <= latests.c.key, since)).correlate(latests)
    rows = db.session.execute(
        select(latests.c.key, _counted(in_year).scalar_subquery()).where(latests.c.key.is_not(None))
    )
    return {moment.year: _tally(number) for moment, number in rows}


def tally_of(rows: Select[Any]) -> Tally:
    """Return how many rows a select finds."""
    return _tally(db.session.scalar(_counted(rows)) or 0)


def essays_by(author: User, now: datetime) -> Select[Any]:
    """Return the select of the ids of an author's published essays."""
    return select(Essay.id).where(Essay.published(now), Essay.author_id == author.id)


def essays_with(tag: str, now: datetime) -> Select[Any]:
    """Return the select of the ids of the published essays that carry a tag."""
    carried = select(Essay.id).join(EssayTag, EssayTag.essay_id == Essay.id)
    return carried.where(EssayTag.slug == tag, Essay.published(now))


def is_by(author: User, *, of_many: bool) -> Any:
    """Return the condition for essays by an author, who is looked up or, of many essays, met with on the way.

    PostgreSQL knows of how many and chooses by itself; SQLite would always read and sort all of them.
    """
    if of_many and is_sqlite():
        return Essay.author_id + 0 == author.id  # no index is of this sum
    return Essay.author_id == author.id


def has_tag(slug: str, *, of_many: bool) -> Any:
    """Return the condition for essays that carry a tag, which is looked up or, of many essays, met with on the way."""
    if of_many:
        here = select(EssayTag.essay_id).where(EssayTag.essay_id == Essay.id, EssayTag.slug == slug)
        return here.exists()
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


def _newest(condition: Any) -> Select[Any]:
    newest = select(Essay).where(condition).order_by(*NEWEST_FIRST)
    return without_text(newest).options(lazyload(Essay.tags))


def _in_range(upto: Any, *conditions: Any) -> Any:
    """Return the condition for essays that are out, of which `upto` says until when; None is no condition.

    SQLite takes one bound above and one below for a range, and not always the nearest: there is no other.
    """
    given = [condition for condition in conditions if condition is not None]
    return and_(Essay.withdrawn_at.is_(None), upto, *given)


def _place() -> Any:
    return tuple_(Essay.published_at, Essay.id)


def _literally(place: Place) -> Any:
    return tuple_(literal(place.published_at, Essay.published_at.type), literal(place.id, Essay.id.type))


def _beginning_of_year(moment: Any) -> Any:
    kind = Essay.published_at.type
    if is_sqlite():
        return func.strftime("%Y-01-01 00:00:00.000000", moment, type_=kind)
    return func.date_trunc("year", moment, "UTC", type_=kind)


def _counted(rows: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(rows.limit(MOST_COUNTED + 1).subquery())


def _tally(number: int) -> Tally:
    return Tally(min(number, MOST_COUNTED), number > MOST_COUNTED)
