"""Between storing a post and answering it: who gets the page before, for how long, and who makes the next one."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from forum import untold
from forum.database import db
from forum.essays.essay import Essay
from forum.finding import MAKER
from forum.pages import front
from forum.pages.shared import Page
from forum.untold import Untold
from tests.cast import Cast, Visitor, comment_id
from tests.pages.test_front import ON_TIDES, kept, only_found


@pytest.fixture(autouse=True)
def as_from_the_server(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let posts come as they do from the server, which has a thread that makes pages; but let that take its time."""
    monkeypatch.setattr(untold, "LONGEST_SECONDS", 30)
    monkeypatch.setattr(front, "LONGEST_SECONDS", 30)
    with ThreadPoolExecutor(1) as maker:
        for visitor in (cast.reader, cast.other_reader, cast.moderator, cast.newcomer):
            visitor.client.environ_base[MAKER] = maker.submit
        yield


def found_by(cast: Cast, visitor: Visitor) -> str | None:
    """Return the page that is found for somebody where nothing is made; None where it would have to be."""
    cookie = "; ".join(f"{one.key}={one.value}" for one in visitor.client._cookies.values())
    page = only_found(cast.app, {"Cookie": cookie} if cookie else {})
    return None if page is None else page.decode()


@pytest.fixture
def before_the_answer(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Let something be done once after the next post is stored, and before the page is made that it is on."""

    def do_once(do: Callable[[], None]) -> None:
        outermost: Any = cast.app.wsgi_app
        make = outermost._make

        def first_do(slug: str) -> None:
            monkeypatch.setattr(outermost, "_make", make)
            do()
            make(slug)

        monkeypatch.setattr(outermost, "_make", first_do)

    return do_once


@pytest.mark.parametrize("who", ["stranger", "reader"])
def test_until_a_post_is_answered_others_get_the_page_before_and_then_need_not_wait(
    cast: Cast, before_the_answer: Any, who: str
) -> None:
    visitor = getattr(cast, who)
    first = comment_id(cast.other_reader.comment(cast.slug, "The first words."))
    for _ in range(2):
        visitor.get(ON_TIDES)
    meanwhile: list[str | None] = []
    before_the_answer(lambda: meanwhile.append(found_by(cast, visitor)))
    cast.other_reader.comment(cast.slug, "The next words.", parent=first)
    [page] = meanwhile
    assert page is not None
    assert "The first words." in page
    assert "The next words." not in page
    assert "The next words." in cast.stranger.get(ON_TIDES).text
    if who == "stranger":  # for readers, what is around the threads may have to be made as well
        assert "The next words." in (found_by(cast, visitor) or "")


def test_what_somebody_else_changed_meanwhile_is_never_held_back(cast: Cast, before_the_answer: Any) -> None:
    removed = comment_id(cast.other_reader.comment(cast.slug, "To be taken back."))
    cast.stranger.get(ON_TIDES)
    meanwhile: list[str | None] = []

    def take_back_and_look() -> None:
        cast.other_reader.post(f"/comments/{removed}/withdraw")
        meanwhile.append(found_by(cast, cast.stranger))

    before_the_answer(take_back_and_look)
    cast.reader.comment(cast.slug, "The next words.")
    assert meanwhile == [None]


def test_the_version_that_a_post_is_said_to_be_is_the_one_that_is_stored(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[tuple[int, int], int]] = []

    def note(*change: int) -> None:
        with cast.app.app_context():
            stored = select(Essay.thread_version).where(Essay.id == cast.essay_id)
            said.append(((change[0], change[1]), db.session.scalar(stored) or 0))

    monkeypatch.setattr(kept(cast.app).untold, "store", note)
    first = comment_id(cast.reader.comment(cast.slug, "A thread."))
    cast.other_reader.comment(cast.slug, "A reply.", parent=first)
    cast.newcomer.comment(cast.slug, "Words that wait.")
    assert len(said) == 3
    assert [change for change, _ in said] == [(cast.essay_id, stored) for _, stored in said]


def test_the_page_is_made_only_where_somebody_looked_lately(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = kept(cast.app)
    cast.reader.token()
    cast.moderator.token()
    pages.untold = Untold()
    cast.reader.comment(cast.slug, "Nobody looked.")
    assert not [part for part in pages.cache.parts() if isinstance(part, Page)]
    cast.stranger.get(ON_TIDES)
    monkeypatch.setattr(untold, "LATELY", 2)
    counts = []
    for number in range(4):
        cast.moderator.comment(cast.slug, f"Words number {number}.")
        counts.append(len([part for part in pages.cache.parts() if isinstance(part, Page)]))
    assert counts == [2, 3, 3, 3]


def test_a_change_counts_until_it_is_told_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = Untold()
    changes.store(7, 41)
    assert not changes.has(7, 41)  # nobody had said that it would come
    for do in (changes.expect, changes.store):
        do(7, 41)
    assert [changes.has(7, 41), changes.has(7, 42), changes.has(8, 41), changes.has(7, 41 + 64)] == [
        True,
        False,
        False,
        False,
    ]
    changes.remove(7, 41)
    assert not changes.has(7, 41)
    monkeypatch.setattr(untold, "LONGEST_SECONDS", 0)
    for do in (changes.expect, changes.store):
        do(7, 42)
    assert not changes.has(7, 42)


def test_half_of_one_change_and_half_of_another_are_neither() -> None:
    changes, other = Untold(), Untold()
    for do in (changes.expect, changes.store):
        do(7, 41)
    for do in (other.expect, other.store):
        do(7, 41 + untold.SLOTS)  # in the same place
    place, size = untold._place(7, 41), untold.SLOT.size
    for end in range(1, size):
        mixed = Untold()
        mixed._changes[place : place + size] = (
            changes._changes[place : place + end] + other._changes[place + end : place + size]
        )
        is_whole = mixed._changes[place : place + size] in (
            changes._changes[place : place + size],
            other._changes[place : place + size],
        )
        assert mixed.has(7, 41) is (
            is_whole and mixed._changes[place : place + size] == changes._changes[place : place + size]
        )


def test_before_a_change_is_certain_nobody_gets_the_page_before_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold, "LONGEST_STEPS", 100_000)
    cast.reader.comment(cast.slug, "The first words.")
    cast.stranger.get(ON_TIDES)
    pages = kept(cast.app)
    version = cast.read(Essay, cast.essay_id).thread_version
    pages.untold = Untold()
    cast.reader.comment(cast.slug, "The next words.")
    pages.untold.expect(cast.essay_id, version + 1)
    assert found_by(cast, cast.stranger) is None
    with ThreadPoolExecutor(1) as other:
        page = other.submit(lambda: cast.stranger.get(ON_TIDES).text)
        pages.untold.store(cast.essay_id, version + 1)
        assert "The next words." not in page.result()
    pages.untold.expect(cast.essay_id, version + 1)
    with ThreadPoolExecutor(1) as other:
        page = other.submit(lambda: cast.stranger.get(ON_TIDES).text)
        pages.untold.remove(cast.essay_id, version + 1)  # it failed, and the version is somebody else's
        assert "The next words." in page.result()


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_whoever_is_told_by_a_second_answer_to_the_same_form_is_told_of_what_others_see(
    cast: Cast, before_the_answer: Any, accept: str
) -> None:
    cast.stranger.get(ON_TIDES)
    form = {"body": "Posted twice.", "form_token": "one-form"}
    pages: list[str] = []

    def send_again() -> None:
        answer = cast.reader.post(f"{ON_TIDES}/comments", form, headers={"Accept": accept})
        assert answer.status_code in (200, 201, 303)
        pages.append(cast.stranger.get(ON_TIDES).text)

    before_the_answer(send_again)
    cast.reader.post(f"{ON_TIDES}/comments", form)
    assert pages[0].count("Posted twice.") == 1


def test_a_page_that_takes_long_holds_up_nobody_who_posts(
    cast: Cast, before_the_answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.stranger.get(ON_TIDES)
    monkeypatch.setattr(front, "LONGEST_SECONDS", 0.01)
    is_answered = threading.Event()
    waited: list[bool] = []
    before_the_answer(lambda: waited.append(is_answered.wait(20)))
    cast.reader.comment(cast.slug, "The next words.")
    is_answered.set()
    assert "The next words." in cast.stranger.get(ON_TIDES).text
    assert waited == [True]
