"""What an essay said before, and the draft of what it will say next."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum.accounts.user import User
from forum.database import Base, Id, Line, Moment, Prose, reference


class EssayRevision(Base):
    """One saved state of an essay's words; never changed afterwards. `number` counts from 1 for each essay."""

    __tablename__ = "essay_revision"
    __table_args__ = (UniqueConstraint("essay_id", "number"),)

    id: Mapped[Id]
    essay_id: Mapped[int] = reference("essay.id")
    number: Mapped[int]
    editor_id: Mapped[int] = reference("user.id")
    title: Mapped[Line]
    subtitle: Mapped[Line] = mapped_column(default="")
    source: Mapped[Prose]
    note: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[Moment]

    editor: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class EssayDraft(Base):
    """The autosaved next state of an essay. `version` counts saves: one that names an older version is a conflict."""

    __tablename__ = "essay_draft"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    editor_id: Mapped[int] = reference("user.id")
    title: Mapped[Line]
    subtitle: Mapped[Line] = mapped_column(default="")
    source: Mapped[Prose]
    version: Mapped[int] = mapped_column(default=1)
    saved_at: Mapped[Moment]
