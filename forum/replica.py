"""Reading from a replica of the database, where it has come as far as the primary says."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from flask import Flask, current_app
from sqlalchemy import Select, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ORMExecuteState

from forum import clock
from forum.database import db

ANSWER_SECONDS = 2
"""The shortest that PostgreSQL's client waits for a connection."""

LEFT_ALONE = timedelta(seconds=10)
"""So long a process reads from the primary before it asks a replica again that failed."""

TOLD_EVERY = timedelta(minutes=1)

CONNECTION = "replica"
"""Under this name a session knows that its statements go there."""

Found = TypeVar("Found")


def read_from_replica(question: Select[Any], answer: Sequence[Any], read: Callable[[], Found]) -> Found:
    """Return what `read` returns, read from the replica if that gives the `answer` that the primary gave.

    `read` only reads, through `db.session`, and returns no rows but what was made of them. It runs a second time
    where the replica fails in the middle. One statement more. A session that has read already keeps to the primary.
    """
    replica: Replica | None = current_app.extensions.get("replica")
    if replica is not None and replica.is_asked() and not db.session().in_transaction():
        found = replica.read(question, answer, read)
        if found is not None:
            return found[0]
    return read()


def init_replica(app: Flask) -> None:
    """Let the app read from a replica where a setting names one."""
    if url := app.config["REPLICA_URL"]:
        app.extensions["replica"] = Replica(url)
        if not event.contains(db.session, "do_orm_execute", _send_there):
            event.listen(db.session, "do_orm_execute", _send_there)


class Replica:
    """The replica as one process knows it."""

    def __init__(self, url: str) -> None:
        # One snapshot for all reads: what the first one shows is true of the others.
        self._engine = create_engine(
            url,
            isolation_level="REPEATABLE READ",
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": ANSWER_SECONDS,
                "options": "-c jit=off -c default_transaction_read_only=on",
            },
        )
        self._asked_again_at: datetime | None = None
        self._told_at: datetime | None = None

    def is_asked(self) -> bool:
        """Tell whether it has not failed a moment ago."""
        return self._asked_again_at is None or clock.now() >= self._asked_again_at

    def read(
        self, question: Select[Any], answer: Sequence[Any], read: Callable[[], Found]
    ) -> tuple[Found] | None:
        """Return what was read here; None where the answer is another one, or the replica fails."""
        session = db.session()
        try:
            with self._engine.connect() as connection:
                if tuple(connection.execute(question).first() or ()) != tuple(answer):
                    return None
                session.info[CONNECTION] = connection
                try:
                    return (read(),)
                finally:
                    session.rollback()
                    del session.info[CONNECTION]
        except (
            DBAPIError
        ) as error:  # also where a statement waited too long for what arrives from the primary
            self._leave_alone(error)
            return None

    def _leave_alone(self, error: DBAPIError) -> None:
        now = clock.now()
        self._asked_again_at = now + LEFT_ALONE
        if self._told_at is None or now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            logging.getLogger("forum").warning(
                "The replica failed (%s); pages are read from the primary meanwhile.", error.orig
            )


def _send_there(state: ORMExecuteState) -> None:
    if (connection := state.session.info.get(CONNECTION)) is not None:
        state.bind_arguments["bind"] = connection
