"""Sending what is due: claim one mail, deliver it, mark it; a failure waits longer each time and loses nothing."""

import logging
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from sqlalchemy import ColumnElement, select, update

from forum import clock
from forum.database import db
from forum.outbox.message import Message
from forum.outbox.smtp import NotDelivered, deliver

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
MAX_TRIES = 30
"""About a week of tries; after that the mail stays unsent in the table, with its last error."""

PAUSE_SECONDS = 2

log = logging.getLogger("forum.outbox")


def deliver_due(now: datetime) -> int:
    """Send the mails that are due, oldest first, and return how many left. Commits after each one."""
    sent = 0
    while (message := _claim(now)) is not None:
        try:
            deliver(message)
        except NotDelivered as error:
            log.warning("mail %s was not delivered (try %s): %s", message.id, message.tries, error)
            _note(message, last_error=str(error)[:1000])
        else:
            _note(message, sent_at=clock.now(), last_error="")
            sent += 1
    return sent


def run_worker(stop: Event) -> None:
    """Send mails until `stop` is set. Needs an app context; a database that is away for a while does not end it."""
    while not stop.is_set():
        try:
            deliver_due(clock.now())
        except Exception:
            log.exception("the outbox could not be read; trying again")
        finally:
            db.session.remove()
        stop.wait(PAUSE_SECONDS)


def wait_after(tries: int) -> timedelta:
    """Return how long a mail waits after its n-th try, which doubles up to a limit."""
    return min(FIRST_WAIT * (1 << min(tries - 1, 20)), LONGEST_WAIT)


def _claim(now: datetime) -> Message | None:
    """Take one due mail and move it to its next try at once, in a transaction that is over before the mail is sent.

    A worker that is killed while it sends leaves the mail to be tried again; no two workers take the same one.
    """
    first = (
        select(Message)
        .where(_is_due(now))
        .order_by(Message.not_before, Message.id)
        .limit(1)
        # SQLite knows no row locks; there this transaction has the whole file.
        .with_for_update(of=Message, skip_locked=True)
    )
    message = db.session.scalar(first)
    if message is not None:
        message.tries += 1
        message.not_before = now + wait_after(message.tries)
        db.session.flush()
        db.session.expunge(message)  # to be read without a transaction
    db.session.commit()
    return message


def _note(message: Message, **columns: Any) -> None:
    """Keep what became of a try, unless another worker has begun a later one meanwhile."""
    mine = (Message.id == message.id) & (Message.tries == message.tries)
    db.session.execute(update(Message).where(mine).values(**columns))
    db.session.commit()


def _is_due(now: datetime) -> ColumnElement[bool]:
    return Message.sent_at.is_(None) & (Message.not_before <= now) & (Message.tries < MAX_TRIES)
