"""The state of a reader's account, by which what was judged of it once is found again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Dialect, Select, bindparam, select

from forum import clock
from forum.accounts.session import Session
from forum.accounts.user import User
from forum.database import Base, db
from forum.pages.shared import FOR_EVER, Audience, Pages, Validity, Versions
from forum.subscriptions.subscription import Subscription

NEVER_JUDGED = {"name", "name_key", "email", "password_hash", "about", "standing_reason"}
"""What no right follows from."""

ACCOUNT = [column for column in User.__table__.columns if column.name not in NEVER_JUDGED]
PERIOD = list(Subscription.__table__.columns)

Fingerprint = tuple[Any, ...]
"""The values of an account and its subscription as the driver has them, in the order of `viewer_statement`."""


@dataclass(frozen=True)
class Judged:
    """What was found of a reader in one state of their account, before one state of a page."""

    audience: Audience | None
    validity: Validity
    size: int = 3_000


def viewer_statement() -> Select[Any]:
    """Return the statement for a session by its `digest`: two dates, a name, the account, the subscription."""
    return (
        select(Session.created_at, Session.last_seen_at, User.name, *ACCOUNT, *PERIOD)
        .join(User, User.id == Session.user_id)
        .outerjoin(Subscription, Subscription.user_id == User.id)
        .where(Session.token_hash == bindparam("digest"))
    )


def remember(pages: Pages, user: User, versions: Versions, audience: Audience | None) -> None:
    """Keep what was judged of a person for as long as their account, and the dates in it, let it stand."""
    now = clock.now()
    subscription = db.session.get(Subscription, user.id)
    dates = [getattr(user, column.name) for column in ACCOUNT]
    if subscription is not None and subscription.ends_at is not None:
        dates += [subscription.ends_at, subscription.grace_until]
    until = min((one for one in dates if isinstance(one, datetime) and one > now), default=FOR_EVER)
    key = (fingerprint_of(user, subscription, db.engine.dialect), versions)
    pages.judged.keep(key, Judged(audience, Validity(now, until)))


def fingerprint_of(user: User, subscription: Subscription | None, dialect: Dialect) -> Fingerprint:
    """Return what `viewer_statement` finds behind the dates and the name, from the rows as they were loaded."""
    return (*_values(user, ACCOUNT, dialect), *_values(subscription, PERIOD, dialect))


def _values(row: Base | None, columns: Sequence[Any], dialect: Dialect) -> list[Any]:
    return [_to_driver(column, dialect)(getattr(row, column.name)) if row else None for column in columns]


def _to_driver(column: Any, dialect: Dialect) -> Callable[[Any], Any]:
    return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
