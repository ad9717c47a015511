"""Load data is what the verbs would have made, in any number, the same for the same seed."""

import gzip
from random import Random
from statistics import median
from typing import Any

from flask import Flask
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.demo.load import Amount, load, load_comments, load_essays, load_readers
from forum.demo.words import Writer
from forum.discussion.comment import MAX_DEPTH, Comment, CommentRevision
from forum.discussion.event import Event
from forum.discussion.posting import post_comment
from forum.discussion.reaction import Reaction
from forum.essays.essay import Essay
from forum.text.markdown import render_comment
from tests.cast import Cast
from tests.counting import wrong_counters


def quietly(_rows: int) -> None:
    pass


def make(app: Flask, amount: Amount, seed: int = 1) -> None:
    with app.app_context():
        load(amount, seed, quietly)
        db.session.commit()


def comments_of(essay: Essay) -> list[Comment]:
    return list(db.session.scalars(select(Comment).where(Comment.essay_id == essay.id).order_by(Comment.id)))


def test_as_much_is_made_as_was_asked_for(app: Flask) -> None:
    told: list[int] = []
    with app.app_context():
        load(Amount(essays=5, comments=501, readers=20), 1, told.append)
        db.session.commit()
        essays = list(db.session.scalars(select(Essay)))
        assert sorted(essay.visible_comments for essay in essays) == [100, 100, 100, 100, 101]
        assert len({essay.title for essay in essays}) == 5
        assert len(list(db.session.scalars(select(User.id)))) == 20 + 4
    assert sum(told) == 5 + 501 + 20


def test_every_counter_says_what_the_rows_say(app: Flask) -> None:
    make(app, Amount(essays=2, comments=300, readers=12))
    with app.app_context():
        assert wrong_counters() == []
        words = [len(source.split()) for source in db.session.scalars(select(CommentRevision.source))]
        assert min(words) >= 40
        assert max(words) <= 420
        comments = list(db.session.scalars(select(Comment)))
        assert 0.3 < sum(comment.depth == 0 for comment in comments) / 300 < 0.5
        answered = [comment.id - comment.answers_id for comment in comments if comment.answers_id]
        assert median(answered) < 15, "replies should prefer recent comments"
        assert 0.5 < sum(comment.likes for comment in comments) / 300 < 1.5
        thanks = select(Comment.author_id, Reaction.user_id).join(Reaction, Reaction.comment_id == Comment.id)
        assert all(writer != reader for writer, reader in db.session.execute(thanks)), (
            "nobody thanks themselves"
        )


def test_load_data_is_what_the_verbs_would_have_left(cast: Cast) -> None:
    """A discussion is loaded, then the same one is posted under another essay: all columns but ids agree."""
    with cast.app.app_context():
        now, random = clock.now(), Random(7)
        author = db.session.get_one(User, cast.author.user_id)
        loaded, posted = load_essays(author, 2, now, quietly)
        posted.published_at = loaded.published_at
        readers = load_readers(6, now, quietly)
        load_comments(loaded, readers[:3], 60, random, quietly, root_share=0.02, recent=0.2)
        db.session.commit()
        originals = comments_of(loaded)
        assert max(comment.depth for comment in originals) == MAX_DEPTH, "the chain should reach the cap"
        copies = post_again(originals, posted, dict(zip(readers[:3], readers[3:], strict=True)))
        db.session.commit()
        assert [told(row, originals) for row in comments_of(loaded)] == [
            told(row, copies) for row in comments_of(posted)
        ]
        assert counted(loaded) == counted(posted)
        accepted = [db.session.get_one(User, reader_id).accepted_comments for reader_id in readers]
        assert accepted[:3] == accepted[3:]
        assert wrong_counters() == []


def post_again(originals: list[Comment], essay: Essay, instead: dict[int, int]) -> list[Comment]:
    copies: dict[int, Comment] = {}
    for comment in originals:
        parent = copies[comment.answers_id] if comment.answers_id else None
        author = db.session.get_one(User, instead[comment.author_id])
        with clock.at(comment.created_at):
            words = render_comment(comment.newest.source)
            copies[comment.id] = post_comment(author, essay, words, f"again-{comment.id}", parent)
    return list(copies.values())


def told(comment: Comment, discussion: list[Comment]) -> dict[str, Any]:
    """Return everything of a comment, its wording and its event, with places in the discussion for ids."""
    place = {row.id: number for number, row in enumerate(discussion)}
    own = {"id", "essay_id", "author_id", "form_token", "parent_id", "answers_id", "root_id", "path"}
    columns = {name: value for name, value in row_values(comment).items() if name not in own}
    event = db.session.scalars(select(Event).where(Event.comment_id == comment.id)).one()
    return {
        **columns,
        "parent": place.get(comment.parent_id or 0),
        "answers": place.get(comment.answers_id or 0),
        "root": place.get(comment.root_id or 0),
        "path": [place[int(step, 16)] for step in comment.path.split("/")],
        "wording": {n: v for n, v in row_values(comment.newest).items() if n not in ("id", "comment_id")},
        "event": {
            name: value
            for name, value in row_values(event).items()
            if name not in ("id", "essay_id", "comment_id", "actor_id")
        },
        "its writer did it": event.actor_id == comment.author_id,
    }


def row_values(row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def counted(essay: Essay) -> dict[str, Any]:
    names = ("visible_comments", "thread_version", "commented_at", "version")
    return {name: getattr(essay, name) for name in names}


def test_the_same_seed_makes_the_same_discussion(app: Flask) -> None:
    with app.app_context():
        people = load_readers(5, clock.now(), quietly)
        author = db.session.get_one(User, people[0])
        first, same, other = load_essays(author, 3, clock.now(), quietly)
        for essay, seed in ((first, 3), (same, 3), (other, 4)):
            load_comments(essay, people, 30, Random(seed), quietly)
        db.session.flush()
        texts = [[comment.newest.source for comment in comments_of(one)] for one in (first, same, other)]
        depths = [[comment.depth for comment in comments_of(one)] for one in (first, same, other)]
    assert texts[0] == texts[1] != texts[2]
    assert depths[0] == depths[1] != depths[2]


def test_what_is_posted_after_load_data_gets_an_id_of_its_own(cast: Cast) -> None:
    with cast.app.app_context():
        author = db.session.get_one(User, cast.author.user_id)
        [essay] = load_essays(author, 1, clock.now(), quietly)
        readers = load_readers(3, clock.now(), quietly)
        ids = load_comments(essay, readers, 20, Random(1), quietly)
        slug = essay.slug
        db.session.commit()
    answer = cast.sign_in(readers[0]).comment(slug, "After all that, one more.", parent=ids[-1])
    assert answer.status_code == 303
    with cast.app.app_context():
        newest = db.session.scalars(select(Comment).order_by(Comment.id.desc()).limit(1)).one()
        assert newest.id > max(ids)
        assert wrong_counters() == []


def test_comments_pack_as_what_people_write_does() -> None:
    """Text that repeats itself would make every page look lighter than it is for readers."""
    writer = Writer(Random(1))
    page = "\n".join(writer.comment() for _ in range(130)).encode()
    assert 2.6 < 8 * len(gzip.compress(page)) / len(page) < 3.3
