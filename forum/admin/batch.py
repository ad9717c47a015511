"""Deeds on the periods of one person or many: foreseen for a review, then done, with one audit entry for each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.moderation.standing import NotDone, lock_people, may_manage, subject
from forum.site import audit
from forum.subscriptions.periods import Change, Deed, Outcome, Period, change, change_all, foresee
from forum.subscriptions.subscription import State
from forum.subscriptions.tier import state_names, subscription_words

MOST_AT_ONCE = 5_000
"""As many as a reviewing admin could scroll through, and as one transaction changes in a few seconds."""


@dataclass(frozen=True)
class Plan:
    """What a deed for each of some people would do to them now; the deeds are by the people's ids."""

    people: Mapping[int, User]
    outcomes: Mapping[int, Outcome]

    @property
    def count(self) -> int:
        """Return for how many people something would change."""
        return sum(isinstance(outcome, Change) for outcome in self.outcomes.values())

    @property
    def fingerprint(self) -> str:
        """Return a digest of who has what now and who is refused, so that nobody presses a button for other facts."""
        facts = [(user_id, _fact(outcome)) for user_id, outcome in sorted(self.outcomes.items())]
        return sha256(repr(facts).encode()).hexdigest()


@dataclass(frozen=True)
class Foreseen:
    """One line of a review: what somebody has and what follows, or why nothing does; of a file, where it stands."""

    user: User | None = None
    now: str = ""
    then: str = ""
    why_not: str = ""
    number: int = 0
    address: str = ""


class OutOfDate(Exception):
    """What a review showed is not so any more; nothing was done."""


def change_period(actor: User, user: User, act: str, deed: Deed, reason: str) -> Change:
    """Do a deed on one person's period. Raises: NotDone, for an actor who is no admin any more; PeriodRefused."""
    lock_people(actor, user)
    _refuse_unless_admin(actor)
    done = change(user, deed)
    _record(actor, user, act, done, reason)
    return done


def plan(deeds: Mapping[int, Deed]) -> Plan:
    """Return what would follow from a deed for each person's id; two queries."""
    return Plan(_people(deeds), foresee(deeds))


def carry_out(actor: User, act: str, deeds: Mapping[int, Deed], seen: str, reason: str) -> int:
    """Do what was reviewed, and return for how many people something changed.

    Raises: OutOfDate, when `seen`, the plan's fingerprint, is another now; NotDone.
    """
    people = _people(deeds)
    lock_people(actor, *people.values())
    _refuse_unless_admin(actor)
    made = Plan(people, foresee(deeds))
    if made.fingerprint != seen:
        raise OutOfDate
    for user_id, outcome in change_all(deeds).items():
        if isinstance(outcome, Change):
            _record(actor, people[user_id], act, outcome, reason)
    return made.count


def in_words(made: Plan) -> dict[int, Foreseen]:
    """Return each person's line of a review, by their ids; one query."""
    names = state_names()
    return {
        user_id: _foreseen(made.people[user_id], outcome, names) for user_id, outcome in made.outcomes.items()
    }


def _foreseen(user: User, outcome: Outcome, names: Mapping[State, str]) -> Foreseen:
    if not isinstance(outcome, Change):
        return Foreseen(user, why_not=str(outcome))
    return Foreseen(user, _words(outcome.old, names), _words(outcome.new, names))


def _words(period: Period | None, names: Mapping[State, str]) -> str:
    if period is None:
        return names[State.FREE]
    return subscription_words(period.state(clock.now()), period.as_row(0), names)


def _people(ids: Collection[int]) -> dict[int, User]:
    found = db.session.scalars(select(User).where(User.id.in_(list(ids))).order_by(User.id))
    return {user.id: user for user in found}


def _fact(outcome: Outcome) -> str:
    return repr(outcome.old) if isinstance(outcome, Change) else f"refused: {outcome}"


def _record(actor: User, user: User, act: str, done: Change, reason: str) -> None:
    audit.record(actor.id, f"subscription-{act}", subject(user), reason, **done.details())


def _refuse_unless_admin(actor: User) -> None:
    if not may_manage(actor, clock.now()):
        raise NotDone("Only an admin may do this.")
