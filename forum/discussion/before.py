"""What has to be known before a comment is added, read in one statement while the locks are held."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, literal, select
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from forum import clock
from forum.accounts.session import Session, token_digest
from forum.accounts.user import User
from forum.database import UtcDateTime, db, is_sqlite, renew
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.learned import LearnedFilter, know_newest
from forum.discussion.rules import rules_by
from forum.essays.essay import Essay
from forum.prepared import Part, Prepared, Row
from forum.site.settings import PAGE_VERSION, SiteSettings, are_in_force, settings_last_seen, site_settings
from forum.subscriptions.subscription import Subscription

LEAST_COMPARED = 10
"""So many of a writer's last comments are looked at for the same words, where the limits allow them fewer in that time:
staff may write without a pause."""


COUNTED = ("last", "burst", "hour", "fast")
"""The names of the numbers of comments to which limits count; see _counted()."""


@dataclass(frozen=True)
class Before:
    """How things stand as a comment arrives."""

    comment_id: int
    """The id that it will have."""
    wording_id: int
    """The id that its words will have."""
    number: int
    """Of a new thread its number in the discussion, of a reply its place in the thread."""
    posted_id: int | None
    """The comment that the same form made already."""
    posted_at: Mapping[int, datetime | None]
    """When its writer posted the last comment but so many, counted from 1, for every number that a limit asks for."""
    repeats_own: bool
    """Whether its writer posted the same words a moment ago."""
    is_signed_in: bool
    """Whether the session that its writer came with is still there."""
    same_words_at: datetime | None
    """When anybody posted the same words last, where a rule asks for it."""


def read_before(author: User, essay: Essay, source: str, form_token: str, answered: Comment | None) -> Before:
    """Return how things stand for a comment that is about to be added. One statement.

    It also brings person, period and essay up to date: they may have been read before the turn to write, or before a
    lock that was waited for. The caller holds the locks of `lock_discussion`, which keep the number, and on SQLite the
    id, from others.
    """
    settings = settings_last_seen()
    row = _read(settings, author, essay, source, form_token, answered)
    if not are_in_force(settings, row["settings_version"]):
        settings = site_settings()
        row = _read(settings, author, essay, source, form_token, answered)
    _bring_up_to_date(author, essay, row)
    know_newest((row["learned_id"], row["learned_at"]) if row["learned_id"] else None)
    return Before(
        comment_id=row["comment_id"],
        wording_id=row["wording_id"],
        number=row["number"],
        posted_id=row["posted_id"],
        posted_at={most: row[f"{name}_at"] for name, most in _counted(settings).items()},
        repeats_own=bool(row["repeats_own"]),
        is_signed_in=bool(row["is_signed_in"]),
        same_words_at=row["same_words_at"],
    )


def _read(
    settings: SiteSettings, author: User, essay: Essay, source: str, form_token: str, answered: Comment | None
) -> Row:
    now, repeat = clock.now(), rules_by(settings)["repeat"]
    asks_repeat = repeat.is_on and len(source) >= repeat.values["characters"]
    given = {
        "author": author.id,
        "session": token_digest(author.session_token),
        "thread": answered.root_comment_id if answered else essay.id,
        "form_token": form_token,
        "words": source,
        "same_since": now - timedelta(minutes=settings.same_text_minutes),
        "essay": essay.id,
        "compared": max(LEAST_COMPARED, settings.posts_per_hour * -(-settings.same_text_minutes // 60)),
    }
    given |= {f"before_{name}": most - 1 for name, most in _counted(settings).items()}
    if asks_repeat:
        given["repeat_since"] = now - timedelta(days=repeat.values["days"])
    row: Row = _reading(answered is not None, asks_repeat, is_sqlite()).rows(**given)[0]
    return row


def _counted(settings: SiteSettings) -> dict[str, int]:
    """Return after how many comments each limit, and the rule against haste, asks when the first of them was."""
    counts = (
        1,
        settings.posts_in_burst,
        settings.posts_per_hour,
        rules_by(settings)["fast"].values["comments"],
    )
    return dict(zip(COUNTED, counts, strict=True))


@cache
def _parts() -> tuple[Part, Part, Part]:
    """Return what decides whether somebody may write here, and how; it may have changed while they waited."""
    person = Part(
        User,
        User.id,
        User.role,
        User.email_confirmed_at,
        User.accepted_comments,
        User.is_held,
        User.suspended_until,
        User.banned_at,
        User.banned_until,
        User.warning,
    )
    essay = Part(
        Essay,
        Essay.id,
        Essay.slug,
        Essay.title,
        Essay.access,
        Essay.comments,
        Essay.premoderation,
        Essay.published_at,
        Essay.withdrawn_at,
        Essay.discussion_closed_at,
        Essay.closing_note,
        Essay.kept_open_at,
        Essay.commented_at,
        Essay.thread_version,
    )
    return person, essay, Part(Subscription)


@cache
def _reading(is_reply: bool, asks_repeat: bool, on_sqlite: bool) -> Prepared:
    return Prepared(lambda: _statement(is_reply, asks_repeat, on_sqlite))


def _statement(is_reply: bool, asks_repeat: bool, on_sqlite: bool) -> Select[Any]:
    """Return the select of the one row that says all."""
    learned = select(LearnedFilter.id, LearnedFilter.trained_at).order_by(LearnedFilter.id.desc()).limit(1)
    by_form = (Comment.author_id == bindparam("author")) & (Comment.form_token == bindparam("form_token"))
    facts = select(
        _next_id(Comment, on_sqlite).label("comment_id"),
        _next_id(CommentRevision, on_sqlite).label("wording_id"),
        PAGE_VERSION.scalar_subquery().label("settings_version"),
        (_next_place() if is_reply else _next_thread_number()).label("number"),
        select(Comment.id).where(by_form).scalar_subquery().label("posted_id"),
        learned.with_only_columns(LearnedFilter.id).scalar_subquery().label("learned_id"),
        learned.with_only_columns(LearnedFilter.trained_at).scalar_subquery().label("learned_at"),
        (_same_words_at() if asks_repeat else literal(None, UtcDateTime)).label("same_words_at"),
        _repeats_own().label("repeats_own"),
        _is_signed_in().label("is_signed_in"),
        *(_posted_at(name).label(f"{name}_at") for name in COUNTED),
        *(column for part in _parts() for column in part.columns),
    )
    here = facts.select_from(User).join(Essay, Essay.id == bindparam("essay"))
    here = here.outerjoin(Subscription, Subscription.user_id == User.id)
    return here.where(User.id == bindparam("author"))


def _bring_up_to_date(author: User, essay: Essay, row: Row) -> None:
    person, here, period = _parts()
    renew(author, person.values(row))
    renew(essay, here.values(row))
    set_committed_value(author, "subscription", _period_of(author, period, row))


def _period_of(author: User, period: Part, row: Row) -> Subscription | None:
    """Return the row of a person's period as it is now, None where there is none any more."""
    found: Subscription | None = period.of(row)
    known = db.session.identity_map.get(identity_key(Subscription, author.id))
    if found is None and known is not None:
        db.session.expunge(known)
    return found


def _is_signed_in() -> ColumnElement[bool]:
    mine = (Session.token_hash == bindparam("session")) & (Session.user_id == bindparam("author"))
    return exists(select(Session.id).where(mine))


def _posted_at(name: str) -> ColumnElement[Any]:
    """Return when the writer posted their last comment but so many: one step each in an index, and one row.

    By the ids, of which that index knows each writer's last: by the time all that they ever wrote would be read.
    """
    last = (
        select(Comment.created_at).where(Comment.author_id == bindparam("author")).order_by(Comment.id.desc())
    )
    return last.limit(1).offset(bindparam(f"before_{name}")).scalar_subquery()


def _repeats_own() -> ColumnElement[Any]:
    """Return whether one of the writer's last comments began with the same words a moment ago."""
    last = (
        select(Comment.id, Comment.created_at)
        .where(Comment.author_id == bindparam("author"))
        .order_by(Comment.id.desc())
        .limit(bindparam("compared"))
        .subquery()
    )
    first = (CommentRevision.comment_id == last.c.id) & (CommentRevision.number == 1)
    same = (last.c.created_at > bindparam("same_since")) & (CommentRevision.source == bindparam("words"))
    return exists(select(last.c.id).join(CommentRevision, first).where(same))


def _next_id(model: type[Comment | CommentRevision], on_sqlite: bool) -> ColumnElement[int]:
    """Return the id of the next row: the path of a comment is made of it, and all is stored at once."""
    if on_sqlite:  # as SQLite numbers rows itself
        return func.coalesce(select(func.max(model.id)).scalar_subquery(), 0) + 1
    return func.nextval(func.pg_get_serial_sequence(model.__tablename__, "id"))


def _next_thread_number() -> ColumnElement[int]:
    """Return the number of a new thread, as a look at the end of an index."""
    last = select(func.max(Comment.thread_number)).where(Comment.essay_id == bindparam("thread"))
    return func.coalesce(last.scalar_subquery(), 0) + 1


def _next_place() -> ColumnElement[int]:
    """Return the place of a new reply in its thread, in the same way."""
    last = select(func.max(Comment.place)).where(Comment.root_id == bindparam("thread"))
    return func.coalesce(last.scalar_subquery(), 0) + 1


def _same_words_at() -> ColumnElement[Any]:
    """Return when a comment began with the same words last."""
    found = select(func.max(CommentRevision.created_at)).where(
        CommentRevision.number == 1,
        CommentRevision.source == bindparam("words"),
        CommentRevision.created_at > bindparam("repeat_since"),
    )
    return found.scalar_subquery()
