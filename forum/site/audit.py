"""The append-only record of privileged acts: who did what to whom, when and why."""

from typing import Any

from sqlalchemy import JSON, String, func, select
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Id, Moment, Prose, db, reference


class AuditEntry(Base):
    """One privileged act. Rows are only ever added."""

    __tablename__ = "audit_entry"

    id: Mapped[Id]
    at: Mapped[Moment] = mapped_column(index=True)
    actor_id: Mapped[int | None] = reference("user.id")
    act: Mapped[str] = mapped_column(String(60), index=True)
    subject: Mapped[str] = mapped_column(String(60), index=True)  # "user:12", "setting:premoderation"
    reason: Mapped[Prose] = mapped_column(default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


def record(actor_id: int | None, act: str, subject: str, reason: str = "", **details: Any) -> AuditEntry:
    """Add one entry; it is kept exactly when the act is. `actor_id` None means the command line."""
    entry = AuditEntry(
        at=clock.now(), actor_id=actor_id, act=act, subject=subject, reason=reason, details=details
    )
    db.session.add(entry)
    return entry


def newest(act: str) -> int:
    """Return the id of the newest entry of an act, 0 while there is none. One query."""
    return db.session.scalar(select(func.max(AuditEntry.id)).where(AuditEntry.act == act)) or 0
