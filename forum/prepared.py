"""Statements that are turned into SQL once, and run in the session's transaction past the rest of SQLAlchemy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import Executable

from forum.database import Base, as_read, commit_and_keep, db, tell_version
from forum.rawreads import RawStatement

Row = Mapping[str, Any]
"""One row by the names of its columns."""
Call = tuple[str, Any]
"""SQL, and values as the driver takes them."""


class Prepared:
    """A statement and its SQL on each kind of database. It is put together when it is first run."""

    def __init__(self, make: Callable[[], Executable]) -> None:
        self._make = make
        self._known: dict[str, _Known] = {}

    def run(self, **given: Any) -> None:
        """Run it, for what it changes or locks; in together() it may wait. Raises: what SQLAlchemy raises."""
        connection = _connection()
        call = self._on(connection).call(given)
        waiting: list[Call] | None = connection.info.get(WAITING)
        if waiting is None:
            _run(connection, call).close()
        else:
            waiting.append(call)

    def rows(self, **given: Any) -> "Rows":
        """Return its rows; in together() after what waits. Raises: what SQLAlchemy raises."""
        connection = _connection()
        known = self._on(connection)
        call = known.call(given)
        if connection.info.get(WAITING):
            with _pipeline(connection):
                _run_waiting(connection)
                return Rows(known, _fetched(_run(connection, call)))
        return Rows(known, _fetched(_run(connection, call)))

    def _on(self, connection: Connection) -> "_Known":
        """Return it as it is on the database of a connection."""
        name = connection.dialect.name
        if name not in self._known:
            self._known[name] = _Known(self._make(), connection)
        return self._known[name]


class Rows(Sequence[Row]):
    """What a statement found, each value as SQLAlchemy gives it once it is asked for."""

    def __init__(self, known: "_Known", found: Sequence[Sequence[Any]]) -> None:
        self._known = known
        self._found = found

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)

    def __getitem__(self, at: Any) -> Any:
        """Return one of them."""
        return self._known.row(self._found[at])


class Part:
    """Some columns of one kind of row in a prepared select, all unless they are named."""

    def __init__(self, model: type[Base], *columns: InstrumentedAttribute[Any]) -> None:
        self._model = model
        mapper = model.__mapper__
        some = columns or [getattr(model, one.key) for one in mapper.column_attrs]
        self._names = {column.key: f"{model.__tablename__}_{column.key}" for column in some}
        self.columns = [column.label(self._names[column.key]) for column in some]
        self._key = self._names[mapper.get_property_by_column(mapper.primary_key[0]).key]

    def values(self, row: Row) -> dict[str, Any]:
        """Return what a row says of it, by the names of the model."""
        return {key: row[name] for key, name in self._names.items()}

    def of(self, row: Row) -> Any:
        """Return it as the session's own; None where an outer join found none."""
        return None if row[self._key] is None else as_read(self._model, self.values(row))


@contextmanager
def together(*, commits: bool = False) -> Iterator[None]:
    """Let PostgreSQL take what is run in here one after the other and be waited for once, at the end or for rows.

    Other statements meanwhile, of the ORM for instance, come before what waits: see send_waiting(). With `commits`
    the transaction is committed at the end; rows keep what was read of them. Raises: what SQLAlchemy raises.
    """
    connection = _connection()
    info = connection.info  # of a connection that was cut, it cannot be asked for any more
    if connection.dialect.name == "sqlite" or WAITING in info:
        yield
    else:
        info[WAITING] = []
        try:
            yield
            if commits:
                info[WAITING].append(("COMMIT", None))
                tell_version(is_stored=False)
            send_waiting()
        finally:
            del info[WAITING]
    if commits:
        commit_and_keep()


def send_waiting() -> None:
    """Do what waits in together(), for something that follows it. Raises: what SQLAlchemy raises."""
    connection = _connection()
    if connection.info.get(WAITING):
        with _pipeline(connection):
            _run_waiting(connection)


def _run_waiting(connection: Connection) -> None:
    waiting: list[Call] = connection.info[WAITING]
    for call in waiting:
        _run(connection, call).close()
    waiting.clear()


def _fetched(cursor: Any) -> Sequence[Sequence[Any]]:
    rows: Sequence[Sequence[Any]] = cursor.fetchall()
    cursor.close()
    return rows


@contextmanager
def _pipeline(connection: Connection) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.dbapi
    try:
        with driver.pipeline():
            yield
    except errors.Error as error:
        raise DBAPIError.instance(None, None, error, errors.Error) from error


WAITING = "waiting"
"""Under this name a connection keeps what is run together."""

HERE = "here"
"""Under this name a session keeps its connection, and the transaction for which it has it."""


def _connection() -> Connection:
    """Return the connection of the session's transaction, which SQLAlchemy takes longer to find than to use."""
    session = db.session()
    session.flush()  # what the session has changed is there first, as for its own statements
    transaction = session.get_transaction()
    known: tuple[Any, Connection] | None = session.info.get(HERE)
    if known is None or transaction is None or known[0] is not transaction:
        connection = session.connection()
        known = session.info[HERE] = (session.get_transaction(), connection)
    return known[1]


def _run(connection: Connection, call: Call) -> Any:
    """Let the driver run something, as SQLAlchemy would: who listens hears of it. Return the cursor."""
    errors: Any = connection.dialect.dbapi
    cursor = connection.connection.cursor()
    if listeners := connection.dispatch.before_cursor_execute:
        for told in listeners:
            told(connection, cursor, *call, None, False)
    try:
        cursor.execute(*call)
    except errors.Error as error:
        raise DBAPIError.instance(*call, error, errors.Error) from error
    return cursor


class _Known:
    """A statement on one kind of database."""

    def __init__(self, statement: Executable, connection: Connection) -> None:
        self._raw = RawStatement(statement, connection.engine)
        dialect = connection.dialect
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self._columns = [
            (one.keyname, one.type.dialect_impl(dialect).result_processor(dialect, None))
            for one in compiled._result_columns
        ]

    def call(self, given: dict[str, Any]) -> Call:
        """Return what the driver is told."""
        values = self._raw.values(given)
        return self._raw.sql, tuple(values) if isinstance(values, list) else values

    def row(self, values: Sequence[Any]) -> Row:
        """Return one row with its values as SQLAlchemy gives them."""
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self._columns, values, strict=True)
        }
