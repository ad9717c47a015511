"""What becomes of an essay: drafts, addresses, schedules, withdrawals, versions."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.address import free_slug
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.publishing import create_essay, unfinished_lines
from forum.essays.refusal import EssayRefused
from forum.site.audit import AuditEntry
from forum.site.settings import Premoderation
from tests.cast import Cast, words
from tests.essays.written import DRAFT, editor_form, revision_notes, settings_form, slug_of, write


def test_a_draft_exists_for_its_author_alone(cast: Cast) -> None:
    write(cast, "Unready", at=DRAFT)
    assert cast.stranger.get("/essays/unready").status_code == 404
    assert cast.reader.get("/essays/unready").status_code == 404
    assert cast.moderator.get("/essays/unready").status_code == 404
    assert "A draft. Only you see it." in words(cast.author.get("/essays/unready"))


def test_publishing_says_in_one_sentence_what_will_happen_and_then_does_it(cast: Cast) -> None:
    essay = write(cast, "Ready", at=DRAFT)
    review = cast.author.post(f"/desk/essays/{essay}/publish", {"when": "now", "version": "0"})
    assert review.status_code == 200
    sentence = (
        "At once, “Ready” will be published on Slack Water at http://localhost/essays/ready, for everyone"
    )
    assert sentence in words(review)
    assert cast.stranger.get("/essays/ready").status_code == 404
    done = cast.author.post(f"/desk/essays/{essay}/publish", {"when": "now", "version": "0", "confirm": "1"})
    assert (done.status_code, done.location) == (303, "/essays/ready")
    assert cast.stranger.get("/essays/ready").status_code == 200


def test_publishing_takes_the_words_of_the_draft(cast: Cast) -> None:
    essay = write(cast, "Ready", "Old words.", at=DRAFT)
    cast.author.post(f"/desk/essays/{essay}/autosave", editor_form(cast, essay, body="New words."))
    done = cast.author.post(f"/desk/essays/{essay}/publish", {"when": "now", "version": "1", "confirm": "1"})
    assert done.status_code == 303
    page = words(cast.stranger.get("/essays/ready"))
    assert "New words." in page
    assert "Old words." not in page


def test_a_draft_that_changed_meanwhile_is_not_published_unseen(cast: Cast) -> None:
    essay = write(cast, "Ready", at=DRAFT)
    cast.author.post(f"/desk/essays/{essay}/autosave", editor_form(cast, essay, body="Typed meanwhile."))
    form = {"when": "now", "version": "0", "confirm": "1"}
    answer = cast.author.post(f"/desk/essays/{essay}/publish", form)
    assert answer.status_code == 409
    assert "saved in another window meanwhile" in words(answer)
    assert cast.stranger.get("/essays/ready").status_code == 404


def test_a_scheduled_essay_appears_by_its_date_and_not_before(cast: Cast) -> None:
    essay = write(cast, "Later", at=DRAFT)
    moment = datetime(2031, 5, 6, 9, 0, tzinfo=UTC)
    form = {"when": "later", "date": "2031-05-06", "time": "09:00", "version": "0"}
    review = cast.author.post(f"/desk/essays/{essay}/publish", form)
    assert "On 6 May 2031 at 09:00 UTC, “Later” will be published" in words(review)
    done = cast.author.post(f"/desk/essays/{essay}/publish", form | {"confirm": "1"})
    assert done.location == f"/desk/essays/{essay}"
    assert cast.read(Essay, essay).published_at == moment
    for path in ("/essays/later", "/essays/later/feed.xml"):
        assert cast.stranger.get(path).status_code == 404
    for path in ("/", "/archive", "/feed.xml", "/sitemap.xml", f"/authors/{cast.author.user_id}"):
        assert "Later" not in cast.stranger.get(path).text
        assert "essays/later" not in cast.stranger.get(path).text
    assert "Scheduled for" in words(cast.author.get("/essays/later"))
    with time_machine.travel(moment - timedelta(seconds=1), tick=False):
        assert cast.stranger.get("/essays/later").status_code == 404
    with time_machine.travel(moment, tick=False):
        assert cast.stranger.get("/essays/later").status_code == 200
        assert "Later" in cast.stranger.get("/").text


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"date": "2001-05-06", "time": "09:00"}, "That moment has passed."),
        ({"date": "", "time": "09:00"}, "Give the date"),
        ({"date": "2031-05-06", "time": ""}, "Give the time"),
        ({"date": "2031-02-31", "time": "09:00"}, "Not a valid date"),
        ({"date": "2031-05-06", "time": "25:00"}, "Not a valid time"),
    ],
)
def test_a_moment_that_cannot_be_is_refused_beside_its_field(
    cast: Cast, form: dict[str, str], sentence: str
) -> None:
    essay = write(cast, "Later", at=DRAFT)
    given = {"when": "later", "version": "0", "confirm": "1"} | form
    answer = cast.author.post(f"/desk/essays/{essay}/publish", given)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert cast.read(Essay, essay).published_at is None


def test_unscheduling_makes_it_a_draft_again(cast: Cast) -> None:
    moment = clock.now() + timedelta(days=3)
    essay = write(cast, "Later", at=moment)
    assert cast.author.post(f"/desk/essays/{essay}/unschedule").status_code == 303
    assert cast.read(Essay, essay).published_at is None
    with time_machine.travel(moment + timedelta(days=1)):
        assert cast.stranger.get("/essays/later").status_code == 404


def test_what_has_come_out_cannot_be_unscheduled(cast: Cast) -> None:
    answer = cast.author.post(f"/desk/essays/{cast.essay_id}/unschedule")
    assert answer.location == f"/desk/essays/{cast.essay_id}/withdraw"
    assert cast.stranger.get("/essays/on-tides").status_code == 200


def test_an_empty_or_unshowable_essay_is_not_published(cast: Cast) -> None:
    for title, source, sentence in (
        ("Empty", "", "The essay is empty."),
        ("Blind", "![](/media/a.png)", "has no alternative text"),
        ("Away", "![A buoy](https://else.example/a.png)", "is on another site. Upload it under Pictures"),
    ):
        essay = write(cast, title, at=DRAFT)
        cast.author.post(f"/desk/essays/{essay}/autosave", editor_form(cast, essay, body=source))
        assert sentence in words(cast.author.get(f"/desk/essays/{essay}/publish"))
        form = {"when": "now", "version": "1", "confirm": "1"}
        answer = cast.author.post(f"/desk/essays/{essay}/publish", form)
        assert answer.status_code == 422
        assert sentence in words(answer)
        assert cast.read(Essay, essay).published_at is None


def test_what_is_still_to_come_is_listed_before_publishing(cast: Cast) -> None:
    essay = write(cast, "Ready", "One.\n\nThe price is TK pounds.\n\nThree.", at=DRAFT)
    assert "stands in line 3" in words(cast.author.get(f"/desk/essays/{essay}/publish"))
    assert unfinished_lines("a TKTK\nNTK tk\n(TK)") == [1, 3]


def test_a_withdrawn_essay_is_gone_for_readers_and_comes_back_as_it_was(cast: Cast) -> None:
    essay = write(cast, "Regretted")
    before = cast.read(Essay, essay).published_at
    assert "Withdraw" in words(cast.author.get(f"/desk/essays/{essay}/withdraw"))
    assert cast.stranger.get("/essays/regretted").status_code == 200
    assert cast.author.post(f"/desk/essays/{essay}/withdraw").status_code == 303
    for path in ("/essays/regretted", "/essays/regretted/feed.xml"):
        assert cast.stranger.get(path).status_code == 410
    for path in ("/", "/archive", "/feed.xml", "/sitemap.xml"):
        assert "egretted" not in cast.stranger.get(path).text
    assert cast.author.get("/essays/regretted").status_code == 200
    assert cast.author.post(f"/desk/essays/{essay}/republish").location == "/essays/regretted"
    assert cast.stranger.get("/essays/regretted").status_code == 200
    assert cast.read(Essay, essay).published_at == before


def test_every_change_around_the_words_is_told_to_kept_pages(cast: Cast) -> None:
    essay = write(cast, "Kept")
    versions = [cast.read(Essay, essay).thread_version]
    cast.author.post(f"/desk/essays/{essay}/settings", settings_form(cast, essay, comments="off"))
    versions.append(cast.read(Essay, essay).thread_version)
    cast.author.post(f"/desk/essays/{essay}/withdraw")
    versions.append(cast.read(Essay, essay).thread_version)
    cast.author.post(f"/desk/essays/{essay}/republish")
    versions.append(cast.read(Essay, essay).thread_version)
    assert versions == sorted(set(versions))


# Addresses


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("“Slack water” is no rest at all.", "slack-water-is-no-rest-at-all"),
        ("It’s Anna's", "its-annas"),
        ("Über die Flut", "uber-die-flut"),
        ("🌊", "essay"),
        ("word " * 40, "word-word-word-word-word-word-word-word-word-word-word-word-word-word-word-word"),
    ],
)
def test_an_address_is_made_from_the_title(cast: Cast, app: Flask, title: str, slug: str) -> None:
    with app.app_context():
        assert free_slug(title) == slug


def test_a_title_that_is_taken_gets_the_next_number(cast: Cast) -> None:
    slugs = [slug_of(cast, write(cast, "On tides", at=DRAFT)) for _ in range(2)]
    assert slugs == ["on-tides-2", "on-tides-3"]


def test_an_address_once_used_is_never_given_to_another(cast: Cast) -> None:
    cast.author.post(
        f"/desk/essays/{cast.essay_id}/settings", settings_form(cast, cast.essay_id, slug="renamed")
    )
    assert slug_of(cast, write(cast, "On tides", at=DRAFT)) == "on-tides-2"
    other = write(cast, "Other", at=DRAFT)
    answer = cast.author.post(
        f"/desk/essays/{other}/settings", settings_form(cast, other, slug="on-tides", closing="Kept words")
    )
    assert answer.status_code == 422
    assert "Another essay has or had the address on-tides." in words(answer)
    assert "Kept words" in answer.text
    assert slug_of(cast, other) == "other"


def test_old_addresses_lead_to_todays(cast: Cast) -> None:
    for slug in ("second", "third"):
        form = settings_form(cast, cast.essay_id, slug=slug)
        assert cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form).status_code == 303
    for old in ("on-tides", "second"):
        answer = cast.stranger.get(f"/essays/{old}")
        assert (answer.status_code, answer.location) == (301, "/essays/third")
        answer = cast.stranger.get(f"/essays/{old}/feed.xml")
        assert (answer.status_code, answer.location) == (301, "/essays/third/feed.xml")
    assert cast.stranger.get("/essays/third").status_code == 200


def test_an_essay_may_take_its_own_old_address_back(cast: Cast) -> None:
    for slug in ("second", "on-tides"):
        form = settings_form(cast, cast.essay_id, slug=slug)
        assert cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form).status_code == 303
    assert cast.stranger.get("/essays/on-tides").status_code == 200
    assert cast.stranger.get("/essays/second").location == "/essays/on-tides"


@pytest.mark.parametrize(
    "slug", ["", "Upper", "two words", "a--b", "-a", "ä", "a/b", "a" * 121, "a.b", "../x"]
)
def test_an_ill_formed_address_is_refused(cast: Cast, slug: str) -> None:
    form = settings_form(cast, cast.essay_id, slug=slug)
    answer = cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form)
    assert answer.status_code == 422
    assert "address" in words(answer)
    assert slug_of(cast, cast.essay_id) == "on-tides"


# Settings


def test_settings_are_in_force_once_saved(cast: Cast) -> None:
    form = settings_form(
        cast,
        cast.essay_id,
        tags="Tides, old maps,tides",
        access="paid",
        comments="author-only",
        premoderation="all",
        closing="Goodbye.",
    )
    assert cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form).status_code == 303
    essay = cast.read(Essay, cast.essay_id)
    assert [(tag.slug, tag.label) for tag in essay.tags] == [("tides", "Tides"), ("old-maps", "old maps")]
    assert (essay.access, essay.comments) == (Access.PAID, CommentPolicy.AUTHOR_ONLY)
    assert (essay.premoderation, essay.closing) == (Premoderation.ALL, "Goodbye.")
    form |= {"tags": "new, old maps, Tides", "premoderation": ""}
    cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form)
    essay = cast.read(Essay, cast.essay_id)
    assert [tag.slug for tag in essay.tags] == ["new", "old-maps", "tides"]
    assert essay.premoderation is None


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"tags": "a" * 61}, "A tag can have at most 60 characters"),
        ({"tags": "!!"}, "A tag needs letters or digits"),
        ({"tags": ",".join("abcdefghijk")}, "at most 10 tags"),
        ({"closing": "a" * 1001}, "at most 1,000 characters"),
        ({"access": "nobody"}, "Not a valid choice"),
        ({"comments": "everyone"}, "Not a valid choice"),
        ({"premoderation": "some"}, "Not a valid choice"),
    ],
)
def test_wrong_settings_are_refused_beside_their_field(
    cast: Cast, typed: dict[str, str], sentence: str
) -> None:
    form = settings_form(cast, cast.essay_id, **typed)
    answer = cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert cast.read(Essay, cast.essay_id).thread_version == 1


# Versions


def test_each_update_is_a_revision_and_any_two_compare(cast: Cast, app: Flask) -> None:
    essay = write(cast, "Turning", "The sea rises.")
    form = editor_form(cast, essay, body="The sea falls.", title="Turned")
    assert cast.author.post(f"/desk/essays/{essay}", form | {"update": "1"}).status_code == 303
    assert [number for number, _, _ in revision_notes(app, essay)] == [1, 2]
    assert "2 versions" in words(cast.author.get(f"/desk/essays/{essay}/revisions"))
    page = cast.author.get(f"/desk/essays/{essay}/revisions/compare?old=1&new=2")
    assert "The sea <del>rises.</del><ins>falls.</ins>" in page.text
    assert "<del>Turning</del><ins>Turned</ins>" in page.text


@pytest.mark.parametrize(
    "query", ["", "?old=1", "?old=1&new=9", "?old=x&new=1", "?old=1&new=99999999999999999999"]
)
def test_a_version_that_is_not_there_is_not_found(cast: Cast, query: str) -> None:
    answer = cast.author.get(f"/desk/essays/{cast.essay_id}/revisions/compare{query}")
    assert answer.status_code == 404


def test_restoring_makes_a_new_revision_and_loses_no_draft(cast: Cast, app: Flask) -> None:
    essay = write(cast, "Turning", "First words.")
    form = editor_form(cast, essay, body="Second words.")
    cast.author.post(f"/desk/essays/{essay}", form | {"update": "1"})
    cast.author.post(f"/desk/essays/{essay}/autosave", editor_form(cast, essay, body="Only a draft."))
    done = cast.author.post(f"/desk/essays/{essay}/revisions/1/restore")
    assert done.status_code == 303
    assert "First words." in words(cast.stranger.get("/essays/turning"))
    assert [(number, source) for number, source, _ in revision_notes(app, essay)] == [
        (1, "First words."),
        (2, "Second words."),
        (3, "Only a draft."),
        (4, "First words."),
    ]
    assert revision_notes(app, essay)[3][2] == "Version 1 restored"
    assert cast.read(Essay, essay).version == 4
    assert "First words." in cast.author.get(f"/desk/essays/{essay}").text


def test_a_revision_that_is_not_there_cannot_be_restored(cast: Cast) -> None:
    for number in (2, 99999999999999999999):
        answer = cast.author.post(f"/desk/essays/{cast.essay_id}/revisions/{number}/restore")
        assert answer.status_code == 404


def test_an_admins_act_on_an_essay_of_another_is_recorded_with_its_reason(cast: Cast, app: Flask) -> None:
    no_reason = cast.admin.post(f"/desk/essays/{cast.essay_id}/withdraw", {"reason": " "})
    assert no_reason.status_code == 422
    assert cast.stranger.get("/essays/on-tides").status_code == 200
    cast.admin.post(f"/desk/essays/{cast.essay_id}/withdraw", {"reason": "A court said so."})
    cast.author.post(f"/desk/essays/{cast.essay_id}/republish")
    with app.app_context():
        entry = db.session.query(AuditEntry).one()
        assert (entry.actor_id, entry.act, entry.subject, entry.reason) == (
            cast.admin.user_id,
            "essay.withdraw",
            f"essay:{cast.essay_id}",
            "A court said so.",
        )


def test_an_essay_needs_a_title(cast: Cast, app: Flask) -> None:
    with app.app_context():
        author = db.session.get(User, cast.author.user_id)
        assert author is not None
        with pytest.raises(EssayRefused, match="The title is missing"):
            create_essay(author, " \u202e ", "Words.")
