"""What visitors and proxies meet while PostgreSQL is away: a way back, not an error of the program."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from forum.database import db
from tests.conftest import make_app


@pytest.fixture
def app_without_database(tmp_path: Path) -> Flask:
    """Return the site over a PostgreSQL that is not there."""
    return make_app(f"postgresql+psycopg://forum@/forum?host={tmp_path}", tmp_path)


def test_who_reads_or_writes_is_asked_to_come_again_and_keeps_their_words(
    app_without_database: Flask,
) -> None:
    client = app_without_database.test_client()
    reads = [client.get(path) for path in ("/", "/essays/on-tides", "/no-such-address")]
    form = {"body": "Words that took an evening."}
    post = client.post("/essays/on-tides/comments", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    for answer in (*reads, post):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert "cannot reach its database" in answer.text
    assert "Words that took an evening." in post.text
    assert client.get("/essays/on-tides", headers={"Accept": "application/json"}).is_json


def test_a_node_without_its_database_lives_and_wants_no_readers(app_without_database: Flask) -> None:
    client = app_without_database.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz/web").status_code == 503
    assert client.get("/readyz").status_code == 503


@pytest.mark.kinds("postgresql")
def test_a_page_that_was_made_is_sent_though_the_database_went_away_then(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> str:
        """Stand for any page: the connection that it has used is cut as its last words are written."""
        own = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(select(func.pg_terminate_backend(own)))
        return "the page"

    monkeypatch.setitem(app.view_functions, "health.healthz", cut)
    assert app.test_client().get("/healthz").text == "the page"
    assert app.test_client().get("/").status_code == 200
