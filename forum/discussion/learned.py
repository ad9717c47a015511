"""What was learned from decisions: which words speak for removing a comment, and how well that guessed lately."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment


class LearnedFilter(Base):
    """One training, on this machine, from the decisions until then. The newest row is in force."""

    __tablename__ = "learned_filter"

    id: Mapped[Id]
    trained_at: Mapped[Moment]
    decisions: Mapped[int]
    """From how many decisions it was learned."""
    last_event_id: Mapped[int]
    measured: Mapped[dict[str, Any]] = mapped_column(JSON)
    """How it did on recent decisions that it had not seen."""
    model: Mapped[dict[str, Any]] = mapped_column(JSON)
