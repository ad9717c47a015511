"""The one source of time, so that tests can move it and the demo can have a past."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_moment: ContextVar[datetime | None] = ContextVar("moment", default=None)


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return _moment.get() or datetime.now(UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Let `now()` return a given moment inside the block. For the demo, whose people wrote last week."""
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)
