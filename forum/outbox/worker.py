"""Sending what is due: claim a few mails for two minutes, deliver them one by one, note each before the next."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Any
from uuid import uuid4

from flask import current_app
from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update

from forum import clock
from forum.database import db
from forum.outbox.mail_server import lock_mail_server, note_failure, note_success
from forum.outbox.message import ASKED_FOR, Message
from forum.outbox.smtp import LONGEST_CARRYING, Courier, NotNow, Refused, ServerAway
from forum.outbox.suppression import record_bounce, suppressed_among

LEASE = timedelta(minutes=2)
"""How long a claim holds. No mail of it is begun when less than LONGEST_CARRYING (90 s) of it is left."""

CLAIMED_AT_ONCE = 20
"""A worker that dies leaves so many, at most, waiting for the end of its lease."""

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
MAX_TRIES = 36
"""1, 2, 4, … 256 minutes and then every 6 hours: just under a week, in which a full mailbox may be emptied."""

KEPT_FOR = timedelta(days=90)
"""Then a mail that left or was given up is deleted, words and address: nobody needs them any more."""

DELETED_AT_ONCE = 500

PAUSE_SECONDS = 2.0
"""How long a worker with nothing to do waits, and how long it sends before it looks at its other jobs again."""

SUPPRESSED = "This address is on the list of addresses that get no mail."

Job = Callable[[datetime], int]
Look = Callable[[datetime], Collection[Callable[..., Any]]]
"""Returns those jobs that have nothing to do at a moment, and deliver_some() where no mail is due."""

log = logging.getLogger("forum.outbox")


@dataclass(frozen=True)
class Claim:
    """Some mails in the hands of one worker, until a moment; their rows are detached and can be read for ever."""

    lease: str
    until: datetime
    messages: Sequence[Message] = ()
    suppressed: int = 0
    """How many more were due and given up at once."""


def run_worker(
    stop: Event, jobs: Iterable[Job], rate: Callable[[], int], look: Look = lambda _now: ()
) -> None:
    """Do the jobs and send mails until `stop` is set. Needs an app context.

    What `look` finds idle is left out: a job takes the turn to write, a look does not. `rate` answers how many mails
    may leave in a minute, from all workers together. Each round asks again, in an app context of its own, so that
    nothing is remembered from one to the next. A database that is away for a while does not end the worker, nor does
    a job that fails.
    """
    courier = Courier()
    while not stop.is_set():
        idle = _idle(look)
        done = sum([_do(job) for job in (*jobs, delete_old) if job not in idle])
        courier.close_if_idle()
        is_due = done or deliver_some not in idle
        if not (is_due and _send_for_a_while(courier, rate, stop)) and not done:
            stop.wait(PAUSE_SECONDS)
    courier.close()


def deliver_some(courier: Courier, rate: int, stop: Event) -> int:
    """Claim some due mails and deliver them, each noted before the next is begun; return how many were dealt with.

    What is left of the claim is given back: when `stop` is set, when the server is away, and when the lease is
    nearly over. Only a crash leaves it to run out. Commits after each mail.
    """
    claim = _claim(rate)
    verdicts: list[bool] = []
    error = ""
    try:
        for message in claim.messages:
            if stop.is_set():
                break
            courier.open()
            if clock.now() > claim.until - LONGEST_CARRYING:
                break
            verdicts.append(_is_mine(message, claim.lease) and _deliver(courier, message, claim.lease))
    except ServerAway as away:
        error = str(away)
    if claim.messages:
        _close(claim, len(verdicts), error, is_well=any(verdicts))
    return len(verdicts) + claim.suppressed


def delete_old(now: datetime) -> int:
    """Delete some of the mails that ended long ago, and return how many. Commits."""
    old = now - KEPT_FOR
    deleted = 0
    for ended_at in (Message.sent_at, Message.failed_at):
        some = select(Message.id).where(ended_at < old).limit(DELETED_AT_ONCE)
        gone = db.session.scalars(delete(Message).where(Message.id.in_(some)).returning(Message.id))
        deleted += len(gone.all())
    db.session.commit()
    return deleted


def wait_after(tries: int) -> timedelta:
    """Return how long a mail waits after its n-th try, which doubles up to a limit."""
    return min(FIRST_WAIT * (1 << min(tries - 1, 20)), LONGEST_WAIT)


def is_mail_due(now: Any) -> ColumnElement[bool]:
    """Return whether a mail is to leave now, and `now` may be a parameter."""
    return exists(select(Message.id).where(_is_due(now)))


def is_anything_old(before: Any) -> ColumnElement[bool]:
    """Return whether a mail ended before a moment, which may be a parameter."""
    sent, failed = (
        exists(select(Message.id).where(at < before)) for at in (Message.sent_at, Message.failed_at)
    )
    return sent | failed


def _idle(look: Look) -> Collection[Callable[..., Any]]:
    try:
        with current_app.app_context():
            return look(clock.now())
    except Exception:
        log.exception("the worker could not look what is due; it tries everything")
    return ()


def _do(job: Job) -> int:
    try:
        with current_app.app_context():
            return job(clock.now())
    except Exception:
        log.exception("a job of the worker failed; it is tried again")
    return 0


def _send_for_a_while(courier: Courier, rate: Callable[[], int], stop: Event) -> int:
    until, sent = time.monotonic() + PAUSE_SECONDS, 0
    try:
        with current_app.app_context():
            mails_per_minute = rate()
            while not stop.is_set() and time.monotonic() < until:
                some = deliver_some(courier, mails_per_minute, stop)
                if not some:
                    break
                sent += some
    except Exception:
        log.exception("the outbox could not be read; trying again")
        return 0
    return sent


def _claim(rate: int) -> Claim:
    """Take what is due, first what somebody waits for; in a transaction that is over before the first mail is sent."""
    now = clock.now()
    claim = Claim(uuid4().hex, now + LEASE)
    if not lock_mail_server().is_paused(now):
        urgent = _due(now, Message.kind.in_(ASKED_FOR), CLAIMED_AT_ONCE)
        room = min(CLAIMED_AT_ONCE - len(urgent), rate - _lately(now))
        others = _due(now, Message.kind.not_in(ASKED_FOR), room) if room > 0 else []
        messages = [*urgent, *_without_suppressed(others, now)]
        claim = replace(claim, messages=messages, suppressed=len(urgent) + len(others) - len(messages))
        for message in messages:
            message.lease, message.not_before = claim.lease, claim.until
            message.tries += 1
        db.session.flush()
        db.session.expunge_all()
    db.session.commit()
    return claim


def _due(now: datetime, which: ColumnElement[bool], limit: int) -> Sequence[Message]:
    due = select(Message).where(_is_due(now), which)
    # SQLite knows no row locks; there the transaction has the whole file.
    locked = due.with_for_update(of=Message, skip_locked=True)
    return db.session.scalars(locked.order_by(Message.not_before, Message.id).limit(limit)).all()


def _is_due(now: Any) -> ColumnElement[bool]:
    return and_(Message.is_open(), Message.not_before <= now)


def _lately(now: datetime) -> int:
    """Return how many mails left in the last minute or are about to leave, from whatever worker."""
    sent = select(func.count(Message.id)).where(Message.sent_at > now - timedelta(minutes=1))
    leased = Message.is_open() & Message.lease.is_not(None) & (Message.not_before > now)
    about_to = select(func.count(Message.id)).where(leased)
    # One statement: between two, a mail could pass from the one count to the other unseen.
    return db.session.scalar(select(sent.scalar_subquery() + about_to.scalar_subquery())) or 0


def _without_suppressed(messages: Sequence[Message], now: datetime) -> list[Message]:
    """Give up the mails to suppressed addresses, and return the others."""
    suppressed = suppressed_among([message.to_address for message in messages])
    for message in messages:
        if message.to_address in suppressed:
            message.failed_at, message.last_error, message.lease = now, SUPPRESSED, None
    return [message for message in messages if message.to_address not in suppressed]


def _is_mine(message: Message, lease: str) -> bool:
    """Tell whether a claimed mail is still to leave: its reader may have stopped it, or its author withdrawn it."""
    mine = select(Message.id).where(Message.id == message.id, Message.lease == lease, Message.is_open())
    found = db.session.scalar(mine) is not None
    db.session.commit()
    return found


def _deliver(courier: Courier, message: Message, lease: str) -> bool:
    """Send one mail and note what became of it; tell whether the server gave its word on it. Raises: ServerAway."""
    try:
        courier.carry(message)
    except ServerAway:
        raise
    except Refused as refusal:
        log.warning("mail %s is given up: %s", message.id, refusal)
        if refusal.is_wrong_mailbox:
            _record(message, refusal)
        _note(message, lease, failed_at=clock.now(), last_error=str(refusal)[:1000])
        return True
    except Exception as error:  # whatever it is about one mail, the others do not wait for it
        _note_failed_try(message, lease, error)
        return False
    _note(message, lease, sent_at=clock.now(), failed_at=None, last_error="")
    return True


def _record(message: Message, refusal: Refused) -> None:
    source = f"refused:{message.message_id}"[:64]
    words = str(refusal)
    record_bounce(message.to_address, is_permanent=True, source=source, status=refusal.status, words=words)


def _note_failed_try(message: Message, lease: str, error: Exception) -> None:
    if not isinstance(error, NotNow):
        log.error("mail %s met an error of ours", message.id, exc_info=error)
    log.warning("mail %s was not delivered (try %s): %s", message.id, message.tries, error)
    now, said = clock.now(), str(error)[:1000] or type(error).__name__
    if message.tries >= MAX_TRIES:
        _note(message, lease, failed_at=now, last_error=said)
    else:
        _note(message, lease, not_before=now + wait_after(message.tries), last_error=said)


def _note(message: Message, lease: str, **columns: Any) -> None:
    """Keep what became of a mail, if it is still in this claim's hands, and commit."""
    mine = (Message.id == message.id) & (Message.lease == lease)
    if "sent_at" not in columns:  # what has left has left, even if it was held back meanwhile
        mine &= Message.is_open()
    noted = update(Message).where(mine).values(lease=None, **columns).returning(Message.id)
    if db.session.scalar(noted) is None:
        log.warning(
            "mail %s was no longer this worker's: its lease ran out, or it was taken back", message.id
        )
    db.session.commit()


def _close(claim: Claim, done: int, error: str, *, is_well: bool) -> None:
    """Give back what was not begun, its try uncounted, and note how the server is."""
    rest = [message.id for message in claim.messages[done:]]
    back = {"lease": None, "not_before": clock.now(), "tries": Message.tries - 1}
    mine = Message.id.in_(rest) & (Message.lease == claim.lease)
    if rest:  # locked in the order in which whoever takes mails back does it: so neither waits for the other
        db.session.scalars(select(Message.id).where(mine).order_by(Message.id).with_for_update()).all()
    db.session.execute(update(Message).where(mine).values(back))
    if is_well:
        note_success()
    if error:
        pause = note_failure(error)
        log.warning("no mail leaves for %s seconds: %s", pause.seconds, error)
    db.session.commit()
