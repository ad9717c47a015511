"""Letting readers see words that waited: what a moderator's “Post” does, and an answer by staff who were shown them."""

from sqlalchemy import ColumnElement, String, select, type_coerce

from forum import clock
from forum.database import db
from forum.discussion.change import Watch, value_before
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.outcome import KEPT, answer_reports, overturn_reports
from forum.discussion.report import Appeal


def accept(comment: Comment, watch: Watch) -> str:
    """Show the newest wording, which waits, and answer reports and appeal; return the word for it in the event.

    `watch` has seen the comment and the wording. The caller settles what follows.
    """
    newest = comment.newest
    is_appeal = Cause.APPEAL in newest.causes
    if _replaces_public_words(comment, newest):
        comment.edited_at = newest.created_at
    if is_appeal:
        newest.causes = newest.causes | _causes_before_appeal(comment, newest)
        close_appeal(comment, watch, "overturned")
    answer_reports(comment, watch, KEPT)
    comment.presence = Presence.LIVE
    comment.shown_number = newest.number
    newest.verdict, newest.reason, newest.note = Verdict.ACCEPTED, "", ""
    return "overturn" if is_appeal else "approve"


def open_appeal(comment: Comment) -> Appeal | None:
    """Return the appeal that waits for an answer. One query."""
    return db.session.scalar(
        select(Appeal).where(Appeal.comment_id == comment.id, Appeal.decided_at.is_(None))
    )


def close_appeal(comment: Comment, watch: Watch, outcome: str) -> None:
    """Answer the open appeal, if there is one."""
    if appeal := open_appeal(comment):
        watch.add(appeal)
        appeal.decided_at, appeal.outcome = clock.now(), outcome
        if outcome == "overturned":
            overturn_reports(db.session.get_one(Event, appeal.event_id), watch)


def event_of_appeal(comment: Comment, newest: CommentRevision) -> Event | None:
    """Return the event of the open appeal about these words; words that were sent in anew have none."""
    if Cause.APPEAL not in newest.causes or open_appeal(comment) is None:
        return None
    appealed = db.session.scalar(
        select(Event)
        .where(Event.comment_id == comment.id, Event.act == "appeal")
        .order_by(Event.id.desc())
        .limit(1)
    )
    return appealed if appealed is not None and appealed.revision == newest.number else None


def _replaces_public_words(comment: Comment, newest: CommentRevision) -> bool:
    """Tell whether readers saw other words of this comment before, also such as reports folded since."""
    if comment.shown_number is not None:
        return comment.shown_number != newest.number
    if newest.number == 1:
        return False
    earlier = select(CommentRevision.id).where(
        CommentRevision.comment_id == comment.id,
        CommentRevision.number < newest.number,
        (CommentRevision.verdict == Verdict.ACCEPTED) | _has_cause(Cause.REPORTS),
    )
    return db.session.scalar(earlier.limit(1)) is not None


def _has_cause(cause: Cause) -> ColumnElement[bool]:
    """Return the condition on revisions that are or were held for this cause."""
    return type_coerce(CommentRevision.causes, String).contains(f" {cause.value} ")


def _causes_before_appeal(comment: Comment, newest: CommentRevision) -> frozenset[str]:
    """Return what the words were held for before: those judged after reports are not folded a second time."""
    appealed = event_of_appeal(comment, newest)
    return frozenset(value_before(appealed.changes, "causes", [])) if appealed else frozenset()
