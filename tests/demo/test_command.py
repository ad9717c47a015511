"""The command that makes the demo: when it may, and what it says."""

from collections.abc import Iterator

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from forum.cli import demo
from forum.database import db
from forum.demo.accounts import PASSWORD
from forum.discussion.comment import Comment
from forum.essays.essay import Essay


def run(app: Flask, *options: str) -> Result:
    return app.test_cli_runner().invoke(demo, options)


def count(app: Flask, model: type[Essay] | type[Comment]) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def production(app: Flask) -> Iterator[Flask]:
    """Return the app as it is where readers can reach it."""
    app.config["IS_PRODUCTION"] = True
    yield app
    app.config["IS_PRODUCTION"] = False


def test_it_fills_an_empty_database_and_says_whom_to_sign_in_as(app: Flask) -> None:
    result = run(app)
    assert result.exit_code == 0, result.output
    for name in ("author", "moderator", "admin", "reader"):
        assert f"{name}@demo.example" in result.output
    assert PASSWORD in result.output
    assert count(app, Essay) == 5


def test_it_refuses_a_database_with_data_and_changes_nothing(app: Flask) -> None:
    run(app, "--essays", "1", "--readers", "2")
    result = run(app)
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert count(app, Essay) == 1


def test_with_if_empty_it_is_content_with_what_is_there(app: Flask) -> None:
    assert run(app, "--if-empty", "--comments", "30").exit_code == 0
    result = run(app, "--if-empty", "--comments", "30")
    assert result.exit_code == 0
    assert "nothing was added" in result.output
    assert count(app, Comment) == 30


def test_there_is_no_demo_in_production(production: Flask) -> None:
    for options in ((), ("--if-empty",), ("--comments", "5")):
        result = run(production, *options)
        assert result.exit_code == 1
        assert "production" in result.output
    assert count(production, Essay) == 0


def test_comments_without_anyone_to_write_them_are_refused_in_a_line(app: Flask) -> None:
    for options in (("--comments", "5", "--readers", "0"), ("--comments", "5", "--essays", "0")):
        result = run(app, *options)
        assert result.exit_code == 1
        assert "at least one essay and one reader" in result.output
        assert count(app, Essay) == 0
