"""Reports of comments: one for each reader and wording; enough known readers fold a comment until it was looked at."""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy import func, select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.comment import Cause, Comment, Verdict, state_word
from forum.discussion.event import note_event
from forum.discussion.outcome import REMOVED
from forum.discussion.posting import put_on_desk, settle
from forum.discussion.report import Report
from forum.site.settings import site_settings

FEW = 4
"""How many of a reader's reports must have been judged before any of them counts less."""


@dataclass(frozen=True)
class Weight:
    """How much a reader's reports count towards the fold: `judged` were answered, with `right` of them agreed.

    The reports of a reader without any accepted comment count nothing, those of a known reader one. Of whom at
    least four were judged, and fewer than half of these were right, they count (right + 1) / (judged + 2): with
    one of six right a quarter. So it is never nothing, and being right again mends it.
    """

    is_known: bool
    judged: int = 0
    right: int = 0

    @property
    def value(self) -> Fraction:
        """Return it as an exact number: many small ones add up without an error."""
        if not self.is_known:
            return Fraction(0)
        is_often_wrong = self.judged >= FEW and 2 * self.right < self.judged
        return Fraction(self.right + 1, self.judged + 2) if is_often_wrong else Fraction(1)

    def __str__(self) -> str:
        if not self.is_known:
            return "does not count: none of their comments was accepted yet"
        why = f": {self.right} of {self.judged} reports were right" if self.judged >= FEW else ""
        return f"counts {round(float(self.value), 2):g}{why}"


def report_comment(reader: User, comment: Comment, reason: str, note: str) -> None:
    """Record a reader's report of the shown wording, once; enough of them fold it until it is looked at."""
    number = comment.shown_number
    if number is None or report_by(reader, comment) is not None:
        return
    report = Report(comment_id=comment.id, revision=number, user_id=reader.id, reason=reason, note=note)
    report.created_at = clock.now()
    db.session.add(report)
    comment.open_reports += 1
    db.session.flush()
    if _weight_against(comment) >= site_settings().reports_that_fold:
        _fold(comment)
    put_on_desk(comment)


def report_by(reader: User, comment: Comment) -> Report | None:
    """Return what a reader reported of the wording that readers see."""
    about = (Report.comment_id == comment.id) & (Report.revision == comment.shown_number)
    return db.session.scalar(select(Report).where(about, Report.user_id == reader.id))


def weights_of(reader_ids: Collection[int]) -> dict[int, Weight]:
    """Return how much each reader's reports count, by what became of those that were judged. One query."""
    is_judged = Report.outcome != ""
    statement = (
        select(
            User.id,
            User.accepted_comments,
            func.count().filter(is_judged),
            func.count().filter(Report.outcome == REMOVED),
        )
        .outerjoin(Report, Report.user_id == User.id)
        .where(User.id.in_(reader_ids))
        .group_by(User.id, User.accepted_comments)
    )
    rows = db.session.execute(statement)
    return {user_id: Weight(accepted > 0, judged, right) for user_id, accepted, judged, right in rows}


def _weight_against(comment: Comment) -> Fraction:
    """Add up what the open reports of the wording that readers see count."""
    about = (Report.comment_id == comment.id) & (Report.revision == comment.shown_number)
    reporters = db.session.scalars(select(Report.user_id).where(about, Report.outcome == "")).all()
    return sum((weight.value for weight in weights_of(reporters).values()), Fraction(0))


def _fold(comment: Comment) -> None:
    """Take a reported comment out of sight until a moderator has looked, once for each wording.

    The newest wording is what they decide about, also when it is a late edit that waits or was rejected.
    """
    shown, newest = comment.shown, comment.newest
    reports = frozenset({Cause.REPORTS.value})
    if shown is None or reports <= shown.causes:  # accepted after it was folded
        return
    watch, from_state = Watch(comment, shown, newest), state_word(comment, newest)
    shown.causes = reports if shown is newest else shown.causes | reports
    newest.causes = newest.causes | reports
    newest.verdict = Verdict.HELD
    comment.shown_number = None
    settle(comment)
    note_event("fold", None, comment, newest, watch, from_state=from_state)
