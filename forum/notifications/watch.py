"""The threads that a reader follows or has muted, and the people whom they have muted."""

from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Moment, reference


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
