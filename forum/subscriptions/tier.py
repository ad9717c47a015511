"""What the tiers of subscription are called, cost and give, in the admin's words, and a subscription in a phrase."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from flask import current_app
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.accounts.user import User
from forum.database import Base, Line, Prose, db
from forum.site.settings import renew_pages
from forum.subscriptions.subscription import DAY, State, Subscription, subscription_state


class Tier(Base):
    """The words for one tier, where the admin has changed them. Rights follow from states, never from words."""

    __tablename__ = "tier"

    state: Mapped[str] = mapped_column(String(20), primary_key=True)  # free, paid or complimentary
    name: Mapped[str] = mapped_column(String(60))
    price: Mapped[str] = mapped_column(String(60), default="")
    gives: Mapped[Prose] = mapped_column(default="")  # a line for each thing
    how: Mapped[Line] = mapped_column(default="")  # how to get it, while no payments are taken here
    is_offered: Mapped[bool] = mapped_column(default=True)


@dataclass(frozen=True)
class Words:
    """What a tier says of itself. `gives` has a line for each thing that it gives."""

    name: str
    price: str
    gives: str
    how: str
    is_offered: bool


USUAL = {
    State.FREE: Words(
        "Free", "costs nothing", "Every new essay by mail\nA voice in the discussions", "", True
    ),
    State.PAID: Words(
        "Supporter",
        "",
        "Every essay, also those for supporters\nA voice in the discussions for supporters",
        "",  # see `tiers`
        False,
    ),
    State.COMPLIMENTARY: Words(
        "Complimentary", "A gift of the author", "All that supporters have", "", False
    ),
}
"""The words until an admin changes them; the paid tier is offered once it has a price."""


def tiers() -> dict[State, Words]:
    """Return the words for every tier; the paid one always says how to get it. One query."""
    stored = {
        row.state: Words(row.name, row.price, row.gives, row.how, row.is_offered)
        for row in db.session.scalars(select(Tier))
    }
    words = {state: stored.get(state.value, usual) for state, usual in USUAL.items()}
    if not words[State.PAID].how:
        by_hand = f"Write to {current_app.config['MAIL_FROM']}, and it is entered for you."
        words[State.PAID] = replace(words[State.PAID], how=by_hand)
    return words


def change_tier(state: State, words: Words) -> None:
    """Store the words for one tier; the caller has validated them and records the change in the audit log."""
    row = db.session.get(Tier, state.value)
    if row is None:
        db.session.add(Tier(state=state.value, **asdict(words)))
    else:
        for name, value in asdict(words).items():
            setattr(row, name, value)
    renew_pages()


def state_names() -> dict[State, str]:
    """Return what every state is called, the tiers as the admin calls them. One query."""
    return {
        State.NONE: "No subscription",
        State.UNCONFIRMED: "Address not confirmed",
        **{state: words.name for state, words in tiers().items()},
        State.GRACE: "In grace",
        State.LAPSED: "Lapsed",
    }


@dataclass(frozen=True)
class Own:
    """What a person's own pages show of their subscription."""

    state: State
    row: Subscription | None
    words: str


def subscription_of(user: User, now: datetime) -> Own:
    """Return a person's subscription as their own pages show it; two queries at most."""
    state, row = subscription_state(user, now), db.session.get(Subscription, user.id)
    return Own(state, row, subscription_words(state, row, state_names()))


def subscription_words(state: State, subscription: Subscription | None, names: Mapping[State, str]) -> str:
    """Return a subscription with its dates in a phrase: "Supporter until 2 May 2027". `names` is state_names()."""
    if subscription is None or state in (State.NONE, State.UNCONFIRMED):
        return names[state]
    name = names[State(subscription.kind.value)]
    if subscription.ends_at is None:
        return f"{name}, without an end"
    day = subscription.ends_at.strftime(DAY)
    if state == State.LAPSED:
        return f"{names[state]}; {name} until {day}"
    if state == State.GRACE:
        return f"{name} until {day}, in grace until {subscription.grace_until.strftime(DAY)}"
    return f"{name}, cancelled, ends on {day}" if subscription.cancelled_at else f"{name} until {day}"
