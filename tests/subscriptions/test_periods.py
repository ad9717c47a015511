"""Periods: granted, extended, ended, cancelled and renewed under a moving clock; the function and SQL always agree."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.site.settings import change_setting
from forum.subscriptions.periods import (
    LONGEST,
    PeriodRefused,
    cancel,
    end,
    extend,
    go_on_as_free,
    grant,
    last_moment,
    resume,
)
from forum.subscriptions.subscription import (
    Kind,
    State,
    Subscription,
    has_subscription_state,
    subscription_state,
)
from forum.subscriptions.tier import state_names, subscription_words
from tests.cast import Cast

START = datetime(2027, 1, 1, 12, tzinfo=UTC)
DATE = datetime(2027, 5, 2, 23, 59, 59, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MOMENTS = [timedelta(seconds=seconds) for seconds in (-40, -1, 0, 1, 40)] + [
    DAY * days for days in (-9, -7, 7, 9)
]


class Reader:
    """One reader and what the two ways to ask say of them at any moment."""

    def __init__(self, cast: Cast) -> None:
        self.app, self.id = cast.app, cast.user("a subscriber")

    def do(self, at: datetime, verb: Callable[..., object], *given: object, **named: object) -> None:
        with time_machine.travel(at, tick=False), self.app.app_context():
            verb(db.session.get_one(User, self.id), *given, **named)
            db.session.commit()

    def refused(self, at: datetime, verb: Callable[..., object], *given: object, **named: object) -> str:
        with pytest.raises(PeriodRefused) as refused:
            self.do(at, verb, *given, **named)
        return str(refused.value)

    def state(self, at: datetime) -> State:
        with self.app.app_context():
            user = db.session.get_one(User, self.id)
            said = subscription_state(user, at)
            in_sql = [state for state in State if self._is_found(state, at)]
            assert in_sql == [said]
            return said

    def words(self, at: datetime) -> str:
        with time_machine.travel(at, tick=False), self.app.app_context():
            row = db.session.get_one(Subscription, self.id)
            return subscription_words(row.state(at), row, state_names())

    def row(self) -> Subscription | None:
        with self.app.app_context():
            return db.session.get(Subscription, self.id)

    def _is_found(self, state: State, at: datetime) -> bool:
        found = select(User.id).where(User.id == self.id, has_subscription_state(state, at))
        return db.session.scalar(found) is not None


@pytest.fixture
def reader(cast: Cast) -> Reader:
    with time_machine.travel(START - 300 * DAY, tick=False):
        return Reader(cast)


def test_a_cancelled_period_lasts_to_the_second_of_its_date_and_is_then_over_without_grace(
    reader: Reader,
) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    reader.do(START + DAY, cancel)
    assert reader.words(START + DAY) == "Supporter, cancelled, ends on 2 May 2027"
    assert reader.state(DATE - SECOND) == State.PAID
    assert reader.state(DATE) == State.LAPSED
    reader.do(DATE + DAY, go_on_as_free)
    assert reader.row() is None
    assert reader.state(DATE + DAY) == State.FREE


def test_a_period_that_was_not_cancelled_has_its_days_of_grace_lapses_and_is_renewed(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    assert reader.words(DATE - DAY) == "Supporter until 2 May 2027"
    assert [reader.state(DATE - SECOND), reader.state(DATE)] == [State.PAID, State.GRACE]
    assert reader.words(DATE) == "Supporter until 2 May 2027, in grace until 9 May 2027"
    over = DATE + 7 * DAY
    assert [reader.state(over - SECOND), reader.state(over)] == [State.GRACE, State.LAPSED]
    assert reader.words(over) == "Lapsed; Supporter until 2 May 2027"
    reader.do(over + DAY, extend, days=30)
    assert reader.state(over + DAY) == State.PAID
    row = reader.row()
    assert row is not None
    assert (row.began_at, row.ends_at) == (over + DAY, over + 31 * DAY)


def test_what_is_renewed_in_the_days_of_grace_goes_on_from_its_date_as_if_nothing_had_been(
    reader: Reader,
) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    reader.do(DATE + DAY, extend, days=365)
    row = reader.row()
    assert row is not None
    assert (row.began_at, row.ends_at) == (START, DATE + 365 * DAY)
    assert reader.state(DATE + DAY) == State.PAID


def test_the_days_of_grace_are_a_setting_that_counts_at_once(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    with reader.app.app_context():
        change_setting("grace_days", 0)
        db.session.commit()
    assert reader.state(DATE) == State.LAPSED
    with reader.app.app_context():
        change_setting("grace_days", 20)
        db.session.commit()
    assert [reader.state(DATE + 20 * DAY - SECOND), reader.state(DATE + 20 * DAY)] == [
        State.GRACE,
        State.LAPSED,
    ]


def test_a_gift_without_an_end_lasts_until_its_reader_ends_it_and_then_nothing_is_left(
    reader: Reader,
) -> None:
    reader.do(START, grant, Kind.COMPLIMENTARY, None)
    assert reader.words(START + 9_000 * DAY) == "Complimentary, without an end"
    assert reader.state(START + 9_000 * DAY) == State.COMPLIMENTARY
    reader.do(START + DAY, cancel)
    assert reader.state(START + DAY) == State.FREE


def test_a_cancelling_can_be_taken_back_before_its_date_only(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    assert reader.refused(START, resume) == "Your subscription is not cancelled."
    reader.do(START, cancel)
    assert reader.refused(START, cancel) == "Your subscription is cancelled already and ends on 2 May 2027."
    assert reader.refused(DATE, resume) == "Your subscription ended on 2 May 2027. It can be renewed."
    reader.do(DATE - SECOND, resume)
    assert reader.state(DATE) == State.GRACE


def test_an_admin_ends_a_period_now_or_on_a_date_and_no_grace_follows(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    earlier = DATE - 30 * DAY
    reader.do(START, end, earlier)
    assert [reader.state(earlier - SECOND), reader.state(earlier)] == [State.PAID, State.LAPSED]
    reader.do(START + DAY, end)
    assert reader.state(START + DAY) == State.LAPSED
    reader.do(START + 2 * DAY, grant, Kind.COMPLIMENTARY, None)
    reader.do(START + 3 * DAY, end)
    assert reader.state(START + 3 * DAY) == State.LAPSED


def test_ending_in_the_days_of_grace_ends_these(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    reader.do(DATE + DAY, end)
    assert reader.state(DATE + DAY) == State.LAPSED


def test_who_never_had_a_period_has_none_to_change(reader: Reader) -> None:
    assert "Grant one" in reader.refused(START, extend, days=3)
    assert "no period" in reader.refused(START, end)
    assert "nothing to cancel" in reader.refused(START, cancel)
    assert "free subscription already" in reader.refused(START, go_on_as_free)


def test_nobody_gives_up_what_is_not_over_and_nobody_cancels_what_is(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    assert "not over" in reader.refused(START, go_on_as_free)
    assert "ended on 2 May 2027" in reader.refused(DATE, cancel)
    assert "ended on 2 May 2027" in reader.refused(DATE + 9 * DAY, end)


def test_a_grant_never_takes_away_what_lasts_longer(reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    assert "exactly this" in reader.refused(START, grant, Kind.PAID, DATE)
    assert "more already: until 2 May 2027" in reader.refused(START, grant, Kind.COMPLIMENTARY, DATE - DAY)
    assert "until 2 May 2027 already" in reader.refused(START, extend, until=DATE)
    reader.do(START, grant, Kind.PAID, None)
    assert "more already: without an end" in reader.refused(START, grant, Kind.PAID, DATE)
    assert "no end" in reader.refused(START, extend, days=3)


def test_a_date_that_is_over_or_beyond_reason_is_refused(reader: Reader) -> None:
    assert "is over" in reader.refused(START, grant, Kind.PAID, START)
    assert "a hundred years" in reader.refused(START, grant, Kind.PAID, START + LONGEST + DAY)
    reader.do(START, grant, Kind.PAID, DATE)
    assert "is over" in reader.refused(START, end, START - DAY)
    assert "already. Extend it" in reader.refused(START, end, DATE + DAY)
    assert "is over" in reader.refused(DATE + DAY, extend, days=1)


def test_a_period_that_lasts_to_the_end_of_all_dates_is_not_extended(cast: Cast, reader: Reader) -> None:
    with cast.app.app_context():
        forever = datetime(9999, 12, 31, tzinfo=UTC)  # as a file of readers may say
        db.session.add(Subscription(user_id=reader.id, kind=Kind.PAID, began_at=START, ends_at=forever))
        db.session.commit()
    form = {"act": "extend", "days": "30", "reason": "They paid again."}
    answer = cast.admin.post(f"/admin/users/{reader.id}/subscription", form)
    assert answer.status_code == 422
    assert "Choose a date within a hundred years" in answer.text


def test_the_last_day_belongs_to_the_period() -> None:
    assert last_moment(DATE.date()) == DATE


def test_a_period_counts_only_once_the_address_is_confirmed(cast: Cast, reader: Reader) -> None:
    reader.do(START, grant, Kind.PAID, DATE)
    cast.change(User, reader.id, email_confirmed_at=None)
    assert reader.state(START) == State.UNCONFIRMED


def test_the_function_and_sql_tell_the_same_state_for_every_period_and_moment(cast: Cast) -> None:
    ids = [cast.user(f"reader {number}") for number in range(3)]
    cast.change(User, ids[2], email_confirmed_at=None)
    offsets = st.sampled_from(MOMENTS) | st.timedeltas(-40 * DAY, 40 * DAY)
    period = st.fixed_dictionaries(
        {
            "kind": st.sampled_from(Kind),
            "ends_at": st.none() | offsets.map(lambda offset: START + offset),
            "cancelled_at": st.none() | st.just(START - DAY),
        }
    )

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(period, period, offsets, st.sampled_from([0, 7, 90]))
    def agree(
        first: dict[str, object], second: dict[str, object], offset: timedelta, grace_days: int
    ) -> None:
        with cast.app.app_context():
            change_setting("grace_days", grace_days)
            for user_id, columns in ((ids[0], first), (ids[2], second)):
                db.session.add(Subscription(user_id=user_id, began_at=START - 100 * DAY, **columns))
            db.session.flush()
            compare(cast.app, ids, START + offset)
            db.session.rollback()

    agree()


def compare(app: Flask, ids: list[int], now: datetime) -> None:
    users = db.session.scalars(select(User).where(User.id.in_(ids))).all()
    said = {(user.id, subscription_state(user, now)) for user in users}
    in_sql = {
        (user_id, state)
        for state in State
        for user_id in db.session.scalars(
            select(User.id).where(User.id.in_(ids), has_subscription_state(state, now))
        )
    }
    assert said == in_sql


def test_two_changes_at_once_come_one_after_the_other(cast: Cast) -> None:
    """Both grant to somebody who has nothing: the later one sees what the first gave, and the longer lasts."""
    user_id, start = cast.user("wanted"), Barrier(2)

    def give(number: int) -> bool:
        with cast.app.app_context():
            user = db.session.get_one(User, user_id)
            db.session.rollback()
            start.wait()
            try:
                grant(user, Kind.PAID, clock.now().replace(microsecond=0) + 900 * DAY - number * DAY)
                db.session.commit()
            except PeriodRefused:
                db.session.rollback()
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(give, range(2)))
    assert results[0]
    row = cast.read(Subscription, user_id)
    assert row.ends_at > clock.now() + 899 * DAY
