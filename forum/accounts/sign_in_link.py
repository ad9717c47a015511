"""What a mailed link or code stands for: one use, fifteen minutes, and the page to come back to."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Line, Moment, Token, Words, one_of, reference

LINK_LIFETIME = timedelta(minutes=15)
CODE_TRIES = 5
"""A six-digit code is guessed with 5 in 1,000,000."""


class Purpose(StrEnum):
    """What using the link does; a link for one purpose is nothing for another.

    One to sign up is mailed to known addresses too, and signs in: the site answers alike, so it keeps alike.
    """

    SIGN_IN = "sign-in"
    SIGN_UP = "sign-up"
    CHANGE_ADDRESS = "change-address"


class SignInLink(Base):
    """One mailed link with its code. A sign-up waits here, so that nobody owns an address they cannot read."""

    __tablename__ = "sign_in_link"

    id: Mapped[Id]
    purpose: Mapped[Purpose] = one_of(Purpose)
    user_id: Mapped[int | None] = reference("user.id")  # only of who wants to change their address
    email: Mapped[str] = mapped_column(String(254), index=True)
    name: Mapped[str] = mapped_column(String(60), default="")
    password_hash: Mapped[Line | None]
    token_hash: Mapped[Token] = mapped_column(unique=True)
    request_hash: Mapped[Token] = mapped_column(unique=True)  # names the browser that asked, for the code
    code_hash: Mapped[Token]
    code_tries: Mapped[int] = mapped_column(default=0)
    next_path: Mapped[str] = mapped_column(String(500), default="/")
    kept: Mapped[str] = mapped_column(String(64), default="")  # a kept comment's token, opaque here
    wishes: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset, server_default="")
    """The letters that were ticked on a form to subscribe; see `signals.joined`."""
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]

    def is_usable(self, now: datetime) -> bool:
        """Tell whether the link still works; its code also dies of wrong tries, which the link outlives."""
        return self.used_at is None and now < self.expires_at
