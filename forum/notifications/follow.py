"""The discussions that a reader follows."""

from sqlalchemy.orm import Mapped

from forum.accounts.user import User
from forum.database import Base, Moment, db, reference


class Follow(Base):
    """One reader follows the discussion of one essay."""

    __tablename__ = "follow"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    essay_id: Mapped[int] = reference("essay.id", primary_key=True)
    created_at: Mapped[Moment]


def is_following(user: User, essay_id: int) -> bool:
    """Tell whether a reader follows an essay's discussion."""
    return db.session.get(Follow, (user.id, essay_id)) is not None
