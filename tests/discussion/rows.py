"""What the tests of the discussion read straight from the rows: history, wordings, counters, statements."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import event, func, select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.event import Event
from forum.discussion.reaction import Reaction
from forum.essays.essay import Essay
from tests.cast import Cast

JSON = {"Accept": "application/json"}


def history(cast: Cast, comment: int) -> list[tuple[str, str, str, int | None]]:
    """Return what happened to a comment: the act, from which state, to which, on which revision."""
    with cast.app.app_context():
        rows = db.session.scalars(select(Event).where(Event.comment_id == comment).order_by(Event.id))
        return [(row.act, row.from_state, row.to_state, row.revision) for row in rows]


def last_event(cast: Cast, comment: int) -> Event:
    """Return the newest event of a comment, detached."""
    with cast.app.app_context():
        newest = select(Event).where(Event.comment_id == comment).order_by(Event.id.desc()).limit(1)
        row = db.session.scalars(newest).one()
        db.session.expunge_all()
        return row


def revision(cast: Cast, comment: int, number: int) -> CommentRevision:
    """Return one wording of a comment, detached."""
    with cast.app.app_context():
        mine = (CommentRevision.comment_id == comment) & (CommentRevision.number == number)
        row = db.session.scalars(select(CommentRevision).where(mine)).one()
        db.session.expunge_all()
        return row


def sources(cast: Cast) -> list[str]:
    """Return the first wording of every comment, in the order of their ids."""
    with cast.app.app_context():
        first = select(CommentRevision.source).where(CommentRevision.number == 1)
        return list(db.session.scalars(first.order_by(CommentRevision.comment_id)))


def rows_of(cast: Cast, model: type[Any]) -> int:
    """Return how many rows there are of one kind."""
    with cast.app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def wrong_counters(app: Flask, accepted_before: Mapping[int, int]) -> list[str]:
    """Count everything anew and say which stored counter differs; `accepted_before` is what people began with."""
    with app.app_context():
        comments = list(db.session.scalars(select(Comment)))
        likes = Counter(db.session.scalars(select(Reaction.comment_id)))
        answered = Counter(comment.answers_id for comment in comments)
        seen = [comment for comment in comments if comment.should_be_visible]
        below = Counter(above for comment in seen for above in comment.ancestor_ids())
        wrong = []
        for comment in comments:
            counted = {
                "visible": comment.should_be_visible,
                "visible_below": below[comment.id],
                "replies": answered[comment.id],
                "likes": likes[comment.id],
            }
            wrong += _differences(f"comment {comment.id}", comment, counted)
        of_people = Counter(comment.author_id for comment in seen)
        for user in db.session.scalars(select(User)):
            counted = {"accepted_comments": of_people[user.id] + accepted_before.get(user.id, 0)}
            wrong += _differences(f"user {user.id}", user, counted)
        of_essays = Counter(comment.essay_id for comment in seen)
        for essay in db.session.scalars(select(Essay)):
            wrong += _differences(f"essay {essay.id}", essay, {"visible_comments": of_essays[essay.id]})
        return wrong


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that the app sends to its database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # SQLite's are said by us, PostgreSQL's by the driver.
        if not statement.startswith(("BEGIN", "COMMIT")):
            sent.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _differences(what: str, row: Any, counted: Mapping[str, int | bool]) -> list[str]:
    return [
        f"{what}: {name} is {getattr(row, name)}, counted {value}"
        for name, value in counted.items()
        if getattr(row, name) != value
    ]
