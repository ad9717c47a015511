"""An essay on its way to its subscribers: who gets it, how far the sending is, and that nobody gets it twice."""

from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, BigId, Moment, reference


class Sending(Base):
    """The wish to send one essay, made as it is published or scheduled. It begins when the essay is public.

    The worker goes through the readers by id and stores messages in pieces; `reached_user_id` moves on in the
    same transaction, so that a crash leaves nobody out and writes nobody to twice. `finished_at` says that all
    messages are stored, not that all have left: that, the messages of batch "essay:<id>" say.
    """

    __tablename__ = "sending"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    asked_by_id: Mapped[int] = reference("user.id", index=False)
    asked_at: Mapped[Moment]
    begun_at: Mapped[Moment | None]
    reached_user_id: Mapped[int] = mapped_column(BigId, default=0)
    finished_at: Mapped[Moment | None] = mapped_column(index=True)
    whole_id: Mapped[int | None] = reference("mailing.id", index=False)
    """The words for those who may read the whole essay, and below for those who may not."""
    preview_id: Mapped[int | None] = reference("mailing.id", index=False)
    in_digests: Mapped[int] = mapped_column(default=0)
    """How many readers get it in their digest instead of a mail of its own."""
