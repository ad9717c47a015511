"""What makes a discussion good: pin a thread, mark the author's pick, close a thread or a discussion with a note."""

from collections.abc import Iterable

from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import Base, db
from forum.discussion.change import Watch
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.event import Event, take_out_of_force
from forum.discussion.posting import bump_thread
from forum.essays.essay import Essay
from forum.moderation.decisions import Act as BegunAct
from forum.moderation.decisions import NotPossible, begin, deed
from forum.moderation.merging import settle_thanks
from forum.moderation.moving import Stood, settle_places
from forum.moderation.redaction import settle_words


class Shape:
    """How comments hang, are merged and worded before an act that puts fields of theirs back."""

    def __init__(self, rows: Iterable[Base]) -> None:
        """Remember the given rows as they are."""
        rows = list(rows)
        self._stood = [Stood.of(row) for row in rows if isinstance(row, Comment)]
        self._merged = {row: row.merged_into_id for row in rows if isinstance(row, Comment)}
        self._pinned = {row for row in self._merged if row.pinned_at is not None}
        self._sources = {row: row.source for row in rows if isinstance(row, CommentRevision)}

    def settle(self, act: BegunAct) -> None:
        """Bring in line what follows from those fields as they are now.

        Raises: NotPossible, where a comment cannot hang where it hung before.
        """
        settle_places(self._stood)
        for comment, merged_before in self._merged.items():
            settle_thanks(comment, merged_before)
            if comment.pinned_at is not None and comment not in self._pinned:
                _take_down_others(act, comment)
        settle_words(act.comment, self._sources)


def pin(actor: User, comment: Comment) -> Event:
    """Put a thread at the top of its discussion, in the place of one that was pinned before.

    Raises: NotPossible, when it is there.
    """
    if comment.pinned_at is not None:
        raise NotPossible(f"It is pinned already. {_who_did(actor, comment, 'pin')}".strip())
    act = begin(actor, comment)
    comment.pinned_at = clock.now()
    _take_down_others(act, comment)
    return act.finish("pin")


def unpin(actor: User, comment: Comment) -> Event:
    """Take a thread down again from the top of its discussion.

    Raises: NotPossible, when it is not there.
    """
    if comment.pinned_at is None:
        raise NotPossible(f"It is not pinned. {_who_did(actor, comment, 'unpin')}".strip())
    act = begin(actor, comment)
    comment.pinned_at = None
    return act.finish("unpin")


def feature(actor: User, comment: Comment) -> Event:
    """Mark a comment as the author's pick.

    Raises: NotPossible, when it is marked.
    """
    if comment.featured_at is not None:
        raise NotPossible(f"It is the author’s pick already. {_who_did(actor, comment, 'feature')}".strip())
    act = begin(actor, comment)
    comment.featured_at = clock.now()
    return act.finish("feature")


def unfeature(actor: User, comment: Comment) -> Event:
    """Take the mark of the author's pick away again.

    Raises: NotPossible, when it is not marked.
    """
    if comment.featured_at is None:
        raise NotPossible(f"It is not the author’s pick. {_who_did(actor, comment, 'unfeature')}".strip())
    act = begin(actor, comment)
    comment.featured_at = None
    return act.finish("unfeature")


def close_thread(actor: User, comment: Comment, note: str) -> Event:
    """Let only staff answer in the thread that a comment begins; `note` is shown below it.

    Raises: NotPossible, when it is closed.
    """
    if comment.closed_at is not None:
        raise NotPossible("This thread is closed already.")
    act = begin(actor, comment)
    comment.closed_at, comment.closing_note = clock.now(), note
    return act.finish("close-thread", note=note)


def reopen_thread(actor: User, comment: Comment) -> Event:
    """Let readers answer again in the thread that a comment begins.

    Raises: NotPossible, when it is open.
    """
    if comment.closed_at is None:
        raise NotPossible("This thread is open already.")
    act = begin(actor, comment)
    comment.closed_at, comment.closing_note = None, ""
    return act.finish("reopen-thread")


def close_discussion(actor: User, essay: Essay, note: str) -> Event:
    """Let nobody comment any more; `note` is shown in place of the form.

    Raises: NotPossible, when it is closed.
    """
    if closing_of(essay, clock.now()) is not None:
        raise NotPossible("This discussion is closed already.")
    watch, from_state = Watch(essay), state_of(essay)
    essay.discussion_closed_at, essay.closing_note = clock.now(), note
    return finish_essay("close", actor, essay, watch, from_state, note=note)


def reopen_discussion(actor: User, essay: Essay) -> Event:
    """Let people comment again; a rule that would close it then does so no more.

    Raises: NotPossible, when it is open.
    """
    if closing_of(essay, clock.now()) is None:
        raise NotPossible("This discussion is open already.")
    watch, from_state = Watch(essay), state_of(essay)
    essay.discussion_closed_at, essay.closing_note = None, ""
    if closing_of(essay, clock.now()) is not None:
        essay.kept_open_at = clock.now()
    return finish_essay("reopen", actor, essay, watch, from_state)


def state_of(essay: Essay) -> str:
    """Return the one word for whether people may comment, as the events record it."""
    return "closed" if closing_of(essay, clock.now()) else "open"


def finish_essay(
    act: str,
    actor: User,
    essay: Essay,
    watch: Watch,
    from_state: str,
    *,
    note: str = "",
    undoes: Event | None = None,
) -> Event:
    """Write the event of an act on a whole discussion."""
    event = Event(
        at=clock.now(),
        actor_id=actor.id,
        act=act,
        essay_id=essay.id,
        from_state=from_state,
        to_state=state_of(essay),
        note=note,
        undoes_id=undoes.id if undoes else None,
        changes=watch.changes(),
    )
    db.session.add(event)
    if undoes is not None:
        take_out_of_force(undoes)
    bump_thread(essay.id)
    return event


def _who_did(actor: User, comment: Comment, act: str) -> str:
    """Say who brought a comment into the state that somebody wants for it, for who came second."""
    mine = (Event.comment_id == comment.id) & Event.act.in_(_OPPOSITES[act]) & Event.is_undone.is_(False)
    last = db.session.scalar(select(Event).where(mine).order_by(Event.id.desc()).limit(1))
    return f"{deed(last, actor)}." if last is not None and last.act == act else ""


_OPPOSITES = {act: pair for pair in (("pin", "unpin"), ("feature", "unfeature")) for act in pair}


def _take_down_others(act: BegunAct, comment: Comment) -> None:
    """Take down what else is pinned in the discussion, in the same act: one thread is at its top."""
    pinned = (Comment.essay_id == comment.essay_id) & Comment.pinned_at.is_not(None)
    for other in db.session.scalars(select(Comment).where(pinned, Comment.id != comment.id)):
        act.watch.add(other)
        other.pinned_at = None
