"""People’s standing: who may change it, what a ban hides and lifting brings back, and what happens at the same time."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from threading import Event as Flag
from typing import Any

import pytest
from sqlalchemy import func, select

from forum import clock
from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event, note_event
from forum.discussion.posting import lock_discussion, post_comment, settle
from forum.essays.essay import Essay
from forum.moderation.ban import Ban
from forum.moderation.people import (
    ban,
    comments_a_ban_would_hide,
    hold,
    lift_ban,
    lift_suspension,
    release,
    suspend,
)
from forum.moderation.standing import NotDone
from forum.moderation.undo import lock_for_undo, undo
from forum.site.audit import AuditEntry
from forum.text.markdown import render_comment
from tests.admin.written import STATES, comment_by, refuse_wrong_counters, states
from tests.cast import Cast

WHY = "They threatened two readers."


def people(*ids: int | None) -> list[User]:
    return [db.session.get_one(User, one) for one in ids]


def ban_them(cast: Cast, actor_id: int | None, user_id: int | None, *, hide_comments: bool = True) -> int:
    with cast.app.app_context():
        actor, user = people(actor_id, user_id)
        event = ban(actor, user, WHY, hide_comments=hide_comments)
        db.session.commit()
        return event.id


def lift_it(cast: Cast, actor_id: int | None, user_id: int | None) -> int:
    with cast.app.app_context():
        actor, user = people(actor_id, user_id)
        event = lift_ban(actor, user, "It was the wrong person.")
        db.session.commit()
        return event.id


def restored_by(cast: Cast, event_id: int) -> int:
    return int(cast.read(Event, event_id).parts)


def undo_it(cast: Cast, actor_id: int | None, event_id: int) -> None:
    with cast.app.app_context():
        (actor,) = people(actor_id)
        event = db.session.get_one(Event, event_id)
        lock_for_undo(actor, event)
        undo(actor, event)
        db.session.commit()


@pytest.mark.parametrize("seed", range(3))
def test_a_ban_hides_exactly_the_live_comments_and_lifting_brings_back_exactly_those(
    cast: Cast, seed: int
) -> None:
    dice = random.Random(seed)
    app, admin_id = cast.app, cast.admin.user_id
    essays = [cast.essay_id, cast.essay("on-ebb", "On ebb"), cast.essay("on-flood", "On flood")]
    writers = [cast.user("banned one"), cast.user("bystander")]
    for _ in range(25):
        essay_id = dice.choice(essays)
        with app.app_context():
            shown = db.session.scalars(
                select(Comment.id).where(Comment.essay_id == essay_id, Comment.visible)
            ).all()
        comment_by(app, dice.choice(writers), essay_id, dice.choice(STATES), dice.choice([None, *shown]))
    before = states(app)
    with app.app_context():
        expected = {one.id for one in comments_a_ban_would_hide(*people(writers[0]))}
        live = select(Comment.id).where(Comment.author_id == writers[0], Comment.presence == Presence.LIVE)
        assert expected == set(db.session.scalars(live))

    head = ban_them(cast, admin_id, writers[0])

    refuse_wrong_counters(app)
    during = states(app)
    assert {one for one, state in during.items() if state[3] is not None} == expected
    assert all(during[one][0] == Presence.HIDDEN and not during[one][4] for one in expected)
    untouched = before.keys() - expected
    assert {one: during[one][:4] for one in untouched} == {one: before[one][:4] for one in untouched}
    with app.app_context():
        events = select(Event.comment_id).where(Event.part_of_id == head, Event.act == "ban")
        assert sorted(db.session.scalars(events)) == sorted(expected)

    assert restored_by(cast, lift_it(cast, admin_id, writers[0])) == len(expected)
    assert states(app) == before
    refuse_wrong_counters(app)


def test_lifting_leaves_what_somebody_decided_since_the_ban_and_brings_back_what_was_pinned(
    cast: Cast,
) -> None:
    app, admin_id, writer = cast.app, cast.admin.user_id, cast.user("banned one")
    restored, erased, decided, pinned, untouched = (
        comment_by(app, writer, cast.essay_id, "shown") for _ in range(5)
    )
    ban_them(cast, admin_id, writer)
    changes: dict[int, dict[str, Any]] = {
        restored: {"presence": Presence.LIVE, "ban_id": None},
        erased: {"presence": Presence.ERASED},
        decided: {"shown_number": None},
        pinned: {"pinned_at": clock.now()},
    }
    for comment_id, columns in changes.items():
        with app.app_context():
            comment = db.session.get_one(Comment, comment_id)
            watch = Watch(comment)
            for name, value in columns.items():
                setattr(comment, name, value)
            note_event("changed", None, comment, comment.newest, watch)
            settle(comment)
            db.session.commit()
    before = states(app)
    unban = lift_it(cast, admin_id, writer)
    after = {one: state[0] for one, state in states(app).items()}
    assert after == {
        restored: Presence.LIVE,
        erased: Presence.ERASED,
        decided: Presence.HIDDEN,
        pinned: Presence.LIVE,
        untouched: Presence.LIVE,
    }
    assert all(state[3] is None for state in states(app).values())
    refuse_wrong_counters(app)
    undo_it(cast, admin_id, unban)
    assert states(app) == before
    refuse_wrong_counters(app)


def test_a_second_ban_brings_back_only_what_it_hid_itself(cast: Cast) -> None:
    app, admin_id, writer = cast.app, cast.admin.user_id, cast.user("banned one")
    first = comment_by(app, writer, cast.essay_id, "shown")
    for _ in range(2):
        ban_them(cast, admin_id, writer)
        assert restored_by(cast, lift_it(cast, admin_id, writer)) == 1
    assert states(app)[first][0] == Presence.LIVE


def test_a_ban_without_hiding_leaves_every_comment_as_it_is(cast: Cast) -> None:
    writer = cast.user("banned one")
    for state in STATES:
        comment_by(cast.app, writer, cast.essay_id, state)
    before = states(cast.app)
    ban_them(cast, cast.admin.user_id, writer, hide_comments=False)
    assert states(cast.app) == before
    assert restored_by(cast, lift_it(cast, cast.admin.user_id, writer)) == 0
    assert states(cast.app) == before


def test_authors_ban_readers_and_nobody_else(cast: Cast) -> None:
    author_id = cast.author.user_id
    for role in (Role.ADMIN, Role.AUTHOR, Role.MODERATOR):
        with pytest.raises(NotDone, match="works here"):
            ban_them(cast, author_id, cast.user(f"some {role.value}", role))
    ban_them(cast, author_id, cast.reader.user_id)
    with cast.app.app_context():
        assert people(cast.reader.user_id)[0].standing(clock.now()) == Standing.BANNED


def test_an_author_lifts_their_own_ban_but_not_one_that_an_admin_made(cast: Cast) -> None:
    ban_them(cast, cast.author.user_id, cast.reader.user_id)
    lift_it(cast, cast.author.user_id, cast.reader.user_id)
    ban_them(cast, cast.admin.user_id, cast.reader.user_id)
    with pytest.raises(NotDone, match="somebody else"):
        lift_it(cast, cast.author.user_id, cast.reader.user_id)


@pytest.mark.parametrize("who", ["reader", "moderator"])
def test_readers_and_moderators_ban_nobody(cast: Cast, who: str) -> None:
    with pytest.raises(NotDone, match="may"):
        ban_them(cast, getattr(cast, who).user_id, cast.newcomer.user_id)


def test_nobody_changes_their_own_standing(cast: Cast) -> None:
    admin_id = cast.admin.user_id
    with cast.app.app_context():
        (admin,) = people(admin_id)
        deeds: list[Any] = [
            lambda: ban(admin, admin, WHY, hide_comments=True),
            lambda: suspend(admin, admin, clock.now() + timedelta(days=1), WHY),
            lambda: hold(admin, admin, WHY),
        ]
        for deed in deeds:
            with pytest.raises(NotDone, match="your own"):
                deed()


def test_a_suspended_admin_suspends_nobody(cast: Cast) -> None:
    cast.change(User, cast.admin.user_id, suspended_until=clock.now() + timedelta(days=1))
    with cast.app.app_context():
        admin, reader = people(cast.admin.user_id, cast.reader.user_id)
        with pytest.raises(NotDone, match="may do this"):
            suspend(admin, reader, clock.now() + timedelta(days=1), WHY)


def test_the_reason_that_is_shown_is_of_what_still_restrains_the_person(cast: Cast) -> None:
    with cast.app.app_context():
        admin, reader = people(cast.admin.user_id, cast.reader.user_id)
        shown = []
        hold(admin, reader, "Links to shops.")
        shown.append(reader.standing_reason)
        suspend(admin, reader, clock.now() + timedelta(days=9), "Insults.")
        shown.append(reader.standing_reason)
        ban(admin, reader, "Threats.", hide_comments=False)
        shown.append(reader.standing_reason)
        lift_ban(admin, reader, "Not them.")
        shown.append(reader.standing_reason)
        lift_suspension(admin, reader, "Served.")
        shown.append(reader.standing_reason)
        release(admin, reader, "Better now.")
        shown.append(reader.standing_reason)
        assert shown == ["Links to shops.", "Insults.", "Threats.", "Insults.", "Links to shops.", ""]


@pytest.mark.parametrize("round_number", range(5))
def test_a_ban_while_its_person_posts_leaves_nothing_of_theirs_to_see(cast: Cast, round_number: int) -> None:
    reader, admin = cast.reader, cast.admin
    browsers = [cast.sign_in(reader.user_id or 0) for _ in range(3)]
    for number, browser in enumerate(browsers):
        browser.form_tokens = number * 100
    start = Barrier(4)

    def post(number: int) -> list[int]:
        start.wait()
        posts = [browsers[number].comment(cast.slug, f"Words {number} {turn}") for turn in range(4)]
        return [answer.status_code for answer in posts]

    def ban_now() -> int:
        start.wait()
        time.sleep(round_number * 0.03)  # earlier or later among the posts
        form = {"reason": WHY, "hide_comments": "yes"}
        return admin.post(f"/moderation/people/{reader.user_id}/ban", form).status_code

    with ThreadPoolExecutor(4) as pool:
        banned = pool.submit(ban_now)
        codes = {code for answers in pool.map(post, range(3)) for code in answers}
    assert banned.result() == 303
    assert codes <= {303, 403}
    with cast.app.app_context():
        mine = select(func.count(Comment.id)).where(Comment.author_id == reader.user_id)
        assert db.session.scalar(mine.where(Comment.visible)) == 0
        assert db.session.scalar(mine.where(Comment.presence == Presence.LIVE)) == 0


def test_a_ban_waits_for_a_comment_that_is_just_being_posted_and_hides_it_too(cast: Cast) -> None:
    is_posting, admin_id, reader_id = Flag(), cast.admin.user_id, cast.user("quick one")

    def post() -> None:
        with cast.app.app_context():
            (reader,) = people(reader_id)
            essay = db.session.get_one(Essay, cast.essay_id)
            lock_discussion(reader.id, essay.id)
            post_comment(reader, essay, render_comment("Just in time"), "just-in-time")
            is_posting.set()
            time.sleep(0.4)  # the ban arrives now
            db.session.commit()

    with ThreadPoolExecutor(1) as pool:
        posted = pool.submit(post)
        assert is_posting.wait(10)
        ban_them(cast, admin_id, reader_id)
        posted.result()
    assert [state[0] for state in states(cast.app).values()] == [Presence.HIDDEN]
    refuse_wrong_counters(cast.app)


def test_two_admins_who_ban_at_once_make_one_ban(cast: Cast) -> None:
    admins = [cast.admin, cast.person("second admin", Role.ADMIN)]
    comment_by(cast.app, cast.reader.user_id, cast.essay_id, "shown")
    start = Barrier(2)

    def ban_now(number: int) -> int:
        start.wait()
        path = f"/moderation/people/{cast.reader.user_id}/ban"
        return admins[number].post(path, {"reason": WHY, "hide_comments": "yes"}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ban_now, range(2))) == [303, 422]
    with cast.app.app_context():
        assert db.session.scalar(select(func.count(Ban.id))) == 1
        assert db.session.scalar(select(func.count(Event.id)).where(Event.act == "ban")) == 2  # and its part
        assert db.session.scalar(select(func.count(AuditEntry.id)).where(AuditEntry.act == "ban")) == 1
