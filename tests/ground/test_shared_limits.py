"""Limits in a real Redis: the same answers as from the database, shared by all, and no error while it is away."""

import logging
import random
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, select

from forum import clock
from forum.database import db
from forum.limits import RateCount, TooOften, forget, init_limits, limit
from forum.redis_counts import LEFT_ALONE
from tests.redis_server import RedisServer

pytestmark = pytest.mark.kinds("sqlite")

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def limits(app: Flask, redis_server: RedisServer) -> Iterator[None]:
    """Switch the limits on, counted in an empty Redis, inside a request as they are used."""
    redis_server.client().flushall()
    app.config.update(RATE_LIMITS=True, REDIS_URL=redis_server.url)
    init_limits(app)
    with app.test_request_context(method="POST"):
        yield
    app.config.update(RATE_LIMITS=False, REDIS_URL=None)
    del app.extensions["redis_counts"]


def test_redis_gives_the_very_answers_of_the_database(app: Flask) -> None:
    shared = app.extensions["redis_counts"]
    chance = random.Random(7)
    with time_machine.travel(clock.now().replace(microsecond=0), tick=False) as moment:
        refused = 0
        for _ in range(400):
            doubling = chance.random() < 0.8
            answers = []
            for app.extensions["redis_counts"] in (None, shared):
                answers.append(wait(doubling=doubling))
            assert answers[0] == answers[1]
            refused += answers[0] > 0
            if chance.random() < 0.03:
                forget("knock", "somebody")  # in both
            if chance.random() < 0.4:
                moment.shift(timedelta(seconds=chance.choice((1, 20, 60, 600, 90_000))))
    assert refused > 100


def test_twenty_at_once_on_two_sites_are_counted_exactly(app: Flask, redis_server: RedisServer) -> None:
    allowed: list[bool] = []
    start = threading.Barrier(20)

    def knock() -> None:
        with app.test_request_context(method="POST"):
            start.wait()
            allowed.append(not wait(most=7))

    threads = [threading.Thread(target=knock) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * 13 + [True] * 7
    assert db.session.scalars(select(RateCount)).all() == []
    init_limits(app)  # as another process does
    assert wait(most=21) == 0
    assert wait(most=21) > 0


def test_a_count_leaves_redis_by_itself_a_day_after_its_window(redis_server: RedisServer) -> None:
    wait()
    (key,) = redis_server.client().keys()
    left = timedelta(milliseconds=redis_server.client().pttl(key))
    assert timedelta(days=1) < left <= timedelta(days=1) + MINUTE


def test_without_redis_the_database_counts_and_the_log_says_so_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment, caplog.at_level(logging.WARNING, "forum"):
        assert wait(most=3) == 0
        redis_server.stop()
        try:
            for _ in range(3):
                assert wait(most=3) == 0
                moment.shift(LEFT_ALONE)
            assert wait(most=3) > 0
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            forget("knock", "somebody")
            assert wait(most=3) == 0
        finally:
            redis_server.start()
        moment.shift(LEFT_ALONE)
        db.session.execute(delete(RateCount))
        assert wait(most=3) == 0
        assert db.session.scalars(select(RateCount)).all() == []
        assert len(redis_server.client().keys()) == 1


def wait(*, most: int = 3, doubling: bool = False) -> int:
    """Do a deed that is allowed so often a minute, and return how many seconds it has to wait."""
    try:
        limit("knock", "somebody", most, MINUTE, doubling=doubling)
    except TooOften as refusal:
        return refusal.wait_seconds
    return 0
