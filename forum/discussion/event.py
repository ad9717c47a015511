"""What happened to comments and discussions: who, what, from which state to which, when and why."""

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum import clock
from forum.accounts.user import User
from forum.database import Base, Id, Moment, Prose, db, reference
from forum.discussion.comment import Comment, CommentRevision, state_word


class Event(Base):
    """One row of history; never changed. `before` holds what an undo restores."""

    __tablename__ = "event"

    id: Mapped[Id]
    at: Mapped[Moment] = mapped_column(index=True)
    actor_id: Mapped[int | None] = reference("user.id")
    act: Mapped[str] = mapped_column(String(20), index=True)
    essay_id: Mapped[int | None] = reference("essay.id")
    comment_id: Mapped[int | None] = reference("comment.id")
    revision: Mapped[int | None]
    from_state: Mapped[str] = mapped_column(String(20), default="")
    to_state: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(String(20), default="")
    note: Mapped[Prose] = mapped_column(default="")
    undoes_id: Mapped[int | None] = reference("event.id", unique=True, index=False)  # undone at most once
    before: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    actor: Mapped[User | None] = relationship(lazy="joined", foreign_keys=[actor_id])
    comment: Mapped[Comment | None] = relationship(lazy="select", foreign_keys=[comment_id])


def snapshot(comment: Comment, newest: CommentRevision) -> dict[str, Any]:
    """Return everything of a comment that a decision may change, as JSON, for the undo."""
    return {
        "presence": comment.presence.value,
        "newest_number": comment.newest_number,
        "shown_number": comment.shown_number,
        "ban_id": comment.ban_id,
        "verdict": newest.verdict.value,
        "causes": sorted(newest.causes),
        "reason": newest.reason,
        "note": newest.note,
        "pinned_at": comment.pinned_at.isoformat() if comment.pinned_at else None,
        "featured_at": comment.featured_at.isoformat() if comment.featured_at else None,
        "edited_at": comment.edited_at.isoformat() if comment.edited_at else None,
    }


def note_event(
    act: str,
    actor: User | None,
    comment: Comment,
    newest: CommentRevision,
    before: dict[str, Any] | None = None,
    *,
    from_state: str = "",
    reason: str = "",
    note: str = "",
    undoes_id: int | None = None,
) -> Event:
    """Add the event of one act on a comment, after the act; `actor` None means the system."""
    event = Event(
        at=clock.now(),
        actor_id=actor.id if actor else None,
        act=act,
        essay_id=comment.essay_id,
        comment_id=comment.id,
        revision=newest.number,
        from_state=from_state,
        to_state=state_word(comment, newest),
        reason=reason,
        note=note,
        undoes_id=undoes_id,
        before=before or {},
    )
    db.session.add(event)
    return event
