"""The one reaction: a reader thanks a comment, once."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from forum.database import Base, Moment, reference


class Reaction(Base):
    """One reader's thanks for one comment; the primary key allows no second."""

    __tablename__ = "reaction"
    # What somebody thanked on a page, as one range.
    __table_args__ = (Index("ix_reaction_user_id_comment_id", "user_id", "comment_id"),)

    comment_id: Mapped[int] = reference("comment.id", index=False, primary_key=True)
    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    created_at: Mapped[Moment]
    merged_from_id: Mapped[int | None] = reference("comment.id", index=False)
    """The comment that it was given to, where that was merged into this one."""
