"""What happened to comments, discussions and people: who, what, from which state to which, when and why."""

from sqlalchemy import JSON, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum import clock
from forum.accounts.user import User
from forum.database import Base, Id, Moment, Prose, db, reference
from forum.discussion.change import Change, Watch, track
from forum.discussion.comment import Comment, CommentRevision, state_word


class Event(Base):
    """One row of history; never changed but for `is_undone`.

    An act on many comments is one event of its own, with one part for each.
    """

    __tablename__ = "event"
    __table_args__ = (
        # How long decisions take is read from the last few of an essay.
        Index(
            "ix_event_waited",
            "essay_id",
            "id",
            sqlite_where=text("waited_seconds IS NOT NULL"),
            postgresql_where=text("waited_seconds IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    at: Mapped[Moment] = mapped_column(index=True)
    actor_id: Mapped[int | None] = reference("user.id")
    act: Mapped[str] = mapped_column(String(20), index=True)
    essay_id: Mapped[int | None] = reference("essay.id")
    comment_id: Mapped[int | None] = reference("comment.id")
    person_id: Mapped[int | None] = reference("user.id")
    """Whom an act on a person is about."""
    part_of_id: Mapped[int | None] = reference("event.id")
    parts: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many comments an act on many is about."""
    revision: Mapped[int | None]
    from_state: Mapped[str] = mapped_column(String(20), default="")
    to_state: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(String(20), default="")
    note: Mapped[Prose] = mapped_column(default="")
    waited_seconds: Mapped[int | None]
    """How long the comment had waited for this decision."""
    undoes_id: Mapped[int | None] = reference("event.id")
    is_undone: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is taken back: what is in force can be undone, and what was done again can be so again."""
    changes: Mapped[list[Change]] = mapped_column(JSON, default=list, server_default="[]")
    """What the act changed, for the undo: see `discussion/change.py`. Words that were redacted are sealed here."""

    actor: Mapped[User | None] = relationship(lazy="joined", foreign_keys=[actor_id])
    person: Mapped[User | None] = relationship(lazy="select", foreign_keys=[person_id])
    comment: Mapped[Comment | None] = relationship(lazy="select", foreign_keys=[comment_id])


track(Event, "is_undone")


def note_event(
    act: str,
    actor: User | None,
    comment: Comment,
    newest: CommentRevision,
    watch: Watch | None = None,
    *,
    from_state: str = "",
    reason: str = "",
    note: str = "",
    undoes: Event | None = None,
    waited_seconds: int | None = None,
) -> Event:
    """Add the event of one act on a comment, after the act; `actor` None means the system.

    `watch` saw the rows before the act; without it nothing is remembered that could be put back.
    """
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
        undoes_id=undoes.id if undoes else None,
        waited_seconds=waited_seconds,
        changes=watch.changes() if watch else [],
    )
    db.session.add(event)
    if undoes is not None:
        take_out_of_force(undoes)
    return event


def take_out_of_force(event: Event) -> None:
    """Note that an event was taken back; what it had itself taken back is in force again, and so on."""
    one: Event | None = event
    while one is not None:
        one.is_undone = not one.is_undone
        one = db.session.get(Event, one.undoes_id) if one.undoes_id is not None else None
