"""Pages come from a real, streaming replica exactly where it has what the primary says, and none fails with it."""

import time
from collections.abc import Iterator

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text, update

from forum import clock
from forum.database import db
from forum.essays.essay import Essay
from forum.replica import LEFT_ALONE, init_replica, read_from_replica
from tests.cast import Cast
from tests.postgres import Postgres, Standby

pytestmark = pytest.mark.kinds("postgresql")

VERSIONS = select(Essay.version, Essay.thread_version).order_by(Essay.id).limit(1)


@pytest.fixture(scope="module")
def standby(postgres: Postgres) -> Iterator[Standby]:
    with Standby(postgres) as server:
        yield server


@pytest.fixture
def cast(app: Flask, standby: Standby) -> Iterator[Cast]:
    """Return the cast of a site that has a replica."""
    app.config["REPLICA_URL"] = standby.url("forum")
    init_replica(app)
    yield Cast(app)
    del app.extensions["replica"]
    app.config["REPLICA_URL"] = None


def test_a_page_is_read_from_the_replica_once_it_has_come_as_far(cast: Cast, standby: Standby) -> None:
    version = change_title(cast.app, "Seen there")
    wait_until_there(cast.app, "Seen there")
    assert read(cast.app, version) == ("Seen there", True)
    standby.pause()
    newer = change_title(cast.app, "Only here yet")
    assert read(cast.app, newer) == ("Only here yet", False)
    assert read(cast.app, version) == ("Seen there", True)  # whoever read the versions before it was changed
    standby.go_on()
    wait_until_there(cast.app, "Only here yet")
    assert read(cast.app, newer) == ("Only here yet", True)


def test_a_comment_is_on_the_next_page_however_far_behind_the_replica_is(
    cast: Cast, standby: Standby
) -> None:
    cast.reader.comment(cast.slug, "Said before.")
    assert "Said before." in cast.stranger.get(f"/essays/{cast.slug}").text
    standby.pause()
    cast.reader.comment(cast.slug, "Said while it stands still.")
    assert "Said while it stands still." in cast.stranger.get(f"/essays/{cast.slug}").text
    standby.go_on()
    cast.reader.comment(cast.slug, "Said as it goes on.")
    assert "Said as it goes on." in cast.stranger.get(f"/essays/{cast.slug}").text


def test_a_session_that_has_begun_stays_with_the_primary(cast: Cast) -> None:
    version = change_title(cast.app, "Begun")
    wait_until_there(cast.app, "Begun")
    with cast.app.app_context():
        db.session.get(Essay, 1)
        assert read_from_replica(VERSIONS, version, is_replica) is False
        db.session.rollback()
        assert read_from_replica(VERSIONS, version, is_replica) is True
        assert is_replica() is False


def test_a_replica_that_fails_in_the_middle_costs_no_page(
    cast: Cast, standby: Standby, caplog: pytest.LogCaptureFixture
) -> None:
    version = change_title(cast.app, "Kept")
    wait_until_there(cast.app, "Kept")
    places = []

    def read_and_cut() -> bool:
        places.append(is_replica())
        if places[-1]:
            standby.stop()
        return is_replica()

    with time_machine.travel(clock.now(), tick=False) as moment:
        with cast.app.app_context():
            assert read_from_replica(VERSIONS, version, read_and_cut) is False
        assert places == [True, False]
        assert read(cast.app, version) == ("Kept", False)
        moment.shift(LEFT_ALONE)
        assert read(cast.app, version) == ("Kept", False)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        standby.start()
        moment.shift(LEFT_ALONE)
        app = cast.app
        app.config["REPLICA_URL"] = standby.url("forum")
        init_replica(app)
        assert read(app, version) == ("Kept", True)


def read(app: Flask, version: tuple[int, int]) -> tuple[str, bool]:
    """Return the essay's title, read where it is allowed to, and whether that was the replica."""
    with app.test_request_context():
        return read_from_replica(VERSIONS, version, lambda: (title(), is_replica()))


def title() -> str:
    return db.session.scalars(select(Essay)).first().title  # type: ignore[union-attr]


def is_replica() -> bool:
    return bool(db.session.scalar(text("SELECT pg_is_in_recovery()")))


def change_title(app: Flask, words: str) -> tuple[int, int]:
    """Change the essay as a writer does, and return its versions."""
    with app.app_context():
        db.session.execute(update(Essay).values(title=words, version=Essay.version + 1))
        db.session.commit()
        version, thread_version = db.session.execute(VERSIONS).one()
        return version, thread_version


def wait_until_there(app: Flask, words: str) -> None:
    deadline = time.monotonic() + 30
    replica = app.extensions["replica"]
    while True:
        with replica._engine.connect() as connection:
            if connection.execute(text("SELECT title FROM essay")).scalar() == words:
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)
