"""The discussions that a reader follows."""

from sqlalchemy import delete
from sqlalchemy.orm import Mapped

from forum import clock
from forum.accounts.user import User
from forum.database import Base, Moment, db, insert_unless_there, reference


class Follow(Base):
    """One reader follows the discussion of one essay."""

    __tablename__ = "follow"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    essay_id: Mapped[int] = reference("essay.id", primary_key=True)
    created_at: Mapped[Moment]


def is_following(user: User, essay_id: int) -> bool:
    """Tell whether a reader follows an essay's discussion."""
    return db.session.get(Follow, (user.id, essay_id)) is not None


def toggle_follow(user: User, essay_id: int) -> bool:
    """Follow an essay's discussion, or stop; returns whether it is followed now. Sent twice at once it stays whole."""
    mine = (Follow.user_id == user.id) & (Follow.essay_id == essay_id)
    if db.session.scalar(delete(Follow).where(mine).returning(Follow.user_id)):
        return False
    db.session.execute(
        insert_unless_there(Follow, user_id=user.id, essay_id=essay_id, created_at=clock.now())
    )
    return True
