"""When notices become mails: the first of a thread at once, what follows gathered, digests at their hour."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import func, select
from sqlalchemy.orm import defer, lazyload

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.notifications.mailing import write_answers, write_decision, write_digest
from forum.notifications.notice import Notice
from forum.notifications.watch import MutedPerson, ThreadWatch
from forum.outbox.message import Message
from forum.site.settings import site_settings
from forum.subscriptions.letters import USUAL, Choice, Letter, Pace

BETWEEN_MAILS = timedelta(hours=1)
"""What is said in one thread meanwhile goes to a person in one mail."""
PIECE = 100
"""People in one transaction: their mails are written while SQLite lets nobody else write."""

DAY = timedelta(days=1)

Hidden = Callable[[Sequence[Notice], datetime], AbstractSet[int]]
"""Returns the ids of those notices whose words their person may not read just now."""


def gather(now: datetime, hidden: Hidden) -> int:
    """Put the mails that are due into the outbox, and return how many. Commits after each piece of people.

    Notices and their mail change together, so nothing is lost by a crash. Two workers never write the same mail:
    each takes people whom no other has, and of them notices that nobody is changing; the rest is for the next time.
    """
    written = reached = 0
    while people := _next_people(reached, now):
        outcomes = [_write(user, due) for user, due in _piece(people, now, hidden)]
        written, reached = written + sum(outcomes), people[-1].id
        db.session.commit()
    db.session.commit()
    return written


def digest_moment(pace: Pace, now: datetime) -> datetime:
    """Return the latest moment, at `now` or before, at which digests of this pace were due (in UTC)."""
    today = now.replace(hour=site_settings().digest_hour, minute=0, second=0, microsecond=0)
    moment = today if today <= now else today - DAY
    return moment - moment.weekday() * DAY if pace == Pace.WEEKLY else moment


@dataclass
class Due:
    """What there is to decide about one person's notices, and what is known for it."""

    now: datetime
    notices: list[Notice] = field(default_factory=list)
    paces: dict[str, Pace] = field(default_factory=dict)  # by letter, where they chose one
    mailed: dict[str, datetime] = field(default_factory=dict)  # by thread, the last mail about it
    had_digest: bool = False
    left_out: set[int] = field(default_factory=set)  # ids of notices that are not for them any more

    def pace(self, notice: Notice) -> Pace:
        """Return how often the person gets the letter that a notice belongs to."""
        letter = Letter(notice.letter)
        return self.paces.get(letter, USUAL[letter])


def _next_people(after: int, now: datetime) -> Sequence[User]:
    """Return the next people of whom something is due, locked; those whom another transaction has are left to it."""
    due = select(Notice.user_id).where(Notice.is_due(now))
    rows = select(User).where(User.id > after, User.id.in_(due)).order_by(User.id).limit(PIECE)
    locked = rows.with_for_update(key_share=True, skip_locked=True)
    return db.session.scalars(locked.execution_options(populate_existing=True)).all()


def _piece(people: Sequence[User], now: datetime, hidden: Hidden) -> list[tuple[User, Due]]:
    """Read what is due for these people, in the same few queries for one and for a hundred."""
    notices = _due_notices([user.id for user in people], now)
    dues = {user.id: Due(now) for user in people}
    for notice in notices:
        dues[notice.user_id].notices.append(notice)
    _read_choices(dues)
    _read_mailed(dues, {notice.thread for notice in notices if notice.thread})
    muted = _muted(dues)
    unreadable = hidden(notices, now)
    for user in people:
        due = dues[user.id]
        due.left_out = {
            notice.id
            for notice in due.notices
            if notice.id in unreadable
            or {(user.id, notice.thread), (user.id, notice.by_id)} & muted
            or not _is_for(user, notice)
        }
    return [(user, dues[user.id]) for user in people]


def _due_notices(ids: Sequence[int], now: datetime) -> Sequence[Notice]:
    """Return notices without their texts: who follows much may have thousands."""
    light = (defer(Notice.words), defer(Notice.quote), lazyload(Notice.by))
    rows = select(Notice).where(Notice.user_id.in_(ids), Notice.is_due(now)).order_by(Notice.id)
    # A moderator's decision may hold some, and want more that we hold: who waits for nobody is in nobody's way.
    locked = rows.with_for_update(of=Notice, skip_locked=True)
    return db.session.scalars(locked.options(*light).execution_options(populate_existing=True)).all()


def _read_choices(dues: dict[int, Due]) -> None:
    for choice in db.session.scalars(select(Choice).where(Choice.user_id.in_(dues))):
        dues[choice.user_id].paces[choice.letter] = choice.pace


def _read_mailed(dues: dict[int, Due], threads: AbstractSet[str]) -> None:
    now = next(iter(dues.values())).now
    lately = (
        select(Notice.user_id, Notice.thread, func.max(Notice.mailed_at).label("at"))
        .where(Notice.user_id.in_(dues), Notice.thread.in_(threads), Notice.mailed_at > now - BETWEEN_MAILS)
        .group_by(Notice.user_id, Notice.thread)
    )
    for row in db.session.execute(lately):
        dues[row.user_id].mailed[row.thread] = row.at
    had = select(Message.user_id).where(Message.batch == _batch(now), Message.user_id.in_(dues))
    for user_id in db.session.scalars(had):
        if user_id is not None:
            dues[user_id].had_digest = True


def _muted(dues: dict[int, Due]) -> set[tuple[int, str | int | None]]:
    """Return (person, thread) and (person, muted person) of all that these people muted, perhaps only lately."""
    threads = select(ThreadWatch.user_id, ThreadWatch.thread_id).where(
        ThreadWatch.user_id.in_(dues), ThreadWatch.is_muted
    )
    people = select(MutedPerson.user_id, MutedPerson.muted_id).where(MutedPerson.user_id.in_(dues))
    muted: set[tuple[int, str | int | None]] = {
        (row.user_id, f"thread:{row.thread_id}") for row in db.session.execute(threads)
    }
    return muted | {(row.user_id, row.muted_id) for row in db.session.execute(people)}


def _is_for(user: User, notice: Notice) -> bool:
    """Tell whether a person still gets mail of this kind: the banned hear only what was decided."""
    return user.is_confirmed and (not user.is_banned(clock.now()) or notice.letter == Letter.DECISIONS)


def _write(user: User, due: Due) -> int:
    """Write one person's mails, put off what is for later, and return how many mails it is."""
    for_now: list[Notice] = []
    digest: list[Notice] = []
    for notice in due.notices:
        pace = due.pace(notice)
        notice.mail_at = None
        if notice.id in due.left_out or pace == Pace.NEVER:
            continue
        if pace == Pace.NOW:
            for_now.append(notice)
        elif notice.created_at < digest_moment(pace, due.now) and not due.had_digest:
            digest.append(notice)
        else:  # also the weekly ones wait a day only: who wants them daily from now on has them tomorrow
            notice.mail_at = digest_moment(Pace.DAILY, due.now) + DAY
    mails = _write_now(user, due, for_now)
    if digest:
        _mark(digest, due.now, write_digest(user, digest, _batch(due.now)))
    return mails + bool(digest)


def _write_now(user: User, due: Due, notices: Sequence[Notice]) -> int:
    mails = 0
    for thread, told in groupby(
        sorted(notices, key=lambda one: (one.thread, one.id)), key=lambda one: one.thread
    ):
        group = list(told)
        last = due.mailed.get(thread)
        if last is not None:
            for notice in group:
                notice.mail_at = last + BETWEEN_MAILS
            continue
        if thread:
            _mark(group, due.now, write_answers(user, group))
            mails += 1
        else:
            mails += _write_single(user, group, due.now)
    return mails


def _write_single(user: User, notices: Sequence[Notice], now: datetime) -> int:
    """Write what belongs to no thread: each decision by itself; essays that waited for a digest, as one."""
    decisions = [notice for notice in notices if notice.letter == Letter.DECISIONS]
    essays = [notice for notice in notices if notice.letter != Letter.DECISIONS]
    for notice in decisions:
        _mark([notice], now, write_decision(user, notice))
    if essays:
        _mark(essays, now, write_digest(user, essays, batch=None))
    return len(decisions) + bool(essays)


def _mark(notices: Sequence[Notice], now: datetime, mail: Message) -> None:
    for notice in notices:
        notice.mailed_at, notice.mailed_as = now, mail.message_id


def _batch(now: datetime) -> str:
    """Return the name of the day's digests, of which the outbox takes one for each person."""
    return f"digest:{digest_moment(Pace.DAILY, now):%Y-%m-%d}"
