"""The log: every decision with who, what, when and why, and an undo where it is possible."""

from forum.discussion.report import REASONS
from tests.cast import Cast, words
from tests.moderation.stage import Scene


def test_the_log_tells_who_did_what_and_why(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    scene.done(cast.moderator, row, "reject", reason="off-topic", note="This is about wells.")
    page = words(cast.author.get("/moderation/log"))
    assert "moderator Rejected newcomer ’s comment on On tides" in page
    assert REASONS["off-topic"] in page
    assert "This is about wells." in page
    assert "1 decision." in page


def test_each_event_that_can_be_undone_has_a_form_for_it(scene: Scene, cast: Cast) -> None:
    row, other = scene.held(), scene.shown()
    approved = scene.done(cast.author, row, "approve")
    hidden = scene.done(cast.author, row, "hide", reason="unkind")
    pinned = scene.done(cast.author, other, "pin")
    page = cast.moderator.get("/moderation/log").text
    assert f'action="/moderation/undo/{hidden}"' in page
    assert f'action="/moderation/undo/{pinned}"' in page
    assert "Undo with what followed posted: newcomer" in words(cast.moderator.get("/moderation/log"))
    scene.undo(cast.moderator, hidden)
    page = cast.moderator.get("/moderation/log").text
    assert f'action="/moderation/undo/{approved}"' in page
    assert "Undo with what followed" not in page
    assert f'action="/moderation/undo/{hidden}"' not in page
    assert f'href="/moderation/log?comment={row}#event-{hidden}"' in page


def test_closing_a_discussion_is_in_the_log_with_its_undo(scene: Scene, cast: Cast) -> None:
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close", {"note": "Good night."})
    page = cast.author.get("/moderation/log")
    assert "author Discussion closed On tides" in words(page)
    assert "Good night." in page.text
    assert "Undo discussion closed: On tides" in words(page)


def test_the_log_is_narrowed_by_act_person_essay_and_comment(scene: Scene, cast: Cast) -> None:
    row, other = scene.held(), scene.shown()
    scene.done(cast.moderator, row, "reject", reason="unkind")
    scene.done(cast.admin, other, "pin")
    wells = cast.essay("on-wells", "On wells")
    expected = {
        "": 2,
        "?act=reject": 1,
        "?act=nonsense": 2,
        "?q=admin": 1,
        "?q=newcomer": 1,
        "?q=nobody": 0,
        f"?essay={cast.essay_id}": 2,
        f"?essay={wells}": 0,
        f"?comment={row}": 1,
    }
    for query, count in expected.items():
        page = cast.author.get(f"/moderation/log{query}").text
        assert page.count('role="rowheader"') == count, query


def test_a_long_log_has_pages(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    for _ in range(51):
        scene.done(cast.author, row, "pin")
    first = cast.author.get("/moderation/log").text
    assert first.count('role="rowheader"') == 50
    assert "/moderation/log?page=2" in first
    assert cast.author.get("/moderation/log?page=2").text.count('role="rowheader"') == 1
