"""Limits: how often, in which window, doubling, forgiving, and exactly so when many come at once."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from forum import clock
from forum.database import db
from forum.limits import MAX_WAIT, RateCount, TooOften, forget, limit, wait_words

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def limits(app: Flask) -> Iterator[None]:
    """Switch the limits on, inside a request as they are used."""
    app.config["RATE_LIMITS"] = True
    with app.test_request_context(method="POST"):
        yield
    app.config["RATE_LIMITS"] = False


@pytest.fixture
def moment() -> Iterator[time_machine.Traveller]:
    """Stop the clock, so that a test moves it."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def test_so_many_are_allowed_and_the_next_is_told_when_to_try_again(moment: time_machine.Traveller) -> None:
    for _ in range(3):
        limit("knock", "somebody", 3, MINUTE)
    moment.shift(timedelta(seconds=20))
    with pytest.raises(TooOften) as refused:
        limit("knock", "somebody", 3, MINUTE)
    assert refused.value.wait_seconds == 40
    assert str(refused.value) == "You can try again in 40 seconds."


def test_after_the_window_it_begins_anew(moment: time_machine.Traveller) -> None:
    assert tries(5) == 3
    moment.shift(timedelta(seconds=59))
    assert tries(1) == 0
    moment.shift(timedelta(seconds=1))
    assert tries(5) == 3


def test_trying_on_does_not_lengthen_the_wait(moment: time_machine.Traveller) -> None:
    tries(50)
    moment.shift(MINUTE)
    assert tries(1) == 1


def test_a_count_that_says_nothing_any_more_is_deleted(moment: time_machine.Traveller) -> None:
    tries(5)
    moment.shift(timedelta(days=1, minutes=1))
    limit("knock", "somebody else", 3, MINUTE)
    assert len(db.session.scalars(select(RateCount)).all()) == 2  # its strikes still count until now
    moment.shift(timedelta(seconds=1))
    limit("knock", "somebody else", 3, MINUTE)
    assert len(db.session.scalars(select(RateCount)).all()) == 1


def test_people_and_deeds_are_counted_apart(moment: time_machine.Traveller) -> None:
    assert tries(5) == 3
    limit("knock", "somebody else", 3, MINUTE)
    limit("ring", "somebody", 3, MINUTE)


def test_with_doubling_each_reached_limit_waits_twice_as_long(moment: time_machine.Traveller) -> None:
    waits = []
    for _ in range(14):
        for _ in range(3):
            limit("guess", "somebody", 3, MINUTE, doubling=True)
        with pytest.raises(TooOften) as refused:
            limit("guess", "somebody", 3, MINUTE, doubling=True)
        waits.append(refused.value.wait_seconds)
        moment.shift(timedelta(seconds=refused.value.wait_seconds))
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == MAX_WAIT.total_seconds()


def test_doubling_never_ends_in_an_error(moment: time_machine.Traveller) -> None:
    tries(1, doubling=True)
    count = db.session.scalars(select(RateCount)).one()
    count.strikes = 10_000
    db.session.commit()
    tries(2, doubling=True)
    with pytest.raises(TooOften) as refused:
        limit("knock", "somebody", 3, MINUTE, doubling=True)
    assert refused.value.wait_seconds == MAX_WAIT.total_seconds()


def test_a_quiet_day_forgives_the_doubling(moment: time_machine.Traveller) -> None:
    tries(4, doubling=True)
    moment.shift(timedelta(days=1, minutes=2))
    tries(3, doubling=True)
    with pytest.raises(TooOften) as refused:
        limit("knock", "somebody", 3, MINUTE, doubling=True)
    assert refused.value.wait_seconds == 60


def test_who_has_shown_who_they_are_is_forgiven(moment: time_machine.Traveller) -> None:
    assert tries(5) == 3
    forget("knock", "somebody")
    db.session.commit()
    assert tries(5) == 3


def test_a_refused_deed_stays_counted_when_its_request_is_rolled_back() -> None:
    tries(2)
    db.session.rollback()
    assert db.session.scalars(select(RateCount.hits)).one() == 2


def test_a_name_of_any_length_or_script_can_be_counted() -> None:
    for who in ("x" * 1_000, "é" * 300, "::1", "'; --"):
        limit("knock", who, 3, MINUTE)


def test_switched_off_nothing_is_counted(app: Flask) -> None:
    app.config["RATE_LIMITS"] = False
    assert tries(50) == 50
    assert db.session.scalars(select(RateCount)).all() == []


def test_twenty_at_once_are_counted_exactly(app: Flask) -> None:
    allowed: list[bool] = []
    start = threading.Barrier(20)

    def knock() -> None:
        with app.test_request_context(method="POST"):
            start.wait()
            try:
                limit("knock", "everybody", 7, MINUTE)
                allowed.append(True)
            except TooOften:
                allowed.append(False)

    threads = [threading.Thread(target=knock) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * 13 + [True] * 7
    assert db.session.scalars(select(RateCount.hits)).one() == 20


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (1, "1 second"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (121, "3 minutes"),
        (5_340, "89 minutes"),
        (5_400, "2 hours"),
        (86_400, "24 hours"),
    ],
)
def test_a_wait_is_told_in_words_and_rounded_up(seconds: int, sentence: str) -> None:
    assert wait_words(seconds) == sentence


def tries(times: int, *, doubling: bool = False) -> int:
    """Do a deed that is allowed three times a minute, and return how often it went through."""
    through = 0
    for _ in range(times):
        try:
            limit("knock", "somebody", 3, MINUTE, doubling=doubling)
            through += 1
        except TooOften:
            continue
    return through
