"""Answers packed with brotli or gzip: which, for whom, and that what comes out is what went in."""

import gzip

import brotli
import pytest
from werkzeug.test import TestResponse

from tests.cast import Cast, Visitor, comment_id
from tests.essays.written import write

UNPACK = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
JSON = {"Accept": "application/json"}


@pytest.mark.kinds("sqlite")
def test_what_strangers_ask_for_is_packed_and_the_same_inside(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Said here. " * 60))
    write(cast, "Tagged", tags=["tides"])
    # The page of a comment has another form token each time, its JSON has none.
    pages = ("/", "/archive", "/tags/tides", f"/readers/{cast.reader.user_id}", "/no/such")
    for path in (*pages, "/feed.xml", "/essays/on-tides/feed.xml"):
        assert_packed(cast, path, {})
    assert_packed(cast, f"/comments/{comment}", JSON)


def assert_packed(cast: Cast, path: str, headers: dict[str, str]) -> None:
    plain = ask(cast.stranger, path, "gzip;q=0, br;q=0", headers)
    assert plain.headers.get("Content-Encoding") is None
    assert len(plain.data) >= 500, path
    for accepted, coding in (("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("*", "br")):
        packed = ask(cast.stranger, path, accepted, headers)
        assert packed.headers.getlist("Content-Encoding") == [coding], path
        assert UNPACK[coding](packed.data) == plain.data
        assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data)
        head = cast.stranger.client.head(path, headers=headers | {"Accept-Encoding": accepted})
        assert head.data == b""
        for one in (packed, head, plain):
            assert "Accept-Encoding" in one.headers["Vary"]
            assert one.headers.get("ETag") == plain.headers.get("ETag")
        assert head.headers["Content-Length"] == packed.headers["Content-Length"]


def ask(visitor: Visitor, path: str, accepted: str, headers: dict[str, str] | None = None) -> TestResponse:
    return visitor.get(path, headers={"Accept-Encoding": accepted, **(headers or {})})


@pytest.mark.kinds("sqlite")
def test_one_tag_holds_for_every_packing(cast: Cast) -> None:
    tag = ask(cast.stranger, "/feed.xml", "br").headers["ETag"]
    assert tag.startswith('W/"')
    for accepted in ("br", "gzip", "identity"):
        again = ask(cast.stranger, "/feed.xml", accepted, {"If-None-Match": tag})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert "Content-Encoding" not in again.headers
        assert "Accept-Encoding" in again.headers["Vary"]


@pytest.mark.kinds("sqlite")
def test_nothing_beside_a_form_token_is_packed(cast: Cast) -> None:
    for path in ("/", "/archive", "/account", "/feed.xml", "/no/such"):
        assert "Content-Encoding" not in ask(cast.reader, path, "gzip, br").headers, path
    stranger = cast.stranger
    form = ask(stranger, "/sign-in?next=/archive", "gzip, br")
    assert "csrf_token" in form.text
    assert "Content-Encoding" not in form.headers
    assert "Content-Encoding" not in ask(stranger, "/archive", "gzip, br").headers


@pytest.mark.kinds("sqlite")
def test_what_is_small_or_packed_already_is_left_as_it_is(cast: Cast) -> None:
    assert "Content-Encoding" not in ask(cast.stranger, "/healthz", "br").headers
    style = ask(cast.stranger, "/static/x/css/all.css", "br")
    essay = ask(cast.stranger, "/essays/on-tides", "gzip")
    for answer, coding in ((style, "br"), (essay, "gzip")):
        assert answer.headers.getlist("Content-Encoding") == [coding]
    assert b"{" in brotli.decompress(style.data)
    assert b"On tides" in gzip.decompress(essay.data)
