"""The desk by keyboard and by forms: a key decides about the card that is shown as current, and about no other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from playwright.sync_api import Browser, Locator, Page, Route, expect
from werkzeug.serving import make_server

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.event import Event
from tests.cast import Cast, Visitor
from tests.conftest import empty, make_app

REASONS = {"off-topic": "1", "unkind": "2", "spam": "3", "private": "4"}
"""Which number chooses a reason."""

MIXED = ["post"] * 20
MIXED[3], MIXED[7], MIXED[8], MIXED[14], MIXED[19] = "ban", "off-topic", "unkind", "private", "spam"
"""What becomes of twenty comments: fifteen are posted, four removed with reasons, and one writer is banned."""

Mode = bool
WITH_SCRIPT, WITHOUT_SCRIPT = True, False


@dataclass
class Desk:
    """The author's browser on the desk; it counts the keys that are pressed."""

    page: Page
    cast: Cast
    url: str
    keys: int = field(default=0)

    def open(self) -> None:
        self.page.goto(f"{self.url}/moderation")
        expect(self.page.locator("[data-ready]")).to_be_attached()

    def press(self, *keys: str) -> None:
        """Press keys as fast as they come, without waiting for what they do."""
        self.keys += len(keys)
        for key in keys:
            self.page.keyboard.press(key)

    def says(self, words: str) -> None:
        expect(self.page.locator(".say")).to_have_text(words)

    def shows(self, *names: str) -> None:
        """Expect exactly these people's cards, in this order."""
        expect(self.page.locator(".card h2")).to_have_text(list(names))

    def is_at(self, name: str) -> None:
        """Expect the current card, which has the focus, to be this person's."""
        expect(self.page.locator(".card[aria-current]:focus h2")).to_have_text(name)
        expect(self.page.locator("[data-beside]")).to_contain_text(name)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, str]]:
    """Return an app on SQLite that answers on a port of its own: what the browser does is the same on each database."""
    folder = tmp_path_factory.mktemp("desk")
    app = make_app(f"sqlite:///{folder / 'forum.sqlite3'}", folder)
    with app.app_context():
        upgrade()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield app, f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def cast(served: tuple[Flask, str]) -> Cast:
    """Return the people of the story, on the app that is served."""
    empty(served[0])
    return Cast(served[0])


@pytest.fixture
def desk(cast: Cast, served: tuple[Flask, str], browser: Browser) -> Iterator[Desk]:
    """Return the desk of the author, not yet opened."""
    page = author_page(cast, served[1], browser, WITH_SCRIPT)
    yield Desk(page, cast, served[1])
    page.context.close()


def test_twenty_fine_comments_take_two_keys_and_one_to_take_it_back(desk: Desk) -> None:
    names = some_wait(desk.cast, 20)
    before = outcome(desk.cast)
    desk.open()
    desk.press("*", "Shift+A")
    desk.says("Posted 20 comments. Nothing is waiting.")
    expect(desk.page.locator(".empty")).to_be_focused()
    assert desk.keys == 2
    assert {one["verdict"] for one in outcome(desk.cast)} == {"accepted"}
    desk.press("u")
    desk.shows(*names)
    assert desk.keys == 3
    assert outcome(desk.cast) == before


def test_undoing_again_takes_back_the_one_before(desk: Desk) -> None:
    names = some_wait(desk.cast, 3)
    before = outcome(desk.cast)
    desk.open()
    desk.press("a", "a", "u")
    expect(desk.page.locator("#happened")).to_contain_text("Before that: Posted newcomer 0’s comment.")
    desk.press("u")
    desk.shows(*names)
    assert outcome(desk.cast) == before


def test_twenty_mixed_comments_take_25_keys_and_end_as_by_forms(
    desk: Desk, served: tuple[Flask, str], browser: Browser
) -> None:
    names = some_wait(desk.cast, 20)
    desk.open()
    listen(desk.page)
    for what in MIXED:
        desk.press(*{"post": ("a",), "ban": ("b", "b")}.get(what, ("x", REASONS.get(what, ""))))
    expect(desk.page.locator(".empty")).to_be_focused()
    assert desk.keys == 25
    by_keys = outcome(desk.cast)
    # Each decision is read out once, with how many are left, and the next card has the focus.
    heard = desk.page.evaluate("heard")
    assert heard[:2] == ["Posted newcomer 0’s comment. 19 left.", "Posted newcomer 1’s comment. 18 left."]
    assert heard[7] == "Removed newcomer 7’s comment. 12 left."
    assert heard[19] == "Removed newcomer 19’s comment. Nothing is waiting."
    assert len(heard) == 20
    assert desk.page.evaluate("focused") == names[1:]

    empty(served[0])
    cast = Cast(served[0])
    some_wait(cast, 20)
    page = author_page(cast, served[1], browser, WITHOUT_SCRIPT)
    page.goto(f"{served[1]}/moderation")
    cards = {
        name: page.locator(".card", has=page.get_by_role("heading", name=name, exact=True)) for name in names
    }
    for name, what in zip(names, MIXED, strict=True):
        if what != "post":
            decide_by_form(cards[name], what)
    page.get_by_label("All 15 that match").check()
    page.locator("#batch").get_by_role("button", name="Post", exact=False).click()
    expect(page.locator(".empty")).to_have_text("Nothing is waiting.")
    page.context.close()
    assert outcome(cast) == by_keys


def test_banning_with_everything_somebody_wrote_takes_two_keys_and_one_to_take_it_back(desk: Desk) -> None:
    flooder = desk.cast.person("flooder")
    first, *others = some_wait(desk.cast, 1), *some_wait(desk.cast, 1, "later")
    for number in range(3):
        flooder.comment(desk.cast.slug, f"Buy stamps, offer {number}.")
    before = outcome(desk.cast)
    desk.open()
    desk.press("j", "j")
    desk.is_at("later 0")
    desk.press("j")
    desk.is_at("flooder")
    desk.keys = 0
    desk.press("b", "b")
    desk.shows(*first, *others)
    assert desk.keys == 2
    desk.is_at("later 0")
    people = {one["writer"]: (one["presence"], one["banned"]) for one in outcome(desk.cast)}
    assert people["flooder"] == ("hidden", True)
    desk.press("u")
    desk.shows(*first, *others, "flooder", "flooder", "flooder")
    assert desk.keys == 3
    assert outcome(desk.cast) == before


def test_what_was_edited_or_not_sent_stays_and_later_keys_do_nothing(desk: Desk) -> None:
    names = some_wait(desk.cast, 3)
    desk.open()
    row = comments(desk.cast)[0]
    edited = {"body": "Other words by now.", "revision": "1"}
    desk.cast.person(names[0]).post(f"/comments/{row}/edit", edited)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    desk.page.route("**/approve", hold)
    with desk.page.expect_request("**/approve"):
        desk.press("a")
    desk.press("a", "a")  # pressed before anybody could see that the first is refused
    held[0].continue_()
    card = desk.page.locator(".card").first
    expect(card.locator(".card__error")).to_contain_text("edited it")
    expect(card.locator(".card__body")).to_have_text("Other words by now.")
    expect(card.locator(".card__changes ins").first).to_have_text("Other words")
    desk.is_at(names[0])
    desk.shows(*names)
    desk.page.unroute("**/approve")
    desk.press("a")
    desk.shows(*names[1:])

    desk.page.route("**/moderation/comments/**", lambda route: route.abort())
    desk.press("s", "s")
    desk.says("Not sent. Try again.")
    expect(desk.page.locator(".card").first.locator(".card__error")).to_have_text("Not sent. Try again.")
    desk.is_at(names[1])
    desk.page.unroute("**/moderation/comments/**")
    desk.press("s")
    desk.says(f"Removed {names[1]}’s comment as spam. 1 left.")
    assert [one["verdict"] for one in outcome(desk.cast)] == ["accepted", "rejected", "held"]


def test_new_arrivals_do_not_move_the_list(desk: Desk) -> None:
    names = some_wait(desk.cast, 2)
    desk.page.clock.install()
    desk.open()
    desk.press("j", "j", "v")
    place = desk.page.locator(".card").first.bounding_box()
    late = some_wait(desk.cast, 1, "late")
    desk.page.clock.fast_forward(61_000)
    expect(desk.page.locator(".arrivals")).to_have_text("1 more arrived. Show them")
    assert desk.page.locator(".card").first.bounding_box() == place
    desk.shows(*names)
    desk.page.get_by_role("link", name="Show them").click()
    desk.shows(*names, *late)
    desk.is_at(names[1])
    assert [box.is_checked() for box in desk.page.locator(".card__pick").all()] == [False, True, False]


def test_a_key_decides_about_no_card_that_is_out_of_sight(desk: Desk) -> None:
    names = some_wait(desk.cast, 3)
    desk.page.set_viewport_size({"width": 1440, "height": 300})
    desk.open()
    desk.press("u")
    desk.says("Nothing to undo.")
    desk.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(desk.page.locator(".card").first).not_to_be_in_viewport()
    desk.press("a")
    expect(desk.page.locator(".card").first).to_be_in_viewport()
    desk.shows(*names)
    desk.press("a")
    desk.shows(*names[1:])
    desk.press("j", "o")
    expect(desk.page.locator("#moderate")).to_be_attached()
    desk.page.go_back()
    expect(desk.page.locator("[data-ready]")).to_be_attached()
    expect(desk.page.locator(".card[aria-current] h2")).to_have_text(names[2])


def test_what_others_settled_meanwhile_can_be_read_but_not_decided(desk: Desk) -> None:
    names = some_wait(desk.cast, 4)
    desk.open()
    first, second, *_ = comments(desk.cast)
    desk.cast.admin.post(f"/moderation/comments/{first}/approve", {"revision": "1"})
    desk.cast.person(names[1]).post(f"/comments/{second}/withdraw")
    desk.press("a")
    desk.says("This does not wait any more. admin posted it.")
    desk.is_at(names[0])
    desk.press("a", "x", "s", "*")
    expect(desk.page.locator(".card__pick:checked")).to_have_count(3)
    expect(desk.page.locator("[data-left]")).to_have_text("2 comments.")
    desk.press("Shift+A")
    desk.shows(names[1])
    expect(desk.page.locator(".card__body")).to_be_empty()
    expect(desk.page.get_by_text("A first word, by newcomer 1.")).to_have_count(0)
    expect(desk.page.locator(".card button")).to_have_count(0)
    expect(desk.page.locator("[data-left]")).to_have_text("0 comments.")


def test_a_decision_of_somebody_signed_out_meanwhile_keeps_its_words(desk: Desk) -> None:
    some_wait(desk.cast, 1)
    desk.open()
    cookies = desk.page.context.cookies()
    desk.press("x")
    desk.page.locator(".card").first.get_by_label("Something else").check()
    desk.page.locator(".card").first.get_by_label("Note").fill("Not here, please.")
    desk.page.context.clear_cookies()
    desk.press("Control+Enter")
    expect(desk.page.get_by_role("heading", name="Nothing was done yet")).to_be_visible()
    desk.page.context.clear_cookies()
    desk.page.context.add_cookies([{**one, "url": None} for one in cookies])
    desk.page.get_by_role("button", name="Send again").click()
    desk.page.get_by_role("button", name="Send again").click()
    expect(desk.page.locator("#happened")).to_contain_text("Removed newcomer 0’s comment.")
    assert [one["reason"] for one in outcome(desk.cast)] == ["other"]


def test_no_key_acts_while_somebody_types_or_once_keys_are_off(desk: Desk) -> None:
    names = some_wait(desk.cast, 2)
    desk.open()
    desk.press("/", "a", "s")
    expect(desk.page.get_by_label("Find in comments")).to_have_value("as")
    desk.page.locator(".card").first.focus()
    desk.press("Control+a", "Alt+a", "x")
    expect(desk.page.locator(".card").first.get_by_label("Off topic")).to_be_focused()
    desk.press("Escape")
    desk.is_at(names[0])
    desk.press("b")
    desk.page.locator(".card").first.get_by_label("Reason", exact=True).press("Enter")
    desk.press("Escape")
    desk.is_at(names[0])
    key = desk.page.locator(".card .button--primary .key").first
    expect(key).to_be_visible()
    desk.page.locator(".context__note a").click()
    desk.page.get_by_label("Single keys work on this device").uncheck()
    desk.press("Escape")
    expect(key).to_be_hidden()
    desk.open()
    expect(key).to_be_hidden()
    desk.press("a")
    desk.page.evaluate("localStorage.clear()")
    desk.cast.change(User, desk.cast.author.user_id or 0, uses_keys=False)
    desk.open()
    desk.press("a", "*", "Shift+A", "b", "b")
    desk.page.locator(".card").last.get_by_role("button", name="Post", exact=False).first.click()
    desk.says(f"Posted {names[1]}’s comment. 1 left.")
    assert [one["verdict"] for one in outcome(desk.cast)] == ["held", "accepted"]


def some_wait(cast: Cast, count: int, name: str = "newcomer") -> list[str]:
    """Let as many newcomers write one comment each, which waits; return their names."""
    names = [f"{name} {number}" for number in range(count)]
    for one in names:
        visitor: Visitor = cast.person(one)
        assert visitor.comment(cast.slug, f"A first word, by {one}.").status_code == 303
    return names


def author_page(cast: Cast, url: str, browser: Browser, script: Mode) -> Page:
    """Return a window in which the author is signed in."""
    cookie = cast.author.client.get_cookie("forum")
    assert cookie is not None
    context = browser.new_context(java_script_enabled=script, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    context.add_cookies([{"name": "forum", "value": cookie.value, "url": url}])
    return context.new_page()


def decide_by_form(card: Locator, what: str) -> None:
    """Ban the writer of a card or remove it for a reason, with its buttons alone."""
    if what == "ban":
        card.locator(".card__more > summary").click()
        card.get_by_text("Ban…").click()
        card.get_by_role("button", name="Ban and remove 1 comment").click()
    else:
        card.get_by_text("Remove…").click()
        card.locator(f"input[value={what}]").check()
        card.get_by_role("button", name="Remove", exact=False).click()


def listen(page: Page) -> None:
    """Note in the page what a screen reader would be told, and whose card gets the focus."""
    page.evaluate(
        """() => {
          window.heard = [];
          window.focused = [];
          const listen = () => document.querySelectorAll("[role=status], [aria-live]").forEach((part) => {
            const whatever = { childList: true, subtree: true, characterData: true };
            new MutationObserver(() => heard.push(part.textContent)).observe(part, whatever);
          });
          listen();
          document.addEventListener("focusin", (event) => {
            if (event.target.matches(".card")) focused.push(event.target.querySelector("h2").textContent);
          });
        }"""
    )


def outcome(cast: Cast) -> list[dict[str, Any]]:
    """Return what became of every comment, of its writer, and what stands in the log about it."""
    with cast.app.app_context():
        rows = db.session.execute(
            db.select(Comment, CommentRevision, User)
            .join(Comment.newest)
            .join(User, User.id == Comment.author_id)
            .order_by(Comment.id)
        )
        acts = db.select(Event.act).where(Event.is_undone.is_(False), Event.act != "undo")
        return [
            {
                "writer": user.name,
                "presence": str(comment.presence),
                "visible": comment.visible,
                "waits": comment.waits_since is not None,
                "verdict": str(revision.verdict),
                "reason": revision.reason,
                "banned": user.banned_at is not None,
                "acts": list(
                    db.session.scalars(acts.where(Event.comment_id == comment.id).order_by(Event.id))
                ),
            }
            for comment, revision, user in rows
        ]


def comments(cast: Cast) -> list[int]:
    """Return the ids of all comments, the first one first."""
    with cast.app.app_context():
        return list(db.session.scalars(db.select(Comment.id).order_by(Comment.id)))
