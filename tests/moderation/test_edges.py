"""Where two features of the desk meet: what is gone stays unread, and nothing leads in a circle."""

import time
from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import event, func, select

from forum import clock
from forum.accounts.user import Role, User, lock_users
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.jobs import send_news
from forum.moderation.batch import AT_ONCE
from forum.moderation.forms import ManyForm
from forum.outbox.message import Message
from tests.moderation.stage import Scene

JSON = {"Accept": "application/json"}


def test_two_comments_are_never_merged_into_each_other(scene: Scene) -> None:
    one, other = scene.shown("What I said."), scene.post(scene.cast.other_reader, "What was said.")
    merged = scene.done(scene.cast.moderator, one, "merge", target=str(other))
    assert scene.undo(scene.cast.moderator, merged).status_code == 303
    undone = scene.last_event(one).id
    scene.done(scene.cast.moderator, other, "merge", target=str(one))
    assert scene.undo(scene.cast.moderator, undone).status_code == 409
    assert scene.cast.read(Comment, one).visible
    led = scene.cast.stranger.get(f"/comments/{other}")
    assert scene.cast.stranger.get(led.headers["Location"]).status_code == 200


def test_what_was_merged_cannot_be_appealed_back_to_life(scene: Scene) -> None:
    cast = scene.cast
    stays, goes = scene.shown("What I said."), scene.post(cast.other_reader, "What was said.")
    cast.change(Comment, goes, created_at=clock.now() - timedelta(days=1))
    scene.edit(cast.other_reader, goes, "What was said, edited.")
    scene.done(cast.moderator, goes, "reject", reason="unkind")
    scene.done(cast.moderator, goes, "merge", target=str(stays))
    assert cast.other_reader.post(f"/comments/{goes}/appeal", {"words": "Why?"}).status_code == 403


def test_words_that_their_writer_withdrew_are_shown_to_nobody_on_the_desk(scene: Scene) -> None:
    cast = scene.cast
    row = scene.shown("Please call me on 555 0199.")
    scene.done(cast.author, row, "redact", words="555 0199", reason="private", note="")
    cast.reader.post(f"/comments/{row}/withdraw")
    for given in (
        {},
        {"words": "call", "reason": "private"},
        {"words": "call", "revision": 7, "reason": "private"},
    ):
        answer = scene.decide(cast.moderator, row, "redact", **given)
        assert "call me" not in answer.text, given
        answer = cast.moderator.post(
            f"/moderation/comments/{row}/redact", given | {"revision": 7}, headers=JSON
        )
        assert "call me" not in answer.text, given
    assert "call me" not in cast.author.get("/moderation/rules/links/try?links-links=1").text
    assert "call me" not in cast.author.get("/moderation/rules/everything/try").text
    assert "555 0199" not in cast.author.post(f"/moderation/comments/{row}/original").text


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"])
def test_a_moment_beyond_all_time_is_nonsense(scene: Scene, moment: str) -> None:
    assert scene.cast.author.get(f"/moderation/arrivals?as_of={moment}").status_code == 422


def test_a_wording_beyond_all_numbers_is_nonsense(scene: Scene) -> None:
    row = scene.held()
    with scene.cast.app.test_request_context(method="POST", data={"item": f"{row}:{'9' * 18}"}):
        assert ManyForm().items == [(row, 2**31 - 1)]


def test_many_are_taken_back_once_however_often_somebody_clicks(scene: Scene) -> None:
    cast = scene.cast
    row = scene.held()
    cast.author.post("/moderation/batch", {"do": "approve", "item": f"{row}:1"})
    head = scene.last_event(row).part_of_id or 0
    cast.change(Event, head, parts=AT_ONCE + 1)  # as if there were more than are taken back at once
    address = f"/moderation/undo/{head}"
    clicks = [cast.author, cast.author, cast.admin, cast.admin]
    with cast.app.app_context():
        lock_users(User.role != Role.READER)  # they meet where each has looked, and none has the locks yet
        threads = [Thread(target=who.post, args=(address,)) for who in clicks]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        db.session.rollback()
        for thread in threads:
            thread.join(60)
    with cast.app.app_context():
        assert db.session.scalar(select(func.count()).where(Event.undoes_id == head)) == 1


def test_an_essay_that_was_withdrawn_is_not_named_to_other_authors_by_a_ban(scene: Scene) -> None:
    cast, other = scene.cast, scene.cast.person("other author", Role.AUTHOR)
    scene.shown("Below what was withdrawn.")
    cast.change(Essay, cast.essay_id, withdrawn_at=clock.now())
    for who, sees in ((other, False), (cast.author, True)):
        page = who.get(f"/moderation/people/{cast.reader.user_id}/ban")
        assert page.status_code == 200
        assert ("On tides" in page.text) is sees


@pytest.mark.parametrize("verb", ["hide", "redact"])
def test_a_mail_that_is_being_written_is_taken_back_too(scene: Scene, verb: str) -> None:
    cast = scene.cast
    row = scene.post(cast.other_reader, "Call me on 555 0199.", scene.shown("A question."))
    given = {"words": "555 0199", "reason": "private"}
    decision = Thread(target=scene.done, args=(cast.moderator, row, verb), kwargs=given)

    def decide_meanwhile(_session: object) -> None:
        decision.start()
        time.sleep(0.4)

    with cast.app.app_context():
        event.listen(db.session(), "before_commit", decide_meanwhile, once=True)
        assert send_news(clock.now() + timedelta(minutes=5))
    decision.join(60)
    with cast.app.app_context():
        assert "0199" not in "".join(db.session.scalars(select(Message.text)))


def test_what_is_not_remembered_is_not_said_to_be_undone(scene: Scene) -> None:
    row = scene.held()
    done = scene.done(scene.cast.author, row, "approve")
    scene.cast.change(Event, done, changes=[])  # as those are that a step down and up of the database forgot
    assert scene.undo(scene.cast.author, done).status_code == 409
    assert f"/moderation/undo/{done}" not in scene.cast.author.get("/moderation/log").text
