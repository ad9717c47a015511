"""How often someone may do something, counted in the database so that all workers count together."""

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Moment, db, insert_unless_there

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
    now = clock.now()
    count = _count_one(f"{deed}:{who}"[:200], now, window)
    if count.hits > most:
        if doubling and count.hits == most + 1:
            doublings = min(count.strikes, MOST_DOUBLINGS)
            count.expires_at = now + min(window * 2**doublings, MAX_WAIT)
            count.strikes += 1
        wait = count.expires_at - now
        db.session.commit()
        raise TooOften(max(1, round(wait.total_seconds())))
    db.session.commit()


def forget(deed: str, who: str) -> None:
    """Forget the counted deeds of someone who has shown who they are. The caller commits."""
    db.session.execute(
        update(RateCount).where(RateCount.key == f"{deed}:{who}"[:200]).values(hits=0, strikes=0)
    )


def wait_words(seconds: int) -> str:
    """Return a wait in words, rounded up so that nobody tries too early."""
    if seconds < 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    if minutes < 90:
        return f"{minutes} minutes"
    return f"{-(-minutes // 60)} hours"


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
