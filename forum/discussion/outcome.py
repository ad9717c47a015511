"""What becomes of reports: the moderators' answer to them, and what their readers hear of it."""

from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.report import Report
from forum.discussion.telling import UNDO_WINDOW
from forum.notifications.notice import bring_back, notify, retract
from forum.subscriptions.letters import Letter

KEPT, REMOVED = "kept", "removed"


def answer_reports(comment: Comment, watch: Watch, outcome: str) -> None:
    """Answer every open report of a comment: the moderators agreed (REMOVED) or not (KEPT)."""
    if not comment.open_reports:
        return
    about = (Report.comment_id == comment.id) & (Report.outcome == "")
    for report in db.session.scalars(select(Report).where(about).order_by(Report.id)):
        _answer(report, watch, outcome)
    comment.open_reports = 0


def overturn_reports(decision: Event, watch: Watch) -> None:
    """Answer the reports anew that a decision had agreed with: an appeal against it was granted."""
    for row_id in _answers_of(decision):
        report = db.session.get_one(Report, row_id)
        if report.outcome == REMOVED:
            _answer(report, watch, KEPT)


def count_open_reports(comment: Comment) -> None:
    """Count the open reports of a comment anew, after an undo: some may have come since."""
    about = (Report.comment_id == comment.id) & (Report.outcome == "")
    db.session.flush()
    comment.open_reports = len(db.session.scalars(select(Report.id).where(about)).all())


def tell_reporters(event: Event, comment: Comment) -> None:
    """Tell who reported a comment what became of it, once that cannot be a slip any more. Nobody is named.

    What an undo takes back was never said; what it brings back is said again. However many they are, it is one
    statement.
    """
    db.session.flush()
    if event.undoes_id is not None:
        follow_undo(event, "reports")
        return
    answers = _answers_of(event)
    if not answers:
        return
    old, new = next(iter(answers.values()))
    looked = "looked again" if old else "looked"
    reporters = (
        select(Report.user_id)
        .join(User, User.id == Report.user_id)
        .where(Report.id.in_(answers), Report.user_id != event.actor_id, User.email_confirmed_at.is_not(None))
        .distinct()
    )
    notify(
        Letter.DECISIONS,
        reporters,
        f"reports:{event.id}",
        title=comment.essay.title,
        heading="You reported a comment",
        url=comment.address if new == KEPT else f"{comment.essay.path}#discussion",
        words=f"The moderators {looked} and {new} it.",
        not_before=event.at + UNDO_WINDOW,
    )


def follow_undo(event: Event, kind: str) -> None:
    """Let what people were told of the act that an event takes back go; if that was an undo, it comes back.

    `kind` is what the subjects of the notices begin with. What was restored long after it was said stays said:
    the restoring has a notice of its own.
    """
    while event.undoes_id is not None and not (kind == "event" and is_told_apart(event)):
        back, event = event, db.session.get_one(Event, event.undoes_id)
        subject = f"{kind}:{event.id}"
        if event.is_undone:
            retract([subject])
        else:
            bring_back(subject, back.at + UNDO_WINDOW)


def is_told_apart(event: Event) -> bool:
    """Tell whether an act takes back something that its writer has heard of, by a decision of its own."""
    if event.undoes_id is None or event.act == "undo":
        return False
    return event.at - db.session.get_one(Event, event.undoes_id).at >= UNDO_WINDOW


def _answer(report: Report, watch: Watch, outcome: str) -> None:
    watch.add(report)
    report.decided_at, report.outcome = clock.now(), outcome


def _answers_of(event: Event) -> dict[int, tuple[str, str]]:
    """Return the outcome before and after the event of each report that it answered, by the report's id."""
    return {
        row_id: (old, new)
        for kind, row_id, field, old, new in event.changes
        if kind == "report" and field == "outcome" and new
    }
