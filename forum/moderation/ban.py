"""A ban: since when, why, which comments it hid, and when it was lifted."""

from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, Prose, reference
from forum.discussion.change import track


class Ban(Base):
    """One ban of one person. The comments that it hid carry its id."""

    __tablename__ = "ban"

    id: Mapped[Id]
    user_id: Mapped[int] = reference("user.id")
    actor_id: Mapped[int | None] = reference("user.id", index=False)
    reason: Mapped[Prose] = mapped_column(default="")
    created_at: Mapped[Moment]
    until: Mapped[Moment | None]
    lifted_at: Mapped[Moment | None]


track(Ban, "lifted_at")
