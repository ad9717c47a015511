"""Decisions about many comments: each item with the wording that was seen, decided a few at a time."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, Prose, reference


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
