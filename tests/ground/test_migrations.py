"""The migrations build what the models say, on both databases, up and down."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from forum.database import Base, db, is_sqlite
from tests.cast import Cast
from tests.outbox.mails import put, put_letters


def test_the_migrations_make_exactly_what_the_models_say(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_go_down_to_nothing_and_up_again(app: Flask) -> None:
    with app.app_context():
        downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        upgrade()
        assert set(Base.metadata.tables) <= set(inspect(db.engine).get_table_names())


def test_a_site_with_people_and_mails_goes_a_step_down_and_up_and_no_mail_leaves_that_should_not(
    cast: Cast,
) -> None:
    cast.reader.comment(cast.slug, "It stays.")
    put_letters(cast.app, 2)
    given_up, waiting = put(cast.app), put(cast.app)
    with cast.app.app_context():
        _do(f"UPDATE message SET failed_at = created_at WHERE id = {given_up}")
        downgrade(revision="0001")
        assert _rows("SELECT id, tries FROM message ORDER BY id") == [(given_up, 30), (waiting, 0)]
        upgrade()
        assert _rows("SELECT id FROM message WHERE failed_at IS NULL") == [(waiting,)]
        assert _rows("SELECT source FROM comment_revision") == [("It stays.",)]
        people = _rows('SELECT id FROM "user" ORDER BY id')
        assert _rows("SELECT user_id FROM letter_choice ORDER BY user_id") == people
        if is_sqlite():
            assert _rows("PRAGMA foreign_keys") == [(1,)]


def _do(statement: str) -> None:
    db.session.execute(text(statement))
    db.session.commit()


def _rows(query: str) -> list[tuple[object, ...]]:
    rows = [tuple(row) for row in db.session.execute(text(query))]
    db.session.rollback()
    return rows
