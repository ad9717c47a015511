"""Headers: on every answer, whatever its status, and for every kind of viewer; cookies under https."""

from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade

from forum.app import create_app
from forum.config import read_settings
from forum.web import CONTENT_SECURITY_POLICY
from tests.cast import Cast, Visitor, comment_id
from tests.conftest import empty

ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def test_the_policy_allows_no_inline_script_and_no_framing() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY
    assert "base-uri 'none'" in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


def test_every_answer_of_every_status_has_the_safe_headers(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    reader, client = cast.reader, cast.reader.client
    answers = [
        cast.stranger.get("/essays/on-tides"),
        reader.get("/essays/on-tides"),
        reader.comment(cast.slug, "Another."),
        cast.stranger.get("/account"),
        client.post(f"/comments/{comment}/withdraw"),
        cast.other_reader.post(f"/comments/{comment}/edit", {"body": "Not mine."}),
        reader.get("/no/such/page"),
        reader.get("/essays/none"),
        client.put("/essays/on-tides", data={"a": "b"}),
        client.get(f"/comments/{comment}/edit"),
        reader.comment(cast.slug, "x" * 300_000),
        reader.comment(cast.slug, ""),
        client.get("/essays/on-tides", headers={"Host": "evil.example"}),
        client.options("/essays/on-tides"),
        client.head("/essays/on-tides"),
        reader.get("/essays/on-tides", headers={"Accept": "application/json"}),
    ]
    statuses = {answer.status_code for answer in answers}
    assert {200, 303, 400, 403, 404, 405, 413, 422} <= statuses
    for answer in answers:
        for name, value in ALWAYS.items():
            assert answer.headers.getlist(name) == [value], (answer.request.path, answer.status, name)


def test_an_unexpected_error_is_a_plain_500_with_the_safe_headers(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("the innards of the server")

    monkeypatch.setitem(cast.app.view_functions, "essay.essay_page", break_down)
    for headers in ({}, {"Accept": "application/json"}):
        answer = cast.reader.get("/essays/on-tides", headers=headers)
        assert answer.status_code == 500
        assert "innards" not in answer.text
        assert "Traceback" not in answer.text
        for name, value in ALWAYS.items():
            assert answer.headers[name] == value


def test_an_unexpected_error_gives_the_words_back(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("the innards of the server")

    monkeypatch.setitem(cast.app.view_functions, "discussion.post", break_down)
    form = {"body": "My <b>precious</b> words.", "form_token": "one-form"}
    answer = cast.reader.post("/essays/on-tides/comments", form, headers={"Origin": "http://localhost"})
    assert answer.status_code == 500
    assert "My &lt;b&gt;precious&lt;/b&gt; words.</textarea>" in answer.text


def test_pages_of_signed_in_people_are_not_stored(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    for address in ("/essays/on-tides", f"/comments/{comment}", "/account/comments", "/no/such/page"):
        answer = cast.reader.get(address)
        assert answer.headers["Cache-Control"] == "no-store", address
    for code in ({}, {"Accept": "application/json"}):
        answer = cast.reader.get(f"/comments/{comment}", headers=code)
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "", "a b"]
)
def test_a_foreign_host_header_is_400_and_never_repeated(cast: Cast, host: str) -> None:
    for method, data in (("GET", None), ("POST", {"email": "a@mail.example"})):
        answer = cast.stranger.client.open("/sign-in", method=method, data=data, headers={"Host": host})
        assert answer.status_code == 400, method
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)


def test_in_development_the_cookie_is_httponly_and_lax(cast: Cast) -> None:
    cookie = set_cookie(cast.stranger)
    assert cookie.startswith("forum=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie


@pytest.fixture(scope="module")
def https_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Return an app as it runs behind https, over a database of its own."""
    folder: Path = tmp_path_factory.mktemp("https")
    settings = {
        "FORUM_INSTANCE": str(folder),
        "FORUM_SITE_URL": "https://essays.example",
        "FORUM_SECRET_KEY": "only for tests " * 4,
        "FORUM_SMTP_URL": "smtp://127.0.0.1:9",
    }
    app = create_app(read_settings(settings))
    with app.app_context():
        upgrade()
    empty(app)
    return app


def test_under_https_the_cookie_is_host_bound_secure_and_httponly(https_app: Flask) -> None:
    client = https_app.test_client()
    answer = client.get("/sign-in", base_url="https://essays.example")
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-forum=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_under_https_loopback_is_no_trusted_host(https_app: Flask) -> None:
    client = https_app.test_client()
    assert client.get("/", base_url="https://localhost").status_code == 400
    assert client.get("/dev/mail", base_url="https://essays.example").status_code == 404


def test_a_stylesheet_has_the_safe_headers_and_may_be_stored(cast: Cast) -> None:
    page = cast.stranger.get("/essays/on-tides").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = cast.stranger.get(address)
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in answer.headers["Cache-Control"]


def set_cookie(visitor: Visitor) -> str:
    """Return the cookie that a page with a form sets."""
    return visitor.get("/sign-in").headers["Set-Cookie"]
