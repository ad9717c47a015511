"""How the mail server is doing, as the workers see it: one row that they share."""

from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Moment, Prose

THE_ROW = 1


class MailServer(Base):
    """The state of the connection. `failing_since` is None while all is well."""

    __tablename__ = "mail_server"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    failing_since: Mapped[Moment | None]
    next_try_at: Mapped[Moment | None]
    failures: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[Prose] = mapped_column(default="")
    last_sent_at: Mapped[Moment | None]
