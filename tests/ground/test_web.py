"""HTTP manners: safe paths, pages, who asks for JSON, error pages, sizes, the way back after signing in."""

import pytest
from flask import Flask

from forum.web import MAX_BODY, MAX_FORM_MEMORY, pages_of, safe_path, wants_json
from tests.cast import Cast, words

ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/%09/evil.example\n",
    "\\\\evil.example",
    "https://evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "",
    " /account",
    "/account\r\nSet-Cookie: a=b",
    "/account\0",
    "///evil.example",
    "/é",
    "/" + "x" * 500,
    "/account\n",
)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_path_that_could_lead_elsewhere_is_not_followed(path: str) -> None:
    assert safe_path(path, otherwise="/home") == "/home"


@pytest.mark.parametrize("path", ["/", "/essays/on-tides?page=2&sort=best#comment-7", "/readers/7", "/a%20b"])
def test_a_path_of_this_site_is_followed(path: str) -> None:
    assert safe_path(path) == path


def test_after_a_thank_you_nobody_is_sent_elsewhere(cast: Cast) -> None:
    cast.author.comment(cast.slug, "A kind remark.")
    comment = cast.stranger.get("/essays/on-tides").text.split('id="comment-')[1].split('"')[0]
    for path in ELSEWHERE:
        answer = cast.reader.post(f"/comments/{comment}/react", {"next": path})
        assert answer.headers["Location"] == f"/essays/on-tides#comment-{comment}", path


def test_a_page_for_members_asks_a_stranger_to_sign_in_and_leads_back(cast: Cast) -> None:
    answer = cast.stranger.get("/account/comments?page=1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?next=/account/comments%3Fpage%3D1"


def test_a_page_for_others_is_403_and_says_what_to_do(cast: Cast) -> None:
    answer = cast.reader.get("/admin/users")
    assert answer.status_code == 403
    assert words(answer)


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("application/json", True),
        ("application/json, text/html;q=0.5", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("*/*", False),
        ("", False),
        ("nonsense", False),
        ("application/json;q=0, text/html", False),
    ],
)
def test_json_is_for_who_asks_for_it_before_html(app: Flask, accept: str, json: bool) -> None:
    with app.test_request_context(headers={"Accept": accept} if accept else {}):
        assert wants_json() is json


def test_errors_are_json_for_who_asked_for_it(cast: Cast) -> None:
    headers = {"Accept": "application/json"}
    for address, code in (("/no/such/page", 404), ("/admin/users", 403), ("/comments/1/edit", 405)):
        answer = cast.reader.get(address, headers=headers)
        assert answer.status_code == code
        assert answer.get_json()["error"]
    refused = cast.stranger.get("/account", headers=headers)
    assert (refused.status_code, refused.get_json()["error"][:19]) == (403, "You are signed out.")


def test_a_method_that_is_not_allowed_says_which_are(cast: Cast) -> None:
    answer = cast.reader.get("/comments/1/edit")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_the_pager_keeps_the_rest_of_the_address(app: Flask) -> None:
    with app.test_request_context("/search?q=a+b&page=3&sort=best"):
        address = pages_of("/search")
        assert address(2) == "/search?q=a+b&sort=best&page=2"
        assert address(1) == "/search?q=a+b&sort=best"


@pytest.mark.parametrize(
    ("mimetype", "most"),
    [("application/x-www-form-urlencoded", MAX_BODY), ("multipart/form-data", MAX_FORM_MEMORY)],
)
def test_a_form_may_be_as_large_as_any_comment_and_no_larger_than_its_limit(
    cast: Cast, mimetype: str, most: int
) -> None:
    for size, code in ((most - 2_000, 422), (most + 10, 413)):
        form = {"body": "x" * size}
        answer = cast.reader.post("/essays/on-tides/comments", form, content_type=mimetype)
        assert answer.status_code == code, size


@pytest.mark.parametrize(
    "cookie", ["forum=nonsense", "forum=", "forum=" + "x" * 4_000, "=;;==", "forum=é", "forum=.eJw.x.y"]
)
def test_a_damaged_cookie_is_a_strangers(cast: Cast, cookie: str) -> None:
    client = cast.app.test_client(use_cookies=False)
    answer = client.get("/essays/on-tides", environ_overrides={"HTTP_COOKIE": cookie})
    assert answer.status_code == 200
    assert "Sign in" in words(answer)


def test_a_signed_out_cookie_opens_nothing(cast: Cast) -> None:
    cookie = cast.reader.client.get_cookie("forum")
    assert cookie is not None
    cast.reader.post("/sign-out")
    thief = cast.app.test_client(use_cookies=False)
    answer = thief.get("/account/comments", headers={"Cookie": f"forum={cookie.value}"})
    assert answer.status_code == 303


def test_strange_headers_are_no_error(cast: Cast) -> None:
    for headers in (
        {"Accept": "\xff"},
        {"Accept-Language": "x" * 5_000},
        {"User-Agent": "\xff\xfe"},
        {"Origin": "null"},
        {"If-None-Match": '"'},
        {"Range": "bytes=9-1"},
        {"Content-Type": "text/html; charset=nonsense"},
    ):
        assert cast.reader.get("/essays/on-tides", headers=headers).status_code == 200, headers
