"""A person's inbox: what they should hear about, grouped by thread; only they say what is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select, update

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.notifications.notice import Notice
from forum.notifications.watch import ThreadWatch

PER_PAGE = 50


@dataclass
class Thread:
    """Notices that belong together, newest first; `number` is that of the thread's first comment, if it is one."""

    number: int | None
    notices: list[Notice] = field(default_factory=list)

    @property
    def comment_id(self) -> int | None:
        """Return a comment of the thread that its reader can open, if any notice is about one."""
        return next((found for notice in self.notices if (found := comment_of(notice))), None)


@dataclass
class Group:
    """All threads with notices below one essay."""

    title: str
    threads: dict[str, Thread] = field(default_factory=dict)


def inbox_page(user: User, number: int) -> Page[Notice]:
    """Return one page of a person's notices: those not read first, each part newest first. Two queries."""
    mine = select(Notice).where(Notice.shown_to(user.id, clock.now()))
    return page_of(mine.order_by(Notice.read_at.is_not(None), Notice.id.desc()), number, PER_PAGE)


def find_notice(user: User, notice_id: int) -> Notice | None:
    """Return a notice that stands in a person's inbox."""
    mine = Notice.shown_to(user.id, clock.now()) & (Notice.id == notice_id)
    return db.session.scalar(select(Notice).where(mine))


def mark_all_read(user: User, newest_id: int) -> None:
    """Mark all of a person's notices as read up to the newest that they saw; what came since stays new."""
    mine = Notice.shown_to(user.id, clock.now()) & Notice.read_at.is_(None) & (Notice.id <= newest_id)
    db.session.execute(update(Notice).where(mine).values(read_at=clock.now()))


def stop_mails_of_thread(user: User, thread_id: int) -> None:
    """Let nothing of a thread leave by mail any more that waits to: its reader has just muted it."""
    _stop_mails(user, Notice.thread == f"thread:{thread_id}")


def stop_mails_of_person(user: User, muted: User) -> None:
    """Let nothing that a person wrote leave by mail any more that waits to: the reader has just muted them."""
    _stop_mails(user, Notice.by_id == muted.id)


def grouped(notices: Iterable[Notice]) -> list[Group]:
    """Return notices below their essays and in their threads, each in the order of its first notice."""
    groups: dict[str, Group] = {}
    for notice in notices:
        group = groups.setdefault(notice.title, Group(notice.title))
        thread = group.threads.setdefault(notice.thread, Thread(_number(notice.thread, "thread")))
        thread.notices.append(notice)
    return list(groups.values())


def comment_of(notice: Notice) -> int | None:
    """Return the id of the comment that a notice is about, None when it is about something else."""
    return _number(notice.subject, "comment")


def watches_of(user: User, notices: Iterable[Notice]) -> dict[int, bool]:
    """Return for those threads of notices that a person follows (False) or has muted (True), which it is. One query."""
    threads = {_number(notice.thread, "thread") for notice in notices}
    mine = (ThreadWatch.user_id == user.id) & ThreadWatch.thread_id.in_(threads - {None})
    rows = db.session.execute(select(ThreadWatch.thread_id, ThreadWatch.is_muted).where(mine))
    return {row.thread_id: row.is_muted for row in rows}


def _stop_mails(user: User, which: ColumnElement[bool]) -> None:
    waiting = (Notice.user_id == user.id) & Notice.mail_at.is_not(None) & which
    db.session.execute(update(Notice).where(waiting).values(mail_at=None))


def _number(name: str, kind: str) -> int | None:
    """Return the number in a name such as "comment:12", None when it names another kind of thing."""
    found, _, number = name.partition(":")
    return int(number) if found == kind and number.isdigit() else None
