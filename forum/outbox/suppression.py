"""Addresses that get no mail any more, and the bounces that tell of them."""

from enum import StrEnum

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, Prose, db, one_of, reference


class Why(StrEnum):
    """Why an address is suppressed."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
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
