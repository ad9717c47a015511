"""The editor: drafts apart from what readers see, previews, two windows that met, and who gets in."""

from datetime import timedelta

import pytest
from flask import Flask

from forum import clock
from forum.accounts.user import Role, User
from forum.essays.essay import Essay
from forum.essays.revision import EssayDraft, SetAside
from tests.cast import Cast, words
from tests.essays.written import DRAFT, count, editor_form, revision_notes, slug_of, write


def test_an_essay_begins_as_a_draft(cast: Cast) -> None:
    form = {"title": "  New\u202e  tides ", "subtitle": "", "body": "Words.", "version": "0", "save": "1"}
    answer = cast.author.post("/desk/essays/new", form)
    assert answer.status_code == 303
    essay = int(answer.location.split("/")[-1].split("?")[0])
    assert slug_of(cast, essay) == "new-tides"
    assert cast.read(Essay, essay).title == "New tides"
    assert "A draft." in words(cast.author.get(answer.location))
    assert "New tides" in words(cast.author.get("/desk/essays"))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"title": ""}, "The title is missing."),
        ({"title": "a" * 301}, "The title can have at most 300 characters."),
        ({"subtitle": "a" * 301}, "The standfirst can have at most 300 characters."),
        ({"body": "a" * 200_001}, "at most 200,000 characters"),
        ({"body": "Kept. ![](/media/a.png)"}, "has no alternative text"),
    ],
)
def test_what_cannot_be_begun_stays_in_the_form(
    cast: Cast, app: Flask, typed: dict[str, str], sentence: str
) -> None:
    form = {"title": "Title", "subtitle": "", "body": "Kept words.", "version": "0"} | typed
    answer = cast.author.post("/desk/essays/new", form)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert form["body"] in answer.text
    assert count(app, Essay) == 1


def test_a_draft_with_only_a_title_is_kept(cast: Cast) -> None:
    answer = cast.author.post("/desk/essays/new", {"title": "Only this", "body": "", "version": "0"})
    assert answer.status_code == 303
    essay = int(answer.location.split("/")[-1].split("?")[0])
    assert cast.author.post(f"/desk/essays/{essay}", editor_form(cast, essay)).status_code == 303


def test_readers_see_a_change_only_after_update(cast: Cast) -> None:
    form = editor_form(cast, cast.essay_id, body="Quite new words.")
    assert cast.author.post(f"/desk/essays/{cast.essay_id}", form | {"draft": "1"}).status_code == 303
    assert "Quite new words." not in words(cast.stranger.get("/essays/on-tides"))
    assert "Quite new words." in cast.author.get(f"/desk/essays/{cast.essay_id}").text
    form = editor_form(cast, cast.essay_id)
    assert cast.author.post(f"/desk/essays/{cast.essay_id}", form | {"update": "1"}).status_code == 303
    assert "Quite new words." in words(cast.stranger.get("/essays/on-tides"))
    assert cast.read(Essay, cast.essay_id).version == 2


def test_saving_the_same_words_again_makes_no_revision(cast: Cast, app: Flask) -> None:
    essay = write(cast, "Still", "The same.")
    for _ in range(2):
        cast.author.post(f"/desk/essays/{essay}", editor_form(cast, essay) | {"update": "1"})
    assert len(revision_notes(app, essay)) == 1


def test_a_preview_shows_and_saves_nothing(cast: Cast, app: Flask) -> None:
    form = editor_form(cast, cast.essay_id, body="A **bold** preview.") | {"preview": "1"}
    answer = cast.author.post(f"/desk/essays/{cast.essay_id}", form)
    assert answer.status_code == 200
    assert "<p>A <strong>bold</strong> preview.</p>" in answer.text
    assert "A **bold** preview." in answer.text
    assert count(app, EssayDraft) == 0
    form = {"title": "T", "body": "A **bold** preview.", "version": "0", "preview": "1"}
    answer = cast.author.post("/desk/essays/new", form)
    assert "<p>A <strong>bold</strong> preview.</p>" in answer.text
    assert count(app, Essay) == 1


def test_nothing_harmful_is_previewed(cast: Cast) -> None:
    body = "<script>alert(1)</script><img src=/x alt=x onerror=alert(1)>[a](javascript:alert(1))"
    form = editor_form(cast, cast.essay_id, body=body) | {"preview": "1"}
    preview = cast.author.post(f"/desk/essays/{cast.essay_id}", form).text.split('id="preview"')[1]
    shown = preview.split("</section>")[0]
    assert "script" not in shown.replace("&lt;script", "")
    assert "onerror" not in shown
    assert "javascript" not in shown


def test_words_that_cannot_be_shown_are_kept_as_the_draft(cast: Cast) -> None:
    form = editor_form(cast, cast.essay_id, body="Kept words. ![](/media/a.png)") | {"update": "1"}
    answer = cast.author.post(f"/desk/essays/{cast.essay_id}", form)
    assert answer.status_code == 422
    assert "has no alternative text" in words(answer)
    assert "Kept words." in answer.text
    assert "Kept words." not in cast.stranger.get("/essays/on-tides").text
    assert cast.read(EssayDraft, cast.essay_id).source == "Kept words. ![](/media/a.png)"
    mended = editor_form(cast, cast.essay_id, body="Kept words.") | {"update": "1"}
    assert 'name="version" type="hidden" value="1"' in answer.text
    assert cast.author.post(f"/desk/essays/{cast.essay_id}", mended).status_code == 303


def test_a_draft_saves_itself_and_says_which_version_it_is(cast: Cast, app: Flask) -> None:
    address = f"/desk/essays/{cast.essay_id}/autosave"
    unchanged = cast.author.post(address, editor_form(cast, cast.essay_id))
    assert (unchanged.status_code, unchanged.data) == (204, b"")
    first = cast.author.post(address, editor_form(cast, cast.essay_id, body="One."))
    assert (first.status_code, first.json) == (200, {"version": 1})
    second = cast.author.post(address, editor_form(cast, cast.essay_id, body="Two."))
    assert second.json == {"version": 2}
    too_long = cast.author.post(address, editor_form(cast, cast.essay_id, title="a" * 301))
    assert too_long.status_code == 422
    assert cast.read(EssayDraft, cast.essay_id).source == "Two."
    assert len(revision_notes(app, cast.essay_id)) == 1


def test_two_windows_that_met_keep_both_versions(cast: Cast) -> None:
    mine = editor_form(cast, cast.essay_id, body="From this window.")
    theirs = editor_form(cast, cast.essay_id, body="From that window.")
    address = f"/desk/essays/{cast.essay_id}"
    assert cast.author.post(f"{address}/autosave", theirs).status_code == 200
    late = cast.author.post(f"{address}/autosave", mine)
    assert (late.status_code, late.json) == (409, {"url": f"{address}/conflict"})
    page = cast.author.get(f"{address}/conflict")
    assert "From <del>that</del><ins>this</ins> window." in page.text
    assert "From that window." in words(page)
    assert cast.read(EssayDraft, cast.essay_id).source == "From that window."


@pytest.mark.parametrize("button", ["draft", "update"])
def test_saving_from_an_old_window_is_answered_with_both_versions(cast: Cast, button: str) -> None:
    mine = editor_form(cast, cast.essay_id, body="From this window.")
    theirs = editor_form(cast, cast.essay_id, body="From that window.")
    address = f"/desk/essays/{cast.essay_id}"
    cast.author.post(address, theirs | {"draft": "1"})
    late = cast.author.post(address, mine | {button: "1"})
    assert late.status_code == 409
    assert "From <del>that</del><ins>this</ins> window." in late.text
    assert cast.read(EssayDraft, cast.essay_id).source == "From that window."
    assert "window" not in cast.stranger.get("/essays/on-tides").text


def test_a_window_left_open_over_an_update_is_told_of_it(cast: Cast) -> None:
    stale = editor_form(cast, cast.essay_id, body="From the old window.")
    address = f"/desk/essays/{cast.essay_id}"
    cast.author.post(address, editor_form(cast, cast.essay_id, body="Updated.") | {"update": "1"})
    assert cast.author.post(address, stale | {"update": "1"}).status_code == 409
    assert "Updated." in words(cast.stranger.get("/essays/on-tides"))


@pytest.mark.parametrize(("keep", "kept"), [("mine", "Mine."), ("theirs", "Theirs.")])
def test_either_of_two_versions_can_be_kept(cast: Cast, app: Flask, keep: str, kept: str) -> None:
    mine = editor_form(cast, cast.essay_id, body="Mine.")
    address = f"/desk/essays/{cast.essay_id}"
    cast.author.post(f"{address}/autosave", editor_form(cast, cast.essay_id, body="Theirs."))
    cast.author.post(f"{address}/autosave", mine)
    answer = cast.author.post(f"{address}/conflict", {"keep": keep, "version": "1"})
    assert (answer.status_code, answer.location) == (303, address)
    assert cast.read(EssayDraft, cast.essay_id).source == kept
    assert count(app, SetAside) == 0
    assert cast.author.get(f"{address}/conflict").location == address


def test_a_third_window_is_not_overwritten_by_the_choice(cast: Cast) -> None:
    mine = editor_form(cast, cast.essay_id, body="Mine.")
    address = f"/desk/essays/{cast.essay_id}"
    cast.author.post(f"{address}/autosave", editor_form(cast, cast.essay_id, body="Theirs."))
    cast.author.post(f"{address}/autosave", mine)
    cast.author.post(f"{address}/autosave", editor_form(cast, cast.essay_id, body="A third."))
    answer = cast.author.post(f"{address}/conflict", {"keep": "mine", "version": "1"})
    assert answer.status_code == 409
    assert "A third." in words(answer)
    assert cast.read(EssayDraft, cast.essay_id).source == "A third."


def test_the_longest_essay_fits_in_any_alphabet(cast: Cast) -> None:
    body = "水" * 199_000
    address = f"/desk/essays/{cast.essay_id}"
    answer = cast.author.post(address, editor_form(cast, cast.essay_id, body=body) | {"draft": "1"})
    assert answer.status_code == 303
    assert cast.read(EssayDraft, cast.essay_id).source == body


PAGES = ("", "/publish", "/withdraw", "/revisions", "/revisions/compare?old=1&new=1", "/images")
DEEDS = (
    ("", {"title": "Stolen", "body": "Stolen", "version": "0", "update": "1"}),
    ("", {"title": "Stolen", "body": "Stolen", "version": "0", "preview": "1"}),
    ("/autosave", {"title": "Stolen", "body": "Stolen", "version": "0"}),
    ("/conflict", {"keep": "mine", "version": "0"}),
    ("/settings", {"slug": "stolen", "access": "public", "comments": "off", "premoderation": "none"}),
    ("/publish", {"when": "now", "version": "0", "confirm": "1"}),
    ("/unschedule", {}),
    ("/withdraw", {"reason": "Mine now"}),
    ("/republish", {}),
    ("/revisions/1/restore", {}),
    ("/images", {"alt": "Stolen"}),
)


def test_only_its_author_and_admins_edit_an_essay(cast: Cast) -> None:
    """For others a draft does not exist (404), and what they see but may not do is refused (403)."""
    draft = write(cast, "Secret draft", at=DRAFT)
    other = cast.person("another author", Role.AUTHOR)
    before = [cast.read(Essay, essay).__dict__ for essay in (draft, cast.essay_id)]
    for visitor in (cast.reader, cast.moderator, other):
        for essay, status in ((draft, 404), (cast.essay_id, 403), (999_999, 404)):
            for page in PAGES:
                answer = visitor.get(f"/desk/essays/{essay}{page}")
                assert answer.status_code == status, (visitor.name, page)
                assert "Secret draft" not in answer.text
            for path, form in DEEDS:
                answer = visitor.post(f"/desk/essays/{essay}{path}", dict(form))
                assert answer.status_code == status, (visitor.name, path)
    for essay in (draft, cast.essay_id, 999_999):
        answer = cast.stranger.get(f"/desk/essays/{essay}")
        assert (answer.status_code, answer.location) == (303, f"/sign-in?next=/desk/essays/{essay}")
        for path, form in DEEDS:
            assert cast.stranger.post(f"/desk/essays/{essay}{path}", dict(form)).status_code == 403
    for essay, was in zip((draft, cast.essay_id), before, strict=True):
        now = cast.read(Essay, essay).__dict__
        for name in ("title", "source", "slug", "version", "thread_version", "published_at", "withdrawn_at"):
            assert now[name] == was[name]
    for page in PAGES:
        assert cast.admin.get(f"/desk/essays/{cast.essay_id}{page}").status_code == 200


@pytest.mark.parametrize("column", ["banned_at", "suspended_until"])
def test_an_author_who_may_not_write_just_now_reads_their_essays_and_changes_none(
    cast: Cast, column: str
) -> None:
    draft = write(cast, "Not yet", at=DRAFT)
    form = editor_form(cast, draft, body="Other words.")
    cast.change(User, cast.author.user_id or 0, **{column: clock.now() + timedelta(days=1)})
    assert cast.author.get("/desk/essays").status_code == 403
    assert cast.author.post("/desk/essays/new", form).status_code == 403
    assert cast.author.post(f"/desk/essays/{draft}", form | {"update": "1"}).status_code == 403
    assert cast.author.post(f"/desk/essays/{draft}/autosave", form).status_code == 403
    assert (
        cast.author.post(f"/desk/essays/{draft}/publish", {"when": "now", "confirm": "1"}).status_code == 403
    )
    assert cast.author.post(f"/desk/essays/{cast.essay_id}/withdraw").status_code == 403
    assert cast.read(Essay, draft).source == "Some words."
    assert cast.author.get(f"/essays/{slug_of(cast, draft)}").status_code == 200


def test_the_desk_is_for_those_who_write(cast: Cast) -> None:
    other = cast.person("another author", Role.AUTHOR)
    for path in ("/desk/essays", "/desk/essays/new"):
        assert cast.stranger.get(path).location == f"/sign-in?next={path}"
        assert cast.reader.get(path).status_code == 403
        assert cast.moderator.get(path).status_code == 403
        assert cast.author.get(path).status_code == 200
    assert cast.reader.post("/desk/essays/new", {"title": "A", "body": "B"}).status_code == 403
    assert "On tides" not in words(other.get("/desk/essays"))
    assert "On tides" in words(cast.author.get("/desk/essays"))
    assert "On tides" in words(cast.admin.get("/desk/essays"))
