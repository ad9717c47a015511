"""Reads past SQLAlchemy's own machinery, for what is asked thousands of times a second: its SQL, the driver's rows."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.sql import Executable


class RawStatement:
    """A statement that was turned into SQL once; its values go in by name, the driver's own values come out."""

    def __init__(self, statement: Executable, engine: Engine) -> None:
        compiled: Any = statement.compile(dialect=engine.dialect)  # type: ignore[attr-defined]
        self.sql: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup
        self._to_driver: dict[str, Callable[[Any], Any]] = {}
        self._fixed: dict[str, Any] = {}
        for name, bind in compiled.binds.items():
            convert = bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            if convert is not None:
                self._to_driver[name] = convert
            if not bind.required:
                self._fixed[name] = convert(bind.value) if convert is not None else bind.value
        self._is_plain = not self._to_driver and not self._fixed

    def values(self, given: Mapping[str, Any]) -> Any:
        """Return values as the driver takes them: by position or by name."""
        if self._is_plain:
            return [given[name] for name in self._order] if self._order is not None else given
        values = self._fixed | {
            name: self._to_driver[name](value) if name in self._to_driver else value
            for name, value in given.items()
        }
        return [values[name] for name in self._order] if self._order is not None else values


class RawReads:
    """One connection for each thread, which commits by itself and is opened anew when it was cut."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._own = threading.local()
        driver: Any = engine.dialect.dbapi
        # What the driver raises where the database cannot be reached.
        self._broken: tuple[type[Exception], ...] = (driver.OperationalError, driver.InterfaceError)

    def rows(self, statement: RawStatement, **given: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises: the driver's OperationalError, when the database cannot be reached.
        """
        values = statement.values(given)
        try:
            return self._run(statement.sql, values)
        except self._broken:
            self.close()
            return self._run(statement.sql, values)

    def close(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = self._own.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def _run(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection().execute(sql, values).fetchall()
        return rows

    def _connection(self) -> Any:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._open()
        return connection

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
