"""Addresses that get no mail any more, and the bounces that tell of them."""

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.database import Base, Id, Moment, Prose, db, insert_unless_there, one_of, reference


class Why(StrEnum):
    """Why an address is suppressed."""

    BOUNCED = "bounced"
    BY_HAND = "by-hand"


class Suppression(Base):
    """One address that nothing is sent to, but what somebody asks for at this moment (`message.ASKED_FOR`)."""

    __tablename__ = "suppression"

    address: Mapped[str] = mapped_column(String(254), primary_key=True)
    why: Mapped[Why] = one_of(Why)
    note: Mapped[Prose] = mapped_column(default="")
    by_id: Mapped[int | None] = reference("user.id", index=False)  # None: from a bounce message
    created_at: Mapped[Moment] = mapped_column(index=True)


class Bounce(Base):
    """One mail that came back, as a bounce message or a person says; the same one is recorded once."""

    __tablename__ = "bounce"

    id: Mapped[Id]
    address: Mapped[str] = mapped_column(String(254), index=True)
    is_permanent: Mapped[bool]
    status: Mapped[str] = mapped_column(String(20), default="")  # RFC 3463: 5.1.1
    words: Mapped[Prose] = mapped_column(default="")
    source: Mapped[str] = mapped_column(String(64), unique=True)
    """A digest of the bounce message, so that reading a mailbox twice changes nothing."""
    at: Mapped[Moment]


def is_suppressed(address: str) -> bool:
    """Tell whether an address gets no mail any more."""
    return db.session.scalar(select(Suppression.address).where(Suppression.address == address)) is not None


def suppressed_among(addresses: Collection[str]) -> set[str]:
    """Return those addresses, in the spelling of accounts, that get no mail any more. One query."""
    return set(db.session.scalars(select(Suppression.address).where(Suppression.address.in_(addresses))))


def suppress(address: str, why: Why, note: str = "", by_id: int | None = None) -> None:
    """Send nothing to an address any more. One that is suppressed already keeps its first reason."""
    values = {"why": why, "note": note, "by_id": by_id, "created_at": clock.now()}
    db.session.execute(insert_unless_there(Suppression, address=address.lower(), **values))


def unsuppress(address: str) -> bool:
    """Send to an address again; tell whether it was suppressed. What failed meanwhile is retried by `retry_failed`."""
    gone = delete(Suppression).where(Suppression.address == address.lower()).returning(Suppression.address)
    return db.session.scalar(gone) is not None


def record_bounce(
    address: str,
    *,
    is_permanent: bool,
    source: str,
    status: str = "",
    words: str = "",
) -> bool:
    """Keep one mail that came back, and suppress its address if it came back for good; tell whether it is a new one.

    `source` is a digest of what it is known from, of 64 characters at most: the same one counts once.
    """
    values = {"address": address.lower(), "is_permanent": is_permanent, "status": status[:20], "words": words}
    bounce = insert_unless_there(Bounce, **values, source=source, at=clock.now()).returning(Bounce.id)
    if db.session.scalar(bounce) is None:
        return False
    if is_permanent:
        suppress(address, Why.BOUNCED, words)
    return True
