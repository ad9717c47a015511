"""Where two acts meet: an appeal and a removal, a merge and another decision, a quote and what it quotes moved away."""

from datetime import timedelta

import pytest
from sqlalchemy import or_, select

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event
from forum.discussion.report import Report
from forum.essays.essay import Essay
from forum.moderation import batch, batch_views
from forum.notifications.notice import Notice
from tests.cast import Cast
from tests.discussion.rows import statements
from tests.moderation.stage import Scene

NUMBER = "555-0199"


@pytest.fixture
def edited(scene: Scene, cast: Cast) -> int:
    """A comment that readers see, with an edit that came so late that it waits."""
    comment_id = scene.shown("First words that readers see.")
    cast.change(Comment, comment_id, created_at=clock.now() - timedelta(days=2))
    scene.edit(cast.reader, comment_id, "Second words that wait.")
    return comment_id


def test_removing_words_whose_edit_is_under_appeal_answers_that_appeal_and_allows_the_next(
    scene: Scene, cast: Cast, edited: int
) -> None:
    scene.done(cast.author, edited, "reject", reason="unkind")
    assert cast.reader.post(f"/comments/{edited}/appeal", {"words": "Look again."}).status_code == 303
    scene.done(cast.author, edited, "hide", reason="unkind")
    assert cast.read(Comment, edited).waits_since is None
    assert cast.reader.post(f"/comments/{edited}/appeal", {"words": "This too."}).status_code == 303


def test_removing_words_whose_edit_was_sent_in_again_answers_the_edit_too(
    scene: Scene, cast: Cast, edited: int
) -> None:
    scene.done(cast.author, edited, "reject", reason="unkind")
    scene.edit(cast.reader, edited, "Third words, sent in again.")
    before = cast.read(Comment, edited).waits_for
    scene.done(cast.author, edited, "hide", reason="unkind")
    assert cast.read(Comment, edited).waits_since is None
    assert scene.undo(cast.author, scene.last_event(edited).id).status_code == 303
    assert cast.read(Comment, edited).waits_for == before


def test_a_late_edit_that_is_rejected_leaves_the_reports_about_what_readers_see(
    scene: Scene, cast: Cast
) -> None:
    comment_id = scene.shown("Unkind words that stay public.")
    cast.change(Comment, comment_id, created_at=clock.now() - timedelta(days=2))
    cast.other_reader.post(f"/comments/{comment_id}/report", {"reason": "unkind", "note": ""})
    scene.edit(cast.reader, comment_id, "Some other words.")
    scene.done(cast.author, comment_id, "reject", reason="unkind")
    assert cast.read(Comment, comment_id).waits_for == {"reports"}
    with cast.app.app_context():
        assert db.session.scalars(select(Report.outcome)).all() == [""]


def test_what_was_merged_does_not_wait_and_comes_back_by_the_undo_alone(
    scene: Scene, cast: Cast, edited: int
) -> None:
    scene.done(cast.author, edited, "reject", reason="unkind")
    scene.edit(cast.reader, edited, "Third words, sent in again.")
    merge(scene, cast, edited, scene.post(cast.other_reader, "Something else was said here."))
    assert cast.read(Comment, edited).waits_since is None
    for verb in ("approve", "restore"):
        assert scene.decide(cast.author, edited, verb).status_code == 409
        assert cast.read(Comment, edited).presence == Presence.HIDDEN


def test_of_a_chain_of_merges_the_last_is_undone_first(scene: Scene, cast: Cast) -> None:
    first, second, third = (
        scene.post(cast.person(name, accepted_comments=3), f"What {name} says.")
        for name in ("Ada", "Bo", "Cyd")
    )
    cast.person("thankful", accepted_comments=1).post(f"/comments/{first}/react")
    merge(scene, cast, first, second)
    merge(scene, cast, second, third)
    for comment_id, status in ((first, 409), (second, 303), (first, 303)):
        assert scene.undo(cast.author, scene.last_event(comment_id).id).status_code == status
    assert [cast.read(Comment, one).likes for one in (first, second, third)] == [1, 0, 0]


@pytest.mark.parametrize("way", ["move", "merge"])
def test_blacked_out_words_stay_in_no_quote_wherever_the_answer_went(
    scene: Scene, cast: Cast, way: str
) -> None:
    comment_id = scene.shown(f"Call me at {NUMBER}.")
    answer = scene.post(cast.other_reader, "An answer to that.", comment_id)
    other = scene.post(cast.other_reader, "Another thread begins here.")
    if way == "move":
        sent = cast.author.post(f"/moderation/comments/{answer}/move", {"target": f"/comments/{other}"})
        assert sent.status_code == 303
    else:
        merge(scene, cast, comment_id, other)
    revision = cast.read(Comment, comment_id).newest_number
    form = {"words": NUMBER, "revision": revision, "reason": "private", "note": ""}
    assert cast.author.post(f"/moderation/comments/{comment_id}/redact", form).status_code == 303
    holding = or_(Notice.quote.contains(NUMBER), Notice.words.contains(NUMBER))
    with cast.app.app_context():
        assert db.session.scalars(select(Notice.subject).where(holding)).all() == []


@pytest.mark.parametrize("narrowed", ["essay", "cause"])
def test_all_that_match_is_nothing_where_the_question_is_not_understood(
    scene: Scene, cast: Cast, narrowed: str
) -> None:
    second = cast.essay("second", "A second essay")
    waiting = scene.post(cast.newcomer, "It waits below the first.")
    as_of = (clock.now() + timedelta(seconds=1)).isoformat()
    cast.change(Essay, second, published_at=None)  # withdrawn since its comments were looked at
    asked = {"essay": second} if narrowed == "essay" else {"cause": "nonsense"}
    cast.author.post("/moderation/batch", {"do": "spam", "all": "y", "as_of": as_of, **asked})
    assert scene.last_event(waiting).act == "post"


def test_who_began_a_large_act_over_two_essays_may_stop_it_before_any_of_it_is_done(
    scene: Scene, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.essay("second", "A second essay")
    here = scene.post(cast.newcomer, "It waits below the first.")
    there = scene.post(cast.person("another"), "It waits below the second.", essay="second")
    monkeypatch.setattr(batch_views, "AT_ONCE", 1)
    sent = cast.moderator.post("/moderation/batch", {"do": "spam", "item": [f"{here}:1", f"{there}:1"]})
    page = cast.moderator.get(sent.headers["Location"]).text
    head = page.partition("/moderation/undo/")[2].partition('"')[0]
    assert scene.undo(cast.moderator, int(head)).status_code == 303


def test_who_lost_their_role_brings_nothing_back_that_the_worker_had_still_to_do(
    scene: Scene, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    comment_id = scene.shown("What the ban hides.")
    form = {"reason": "No more.", "hide_comments": "yes"}
    assert cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", form).status_code == 303
    with cast.app.app_context():
        head = db.session.scalars(select(Event.id).where(Event.person_id == cast.reader.user_id)).one()
    monkeypatch.setattr(batch, "AT_ONCE", 0)
    assert scene.undo(cast.admin, head).headers["Location"].startswith("/moderation/batches/")
    cast.change(User, cast.admin.user_id or 0, role=Role.READER)
    with cast.app.app_context():
        assert batch.go_on_with_batches(clock.now()) == 1
    assert not cast.read(Comment, comment_id).visible


def test_what_writers_did_has_no_address_to_undo_it(scene: Scene, cast: Cast) -> None:
    posted = scene.last_event(scene.shown()).id
    assert scene.undo(cast.author, posted).status_code == 404
    assert scene.undo(cast.reader, posted).status_code == 404


def merge(scene: Scene, cast: Cast, comment_id: int, other: int) -> None:
    revision = cast.read(Comment, comment_id).newest_number
    form = {"target": f"/comments/{other}", "revision": revision}
    sent = cast.author.post(f"/moderation/comments/{comment_id}/merge", form)
    assert sent.status_code == 303, sent.text


def test_a_page_asks_as_little_for_many_refused_comments_of_its_reader_as_for_one(
    scene: Scene, cast: Cast
) -> None:
    for address in (f"/essays/{cast.slug}", "/account/comments"):
        counts = []
        for more in (1, 4):
            for number in range(more):
                comment_id = scene.post(cast.newcomer, f"Refused: {address}, {more}, {number}.")
                scene.done(cast.author, comment_id, "reject", reason="unkind")
            with statements(cast.app) as sent:
                page = cast.newcomer.get(address).text
            counts.append(len(sent))
        assert page.count("Not accepted by the moderators: Unkind") >= 5
        assert counts[0] == counts[1]
    assert cast.newcomer.get(f"/essays/{cast.slug}").text.count("Ask for another look") == 10
