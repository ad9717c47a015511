"""Second looks: an old decision comes back without saying what it was, and is decided once more."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, reference


class SecondLook(Base):
    """What somebody said the second time about a decision of their own; it changes nothing else."""

    __tablename__ = "second_look"
    __table_args__ = (UniqueConstraint("actor_id", "event_id"),)

    id: Mapped[Id]
    actor_id: Mapped[int] = reference("user.id", index=False)
    event_id: Mapped[int] = reference("event.id", index=False)
    at: Mapped[Moment]
    answer: Mapped[str] = mapped_column(String(20))
    """"post", "remove", or "pass" for no answer."""
