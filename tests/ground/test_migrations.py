"""The migrations build what the models say, on both databases, up and down."""

import json
from datetime import timedelta

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from forum import clock
from forum.accounts.user import User
from forum.database import Base, db, is_sqlite
from tests.cast import Cast, comment_id
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


def test_what_was_decided_and_waited_before_the_third_step_can_be_undone_and_waits_after_it(
    cast: Cast,
) -> None:
    hidden = comment_id(cast.reader.comment(cast.slug, "Hidden before."))
    held = comment_id(cast.newcomer.comment(cast.slug, "Waited before."))
    found = {"presence": "live", "newest_number": 1, "shown_number": 1, "ban_id": None, "pinned_at": None}
    found |= {"featured_at": None, "edited_at": None, "verdict": "accepted", "causes": []}
    found |= {"reason": "", "note": "", "commented_at": None, "appeal_id": None}
    ended = clock.now() - timedelta(days=1)
    cast.change(User, cast.reader.user_id or 0, banned_at=ended - timedelta(days=1), banned_until=ended)
    with cast.app.app_context():
        waited = _rows(f"SELECT waits_for FROM comment WHERE id = {held}")
        downgrade(revision="0002")
        assert _rows('SELECT id FROM "user" WHERE banned_at IS NOT NULL') == []
        _do(f"UPDATE comment SET presence = 'hidden', visible = (1 = 0) WHERE id = {hidden}")
        _do(f"UPDATE essay SET visible_comments = 0 WHERE id = {cast.essay_id}")
        _do(f'UPDATE "user" SET accepted_comments = 2 WHERE id = {cast.reader.user_id}')
        _do(
            "INSERT INTO event (at, actor_id, act, essay_id, comment_id, revision, from_state, to_state,"
            f" reason, note, before) SELECT created_at, author_id, 'hide', essay_id, {hidden}, 1, 'accepted',"
            f" 'hidden', 'unkind', '', '{json.dumps(found)}' FROM comment WHERE id = {held}"
        )
        upgrade()
        [(event_id,)] = _rows("SELECT id FROM event WHERE act = 'hide'")
        assert waited == _rows(f"SELECT waits_for FROM comment WHERE id = {held} AND waits_since IS NOT NULL")
    assert cast.author.post(f"/moderation/undo/{event_id}").status_code == 303
    assert "Hidden before." in cast.stranger.get(f"/essays/{cast.slug}").text


def _do(statement: str) -> None:
    db.session.execute(text(statement))
    db.session.commit()


def _rows(query: str) -> list[tuple[object, ...]]:
    rows = [tuple(row) for row in db.session.execute(text(query))]
    db.session.rollback()
    return rows
