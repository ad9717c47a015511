"""Deciding about many at once: exactly what was seen, few in one go, many by the worker, all of it undone at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Role, User
from forum.database import Base, db
from forum.discussion.comment import Comment, CommentRevision, path_of
from forum.discussion.event import Event
from forum.discussion.posting import post_comment
from forum.essays.essay import Essay
from forum.moderation.batch import (
    AT_ONCE,
    Asked,
    Batch,
    BatchItem,
    decide_in_pieces,
    go_on_with_batches,
    left_alone,
    undo_in_pieces,
)
from forum.text.markdown import render_comment
from tests.cast import Cast, Visitor, words
from tests.counting import wrong_counters
from tests.moderation.stage import Scene

JSON = {"Accept": "application/json"}
MANY = AT_ONCE + 12


def test_many_are_decided_at_once_and_taken_back_at_once(scene: Scene, cast: Cast) -> None:
    rows = _fill(cast, 3)
    before = _rows(cast, Comment, CommentRevision, User)
    made = _send(cast.author, rows, "remove", reason="unkind", headers=JSON).json
    assert (made["act"], made["done"], made["skipped"], made["left"]) == ("remove", 3, [], 0)
    assert made["sentence"] == "Removed 3 comments."
    assert made["may_undo"]
    assert {scene.last_event(row).part_of_id for row in rows} == {made["event"]}
    undone = cast.author.post(f"/moderation/undo/{made['event']}", headers=JSON).json
    assert (undone["sentence"], undone["left"]) == ("Undone. 3 comments are as before.", 3)
    assert _rows(cast, Comment, CommentRevision, User) == before


def test_what_was_edited_decided_or_withdrawn_since_it_was_seen_is_left_and_named(
    scene: Scene, cast: Cast
) -> None:
    people = [cast.person(name) for name in ("Ada", "Bea", "Cleo", "Dora")]
    rows = [scene.post(who, f"By {who.name}.") for who in people]
    scene.edit(people[1], rows[1], "Other words.")
    scene.done(cast.moderator, rows[2], "reject", reason="unkind")
    people[3].post(f"/comments/{rows[3]}/withdraw")
    answer = _send(cast.author, rows, "approve", next="/moderation?order=newest")
    head = scene.last_event(rows[0]).part_of_id
    assert answer.headers["Location"] == f"/moderation?order=newest&done={head}"
    page = words(cast.author.get(answer.headers["Location"]))
    assert (
        "Posted 1 comment. Bea’s comment was edited meanwhile and waits. Cleo’s comment: This does not wait any "
        "more. moderator rejected it. Dora’s comment: Dora withdrew this. Nothing is left to decide. 1 left."
    ) in page
    assert cast.read(Comment, rows[1]).shown_number is None
    refused = _send(cast.author, rows[1:], "approve", headers=JSON)
    assert (refused.status_code, len(refused.json["skipped"])) == (409, 3)


def test_all_that_match_are_those_that_were_seen(scene: Scene, cast: Cast) -> None:
    rows = _fill(cast, 3)
    writer = cast.person("Ada")
    edited = scene.post(writer, "Seen words.")
    as_of = clock.now().isoformat()
    scene.edit(writer, edited, "Unseen words.")
    late = scene.held("Words that came later.")
    arrived = cast.author.get("/moderation/arrivals", query_string={"as_of": as_of}).json
    assert arrived == {"more": 1}
    assert cast.author.get("/moderation/arrivals?as_of=yesterday").status_code == 422
    made = _send(cast.author, [], "approve", all="yes", as_of=as_of, q="words", headers=JSON).json
    assert made["done"] == 3
    assert all(cast.read(Comment, row).visible for row in rows)
    assert not cast.read(Comment, edited).visible
    assert not cast.read(Comment, late).visible
    assert _send(cast.author, [], "approve", all="yes").status_code == 422


def test_a_removal_without_a_reason_asks_for_it_and_keeps_what_was_chosen_and_typed(
    scene: Scene, cast: Cast
) -> None:
    first, second = scene.held("The first words."), scene.post(cast.person("Ada"), "The second words.")
    answer = _send(
        cast.author, [first, second], "remove", note="Because of this.", next="/moderation?cause=first"
    )
    assert answer.status_code == 422
    assert "Choose a reason." in words(answer)
    for kept in (
        f'value="{first}:1" checked',
        f'value="{second}:1" checked',
        'value="/moderation?cause=first"',
    ):
        assert kept in answer.text
    for said in ("The first words.", "The second words.", "Because of this."):
        assert said in words(answer)
    nothing = _send(cast.author, [], "remove", note="Because of this.", next="/moderation?cause=first")
    assert "<li>Choose at least one comment.</li>" in nothing.text
    assert "Because of this.</textarea>" in nothing.text
    assert '<a href="/moderation?cause=first">Back to the desk</a>' in nothing.text
    assert not cast.read(Comment, first).visible


def test_only_who_moderates_there_decides_about_many(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    other = cast.person("another author", Role.AUTHOR)
    assert _send(cast.reader, [row], "approve").status_code == 403
    assert _send(cast.stranger, [row], "approve").status_code == 403
    assert _send(other, [row], "approve").status_code == 404
    everything = {"all": "yes", "as_of": clock.now().isoformat()}
    assert _send(other, [], "approve", headers=JSON, **everything).status_code == 409
    assert cast.read(Comment, row).waits_since is not None


def test_the_worker_decides_each_of_many_once_whatever_breaks_off_and_undo_brings_all_back(
    scene: Scene, cast: Cast
) -> None:
    rows, _others = _fill(cast, MANY), (cast.moderator, cast.admin)
    before = _rows(cast, Comment, CommentRevision, User)
    as_of = clock.now().isoformat()
    address = _send(cast.author, [], "approve", all="yes", as_of=as_of, headers=JSON).json["batch"]
    scene.done(cast.moderator, rows[5], "spam")
    with _breaking_off(cast, after=300), pytest.raises(ConnectionError):
        _work(cast)
    assert 0 < cast.author.get(address, headers=JSON).json["done"] < MANY
    running = cast.author.get(address)
    assert 'http-equiv="refresh"' in running.text
    assert 'http-equiv="refresh"' not in cast.author.get(f"{address}?still=yes").text
    workers = [Thread(target=_work, args=(cast,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    finished = cast.author.get(address)
    assert f"Posted {MANY - 1} comments. 1 was left as it is." in words(finished)
    assert "This does not wait any more. moderator removed it as spam." in words(finished)
    assert "http-equiv" not in finished.text
    with cast.app.app_context():
        batch = db.session.scalars(select(Batch)).one()
        head = db.session.get_one(Event, batch.event_id)
        posted = select(func.count(), func.count(Event.comment_id.distinct())).where(Event.act == "approve")
        assert tuple(db.session.execute(posted.where(Event.part_of_id == head.id)).one()) == (MANY - 1,) * 2
        assert (batch.done, batch.skipped, head.parts) == (MANY - 1, 1, MANY - 1)
        assert db.session.get_one(Essay, cast.essay_id).visible_comments == MANY - 1

    assert cast.moderator.get(address).status_code == 404
    assert cast.admin.get(address).status_code == 200
    undoing = cast.author.post(f"/moderation/undo/{head.id}").headers["Location"]
    _work(cast)
    assert f"Undone. {MANY - 1} comments are as before." in words(cast.author.get(undoing))
    scene.undo(cast.moderator, scene.last_event(rows[5]).id)
    assert _rows(cast, Comment, CommentRevision, User) == before


def test_an_undo_stops_a_batch_that_is_still_at_work(scene: Scene, cast: Cast) -> None:
    _fill(cast, MANY)
    before = _rows(cast, Comment, CommentRevision, User)
    everything = {"all": "yes", "as_of": clock.now().isoformat()}
    _send(cast.author, [], "spam", **everything)
    with _breaking_off(cast, after=300), pytest.raises(ConnectionError):
        _work(cast)
    with cast.app.app_context():
        head = db.session.scalars(select(Batch)).one().event_id
    assert cast.author.post(f"/moderation/undo/{head}").status_code == 303
    _work(cast)
    assert _rows(cast, Comment, CommentRevision, User) == before
    with cast.app.app_context():
        assert db.session.scalar(select(func.count()).where(Batch.finished_at.is_(None))) == 0
        assert db.session.scalar(select(func.count()).where(BatchItem.is_done.is_(False))) > 0


def test_what_meets_an_error_of_ours_is_left_as_it_is_and_holds_up_nothing_else(
    scene: Scene, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    rows = _fill(cast, 4)
    wrong = "something went wrong, and the log of the server says what."
    with _spoiled(cast, rows[1]):
        with cast.app.app_context():
            author = db.session.get_one(User, cast.author.user_id)
            for some in (rows[:3], rows[3:]):
                decide_in_pieces(author, Asked("approve"), [(row, 1) for row in some])
            db.session.commit()
        _work(cast)
    approved = (2, 1, [f"Writer 1’s comment could not be decided about: {wrong}"])
    assert _finished(cast) == [approved, (1, 0, [])]
    assert len(caplog.records) == 1
    assert f"comment {rows[1]}," in caplog.text
    with _spoiled(cast, rows[0]):
        head_id = scene.last_event(rows[2]).part_of_id
        with cast.app.app_context():
            head = db.session.get_one(Event, head_id)
            undo_in_pieces(db.session.get_one(User, cast.author.user_id), head)
            db.session.commit()
        _work(cast)
    undone = (1, 1, [f"Writer 0’s comment could not be taken back: {wrong}"])
    assert _finished(cast) == [approved, (1, 0, []), undone]
    assert [cast.read(Comment, row).visible for row in rows] == [True, False, False, True]
    scene.done(cast.author, rows[1], "approve")
    with cast.app.app_context():
        assert not wrong_counters()


def test_undoing_again_takes_back_the_act_before(scene: Scene, cast: Cast) -> None:
    rows = _fill(cast, 3)
    scene.done(cast.author, rows[0], "approve")
    _send(cast.author, rows[1:], "spam")
    page = words(cast.author.get("/moderation"))
    assert "Removed 2 comments as spam. Undo" in page
    cast.author.post(f"/moderation/undo/{scene.last_event(rows[1]).part_of_id}")
    assert "Posted Writer 0’s comment. Undo" in words(cast.author.get("/moderation"))
    scene.undo(cast.author, scene.last_event(rows[0]).id)
    assert "/moderation/undo/" not in cast.author.get("/moderation").text.replace('undo/"', "")


def _send(who: Visitor, rows: list[int], verb: str, headers: Any = None, **data: Any) -> TestResponse:
    items = [f"{row}:1" for row in rows]
    return who.post("/moderation/batch", {"do": verb, "item": items} | data, headers=headers)


def _work(cast: Cast) -> None:
    with cast.app.app_context():
        while go_on_with_batches(clock.now()):
            pass


def _finished(cast: Cast) -> list[tuple[int, int, list[str]]]:
    """Return of each batch that is over how many were done and skipped, and why."""
    with cast.app.app_context():
        over = db.session.scalars(select(Batch).where(Batch.finished_at.is_not(None)).order_by(Batch.id))
        return [(one.done, one.skipped, [skipped.why for skipped in left_alone(one, 5)]) for one in over]


@contextmanager
def _spoiled(cast: Cast, row: int) -> Iterator[None]:
    """Let a comment say nonsense about what it hangs below, which is read in the midst of a decision."""
    _set_path(cast, row, f"nonsense/{row:x}")
    yield
    _set_path(cast, row, path_of(row))


def _set_path(cast: Cast, row: int, path: str) -> None:
    with cast.app.app_context():
        db.session.execute(update(Comment).where(Comment.id == row).values(path=path))
        db.session.commit()


@contextmanager
def _breaking_off(cast: Cast, after: int) -> Iterator[None]:
    """Lose the connection to the database after so many statements."""
    left = [after]

    def note(*_given: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("gone")

    with cast.app.app_context():
        engine = db.engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)


def _fill(cast: Cast, count: int) -> list[int]:
    """Let as many newcomers post, and return the ids of the comments."""
    rendered = render_comment("Some words that wait.")
    with cast.app.test_request_context():
        essay = db.session.get_one(Essay, cast.essay_id)
        now = clock.now()
        people = [
            User(name=f"Writer {n}", email=f"writer{n}@mail.example", email_confirmed_at=now, created_at=now)
            for n in range(count)
        ]
        db.session.add_all(people)
        db.session.flush()
        made = [post_comment(one, essay, rendered, f"form-{one.id}").id for one in people]
        db.session.commit()
        return made


def _rows(cast: Cast, *models: type[Base]) -> list[Any]:
    """Return every row of some tables."""
    with cast.app.app_context():
        tables = [model.__table__ for model in models]
        return [db.session.execute(table.select().order_by(table.c.id)).all() for table in tables]
