"""What the worker does not even begin, because a look has told it that there is nothing to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from forum import clock, database
from forum.accounts.user import User
from forum.database import WriteQueue, db
from forum.essays.essay import Essay
from forum.essays.sending import begin_sendings, wish_to_send
from forum.jobs import idle_jobs, send_news
from forum.moderation.batch import Batch, go_on_with_batches
from forum.moderation.digest import tell_moderators
from forum.moderation.learning import learn
from forum.outbox.message import Message
from forum.outbox.worker import KEPT_FOR, delete_old, deliver_some
from tests.cast import Cast, comment_id
from tests.discussion.rows import last_event
from tests.outbox.mails import put

JOBS = {begin_sendings, send_news, tell_moderators, go_on_with_batches, learn, delete_old, deliver_some}


def due(cast: Cast, after: timedelta = timedelta(0)) -> set[Callable[..., Any]]:
    """Return what a look finds to do, then."""
    with cast.app.app_context():
        return JOBS - set(idle_jobs(clock.now() + after))


def test_a_job_is_begun_when_there_is_something_for_it(cast: Cast) -> None:
    assert due(cast) == set()
    comment = comment_id(cast.reader.comment(cast.slug, "Seen at once."))
    assert due(cast) == {send_news}
    with cast.app.app_context():
        send_news(clock.now())
    assert (due(cast), due(cast, timedelta(days=8))) == (set(), {send_news})
    cast.newcomer.comment(cast.slug, "This one waits.")
    assert due(cast) == {tell_moderators}
    with cast.app.app_context():
        asked_by, act = cast.author.user_id or 0, last_event(cast, comment)
        db.session.add(Batch(event_id=act.id, actor_id=asked_by, verb="hide", created_at=clock.now()))
        wish_to_send(db.session.get_one(Essay, cast.essay_id), db.session.get_one(User, asked_by))
        db.session.commit()
    assert due(cast) == {tell_moderators, go_on_with_batches, begin_sendings}
    cast.author.post(f"/moderation/comments/{comment}/hide", {"revision": "1", "reason": "unkind"})
    assert learn in due(cast)


def test_mails_are_looked_for_when_they_are_due_and_again_when_they_are_old(cast: Cast) -> None:
    mail, hour = put(cast.app), timedelta(hours=1)
    cast.change(Message, mail, not_before=clock.now() + hour)
    assert (due(cast), due(cast, hour)) == (set(), {deliver_some})
    cast.change(Message, mail, sent_at=clock.now())
    assert (due(cast, KEPT_FOR - hour), due(cast, KEPT_FOR + hour)) == (set(), {delete_old})


@pytest.mark.kinds("sqlite")
def test_a_look_waits_for_nobody_who_writes(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    queue: WriteQueue = cast.app.extensions[WriteQueue.__name__]
    turn = queue.enter()
    assert due(cast) == set()
    queue.leave(turn)
