"""How the filter learns from decisions, is tried on the most recent of them, and forgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence
from forum.discussion.event import Event
from forum.discussion.learned import SUSPECT_FROM, LearnedFilter
from forum.site import audit
from forum.site.settings import site_settings
from forum.text.likeness import Likeness, learn_likeness, likeness

REMOVING = ("reject", "hide", "spam", "uphold")
POSTING = ("approve", "keep", "overturn")

ENOUGH_OF_EACH = 30
"""With fewer removed, or fewer posted, one comment more or less turns the result; see docs/decisions/0012."""
LEAST_CAUGHT = 5
PRECISE_ENOUGH = 0.9
"""Of the comments that it would have held, so many must have been removed: each other one kept a reader waiting."""

NEWS = 20
"""After so many decisions it learns again."""
MOST_EXAMPLES = 5_000
"""The newest so many count: a second of work, and what was decided years ago says little about today."""

Example = tuple[str, bool]
"""The words that were decided about, and whether they were removed."""


@dataclass(frozen=True)
class Trial:
    """What the filter made of recent decisions that it had not seen: how many it would have held, and rightly."""

    tested: int
    removed: int
    caught: int
    right: int

    @property
    def precision(self) -> float:
        """Return which part of what it would have held was removed, 0 when it held nothing."""
        return self.right / self.caught if self.caught else 0.0

    @property
    def recall(self) -> float:
        """Return which part of what was removed it would have held, 0 when nothing was."""
        return self.right / self.removed if self.removed else 0.0

    @property
    def is_good_enough(self) -> bool:
        """Tell whether new comments may be held for it."""
        return self.caught >= LEAST_CAUGHT and self.precision >= PRECISE_ENOUGH


def learn(now: datetime) -> int:
    """Learn anew when enough was decided since; return how many trainings that made, and commit.

    Reads without a change in hand: nobody waits for the database while it learns.
    """
    before = newest_filter()
    if not site_settings().learns:
        return _forget_taken_out(now, before)
    if not _has_news(before):
        return 0
    last_event_id, since = newest_event_id(), before.measured.get("since", 0) if before else 0
    found = examples(since)
    before_id = before.id if before else None
    db.session.rollback()
    measured, model = _taught(found)
    latest = newest_filter()
    if (latest.id if latest else None) != before_id:
        return 0  # somebody told it to forget meanwhile
    _replace(now, len(found), last_event_id, {"since": since} | measured, model)
    db.session.commit()
    return 1


def try_out(found: Sequence[Example]) -> Trial:
    """Return what the filter would have made of the newest fifth of some examples, learned from those before."""
    split = len(found) - len(found) // 5
    learned = learn_likeness(found[:split])
    caught = [removed for source, removed in found[split:] if likeness(learned, source) >= SUSPECT_FROM]
    removed = sum(removed for _, removed in found[split:])
    return Trial(len(found) - split, removed, len(caught), sum(caught))


def forget(actor: User) -> None:
    """Let the filter learn only from what is decided from now on."""
    _replace(clock.now(), 0, newest_event_id(), {"since": newest_event_id()}, {})
    audit.record(actor.id, "forget", "learned-filter")


def remember(actor: User) -> None:
    """Let the filter learn from all decisions again, also those that it was told to forget."""
    _replace(clock.now(), 0, 0, {"since": 0}, {})
    audit.record(actor.id, "remember", "learned-filter")


def trial_of(training: LearnedFilter | None) -> Trial | None:
    """Return how a training did, None when it had too little to learn from."""
    measured = training.measured if training else {}
    if "tested" not in measured:
        return None
    return Trial(measured["tested"], measured["tested_removed"], measured["caught"], measured["right"])


def newest_filter() -> LearnedFilter | None:
    """Return the training in force, with its words."""
    return db.session.scalar(select(LearnedFilter).order_by(LearnedFilter.id.desc()).limit(1))


def newest_event_id() -> int:
    """Return the id of the last thing that happened, 0 when nothing did."""
    return db.session.scalar(select(func.max(Event.id))) or 0


def examples(since: int) -> list[Example]:
    """Return the decided wordings with what people decided last and did not take back, the oldest first. One query.

    What only the system did teaches nothing: neither a comment that is held nor one that readers reported. Words
    that their writer took back are not read.
    """
    decided = (Event.id > since) & Event.actor_id.is_not(None) & Event.act.in_(REMOVING + POSTING)
    last = select(func.max(Event.id)).where(decided, Event.is_undone.is_(False))
    wording = (CommentRevision.comment_id == Event.comment_id) & (CommentRevision.number == Event.revision)
    statement = (
        select(CommentRevision.source, Event.act)
        .select_from(Event)
        .join(Comment, Comment.id == Event.comment_id)
        .join(CommentRevision, wording)
        .where(Event.id.in_(last.group_by(Event.comment_id, Event.revision)))
        .where(Comment.presence.in_((Presence.LIVE, Presence.HIDDEN)))
        .order_by(Event.id.desc())
        .limit(MOST_EXAMPLES)
    )
    return [(row.source, row.act in REMOVING) for row in db.session.execute(statement)][::-1]


def _has_news(before: LearnedFilter | None) -> bool:
    """Tell whether enough was decided since the last training, or words were taken out that it may have learned."""
    since = Event.id > (before.last_event_id if before else 0)
    news = select(Event.id).where(since, Event.act.in_((*REMOVING, *POSTING, "restore", "undo"))).limit(NEWS)
    if len(db.session.scalars(news).all()) == NEWS:
        return True
    return _was_taken_out(before)


def _was_taken_out(before: LearnedFilter | None) -> bool:
    """Tell whether words were taken out that a training may have learned."""
    if before is None:
        return False
    since = (Event.act == "redact") & (Event.id > before.last_event_id)
    return db.session.scalar(select(Event.id).where(since).limit(1)) is not None


def _forget_taken_out(now: datetime, before: LearnedFilter | None) -> int:
    """Drop what is known of words, also while nothing is learned, once some of them were taken out; and commit."""
    if before is None or not before.model or not _was_taken_out(before):
        return 0
    _replace(now, 0, newest_event_id(), {"since": before.measured.get("since", 0)}, {})
    db.session.commit()
    return 1


def _taught(found: Sequence[Example]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how the filter did and what it learned; it learns nothing from too few decisions of either kind."""
    removed = sum(removed for _, removed in found)
    measured: dict[str, Any] = {"removed": removed, "posted": len(found) - removed}
    if min(measured.values()) < ENOUGH_OF_EACH:
        return measured, {}
    trial = try_out(found)
    measured |= {"tested": trial.tested, "tested_removed": trial.removed}
    measured |= {"caught": trial.caught, "right": trial.right, "is_good_enough": trial.is_good_enough}
    learned: Likeness = learn_likeness(found)
    return measured, {"bias": learned.bias, "weights": learned.weights}


def _replace(
    now: datetime, decisions: int, last_event_id: int, measured: dict[str, Any], model: dict[str, Any]
) -> None:
    """Put a new training into force; the ones before go, words and all."""
    new = LearnedFilter(
        trained_at=now, decisions=decisions, last_event_id=last_event_id, measured=measured, model=model
    )
    db.session.add(new)
    db.session.flush()
    db.session.execute(delete(LearnedFilter).where(LearnedFilter.id < new.id))
