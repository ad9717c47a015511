"""What a stranger wrote: kept on the server, posted once after sign-in, never lost."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.password import hash_password
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.kept import KeptComment
from forum.essays.essay import CommentPolicy, Essay
from forum.moderation.decisions import hide
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, revision, rows_of, sources
from tests.moderation.stage import wait_for_locks

PASSWORD = "a long enough password"


def test_a_strangers_words_are_kept_and_nothing_is_posted(cast: Cast) -> None:
    answer = cast.stranger.comment(cast.slug, "The harbour is older.")
    assert answer.status_code == 303
    assert re.fullmatch(r"/sign-in\?kept=[\w-]{20,}&next=/essays/on-tides", answer.headers["Location"])
    assert (rows_of(cast, Comment), rows_of(cast, KeptComment)) == (0, 1)


def test_signing_in_posts_them_once(cast: Cast) -> None:
    stranger = cast.stranger
    kept = keep(stranger, cast, "The harbour is older.")
    answer = sign_in(stranger, cast.reader, kept)
    comment = comment_id(answer)
    assert answer.headers["Location"] == f"/comments/{comment}"
    assert "Your comment is posted." in words(stranger.get(f"/comments/{comment}"))
    assert cast.read(Comment, comment).author_id == cast.reader.user_id
    assert sources(cast) == ["The harbour is older."]


def test_the_browser_forgets_the_draft_of_what_was_posted(cast: Cast) -> None:
    stranger = cast.stranger
    kept = sign_in(stranger, cast.reader, keep(stranger, cast, "The harbour is older.")).headers["Location"]
    with time_machine.travel(clock.now() + timedelta(hours=1)):
        posted = cast.other_reader.comment(cast.slug, "So it is.").headers["Location"]
        for visitor, place in ((stranger, kept), (cast.other_reader, posted)):
            assert ['data-posted="on-tides"' in visitor.get(place).text for _ in range(2)] == [True, False]


def test_a_newcomers_kept_words_wait_as_all_their_first_ones(cast: Cast) -> None:
    stranger = cast.stranger
    comment = comment_id(sign_in(stranger, cast.newcomer, keep(stranger, cast, "The harbour is older.")))
    assert "Your comment is waiting" in words(stranger.get(f"/comments/{comment}"))
    assert not cast.read(Comment, comment).visible


def test_used_twice_they_are_still_one_comment(cast: Cast) -> None:
    stranger = cast.stranger
    kept = keep(stranger, cast, "The harbour is older.")
    first = sign_in(stranger, cast.reader, kept)
    again = stranger.post("/sign-in/kept", {"kept": kept})
    other = cast.other_reader.post("/sign-in/kept", {"kept": kept})
    assert again.headers["Location"] == other.headers["Location"] == first.headers["Location"]
    assert rows_of(cast, Comment) == 1


def test_after_a_week_they_are_gone(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        stranger = cast.stranger
        old, other = (keep(stranger, cast, body) for body in ("Old words.", "Other old words."))
        moment.shift(timedelta(days=7) - timedelta(seconds=1))
        reader = cast.reader
        assert reader.post("/sign-in/kept", {"kept": old}).headers["Location"].startswith("/comments/")
        moment.shift(timedelta(seconds=1))
        assert reader.post("/sign-in/kept", {"kept": other}).headers["Location"] == "/"
        moment.shift(timedelta(seconds=1))
        keep(stranger, cast, "New words.")
    assert rows_of(cast, Comment) == 1
    assert rows_of(cast, KeptComment) == 1


def test_an_unknown_token_posts_nothing_and_goes_on(cast: Cast) -> None:
    for kept in ("", "nonsense", "\0", "x" * 5_000, "é", "' OR 1=1"):
        assert cast.reader.post("/sign-in/kept", {"kept": kept}).headers["Location"] == "/"
        assert cast.reader.get("/essays/on-tides/write", query_string={"kept": kept}).status_code == 200
    assert rows_of(cast, Comment) == 0


def test_where_only_supporters_comment_the_words_come_back_with_the_reason(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, comments=CommentPolicy.PAID)
    stranger = cast.stranger
    answer = sign_in(stranger, cast.reader, keep(stranger, cast, "The harbour is older."))
    page = stranger.get(answer.headers["Location"])
    assert typed(page) == "The harbour is older."
    assert "Comments on this essay are for supporters." in words(page)
    assert rows_of(cast, Comment) == 0


def test_a_reply_to_what_was_hidden_meanwhile_comes_back_as_a_comment_on_the_essay(cast: Cast) -> None:
    parent = comment_id(cast.other_reader.comment(cast.slug, "An unkind remark."))
    stranger = cast.stranger
    kept = keep(stranger, cast, "An answer to it.", parent)
    cast.author.post(f"/moderation/comments/{parent}/hide", {"revision": "1", "reason": "unkind", "note": ""})
    page = stranger.get(sign_in(stranger, cast.reader, kept).headers["Location"])
    assert typed(page) == "An answer to it."
    assert "The comment you were answering has been removed." in words(page)
    assert "unkind remark" not in page.text
    assert 'name="parent_id" value=""' in page.text


def test_a_kept_reply_is_posted_below_what_it_answers(cast: Cast) -> None:
    parent = comment_id(cast.other_reader.comment(cast.slug, "A first comment."))
    stranger = cast.stranger
    comment = comment_id(sign_in(stranger, cast.reader, keep(stranger, cast, "An answer to it.", parent)))
    assert cast.read(Comment, comment).parent_id == parent


@pytest.mark.kinds("postgresql")
def test_a_kept_reply_is_not_posted_below_what_was_hidden_at_the_same_moment(cast: Cast) -> None:
    parent = comment_id(cast.other_reader.comment(cast.slug, "A remark that is unkind."))
    kept, reader = keep(cast.stranger, cast, "An answer to it.", parent), cast.reader
    with cast.app.app_context(), ThreadPoolExecutor(1) as pool:
        people = lock_users(User.id.in_([cast.author.user_id, cast.other_reader.user_id]))
        hide(people[0], db.session.get_one(Comment, parent), 1, "unkind", "")
        posted = pool.submit(reader.post, "/sign-in/kept", {"kept": kept})
        wait_for_locks(cast, 1)
        db.session.commit()
        page = reader.get(posted.result(10).headers["Location"])
    assert "The comment you were answering has been removed." in words(page)
    assert typed(page) == "An answer to it."
    assert rows_of(cast, Comment) == 1


def test_in_a_discussion_closed_meanwhile_the_words_come_back(cast: Cast) -> None:
    stranger = cast.stranger
    kept = keep(stranger, cast, "The harbour is older.")
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
    page = stranger.get(sign_in(stranger, cast.reader, kept).headers["Location"])
    assert typed(page) == "The harbour is older."
    assert "This discussion closed on" in words(page)


def test_when_the_essay_was_withdrawn_meanwhile_the_words_come_back_to_be_copied(cast: Cast) -> None:
    stranger = cast.stranger
    kept = keep(stranger, cast, "The harbour is older.")
    cast.change(Essay, cast.essay_id, withdrawn_at=clock.now())
    page = stranger.get(sign_in(stranger, cast.reader, kept).headers["Location"])
    assert page.status_code == 410
    assert typed(page) == "The harbour is older."
    assert "This essay was withdrawn while you wrote." in words(page)
    assert stranger.get(f"/essays/{cast.slug}/write").status_code == 404
    assert rows_of(cast, Comment) == 0


def test_a_banned_persons_kept_words_come_back_with_the_reason(cast: Cast) -> None:
    cast.change(User, cast.reader.user_id or 0, banned_at=clock.now(), standing_reason="advertising")
    stranger = cast.stranger
    page = stranger.get(
        sign_in(stranger, cast.reader, keep(stranger, cast, "Buy boats.")).headers["Location"]
    )
    assert typed(page) == "Buy boats."
    assert "You cannot comment here any more. Reason: advertising." in words(page)


def test_words_that_were_posted_before_the_session_ended_are_not_posted_again(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        posted = comment_id(cast.reader.comment(cast.slug, "Sent twice.", form_token="one-form"))
        kept = keep(cast.stranger, cast, "Sent twice.", form_token="one-form")
        moment.shift(timedelta(minutes=7))
        answer = cast.reader.post("/sign-in/kept", {"kept": kept})
    assert answer.headers["Location"] == f"/comments/{posted}"
    assert rows_of(cast, Comment) == 1


def test_other_words_under_a_form_token_that_was_used_are_posted_as_well(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "The first words.", form_token="one-form")
    kept = keep(cast.stranger, cast, "Other words.", form_token="one-form")
    assert cast.reader.post("/sign-in/kept", {"kept": kept}).status_code == 303
    assert sources(cast) == ["The first words.", "Other words."]


def test_the_same_words_a_moment_later_come_back_with_the_reason(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "I said it once.")
    kept = keep(cast.stranger, cast, "I said it once.")
    page = cast.reader.get(cast.reader.post("/sign-in/kept", {"kept": kept}).headers["Location"])
    assert typed(page) == "I said it once."
    assert "You posted these words a moment ago" in words(page)


def test_a_signed_in_person_is_asked_before_words_are_posted_under_their_name(cast: Cast) -> None:
    kept = keep(cast.stranger, cast, "Not mine.")
    page = cast.reader.get(f"/sign-in?kept={kept}&next=/essays/on-tides")
    assert page.status_code == 200
    assert "If you wrote it, post it now" in words(page)
    assert rows_of(cast, Comment) == 0


def test_who_signs_in_where_the_words_were_not_written_is_asked_first(cast: Cast) -> None:
    kept = keep(cast.stranger, cast, "Not mine.")
    victim = cast.stranger
    answer = sign_in(victim, cast.reader, kept)
    assert rows_of(cast, Comment) == 0
    assert "If you wrote it, post it now" in words(victim.get(answer.headers["Location"]))


def test_json_tells_a_stranger_to_sign_in_and_where_the_words_are(cast: Cast) -> None:
    answer = cast.stranger.post("/essays/on-tides/comments", {"body": "The harbour."}, headers=JSON)
    assert answer.status_code == 403
    assert rows_of(cast, KeptComment) == 1
    assert cast.reader.post("/sign-in/kept", {"kept": answer.get_json()["kept"]}).status_code == 303
    assert sources(cast) == ["The harbour."]


def test_a_stranger_keeps_twenty_an_hour_and_then_has_the_words_back(cast: Cast) -> None:
    cast.app.config["RATE_LIMITS"] = True
    try:
        stranger = cast.stranger
        for number in range(20):
            assert keep(stranger, cast, f"Comment {number}.")
        form = {"body": "One too many.", "form_token": "21"}
        answer = stranger.post("/essays/on-tides/comments", form, headers={"Origin": "http://localhost"})
    finally:
        cast.app.config["RATE_LIMITS"] = False
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 3_500
    assert typed(answer) == "One too many."
    assert rows_of(cast, KeptComment) == 20


def test_an_authors_kept_reply_leaves_what_it_answers_waiting(cast: Cast) -> None:
    held = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    kept = keep(cast.stranger, cast, "So it is.")
    cast.change(KeptComment, kept_id(cast), parent_id=held)
    cast.author.post("/sign-in/kept", {"kept": kept})
    assert rows_of(cast, Comment) == 2
    assert revision(cast, held, 1).verdict == "held"


def keep(visitor: Visitor, cast: Cast, body: str, parent: int | None = None, **data: str) -> str:
    """Post as a stranger; return the token under which the words are kept."""
    answer = visitor.comment(cast.slug, body, parent, **data)
    found = re.search(r"kept=([\w-]+)", answer.headers["Location"])
    assert found
    return found[1]


def kept_id(cast: Cast) -> int:
    """Return the id of the one row of kept words."""
    with cast.app.app_context():
        return db.session.scalars(select(KeptComment.id)).one()


def sign_in(stranger: Visitor, person: Visitor, kept: str) -> TestResponse:
    """Sign a person in on a stranger's browser, with the kept words."""
    with person.app.app_context():
        user = db.session.get_one(User, person.user_id)
        user.password_hash = hash_password(PASSWORD)
        email = user.email
        db.session.commit()
    form = {"email": email, "password": PASSWORD, "kept": kept, "next": "/essays/on-tides"}
    answer = stranger.post("/sign-in", form)
    assert answer.status_code == 303, words(answer)
    return answer


def typed(answer: TestResponse) -> str:
    """Return the words in the one text field of an answer."""
    found = re.findall(r"<textarea[^>]*>(.*?)</textarea>", answer.text.split("<main")[1], re.S)
    assert len(found) == 1
    return html.unescape(found[0]).replace("\r\n", "\n").removeprefix("\n")
