"""What a reader should hear about: a line in their inbox, and in time a mail."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Index,
    Select,
    String,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from forum import clock
from forum.accounts.user import User
from forum.database import (
    Base,
    BigId,
    Id,
    Line,
    Moment,
    Prose,
    UtcDateTime,
    db,
    insert_from,
    is_sqlite,
    reference,
)
from forum.notifications.watch import MutedPerson, ThreadWatch
from forum.outbox.message import Message
from forum.prepared import Prepared
from forum.subscriptions.letters import Letter

WORDS_GONE = "What this mail said is not kept any more: words of a comment were taken out."
AT_ONCE = 500
"""Subjects in one statement."""


MANY = 100
"""More are not counted: the number stands on every page, and nobody reads on to learn whether it is 212 or 213."""


class Notice(Base):
    """One thing that one person should hear about. Opening the inbox changes nothing in it."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("user_id", "subject"),
        Index("ix_notice_user_id_id", "user_id", "id"),
        # Not the thread alone: of a busy one that thousands follow, all their notices would be walked over.
        Index("ix_notice_user_id_thread", "user_id", "thread"),
        # The number beside “Notices” is on every page.
        Index(
            "ix_notice_unread",
            "user_id",
            "not_before",
            sqlite_where=text("read_at IS NULL AND retracted_at IS NULL"),
            postgresql_where=text("read_at IS NULL AND retracted_at IS NULL"),
        ),
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
    """When it went into a mail; without `mailed_as`, when it was held back from all mails (`hold_back_waiting`)."""
    mailed_as: Mapped[str | None] = mapped_column(String(120))
    """The Message-ID of the mail that tells of it."""

    by: Mapped[User | None] = relationship(foreign_keys=[by_id], lazy="joined")

    @classmethod
    def shown_to(cls, user_id: Any, now: Any) -> ColumnElement[bool]:
        """Return the condition of what stands in a person's inbox; what may still be undone waits until then."""
        return and_(cls.user_id == user_id, cls.retracted_at.is_(None), cls.not_before <= now)

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
    given: Mapping[str, Any] = MappingProxyType({}),
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
    is_kept: bool = False,
) -> None:
    """Put a notice before each of these people, in one statement however many they are.

    `people` selects user ids, with the values in `given` for what it leaves open; of a select that `is_kept` from call
    to call the SQL is kept too. Left out are `by`, who muted the thread (`thread_id`, its first comment) or
    `by`, and who has a notice about this subject already; one that was retracted is there again, and says these words.
    Where nobody can have heard of the subject before (`is_first`), no such are looked for.
    """
    now = clock.now()
    texts = {
        "letter": letter.value,
        "title": title,
        "heading": heading,
        "url": url,
        "words": words,
        "quote": quote,
        "subject": subject,
        "thread": thread,
    }
    own = {
        "person_id": personal.user_id if personal else None,
        "own_letter": personal.letter.value if personal else None,
        "own_heading": personal.heading if personal else None,
        "own_quote": personal.quote if personal else None,
    }
    moments = {"now": now, "not_before": not_before or now}
    values = {"by_id": by.id if by else None, "thread_id": thread_id, **texts, **own, **moments}
    db.session.flush()
    whole = {f"notice_{name}": value for name, value in values.items()} | dict(given)
    if is_kept:
        _kept(people).run(**whole)
    else:
        db.session.connection().execute(_putting_before(people, is_sqlite()), whole)
    if not is_first:
        bring_back(subject, not_before or now)
        reword(subject, words)


@lru_cache(maxsize=16)
def _kept(people: Select[int]) -> Prepared:
    return Prepared(lambda: _putting_before(people, is_sqlite()))


@lru_cache(maxsize=16)
def _putting_before(people: Select[int], _on_sqlite: bool) -> Any:
    """Return the statement that puts a notice before people, all that it says left open; another on each database."""
    person = people.subquery().c[0]
    is_own = person == _given("person_id", BigId)

    def own(name: str) -> ColumnElement[Any]:
        return case((is_own, _given(f"own_{name}", Text())), else_=_given(name, Text()))

    columns = {
        "user_id": person,
        "letter": own("letter"),
        "heading": own("heading"),
        "quote": own("quote"),
        **{name: _given(name, Text()) for name in ("subject", "thread", "title", "url", "words")},
        "by_id": _given("by_id", BigId),
        "created_at": _given("now", UtcDateTime()),
        "not_before": _given("not_before", UtcDateTime()),
        "mail_at": _given("not_before", UtcDateTime()),
    }
    muted = select(MutedPerson.user_id).where(MutedPerson.muted_id == _given("by_id", BigId))
    deaf = select(ThreadWatch.user_id).where(ThreadWatch.thread_id == _given("thread_id", BigId))
    wanted = select(*(column.label(name) for name, column in columns.items())).where(
        person != func.coalesce(_given("by_id", BigId), 0),
        person.not_in(muted),
        person.not_in(deaf.where(ThreadWatch.is_muted)),
    )
    return insert_from(Notice, wanted)


def _given(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    """Return the place of a value; those of `people` have names of their own."""
    return bindparam(f"notice_{name}", type_=kind)


def retract(subjects: Iterable[str]) -> None:
    """Take notices back whose cause has gone away: out of the inboxes, and out of every mail that has not left."""
    about = Notice.subject.in_(list(subjects))
    standing = about & Notice.retracted_at.is_(None)
    _outside_mails(about, lambda: _change(standing, retracted_at=clock.now(), mail_at=None))


def bring_back(subject: str, not_before: datetime) -> bool:
    """Put retracted notices of one subject before their people again, and tell whether there were any.

    Who has had the mail gets no second one.
    """
    gone = (Notice.subject == subject) & Notice.retracted_at.is_not(None)
    mail_at = case((Notice.mailed_at.is_(None), literal(not_before, UtcDateTime)))
    return _change(gone, retracted_at=None, not_before=not_before, mail_at=mail_at) > 0


def reword(subject: str, words: str) -> None:
    """Let the notices of one subject say what readers see now, also in mails that are still to be written."""
    _change((Notice.subject == subject) & (Notice.words != words), words=words)


def rewrite(subjects: Sequence[str], words: Mapping[str, str]) -> None:
    """Let the notices of these subjects say, and quote, other words for the given ones; also those that are retracted.

    Mails with the old words that have not left are written anew; those that have left lose their words here.
    """
    for at in range(0, len(subjects), AT_ONCE):
        about = Notice.subject.in_(subjects[at : at + AT_ONCE])
        _outside_mails(about, partial(_rewrite, about, words))


def rewrite_quotes(user_id: int, words: Mapping[str, str]) -> None:
    """Let what a person was told quote other words of theirs for the given ones, wherever the answer hangs now."""
    about = (Notice.user_id == user_id) & Notice.quote.in_({*words, *words.values()})
    _outside_mails(about, partial(_rewrite, about, words))


def hold_back_waiting(user_id: int, letters: Collection[str], at: datetime) -> None:
    """Let what a person was to hear of by mail go into none; `at` is by what it is found again."""
    waiting = (Notice.user_id == user_id) & Notice.letter.in_(letters) & Notice.mail_at.is_not(None)
    _change(waiting, mail_at=None, mailed_at=at)


def let_go_of_waiting(user_id: int, at: datetime) -> None:
    """Let what was held back from mails at a moment go into them, but for what is retracted."""
    held = (Notice.user_id == user_id) & (Notice.mailed_at == at) & Notice.mailed_as.is_(None)
    now = literal(clock.now(), UtcDateTime)
    soonest = case((Notice.not_before > now, Notice.not_before), else_=now)
    _change(held, mailed_at=None, mail_at=case((Notice.retracted_at.is_(None), soonest)))


def is_known(user_id: int, subjects: Iterable[str]) -> bool:
    """Tell whether a person has read one of these that stands in their inbox, or has a mail of it. One query."""
    waits = exists(
        select(Message.id).where(Message.message_id == Notice.mailed_as, Message.sent_at.is_(None))
    )
    has_mail = Notice.mailed_as.is_not(None) & ~waits
    theirs = (Notice.user_id == user_id) & Notice.subject.in_(list(subjects)) & Notice.retracted_at.is_(None)
    known = select(Notice.id).where(theirs, Notice.read_at.is_not(None) | has_mail)
    return db.session.scalar(known.limit(1)) is not None


def unread_count(user: User) -> int:
    """Return how many notices a person has not read, `MANY` for any number from there on. One query."""
    return db.session.scalar(unread_by(user.id, clock.now())) or 0


def unread_by(user_id: Any, now: Any) -> Select[int]:
    """Return the statement that counts what a person has not read, up to `MANY`; both may be parameters of it."""
    unread = select(Notice.id).where(Notice.shown_to(user_id, now), Notice.read_at.is_(None)).limit(MANY)
    return select(func.count()).select_from(unread.subquery())


def _rewrite(about: ColumnElement[bool], words: Mapping[str, str]) -> None:
    for old, new in words.items():
        holding = about & ((Notice.words == old) | (Notice.quote == old))
        left = select(Notice.mailed_as).where(holding, Notice.mailed_as.is_not(None))
        gone = update(Message).where(Message.message_id.in_(left), Message.mailing_id.is_(None))
        gone = gone.values(text=WORDS_GONE, html=WORDS_GONE)
        db.session.execute(gone.execution_options(synchronize_session=False))
        _change(about & (Notice.words == old), words=new)
        _change(about & (Notice.quote == old), quote=new)


def _outside_mails(about: ColumnElement[bool], change: Callable[[], object]) -> None:
    """Change notices that are in no mail: those mails that have not left are taken back.

    The change waits for a worker who is writing one just now. Then it is let go of and begun anew, so that
    mails are always locked before their notices, and two changes of one mail never wait for each other.
    """
    waiting = select(Notice.id).where(about, Notice.mail_at.is_not(None)).limit(1)
    if is_sqlite() or db.session.scalar(waiting) is None:  # SQLite lets one write at a time
        _take_mails_back(about)
        change()
        return
    is_done = False
    while not is_done:
        savepoint = db.session.begin_nested()
        _take_mails_back(about)
        change()
        is_done = db.session.scalar(_unsent(about).limit(1)) is None
        if is_done:
            savepoint.commit()
        else:
            savepoint.rollback()


def _take_mails_back(about: ColumnElement[bool]) -> None:
    """Delete the mails about these notices that have not left; whatever else they told of goes into new ones."""
    mails = db.session.execute(_unsent(about).order_by(Message.id).with_for_update()).all()
    if mails:
        people, ids = {mail.user_id for mail in mails}, [mail.message_id for mail in mails]
        told = Notice.user_id.in_(people) & Notice.mailed_as.in_(ids)
        gone = delete(Message).where(Message.message_id.in_(ids))
        db.session.execute(gone.execution_options(synchronize_session=False))
        db.session.scalars(select(Notice.id).where(told).order_by(Notice.id).with_for_update()).all()
        _change(told, mail_at=clock.now(), mailed_at=None, mailed_as=None)


def _unsent(about: ColumnElement[bool]) -> Select[str, int | None]:
    written = select(Notice.mailed_as).where(about, Notice.mailed_as.is_not(None))
    mails = select(Message.message_id, Message.user_id)
    return mails.where(Message.message_id.in_(written), Message.sent_at.is_(None))


def _change(which: ColumnElement[bool], **values: Any) -> int:
    statement = update(Notice).where(which).values(**values)
    changed: Any = db.session.execute(statement.execution_options(synchronize_session=False))
    return int(changed.rowcount)
