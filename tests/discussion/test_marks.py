"""The supporter's mark on comments: who has it, and that both switches change every page at once."""

import re

import pytest

from forum.essays.essay import Essay
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, comment_id, words

MARK = "<span>supporter</span>"
SHOWN = {"theme": "", "keys": "y", "support": "y"}


@pytest.mark.parametrize("period", [Kind.PAID, Kind.COMPLIMENTARY])
def test_what_a_supporter_wrote_says_so_to_everyone(cast: Cast, period: Kind) -> None:
    before = comment_id(cast.reader.comment(cast.slug, "Written before."))
    supporter = cast.person("patron", accepted_comments=2)
    cast.subscribe(supporter.user_id or 0, period)
    comment = comment_id(supporter.comment(cast.slug, "Written then."))
    for viewer in (cast.stranger, cast.reader, supporter):
        assert viewer.get("/essays/on-tides").text.count(MARK) == 1
        assert MARK in viewer.get(f"/comments/{comment}").text
        assert MARK not in viewer.get(f"/comments/{before}").text


def test_a_supporter_hides_the_mark_on_all_they_wrote_and_shows_it_again(cast: Cast) -> None:
    comment = supporters_comment(cast)
    page = cast.reader.get("/account/appearance")
    assert "Show that I am a supporter" in words(page)
    box = re.search(r'<input[^>]*name="support"[^>]*>', page.text)
    assert box
    assert "checked" in box[0]
    for form, count in (({"theme": "", "keys": "y"}, 0), (SHOWN, 1)):
        before = thread_version(cast)
        assert cast.reader.post("/account/appearance", form).status_code == 303
        assert cast.stranger.get("/essays/on-tides").text.count(MARK) == count
        assert cast.stranger.get(f"/comments/{comment}").text.count(MARK) == count
        assert thread_version(cast) > before
    before = thread_version(cast)
    cast.reader.post("/account/appearance", SHOWN | {"theme": "dark"})
    assert thread_version(cast) == before  # who only changes colours changes no page of others


def test_the_site_shows_no_marks_once_they_are_switched_off(cast: Cast) -> None:
    supporters_comment(cast)
    for switch, count in ((False, 0), (True, 1)):
        form = {"supporter_marks": str(switch), "reason": "As we like it."}
        assert cast.admin.post("/admin/settings", form).status_code == 303
        assert cast.stranger.get("/essays/on-tides").text.count(MARK) == count


def supporters_comment(cast: Cast) -> int:
    """Let the reader comment as a supporter, and return the id of the comment."""
    cast.subscribe(cast.reader.user_id or 0, Kind.PAID)
    return comment_id(cast.reader.comment(cast.slug, "In support."))


def thread_version(cast: Cast) -> int:
    version: int = cast.read(Essay, cast.essay_id).thread_version
    return version
