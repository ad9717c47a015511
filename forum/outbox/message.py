"""Mail as rows: stored in the same transaction as its cause, sent by the worker after the commit."""

import uuid
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from flask import current_app
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Id, Line, Moment, Prose, db
from forum.text.normal import one_line


class Message(Base):
    """One mail to one address."""

    __tablename__ = "message"

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(40), index=True)
    to_address: Mapped[str] = mapped_column(String(254), index=True)
    subject: Mapped[Line]
    text: Mapped[Prose]
    html: Mapped[Prose]
    message_id: Mapped[str] = mapped_column(String(120), unique=True)
    created_at: Mapped[Moment]
    not_before: Mapped[Moment] = mapped_column(index=True)
    sent_at: Mapped[Moment | None] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[Prose] = mapped_column(default="")


def send(kind: str, to_address: str, *, not_before: datetime | None = None, **values: Any) -> Message:
    """Put one mail into the outbox, written from `templates/mail/<kind>/{subject.txt,body.txt,body.html}`.

    Addresses inside come from the settings, never from the request. `not_before` holds it back until then.
    """
    values |= {"site_url": current_app.config["SITE_URL"], "site_name": current_app.config["SITE_NAME"]}
    folder = PurePosixPath("mail", kind)
    now = clock.now()
    message = Message(
        kind=kind,
        to_address=to_address,
        subject=one_line(_render(folder / "subject.txt", values))[:300],
        text=_render(folder / "body.txt", values),
        html=_render(folder / "body.html", values),
        message_id=f"<{uuid.uuid4().hex}@{current_app.config['MAIL_DOMAIN']}>",
        created_at=now,
        not_before=not_before or now,
    )
    db.session.add(message)
    return message


def _render(template: PurePosixPath, values: dict[str, Any]) -> str:
    """Render without the values that every page gets: a mail knows nothing of the visitor, if there is one."""
    return current_app.jinja_env.get_template(str(template)).render(values)
