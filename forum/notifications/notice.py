"""What a reader should hear about: a line in their inbox, and in time a mail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Index,
    Select,
    String,
    UniqueConstraint,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum import clock
from forum.accounts.user import User
from forum.database import Base, BigId, Id, Line, Moment, Prose, UtcDateTime, db, insert_from, reference
from forum.notifications.watch import MutedPerson, ThreadWatch
from forum.outbox.message import Message
from forum.subscriptions.letters import Letter

WORDS_GONE = "What this mail said is not kept any more: words of a comment were taken out."
AT_ONCE = 500
"""Subjects in one statement."""


class Notice(Base):
    """One thing that one person should hear about. Opening the inbox changes nothing in it."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("user_id", "subject"),
        Index("ix_notice_user_id_id", "user_id", "id"),
        # Not the thread alone: of a busy one that thousands follow, all their notices would be walked over.
        Index("ix_notice_user_id_thread", "user_id", "thread"),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = reference("user.id", index=False)
    letter: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(40), index=True)
    """What it is about: "comment:12", "event:7", "essay:3". A person hears of each once."""
    thread: Mapped[str] = mapped_column(String(40), default="")
    """What belongs together in one mail: "thread:<id of the first comment>", or "" for nothing else."""
    title: Mapped[Line]  # of the essay
    heading: Mapped[Line]  # what happened, in a sentence without the name: "answered you"
    url: Mapped[Line]
    by_id: Mapped[int | None] = reference("user.id", index=False)
    words: Mapped[Prose] = mapped_column(default="")  # the comment, as it was typed
    quote: Mapped[Prose] = mapped_column(default="")  # what it answers
    created_at: Mapped[Moment]
    not_before: Mapped[Moment]
    read_at: Mapped[Moment | None]
    retracted_at: Mapped[Moment | None]
    """When its cause went away (hidden, withdrawn, undone). It comes back with its cause, without a second mail."""
    mail_at: Mapped[Moment | None] = mapped_column(index=True)
    """When the worker looks next whether it goes into a mail; None when that is decided."""
    mailed_at: Mapped[Moment | None]
    mailed_as: Mapped[str | None] = mapped_column(String(120))
    """The Message-ID of the mail that tells of it."""

    by: Mapped[User | None] = relationship(foreign_keys=[by_id], lazy="joined")

    @classmethod
    def shown_to(cls, user: User, now: datetime) -> ColumnElement[bool]:
        """Return the condition of what stands in a person's inbox; what may still be undone waits until then."""
        return (cls.user_id == user.id) & cls.retracted_at.is_(None) & (cls.not_before <= now)

    @classmethod
    def is_due(cls, now: datetime) -> ColumnElement[bool]:
        """Return the condition of notices of which it is to be decided now whether they go into a mail."""
        return cls.mail_at.is_not(None) & (cls.mail_at <= now)


@dataclass(frozen=True)
class Personal:
    """What one of many people is told instead: they are the one it is about."""

    user_id: int
    letter: Letter
    heading: str
    quote: str


def notify(
    letter: Letter,
    people: Select[int],
    subject: str,
    *,
    title: str,
    heading: str,
    url: str,
    thread: str = "",
    thread_id: int | None = None,
    by: User | None = None,
    words: str = "",
    quote: str = "",
    not_before: datetime | None = None,
    personal: Personal | None = None,
    is_first: bool = False,
) -> None:
    """Put a notice before each of these people, in one statement however many they are.

    `people` selects user ids. Left out are `by`, who muted the thread (`thread_id`, its first comment) or `by`,
    and who has a notice about this subject already; one that was retracted is there again, and says these words.
    Where nobody can have heard of the subject before (`is_first`), no such are looked for.
    """
    now = clock.now()
    by_id = by.id if by else None
    person = people.subquery().c[0]
    texts = {
        "letter": letter.value,
        "title": title,
        "heading": heading,
        "url": url,
        "words": words,
        "quote": quote,
    }
    own = (
        {"letter": personal.letter.value, "heading": personal.heading, "quote": personal.quote}
        if personal
        else {}
    )
    wanted = select(
        person.label("user_id"),
        literal(subject).label("subject"),
        literal(thread).label("thread"),
        *(
            case((person == personal.user_id, literal(own[name])), else_=literal(value)).label(name)
            if personal and name in own
            else literal(value).label(name)
            for name, value in texts.items()
        ),
        literal(by_id, BigId).label("by_id"),
        literal(now, UtcDateTime).label("created_at"),
        literal(not_before or now, UtcDateTime).label("not_before"),
        literal(not_before or now, UtcDateTime).label("mail_at"),
    )
    if by_id is not None:
        muted = select(MutedPerson.user_id).where(MutedPerson.muted_id == by_id)
        wanted = wanted.where(person != by_id, person.not_in(muted))
    if thread_id is not None:
        deaf = select(ThreadWatch.user_id).where(ThreadWatch.thread_id == thread_id, ThreadWatch.is_muted)
        wanted = wanted.where(person.not_in(deaf))
    db.session.flush()
    db.session.execute(insert_from(Notice, wanted))
    if not is_first:
        bring_back(subject, not_before or now)
        reword(subject, words)


def retract(subjects: Iterable[str]) -> None:
    """Take notices back whose cause has gone away: out of the inboxes, and out of every mail that has not left."""
    about = Notice.subject.in_(list(subjects))
    _take_mails_back(about)
    _change(about & Notice.retracted_at.is_(None), retracted_at=clock.now(), mail_at=None)
    if _take_mails_back(about):  # a worker was writing them, for whom the change above has waited
        _change(about, mail_at=None)


def bring_back(subject: str, not_before: datetime) -> None:
    """Put retracted notices of one subject before their people again; who has had the mail gets no second one."""
    gone = (Notice.subject == subject) & Notice.retracted_at.is_not(None)
    mail_at = case((Notice.mailed_at.is_(None), literal(not_before, UtcDateTime)))
    _change(gone, retracted_at=None, not_before=not_before, mail_at=mail_at)


def reword(subject: str, words: str) -> None:
    """Let the notices of one subject say what readers see now, also in mails that are still to be written."""
    _change((Notice.subject == subject) & (Notice.words != words), words=words)


def rewrite(subjects: Sequence[str], words: Mapping[str, str]) -> None:
    """Let the notices of these subjects say, and quote, other words for the given ones; also those that are retracted.

    Mails with the old words that have not left are written anew; those that have left lose their words here.
    """
    for at in range(0, len(subjects), AT_ONCE):
        about = Notice.subject.in_(subjects[at : at + AT_ONCE])
        for old, new in words.items():
            holding = about & ((Notice.words == old) | (Notice.quote == old))
            _take_mails_back(holding)
            left = select(Notice.mailed_as).where(holding, Notice.mailed_as.is_not(None))
            gone = update(Message).where(Message.message_id.in_(left), Message.mailing_id.is_(None))
            gone = gone.values(text=WORDS_GONE, html=WORDS_GONE)
            db.session.execute(gone.execution_options(synchronize_session=False))
            _change(about & (Notice.words == old), words=new)
            _change(about & (Notice.quote == old), quote=new)
        _take_mails_back(about)  # a worker may have been writing them, for whom the changes above have waited


def unread_count(user: User) -> int:
    """Return how many notices a person has not read. One query."""
    mine = Notice.shown_to(user, clock.now()) & Notice.read_at.is_(None)
    return db.session.scalar(select(func.count(Notice.id)).where(mine)) or 0


def _take_mails_back(about: ColumnElement[bool]) -> bool:
    """Delete the mails about these notices that have not left; whatever else they told of goes into new ones.

    Returns whether there were any.
    """
    written = select(Notice.mailed_as).where(about, Notice.mailed_as.is_not(None))
    unsent = delete(Message).where(Message.message_id.in_(written), Message.sent_at.is_(None))
    taken = db.session.execute(
        unsent.returning(Message.message_id, Message.user_id).execution_options(synchronize_session=False)
    ).all()
    if taken:
        people, mails = {row.user_id for row in taken}, [row.message_id for row in taken]
        told = Notice.user_id.in_(people) & Notice.mailed_as.in_(mails)
        _change(told, mail_at=clock.now(), mailed_at=None, mailed_as=None)
    return bool(taken)


def _change(which: ColumnElement[bool], **values: Any) -> None:
    statement = update(Notice).where(which).values(**values)
    db.session.execute(statement.execution_options(synchronize_session=False))
