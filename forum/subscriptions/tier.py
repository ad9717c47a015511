"""What the tiers of subscription are called, cost and give, in the admin's words."""

from dataclasses import dataclass

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Line, Prose, db
from forum.subscriptions.subscription import State


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
    State.FREE: Words("Free", "Nothing", "Every new essay by mail\nA voice in the discussions", "", True),
    State.PAID: Words(
        "Supporter",
        "",
        "Every essay, also those for supporters\nA voice in the discussions for supporters",
        "Write to the author, who will enter it for you.",
        False,
    ),
    State.COMPLIMENTARY: Words(
        "Complimentary", "A gift of the author", "All that supporters have", "", False
    ),
}
"""The words until an admin changes them; the paid tier is offered once it has a price."""


def tiers() -> dict[State, Words]:
    """Return the words for every tier. One query."""
    stored = {
        row.state: Words(row.name, row.price, row.gives, row.how, row.is_offered)
        for row in db.session.scalars(select(Tier))
    }
    return {state: stored.get(state.value, usual) for state, usual in USUAL.items()}
