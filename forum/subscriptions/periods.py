"""Changing a person's paid or complimentary period: by an admin, by the reader, for one person or for many."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.subscriptions.subscription import DAY, Kind, State, Subscription

LONGEST = timedelta(days=36_525)
"""A hundred years: who means longer means no end, and after the last date that there is no grace could follow."""


@dataclass(frozen=True)
class Period:
    """What a period is, apart from its row. None in its place is the free subscription."""

    kind: Kind
    began_at: datetime
    ends_at: datetime | None
    cancelled_at: datetime | None = None

    def state(self, now: datetime) -> State:
        """Tell the state at a moment, as its row would."""
        return self.as_row(0).state(now)

    def as_row(self, user_id: int) -> Subscription:
        """Return the row of this period for a person, not added to anything."""
        return Subscription(user_id=user_id, **self.__dict__)


Deed = Callable[[Period | None, datetime], Period | None]
"""Says what a period becomes at a moment, or why it cannot (PeriodRefused). It changes nothing itself."""


@dataclass(frozen=True)
class Change:
    """What a period was and what it is now."""

    old: Period | None
    new: Period | None

    def details(self) -> dict[str, Any]:
        """Return both for the audit log, dates as ISO 8601."""
        return {"old": _as_details(self.old), "new": _as_details(self.new)}


class PeriodRefused(Exception):
    """Why a period was not changed, as one sentence for whoever tried."""


Outcome = Change | PeriodRefused


def grant(user: User, kind: Kind, ends_at: datetime | None) -> Change:
    """Give a person a period until a moment, or without an end. Raises: PeriodRefused."""
    return change(user, granting(kind, ends_at))


def extend(user: User, *, until: datetime | None = None, days: int | None = None) -> Change:
    """Let a person's period last longer: until a moment or for some days more. Raises: PeriodRefused."""
    return change(user, extending(until=until, days=days))


def end(user: User, at: datetime | None = None) -> Change:
    """End a person's period at a moment, or now; no grace follows. Raises: PeriodRefused."""
    return change(user, ending(at))


def cancel(user: User) -> Change:
    """Let a period end on its date, as its reader wishes; one without a date ends now. Raises: PeriodRefused."""
    return change(user, cancelling)


def resume(user: User) -> Change:
    """Take a cancelling back, before its date. Raises: PeriodRefused."""
    return change(user, resuming)


def go_on_as_free(user: User) -> Change:
    """Let a reader whose period is over be a free subscriber again. Raises: PeriodRefused."""
    return change(user, going_free)


def change(user: User, deed: Deed) -> Change:
    """Do a deed on one person's period. Raises: PeriodRefused."""
    lock_users(User.id == user.id)
    outcome = change_all({user.id: deed})[user.id]
    if isinstance(outcome, PeriodRefused):
        raise outcome
    return outcome


def change_all(deeds: Mapping[int, Deed]) -> dict[int, Outcome]:
    """Do a deed for each person's id; who is refused stays as they are. The caller has locked these people."""
    rows = _rows_of(deeds)
    outcomes = _outcomes(deeds, rows)
    for user_id, outcome in outcomes.items():
        if isinstance(outcome, Change):
            _store(user_id, rows.get(user_id), outcome.new)
    return outcomes


def foresee(deeds: Mapping[int, Deed]) -> dict[int, Outcome]:
    """Return what `change_all()` would do now, without doing it; one query."""
    return _outcomes(deeds, _rows_of(deeds))


def granting(kind: Kind, ends_at: datetime | None) -> Deed:
    """Return the deed that gives a period. It never takes away from one that lasts longer."""

    def deed(old: Period | None, now: datetime) -> Period:
        _refuse_date(ends_at, now)
        going_on = old is not None and old.state(now) != State.LAPSED
        if old is not None and going_on and old.kind == kind and old.ends_at == ends_at:
            raise PeriodRefused("They have exactly this already.")
        if old is not None and going_on and _lasts_longer(old.ends_at, ends_at):
            raise PeriodRefused(f"They have more already: {_until(old.ends_at)}. End that first.")
        same = old is not None and going_on and old.kind == kind
        return Period(kind, old.began_at if old is not None and same else now, ends_at)

    return deed


def extending(*, until: datetime | None = None, days: int | None = None) -> Deed:
    """Return the deed that lets a period last longer; days count from its end, or from now once it has lapsed."""

    def deed(old: Period | None, now: datetime) -> Period:
        if old is None:
            raise PeriodRefused("They have no period that could be extended. Grant one.")
        if old.ends_at is None:
            raise PeriodRefused("Their period has no end.")
        lapsed = old.state(now) == State.LAPSED
        # What came in from elsewhere may last until the end of all dates, where no day can be added.
        last = now if lapsed else min(old.ends_at, now + LONGEST)
        ends_at = until or last + timedelta(days=days or 0)
        _refuse_date(ends_at, now)
        if ends_at <= old.ends_at:
            raise PeriodRefused(f"Their period lasts {_until(old.ends_at)} already.")
        return Period(old.kind, now if lapsed else old.began_at, ends_at)

    return deed


def ending(at: datetime | None = None) -> Deed:
    """Return the deed that ends a period, now or at a later moment; no grace follows what was ended on purpose."""

    def deed(old: Period | None, now: datetime) -> Period:
        if old is None:
            raise PeriodRefused("They have no period that could end.")
        if old.state(now) == State.LAPSED:
            raise PeriodRefused(f"Their period ended on {_day(old)} already.")
        if at is not None:
            _refuse_date(at, now)
        if at is not None and old.ends_at is not None and old.ends_at < at:
            raise PeriodRefused(f"Their period ends on {_day(old)} already. Extend it to let it last longer.")
        if old.cancelled_at is not None and at == old.ends_at:
            raise PeriodRefused(f"Their period ends on {_day(old)} already.")
        ends_at = at or (now if old.ends_at is None else min(now, old.ends_at))
        return Period(old.kind, old.began_at, ends_at, cancelled_at=old.cancelled_at or now)

    return deed


def cancelling(old: Period | None, now: datetime) -> Period | None:
    """Say what a period becomes when its reader cancels it: without a date, nothing is left that it could last to."""
    if old is None:
        raise PeriodRefused("You have the free subscription. There is nothing to cancel.")
    if old.state(now) in (State.GRACE, State.LAPSED):
        raise PeriodRefused(f"Your subscription ended on {_day(old)} already.")
    if old.cancelled_at is not None:
        raise PeriodRefused(f"Your subscription is cancelled already and ends on {_day(old)}.")
    if old.ends_at is None:
        return None
    return Period(old.kind, old.began_at, old.ends_at, cancelled_at=now)


def resuming(old: Period | None, now: datetime) -> Period:
    """Say what a cancelled period becomes when its reader takes that back."""
    if old is None or old.cancelled_at is None:
        raise PeriodRefused("Your subscription is not cancelled.")
    if old.state(now) == State.LAPSED:
        raise PeriodRefused(f"Your subscription ended on {_day(old)}. It can be renewed.")
    return Period(old.kind, old.began_at, old.ends_at)


def going_free(old: Period | None, now: datetime) -> None:
    """Say what becomes of a period that is over when its reader goes on without: nothing is left of it."""
    if old is None:
        raise PeriodRefused("You have the free subscription already.")
    if old.state(now) not in (State.GRACE, State.LAPSED):
        raise PeriodRefused("Your subscription is not over. You can cancel it.")


def last_moment(day: date) -> datetime:
    """Return the last second of a day, UTC: a period "until 2 May" lasts through it, and its date reads 2 May."""
    return datetime.combine(day, time(23, 59, 59), UTC)


def _rows_of(ids: Collection[int]) -> dict[int, Subscription]:
    fresh = select(Subscription).where(Subscription.user_id.in_(list(ids)))
    return {row.user_id: row for row in db.session.scalars(fresh.execution_options(populate_existing=True))}


def _outcomes(deeds: Mapping[int, Deed], rows: Mapping[int, Subscription]) -> dict[int, Outcome]:
    now = clock.now()
    return {user_id: _outcome(deed, rows.get(user_id), now) for user_id, deed in deeds.items()}


def _outcome(deed: Deed, row: Subscription | None, now: datetime) -> Outcome:
    old = Period(row.kind, row.began_at, row.ends_at, row.cancelled_at) if row else None
    try:
        return Change(old, deed(old, now))
    except PeriodRefused as refused:
        return refused


def _store(user_id: int, row: Subscription | None, period: Period | None) -> None:
    if row is None and period is not None:
        db.session.add(period.as_row(user_id))
    elif row is not None and period is None:
        db.session.delete(row)
    elif row is not None and period is not None:
        row.kind, row.began_at = period.kind, period.began_at
        row.ends_at, row.cancelled_at = period.ends_at, period.cancelled_at


def _refuse_date(moment: datetime | None, now: datetime) -> None:
    if moment is not None and moment <= now:
        raise PeriodRefused(f"{moment.strftime(DAY)} is over. Choose a later date.")
    if moment is not None and moment > now + LONGEST:
        raise PeriodRefused("Choose a date within a hundred years, or no end.")


def _lasts_longer(first: datetime | None, second: datetime | None) -> bool:
    return second is not None and (first is None or first > second)


def _until(moment: datetime | None) -> str:
    return f"until {moment.strftime(DAY)}" if moment else "without an end"


def _day(period: Period) -> str:
    return period.ends_at.strftime(DAY) if period.ends_at else "no date"


def _as_details(period: Period | None) -> dict[str, str] | str:
    if period is None:
        return "free"
    moments = {"ends_at": period.ends_at, "cancelled_at": period.cancelled_at, "began_at": period.began_at}
    return {"kind": period.kind.value} | {
        name: moment.isoformat() for name, moment in moments.items() if moment
    }
