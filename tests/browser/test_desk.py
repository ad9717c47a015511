"""The desk by keyboard: a key decides about the card that is shown as current, and about no other."""

from collections.abc import Iterator
from threading import Thread

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Verdict
from tests.cast import Cast, comment_id


@pytest.fixture
def desk(cast: Cast, page: Page) -> Iterator[Page]:
    """Return the author's browser on a desk where the comments of five newcomers wait."""
    for number in range(5):
        comment_id(cast.person(f"newcomer {number}").comment(cast.slug, f"A first word, number {number}."))
    server = make_server("127.0.0.1", 0, cast.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    cookie = cast.author.client.get_cookie("forum")
    assert cookie is not None
    url = f"http://127.0.0.1:{server.port}"
    page.context.add_cookies([{"name": "forum", "value": cookie.value, "url": url}])
    page.goto(f"{url}/moderation")
    try:
        yield page
    finally:
        page.goto("about:blank")
        server.shutdown()
        thread.join()


def test_keys_decide_about_the_current_card(desk: Page, cast: Cast) -> None:
    expect(desk.locator(".card")).to_have_count(5)
    _press(desk, "j", "newcomer 0")
    _press(desk, "j", "newcomer 1")
    _press(desk, "j", "newcomer 2")
    _press(desk, "k", "newcomer 1")
    _key(desk, "a")
    expect(desk.locator(".undo")).to_contain_text("Posted newcomer 1’s comment.")
    # The next one is current and has the focus, and the words of what was done are read once.
    _expect_current(desk, "newcomer 2")
    expect(desk.locator(".card:focus")).to_contain_text("newcomer 2")
    expect(desk.locator(".say")).to_contain_text("Posted newcomer 1’s comment. 4 left.")
    _key(desk, "s")
    expect(desk.locator(".undo")).to_contain_text("Removed newcomer 2’s comment as spam.")
    _key(desk, "u")
    expect(desk.locator(".say")).to_contain_text("Undone. newcomer 2’s comment is as it was.")
    _expect_current(desk, "newcomer 2")
    held, accepted = Verdict.HELD, Verdict.ACCEPTED
    assert _verdicts(cast) == [held, accepted, held, held, held]


def test_the_reject_key_asks_for_a_reason_first(desk: Page, cast: Cast) -> None:
    _press(desk, "j", "newcomer 0")
    _key(desk, "x")
    expect(desk.locator(".card[aria-current] input[value=off-topic]")).to_be_focused()
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("Enter")
    expect(desk.locator(".undo")).to_contain_text("Rejected newcomer 0’s comment.")
    assert _verdicts(cast) == [Verdict.REJECTED] + [Verdict.HELD] * 4
    with cast.app.app_context():
        assert (
            db.session.scalars(db.select(CommentRevision.reason).order_by(CommentRevision.id)).first()
            == "unkind"
        )


def _key(desk: Page, key: str) -> None:
    """Press a key of the desk, once its script has come with the page."""
    expect(desk.locator("[data-desk=ready]")).to_be_attached()
    desk.keyboard.press(key)


def _press(desk: Page, key: str, name: str) -> None:
    _key(desk, key)
    _expect_current(desk, name)


def _expect_current(desk: Page, name: str) -> None:
    expect(desk.locator(".card[aria-current]")).to_contain_text(name)
    expect(desk.locator(".context [data-beside]")).to_contain_text(name)


def _verdicts(cast: Cast) -> list[Verdict]:
    statement = db.select(CommentRevision.verdict).join(Comment, Comment.id == CommentRevision.comment_id)
    with cast.app.app_context():
        return list(db.session.scalars(statement.order_by(Comment.id)))
