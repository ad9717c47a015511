"""How often someone may do something, counted in the database, or in Redis, so that all workers count together."""

from datetime import datetime, timedelta

from flask import Flask, current_app
from sqlalchemy import String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Moment, db, insert_unless_there
from forum.redis_counts import RedisCounts

MAX_WAIT = timedelta(days=1)
FORGIVEN_AFTER = timedelta(days=1)
MOST_DOUBLINGS = 20
"""From a minute on this is past the longest wait; without an end, a stubborn visitor would overflow the sum."""

DROPPED_AT_ONCE = 20
"""So few that nobody waits for it, and more than a request can add."""


class RateCount(Base):
    """How often one deed was done in the window that ends at `expires_at`, and how often its limit was reached."""

    __tablename__ = "rate_count"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    hits: Mapped[int] = mapped_column(default=0)
    strikes: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[Moment] = mapped_column(index=True)


class TooOften(Exception):
    """A limit was reached; `wait_seconds` tells when to try again."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"You can try again in {wait_words(wait_seconds)}.")
        self.wait_seconds = wait_seconds


def limit(deed: str, who: str, most: int, window: timedelta, *, doubling: bool = False) -> None:
    """Count one `deed` by `who` and commit the count: a refused request is rolled back, its count must stay.

    Call it before anything else is added. With `doubling`, each time the limit is reached the wait doubles.
    Raises: TooOften, once there were more than `most` in the window; the error page tells the wait.
    """
    if not current_app.config["RATE_LIMITS"]:
        return
    key = _key(deed, who)
    wait = _wait_in_redis(key, most, window, doubling=doubling)
    if wait is None:
        wait = _wait_in_database(key, most, window, doubling=doubling)
    db.session.commit()
    if wait:
        raise TooOften(max(1, round(wait.total_seconds())))


def forget(deed: str, who: str) -> None:
    """Forget the counted deeds of someone who has shown who they are. The caller commits."""
    key = _key(deed, who)
    if (shared := _shared_counts()) is not None:
        shared.forget(key)
    # There too: while Redis was away they were counted here.
    db.session.execute(update(RateCount).where(RateCount.key == key).values(hits=0, strikes=0))


def wait_words(seconds: int) -> str:
    """Return a wait in words, rounded up so that nobody tries too early."""
    if seconds < 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    if minutes < 90:
        return f"{minutes} minutes"
    return f"{-(-minutes // 60)} hours"


def init_limits(app: Flask) -> None:
    """Let the app count in Redis where a setting names one; without it, and while it is away, in the database."""
    if url := app.config["REDIS_URL"]:
        app.extensions["redis_counts"] = RedisCounts(
            url, longest=MAX_WAIT, most_doublings=MOST_DOUBLINGS, forgiven_after=FORGIVEN_AFTER
        )


def _key(deed: str, who: str) -> str:
    return f"{deed}:{who}"[:200]


def _shared_counts() -> RedisCounts | None:
    shared: RedisCounts | None = current_app.extensions.get("redis_counts")
    return shared


def _wait_in_redis(key: str, most: int, window: timedelta, *, doubling: bool) -> timedelta | None:
    shared = _shared_counts()
    if shared is None:
        return None
    return shared.count_one(key, most, window, doubling=doubling)


def _wait_in_database(key: str, most: int, window: timedelta, *, doubling: bool) -> timedelta:
    """Count one deed and return how long to wait: nothing while it is allowed."""
    now = clock.now()
    count = _count_one(key, now, window)
    if count.hits <= most:
        return timedelta(0)
    if doubling and count.hits == most + 1:
        doublings = min(count.strikes, MOST_DOUBLINGS)
        count.expires_at = now + min(window * 2**doublings, MAX_WAIT)
        count.strikes += 1
    return count.expires_at - now


def _count_one(key: str, now: datetime, window: timedelta) -> RateCount:
    _drop_forgiven(now)
    db.session.execute(insert_unless_there(RateCount, key=key, hits=0, strikes=0, expires_at=now + window))
    count = db.session.scalars(
        select(RateCount)
        .where(RateCount.key == key)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if count.expires_at <= now:
        if now - count.expires_at > FORGIVEN_AFTER:
            count.strikes = 0
        count.hits, count.expires_at = 0, now + window
    count.hits += 1
    return count


def _drop_forgiven(now: datetime) -> None:
    """Delete a few counts that say nothing any more, or every visitor would leave a row for good."""
    old = select(RateCount.key).where(RateCount.expires_at < now - FORGIVEN_AFTER).limit(DROPPED_AT_ONCE)
    drop = delete(RateCount).where(RateCount.key.in_(old.with_for_update(skip_locked=True)))
    db.session.execute(drop.execution_options(synchronize_session=False))
