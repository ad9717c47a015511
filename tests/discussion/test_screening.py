"""What happens to new words: how fast one may post, what waits for a moderator, and who is exempt."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Cause, Comment
from forum.essays.essay import Essay
from forum.site.settings import change_setting
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import revision, rows_of

FROM_HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def limits(cast: Cast) -> Iterator[None]:
    """Switch the limits on, as they are where readers come."""
    cast.app.config["RATE_LIMITS"] = True
    yield
    cast.app.config["RATE_LIMITS"] = False


@pytest.fixture
def moment() -> Iterator[time_machine.Traveller]:
    """Stop the clock, so that a test moves it."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def test_five_comments_in_ten_minutes_are_the_burst(moment: time_machine.Traveller, cast: Cast) -> None:
    post_some(cast.reader, cast, 5)
    moment.shift(timedelta(minutes=4))
    answer = cast.reader.comment(cast.slug, "The sixth.")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "360"
    sentence = (
        "You have posted 5 comments in 10 minutes, which is the limit. You can post again in 6 minutes."
    )
    assert sentence in words(answer)
    assert "The sixth.</textarea>" in answer.text
    moment.shift(timedelta(seconds=359))
    assert cast.reader.comment(cast.slug, "The sixth.").status_code == 429
    moment.shift(timedelta(seconds=1))
    assert cast.reader.comment(cast.slug, "The sixth.").status_code == 303


def test_ten_comments_are_the_most_in_an_hour(moment: time_machine.Traveller, cast: Cast) -> None:
    for _ in range(2):
        post_some(cast.reader, cast, 5)
        moment.shift(timedelta(minutes=11))
    answer = cast.reader.comment(cast.slug, "The eleventh.")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == str(38 * 60)
    assert "10 comments in 60 minutes" in words(answer)
    moment.shift(timedelta(minutes=38))
    assert cast.reader.comment(cast.slug, "The eleventh.").status_code == 303


def test_a_newcomer_waits_half_a_minute_between_comments(moment: time_machine.Traveller, cast: Cast) -> None:
    assert cast.newcomer.comment(cast.slug, "My first.").status_code == 303
    moment.shift(timedelta(seconds=10))
    answer = cast.newcomer.comment(cast.slug, "My second.")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "20"
    assert "You can post again in 20 seconds." in words(answer)
    moment.shift(timedelta(seconds=20))
    assert cast.newcomer.comment(cast.slug, "My second.").status_code == 303


def test_a_limit_answers_json_with_when_to_try_again(moment: time_machine.Traveller, cast: Cast) -> None:
    cast.newcomer.comment(cast.slug, "My first.")
    answer = cast.newcomer.comment(cast.slug, "My second.")
    assert answer.headers["Retry-After"] == "30"
    form = {"body": "My second.", "form_token": "json"}
    told = cast.newcomer.post("/essays/on-tides/comments", form, headers={"Accept": "application/json"})
    assert (told.status_code, told.headers["Retry-After"]) == (429, "30")
    assert "30 seconds" in told.get_json()["error"]


def test_a_withdrawn_comment_still_counts(moment: time_machine.Traveller, cast: Cast) -> None:
    for answer in post_some(cast.reader, cast, 5):
        cast.reader.post(f"/comments/{comment_id(answer)}/withdraw")
    assert cast.reader.comment(cast.slug, "The sixth.").status_code == 429


def test_the_limit_counts_over_all_essays(moment: time_machine.Traveller, cast: Cast) -> None:
    cast.essay("on-ships", "On ships")
    post_some(cast.reader, cast, 5)
    assert cast.reader.comment("on-ships", "The sixth.").status_code == 429


def test_a_refused_comment_does_not_count(moment: time_machine.Traveller, cast: Cast) -> None:
    cast.newcomer.comment(cast.slug, "My first.")
    for _ in range(5):
        assert cast.newcomer.comment(cast.slug, "My second.").status_code == 429
    moment.shift(timedelta(seconds=30))
    assert cast.newcomer.comment(cast.slug, "My second.").status_code == 303
    assert rows_of(cast, Comment) == 2


def test_a_form_sent_again_is_answered_and_not_counted(moment: time_machine.Traveller, cast: Cast) -> None:
    for _ in range(7):
        assert cast.newcomer.comment(cast.slug, "Sent often.", form_token="one-form").status_code == 303
    assert rows_of(cast, Comment) == 1


def test_the_same_words_are_refused_for_six_minutes(moment: time_machine.Traveller, cast: Cast) -> None:
    cast.reader.comment(cast.slug, "I said it once.")
    moment.shift(timedelta(minutes=5, seconds=59))
    answer = cast.reader.comment(cast.slug, "I said it once.\r\n")
    assert answer.status_code == 429
    assert "You posted these words a moment ago, and they arrived." in words(answer)
    assert cast.other_reader.comment(cast.slug, "I said it once.").status_code == 303
    moment.shift(timedelta(seconds=1))
    assert cast.reader.comment(cast.slug, "I said it once.").status_code == 303


def test_the_same_words_are_refused_for_as_long_as_the_admin_says(
    moment: time_machine.Traveller, cast: Cast
) -> None:
    setting(cast, "same_text_minutes", 1440)
    cast.reader.comment(cast.slug, "I said it once.")
    for hours, status in ((23, 429), (1, 303)):
        moment.shift(timedelta(hours=hours))
        assert cast.reader.comment(cast.slug, "I said it once.").status_code == status


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
def test_staff_write_as_fast_as_they_like(cast: Cast, role: Role) -> None:
    for person in (cast.author, cast.person(role.value, role)):
        assert {answer.status_code for answer in post_some(person, cast, 12)} == {303}


def test_another_essays_author_is_not_exempt(cast: Cast) -> None:
    other = cast.person("other author", Role.AUTHOR, accepted_comments=2)
    assert [answer.status_code for answer in post_some(other, cast, 6)] == [303] * 5 + [429]


@pytest.mark.parametrize(
    ("site", "essay", "newcomer_waits", "reader_waits"),
    [
        ("all", None, True, True),
        ("first", None, True, False),
        ("none", None, False, False),
        ("all", "none", False, False),
        ("none", "all", True, True),
        ("none", "first", True, False),
    ],
)
def test_the_essays_policy_goes_before_the_sites(
    cast: Cast, site: str, essay: str | None, newcomer_waits: bool, reader_waits: bool
) -> None:
    setting(cast, "premoderation", site)
    cast.change(Essay, cast.essay_id, premoderation=essay)
    cause = Cause.PREMODERATION if "all" in (essay or site) else Cause.NEW_WRITER
    for person, waits in ((cast.newcomer, newcomer_waits), (cast.reader, reader_waits), (cast.author, False)):
        comment = comment_id(person.comment(cast.slug, f"Words of {person.name}."))
        assert cast.read(Comment, comment).visible is not waits, person.name
        assert revision(cast, comment, 1).causes == ({cause} if waits else set())


def test_a_newcomer_is_known_after_two_accepted_comments(cast: Cast) -> None:
    setting(cast, "new_reader_wait_seconds", 0)
    held = [comment_id(cast.newcomer.comment(cast.slug, f"Comment {number}.")) for number in range(3)]
    for comment in held[:2]:
        assert not cast.read(Comment, comment).visible
        cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    assert not cast.read(Comment, held[2]).visible
    assert cast.read(Comment, comment_id(cast.newcomer.comment(cast.slug, "My fourth."))).visible


def test_a_withdrawn_comment_no_longer_speaks_for_its_writer(cast: Cast) -> None:
    setting(cast, "new_reader_wait_seconds", 0)
    known = cast.person("nearly new", accepted_comments=1)
    setting(cast, "premoderation", "none")
    comment = comment_id(known.comment(cast.slug, "Shown and taken back."))
    assert cast.read(User, known.user_id).accepted_comments == 2
    known.post(f"/comments/{comment}/withdraw")
    assert cast.read(User, known.user_id).accepted_comments == 1


def test_a_held_persons_comments_wait_whatever_the_policy(cast: Cast) -> None:
    setting(cast, "premoderation", "none")
    cast.change(User, cast.reader.user_id or 0, is_held=True)
    comment = comment_id(cast.reader.comment(cast.slug, "From a held person."))
    assert revision(cast, comment, 1).causes == {Cause.PERSON}


def test_causes_add_up(cast: Cast) -> None:
    setting(cast, "premoderation", "all")
    cast.change(User, cast.newcomer.user_id or 0, is_held=True)
    comment = comment_id(cast.newcomer.comment(cast.slug, "From a held person."))
    assert revision(cast, comment, 1).causes == {Cause.PERSON, Cause.PREMODERATION}


def test_the_numbers_are_those_of_the_settings(cast: Cast) -> None:
    setting(cast, "posts_in_burst", 2)
    assert [answer.status_code for answer in post_some(cast.reader, cast, 3)] == [303, 303, 429]


def post_some(person: Visitor, cast: Cast, count: int) -> list[TestResponse]:
    """Post several comments with different words."""
    known = person.form_tokens
    return [person.comment(cast.slug, f"Comment {known + number}.") for number in range(count)]


def setting(cast: Cast, name: str, value: object) -> None:
    """Change one setting of the site."""
    with cast.app.app_context():
        change_setting(name, value)
        db.session.commit()


def test_edits_are_limited_and_the_words_come_back(moment: time_machine.Traveller, cast: Cast) -> None:
    mine = comment_id(cast.reader.comment(cast.slug, "Number 0."))
    edits = [
        cast.reader.post(f"/comments/{mine}/edit", {"body": f"Number {number}."}).status_code
        for number in range(1, 31)
    ]
    assert edits == [303] * 30
    answer = cast.reader.post(f"/comments/{mine}/edit", {"body": "Number 31."}, headers=FROM_HERE)
    assert answer.status_code == 429
    assert "Number 31.</textarea>" in answer.text
    moment.shift(timedelta(hours=1))
    assert cast.reader.post(f"/comments/{mine}/edit", {"body": "Number 31."}).status_code == 303
