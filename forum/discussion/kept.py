"""A comment that someone wrote while signed out, kept on the server until they have signed in."""

from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, Prose, Token, reference


class KeptComment(Base):
    """What was typed, under a token that its writer's browser and mailed link carry. Posted at most once."""

    __tablename__ = "kept_comment"

    id: Mapped[Id]
    token_hash: Mapped[Token] = mapped_column(unique=True)
    essay_id: Mapped[int] = reference("essay.id")
    parent_id: Mapped[int | None] = reference("comment.id", index=False)
    form_token: Mapped[Token]
    source: Mapped[Prose]
    created_at: Mapped[Moment] = mapped_column(index=True)
    comment_id: Mapped[int | None] = reference("comment.id", index=False)
