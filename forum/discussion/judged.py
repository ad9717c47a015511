"""What an appeal is about: the decision, and exactly the words that were judged."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, select

from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision, Verdict
from forum.discussion.event import Event
from forum.discussion.reasons import said
from forum.discussion.report import Appeal
from forum.discussion.rights import DECISIONS


@dataclass(frozen=True)
class Judged:
    """One decision against a comment, the wording that it judged, and its writer's appeal, if there was one."""

    decision: Event
    words: CommentRevision
    appeal: Appeal | None

    @property
    def why(self) -> str:
        """Return what the decision gave as its reason."""
        return said(self.decision.reason, self.decision.note)


def judged_on(comment: Comment) -> Judged | None:
    """Return the last decision that stands against words that readers do not see. One query, none for other words."""
    if comment.ban_id is not None:  # it is the ban that keeps them from readers
        return None
    newest = comment.newest
    if not comment.is_refused and not (newest.verdict == Verdict.HELD and Cause.APPEAL in newest.causes):
        return None
    against = _judged().where(
        Event.comment_id == comment.id, Event.act.in_(DECISIONS), Event.is_undone.is_(False)
    )
    row = db.session.execute(against.order_by(Event.id.desc()).limit(1)).first()
    return Judged(*row) if row else None


def appeals_on(comment_ids: Collection[int]) -> dict[int, Judged]:
    """Return what the open appeals of these comments are about, by comment. One query."""
    is_open = Appeal.comment_id.in_(comment_ids) & Appeal.decided_at.is_(None)
    rows = db.session.execute(_judged(is_appealed=True).where(is_open))
    return {row[1].comment_id: Judged(*row) for row in rows}


def _judged(*, is_appealed: bool = False) -> Select[*tuple[Any, ...]]:
    """Return a select of decisions; only of those that were appealed it begins at the appeals, past all others."""
    words = and_(CommentRevision.comment_id == Event.comment_id, CommentRevision.number == Event.revision)
    return (
        select(Event, CommentRevision, Appeal)
        .join(CommentRevision, words)
        .join(Appeal, Appeal.event_id == Event.id, isouter=not is_appealed)
    )
