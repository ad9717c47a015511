"""The demo shows everything that the product can do, and everything in it adds up."""

from collections import Counter
from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Standing, User
from forum.database import db
from forum.demo.accounts import PASSWORD
from forum.demo.story import DRAFT, FIRST, SCHEDULED, next_month, tell_story
from forum.discussion.comment import Cause, Comment, Presence
from forum.discussion.redacted import MARK
from forum.discussion.rules import words_matched
from forum.essays.essay import Access, Essay
from forum.moderation.mirror import next_look
from forum.subscriptions.subscription import State, subscription_state
from tests.cast import Visitor, words
from tests.conftest import empty
from tests.counting import wrong_counters


@pytest.fixture(scope="module")
def demo(migrated_app: Flask) -> Flask:
    """Return the app with the demo in its database, made once: these tests only look at it."""
    empty(migrated_app)
    with migrated_app.app_context():
        tell_story()
        db.session.commit()
    return migrated_app


def essay(slug: str) -> Essay:
    return db.session.scalars(select(Essay).where(Essay.slug == slug)).one()


def said(slug: str) -> list[Comment]:
    under_it = Comment.essay_id == essay(slug).id
    return list(db.session.scalars(select(Comment).where(under_it).order_by(Comment.id)))


def test_every_counter_says_what_the_rows_say(demo: Flask) -> None:
    with demo.app_context():
        assert wrong_counters() == []


def test_nothing_happens_before_its_cause_or_in_the_future(demo: Flask) -> None:
    with demo.app_context():
        for comment in db.session.scalars(select(Comment)):
            assert comment.author.created_at < comment.created_at < clock.now()
            assert comment.essay.published_at is not None
            assert comment.essay.published_at < comment.created_at
            if comment.answers_id:
                answered = db.session.get_one(Comment, comment.answers_id)
                assert answered.created_at < comment.created_at


def test_the_essays_show_what_an_essay_can_have(demo: Flask) -> None:
    with demo.app_context():
        first, table = essay(FIRST), essay("mended-with")
        assert len(first.toc) >= 4
        assert first.html.count('class="sidenote"') == 4
        assert "table-scroll" in table.html
        closed = essay("reading-over-a-shoulder")
        assert closed.access == Access.SUBSCRIBERS
        assert closed.preview_html is not None
        assert "porter" not in closed.preview_html
        now, later = clock.now(), essay(SCHEDULED).published_at
        assert later is not None
        assert later == next_month(now)
        assert not essay(SCHEDULED).is_published(now)
        assert essay(DRAFT).published_at is None


def test_next_month_comes_after_every_day_of_this_one() -> None:
    for day in ("2027-01-01", "2027-01-31", "2027-12-31", "2028-02-29"):
        now = datetime.fromisoformat(f"{day}T23:59:59+00:00")
        following = next_month(now)
        assert following > now
        assert (following.year * 12 + following.month) - (now.year * 12 + now.month) == 1


def test_the_first_discussion_shows_what_a_discussion_can_have(demo: Flask) -> None:
    with demo.app_context():
        comments = said(FIRST)
        assert len(comments) >= 45
        assert max(comment.depth for comment in comments) == 7
        assert sum(comment.pinned_at is not None for comment in comments) == 1
        assert sum(comment.featured_at is not None for comment in comments) == 1
        assert any(comment.presence == Presence.WITHDRAWN and comment.visible_below for comment in comments)
        assert any(comment.presence == Presence.HIDDEN and comment.visible_below for comment in comments)
        assert any(comment.edited_at is not None for comment in comments)
        assert any(comment.author_id == comment.essay.author_id and comment.depth for comment in comments)
        shown = " ".join(comment.shown.html for comment in comments if comment.shown)
        for piece in ("<blockquote>", "<em>", "<ul>", "<ol>", "جدّي"):
            assert piece in shown, piece


def test_eight_comments_wait_for_six_kinds_of_reasons_and_a_public_one_was_reported(demo: Flask) -> None:
    with demo.app_context():
        waiting = [comment for comment in said(FIRST) if comment.needs_verdict]
        causes = Counter(cause for comment in waiting for cause in comment.newest.causes)
        marked = {word for comment in waiting for word in words_matched(comment.newest.source)}
        reported = [comment for comment in said(FIRST) if comment.visible and comment.open_reports]
    assert len(waiting) == 8
    assert causes == {
        Cause.NEW_WRITER: 4,
        Cause.RULE_WORDS: 2,
        Cause.EDIT: 1,
        Cause.REPORTS: 1,
        Cause.APPEAL: 1,
        Cause.PERSON: 1,
    }
    assert marked == {"Ropewalk", "first month is free"}
    assert len(reported) == 1


def test_comments_were_moved_redacted_and_closed_in_their_turn(demo: Flask) -> None:
    with demo.app_context():
        moved = [comment for comment in said("mended-with") if comment.moved_from_essay_id == essay(FIRST).id]
        assert [comment.visible_below for comment in moved] == [1]
        closed = [comment for comment in said(FIRST) if comment.closed_at is not None]
        assert [bool(comment.closing_note) for comment in closed] == [True]
        assert MARK in closed[0].newest.source


def test_the_author_has_an_old_decision_to_look_at_again(demo: Flask) -> None:
    with demo.app_context():
        assert next_look(essay(FIRST).author) is not None


def test_the_people_stand_differently(demo: Flask) -> None:
    with demo.app_context():
        now = clock.now()
        users = list(db.session.scalars(select(User)))
        standings = Counter(user.standing(now) for user in users)
        states = Counter(subscription_state(user, now) for user in users)
        until = [user.banned_until for user in users if user.is_banned(now)]
    assert standings[Standing.SUSPENDED] == standings[Standing.BANNED] == standings[Standing.WARNED] == 1
    assert None not in until
    beyond_free = (State.PAID, State.COMPLIMENTARY, State.GRACE, State.LAPSED)
    assert [states[state] for state in beyond_free] == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ["author", "moderator", "admin", "reader"])
def test_one_can_sign_in_as_each_of_the_four(demo: Flask, name: str) -> None:
    visitor = Visitor(demo, demo.test_client())
    answer = sign_in(visitor, f"{name}@demo.example")
    assert answer.status_code == 303, words(answer)
    assert visitor.get("/account").status_code == 200


def test_nobody_else_of_the_demo_can_sign_in(demo: Flask) -> None:
    answer = sign_in(Visitor(demo, demo.test_client()), "gordon@demo.example")
    assert answer.status_code == 422


def test_a_stranger_reads_the_first_essay_and_its_discussion(demo: Flask) -> None:
    page = Visitor(demo, demo.test_client()).get(f"/essays/{FIRST}")
    assert page.status_code == 200
    assert "It took me eleven days and I got two wrong." in words(page)
    assert "tidewise.example" not in page.text


def sign_in(visitor: Visitor, email: str) -> TestResponse:
    return visitor.post("/sign-in", {"email": email, "password": PASSWORD})
