"""A person with an account: name, address, role, standing."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from flask_login import UserMixin
from sqlalchemy import ColumnElement, String, and_, or_, select, true
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from forum.database import Base, Id, Line, Moment, Prose, db, one_of
from forum.text.names import clean_name, name_key


class Role(StrEnum):
    """What a person is trusted with on the whole site; each next one may do more."""

    READER = "reader"
    MODERATOR = "moderator"
    AUTHOR = "author"
    ADMIN = "admin"


class Standing(StrEnum):
    """Whether a person may write just now; who was warned may again once they have said that they read it."""

    ACTIVE = "active"
    HELD = "held"
    SUSPENDED = "suspended"
    BANNED = "banned"
    WARNED = "warned"


class User(Base, UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    """One account. Its standing is apart from its subscription."""

    __tablename__ = "user"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60))
    name_key: Mapped[str] = mapped_column(String(200), unique=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    email_confirmed_at: Mapped[Moment | None]
    password_hash: Mapped[Line | None]
    role: Mapped[Role] = one_of(Role, default=Role.READER, index=True)
    about: Mapped[Prose] = mapped_column(default="")
    created_at: Mapped[Moment] = mapped_column(index=True)

    theme: Mapped[str] = mapped_column(String(10), default="")  # light, dark, or "" for what the device says
    uses_keys: Mapped[bool] = mapped_column(default=True)
    shows_support: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether comments that they wrote as a supporter say so."""

    is_held: Mapped[bool] = mapped_column(default=False)
    suspended_until: Mapped[Moment | None]
    banned_at: Mapped[Moment | None]
    banned_until: Mapped[Moment | None]
    """When the ban ends by itself, None for never."""
    warning: Mapped[Prose] = mapped_column(default="", server_default="")
    """What they were warned of and have not yet said that they read."""
    warned_at: Mapped[Moment | None]
    standing_reason: Mapped[Prose] = mapped_column(default="")

    accepted_comments: Mapped[int] = mapped_column(default=0)

    subscription: Mapped[Any] = relationship(
        "Subscription",
        primaryjoin="foreign(User.id) == Subscription.user_id",
        viewonly=True,
        uselist=False,
        lazy="raise",
    )
    """The row of their paid or complimentary period; only where it was read with them: see `subscription_state`."""

    session_token = ""
    """The token of the session that this request came with; Flask-Login keeps it in the cookie."""

    def get_id(self) -> str:
        """Return what Flask-Login stores to find the person again: the session's token, not the person's id."""
        return self.session_token

    @validates("name")
    def _keep_name_unique(self, _key: str, name: str) -> str:
        name = clean_name(name)
        self.name_key = name_key(name)
        return name

    @validates("email")
    def _fold_address(self, _key: str, address: str) -> str:
        return address.strip().lower()

    def standing(self, now: datetime) -> Standing:
        """Tell the person's standing at a moment; a suspension or a ban ends by its date, without a job."""
        if self.is_banned(now):
            return Standing.BANNED
        if self.suspended_until is not None and self.suspended_until > now:
            return Standing.SUSPENDED
        if self.warning:
            return Standing.WARNED
        return Standing.HELD if self.is_held else Standing.ACTIVE

    def is_banned(self, now: datetime) -> bool:
        """Tell whether a ban is in force."""
        return self.banned_at is not None and (self.banned_until is None or self.banned_until > now)

    def is_in_standing(self, now: datetime) -> bool:
        """Tell whether the person may write at all: not suspended, not banned, no warning unread."""
        return self.standing(now) in (Standing.ACTIVE, Standing.HELD)

    @property
    def is_confirmed(self) -> bool:
        """Tell whether the person has shown that the address is theirs."""
        return self.email_confirmed_at is not None

    @property
    def may_write(self) -> bool:
        """Tell whether the person publishes essays here."""
        return self.role in (Role.AUTHOR, Role.ADMIN)

    @property
    def may_moderate(self) -> bool:
        """Tell whether the person has a moderation desk: moderators, admins, and authors for their own essays."""
        return self.role != Role.READER

    @property
    def is_admin(self) -> bool:
        """Tell whether the person manages users and settings."""
        return self.role == Role.ADMIN

    @classmethod
    def is_at_large(cls, now: datetime) -> ColumnElement[bool]:
        """Return the condition on people whom no ban is in force against."""
        return or_(cls.banned_at.is_(None), and_(cls.banned_until.is_not(None), cls.banned_until <= now))

    @classmethod
    def has_standing(cls, standing: Standing, now: datetime) -> ColumnElement[bool]:
        """Return the condition that matches `standing()` in SQL."""
        at_large = cls.is_at_large(now)
        suspended = (cls.suspended_until > now) & at_large
        warned = or_(cls.suspended_until.is_(None), cls.suspended_until <= now) & at_large
        free = warned & (cls.warning == "")
        match standing:
            case Standing.BANNED:
                return ~at_large
            case Standing.SUSPENDED:
                return suspended
            case Standing.WARNED:
                return warned & (cls.warning != "")
            case Standing.HELD:
                return free & cls.is_held.is_(True)
            case Standing.ACTIVE:
                return free & cls.is_held.is_(False)


def lock_users(which: ColumnElement[bool]) -> Sequence[User]:
    """Take the row locks of these people, in id order so that no two changes wait for each other; read them afresh.

    Rows that only refer to a locked person (a comment, an event) need not wait. On SQLite the whole file is
    locked since the first statement of the request.
    """
    rows = select(User).where(which).order_by(User.id).with_for_update(key_share=True)
    return db.session.scalars(rows.execution_options(populate_existing=True)).all()
