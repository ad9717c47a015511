"""What readers reported of comments, for those who decide: the reason, their words, and how much it counts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.reasons import words_of
from forum.discussion.report import Report
from forum.discussion.reporting import Weight, weights_of


@dataclass(frozen=True)
class Reported:
    """One report that nobody has answered: by whom, the sentence of its reason, their own words, and its weight."""

    user_id: int
    by: str
    reason: str
    note: str
    at: datetime
    revision: int
    counts: Weight


def reports_on(comment_ids: Collection[int]) -> dict[int, list[Reported]]:
    """Return the open reports of these comments, by comment, the first one first. Two queries."""
    statement = (
        select(Report, User.name)
        .join(User, User.id == Report.user_id)
        .where(Report.comment_id.in_(comment_ids), Report.outcome == "")
        .order_by(Report.id)
    )
    rows = db.session.execute(statement).all()
    weights = weights_of({report.user_id for report, _ in rows})
    found: dict[int, list[Reported]] = {}
    for report, name in rows:
        found.setdefault(report.comment_id, []).append(
            Reported(
                report.user_id,
                name,
                words_of(report.reason),
                report.note,
                report.created_at,
                report.revision,
                weights[report.user_id],
            )
        )
    return found
