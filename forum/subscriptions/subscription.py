"""What a reader's subscription is today, with its dates."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, inspect, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.accounts.user import User
from forum.database import Base, Moment, db, one_of, reference
from forum.site.settings import site_settings

DAY = "%-d %B %Y"
"""How the days on which something ends are written."""


class State(StrEnum):
    """The states of a subscription; they follow from its dates."""

    NONE = "none"
    UNCONFIRMED = "unconfirmed"
    FREE = "free"
    PAID = "paid"
    COMPLIMENTARY = "complimentary"
    GRACE = "grace"
    LAPSED = "lapsed"


PAYING = frozenset({State.PAID, State.COMPLIMENTARY})
"""The states of a supporter, by money or as a present."""


class Kind(StrEnum):
    """What a subscription beyond the free one is."""

    PAID = "paid"
    COMPLIMENTARY = "complimentary"


class Subscription(Base):
    """A paid or complimentary period. Every confirmed account without one is a free subscription."""

    __tablename__ = "subscription"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    kind: Mapped[Kind] = one_of(Kind)
    began_at: Mapped[Moment]
    ends_at: Mapped[Moment | None] = mapped_column(index=True)
    cancelled_at: Mapped[Moment | None]
    """When the reader said that it shall not go on. It lasts until its date; no grace follows what was ended."""

    def state(self, now: datetime) -> State:
        """Tell the state at a moment: it lasts until its date, then come the days of grace, then it has lapsed."""
        if self.ends_at is None or now < self.ends_at:
            return State(self.kind.value)
        return State.GRACE if now < self.grace_until else State.LAPSED

    @property
    def grace_until(self) -> datetime:
        """Return when the days of grace are over; the end itself when it was cancelled. Only for an ending one."""
        if self.ends_at is None:
            raise ValueError("a subscription without an end has no days of grace")
        return self.ends_at if self.cancelled_at else self.ends_at + grace()


def grace() -> timedelta:
    """Return how long a period that was not cancelled goes on in part after its date."""
    return timedelta(days=site_settings().grace_days)


def subscription_state(user: User | None, now: datetime) -> State:
    """Return the state of a person's subscription; one query for the first call in a request.

    None for the person who asks: theirs was read with their session.
    """
    if user is None:
        return State.NONE
    if not user.is_confirmed:
        return State.UNCONFIRMED
    if "subscription" in inspect(user).unloaded:
        subscription = db.session.get(Subscription, user.id)
    else:
        subscription = user.subscription
    return subscription.state(now) if subscription else State.FREE


def has_subscription_state(state: State, now: datetime) -> ColumnElement[bool]:
    """Return the condition on users that matches `subscription_state()` in SQL."""
    mine = select(Subscription.user_id).where(Subscription.user_id == User.id)
    current = or_(Subscription.ends_at.is_(None), Subscription.ends_at > now)
    over = Subscription.ends_at <= now
    in_grace = and_(over, Subscription.cancelled_at.is_(None), Subscription.ends_at > now - grace())
    confirmed = User.email_confirmed_at.is_not(None)
    match state:
        case State.NONE:
            return User.id.is_(None)
        case State.UNCONFIRMED:
            return ~confirmed
        case State.FREE:
            return confirmed & ~exists(mine)
        case State.PAID | State.COMPLIMENTARY:
            return confirmed & exists(mine.where(current, Subscription.kind == Kind(state.value)))
        case State.GRACE:
            return confirmed & exists(mine.where(in_grace))
        case State.LAPSED:
            return confirmed & exists(mine.where(over, ~in_grace))
