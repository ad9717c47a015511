"""What makes a discussion good: pin a thread, mark the author's pick, close a discussion with a note."""

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event, take_out_of_force
from forum.discussion.posting import bump_thread
from forum.essays.essay import Essay
from forum.moderation.decisions import NotPossible, begin


def pin(actor: User, comment: Comment) -> Event:
    """Put a thread at the top of its discussion, or take it down again."""
    act = begin(actor, comment)
    comment.pinned_at = None if comment.pinned_at else clock.now()
    return act.finish("pin" if comment.pinned_at else "unpin")


def feature(actor: User, comment: Comment) -> Event:
    """Mark a comment as the author's pick, or take the mark away again."""
    act = begin(actor, comment)
    comment.featured_at = None if comment.featured_at else clock.now()
    return act.finish("feature" if comment.featured_at else "unfeature")


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
