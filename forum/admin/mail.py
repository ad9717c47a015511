"""What admins do about mail: stop and allow it by address, enter what came back, let failed mails try again."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Select, func, select
from sqlalchemy.orm import lazyload, load_only

from forum import clock
from forum.accounts.sign_in import user_with_address
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.moderation.standing import NotDone, subject
from forum.outbox.mail_server import MailServer, mail_server
from forum.outbox.message import Message, queue_counts, retry_failed
from forum.outbox.suppression import Bounce, Suppression, Why, record_bounce, suppress, unsuppress
from forum.site import audit

PER_PAGE = 50
BOUNCES_SHOWN = 20

LONG_WAIT = timedelta(minutes=15)
"""Mails that are due for longer, while none leaves, have no worker."""


@dataclass(frozen=True)
class QueueState:
    """How the mail is doing. `server` None: no worker has tried yet; `is_stuck`: none seems to run."""

    server: MailServer | None
    has_server: bool
    waiting: int
    sent: int
    failed: int
    oldest: datetime | None
    is_stuck: bool


def queue_state() -> QueueState:
    """Return how the mail is doing; five queries."""
    now, server = clock.now(), mail_server()
    due = Message.is_open() & ((Message.not_before <= now) | (Message.tries > 0))
    firsts = select(func.min(Message.created_at), func.min(Message.not_before)).where(due)
    oldest, due_since = db.session.execute(firsts).one()
    last_sent = server.last_sent_at if server else None
    is_failing = server is not None and server.failing_since is not None
    return QueueState(
        server=server,
        has_server=bool(current_app.config["SMTP_URL"]),
        oldest=oldest,
        is_stuck=due_since is not None
        and not is_failing
        and now - max(due_since, last_sent or due_since) > LONG_WAIT,
        **queue_counts(),
    )


def failed_mails(number: int) -> Page[Message]:
    """Return one page of the mails that were given up, the newest first; two queries, without their words."""
    needed = (
        Message.kind,
        Message.to_address,
        Message.user_id,
        Message.failed_at,
        Message.tries,
        Message.last_error,
    )
    found = select(Message).options(load_only(*needed), lazyload(Message.mailing))
    given_up = found.where(Message.is_given_up())
    return page_of(given_up.order_by(Message.failed_at.desc(), Message.id.desc()), number, PER_PAGE)


def stopped_addresses(query: str, number: int) -> Page[Suppression]:
    """Return one page of the addresses without mail, the newest first, that contain `query`; two queries."""
    found: Select[Suppression] = select(Suppression)
    if query:
        found = found.where(Suppression.address.contains(query.lower(), autoescape=True))
    return page_of(found.order_by(Suppression.created_at.desc(), Suppression.address), number, PER_PAGE)


def last_bounces() -> list[Bounce]:
    """Return the mails that came back last."""
    return list(db.session.scalars(select(Bounce).order_by(Bounce.id.desc()).limit(BOUNCES_SHOWN)))


def owners_of(addresses: list[str]) -> dict[str, User]:
    """Return the people who have these addresses; one query."""
    return {user.email: user for user in db.session.scalars(select(User).where(User.email.in_(addresses)))}


def stop_mail(actor: User, address: str, reason: str) -> None:
    """Send nothing to an address any more. Raises: NotDone."""
    if db.session.get(Suppression, address) is not None:
        raise NotDone("Mail to this address is stopped already.")
    suppress(address, Why.BY_HAND, reason, by_id=actor.id)
    _record(actor, "stop-mail", address, reason)


def allow_mail(actor: User, address: str, reason: str) -> None:
    """Send to an address again. Raises: NotDone."""
    if not unsuppress(address):
        raise NotDone("Mail to this address is not stopped any more.")
    _record(actor, "allow-mail", address, reason)


def enter_bounce(actor: User, address: str, reason: str, *, is_permanent: bool) -> None:
    """Keep that a mail to an address came back; gone for good, the address gets none any more."""
    source = f"by-hand-{secrets.token_hex(20)}"
    record_bounce(address, is_permanent=is_permanent, source=source, words=reason)
    _record(actor, "bounce", address, reason, kind="gone for good" if is_permanent else "back for now")


def retry_mails(actor: User, message_id: int | None, reason: str) -> int:
    """Let one mail that was given up, or all of them, be tried again; return how many. Raises: NotDone."""
    count = retry_failed(message_id=message_id)
    if not count:
        raise NotDone("There is no such mail any more that was given up.")
    audit.record(actor.id, "retry-mail", "mail", reason, mails=count)
    return count


def _record(actor: User, act: str, address: str, reason: str, **details: str) -> None:
    """Keep an act in the log, and in the history of the person whose address it is."""
    owner = user_with_address(address)
    audit.record(actor.id, act, subject(owner) if owner else "mail", reason, address=address, **details)
