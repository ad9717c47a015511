"""Mail as rows: stored in the same transaction as its cause, sent by the worker after the commit."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from flask import current_app
from sqlalchemy import (
    JSON,
    ColumnElement,
    Index,
    String,
    UniqueConstraint,
    case,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum import clock
from forum.database import Base, Id, Line, Moment, Prose, Token, db, reference
from forum.outbox.one_click import MARK
from forum.text.normal import one_line

ASKED_FOR = frozenset({"confirm", "sign-in", "known-address", "unknown-address", "change-address"})
"""Kinds that somebody waits for just now: they are sent to suppressed addresses too, and never held by the rate."""

HELD_BACK = "Its reader was banned before it left."
"""Why a letter rests: unlike what was given up it is no failure, is tried again by nobody, and may leave later."""

NO_MARK = "https://unsubscribe.example/"
"""What becomes of the mark in words that somebody typed."""

OPEN = "sent_at IS NULL AND failed_at IS NULL"


def _partial(name: str, column: str, where: str) -> Index:
    return Index(name, column, sqlite_where=text(where), postgresql_where=text(where))


class Counts(NamedTuple):
    """How many mails of one batch have left, are still to leave, and were given up."""

    sent: int
    waiting: int
    failed: int


class Mailing(Base):
    """Words that many messages share, stored once: an essay for 10,000 readers is one text, not 10,000."""

    __tablename__ = "mailing"

    id: Mapped[Id]
    subject: Mapped[Line]
    text: Mapped[Prose]
    html: Mapped[Prose]
    created_at: Mapped[Moment]


class Message(Base):
    """One mail to one address. Unsent, it is due at `not_before`; `sent_at` or `failed_at` ends it."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("batch", "user_id"),
        # What is due is found without walking over all that ever left, and what somebody waits for without
        # walking over ten thousand letters that are due as well.
        _partial("ix_message_open", "not_before", OPEN),
        _partial("ix_message_open_kind", "kind", OPEN),
        # Not for the rows without: SQLite would take "failed_at IS NULL", true of nearly all, for a rare thing.
        _partial("ix_message_sent", "sent_at", "sent_at IS NOT NULL"),
        _partial("ix_message_failed", "failed_at", "failed_at IS NOT NULL"),
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(40))
    to_address: Mapped[str] = mapped_column(String(254), index=True)
    user_id: Mapped[int | None] = reference("user.id")  # whom it is for, when that is an account
    letter: Mapped[str] = mapped_column(String(20), default="", server_default="")
    """Which of the letters that a reader can stop it is (`subscriptions.letters.Letter`), or "" for none."""
    batch: Mapped[str | None] = mapped_column(String(40), index=True)
    """The sending that it belongs to ("essay:12"); of one batch nobody gets two."""
    mailing_id: Mapped[int | None] = reference("mailing.id", index=False)
    subject: Mapped[Line]  # these three are empty when a mailing has the words
    text: Mapped[Prose]
    html: Mapped[Prose]
    message_id: Mapped[str] = mapped_column(String(120), unique=True)
    headers: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    created_at: Mapped[Moment]
    not_before: Mapped[Moment]
    lease: Mapped[Token | None]
    """Names the worker's claim in whose hands it is; only that claim may say what became of it."""
    sent_at: Mapped[Moment | None]
    failed_at: Mapped[Moment | None]
    """When it was given up (refused for good, tried too often, the address suppressed) or held back (HELD_BACK)."""
    tries: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[Prose] = mapped_column(default="")

    mailing: Mapped[Mailing | None] = relationship(lazy="selectin")  # joined, its words came with every row

    @property
    def words(self) -> "Message | Mailing":
        """Return where subject, text and html are."""
        return self.mailing or self

    @classmethod
    def is_open(cls) -> ColumnElement[bool]:
        """Return the condition of messages that are still to leave."""
        return cls.sent_at.is_(None) & cls.failed_at.is_(None)

    @classmethod
    def is_given_up(cls) -> ColumnElement[bool]:
        """Return the condition of messages that could not be delivered."""
        return cls.failed_at.is_not(None) & (cls.last_error != HELD_BACK)


def send(
    kind: str,
    to_address: str,
    *,
    user_id: int | None = None,
    letter: str = "",
    not_before: datetime | None = None,
    message_id: str = "",
    headers: dict[str, str] | None = None,
    **values: Any,
) -> Message:
    """Put one mail into the outbox, written from `templates/mail/<kind>/{subject.txt,body.txt,body.html}`.

    Addresses inside come from the settings, never from the request. `not_before` holds it back until then.
    With `letter` and `user_id` it can be stopped: templates have `unsubscribe_url`, the mail its headers.
    `message_id` is given where later mails refer to it (In-Reply-To in their `headers`).
    """
    subject, plain, html = write(kind, **values)
    now = clock.now()
    message = Message(
        kind=kind,
        to_address=to_address,
        user_id=user_id,
        letter=letter,
        subject=subject,
        text=plain,
        html=html,
        message_id=message_id or new_message_id(),
        headers=headers or {},
        created_at=now,
        not_before=not_before or now,
    )
    db.session.add(message)
    return message


def write(kind: str, **values: Any) -> tuple[str, str, str]:
    """Return subject, text and HTML of a kind of mail; `unsubscribe_url` in them is filled in as it leaves."""
    site = {"site_url": current_app.config["SITE_URL"], "site_name": current_app.config["SITE_NAME"]}
    ours = uuid.uuid4().hex
    values = {**site, "unsubscribe_url": ours, **values}
    folder = PurePosixPath("mail", kind)
    subject = one_line(_render(folder / "subject.txt", values))[:300]
    plain, html = (_render(folder / name, values) for name in ("body.txt", "body.html"))
    return subject, _marked(plain, ours), _marked(html, ours)


def new_message_id() -> str:
    """Return a Message-ID that no other mail has."""
    return message_id_of(uuid.uuid4().hex)


def message_id_of(name: str) -> str:
    """Return the Message-ID that a name stands for, such as "comment-12.7": the mail about comment 12 to person 7.

    An answer by mail names it in its In-Reply-To, which tells whose answer it is, and to which comment.
    """
    return f"<{name}@{current_app.config['MAIL_DOMAIN']}>"


def drop_unsent(user_id: int, letter: str) -> None:
    """Take back the mails of one letter to one person that have not left: they have just stopped it.

    Also those that were given up, which somebody could let try again.
    """
    theirs = (Message.user_id == user_id) & (Message.letter == letter)
    db.session.execute(delete(Message).where(theirs, Message.sent_at.is_(None)))


def hold_back_unsent(user_id: int, letters: Collection[str], at: datetime) -> None:
    """Let the mails of some letters to one person that have not left rest; `at` is by what they are found again.

    A worker that has one in its hands goes on holding it, so that it never leaves twice. What was given up goes.
    """
    theirs = (Message.user_id == user_id) & Message.letter.in_(letters)
    db.session.execute(delete(Message).where(theirs, Message.is_given_up()))
    held = update(Message).where(theirs, Message.is_open()).values(failed_at=at, last_error=HELD_BACK)
    db.session.execute(held)


def let_go_of_unsent(user_id: int, at: datetime) -> None:
    """Let the mails leave that were held back at a moment, but for those that were taken back since."""
    held = (Message.user_id == user_id) & (Message.failed_at == at) & (Message.last_error == HELD_BACK)
    db.session.execute(update(Message).where(held).values(failed_at=None, last_error=""))


def redirect_unsent(user_id: int, to_address: str) -> None:
    """Let what has not left for a person go to another address, which is theirs now; the old may be somebody else's."""
    theirs = (Message.user_id == user_id) & Message.sent_at.is_(None)
    db.session.execute(update(Message).where(theirs).values(to_address=to_address))


def retry_failed(*, message_id: int | None = None, batch: str | None = None) -> int:
    """Let mails that were given up leave after all: one, those of a batch, or all; return how many.

    What was sent is never touched. A suppressed address fails again: lift the suppression first.
    """
    again = update(Message).where(Message.is_given_up())
    again = again.values(failed_at=None, tries=0, not_before=clock.now(), lease=None)
    if message_id is not None:
        again = again.where(Message.id == message_id)
    if batch is not None:
        again = again.where(Message.batch == batch)
    return len(db.session.scalars(again.returning(Message.id)).all())


def queue_counts() -> dict[str, int]:
    """Return how many mails are `waiting`, were `sent` in the last day, and are `failed`. Three queries."""
    yesterday = clock.now() - timedelta(days=1)
    return {
        "waiting": _count(Message.is_open()),
        "sent": _count(Message.sent_at > yesterday),
        "failed": _count(Message.is_given_up()),
    }


def batch_counts(batch: str) -> Counts:
    """Return what became of the mails of one batch so far; mails that ended long ago are not counted. One query."""
    kinds = (Message.sent_at.is_not(None), Message.is_open(), Message.is_given_up())
    sent, waiting, failed = (func.count(case((kind, 1))) for kind in kinds)
    counts = select(sent, waiting, failed).where(Message.batch == batch)
    return Counts(*db.session.execute(counts).one())


def _marked(words: str, ours: str) -> str:
    """Put the mark where `ours` stands, and nowhere else.

    Somebody may write it into a link to their site, which would then learn the secret of each reader who follows it.
    """
    return words.replace(MARK, NO_MARK).replace(ours, MARK)


def _count(condition: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count(Message.id)).where(condition)) or 0


def _render(template: PurePosixPath, values: dict[str, Any]) -> str:
    """Render without the values that every page gets: a mail knows nothing of the visitor, if there is one."""
    return current_app.jinja_env.get_template(str(template)).render(values)
