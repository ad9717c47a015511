"""The threads that a reader follows or has muted, and the people whom they have muted."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, SQLColumnExpression, delete, exists, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.accounts.user import User
from forum.database import Base, Moment, db, insert_unless_there, reference


class ThreadWatch(Base):
    """One reader wants to hear of everything in a thread, or of nothing. A thread is named by its first comment."""

    __tablename__ = "thread_watch"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    thread_id: Mapped[int] = reference("comment.id", primary_key=True)
    is_muted: Mapped[bool] = mapped_column()
    created_at: Mapped[Moment]


class MutedPerson(Base):
    """One reader does not want to read another: their comments fold, and nobody is told."""

    __tablename__ = "muted_person"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    muted_id: Mapped[int] = reference("user.id", primary_key=True)
    created_at: Mapped[Moment]


def watch(user: User, thread_id: int, *, is_muted: bool) -> None:
    """Follow a thread, or mute it; it is never both. Sent twice at once it stays whole."""
    mine = {"user_id": user.id, "thread_id": thread_id}
    db.session.execute(insert_unless_there(ThreadWatch, **mine, is_muted=is_muted, created_at=clock.now()))
    db.session.execute(update(ThreadWatch).filter_by(**mine).values(is_muted=is_muted))


def unwatch(user: User, thread_id: int) -> None:
    """Neither follow nor mute a thread any more: what holds for every thread holds for it again."""
    db.session.execute(delete(ThreadWatch).filter_by(user_id=user.id, thread_id=thread_id))


def watch_of(user: User, thread_id: int) -> ThreadWatch | None:
    """Return what a reader wants to hear of a thread, None for the usual. One query."""
    return db.session.get(ThreadWatch, (user.id, thread_id))


def mute_person(user: User, muted: User) -> None:
    """Fold a person's comments for a reader, and tell the reader nothing of them. The person never learns of it."""
    db.session.execute(
        insert_unless_there(MutedPerson, user_id=user.id, muted_id=muted.id, created_at=clock.now())
    )


def unmute_person(user: User, muted: User) -> None:
    """Show a person's comments to a reader again."""
    db.session.execute(delete(MutedPerson).filter_by(user_id=user.id, muted_id=muted.id))


def has_muted(user: User, person: User) -> bool:
    """Tell whether a reader has muted a person."""
    return db.session.get(MutedPerson, (user.id, person.id)) is not None


def is_muted_by(user: User, person_id: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Return the condition that a reader has muted the person in a column."""
    return exists(
        select(MutedPerson.user_id).filter_by(user_id=user.id).where(MutedPerson.muted_id == person_id)
    )


def people_muted_by(user: User) -> Sequence[User]:
    """Return the people whom a reader has muted, by name. One query."""
    muted = select(MutedPerson.muted_id).filter_by(user_id=user.id)
    return db.session.scalars(select(User).where(User.id.in_(muted)).order_by(User.name_key)).all()
