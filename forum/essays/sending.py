"""An essay on its way to its subscribers: who gets it, how far the sending is, and that nobody gets it twice."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app
from markupsafe import Markup
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.accounts.user import User
from forum.database import Base, BigId, Moment, db, insert_unless_there, reference
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayWords
from forum.notifications.notice import bring_back, notify, retract
from forum.outbox.mail_server import mail_server
from forum.outbox.message import (
    Mailing,
    Message,
    batch_counts,
    new_message_id,
    retry_failed,
    send,
    write,
)
from forum.outbox.suppression import Suppression
from forum.outbox.worker import KEPT_FOR
from forum.subscriptions.letters import Choice, Letter, Pace, gets
from forum.subscriptions.subscription import State
from forum.subscriptions.tier import tiers
from forum.text.plain import as_text, for_mail

PIECE = 500
"""Readers whose messages are stored in one transaction: fractions of a second, in which nobody else can write."""

PIECES_A_TURN = 10
"""Then the worker looks at the mails again: a code to sign in does not wait until 100,000 readers are gone through."""

MOST_ERRORS = 5
LOOKED_THROUGH = 200


class Sending(Base):
    """The wish to send one essay, made as it is published or scheduled. It begins when the essay is public.

    The worker goes through the readers by id and stores messages in pieces; `reached_user_id` moves on in the
    same transaction, so that a crash leaves nobody out and writes nobody to twice. `finished_at` says that all
    messages are stored, not that all have left: that, the messages of batch "essay:<id>" say.
    """

    __tablename__ = "sending"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    asked_by_id: Mapped[int] = reference("user.id", index=False)
    asked_at: Mapped[Moment]
    begun_at: Mapped[Moment | None]
    reached_user_id: Mapped[int] = mapped_column(BigId, default=0)
    finished_at: Mapped[Moment | None] = mapped_column(index=True)
    whole_id: Mapped[int | None] = reference("mailing.id", index=False)
    """The words for those who may read the whole essay, and below for those who may not."""
    preview_id: Mapped[int | None] = reference("mailing.id", index=False)
    in_digests: Mapped[int] = mapped_column(default=0)
    """How many readers get it in their digest instead of a mail of its own."""


@dataclass(frozen=True)
class Audience:
    """How many get an essay by mail at once, the whole or its opening, and how many find it in their digest."""

    whole: int
    preview: int
    in_digests: int

    @property
    def by_mail(self) -> int:
        """Return how many mails there will be."""
        return self.whole + self.preview


@dataclass(frozen=True)
class Progress:
    """How far a sending is.

    `stage` is waiting (for the essay to appear), storing, sending, sent, withdrawn, or past: so long ago that
    its mails are no longer kept. `server_error` is what the mail server said last, while it takes nothing.
    """

    stage: str
    sent: int
    waiting: int
    failed: int
    in_digests: int
    errors: tuple[str, ...]
    server_error: str
    finished_at: datetime | None

    @property
    def total(self) -> int:
        """Return how many mails there are, as far as they are stored."""
        return self.sent + self.waiting + self.failed

    @property
    def is_running(self) -> bool:
        """Tell whether the numbers will change by themselves."""
        return self.stage in ("storing", "sending")


def batch_of(essay: Essay) -> str:
    """Return the name that the messages of an essay's sending share."""
    return f"essay:{essay.id}"


def sending_of(essay: Essay) -> Sending | None:
    """Return the wish to send an essay, or what became of it."""
    return db.session.get(Sending, essay.id)


def wish_to_send(essay: Essay, by: User) -> None:
    """Have an essay sent once it is public. What has been asked for, begun or finished stays as it is."""
    values = {"asked_by_id": by.id, "asked_at": clock.now(), "reached_user_id": 0, "in_digests": 0}
    db.session.execute(insert_unless_there(Sending, essay_id=essay.id, **values))


def take_wish_back(essay: Essay) -> None:
    """Have an essay appear on the site alone, unless its sending has begun."""
    db.session.execute(delete(Sending).where(Sending.essay_id == essay.id, Sending.begun_at.is_(None)))


def has_begun(essay: Essay) -> bool:
    """Tell whether an essay is being sent or was; if not, no worker begins until the commit."""
    sending = _locked(essay.id)
    return sending is not None and sending.begun_at is not None


def stop_sending(essay: Essay) -> None:
    """End the sending of an essay that is taken away from readers: what has not left does not leave any more."""
    sending = _locked(essay.id)
    if sending is None:
        return
    retract([batch_of(essay)])
    if sending.begun_at is None:
        db.session.delete(sending)
        return
    unsent = (Message.batch == batch_of(essay)) & Message.sent_at.is_(None)
    db.session.execute(delete(Message).where(unsent))
    sending.finished_at = sending.finished_at or clock.now()


def show_again(essay: Essay) -> None:
    """Put an essay that is published again into the digests that it had not reached; no mail leaves again."""
    bring_back(batch_of(essay), clock.now())


def audience(essay: Essay, at: datetime) -> Audience:
    """Count who would get an essay if it were published at a moment. One query."""
    at_once, whole = gets(Letter.ESSAYS, Pace.NOW), essay.readers_once_public(at)
    people = select(at_once.label("at_once"), whole.label("whole")).where(_is_subscribed()).subquery()
    kinds = people.c.at_once, people.c.whole
    counts = {row[:2]: row[2] for row in db.session.execute(select(*kinds, func.count()).group_by(*kinds))}
    in_digests = sum(count for (at_once, _), count in counts.items() if not at_once)
    return Audience(counts.get((True, True), 0), counts.get((True, False), 0), in_digests)


def begin_sendings(now: datetime) -> int:
    """Store messages for the next readers of each essay that is public and to be sent; return how many it were."""
    due = select(Sending.essay_id).join(Essay, Essay.id == Sending.essay_id)
    essay_ids = db.session.scalars(due.where(Sending.finished_at.is_(None), Essay.published(now))).all()
    db.session.commit()
    stored = 0
    for essay_id in essay_ids:
        for _ in range(PIECES_A_TURN):
            reached = _store_piece(essay_id, now)
            stored += reached
            if reached < PIECE:
                break
    return stored


def progress(essay: Essay, now: datetime) -> Progress | None:
    """Return how far the sending of an essay is; None when it is not to be sent. At most four queries."""
    sending = sending_of(essay)
    if sending is None:
        return None
    counts, server = batch_counts(batch_of(essay)), mail_server()
    return Progress(
        stage=_stage(essay, sending, counts.waiting, now),
        sent=counts.sent,
        waiting=counts.waiting,
        failed=counts.failed,
        in_digests=sending.in_digests,
        errors=_errors(essay) if counts.failed else (),
        server_error=server.last_error if server is not None and server.failing_since is not None else "",
        finished_at=sending.finished_at,
    )


def send_failed_again(essay: Essay) -> int:
    """Try the mails of an essay that were given up once more, and return how many.

    Raises: EssayRefused, for the author, when the essay was withdrawn.
    """
    if not essay.is_published(clock.now()):
        raise EssayRefused("", "The essay is not published, so it is not sent.")
    return retry_failed(batch=batch_of(essay))


def send_test(essay: Essay, words: EssayWords, html: str, preview_html: str | None, to: User) -> int:
    """Mail somebody an essay as its readers would get it, and return how many mails that took: one, or two.

    The second is what those get who may not read on.
    """
    values = {"unsubscribe_url": f"{current_app.config['SITE_URL']}/account/letters"}
    whole = _values(essay, words, html, is_whole=True) | values
    send("new-essay", to.email, user_id=to.id, mark="Test: ", **whole)
    if essay.access == Access.PUBLIC:
        return 1
    opening = _values(essay, words, preview_html or "", is_whole=False) | values
    send("new-essay", to.email, user_id=to.id, mark="Test of the opening: ", **opening)
    return 2


# Who gets it


def _is_subscribed() -> ColumnElement[bool]:
    """Return the condition on users who get new essays, at once or in a digest. The author is one of them."""
    suppressed = select(Suppression.address).where(Suppression.address == User.email).exists()
    here = User.email_confirmed_at.is_not(None) & User.is_at_large(clock.now()) & ~suppressed
    return here & gets(Letter.ESSAYS, Pace.NOW, Pace.DAILY, Pace.WEEKLY)


# Storing


def _store_piece(essay_id: int, now: datetime) -> int:
    """Store the messages of the next readers, and return how many readers these were. Commits."""
    sending = _locked(essay_id, skip_locked=True)
    essay = db.session.get(Essay, essay_id, populate_existing=True)
    if sending is None or sending.finished_at is not None or essay is None or not essay.is_published(now):
        db.session.commit()  # another worker has it, or it was withdrawn
        return 0
    _write_words(sending, essay, now)
    whole = essay.readers(now).label("whole")
    people = select(User.id, User.email, whole, gets(Letter.ESSAYS, Pace.NOW).label("at_once"))
    people = people.where(User.id > sending.reached_user_id, _is_subscribed()).order_by(User.id).limit(PIECE)
    piece = db.session.execute(people).all()
    at_once = [person for person in piece if person.at_once]
    in_digests = [person.id for person in piece if not person.at_once]
    if at_once:
        rows = [_message(essay, sending, person) for person in at_once]
        db.session.execute(insert_unless_there(Message), rows)
    if in_digests:
        _notify(essay, in_digests)
        sending.in_digests += len(in_digests)
    if piece:
        sending.reached_user_id = piece[-1].id
    if len(piece) < PIECE:
        _finish(sending, essay)
    db.session.commit()
    return len(piece)


def _locked(essay_id: int, *, skip_locked: bool = False) -> Sending | None:
    """Return the sending, read afresh and nobody else's until the commit; None also when it is, if that is skipped."""
    mine = select(Sending).where(Sending.essay_id == essay_id).with_for_update(skip_locked=skip_locked)
    return db.session.scalar(mine.execution_options(populate_existing=True))


def _write_words(sending: Sending, essay: Essay, now: datetime) -> None:
    """Write the words that the messages share, where they are still missing: the access may change on the way."""
    sending.begun_at = sending.begun_at or now
    if sending.whole_id is None:
        sending.whole_id = _mailing(_values(essay, essay.words, essay.html, is_whole=True)).id
    if sending.preview_id is None and essay.access != Access.PUBLIC:
        opening = essay.preview_html or ""
        sending.preview_id = _mailing(_values(essay, essay.words, opening, is_whole=False)).id


def _mailing(values: dict[str, Any]) -> Mailing:
    subject, plain, html = write("new-essay", mark="", **values)
    mailing = Mailing(subject=subject, text=plain, html=html, created_at=clock.now())
    db.session.add(mailing)
    db.session.flush()
    return mailing


def _values(essay: Essay, words: EssayWords, html: str, *, is_whole: bool) -> dict[str, Any]:
    """Return what the templates of the mail show."""
    site_url = current_app.config["SITE_URL"]
    url = site_url + essay.path
    return {
        "title": words.title,
        "standfirst": words.subtitle,
        "author": essay.author.name,
        "url": url,
        "text": as_text(html, site_url),
        "html": Markup(for_mail(html, site_url, url)),  # noqa: S704  # sanitised there
        "is_whole": is_whole,
        "whom": "supporters" if essay.access == Access.PAID else "subscribers",
        "offer": None if is_whole or essay.access != Access.PAID else tiers()[State.PAID],
        "closing": essay.closing,
        "may_answer": is_whole and essay.comments in (CommentPolicy.SUBSCRIBERS, CommentPolicy.PAID),
    }


def _message(essay: Essay, sending: Sending, person: Any) -> dict[str, Any]:
    now = clock.now()
    return {
        "kind": "new-essay",
        "to_address": person.email,
        "user_id": person.id,
        "letter": Letter.ESSAYS.value,
        "batch": batch_of(essay),
        "mailing_id": sending.whole_id if person.whole else sending.preview_id,
        "subject": "",
        "text": "",
        "html": "",
        "message_id": new_message_id(),
        "headers": {},
        "created_at": now,
        "not_before": now,
        "tries": 0,
        "last_error": "",
    }


def _notify(essay: Essay, user_ids: list[int]) -> None:
    """Let readers find the essay in their digest. Who muted its author in discussions still gets the essays."""
    notify(
        Letter.ESSAYS,
        select(User.id).where(User.id.in_(user_ids)),
        batch_of(essay),
        title=essay.title,
        heading=f"New essay by {essay.author.name}",
        url=essay.path,
        words=essay.summary,
    )


def _finish(sending: Sending, essay: Essay) -> None:
    """Note that all messages are stored; who stopped the letter while theirs was being stored gets none."""
    stopped = select(Choice.user_id).where(Choice.letter == Letter.ESSAYS.value, Choice.pace == Pace.NEVER)
    theirs = (Message.batch == batch_of(essay)) & Message.user_id.in_(stopped)
    db.session.execute(
        delete(Message).where(theirs, Message.is_open()).execution_options(synchronize_session=False)
    )
    sending.finished_at = clock.now()


# How far it is


def _stage(essay: Essay, sending: Sending, waiting: int, now: datetime) -> str:
    if essay.is_withdrawn():
        return "withdrawn"
    if not essay.is_published(now):
        return "waiting"
    if sending.finished_at is None:
        return "storing"
    if waiting:
        return "sending"
    return "sent" if now - sending.finished_at < KEPT_FOR else "past"


_ADDRESS = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")


def _errors(essay: Essay) -> tuple[str, ...]:
    """Return why mails were given up, each reason once, without the addresses: those are for admins."""
    failed = (Message.batch == batch_of(essay)) & Message.is_given_up()
    latest = select(Message.last_error).where(failed).order_by(Message.id.desc()).limit(LOOKED_THROUGH)
    reasons = dict.fromkeys(_ADDRESS.sub("…", error) for error in db.session.scalars(latest))
    return tuple(reasons)[:MOST_ERRORS]
