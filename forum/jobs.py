"""What the worker does between mails: turn what is due into messages."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, or_, select
from sqlalchemy.sql import Executable

from forum.database import looking
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.learned import LearnedFilter
from forum.discussion.numbering import GapCloser
from forum.discussion.telling import unreadable
from forum.essays.sending import Sending, begin_sendings
from forum.moderation.batch import Batch, go_on_with_batches
from forum.moderation.digest import tell_moderators
from forum.moderation.learning import POSTING, REMOVING, learn
from forum.notifications.gathering import gather
from forum.notifications.notice import Notice
from forum.outbox.worker import KEPT_FOR, delete_old, deliver_some, is_anything_old, is_mail_due
from forum.prepared import Prepared

Job = Callable[[datetime], int]
"""Does what is due at a moment, commits it, and returns how much it was."""


def send_news(now: datetime) -> int:
    """Write the mails that notices become; words below an essay go to who may read it whole at that moment."""
    return gather(now, unreadable)


JOBS: tuple[Job, ...] = (begin_sendings, send_news, tell_moderators, go_on_with_batches, learn, GapCloser())


def idle_jobs(now: datetime) -> Collection[Callable[..., Any]]:
    """Return the jobs that have nothing to do, and deliver_some() where no mail is due.

    One statement, which holds up nobody. What only may have to be done counts as due: each job looks for itself.
    """
    with looking():
        found = _LOOK.rows(now=now, old=now - KEPT_FOR)[0]
    return [job for job in _IS_DUE if not found[job.__name__]]


def _has_learnable() -> ColumnElement[bool]:
    """Return whether something was decided since the last training, or taken out."""
    last = select(LearnedFilter.last_event_id).order_by(LearnedFilter.id.desc()).limit(1)
    since = Event.id > func.coalesce(last.scalar_subquery(), 0)
    acts = (*REMOVING, *POSTING, "restore", "undo", "redact")
    return exists(select(Event.id).where(since, or_(*(Event.act == act for act in acts))))


_IS_DUE: dict[Callable[..., Any], Callable[[], ColumnElement[bool]]] = {
    begin_sendings: lambda: exists(select(Sending.essay_id).where(Sending.finished_at.is_(None))),
    send_news: lambda: exists(select(Notice.id).where(Notice.is_due(_given("now")))),
    tell_moderators: lambda: exists(select(Comment.id).where(Comment.waits_since.is_not(None))),
    go_on_with_batches: lambda: exists(select(Batch.id).where(Batch.finished_at.is_(None))),
    learn: _has_learnable,
    delete_old: lambda: is_anything_old(_given("old")),
    deliver_some: lambda: is_mail_due(_given("now")),
}
"""Jobs whose time has come, as the database sees it. What is not here is always asked."""


def _given(name: str) -> Any:
    return bindparam(name)


def _look() -> Executable:
    return select(*(is_due().label(job.__name__) for job, is_due in _IS_DUE.items()))


_LOOK = Prepared(_look)
