"""Two moderators at once, on both databases: one decision is taken, and the other one is told who took it."""

from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from werkzeug.test import TestResponse

from forum.database import db
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.essays.essay import Essay
from tests.cast import Cast, words
from tests.moderation.stage import Scene

ROUNDS = 6


@pytest.mark.parametrize(
    ("one", "other"), [("approve", "reject"), ("reject", "reject"), ("approve", "approve")]
)
def test_two_decisions_at_once_are_one_and_a_clear_notice(
    scene: Scene, cast: Cast, one: str, other: str
) -> None:
    for _ in range(ROUNDS):
        row = scene.post(cast.person(f"newcomer {_}"), f"Decide about me, {_}.")
        answers = _at_once(
            lambda row=row: scene.decide(cast.moderator, row, one, revision=1, reason="unkind"),
            lambda row=row: scene.decide(cast.admin, row, other, revision=1, reason="private"),
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        loser = next(answer for answer in answers if answer.status_code == 409)
        winner = "admin" if loser is answers[0] else "moderator"
        assert f"This does not wait any more. {winner}" in words(loser)
        assert len(_events(cast, row)) == 2  # posted, decided
        _refuse_wrong_counters(cast)


def test_two_hidings_at_once_hide_once(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    answers = _at_once(
        lambda: scene.decide(cast.moderator, row, "hide", revision=1, reason="unkind"),
        lambda: scene.decide(cast.admin, row, "spam", revision=1),
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert cast.read(Comment, row).presence == Presence.HIDDEN
    _refuse_wrong_counters(cast)


def test_two_undos_at_once_undo_once(scene: Scene, cast: Cast) -> None:
    for _ in range(ROUNDS):
        row = scene.post(cast.person(f"newcomer {_}"), f"Undo about me, {_}.")
        event = scene.done(cast.author, row, "approve")
        answers = _at_once(
            lambda event=event: scene.undo(cast.moderator, event),
            lambda event=event: scene.undo(cast.admin, event),
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        assert scene.is_live(row, Verdict.HELD, visible=False)
        _refuse_wrong_counters(cast)


def test_an_edit_at_the_same_moment_is_never_approved_unseen(scene: Scene, cast: Cast) -> None:
    for _ in range(ROUNDS):
        writer = cast.person(f"newcomer {_}")
        row = scene.post(writer, f"Seen words {_}.")
        decision, edit = _at_once(
            lambda row=row: scene.decide(cast.author, row, "approve", revision=1),
            lambda row=row, writer=writer: writer.post(
                f"/comments/{row}/edit", {"body": "Unseen words.", "revision": 1}
            ),
        )
        assert edit.status_code in (303, 409)
        assert decision.status_code in (303, 409)
        if decision.status_code == 409:
            assert cast.read(Comment, row).shown_number is None
        _refuse_wrong_counters(cast)


def _at_once(*calls: Callable[[], TestResponse]) -> list[TestResponse]:
    answers: list[TestResponse | None] = [None] * len(calls)
    start = Barrier(len(calls))

    def run(number: int) -> None:
        start.wait()
        answers[number] = calls[number]()

    threads = [Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert None not in answers
    return [answer for answer in answers if answer is not None]


def _events(cast: Cast, row: int) -> list[Event]:
    with cast.app.app_context():
        return list(db.session.scalars(db.select(Event).where(Event.comment_id == row)))


def _refuse_wrong_counters(cast: Cast) -> None:
    with cast.app.app_context():
        comments = db.session.scalars(db.select(Comment)).unique().all()
        assert all(one.visible == one.should_be_visible for one in comments)
        assert db.session.get_one(Essay, cast.essay_id).visible_comments == sum(
            one.visible for one in comments
        )
