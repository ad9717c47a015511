"""What becomes of reports: the moderators' answer to them, and what their readers hear of it."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.report import Report
from forum.discussion.telling import UNDO_WINDOW
from forum.notifications.notice import notify, retract
from forum.subscriptions.letters import Letter

KEPT, REMOVED = "kept", "removed"
WORDS = {
    KEPT: "The moderators looked at it and kept it.",
    REMOVED: "The moderators looked at it and removed it.",
}


def answer_reports(comment: Comment, watch: Watch, outcome: str) -> None:
    """Answer every open report of a comment: the moderators agreed (REMOVED) or not (KEPT)."""
    if comment.open_reports:
        about = (Report.comment_id == comment.id) & (Report.outcome == "")
        _answer(db.session.scalars(select(Report).where(about).order_by(Report.id)), watch, outcome)
        comment.open_reports = 0


def overturn_reports(decision: Event, watch: Watch) -> None:
    """Answer the reports anew that a decision had agreed with: an appeal against it was granted."""
    ids = {row_id for kind, row_id, *_ in decision.changes if kind == "report"}
    if ids:
        agreed = Report.id.in_(ids) & (Report.outcome == REMOVED)
        _answer(db.session.scalars(select(Report).where(agreed).order_by(Report.id)), watch, KEPT)


def count_open_reports(comment: Comment) -> None:
    """Count the open reports of a comment anew, after an undo: some may have come since."""
    about = (Report.comment_id == comment.id) & (Report.outcome == "")
    db.session.flush()
    comment.open_reports = db.session.scalar(select(func.count(Report.id)).where(about)) or 0


def tell_reporters(event: Event, comment: Comment) -> None:
    """Tell who reported a comment what became of it, once that cannot be a slip any more. Nobody is named.

    Of each moment at which reports were answered there is one notice for each reader: it goes when an undo opens
    them again, and comes back with an undo of that. However many readers they are, it is one statement.
    """
    changes = [change for change in event.changes if change[0] == "report" and change[2] == "decided_at"]
    if not changes:
        return
    retract(_subject(comment, old) for old in {old for *_, old, _ in changes if old})
    for moment in {new for *_, new in changes if new}:
        _tell(event, comment, moment, [row_id for _, row_id, _, _, new in changes if new == moment])


def _answer(reports: Iterable[Report], watch: Watch, outcome: str) -> None:
    now = clock.now()
    for report in reports:
        watch.add(report)
        report.decided_at, report.outcome = now, outcome


def _tell(event: Event, comment: Comment, moment: str, report_ids: list[int]) -> None:
    outcome = db.session.get_one(Report, report_ids[0]).outcome
    reporters = (
        select(Report.user_id)
        .join(User, User.id == Report.user_id)
        .where(Report.id.in_(report_ids), User.email_confirmed_at.is_not(None))
        .where(Report.user_id != event.actor_id)
        .distinct()
    )
    notify(
        Letter.DECISIONS,
        reporters,
        _subject(comment, moment),
        title=comment.essay.title,
        heading="You reported a comment",
        url=comment.address if outcome == KEPT else f"{comment.essay.path}#discussion",
        words=WORDS[outcome],
        not_before=event.at + UNDO_WINDOW,
    )


def _subject(comment: Comment, moment: str) -> str:
    return f"report:{comment.id}:{datetime.fromisoformat(moment).timestamp() * 1_000_000:.0f}"
