"""Whether the process answers, and whether what it stands on is well: for proxies, monitors and `forum check`."""

from datetime import datetime, timedelta

from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from forum import clock
from forum.database import db
from forum.migrations import migration_of, newest_migration
from forum.outbox.mail_server import mail_server
from forum.outbox.message import Message

MAIL_IS_LATE = timedelta(minutes=10)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer that this process is alive; asks nothing of the database."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Answer 200 when the database, the migrations and the outbox are well, else 503 and what is not."""
    return _answer(find_problems())


@blueprint.get("/readyz/web")
def readyz_web() -> tuple[Response, int]:
    """Answer 200 when this node can serve readers: a proxy must not send them away because mails wait."""
    return _answer(_problems_of_database())


def find_problems() -> list[str]:
    """Return what is not well, a sentence each; nothing when the site is ready. Three queries."""
    try:
        return _problems_of_database() or _problems_of_mail(clock.now() - MAIL_IS_LATE)
    except SQLAlchemyError as error:
        return [_no_answer(error)]


def _answer(problems: list[str]) -> tuple[Response, int]:
    return jsonify(ready=not problems, problems=problems), 503 if problems else 200


def _problems_of_database() -> list[str]:
    """Return what keeps this program from using the database. One query."""
    try:
        with db.engine.connect() as connection:
            current = migration_of(connection)
    except SQLAlchemyError as error:
        return [_no_answer(error)]
    head = newest_migration(current_app.config["MIGRATIONS"])
    if current == head:
        return []
    return [f"The database is at migration {current or 'none'}, the program needs {head}: forum db upgrade."]


def _no_answer(error: SQLAlchemyError) -> str:
    return f"The database does not answer: {type(error).__name__}."


def _problems_of_mail(late: datetime) -> list[str]:
    """Return what keeps mails from leaving. What only waits because others leave first is no problem."""
    server = mail_server()
    if server is not None and server.failing_since is not None:
        minutes = (clock.now() - server.failing_since) // timedelta(minutes=1)
        return (
            [f"The mail server has taken no mail for {minutes} minutes."]
            if server.failing_since < late
            else []
        )
    if server is not None and server.last_sent_at is not None and server.last_sent_at > late:
        return []
    waiting = select(func.count(Message.id)).where(Message.is_open(), Message.not_before < late)
    count = db.session.scalar(waiting) or 0
    return [f"{count} mails wait for more than 10 minutes: is the worker running?"] if count else []
