"""One person's whole history, for whoever decides about them, in a fixed number of queries."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.orm import contains_eager, joinedload

from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.discussion import reasons
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import Appeal, Report
from forum.moderation.decisions import DEEDS
from forum.moderation.queue import moderates
from forum.moderation.said import Said, in_words
from forum.moderation.standing import may_note, subject
from forum.moderation.undo import UNDOABLE, later_events, refused_undos, why_not_undo
from forum.site.audit import AuditEntry
from forum.subscriptions.subscription import State, Subscription
from forum.subscriptions.tier import state_names, subscription_words

COMMENTS_PER_PAGE = 20
LONGEST_TIMELINE = 50
MOST_NOTES = 50

ON_PEOPLE = DEEDS | {
    "ban": "banned them",
    "unban": "lifted the ban",
    "undo": "took back an earlier act",
}
"""What somebody did to a person, by the act of its event, to follow the name."""

ON_COMMENTS = UNDOABLE | {"fold", "appeal"}
"""The acts on a person's comments that the timeline shows; what they wrote is a list of its own."""


@dataclass(frozen=True)
class Numbers:
    """How much of what a person wrote waits, stands and was removed, and how reports and appeals ended."""

    waiting: int
    posted: int
    removed: int
    reports_against: int
    reports_against_right: int
    reports_against_wrong: int
    reports_made: int
    reports_made_right: int
    reports_made_wrong: int
    appeals: int
    appeals_won: int
    appeals_lost: int


@dataclass(frozen=True)
class Line:
    """One line of the timeline: of a comment, or with `comment_id` None of the person. `may_undo`: by who looks."""

    id: int
    at: datetime
    who: User | None
    words: str
    comment_id: int | None
    title: str
    note: str
    parts: int
    may_undo: bool


@dataclass(frozen=True)
class Note:
    """What somebody noted about a person."""

    at: datetime
    who: str
    words: str


@dataclass(frozen=True)
class History:
    """All that the page shows of a person."""

    subscription: str
    numbers: Numbers
    said: Page[Said]
    notes: list[Note]
    timeline: list[Line]


def history_of(user: User, reader: User, number: int, now: datetime) -> History:
    """Return a person's history as `reader` may see it: comments only below the essays that they moderate."""
    return History(
        subscription=_subscription(user, now),
        numbers=_numbers(user),
        said=_said(user, reader, number, now),
        notes=_notes(user) if may_note(reader, user) else [],
        timeline=_timeline(user, reader, now),
    )


def _subscription(user: User, now: datetime) -> str:
    period, names = db.session.get(Subscription, user.id), state_names()
    words = subscription_words(period.state(now) if period else State.FREE, period, names)
    if user.is_confirmed:
        return words
    return f"{names[State.UNCONFIRMED]}; {words}" if period else names[State.UNCONFIRMED]


def _numbers(user: User) -> Numbers:
    is_live = Comment.presence == Presence.LIVE
    held = is_live & (CommentRevision.verdict == Verdict.HELD)
    removed = (Comment.presence == Presence.HIDDEN) | (
        is_live & (CommentRevision.verdict == Verdict.REJECTED)
    )
    newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.newest_number)
    theirs = Comment.author_id == user.id
    written = db.session.execute(
        select(func.count(case((held, 1))), func.count(case((removed, 1))))
        .join(CommentRevision, newest)
        .where(theirs)
    ).one()
    right, wrong = (func.count(case((Report.outcome == word, 1))) for word in ("removed", "kept"))
    reports = select(func.count(Report.id), right, wrong)
    against = db.session.execute(reports.join(Comment, Comment.id == Report.comment_id).where(theirs)).one()
    made = db.session.execute(reports.where(Report.user_id == user.id)).one()
    won, lost = (func.count(case((Appeal.outcome == word, 1))) for word in ("overturned", "upheld"))
    appeals = select(func.count(Appeal.id), won, lost).join(Comment, Comment.id == Appeal.comment_id)
    asked = db.session.execute(appeals.where(theirs)).one()
    waiting, gone = written
    return Numbers(waiting, user.accepted_comments, gone, *against, *made, *asked)


def _said(user: User, reader: User, number: int, now: datetime) -> Page[Said]:
    theirs = (
        select(Comment)
        .join(Comment.essay)
        .where(Comment.author_id == user.id, moderates(reader, now))
        .order_by(Comment.id.desc())
        .options(joinedload(Comment.newest), joinedload(Comment.shown), contains_eager(Comment.essay))
    )
    page: Page[Comment] = page_of(theirs, number, COMMENTS_PER_PAGE)
    return Page(in_words(page.rows, reader), page.number, page.per_page, page.total)


def _notes(user: User) -> list[Note]:
    """Return the newest notes about a person. One query."""
    mine = (AuditEntry.subject == subject(user)) & (AuditEntry.act == "note")
    rows = db.session.execute(
        select(AuditEntry, User.name)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .where(mine)
        .order_by(AuditEntry.id.desc())
        .limit(MOST_NOTES)
    )
    return [Note(entry.at, name or "The command line", entry.reason) for entry, name in rows]


def _timeline(user: User, reader: User, now: datetime) -> list[Line]:
    """Return the newest acts on a person and on their comments; an act on many of these is one line."""
    on_person = select(Event).where(Event.person_id == user.id)
    on_comments = (
        select(Event)
        .join(Event.comment)
        .join(Comment.essay)
        .where(Comment.author_id == user.id, moderates(reader, now), Event.act.in_(ON_COMMENTS))
        .where(Event.part_of_id.is_(None))
        .options(contains_eager(Event.comment).contains_eager(Comment.essay))
    )
    events = sorted([*_last(on_person), *_last(on_comments)], key=lambda event: event.id, reverse=True)
    shown = events[:LONGEST_TIMELINE]
    later, refused = later_events(shown), refused_undos(reader, shown)
    return [_line(event, event.id not in refused and why_not_undo(event, later) is None) for event in shown]


def _last(events: Select[Event]) -> list[Event]:
    return list(db.session.scalars(events.order_by(Event.id.desc()).limit(LONGEST_TIMELINE)))


def _line(event: Event, may_undo: bool) -> Line:
    words = DEEDS if event.comment_id is not None else ON_PEOPLE
    return Line(
        id=event.id,
        at=event.at,
        who=event.actor,
        words=words.get(event.act, "changed it"),
        comment_id=event.comment_id,
        title=event.comment.essay.title if event.comment else "",
        note=reasons.said(event.reason, event.note) if event.reason else event.note,
        parts=event.parts,
        may_undo=may_undo,
    )
