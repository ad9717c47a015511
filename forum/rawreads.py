"""Reads past SQLAlchemy's own machinery, for what is asked thousands of times a second: its SQL, the driver's rows.

Where the database can tell that nothing at all was written to it since, what was read then is read no more. Where it
cannot, what is asked in one moment is read once: a read that begins after all of those came is good for each of them.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.sql import Executable

from forum.finding import Unread, may_make_here
from forum.walindex import WalIndex

MOST_KNOWN = 1_000
"""Answers, of one state of the database."""

MOST_ROWS = 100
"""Longer ones are read each time."""

Rows = list[tuple[Any, ...]]

_numbers = count()


class _Moment(threading.local):
    mark: bytes | None = None


_moment = _Moment()


@contextmanager
def moment() -> Iterator[None]:
    """Let this thread answer whom it has heard by now from what it reads from now on."""
    _moment.mark = b"%d" % next(_numbers)
    try:
        yield
    finally:
        _moment.mark = None


class RawStatement:
    """A statement that was turned into SQL once; its values go in by name, the driver's own values come out."""

    def __init__(self, statement: Executable, engine: Engine) -> None:
        compiled: Any = statement.compile(dialect=engine.dialect)  # type: ignore[attr-defined]
        self.sql: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup
        self._to_driver: list[tuple[str, Callable[[Any], Any]]] = []
        self._fixed: dict[str, Any] = {}
        for name, bind in compiled.binds.items():
            convert = bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            if not bind.required:
                self._fixed[name] = convert(bind.value) if convert is not None else bind.value
            elif convert is not None:
                self._to_driver.append((name, convert))

    def values(self, given: dict[str, Any]) -> Any:
        """Return values as the driver takes them, by position or by name; what is given is changed."""
        for name, convert in self._to_driver:
            given[name] = convert(given[name])
        if self._fixed:
            given |= self._fixed
        return [given[name] for name in self._order] if self._order is not None else given


class RawReads:
    """One connection for each thread, which commits by itself and is opened anew when it was cut."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._own = threading.local()
        self._index = _wal_index(engine)
        self._known: tuple[bytes, dict[Any, Rows]] = (b"", {})
        driver: Any = engine.dialect.dbapi
        # What the driver raises where the database cannot be reached.
        self._broken: tuple[type[Exception], ...] = (driver.OperationalError, driver.InterfaceError)

    def mark(self) -> bytes | None:
        """Return what stays the same as long as nobody commits anything, or for a moment; None where nothing does."""
        return self._index.mark() if self._index is not None else _moment.mark

    def rows(self, statement: RawStatement, **given: Any) -> Rows:
        """Return the rows of a statement, as they were read last where nothing was written since.

        Raises: the driver's OperationalError, when the database cannot be reached; Unread, in a thread that only
        finds what is kept, outside of a moment.
        """
        values = statement.values(given)
        mark = self.mark()
        if mark is None:
            if not may_make_here():
                raise Unread
            return self._read(statement, values)
        # Before the read: what is written meanwhile makes it one to be read again.
        state = self._known
        if state[0] != mark or len(state[1]) > MOST_KNOWN:
            state = self._known = (mark, {})
        asked = values.values() if isinstance(values, dict) else values
        key, known = (statement, *asked), state[1]
        rows = known.get(key)
        if rows is None:
            rows = self._read(statement, values)
            if len(rows) <= MOST_ROWS:
                known[key] = rows
        return rows

    def close(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = self._own.__dict__.pop("connection", None)
        self._own.__dict__.pop("cursor", None)
        if connection is not None:
            connection.close()

    def _read(self, statement: RawStatement, values: Any) -> Rows:
        try:
            return self._run(statement.sql, values)
        except self._broken:
            self.close()
            return self._run(statement.sql, values)

    def _run(self, sql: str, values: Any) -> Rows:
        cursor = getattr(self._own, "cursor", None)
        if cursor is None:
            self._own.connection = self._open()
            cursor = self._own.cursor = self._own.connection.cursor()
        rows: Rows = cursor.execute(sql, values).fetchall()
        return rows

    def _open(self) -> Any:
        dialect = self._engine.dialect
        positional, named = dialect.create_connect_args(self._engine.url)
        connection: Any = dialect.connect(*positional, **named)
        if dialect.name == "sqlite":
            connection.isolation_level = None
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA cache_size=-1000")
        else:
            connection.autocommit = True
            connection.execute("SET jit = off")
        return connection


def _wal_index(engine: Engine) -> WalIndex | None:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    try:
        return WalIndex(Path(engine.url.database))
    except (OSError, ValueError):
        return None
