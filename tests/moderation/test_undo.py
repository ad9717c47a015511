"""Taking back what was decided: many at once, people, an act with what followed, and what stands in the way."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.demo.load import load_comments
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import Appeal
from forum.essays.essay import Essay
from forum.moderation import batch
from forum.notifications.notice import Notice
from tests.cast import Cast, Visitor, words
from tests.moderation.stage import Scene, wait_for_locks
from tests.moderation.walk import Walk, differences, without_tokens

JSON = {"Accept": "application/json"}
UNKIND = {"reason": "unkind"}


def test_an_act_is_taken_back_with_what_other_moderators_decided_since(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    before, page = scene.state(row), scene.public()
    first = scene.done(cast.author, row, "approve")
    scene.done(cast.moderator, row, "hide", **UNKIND)
    scene.done(cast.admin, row, "restore")
    scene.done(cast.moderator, row, "spam")
    refused = scene.undo(cast.author, first)
    assert refused.status_code == 409
    assert "moderator removed it as spam since." in words(refused)
    assert "Undo it and what was decided since" in words(refused)
    assert _with_later(cast.author, first).status_code == 303
    assert scene.state(row) == before
    assert scene.public() == page
    undone = _acts(cast, row)[5:]
    assert undone == [
        ("undo", "spam"),
        ("undo", "approve"),
    ]  # the hiding was restored: both halves stay as they are


@pytest.mark.parametrize("deed", ["edit", "appeal"])
def test_what_its_writer_did_since_is_never_taken_back(scene: Scene, cast: Cast, deed: str) -> None:
    row = scene.held()
    first = scene.done(cast.author, row, "reject", **UNKIND)
    if deed == "edit":
        scene.edit(cast.newcomer, row, "Milder words.")
    else:
        cast.newcomer.post(f"/comments/{row}/appeal", {"words": "It was meant kindly."})
    scene.done(cast.moderator, row, "approve")
    before = scene.state(row)
    answer = _with_later(cast.author, first, headers=JSON)
    assert answer.status_code == 409
    said = "newcomer edited it" if deed == "edit" else "newcomer appealed"
    assert said in answer.json["error"]
    assert scene.state(row) == before
    assert "Undo it and what" not in words(scene.undo(cast.author, first))


def test_reopening_an_appeal_never_makes_two(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    scene.done(cast.author, row, "hide", **UNKIND)
    _appeal(cast.reader, row)
    granted = scene.done(cast.moderator, row, "approve")
    scene.done(cast.author, row, "hide", reason="private")
    _appeal(cast.reader, row)
    for send in (scene.undo, _with_later):
        answer = send(cast.author, granted) if send is scene.undo else _with_later(cast.author, granted)
        assert answer.status_code == 409
        assert "reader appealed since." in words(answer)
    with cast.app.app_context():
        open_ones = select(Appeal.id).where(Appeal.comment_id == row, Appeal.decided_at.is_(None))
        assert len(db.session.scalars(open_ones).all()) == 1


def test_an_act_on_many_is_taken_back_but_for_what_was_changed_since(scene: Scene, cast: Cast) -> None:
    rows = [scene.post(cast.person(f"newcomer {n}"), f"First words, {n}.") for n in range(4)]
    items = [f"{row}:1" for row in rows]
    done = cast.author.post("/moderation/batch", {"do": "approve", "item": items}, headers=JSON).json
    later = scene.done(cast.moderator, rows[0], "hide", **UNKIND)
    page = cast.author.get("/moderation/log")
    assert "author Posted 4 comments" in words(page)
    answer = cast.author.post(f"/moderation/undo/{done['event']}", headers=JSON)
    assert answer.json["sentence"] == "Undone. 3 comments are as before. 1 changed since and stays as now."
    assert answer.json["left"] == 3
    assert [cast.read(Comment, row).presence for row in rows] == [Presence.HIDDEN] + [Presence.LIVE] * 3
    assert all(scene.is_live(row, Verdict.HELD, visible=False) for row in rows[1:])
    assert scene.undo(cast.author, later).status_code == 303
    again = cast.author.post(f"/moderation/undo/{answer.json['event']}", headers=JSON)
    assert again.json["sentence"].startswith("Undone. 3 comments are as before.")
    assert all(cast.read(Comment, row).visible for row in rows)


def test_only_who_did_it_or_an_admin_takes_back_an_act_on_many(scene: Scene, cast: Cast) -> None:
    rows = [scene.post(cast.person(f"newcomer {n}"), f"First words, {n}.") for n in range(2)]
    items = [f"{row}:1" for row in rows]
    done = cast.moderator.post("/moderation/batch", {"do": "approve", "item": items}, headers=JSON).json
    assert scene.undo(cast.author, done["event"]).status_code == 403
    assert scene.undo(cast.person("another author", Role.AUTHOR), done["event"]).status_code == 404
    assert scene.undo(cast.admin, done["event"]).status_code == 303


def test_a_ban_is_taken_back_from_the_log_with_all_that_it_hid_and_done_again(
    scene: Scene, cast: Cast
) -> None:
    rows = [scene.shown("One."), scene.shown("Two.")]
    before, page = [scene.state(row) for row in rows], scene.public()
    ban = {"reason": "Advertising.", "days": "", "hide_comments": "yes"}
    done = cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", ban, headers=JSON).json
    part = scene.last_event(rows[0]).id
    assert scene.undo(cast.admin, part).status_code == 409
    assert scene.undo(cast.moderator, done["event"]).status_code == 403
    taken_back = cast.admin.post(f"/moderation/undo/{done['event']}", headers=JSON).json
    assert taken_back["sentence"] == "Undone. reader is as before. 2 comments came back."
    assert ([scene.state(row) for row in rows], scene.public()) == (before, page)
    assert cast.read(User, cast.reader.user_id).banned_at is None
    assert _told(cast, cast.reader) == []
    again = cast.admin.post(f"/moderation/undo/{taken_back['event']}", headers=JSON).json
    assert again["sentence"] == "Undone. reader is as before. 2 comments are removed again."
    assert [cast.read(Comment, row).presence for row in rows] == [Presence.HIDDEN] * 2
    assert cast.read(User, cast.reader.user_id).standing_reason == "Advertising."
    cast.admin.post(f"/moderation/people/{cast.reader.user_id}/unban", {"reason": "They apologised."})
    desk = cast.admin.get("/moderation")
    assert "Lifted the ban on reader and brought back 2 comments." in words(desk)
    lifted = int(re.findall(r'action="/moderation/undo/(\d+)"', desk.text)[0])
    assert "2 comments are removed again." in words(
        cast.admin.post(f"/moderation/undo/{lifted}", follow_redirects=True)
    )
    assert scene.undo(cast.admin, done["event"]).status_code == 303
    assert ([scene.state(row) for row in rows], scene.public()) == (before, page)


def test_a_ban_that_hid_more_than_are_decided_at_once_is_taken_back_to_the_byte(
    scene: Scene, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PAUSE_SECONDS", 0)
    person, admin = cast.reader.user_id, cast.admin
    hidden = _discuss(cast, [person] * 9 + [cast.other_reader.user_id])
    assert hidden > batch.AT_ONCE
    _report(cast, "first", scene.shown("An answer to hear of.", scene.post(cast.moderator, "A question.")))
    cast.moderator.get("/account/notifications")  # says once that the question is posted
    walk = Walk(cast, Random(1), None)  # type: ignore[arg-type]  # its clock is not needed
    rows, pages, wrong = walk.rows(), _pages(cast), walk.unsound()
    ban = {"reason": "Advertising.", "days": "", "hide_comments": "yes"}
    event = admin.post(f"/moderation/people/{person}/ban", ban, headers=JSON).json["event"]
    during = _pages(cast)
    assert [path for path in pages if during[path] == pages[path]] == []
    assert f'action="/moderation/undo/{event}"' in admin.get("/moderation/log").text
    undoing = admin.post(f"/moderation/undo/{event}").headers["Location"]
    assert cast.read(User, person).banned_at is None  # at once; the comments follow
    with cast.app.app_context():
        while batch.go_on_with_batches(clock.now()):
            pass
    assert f"{hidden + 1} comments came back." in words(admin.get(undoing))
    assert walk.unsound() == wrong
    assert differences(walk.rows(), rows) == {}
    assert differences(_pages(cast), pages) == {}


@pytest.mark.kinds("postgresql")
def test_who_lost_their_role_before_the_locks_were_theirs_takes_back_nothing(
    scene: Scene, cast: Cast
) -> None:
    row, person = scene.held(), cast.moderator.user_id
    with cast.app.app_context():
        actor = db.session.get_one(User, person)
        many = batch.decide_in_pieces(actor, batch.Asked("approve"), [(row, 1)])
        event = many.event_id
        db.session.commit()
    with cast.app.app_context(), ThreadPoolExecutor(1) as pool:
        db.session.execute(update(User).where(User.id == person).values(role=Role.READER))
        undone = pool.submit(scene.undo, cast.moderator, event)
        wait_for_locks(cast, 1)
        db.session.commit()
        assert undone.result(10).status_code == 403
    assert not cast.read(Event, event).is_undone


def test_a_lifted_ban_does_not_stand_in_the_way_of_older_decisions(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    before = scene.state(row)
    approved = scene.done(cast.author, row, "approve")
    person = cast.newcomer.user_id
    ban = {"reason": "Advertising.", "days": "", "hide_comments": "yes"}
    cast.admin.post(f"/moderation/people/{person}/ban", ban)
    refused = _with_later(cast.author, approved)
    assert "It belongs to its writer’s ban: undo that as a whole." in words(refused)
    cast.admin.post(f"/moderation/people/{person}/unban", {"reason": "They apologised."})
    assert scene.undo(cast.author, approved).status_code == 303
    assert scene.state(row) == before


@pytest.mark.parametrize("act", ["warn", "hold", "suspend"])
def test_an_act_on_a_person_is_taken_back_from_the_log(cast: Cast, act: str) -> None:
    person = cast.reader.user_id
    before = _standing(cast, person)
    form = {"reason": "Unkind twice.", "words": "Be kind.", "days": "3"}
    assert cast.admin.post(f"/moderation/people/{person}/{act}", form).status_code == 303
    assert _standing(cast, person) != before
    with cast.app.app_context():
        event = db.session.scalars(select(Event).where(Event.person_id == person)).one().id
    page = cast.admin.get("/moderation/log?q=reader")
    assert f'action="/moderation/undo/{event}"' in page.text
    assert cast.admin.post(f"/moderation/undo/{event}").status_code == 303
    assert _standing(cast, person) == before
    assert _told(cast, cast.reader) == []
    assert cast.reader.post(f"/moderation/undo/{event}").status_code in (403, 404)


def test_reports_that_came_since_stay_open_when_the_answer_to_others_is_taken_back(
    scene: Scene, cast: Cast
) -> None:
    row = scene.shown()
    for name in ("first", "second"):
        _report(cast, name, row)
    kept = scene.done(cast.author, row, "approve")
    _report(cast, "third", row)
    assert cast.read(Comment, row).open_reports == 1
    assert scene.undo(cast.author, kept).status_code == 303
    assert cast.read(Comment, row).open_reports == 3


def _discuss(cast: Cast, writers: Sequence[int | None]) -> int:
    """Let people discuss, and return how many comments the first of them wrote."""
    with cast.app.app_context():
        essay, ids = db.session.get_one(Essay, cast.essay_id), [one for one in writers if one is not None]
        load_comments(essay, ids, 66, Random(1), lambda _: None)
        db.session.commit()
        theirs = select(func.count(Comment.id)).where(Comment.author_id == ids[0])
        return db.session.scalar(theirs) or 0


def _pages(cast: Cast) -> dict[str, str]:
    """Return the public pages that show a discussion, or how long it is, and what others hear of it."""
    essay = f"/essays/{cast.slug}"
    paths = ["/", essay, f"{essay}?sort=newest", f"{essay}/feed.xml", f"/readers/{cast.reader.user_id}"]
    found = {path: without_tokens(cast.stranger.get(path).text) for path in paths}
    return found | {"inbox": without_tokens(cast.moderator.get("/account/notifications").text)}


def _with_later(who: Visitor, event: int, **options: Any) -> TestResponse:
    return who.post(f"/moderation/undo/{event}", {"with_later": "yes"}, **options)


def _appeal(who: Visitor, row: int) -> None:
    assert who.post(f"/comments/{row}/appeal", {"words": "It was meant kindly."}).status_code == 303


def _report(cast: Cast, name: str, row: int) -> None:
    who = cast.person(f"{name} witness")
    assert who.post(f"/comments/{row}/report", {"reason": "unkind"}).status_code == 303


def _acts(cast: Cast, row: int) -> list[tuple[str, str]]:
    """Return the acts on a comment, each with what it took back."""
    with cast.app.app_context():
        events = db.session.scalars(select(Event).where(Event.comment_id == row).order_by(Event.id)).all()
        by_id = {event.id: event.act for event in events}
        return [(event.act, by_id.get(event.undoes_id or 0, "")) for event in events]


def _standing(cast: Cast, user_id: int | None) -> tuple[Any, ...]:
    user = cast.read(User, user_id)
    return (
        user.is_held,
        user.suspended_until,
        user.banned_at,
        user.warning,
        user.warned_at,
        user.standing_reason,
    )


def _told(cast: Cast, who: Visitor) -> list[str]:
    with cast.app.app_context():
        mine = (Notice.user_id == who.user_id) & Notice.retracted_at.is_(None)
        return list(db.session.scalars(select(Notice.heading).where(mine)))
