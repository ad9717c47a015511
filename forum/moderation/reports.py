"""What readers reported of comments, for those who decide: the reason, their words, and how much it counts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.outcome import REMOVED
from forum.discussion.reasons import NEEDS_NOTE, words_of
from forum.discussion.report import Report
from forum.discussion.reporting import Weight

UNNAMED = "A reader"


@dataclass(frozen=True)
class Reported:
    """One report that nobody has answered: by whom, the sentence of its reason, their own words, and its weight.

    “Something else” is said by their words alone.
    """

    by: str
    reason: str
    note: str
    at: datetime
    revision: int
    counts: Weight


def reports_on(comment_ids: Collection[int], reader: User | None) -> dict[int, list[Reported]]:
    """Return the open reports of these comments, by comment, the first one first. One query.

    Who reported the words of whoever reads this is not named.
    """
    judged = aliased(Report)
    statement = (
        select(
            Report,
            User.name,
            User.accepted_comments,
            Comment.author_id,
            func.count(judged.id),
            func.count(judged.id).filter(judged.outcome == REMOVED),
        )
        .join(User, User.id == Report.user_id)
        .join(Comment, Comment.id == Report.comment_id)
        .outerjoin(judged, (judged.user_id == Report.user_id) & (judged.outcome != ""))
        .where(Report.comment_id.in_(comment_ids), Report.outcome == "")
        .group_by(Report.id, User.id, Comment.id)
        .order_by(Report.id)
    )
    found: dict[int, list[Reported]] = {}
    for report, name, accepted, author_id, count, right in db.session.execute(statement):
        is_about_reader = reader is not None and author_id == reader.id
        found.setdefault(report.comment_id, []).append(
            Reported(
                by=UNNAMED if is_about_reader else name,
                reason="" if report.reason == NEEDS_NOTE and report.note else words_of(report.reason),
                note=report.note,
                at=report.created_at,
                revision=report.revision,
                counts=Weight(accepted > 0, count, right),
            )
        )
    return found
