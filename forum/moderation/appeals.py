"""Appeals that wait for an answer, for those who decide: what was decided, and exactly the words that were judged."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import and_, select

from forum.database import db
from forum.discussion.comment import CommentRevision
from forum.discussion.event import Event
from forum.discussion.reasons import said
from forum.discussion.report import Appeal


@dataclass(frozen=True)
class Asked:
    """One open appeal, the decision that it is about, and the wording that this judged."""

    appeal: Appeal
    decision: Event
    judged: CommentRevision

    @property
    def why(self) -> str:
        """Return what the decision gave as its reason."""
        return said(self.decision.reason, self.decision.note)


def appeals_on(comment_ids: Collection[int]) -> dict[int, Asked]:
    """Return the open appeal of each of these comments that has one. One query."""
    judged = and_(CommentRevision.comment_id == Appeal.comment_id, CommentRevision.number == Event.revision)
    statement = (
        select(Appeal, Event, CommentRevision)
        .join(Event, Event.id == Appeal.event_id)
        .join(CommentRevision, judged)
        .where(Appeal.comment_id.in_(comment_ids), Appeal.decided_at.is_(None))
    )
    return {row[0].comment_id: Asked(*row) for row in db.session.execute(statement)}
