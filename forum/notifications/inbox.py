"""A person's inbox: what they should hear about, grouped by thread; only they say what is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import select, update

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.notifications.notice import Notice
from forum.notifications.watch import ThreadWatch

PER_PAGE = 50


@dataclass
class Group:
    """Notices of one thread, or of one essay where they belong to no thread, newest first."""

    title: str
    thread_id: int | None
    notices: list[Notice] = field(default_factory=list)

    @property
    def comment_id(self) -> int | None:
        """Return a comment of the thread that its reader can open, if any notice is about one."""
        return next((found for notice in self.notices if (found := comment_of(notice))), None)


def inbox_page(user: User, number: int) -> Page[Notice]:
    """Return one page of a person's notices: those not read first, each part newest first. Two queries."""
    mine = select(Notice).where(Notice.shown_to(user, clock.now()))
    return page_of(mine.order_by(Notice.read_at.is_not(None), Notice.id.desc()), number, PER_PAGE)


def find_notice(user: User, notice_id: int) -> Notice | None:
    """Return a notice that stands in a person's inbox."""
    mine = Notice.shown_to(user, clock.now()) & (Notice.id == notice_id)
    return db.session.scalar(select(Notice).where(mine))


def mark_all_read(user: User, newest_id: int) -> None:
    """Mark all of a person's notices as read up to the newest that they saw; what came since stays new."""
    mine = Notice.shown_to(user, clock.now()) & Notice.read_at.is_(None) & (Notice.id <= newest_id)
    db.session.execute(update(Notice).where(mine).values(read_at=clock.now()))


def grouped(notices: Iterable[Notice]) -> list[Group]:
    """Return notices in groups, in the order of the first of each."""
    groups: dict[tuple[str, str], Group] = {}
    for notice in notices:
        key = (notice.thread, "" if notice.thread else notice.title)
        group = groups.setdefault(key, Group(notice.title, _number(notice.thread, "thread")))
        group.notices.append(notice)
    return list(groups.values())


def comment_of(notice: Notice) -> int | None:
    """Return the id of the comment that a notice is about, None when it is about something else."""
    return _number(notice.subject, "comment")


def watches_of(user: User, thread_ids: Iterable[int | None]) -> dict[int, bool]:
    """Return for those of these threads that a person follows (False) or has muted (True), which it is. One query."""
    wanted = [thread_id for thread_id in thread_ids if thread_id is not None]
    mine = (ThreadWatch.user_id == user.id) & ThreadWatch.thread_id.in_(wanted)
    rows = db.session.execute(select(ThreadWatch.thread_id, ThreadWatch.is_muted).where(mine))
    return {row.thread_id: row.is_muted for row in rows}


def _number(name: str, kind: str) -> int | None:
    """Return the number in a name such as "comment:12", None when it names another kind of thing."""
    found, _, number = name.partition(":")
    return int(number) if found == kind and number.isdigit() else None
