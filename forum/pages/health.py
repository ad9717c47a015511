"""Whether the process answers, and whether what it stands on is well: for proxies, monitors and `forum check`."""

from datetime import timedelta

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from forum import clock
from forum.database import db
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
    problems = find_problems()
    return jsonify(ready=not problems, problems=problems), 503 if problems else 200


def find_problems() -> list[str]:
    """Return what is not well, a sentence each; nothing when the site is ready. Two queries."""
    try:
        with db.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        head = ScriptDirectory(str(current_app.config["MIGRATIONS"])).get_current_head()
        if current != head:
            return [
                f"The database is at migration {current or 'none'}, the program needs {head}: forum db upgrade."
            ]
        waiting = Message.sent_at.is_(None) & (Message.not_before < clock.now() - MAIL_IS_LATE)
        late = db.session.scalar(select(func.count(Message.id)).where(waiting)) or 0
    except SQLAlchemyError as error:
        return [f"The database does not answer: {type(error).__name__}."]
    return [f"{late} mails wait for more than 10 minutes: is the worker running?"] if late else []
