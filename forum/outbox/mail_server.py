"""How the mail server is doing, as the workers see it: one row that they share."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Moment, Prose, db, insert_unless_there

THE_ROW = 1

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)


class MailServer(Base):
    """The state of the connection. `failing_since` is None while all is well."""

    __tablename__ = "mail_server"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    failing_since: Mapped[Moment | None]
    next_try_at: Mapped[Moment | None]
    failures: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[Prose] = mapped_column(default="")
    last_sent_at: Mapped[Moment | None]

    def is_paused(self, now: datetime) -> bool:
        """Tell whether no worker is to try again yet."""
        return self.next_try_at is not None and now < self.next_try_at


def mail_server() -> MailServer | None:
    """Return the row to look at; None while no worker has ever run."""
    return db.session.get(MailServer, THE_ROW)


def lock_mail_server() -> MailServer:
    """Return the row, locked until the commit: workers count and claim one after the other."""
    locked = select(MailServer).with_for_update().execution_options(populate_existing=True)
    row = db.session.scalar(locked)
    if row is None:
        db.session.execute(insert_unless_there(MailServer, id=THE_ROW, failures=0, last_error=""))
        row = db.session.scalars(locked).one()
    return row


def note_failure(error: str) -> timedelta:
    """Let all workers pause, each time longer, and return how long. The mails in hand are not to blame."""
    now, row = clock.now(), lock_mail_server()
    pause = min(FIRST_PAUSE * (1 << min(row.failures, 20)), LONGEST_PAUSE)
    row.failing_since = row.failing_since or now
    row.failures += 1
    row.last_error = error[:1000]
    row.next_try_at = now + pause
    return pause


def note_success() -> None:
    """Note that the server takes mail."""
    row = lock_mail_server()
    row.failing_since = row.next_try_at = None
    row.failures, row.last_error = 0, ""
    row.last_sent_at = clock.now()
