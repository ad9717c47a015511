"""Whatever is sent, a comment is stored as it should be, or a clear error comes back with every word still there."""

import html
import io
import json
import re
import time
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from werkzeug.test import TestResponse

from forum.accounts.session import Session
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.discussion.kept import KeptComment
from forum.essays.essay import CommentPolicy, Essay
from forum.text.normal import normalise
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, rows_of, sources

HERE = {"Origin": "http://localhost"}
ELSEWHERE = {"Origin": "https://evil.example"}
HUGE = "9" * 30
FORM = "application/x-www-form-urlencoded"
JSON_BODIES = (
    json.dumps({"body": "As JSON."}),
    "[1, 2]",
    "7",
    "null",
    '{"body": ["a"]}',
    '{"body": 5}',
    '{"body": "\\ud800 lone"}',
    "{nonsense",
    "[" * 100_000,
    '{"a":' * 20_000,
)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "Write something first."),
        (" \r\n\t ", "Write something first."),
        ("\u200b\u200b", "Write something first."),
        ("\0\0\0", "Write something first."),
        ("x", "Write at least 2 characters."),
        ("x" * 10_001, "This is 1 character too long. The most is 10,000."),
        ("🙂" * 10_001, "This is 1 character too long. The most is 10,000."),
        ("a\n" * 1_001 + "b", "This has 1 line break too many. The most is 1,000."),
    ],
    ids=["empty", "blank", "invisible", "NUL", "short", "long", "long emoji", "lines"],
)
def test_words_that_do_not_fit_are_422_with_a_sentence_and_stay(cast: Cast, body: str, sentence: str) -> None:
    for visitor in (cast.reader, cast.stranger):
        answer = visitor.comment(cast.slug, body)
        assert answer.status_code == 422
        assert sentence in words(answer)
        assert typed(answer) == normalise(body)
    assert rows_of(cast, Comment) == rows_of(cast, KeptComment) == 0


@pytest.mark.parametrize("body", ["xy", "x" * 10_000, "🙂" * 10_000, "a\n" * 1_000 + "b"])
def test_words_up_to_the_limits_are_posted(cast: Cast, body: str) -> None:
    assert cast.reader.comment(cast.slug, body).status_code == 303
    assert sources(cast) == [body]


def test_ten_megabytes_are_refused_at_once(cast: Cast) -> None:
    for visitor in (cast.reader, cast.stranger):
        began = time.monotonic()
        answer = visitor.comment(cast.slug, "x" * 10_000_000)
        assert answer.status_code == 413
        assert "large" in words(answer) or "too" in words(answer)
        assert time.monotonic() - began < 2  # most of it is spent on building the request
    assert rows_of(cast, Comment) == 0


def test_a_body_over_256_kib_is_refused_unread(cast: Cast) -> None:
    stream = io.BytesIO(b"body=" + b"x" * 300_000)
    answer = cast.reader.client.post(
        "/essays/on-tides/comments", input_stream=stream, content_length=300_005, content_type=FORM
    )
    assert answer.status_code == 413
    assert stream.tell() == 0


def test_a_body_without_a_length_is_411(cast: Cast) -> None:
    answer = cast.reader.client.post(
        "/essays/on-tides/comments",
        input_stream=io.BytesIO(b"body=chunks+of+words"),
        content_type=FORM,
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )
    assert answer.status_code == 411
    assert "The length of what was sent is missing" in words(answer)
    assert rows_of(cast, Comment) == 0


def test_nul_and_controls_and_bidi_overrides_are_taken_out(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "left\0 \x1b\u202eright\u2066 words\x85"))
    assert sources(cast) == ["left right words"]
    page = cast.stranger.get(f"/comments/{comment}").text
    assert not re.search("[\0\x1b\x85\u202a-\u202e\u2066-\u2069]", page)


def test_letters_that_are_not_utf_8_come_back_to_be_mended(cast: Cast) -> None:
    visitors = (cast.reader, cast.stranger)
    for visitor, raw in product(visitors, ("%FF%FE", "%ED%A0%80", "%C3", "%80abc", "caf%E9")):
        answer = raw_post(visitor, f"body=before+{raw}+after", HERE)
        assert answer.status_code == 400
        assert "Some letters were damaged on the way here." in words(answer)
        assert "before" in typed(answer)
        assert "after" in typed(answer)
    assert rows_of(cast, Comment) == rows_of(cast, KeptComment) == 0


def test_five_thousand_nested_marks_are_taken_or_refused_in_time(cast: Cast) -> None:
    for sign in (">", "> ", "[", "](", "**", "`", "- ", "<", "*a ", "![", "&"):
        body = (sign * 5_000)[:9_990] + " end"
        began = time.thread_time()
        answer = cast.reader.comment(cast.slug, body)
        assert time.thread_time() - began < 1, sign
        assert answer.status_code in (303, 422), sign
        if answer.status_code == 422:
            assert typed(answer) == normalise(body)
    assert cast.stranger.get("/essays/on-tides").status_code == 200


def test_an_unknown_parent_is_422_with_the_words(cast: Cast) -> None:
    for parent in ("999999", HUGE, "9" * 18, "-1", "abc", "1.5", "0x1", "0", "١", "1 OR 1=1"):
        answer = cast.reader.comment(cast.slug, "In reply to nobody.", parent_id=parent)
        assert answer.status_code == 422, parent
        assert typed(answer) == "In reply to nobody."
        assert "The comment you answer is not in this discussion." in words(answer)
        assert field(answer, "parent_id") == ""
    assert rows_of(cast, Comment) == 0


def test_a_parent_on_another_essay_is_422_with_the_words(cast: Cast) -> None:
    cast.essay("on-ships", "On ships")
    other = comment_id(cast.reader.comment("on-ships", "A comment there."))
    answer = cast.other_reader.comment(cast.slug, "An answer here.", other)
    assert answer.status_code == 422
    assert typed(answer) == "An answer here."
    assert "A comment there." not in answer.text
    assert sources(cast) == ["A comment there."]


@pytest.mark.parametrize("presence", [Presence.HIDDEN, Presence.WITHDRAWN, Presence.ERASED])
def test_a_parent_gone_meanwhile_is_409_with_the_words(cast: Cast, presence: Presence) -> None:
    parent = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    cast.change(Comment, parent, presence=presence, visible=False)
    answer = cast.other_reader.comment(cast.slug, "An answer to it.", parent)
    assert answer.status_code == 409
    assert typed(answer) == "An answer to it."
    assert "The comment you were answering has been removed." in words(answer)
    assert field(answer, "parent_id") == ""
    again = cast.other_reader.comment(cast.slug, typed(answer), form_token=field(answer, "form_token"))
    assert again.status_code == 303


def test_a_discussion_closed_meanwhile_says_so_and_keeps_the_words(cast: Cast) -> None:
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
    for visitor in (cast.reader, cast.stranger):
        answer = visitor.comment(cast.slug, "One thing more.")
        assert answer.status_code == 403
        assert typed(answer) == "One thing more."
        assert "This discussion closed on" in words(answer)
    assert rows_of(cast, Comment) == rows_of(cast, KeptComment) == 0


def test_comments_switched_off_meanwhile_say_so_and_keep_the_words(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, comments=CommentPolicy.OFF)
    answer = cast.reader.comment(cast.slug, "One thing more.")
    assert (answer.status_code, typed(answer)) == (403, "One thing more.")
    assert "Comments are off for this essay." in words(answer)


def test_a_reader_under_an_essay_for_its_author_alone_keeps_the_words(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, comments=CommentPolicy.AUTHOR_ONLY)
    answer = cast.reader.comment(cast.slug, "One thing more.")
    assert (answer.status_code, typed(answer)) == (403, "One thing more.")
    assert "Only the author writes under this essay." in words(answer)


def test_an_unknown_essay_is_404_with_the_words(cast: Cast) -> None:
    for slug in ("no-such-essay", "%00", "on-tides%00", "x" * 300, "ünïcode", "%FF"):
        form = {"body": "Words for nobody.", "form_token": "unknown"}
        answer = cast.reader.post(f"/essays/{slug}/comments", form, headers=HERE)
        assert answer.status_code == 404, slug
        assert typed(answer) == "Words for nobody."
        assert cast.stranger.get(f"/essays/{slug}").status_code == 404, slug


def test_an_essay_withdrawn_meanwhile_gives_the_words_back(cast: Cast) -> None:
    now = cast.read(Essay, cast.essay_id).published_at
    cast.change(Essay, cast.essay_id, withdrawn_at=now)
    answer = cast.reader.post("/essays/on-tides/comments", {"body": "Words for nobody."}, headers=HERE)
    assert answer.status_code == 404
    assert typed(answer) == "Words for nobody."


def test_words_of_an_ended_session_are_kept_and_posted_after_sign_in(cast: Cast) -> None:
    reader = cast.reader
    end_sessions(cast)
    answer = reader.comment(cast.slug, "I was signed out meanwhile.")
    assert answer.status_code == 303
    kept = answer.headers["Location"].split("kept=")[1].split("&")[0]
    assert rows_of(cast, Comment) == 0
    again = cast.sign_in(reader.user_id or 0)
    posted = again.post("/sign-in/kept", {"kept": kept})
    assert posted.status_code == 303
    assert sources(cast) == ["I was signed out meanwhile."]


@pytest.mark.parametrize("held", [True, False])
def test_an_edit_in_an_ended_session_gives_the_words_back(cast: Cast, held: bool) -> None:
    reader = cast.newcomer if held else cast.reader
    comment = comment_id(reader.comment(cast.slug, "The harbour is older."))
    end_sessions(cast)
    answer = reader.post(f"/comments/{comment}/edit", {"body": "The harbour is newer."}, headers=HERE)
    assert answer.status_code == 403
    assert typed(answer) == "The harbour is newer."
    assert "You are signed out." in words(answer)
    assert sources(cast) == ["The harbour is older."]


def test_a_stranger_learns_of_no_comment_by_posting_to_it(cast: Cast) -> None:
    held = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    shown = comment_id(cast.reader.comment(cast.slug, "The harbour is newer."))
    for act in ("edit", "withdraw", "react", "report", "appeal"):
        answers = {cast.stranger.post(f"/comments/{one}/{act}").status_code for one in (held, shown, 10**9)}
        assert answers == {403}, act


@pytest.mark.parametrize("token", [None, "", "nonsense", "IjEi.Z.x", "é", "\0", "x" * 5_000])
def test_a_forged_or_missing_token_posts_nothing_and_a_page_of_ours_gets_the_words_back(
    cast: Cast, token: str | None
) -> None:
    form = {"body": "Not from the form.", "form_token": "forged"}
    form |= {} if token is None else {"csrf_token": token}
    ours = cast.reader.client.post("/essays/on-tides/comments", data=form, headers=HERE)
    assert ours.status_code == 400
    assert typed(ours) == "Not from the form."
    assert "This form has expired" in words(ours)
    for headers in (ELSEWHERE, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        theirs = cast.reader.client.post("/essays/on-tides/comments", data=form, headers=headers)
        assert theirs.status_code == 400
        assert "Not from the form." not in theirs.text
    assert rows_of(cast, Comment) == 0


def test_the_page_that_gives_words_back_posts_them_when_sent_again(cast: Cast) -> None:
    form = {"body": "Sent with\r\nan old token.", "form_token": "old", "csrf_token": "old"}
    page = cast.reader.client.post("/essays/on-tides/comments", data=form, headers=HERE)
    again = {name: field(page, name) for name in ("csrf_token", "form_token")} | {"body": typed(page)}
    answer = cast.reader.client.post("/essays/on-tides/comments", data=again)
    assert answer.status_code == 303
    assert sources(cast) == ["Sent with\nan old token."]


def test_one_form_sent_twice_is_one_comment(cast: Cast) -> None:
    first = cast.reader.comment(cast.slug, "Sent twice.", form_token="one-form")
    second = cast.reader.comment(cast.slug, "Sent twice.", form_token="one-form")
    assert second.headers["Location"] == first.headers["Location"]
    assert sources(cast) == ["Sent twice."]


def test_one_form_sent_twice_with_other_words_keeps_the_words(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "The first words.", form_token="one-form")
    answer = cast.reader.comment(cast.slug, "Other words.", form_token="one-form")
    assert answer.status_code == 409
    assert typed(answer) == "Other words."
    token = field(answer, "form_token")
    assert token not in ("", "one-form")
    assert cast.reader.comment(cast.slug, "Other words.", form_token=token).status_code == 303
    assert sources(cast) == ["The first words.", "Other words."]


def test_one_form_sent_twice_after_an_edit_is_still_one_comment(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Sent twice.", form_token="one-form"))
    cast.reader.post(f"/comments/{comment}/edit", {"body": "Edited meanwhile."})
    answer = cast.reader.comment(cast.slug, "Sent twice.", form_token="one-form")
    assert comment_id(answer) == comment
    assert rows_of(cast, Comment) == 1


def test_the_form_of_one_essay_sent_to_another_is_not_taken_for_posted(cast: Cast) -> None:
    cast.essay("on-ships", "On ships")
    cast.reader.comment(cast.slug, "Both words.", form_token="one-form")
    answer = cast.reader.comment("on-ships", "Both words.", form_token="one-form")
    assert answer.status_code == 409
    assert typed(answer) == "Both words."


def test_two_people_may_have_the_same_form_token(cast: Cast) -> None:
    for person in (cast.reader, cast.other_reader):
        assert person.comment(cast.slug, "My own words.", form_token="one-form").status_code == 303
    assert rows_of(cast, Comment) == 2


def test_json_bodies_are_400_and_store_nothing(cast: Cast) -> None:
    addresses = ("/essays/on-tides/comments", "/comments/1/edit", "/sign-in")
    for visitor, address, body in product((cast.reader, cast.stranger), addresses, JSON_BODIES):
        headers = {"X-CSRFToken": visitor.token()}
        answer = visitor.client.post(address, data=body, content_type="application/json", headers=headers)
        assert answer.status_code == 400, (address, body[:40])
        assert "This address takes forms" in words(answer)
    assert rows_of(cast, Comment) == rows_of(cast, KeptComment) == 0


def test_other_bodies_are_400(cast: Cast) -> None:
    for kind in ("text/plain", "", "application/octet-stream", "multipart/form-data", "x"):
        answer = cast.reader.client.post("/essays/on-tides/comments", data=b"body=words", content_type=kind)
        assert answer.status_code == 400, kind


def test_with_accept_json_every_refusal_is_a_sentence_in_json(cast: Cast) -> None:
    parent = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    cast.reader.post(f"/comments/{parent}/withdraw")
    refused = {
        422: {"body": ""},
        409: {"body": "An answer.", "parent_id": str(parent)},
    }
    for code, form in refused.items():
        answer = cast.other_reader.post("/essays/on-tides/comments", form, headers=JSON)
        assert answer.status_code == code
        assert answer.get_json()["error"]
    posted = cast.other_reader.post("/essays/on-tides/comments", {"body": "As it is."}, headers=JSON)
    assert posted.status_code == 200
    assert posted.get_json()["html"] == "<p>As it is.</p>"


def test_nonsense_ids_are_404(cast: Cast) -> None:
    for number in (HUGE, "-1", "abc", "%00", "1e3", "9" * 18, "9" * 19, "٣", "0"):
        for address in (f"/comments/{number}", f"/readers/{number}", f"/admin/users/{number}"):
            assert cast.admin.get(address).status_code == 404, address
        for act in ("edit", "withdraw", "react", "report", "appeal"):
            body = {"body": "Some words.", "reason": "spam", "words": "Why."}
            assert cast.admin.post(f"/comments/{number}/{act}", body).status_code == 404, (number, act)


def test_a_page_number_that_is_none_shows_the_first_page(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "On the first page.")
    addresses = ("/essays/on-tides", f"/readers/{cast.reader.user_id}")
    for address, number in product(addresses, ("0", "-1", "abc", "", "1.5", "%00", "%C2%B2")):
        answer = cast.stranger.get(f"{address}?page={number}")
        assert answer.status_code == 200
        assert "On the first page." in words(answer)


def test_a_page_past_the_end_is_404(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "On the first page.")
    for number in ("2", "9999999", "999999999999", HUGE):
        for headers in ({}, JSON):
            assert cast.stranger.get(f"/essays/on-tides?page={number}", headers=headers).status_code == 404
        for address in (f"/readers/{cast.reader.user_id}", "/account/comments"):
            assert cast.reader.get(f"{address}?page={number}").status_code == 404, address


def test_an_unknown_order_is_the_oldest_first(cast: Cast) -> None:
    first = comment_id(cast.reader.comment(cast.slug, "The first of two."))
    second = comment_id(cast.reader.comment(cast.slug, "The second of two."))
    for sort in ("", "worst", "%00", "oldest'", "9" * 1000):
        page = cast.stranger.get(f"/essays/on-tides?sort={sort}").text
        assert page.index(f"comment-{first}") < page.index(f"comment-{second}"), sort


def test_a_query_that_is_not_ascii_is_400(cast: Cast) -> None:
    answer = cast.stranger.get("/essays/on-tides", environ_overrides={"QUERY_STRING": "page=\xff"})
    assert answer.status_code == 400


def test_a_hundred_and_more_fields_are_413(cast: Cast) -> None:
    form = {f"field-{number}": "x" for number in range(200)} | {"body": "Among many."}
    answer = cast.reader.post("/essays/on-tides/comments", form, content_type="multipart/form-data")
    assert answer.status_code == 413
    assert rows_of(cast, Comment) == 0


def test_fields_that_the_form_does_not_have_change_nothing(cast: Cast) -> None:
    forged: dict[str, Any] = {"author_id": "1", "presence": "hidden", "likes": "99", "depth": "3", "id": "77"}
    forged |= {"verdict": "accepted", "shown_number": "1", "created_at": "2001-01-01", "visible": "1"}
    comment = comment_id(cast.newcomer.comment(cast.slug, "With more fields.", **forged))
    row = cast.read(Comment, comment)
    assert (row.author_id, row.likes, row.depth, row.visible) == (cast.newcomer.user_id, 0, 0, False)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    body=st.one_of(
        st.text(max_size=200),
        st.text(alphabet=st.characters(), max_size=60),
        st.text(alphabet="<>&\"'[]()*_`~#-+=!\\ \n\t\r\0\ud800\u202e\ufeff0aé🙂", max_size=300),
    )
)
def test_any_text_is_posted_safely_or_comes_back(cast: Cast, body: str) -> None:
    raw = b"body=" + quote(body.encode("utf-8", "surrogatepass")).encode()
    before = rows_of(cast, Comment)
    token = quote(cast.reader.token())
    answer = raw_post(cast.reader, raw.decode() + f"&csrf_token={token}", HERE)
    is_damaged = any("\ud800" <= letter <= "\udfff" for letter in body)
    if is_damaged:
        assert answer.status_code == 400
        return
    if answer.status_code in (422, 429):  # 429: the same words were drawn twice
        assert typed(answer) == normalise(body)
        return
    assert answer.status_code == 303
    assert rows_of(cast, Comment) == before + 1
    assert sources(cast)[-1] == normalise(body)
    page = cast.stranger.get(f"/comments/{comment_id(answer)}").text
    shown = re.search(r'class="comment__body" dir="auto">(.*?)</div>', page, re.S)
    assert shown
    tags = set(re.findall(r"</?([a-z0-9]+)", shown[1]))
    assert tags <= {
        "p",
        "br",
        "em",
        "strong",
        "a",
        "blockquote",
        "code",
        "pre",
        "ul",
        "ol",
        "li",
        "hr",
        "del",
    }
    assert not re.search(r"<[^>]*\son\w+\s*=|<[^>]*(?:java|vb)script:", shown[1], re.I)


def raw_post(visitor: Visitor, body: str, headers: dict[str, str]) -> TestResponse:
    """Send a form body exactly as given."""
    address = "/essays/on-tides/comments"
    return visitor.client.post(address, data=body.encode("latin-1"), content_type=FORM, headers=headers)


def typed(answer: TestResponse) -> str:
    """Return the words in the one text field of an answer."""
    main = answer.text.split("<main")[1]
    found = re.findall(r"<textarea[^>]*>(.*?)</textarea>", main, re.S)
    assert len(found) == 1, answer.status
    return html.unescape(found[0]).replace("\r\n", "\n").removeprefix("\n")


def field(answer: TestResponse, name: str) -> str:
    """Return the value of a hidden field in the main part of an answer."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text.split("<main")[1])
    assert found, name
    return html.unescape(found[1])


def end_sessions(cast: Cast) -> None:
    """Revoke every session, as its owner or an admin may."""
    with cast.app.app_context():
        db.session.execute(delete(Session))
        db.session.commit()
