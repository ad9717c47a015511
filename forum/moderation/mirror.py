"""The mirror: old decisions that come back blind, how often they are taken again, and who fares how."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import User
from forum.database import db, insert_unless_there
from forum.discussion.comment import Comment, CommentRevision, Presence
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.moderation.learning import POSTING, REMOVING
from forum.moderation.queue import moderates
from forum.moderation.second_look import SecondLook
from forum.site.settings import site_settings
from forum.subscriptions.subscription import PAYING
from forum.text.excerpt import first_line

EVERY = 25
"""After so many decisions of one's own an old one comes back."""
OLD = timedelta(days=30)
FEWEST = 10
"""Below so many cases nothing is said about a share: one more could turn it round."""
ANSWERS = ("post", "remove", "pass")
GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples, each without what is before the point, spread evenly between 0 and 1 however many there are."""

NORMAL_95 = 1.96
"""Between minus and plus so many standard deviations lie 95 % of a normal distribution."""


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    part: int
    whole: int

    @property
    def is_enough(self) -> bool:
        """Tell whether there are enough cases to say anything."""
        return self.whole >= FEWEST

    @property
    def value(self) -> float:
        """Return the share, 0 of none."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return between what the true share lies, being wrong about one time in 20 (Wilson's score, 1927)."""
        if not self.whole:
            return 0.0, 1.0
        z, n, p = NORMAL_95, self.whole, self.value
        middle = p + z * z / (2 * n)
        spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


@dataclass(frozen=True)
class Agreement:
    """What became of second looks: of what was posted and of what was removed, how much would be again."""

    posted: Share
    removed: Share
    passed: int

    @property
    def all(self) -> Share:
        """Return how many decisions of either kind would be taken again."""
        return Share(self.posted.part + self.removed.part, self.posted.whole + self.removed.whole)


@dataclass(frozen=True)
class Comparison:
    """Two kinds of readers, and how much of what was decided about them was removed."""

    one: str
    other: str
    removed_of_one: Share
    removed_of_other: Share

    @property
    def is_enough(self) -> bool:
        """Tell whether there are enough decisions about both."""
        return self.removed_of_one.is_enough and self.removed_of_other.is_enough

    @property
    def interval(self) -> tuple[float, float]:
        """Return between what the true difference of the shares lies, being wrong about one time in 20.

        Newcombe's method 10 (Statistics in Medicine 17, 1998), made of the two intervals after Wilson.
        """
        one, other = self.removed_of_one, self.removed_of_other
        (low, high), (other_low, other_high) = one.interval, other.interval
        difference = one.value - other.value
        return (
            difference - math.hypot(one.value - low, other_high - other.value),
            difference + math.hypot(high - one.value, other.value - other_low),
        )

    @property
    def is_different(self) -> bool:
        """Tell whether the numbers show a difference: there are enough, and none at all is not within the bounds."""
        low, high = self.interval
        return self.is_enough and not low <= 0 <= high


@dataclass(frozen=True)
class Look:
    """An old decision as it comes back: the words that were decided about and what they answer, nothing else."""

    event: Event
    wording: CommentRevision
    essay: Essay
    answers: str
    """The first words of the comment that it answers, if readers see that."""
    answers_any: bool
    """Whether it answers a comment at all."""


def is_due(user: User) -> bool:
    """Tell whether an old decision should come back now: 25 were taken since. One small query until it is so."""
    if not site_settings().second_looks:
        return False
    last = select(func.max(SecondLook.at)).where(SecondLook.actor_id == user.id).scalar_subquery()
    own = select(Event.at, last).where(_decided_by(user), Event.part_of_id.is_(None))
    rows = db.session.execute(own.order_by(Event.id.desc()).limit(EVERY)).all()
    if len(rows) < EVERY:
        return False
    earliest, looked = rows[-1]
    return (looked is None or earliest > looked) and has_look(user)


def has_look(user: User) -> bool:
    """Tell whether there is an old decision of one's own to look at again; it need not be the next one."""
    if not site_settings().second_looks:
        return False
    one = _old_decisions(user).with_only_columns(Event.id).order_by(Event.id)
    return db.session.scalar(one.limit(1)) is not None


def next_look(user: User) -> Look | None:
    """Return the old decision of one's own to look at next; by turns one that posted and one that removed.

    The same each time until it is answered, so that nobody can leaf through them for one they know.
    """
    if not site_settings().second_looks:
        return None
    mine = SecondLook.actor_id == user.id
    taken, last = db.session.execute(select(func.count(), func.max(SecondLook.at)).where(mine)).one()
    turns = (REMOVING, POSTING) if taken % 2 else (POSTING, REMOVING)
    start = _start(user, taken, last)
    for acts in turns:
        statement = _old_decisions(user).where(Event.act.in_(acts)).order_by(Event.id).limit(1)
        for part in (Event.id >= start, Event.id < start):
            if row := db.session.execute(statement.where(part)).first():
                return _look(row)
    return None


def find_look(user: User, event_id: int) -> Look | None:
    """Return an old decision of one's own that can be looked at again and was not."""
    return _look(db.session.execute(_old_decisions(user).where(Event.id == event_id)).first())


def take_look(user: User, event: Event, answer: str) -> None:
    """Keep what somebody says about their old decision now; it changes nothing else."""
    values = {"actor_id": user.id, "event_id": event.id, "at": clock.now(), "answer": answer}
    db.session.execute(insert_unless_there(SecondLook, **values))


def taken_look(user: User, event_id: int) -> tuple[SecondLook, Event] | None:
    """Return a second look of one's own with what was decided the first time."""
    mine = (SecondLook.actor_id == user.id) & (SecondLook.event_id == event_id)
    statement = select(SecondLook, Event).join(Event, Event.id == SecondLook.event_id)
    row = db.session.execute(statement.where(mine)).first()
    return (row.SecondLook, row.Event) if row else None


def agreement(user: User | None) -> Agreement:
    """Return how often a person agreed with themselves, None for all people together. One query."""
    is_removal = Event.act.in_(REMOVING).label("is_removal")
    statement = (
        select(SecondLook.answer, is_removal, func.count().label("times"))
        .join(Event, Event.id == SecondLook.event_id)
        .group_by(SecondLook.answer, "is_removal")
    )
    if user is not None:
        statement = statement.where(SecondLook.actor_id == user.id)
    times: Counter[tuple[str, bool]] = Counter()
    for row in db.session.execute(statement):
        times[row.answer, bool(row.is_removal)] = row.times
    posted, removed = times["post", False], times["remove", True]
    return Agreement(
        posted=Share(posted, posted + times["remove", False]),
        removed=Share(removed, removed + times["post", True]),
        passed=times["pass", False] + times["pass", True],
    )


def comparisons(user: User | None) -> list[Comparison]:
    """Compare paying readers with free ones and new readers with known ones, as they were when they posted.

    Counts the comments that a person decided about last, None for those that anybody decided about. One query.
    """
    last = select(func.max(Event.id)).where(_decided_by(user)).group_by(Event.comment_id)
    is_new = (Comment.accepted_before < new_until()).label("is_new")
    is_removal = Event.act.in_(REMOVING).label("is_removal")
    statement = (
        select(Comment.subscription, is_new, is_removal, func.count().label("times"))
        .join(Comment, Comment.id == Event.comment_id)
        .where(Event.id.in_(last))
        .group_by(Comment.subscription, "is_new", "is_removal")
    )
    rows = db.session.execute(statement).all()
    paying = {state.value for state in PAYING}
    return [
        Comparison(
            "Free readers",
            "Paying readers",
            _removed([row for row in rows if row.subscription not in paying]),
            _removed([row for row in rows if row.subscription in paying]),
        ),
        Comparison(
            "New readers",
            "Known readers",
            _removed([row for row in rows if row.is_new]),
            _removed([row for row in rows if not row.is_new]),
        ),
    ]


def new_until() -> int:
    """Return how many posted comments make a reader a known one."""
    return max(1, site_settings().first_comments_held)


def _removed(rows: list[Any]) -> Share:
    return Share(sum(row.times for row in rows if row.is_removal), sum(row.times for row in rows))


def _decided_by(user: User | None) -> ColumnElement[bool]:
    """Return the condition on decisions about comments that stand, by one person or by anybody."""
    who = Event.actor_id == user.id if user is not None else Event.actor_id.is_not(None)
    return and_(who, Event.act.in_(POSTING + REMOVING), Event.is_undone.is_(False))


def _start(user: User, taken: int, last: datetime | None) -> int:
    """Return the id from which on to look for the next one: spread over all until the last look, without chance."""
    if last is None:
        return 0
    until = select(Event.id).where(_decided_by(user), Event.at <= last).order_by(Event.id.desc()).limit(1)
    first = select(Event.id).where(_decided_by(user)).order_by(Event.id).limit(1)
    low, high = db.session.scalar(first) or 0, db.session.scalar(until) or 0
    return low + int(taken * GOLDEN % 1 * (high - low))


def _old_decisions(user: User) -> Select[*tuple[Any, ...]]:
    """Return a select of what can come back: old, taken one by one, the person's last word, its words still there.

    Every condition is answered for one row at a time, so that the first that meets them is found without the others.
    """
    now = clock.now()
    later, redaction = aliased(Event), aliased(Event)
    is_decided_again = exists().where(
        later.comment_id == Event.comment_id,
        later.revision == Event.revision,
        later.id > Event.id,
        func.coalesce(later.actor_id, 0)
        == user.id,  # by the index of the comment: the person's is as long as all
        later.act.in_(POSTING + REMOVING),
        later.is_undone.is_(False),
    )
    is_redacted = exists().where(
        redaction.comment_id == Event.comment_id,
        redaction.act == "redact",
        redaction.is_undone.is_(False),
    )
    is_taken = exists().where(SecondLook.actor_id == user.id, SecondLook.event_id == Event.id)
    wording = and_(CommentRevision.comment_id == Event.comment_id, CommentRevision.number == Event.revision)
    return (
        select(Event, Comment, CommentRevision, Essay)
        .join(Comment, Comment.id == Event.comment_id)
        .join(CommentRevision, wording)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(_decided_by(user), Event.part_of_id.is_(None), Event.at <= _old_enough(user, now))
        .where(~is_decided_again, ~is_redacted, ~is_taken)
        .where(Comment.presence.in_((Presence.LIVE, Presence.HIDDEN)), moderates(user, now))
    )


def _old_enough(user: User, now: datetime) -> datetime:
    """Return until when a decision counts as old; for who has decided for less than a month, half that time ago."""
    own = select(Event.at).where(_decided_by(user), Event.part_of_id.is_(None)).order_by(Event.id)
    first = db.session.scalar(own.limit(1))
    return now - OLD if first is None or first <= now - OLD else first + (now - first) / 2


def _look(row: Any) -> Look | None:
    if row is None:
        return None
    comment: Comment = row.Comment
    answered = db.session.get(Comment, comment.answers_id) if comment.answers_id is not None else None
    shown = answered.shown if answered is not None and answered.visible else None
    words = first_line(shown.html) if shown is not None else ""
    return Look(row.Event, row.CommentRevision, row.Essay, words, answered is not None)
