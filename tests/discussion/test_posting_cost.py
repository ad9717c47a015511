"""What a reader waits for when they post: few statements, the same in every discussion, and one commit."""

from sqlalchemy import event, insert

from forum import clock
from forum.accounts.user import User
from forum.database import db, table_of
from forum.notifications.follow import Follow
from forum.notifications.notice import Notice
from tests.cast import Cast, Visitor, comment_id
from tests.discussion.rows import rows_of, statements

MOST_STATEMENTS = 12
FOLLOWERS = 60


def test_posting_costs_the_same_however_many_follow_and_answer(cast: Cast) -> None:
    first = comment_id(cast.other_reader.comment(cast.slug, "A first comment."))
    below = comment_id(cast.other_reader.comment(cast.slug, "One more below it.", first))
    cast.reader.comment(cast.slug, "The first of this reader, which warms up.")
    few = [cost(cast, cast.reader, f"Few follow {parent}.", parent) for parent in (None, first, below)]
    told = rows_of(cast, Notice)
    follow_in_crowds(cast)
    for number in range(5):
        cast.other_reader.comment(cast.slug, f"Another answer, {number}.", first)
    many = [cost(cast, cast.reader, f"Many follow {parent}.", parent) for parent in (None, first, below)]
    assert many == few
    assert max(few) <= MOST_STATEMENTS
    assert rows_of(cast, Notice) - told > 3 * FOLLOWERS


def test_what_waits_costs_no_more_than_what_is_shown(cast: Cast) -> None:
    first = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    cast.newcomer.comment(cast.slug, "The first of this reader, which warms up.")
    assert cost(cast, cast.newcomer, "One that waits.", first) <= MOST_STATEMENTS


def cost(cast: Cast, person: Visitor, body: str, parent: int | None) -> int:
    """Post, and return how many statements it took; there is one transaction that is committed."""
    commits: list[object] = []

    def note(connection: object) -> None:
        commits.append(connection)

    with cast.app.app_context():
        engine = db.engine
    event.listen(engine, "commit", note)
    try:
        with statements(cast.app) as sent:
            assert person.comment(cast.slug, body, parent).status_code == 303
    finally:
        event.remove(engine, "commit", note)
    assert len(commits) == 1
    return len(sent)


def follow_in_crowds(cast: Cast) -> None:
    """Let many readers follow the discussion."""
    now = clock.now()
    with cast.app.app_context():
        people = [
            {
                "name": f"Follower {number}",
                "name_key": f"follower {number}",
                "email": f"f{number}@mail.example",
            }
            for number in range(FOLLOWERS)
        ]
        common = {"created_at": now, "email_confirmed_at": now}
        ids = db.session.scalars(
            insert(table_of(User)).returning(table_of(User).c.id), [one | common for one in people]
        ).all()
        follows = [{"user_id": one, "essay_id": cast.essay_id, "created_at": now} for one in ids]
        db.session.execute(insert(table_of(Follow)), follows)
        db.session.commit()
