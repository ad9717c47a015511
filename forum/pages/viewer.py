"""The state of a reader's account, by which what was judged of it once is found again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Select, bindparam

from forum import clock
from forum.accounts.session import Session
from forum.accounts.user import User
from forum.database import Base, db
from forum.discussion.closing import next_closing
from forum.discussion.rules import rule
from forum.essays.essay import Essay
from forum.pages.shared import FOR_EVER, Audience, Pages, Validity, Versions
from forum.site.settings import site_settings
from forum.subscriptions.subscription import Subscription

NEVER_JUDGED = {"name", "name_key", "email", "password_hash", "about", "standing_reason"}
"""What no right follows from."""

ACCOUNT = [column for column in User.__table__.columns if column.name not in NEVER_JUDGED]
PERIOD = list(Subscription.__table__.columns)

OF_SESSION = [Session.created_at, Session.last_seen_at, User.name, *ACCOUNT, *PERIOD]
"""The columns of a visit that say who has a session."""

Fingerprint = tuple[Any, ...]
"""The values of an account and its subscription as the driver has them, in the order of `OF_SESSION`."""


TERMS = [
    Essay.__table__.columns[name]
    for name in (
        "author_id",
        "access",
        "comments",
        "premoderation",
        "published_at",
        "withdrawn_at",
        "discussion_closed_at",
        "kept_open_at",
    )
]
"""What of an essay decides who may do what there. Comments that come and go leave it as it is."""


class EssayState(NamedTuple):
    """An essay as it is just now, the values as the driver has them."""

    versions: Versions
    terms: Fingerprint
    commented_at: Any


@dataclass(frozen=True)
class Judged:
    """What was found of a reader in one state of their account, under the terms of one essay."""

    audience: Audience | None
    validity: Validity
    commented_at: Any
    """When somebody spoke last, where a rule closes discussions that fall silent; else None."""
    size: int = 9_000


def of_session(statement: Select[Any]) -> Select[Any]:
    """Return a statement about an essay as one about whoever has the session of a `digest` as well."""
    return (
        statement.join(Session, Session.token_hash == bindparam("digest"))
        .join(User, User.id == Session.user_id)
        .outerjoin(Subscription, Subscription.user_id == User.id)
    )


def remember(pages: Pages, user: User, essay: Essay, audience: Audience | None) -> None:
    """Keep what was judged of a person for as long as their account, the essay's terms and dates let it stand."""
    now, dialect = clock.now(), db.engine.dialect
    subscription = db.session.get(Subscription, user.id)
    dates = [getattr(user, column.name) for column in ACCOUNT]
    dates += [essay.published_at, next_closing(essay, now)]
    if subscription is not None and subscription.ends_at is not None:
        dates += [subscription.ends_at, subscription.grace_until]
    until = min((one for one in dates if isinstance(one, datetime) and one > now), default=FOR_EVER)
    spoken = Essay.__table__.columns["commented_at"] if rule("close-silent").is_on else None
    account = fingerprint_of(user, subscription, dialect)
    key = (account, essay.id, site_settings().page_version, (*_values(essay, TERMS, dialect),))
    commented_at = _values(essay, [spoken], dialect)[0] if spoken is not None else None
    pages.judged.keep(key, Judged(audience, Validity(now, until), commented_at))


def find_audience(pages: Pages, account: Fingerprint, state: EssayState, now: datetime) -> Audience | None:
    """Return what was judged of a person, None where they are to be judged anew or their page is theirs alone."""
    judged = pages.judged.find((account, state.versions.essay_id, state.versions.site, state.terms))
    if not isinstance(judged, Judged) or not judged.validity.holds(now):
        return None
    is_silent = judged.commented_at is None or judged.commented_at == state.commented_at
    return judged.audience if is_silent else None


def fingerprint_of(user: User, subscription: Subscription | None, dialect: Dialect) -> Fingerprint:
    """Return what is found in `OF_SESSION` behind the dates and the name, from the rows as they were loaded."""
    return (*_values(user, ACCOUNT, dialect), *_values(subscription, PERIOD, dialect))


def _values(row: Base | None, columns: Sequence[Any], dialect: Dialect) -> list[Any]:
    return [_to_driver(column, dialect)(getattr(row, column.name)) if row else None for column in columns]


def _to_driver(column: Any, dialect: Dialect) -> Callable[[Any], Any]:
    return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
