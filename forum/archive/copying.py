"""A whole site goes from SQLite into PostgreSQL: every row as it is, again from where a kill stopped it, then compared.

How far it has come follows from what is there: rows go in the order of their keys, some thousand in a transaction,
so a table goes on after the highest key that the target has.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    NullPool,
    String,
    Table,
    Text,
    bindparam,
    cast,
    collate,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import NullType

from forum.database import Base, UtcDateTime
from forum.migrations import migration_of

PIECE = 2_000
"""Rows in a transaction. After a kill that many are copied again at most."""

WAIT_FOR_LOCK_SECONDS = 1

NAMED = 10
"""So many rows that differ are named; the others are counted."""

Row = tuple[Any, ...]
Moved = Callable[[int], None]
"""Is told of so many more rows."""


class CopyRefused(Exception):
    """The copy cannot begin, or cannot go on; the message says what to do."""


@dataclass
class TableReport:
    """What comparing one table found: its rows on both sides, their digests, and the first that differ, in words."""

    name: str
    rows: int = 0
    rows_there: int = 0
    digest: str = ""
    digest_there: str = ""
    wrong: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Tell whether every row is there as it is here, and no other."""
        return self.wrong == 0 and self.digest == self.digest_there

    def note(self, key: Row, words: str) -> None:
        """Count a row that differs, and name it if it is among the first."""
        self.wrong += 1
        if len(self.named) < NAMED:
            self.named.append(f"{self.name} {', '.join(map(str, key))}: {words}")


@contextmanager
def opened_source(url: str, head: str) -> Iterator[Connection]:
    """Open the SQLite database for this copy alone: nobody else may have it open, so nothing changes meanwhile.

    Raises: CopyRefused.
    """
    file = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not file or not Path(file).is_file():
        raise CopyRefused(
            "What is copied has to be an SQLite database that is there, such as sqlite:////path/to/file."
        )
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_FOR_LOCK_SECONDS})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.connect() as connection:
            _require_head(connection, head, "The database that is copied")
            yield connection
    except OperationalError as error:
        if "locked" not in str(error):
            raise
        raise CopyRefused(
            "Something has the SQLite database open. Stop the site and its workers, then copy."
        ) from None


def has_rows(target: Connection) -> bool:
    """Tell whether any of our tables is there and has a row."""
    there = set(inspect(target).get_table_names())
    return any(
        target.execute(select(*table.primary_key.columns).limit(1)).first()
        for table in _tables()
        if table.name in there
    )


def count_rows(source: Connection) -> int:
    """Return how many rows there are to copy, and to compare."""
    return sum(source.scalar(select(func.count()).select_from(table)) or 0 for table in _tables())


def copy_rows(source: Connection, target: Connection, head: str, moved: Moved) -> None:
    """Copy what the target has not yet, committing piece by piece; `moved` hears of rows that are there already too.

    Raises: CopyRefused, when the target holds anything but the beginning of a copy of this source.
    """
    _require_head(target, head, "The target")
    for table in _tables():
        _require_beginning(source, target, table, moved)
    for table in _tables():
        _copy_table(source, target, table, moved)
    for table in _tables():
        _fill_references(source, target, table)
        _set_sequence(target, table)
    target.exec_driver_sql("ANALYZE")  # or the first questions are answered by guessing
    target.commit()


def compare(source: Connection, target: Connection, moved: Moved) -> Iterator[TableReport]:
    """Compare every row of every table, and report each table when it is done."""
    for table in _tables():
        yield _compare_table(source, target, table, moved)


def _tables() -> Sequence[Table]:
    """Return all tables, each after those that it refers to."""
    return Base.metadata.sorted_tables


def _require_head(connection: Connection, head: str, what: str) -> None:
    if (current := migration_of(connection)) != head:
        raise CopyRefused(
            f"{what} is at migration {current or 'none'}, the program needs {head}: forum db upgrade."
        )


def _require_beginning(source: Connection, target: Connection, table: Table, moved: Moved) -> None:
    highest = _highest_key(target, table)
    if highest is None:
        return
    report = _compare_table(source, target, table, moved, until=highest)
    if report.wrong:
        raise CopyRefused(
            "The target holds something else than the beginning of a copy of this database, first "
            f"{report.named[0]} Copy into an empty database."
        )


def _copy_table(source: Connection, target: Connection, table: Table, moved: Moved) -> None:
    rows = _rows(source, table, after=_highest_key(target, table))
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), names)
    held_back = _places_of_self_references(table)
    driver: Any = target.connection.driver_connection
    target.rollback()
    while piece := list(islice(rows, PIECE)):
        target.begin()
        try:
            with driver.cursor() as cursor, cursor.copy(copy) as taking:
                for row in piece:
                    taking.write_row(_without_later(row, held_back))
        except psycopg.Error as error:
            place = f" ({error.diag.context})" if error.diag.context else ""
            raise CopyRefused(
                f"PostgreSQL does not take a row: {error.diag.message_primary or error}{place}."
            ) from None
        target.commit()
        moved(len(piece))


def _without_later(row: Row, places: Sequence[int]) -> Row:
    """Leave out a reference to a row of the same table that is not there yet; `_fill_references` puts it in.

    An own number comes first in every table that refers to itself.
    """
    if not any(row[place] is not None and row[place] > row[0] for place in places):
        return row
    return tuple(
        None if index in places and value is not None and value > row[0] else value
        for index, value in enumerate(row)
    )


def _fill_references(source: Connection, target: Connection, table: Table) -> None:
    columns = [table.columns[place] for place in _places_of_self_references(table)]
    if not columns:
        return
    later = select(table.c.id, *columns).where(or_(*(column > table.c.id for column in columns)))
    values = [
        {"own_id": row[0], **{column.name: value for column, value in zip(columns, row[1:], strict=True)}}
        for row in source.execute(later)
    ]
    if values:
        fill = update(table).where(table.c.id == bindparam("own_id"))
        target.execute(fill.values({column.name: bindparam(column.name) for column in columns}), values)


def _set_sequence(target: Connection, table: Table) -> None:
    """Let new rows be numbered after the highest that was copied."""
    if "id" not in table.primary_key.columns:
        return
    highest = func.max(table.c.id)
    sequence = func.pg_get_serial_sequence(f'"{table.name}"', "id")
    target.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))


def _places_of_self_references(table: Table) -> list[int]:
    return [
        place
        for place, column in enumerate(table.columns)
        if any(reference.column.table is table for reference in column.foreign_keys)
    ]


def _compare_table(
    source: Connection, target: Connection, table: Table, moved: Moved, *, until: Row | None = None
) -> TableReport:
    """Compare all rows; or those to a key, of a copy that is not whole and whose references may be still open."""
    report = TableReport(table.name)
    here, there = sha256(), sha256()
    open_places = _places_of_self_references(table) if until else []
    for key, row, copied in _pairs(
        table, _rows(source, table, until=until), _rows(target, table, until=until)
    ):
        if row is not None:
            report.rows += 1
            here.update(repr(row).encode())
            moved(1)
        if copied is not None:
            report.rows_there += 1
            there.update(repr(copied).encode())
        if row is None:
            report.note(key, "is in the target only.")
        elif copied is None:
            report.note(key, "is missing in the target.")
        elif row != copied and not (open_places and _without_later(row, open_places) == copied):
            report.note(key, f"{', '.join(_differing(table, row, copied))} differs.")
    report.digest, report.digest_there = here.hexdigest(), there.hexdigest()
    return report


def _differing(table: Table, row: Row, copied: Row) -> list[str]:
    pairs = zip(table.columns, row, copied, strict=True)
    return [column.name for column, mine, theirs in pairs if mine != theirs]


def _pairs(
    table: Table, here: Iterator[Row], there: Iterator[Row]
) -> Iterator[tuple[Row, Row | None, Row | None]]:
    """Yield the rows of both sides with their keys, in the order of the keys; None where one side has no such row."""
    names = table.columns.keys()
    places = [names.index(column.key) for column in table.primary_key.columns]

    def keyed(rows: Iterator[Row], side: int) -> Iterator[tuple[Row, int, Row]]:
        return ((tuple(row[place] for place in places), side, row) for row in rows)

    both = merge(keyed(here, 0), keyed(there, 1), key=itemgetter(0))
    for key, found in groupby(both, key=itemgetter(0)):
        sides = {side: row for _, side, row in found}
        yield key, sides.get(0), sides.get(1)


def _rows(
    connection: Connection, table: Table, *, after: Row | None = None, until: Row | None = None
) -> Iterator[Row]:
    """Yield rows in the order of their keys, as Python values that are alike on both kinds of database."""
    on_sqlite = connection.dialect.name == "sqlite"
    key = _key(connection, table)
    statement = select(*(_raw(column, on_sqlite=on_sqlite) for column in table.columns)).order_by(*key)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    if until is not None:
        statement = statement.where(tuple_(*key) <= tuple_(*until))
    alike = [_made_alike(column, on_sqlite=on_sqlite) for column in table.columns]
    for row in connection.execute(statement, execution_options={"yield_per": PIECE}):
        yield tuple(
            value if value is None or make is None else make(value)
            for make, value in zip(alike, row, strict=True)
        )


def _highest_key(target: Connection, table: Table) -> Row | None:
    key = _key(target, table)
    found = target.execute(select(*key).order_by(*(part.desc() for part in key)).limit(1)).first()
    return None if found is None else tuple(found)


def _key(connection: Connection, table: Table) -> list[ColumnElement[Any]]:
    """Return the key to order by: words by their bytes, as SQLite and Python do."""
    columns = [(column, type_coerce(column, NullType())) for column in table.primary_key.columns]
    if connection.dialect.name == "sqlite":
        return [raw for _, raw in columns]
    return [collate(raw, "C") if isinstance(column.type, String) else raw for column, raw in columns]


def _raw(column: Column[Any], *, on_sqlite: bool) -> ColumnElement[Any]:
    """Return a column as its driver gives it; JSON as its text, in which an empty value and a null differ."""
    if isinstance(column.type, JSON) and not on_sqlite:
        return type_coerce(cast(column, Text), NullType())
    return type_coerce(column, NullType())


def _made_alike(column: Column[Any], *, on_sqlite: bool) -> Callable[[Any], Any] | None:
    """Return what makes one value of both drivers' values, or None where they are the same."""
    if isinstance(column.type, UtcDateTime):
        return _moment_of_text if on_sqlite else _in_utc
    if isinstance(column.type, Boolean):
        return bool
    return str if isinstance(column.type, JSON) else None


def _moment_of_text(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)
