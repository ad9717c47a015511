"""Who hears of a comment: the one it answers, and who follows the thread or the discussion."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select, union_all
from sqlalchemy.orm import defer, lazyload

from forum import clock
from forum.accounts.user import User
from forum.database import BigId, db
from forum.discussion.comment import Comment, Presence
from forum.essays.essay import Access, Essay
from forum.notifications.follow import Follow
from forum.notifications.notice import Notice, Personal, bring_back, notify, retract, reword
from forum.notifications.watch import ThreadWatch
from forum.subscriptions.letters import Letter

UNDO_WINDOW = timedelta(seconds=30)
"""How long mail about a moderator's decision waits, so that a slip of the finger never leaves the house."""


def tell_readers(comment: Comment, decided_by: User | None = None) -> None:
    """Put a comment that readers see from now on before everybody who wants to hear of it.

    That is the writer it answers, the essay's author, and who follows the thread or the whole discussion; each
    hears of it once. `decided_by` let it through: they have read it. One statement for 10,000 followers.
    """
    now = clock.now()
    essay, thread, answered = comment.essay, comment.root_comment_id, _answered(comment)
    heading, personal = "commented", None
    if answered is not None:
        heading = f"answered {answered.author.name}"
        personal = Personal(answered.author_id, Letter.REPLIES, "answered you", _own_words(answered))
    people = _may_hear(essay, now)
    notify(
        Letter.FOLLOWED,
        people,
        _subject(comment),
        given={
            "thread": thread,
            "essay_id": essay.id,
            "author_id": essay.author_id,
            "answered_id": answered.author_id if answered else None,
            "decided_by_id": decided_by.id if decided_by else None,
            "moment": now,
        },
        title=essay.title,
        heading=heading,
        url=comment.address,
        thread=f"thread:{thread}",
        thread_id=thread,
        by=comment.author,
        words=comment.shown.source if comment.shown else "",
        not_before=now + UNDO_WINDOW if decided_by else now,
        personal=personal,
        is_first=decided_by is None,
        is_kept=people is _wanting(),
    )


def keep_told(comment: Comment, change: int) -> None:
    """Let what people were told of a comment follow it: `change` is 1 as readers see it again, -1 as it goes.

    With 0 its words may have changed. What comes back is nothing new: only who was told before is told again.
    """
    if change < 0:
        retract([_subject(comment)])
    elif change > 0:
        bring_back(_subject(comment), clock.now())
    if comment.visible and comment.shown is not None:
        reword(_subject(comment), comment.shown.source)


def keep_all_told(comments: Sequence[Comment], changes: Mapping[int, int]) -> None:
    """Do what keep_told() does for each of many comments, whose changes stand under their ids."""
    gone = [_subject(comment) for comment in comments if changes[comment.id] < 0]
    if gone:
        retract(gone)
    there = {_subject(comment): comment for comment in comments if changes[comment.id] >= 0}
    told = select(Notice.subject).where(Notice.subject.in_(there)).distinct()
    for subject in db.session.scalars(told).all() if there else ():
        keep_told(there[subject], changes[there[subject].id])


def unreadable(notices: Sequence[Notice], now: datetime) -> set[int]:
    """Return the ids of the notices about comments whose essay their person may not read whole just now.

    Words behind a mark are shown to nobody whose subscription has ended since. Two queries, and one more for
    each essay that is not public.
    """
    comments = _comment_ids(notices)
    essays = select(Comment.id, Essay).join(Essay, Essay.id == Comment.essay_id)
    light = (defer(Essay.source), defer(Essay.html), defer(Essay.preview_html), lazyload("*"))
    found = {
        row[0]: row[1]
        for row in db.session.execute(essays.where(Comment.id.in_(set(comments.values()))).options(*light))
    }
    people = {notice.user_id for notice in notices}
    may_read = {essay.id: _who_may_read(essay, people, now) for essay in set(found.values())}
    hidden = set()
    for notice in notices:
        essay = found.get(comments.get(notice.id, 0))
        if essay is not None and notice.user_id not in may_read[essay.id]:
            hidden.add(notice.id)
    return hidden


def _subject(comment: Comment) -> str:
    return f"comment:{comment.id}"


def _comment_ids(notices: Sequence[Notice]) -> dict[int, int]:
    """Return the comment that each notice is about, by the notice's id; others are left out."""
    about = ((notice.id, notice.subject.partition(":")) for notice in notices)
    return {notice_id: int(number) for notice_id, (kind, _, number) in about if kind == "comment"}


def _who_may_read(essay: Essay, people: Collection[int], now: datetime) -> Collection[int]:
    if essay.access == Access.PUBLIC and essay.is_published(now):
        return people
    return set(db.session.scalars(select(User.id).where(User.id.in_(people), essay.readers(now))))


def _may_hear(essay: Essay, now: datetime) -> Select[int]:
    """Return a select of who wants to hear of a comment and may be shown words from below its essay."""
    if essay.access == Access.PUBLIC and essay.is_published(now):
        return _wanting()
    return _wanting().where(essay.readers(now))


@cache
def _wanting() -> Select[int]:
    """Return a select of whom a comment answers, and of who follows its thread or the discussion."""
    watching = ThreadWatch.thread_id == bindparam("thread")
    wanting = union_all(
        select(ThreadWatch.user_id).where(watching, ThreadWatch.is_muted.is_(False)),
        select(Follow.user_id).where(Follow.essay_id == bindparam("essay_id")),
        select(bindparam("author_id", type_=BigId)),  # authors follow their own discussions
        select(bindparam("answered_id", type_=BigId)),
    ).subquery()
    confirmed = User.email_confirmed_at.is_not(None)
    is_decider = User.id == func.coalesce(bindparam("decided_by_id", type_=BigId), 0)
    moment: Any = bindparam("moment")
    # Each part is a look at an index; with OR between them all accounts would be walked over.
    people = select(User.id).where(User.id.in_(select(wanting.c[0])))
    return people.where(confirmed, User.is_at_large(moment), ~is_decider)


def _answered(comment: Comment) -> Comment | None:
    return db.session.get(Comment, comment.answers_id) if comment.answers_id is not None else None


def _own_words(answered: Comment) -> str:
    """Return what somebody is answered to, in their own words; what they withdrew is not brought up again."""
    if answered.presence in (Presence.WITHDRAWN, Presence.ERASED):
        return ""
    is_newest_shown = answered.shown_number in (None, answered.newest_number)
    words = answered.newest if is_newest_shown else answered.shown
    return words.source if words else ""
