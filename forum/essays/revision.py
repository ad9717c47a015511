"""What an essay said before, and the draft of what it will say next."""

from dataclasses import dataclass

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum.accounts.user import User
from forum.database import Base, Id, Line, Moment, Prose, reference
from forum.text.normal import normalise, one_line


@dataclass(frozen=True)
class EssayWords:
    """What an author writes: two lines and a Markdown text, in normal form."""

    title: str
    subtitle: str
    source: str

    @classmethod
    def typed(cls, title: str, subtitle: str, source: str) -> "EssayWords":
        """Return typed words in their normal form, so that two that look the same are the same."""
        return cls(one_line(title), one_line(subtitle), normalise(source))


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

    @property
    def words(self) -> EssayWords:
        """Return what the essay said."""
        return EssayWords(self.title, self.subtitle, self.source)


class EssayDraft(Base):
    """The next state of an essay. `version` counts saves: one that names an older version is a conflict.

    The row stays when its words are published, so that a window left open since then is told of it.
    """

    __tablename__ = "essay_draft"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    editor_id: Mapped[int] = reference("user.id")
    title: Mapped[Line]
    subtitle: Mapped[Line] = mapped_column(default="")
    source: Mapped[Prose]
    version: Mapped[int] = mapped_column(default=1)
    saved_at: Mapped[Moment]

    editor: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @property
    def words(self) -> EssayWords:
        """Return what the essay will say."""
        return EssayWords(self.title, self.subtitle, self.source)


class SetAside(Base):
    """Words that came too late, beside a newer draft, until their writer has chosen between the two."""

    __tablename__ = "essay_set_aside"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    editor_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    title: Mapped[Line]
    subtitle: Mapped[Line] = mapped_column(default="")
    source: Mapped[Prose]
    saved_at: Mapped[Moment]

    @property
    def words(self) -> EssayWords:
        """Return what was saved too late."""
        return EssayWords(self.title, self.subtitle, self.source)
