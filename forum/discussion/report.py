"""A reader's report of a comment, and a writer's appeal against a decision."""

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, Prose, reference

REASONS = {
    "off-topic": "Off topic: it does not answer the essay or the thread",
    "unkind": "Unkind: it goes for the person, not the point",
    "spam": "Spam: it is here to sell or to flood",
    "private": "Private: it tells something about a person that is theirs to tell",
    "unlawful": "Unlawful: it may break the law",
    "other": "Something else, said below",
}
"""The codes of reasons, for reports and for decisions, with what people read."""


class Report(Base):
    """One reader reports one revision, once."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("comment_id", "revision", "user_id"),)

    id: Mapped[Id]
    comment_id: Mapped[int] = reference("comment.id", index=False)
    revision: Mapped[int]
    user_id: Mapped[int] = reference("user.id")
    reason: Mapped[str] = mapped_column(String(20))
    note: Mapped[Prose] = mapped_column(default="")
    created_at: Mapped[Moment]
    decided_at: Mapped[Moment | None]
    outcome: Mapped[str] = mapped_column(String(20), default="", server_default="")
    """"removed" when the moderators agreed, "kept" when they did not, "" until they have looked."""


class Appeal(Base):
    """A writer asks for another look at one decision: once for each, one open at a time for a comment."""

    __tablename__ = "appeal"
    __table_args__ = (
        Index(
            "uq_appeal_open",
            "comment_id",
            unique=True,
            sqlite_where=text("decided_at IS NULL"),
            postgresql_where=text("decided_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    comment_id: Mapped[int] = reference("comment.id", index=False)
    event_id: Mapped[int] = reference("event.id", unique=True, index=False)
    words: Mapped[Prose] = mapped_column(default="")
    created_at: Mapped[Moment]
    decided_at: Mapped[Moment | None]
    outcome: Mapped[str] = mapped_column(String(20), default="")
