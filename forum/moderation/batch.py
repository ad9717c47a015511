"""Decisions about many comments: each item with the wording that was seen, few at once, many a few at a time."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, insert, select, true, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Mapped, joinedload, mapped_column

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import Base, Id, Moment, Prose, db, reference
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.moderation import decisions
from forum.moderation.decisions import NotPossible, Stale
from forum.moderation.queue import moderated_comments
from forum.moderation.undo import AT_ONCE, later_events, take_back, why_may_not_undo, why_not_undo

IN_A_PIECE = 10
"""How many are decided in one transaction of the worker: so long, at most, whoever posts has to wait."""

IN_A_STATEMENT = 10_000

PAUSE_SECONDS = 0.1
"""Between two transactions, for who waits. SQLite looks no more often than that whether it is its turn."""

WORK_SECONDS = 2.0
"""How long the worker goes on before it looks at its mails again."""

WENT_WRONG = "something went wrong, and the log of the server says what."

NOT_THERE = "It is not there any more, or not yours to decide about."

Decision = Callable[[User, Comment, int, str, str], Event]
Item = tuple[int, int]
"""The id of a comment, and the number of the wording that was seen."""

log = logging.getLogger("forum.moderation")


class Batch(Base):
    """One act on many comments, or the undo of one; `event_id` is the event that its parts belong to."""

    __tablename__ = "batch"

    id: Mapped[Id]
    event_id: Mapped[int] = reference("event.id", unique=True, index=False)
    actor_id: Mapped[int] = reference("user.id", index=False)
    verb: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(20), default="")
    note: Mapped[Prose] = mapped_column(default="")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    """How many were left as they are: edited, decided or gone since they were seen."""
    created_at: Mapped[Moment]
    finished_at: Mapped[Moment | None] = mapped_column(index=True)

    @property
    def address(self) -> str:
        """Return the address of the page that tells how far it is."""
        return f"/moderation/batches/{self.id}"

    @property
    def is_running(self) -> bool:
        """Tell whether the worker still has some of it to do."""
        return self.finished_at is None


class BatchItem(Base):
    """One comment of a batch with the wording that was seen, or one event that an undo takes back."""

    __tablename__ = "batch_item"

    id: Mapped[Id]
    batch_id: Mapped[int] = reference("batch.id")
    comment_id: Mapped[int] = reference("comment.id", index=False)
    revision: Mapped[int | None]
    event_id: Mapped[int | None] = reference("event.id", index=False)
    is_done: Mapped[bool] = mapped_column(default=False)
    why_not: Mapped[Prose] = mapped_column(default="")


@dataclass(frozen=True)
class Asked:
    """What somebody wants done with many comments."""

    verb: str
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Skipped:
    """One comment that was left as it is, and why, as a sentence that names its writer."""

    comment_id: int
    why: str


@dataclass(frozen=True)
class Outcome:
    """What became of a few comments: the event that holds them together, None when nothing was done."""

    head: Event | None
    skipped: list[Skipped]


DECISIONS: dict[str, Decision] = {
    "approve": lambda actor, comment, seen, _reason, _note: decisions.approve(actor, comment, seen),
    "remove": decisions.remove,
    "spam": lambda actor, comment, seen, _reason, _note: decisions.mark_spam(actor, comment, seen),
}
"""What can be decided about many at once, by its verb."""


def decide_at_once(actor: User, asked: Asked, items: Sequence[Item]) -> Outcome:
    """Decide about a few comments in one transaction; those that changed since they were seen are left as they are.

    Takes all locks: people, then essays, then comments, each in the order of their ids.
    """
    found = _lock(actor, [comment_id for comment_id, _ in items])
    head = _begin(actor, asked, {comment.essay_id for comment in found.values()})
    skipped = []
    for comment_id, seen in items:
        if why := _decide(actor, asked, head, found.get(comment_id), seen):
            skipped.append(Skipped(comment_id, why))
    head.parts = len(items) - len(skipped)
    if not head.parts:
        db.session.delete(head)
    return Outcome(head if head.parts else None, skipped)


def decide_in_pieces(actor: User, asked: Asked, items: Sequence[Item]) -> Batch:
    """Keep what is to be decided, for the worker, in one row for each comment."""
    head = _begin(actor, asked, _essays_of([comment_id for comment_id, _ in items]))
    batch = _store(actor, asked, head)
    rows = [{"batch_id": batch.id, "comment_id": row_id, "revision": seen} for row_id, seen in items]
    db.session.execute(insert(BatchItem), rows)
    batch.total = len(rows)
    return batch


def undo_in_pieces(actor: User, head: Event) -> Batch:
    """Take back an act on many, what it changed itself at once and its parts by the worker, the last first.

    An act that is still at work stops. Takes the locks that it needs; the caller has checked the right to it.
    Raises: NotPossible, with who did what since.
    """
    _stop(head)
    lock_users(User.id.in_({actor.id, head.person_id} - {None}))
    db.session.refresh(
        head, with_for_update={"of": Event}
    )  # of two at once the second sees what the first did
    if sentence := why_not_undo(head, later_events([head]), actor):
        raise NotPossible(sentence)
    made = take_back(actor, head)
    batch = _store(actor, Asked("undo"), made)
    parts = select(Event.comment_id, Event.id).where(Event.part_of_id == head.id, Event.is_undone.is_(False))
    rows = [
        {"batch_id": batch.id, "comment_id": comment_id, "event_id": event_id}
        for comment_id, event_id in db.session.execute(parts.order_by(Event.id.desc()))
    ]
    if rows:
        db.session.execute(insert(BatchItem), rows)
    batch.total = len(rows)
    return batch


def is_large(head: Event) -> bool:
    """Tell whether an act is undone by the worker: it has many parts, or is still growing. One query."""
    running = select(Batch.id).where(Batch.event_id == head.id, Batch.finished_at.is_(None))
    return head.parts > AT_ONCE or db.session.scalar(running) is not None


def batch_of(head: Event) -> Batch | None:
    """Return the batch whose parts belong to an event."""
    return db.session.scalar(select(Batch).where(Batch.event_id == head.id))


def left_alone(batch: Batch, count: int) -> list[Skipped]:
    """Return the first of the comments that were left as they are, and why. One query."""
    skipped = select(BatchItem).where(BatchItem.batch_id == batch.id, BatchItem.why_not != "")
    found = db.session.scalars(skipped.order_by(BatchItem.id).limit(count))
    return [Skipped(item.comment_id, item.why_not) for item in found]


def go_on_with_batches(_now: datetime) -> int:
    """Work off a few of the comments of the oldest batch, in short transactions, and return how many.

    What is done and that it is done are committed together: a worker that is killed leaves nothing half done.
    Two workers take turns, or different batches.
    """
    until, done = time.monotonic() + WORK_SECONDS, 0
    while time.monotonic() < until:
        worked = _work_off_a_piece()
        if worked is None:
            break
        done += worked
        time.sleep(PAUSE_SECONDS)
    return done


def _begin(actor: User, asked: Asked, essay_ids: Collection[int]) -> Event:
    """Add the event that the parts will belong to; it names the discussion when there is only one."""
    head = Event(
        at=clock.now(),
        actor_id=actor.id,
        act=asked.verb,
        essay_id=next(iter(essay_ids)) if len(essay_ids) == 1 else None,
        reason=asked.reason,
        note=asked.note,
        parts=0,
        changes=[],
    )
    db.session.add(head)
    db.session.flush()
    return head


def _essays_of(comment_ids: Sequence[int]) -> set[int]:
    """Return the essays of comments, however many these are: a database takes so many values in one statement only."""
    found: set[int] = set()
    for at in range(0, len(comment_ids), IN_A_STATEMENT):
        some = Comment.id.in_(comment_ids[at : at + IN_A_STATEMENT])
        found.update(db.session.scalars(select(Comment.essay_id).where(some).distinct()))
    return found


def _store(actor: User, asked: Asked, head: Event) -> Batch:
    batch = Batch(
        event_id=head.id,
        actor_id=actor.id,
        verb=asked.verb,
        reason=asked.reason,
        note=asked.note,
        created_at=clock.now(),
    )
    db.session.add(batch)
    db.session.flush()
    return batch


def _stop(head: Event) -> None:
    """Let the worker leave what it has not done yet of an act; waits for the piece in its hands."""
    running = select(Batch).where(Batch.event_id == head.id, Batch.finished_at.is_(None))
    batch = db.session.scalar(running.with_for_update().execution_options(populate_existing=True))
    if batch is not None:
        batch.finished_at = clock.now()
        db.session.flush()


def _work_off_a_piece(at_most: int = IN_A_PIECE) -> int | None:
    """Work off the next few items of a batch that nobody has in hand; None when there is none. Commits.

    What meets an error of ours is left as it is, so that the others, and the batches after it, are not held up.
    """
    open_ones = select(Batch).where(Batch.finished_at.is_(None)).order_by(Batch.id).limit(1)
    batch = db.session.scalar(open_ones.with_for_update(skip_locked=True))
    if batch is None:
        db.session.commit()
        return None
    rest = select(BatchItem).where(BatchItem.batch_id == batch.id, BatchItem.is_done.is_(False))
    items = db.session.scalars(rest.order_by(BatchItem.id).limit(at_most)).all()
    try:
        with db.session.begin_nested():  # the batch stays in hand whatever happens
            (_undo_items if batch.verb == "undo" else _decide_items)(batch, items)
    except (OperationalError, InterfaceError):
        raise  # the database is away, or two waited for each other: all of it is tried again
    except Exception:
        if len(items) > 1:  # each by itself, in a transaction of its own, so that the locks keep their order
            db.session.rollback()
            return sum(_work_off_a_piece(1) or 0 for _ in items)
        for item in items:
            _leave_alone(batch, item)
    _note_done(batch, items, is_last=len(items) < at_most)
    db.session.commit()
    return len(items)


def _decide_items(batch: Batch, items: Sequence[BatchItem]) -> None:
    actor, head = _actor_and_head(batch)
    found = _lock(actor, [item.comment_id for item in items])
    asked = Asked(batch.verb, batch.reason, batch.note)
    for item in items:
        item.why_not = _decide(actor, asked, head, found.get(item.comment_id), item.revision or 0)


def _undo_items(batch: Batch, items: Sequence[BatchItem]) -> None:
    actor, head = _actor_and_head(batch)
    wanted = select(Event).where(Event.id.in_([item.event_id for item in items]))
    parts = {part.id: part for part in db.session.scalars(wanted)}
    ids = [comment_id for part in parts.values() for comment_id in _comments_in(part)]
    # Who may lift a ban may bring back all that it hid, wherever that was.
    found = _lock(actor, ids, is_about_person=head.person_id is not None)
    if head.person_id is not None and why_may_not_undo(actor, head):
        found = {}  # the locks told that they lost the right to it since
    later = later_events(list(parts.values()))
    for item in items:
        part = parts[item.event_id or 0]
        item.why_not = _undo(actor, head, part, found.get(item.comment_id), why_not_undo(part, later))


def _actor_and_head(batch: Batch) -> tuple[User, Event]:
    return db.session.get_one(User, batch.actor_id), db.session.get_one(Event, batch.event_id)


def _leave_alone(batch: Batch, item: BatchItem) -> None:
    """Note that an item met an error of ours, which is at hand; reads little, for any row may be the cause of it."""
    log.exception("batch %s: an error about comment %s, which stays as it is", batch.id, item.comment_id)
    writer = select(Comment.author_id).where(Comment.id == item.comment_id)
    name = db.session.scalar(select(User.name).where(User.id.in_(writer)))
    verb = "taken back" if batch.verb == "undo" else "decided about"
    item.why_not = f"{name}’s comment could not be {verb}: {WENT_WRONG}"


def _note_done(batch: Batch, items: Sequence[BatchItem], *, is_last: bool) -> None:
    for item in items:
        item.is_done = True
    skipped = sum(bool(item.why_not) for item in items)
    batch.done += len(items) - skipped
    batch.skipped += skipped
    db.session.execute(update(Event).where(Event.id == batch.event_id).values(parts=batch.done))
    if is_last:
        batch.finished_at = clock.now()


def _decide(actor: User, asked: Asked, head: Event, comment: Comment | None, seen: int) -> str:
    """Decide about one comment as a part of `head`, and return why it was left as it is, "" if it was not."""
    if comment is None:
        return NOT_THERE
    try:
        decisions.refuse_if_decided(None, comment, seen)  # all that stands on the desk waits
        made = DECISIONS[asked.verb](actor, comment, seen, asked.reason, asked.note)
    except Stale:
        return f"{comment.author.name}’s comment was edited meanwhile and waits."
    except NotPossible as refusal:
        return f"{comment.author.name}’s comment: {refusal}"
    made.part_of_id = head.id
    return ""


def _undo(actor: User, head: Event, part: Event, comment: Comment | None, why_not: str | None) -> str:
    if comment is None:
        return NOT_THERE
    try:
        if why_not:
            raise NotPossible(why_not)
        take_back(actor, part).part_of_id = head.id
    except NotPossible as refusal:
        return f"{comment.author.name}’s comment: {refusal}"
    return ""


def _comments_in(part: Event) -> set[int]:
    """Return the comments that an event is about or has changed."""
    changed = {row_id for kind, row_id, *_ in part.changes if kind == "comment"}
    return changed | ({part.comment_id} if part.comment_id is not None else set())


def _lock(actor: User, ids: Collection[int], *, is_about_person: bool = False) -> dict[int, Comment]:
    """Lock some comments, their writers and essays, and return by id those that the actor may decide about.

    All is read afresh, the role of the actor as well. Four queries and the authors of the essays.
    """
    writers = select(Comment.author_id).where(Comment.id.in_(ids))
    lock_users(User.id.in_(writers) | (User.id == actor.id))
    essays = select(Comment.essay_id).where(
        Comment.id.in_(ids)
    )  # a comment moves only with its writer locked
    locked = select(Essay).where(Essay.id.in_(essays)).order_by(Essay.id)
    db.session.scalars(
        locked.with_for_update(of=Essay, key_share=True).execution_options(populate_existing=True)
    ).all()
    rows = (
        select(Comment)
        .where(Comment.id.in_(ids), true() if is_about_person else moderated_comments(actor, clock.now()))
        .order_by(Comment.id)
        .options(joinedload(Comment.newest), joinedload(Comment.shown))
        .with_for_update(of=Comment)
        .execution_options(populate_existing=True)
    )
    return {comment.id: comment for comment in db.session.scalars(rows)}
