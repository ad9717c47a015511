"""What a reader should hear about: a line in their inbox, and in time a mail."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Index, Select, String, UniqueConstraint, func, literal, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum import clock
from forum.accounts.user import User
from forum.database import Base, Id, Line, Moment, Prose, UtcDateTime, db, insert_from, reference
from forum.notifications.watch import MutedPerson, ThreadWatch
from forum.subscriptions.letters import Letter


class Notice(Base):
    """One thing that one person should hear about. Opening the inbox changes nothing in it."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("user_id", "subject"),
        Index("ix_notice_user_id_id", "user_id", "id"),
        Index("ix_notice_is_to_mail_not_before", "is_to_mail", "not_before"),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = reference("user.id", index=False)
    letter: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(40), index=True)
    """What it is about: "comment:12", "event:7", "essay:3". A person hears of each once."""
    thread: Mapped[str] = mapped_column(String(40), default="", index=True)
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
    is_to_mail: Mapped[bool] = mapped_column(default=True)
    mailed_at: Mapped[Moment | None]

    by: Mapped[User | None] = relationship(foreign_keys=[by_id], lazy="joined")


def notify(
    letter: Letter,
    people: Select[tuple[int]],
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
) -> None:
    """Put a notice before each of these people, in one statement however many they are.

    `people` selects user ids. Left out are `by`, who muted the thread (`thread_id`, its first comment) or `by`,
    and who has a notice about this subject already; one that was retracted is there again.
    """
    now = clock.now()
    by_id = by.id if by else None
    found = people.subquery()
    person = found.c[0]
    texts = {"title": title, "heading": heading, "url": url, "words": words, "quote": quote}
    wanted = select(
        person.label("user_id"),
        literal(letter.value).label("letter"),
        literal(subject).label("subject"),
        literal(thread).label("thread"),
        *(literal(value).label(name) for name, value in texts.items()),
        literal(by_id).label("by_id") if by_id else func.null().label("by_id"),
        literal(now, UtcDateTime).label("created_at"),
        literal(not_before or now, UtcDateTime).label("not_before"),
        literal(True).label("is_to_mail"),
    )
    if by_id is not None:
        muted = select(MutedPerson.user_id).where(MutedPerson.muted_id == by_id)
        wanted = wanted.where(person != by_id, person.not_in(muted))
    if thread_id is not None:
        deaf = select(ThreadWatch.user_id).where(ThreadWatch.thread_id == thread_id, ThreadWatch.is_muted)
        wanted = wanted.where(person.not_in(deaf))
    db.session.flush()
    db.session.execute(insert_from(Notice, wanted))
    again = (Notice.subject == subject) & Notice.retracted_at.is_not(None)
    db.session.execute(update(Notice).where(again).values(retracted_at=None))


def retract(subjects: Iterable[str]) -> None:
    """Take notices back whose cause has gone away: out of the inboxes, and never mailed while it stays away."""
    gone = Notice.subject.in_(list(subjects)) & Notice.retracted_at.is_(None)
    db.session.execute(update(Notice).where(gone).values(retracted_at=clock.now()))


def unread_count(user: User) -> int:
    """Return how many notices a person has not read. One query."""
    mine = (Notice.user_id == user.id) & Notice.read_at.is_(None) & Notice.retracted_at.is_(None)
    return db.session.scalar(select(func.count(Notice.id)).where(mine)) or 0
