"""The database: its base class, engine settings for SQLite and PostgreSQL, shared column types, pages of rows."""

import fcntl
import os
import select as files
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from flask import Flask, current_app, g, has_app_context, has_request_context, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
    func,
    inspect,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapper, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

BUSY_TIMEOUT_MS = 30_000
"""At 5 s two of 1,600 concurrent writers were refused, at 30 s none."""

NEXT = "forum.next"
"""Under this name a request brings what lets the next one begin, if the server has them come one by one."""

STORED = "forum.stored"
"""Under this name a request brings what is told which version of which discussion it stores: before, and afterwards."""

QUEUE_STEP_SECONDS = 0.001
"""How often the first writer of a process asks whether it is its turn where nobody tells it; SQLite's own steps grow
to 100 ms."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Base(DeclarativeBase):
    """The base of every model, with constraint names that migrations can rely on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware going in, aware in UTC coming out, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored; use forum.clock.now()")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[frozenset[str]]):
    """A small set of code words, stored sorted between blanks (" link new-writer ") so that SQL can look for one."""

    impl = String(200)
    cache_ok = True

    def process_bind_param(self, value: frozenset[str] | None, dialect: Dialect) -> str | None:
        return None if value is None else " ".join(["", *sorted(value), ""]) if value else ""

    def process_result_value(self, value: str | None, dialect: Dialect) -> frozenset[str]:
        return frozenset((value or "").split())


Id = Annotated[int, mapped_column(BigId, primary_key=True)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
Line = Annotated[str, mapped_column(String(300))]
Prose = Annotated[str, mapped_column(Text)]
Token = Annotated[str, mapped_column(String(64))]


def reference(target: str, *, index: bool = True, **options: Any) -> Any:
    """Return a column that refers to `table.column` of another row."""
    return mapped_column(BigId, ForeignKey(target), index=index, **options)


def one_of(kind: type[StrEnum], **options: Any) -> Any:
    """Return a column that holds one value of a StrEnum as its word, guarded by a check in the database."""
    words = Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=20,
        name=kind.__name__.lower(),
        values_callable=lambda values: [value.value for value in values],
    )
    return mapped_column(words, **options)


Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of rows: `number` counts from 1, `total` counts rows of all pages."""

    rows: Sequence[Row]
    number: int
    per_page: int
    total: int

    @property
    def count(self) -> int:
        """Return how many pages there are, at least one."""
        return max(1, -(-self.total // self.per_page))


def page_of(statement: Select[Any], number: int, per_page: int) -> Page[Any]:
    """Return one page of a select, in two queries; a number past the end gives an empty page."""
    total = db.session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    rows = db.session.scalars(statement.limit(per_page).offset((number - 1) * per_page)).unique().all()
    return Page(rows, number, per_page, total)


def is_sqlite() -> bool:
    """Tell whether this site keeps its rows in SQLite."""
    return bool(db.engine.dialect.name == "sqlite")


def table_of(model: type[Base]) -> Table:
    """Return a model's table, for statements that are to be spared what rows as objects cost."""
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is more than one table")
    return table


def insert_unless_there(model: type[Base], **values: Any) -> Any:
    """Return the statement that adds a row, or does nothing where a constraint says that it is there already."""
    insert = sqlite_insert if is_sqlite() else postgresql_insert
    return insert(model).values(**values).on_conflict_do_nothing()


def insert_from(model: type[Base], rows: Select[Any]) -> Any:
    """Return the statement that adds what a select finds, its labels being column names, but for rows there already."""
    insert = sqlite_insert if is_sqlite() else postgresql_insert
    names = [column.name for column in rows.selected_columns]
    # SQLite reads ON CONFLICT after a FROM as a join condition unless a WHERE stands between.
    return insert(table_of(model)).from_select(names, rows.where(true())).on_conflict_do_nothing()


def as_read(model: type[Row], values: Mapping[str, Any]) -> Row:
    """Return a row as the session's own, of values that were just read past it, its key among them.

    Of a row that the session knows already they take the place of what it knew. What they do not say is read when it
    is asked for.
    """
    mapper: Mapper[Row] = inspect(model)
    key = mapper.identity_key_from_primary_key((values[mapper.primary_key[0].name],))
    session = db.session()
    known: Row | None = session.identity_map.get(key)
    if known is not None:
        renew(known, values)
        return known
    row = mapper.class_manager.new_instance()
    row.__dict__.update(values)
    state = inspect(row)
    state.key = key  # by which the session takes it for stored
    session._update_impl(state)  # as add() does, but for a look at what the row might bring along: nothing
    if missing := _column_names(mapper) - values.keys():
        session.expire(row, missing)
    return row


@cache
def _column_names(mapper: Mapper[Any]) -> frozenset[str]:
    return frozenset(mapper.columns.keys())


def renew(row: object, values: Mapping[str, Any]) -> None:
    """Let a row say what was just read past it."""
    known = row.__dict__
    for name, value in values.items():
        if name not in known or known[name] != value:
            set_committed_value(row, name, value)


def read_first() -> None:
    """Let this request read before it writes. What it may not rely on any more is to be read again after the turn."""
    g.reads_first = True


@contextmanager
def looking() -> Iterator[None]:
    """Look at rows without waiting for the turn to write, in a transaction that is over then."""
    read_first()
    try:
        yield
        db.session.commit()
    finally:
        g.pop("reads_first", None)


def is_reading_first() -> bool:
    """Tell whether this request has yet to wait for its turn to write."""
    return is_sqlite() and bool(g.get("reads_first", False))


def begin_to_write() -> None:
    """Wait for the turn to write, where only one may; what was read stays as it was read."""
    if not g.pop("reads_first", False) or not is_sqlite():
        return
    connection = db.session.connection()
    if TURN not in connection.info:
        # What was read ends here: a transaction that has read would fail where another one wrote.
        connection.exec_driver_sql("COMMIT")
        queue = current_app.extensions[WriteQueue.__name__]
        connection.info[TURN] = queue.enter()
        if queue.log is not None:
            connection.info[UNSYNCED] = queue.log
            _say(connection, "PRAGMA synchronous=NORMAL")
        _say(connection, "BEGIN IMMEDIATE")


def will_be_version(essay_id: int, version: int) -> None:
    """Say which version of a discussion commit_and_keep() is about to store; whoever says so holds its lock."""
    g.new_version = essay_id, version


def commit_and_keep() -> None:
    """Commit; rows keep what was read of them, for an answer that only tells what was stored.

    On SQLite the next one writes as soon as this is committed: that it is on the disk is waited for after the turn,
    before anybody is told that it is kept, and so is what SQLAlchemy does at a commit. Raises: OSError, if the disk
    does not take it.
    """
    session = db.session()
    session.expire_on_commit = False
    session.flush()
    if is_sqlite():
        connection = session.connection()
        tell_version(is_stored=False)
        _say(connection, "COMMIT")
        if TURN in connection.info:
            current_app.extensions[WriteQueue.__name__].leave(connection.info.pop(TURN))
        _go_on()
        if UNSYNCED in connection.info:
            _sync(connection.info[UNSYNCED])
            _say(connection, "PRAGMA synchronous=FULL")
            del connection.info[UNSYNCED]
    else:
        _go_on()
    session.commit()


def _go_on() -> None:
    """Say what is stored, and let another request begin where they come one by one: this one holds up nobody now."""
    tell_version(is_stored=True)
    if has_request_context() and NEXT in request.environ:
        request.environ[NEXT]()


def tell_version(*, is_stored: bool) -> None:
    """Tell the server of the new version of a discussion, right before it is committed and right after."""
    if has_request_context() and STORED in request.environ and "new_version" in g:
        request.environ[STORED](*g.new_version, is_stored=is_stored)
        if is_stored:
            del g.new_version


def init_database(app: Flask) -> None:
    """Connect the app to its database and give every engine the settings its kind needs."""
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    if url.startswith("sqlite"):
        # A file that other processes write to as well: no connection is worth keeping checked out.
        # The last one back is the next one out, so that few of them fill their caches.
        few = {"pool_size": 20, "max_overflow": 20, "pool_use_lifo": True}
        app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", few)
    else:
        app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", {"pool_pre_ping": True})
    db.init_app(app)
    with app.app_context():
        if is_sqlite():
            app.extensions[WriteQueue.__name__] = queue = WriteQueue(db.engine.url.database)
            _prepare_sqlite(db.engine, queue)
        else:
            _prepare_postgresql(db.engine)


def _prepare_sqlite(engine: Engine, queue: "WriteQueue") -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL lost up to 301 acknowledged commits in a simulated power cut
            "foreign_keys=ON",
            "cache_size=-512",  # of the usual 2,000 KiB a connection; the system keeps the file in memory for all
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A deferred transaction that writes after it has read fails at once when another one wrote meanwhile;
        # whoever may write takes the lock first and waits for it.
        reading = has_request_context() and request.method in READING
        reading = reading or (has_app_context() and g.get("reads_first", False))
        if not reading and TURN not in connection.info:
            connection.info[TURN] = queue.enter()
        _say(connection, "BEGIN" if reading else "BEGIN IMMEDIATE")

    # A connection comes back as soon as its transaction has ended, however that was.
    @event.listens_for(engine, "checkin")
    @event.listens_for(engine, "close")
    def _leave(connection: Any, record: Any) -> None:
        if TURN in record.info:
            queue.leave(record.info.pop(TURN))
        if UNSYNCED in record.info and connection is not None:
            connection.execute("PRAGMA synchronous=FULL")
            _sync(record.info.pop(UNSYNCED))


def _say(connection: Connection, word: str) -> None:
    """Begin or end a transaction of SQLite's, much faster than SQLAlchemy does. Raises: what SQLAlchemy raises."""
    try:
        connection.connection.cursor().execute(word)
    except sqlite3.Error as error:
        raise DBAPIError.instance(word, None, error, sqlite3.Error) from error


def _sync(log: str) -> None:
    """Wait until all that was committed so far is on the disk.

    SQLite's log holds transactions in their order, each with a checksum over all before it, so what a crash leaves
    of it is a beginning. Where it is gone, its last user has put it into the database, and waited for that.
    """
    with suppress(FileNotFoundError):
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)


TURN = "turn to write"
"""Under this name a connection keeps the number of the open file that says that it is its turn."""

UNSYNCED = "not waited for"
"""Under this name a connection keeps the log whose sync is ours to wait for, and not SQLite's at each commit."""


class WriteQueue:
    """Lets those who write to one SQLite file go one after another, each as soon as the one before has committed.

    Left to itself SQLite lets whoever finds the file locked sleep longer and longer, while nobody writes. In a
    process they wait for a lock of its own, and the first of each process for that of a file beside the database,
    which the kernel opens when a process dies. Whoever leaves rings a bell that the processes forked after this was
    made share; others look now and then. Who does not queue is still kept out by SQLite.
    """

    def __init__(self, database: str | None) -> None:
        is_file = bool(database) and database != ":memory:" and not str(database).startswith("file:")
        self._file = f"{database}-queue" if is_file else None
        self._database = str(database)
        self.log = f"{database}-wal" if is_file else None
        self._first = threading.Lock()
        self._bell = _bell() if is_file else None
        self._ear = files.poll()
        if self._bell is not None:
            self._ear.register(self._bell, files.POLLIN)
            weakref.finalize(self, os.close, self._bell)

    def enter(self) -> int | None:
        """Wait for the turn, and return what to leave with. Raises: OperationalError, after 30 seconds."""
        if self._file is None:
            return None
        until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        if not self._first.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise _locked()
        turn = None
        try:
            turn = _open_beside(self._database, self._file)
            while not _is_ours(turn):
                if time.monotonic() > until:
                    raise _locked()
                self._wait()
        except OSError as error:
            self.leave(turn)
            raise _locked(f"cannot queue to write: {error}") from error
        except BaseException:
            self.leave(turn)
            raise
        return turn

    def leave(self, turn: int | None) -> None:
        """Let the next one go."""
        if self._file is None:
            return
        if turn is not None:
            os.close(turn)
            if self._bell is not None:
                os.eventfd_write(self._bell, 1)
        self._first.release()

    def _wait(self) -> None:
        """Wait until the bell rings, or a moment; it may also have rung before, which costs one look more."""
        if self._bell is None:
            time.sleep(QUEUE_STEP_SECONDS)
        elif self._ear.poll(QUEUE_STEP_SECONDS * 1_000):
            with suppress(BlockingIOError):  # another one was woken as well
                os.eventfd_read(self._bell)


def _bell() -> int | None:
    """Return a file that becomes readable as somebody writes to it, where the system has such."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if hasattr(os, "eventfd") else None


def _open_beside(database: str, file: str) -> int:
    """Open the file of the queue; made anew it is for whoever may open the database, as SQLite's own files are."""
    with suppress(FileNotFoundError):
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        turn = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    if os.path.exists(database):
        like = os.stat(database)
        if os.geteuid() == 0:
            os.fchown(turn, like.st_uid, like.st_gid)
        os.fchmod(turn, stat.S_IMODE(like.st_mode))
    return turn


def _is_ours(turn: int) -> bool:
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked(why: str = "database is locked") -> OperationalError:
    """Return what SQLite itself says when the wait was too long."""
    return OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError(why))


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # Its queries are short: compiling the one that counts subscribers took ten times as long as running it.
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
        connection.commit()
