"""Static files: kept for good under the name of their contents, sent packed, answered with 304 when they are known."""

from gzip import decompress

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient

pytestmark = pytest.mark.kinds("sqlite")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a browser."""
    return app.test_client()


def address_of(client: FlaskClient, name: str) -> str:
    """Return the address by which pages ask for a file."""
    app: Flask = client.application
    address: str = app.jinja_env.globals["asset"](name)
    return address


def test_a_static_file_comes_in_the_smallest_form_that_the_browser_takes(client: FlaskClient) -> None:
    address = address_of(client, "css/all.css")
    plain = client.get(address)
    packed = client.get(address, headers={"Accept-Encoding": "gzip, deflate"})
    smallest = client.get(address, headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert plain.headers["Content-Type"] == "text/css; charset=utf-8"
    assert [one.headers.get("Content-Encoding") for one in (plain, packed, smallest)] == [None, "gzip", "br"]
    assert plain.data == decompress(packed.data) == brotli.decompress(smallest.data)
    assert len(plain.data) > len(packed.data) > len(smallest.data)
    assert {one.headers["Vary"] for one in (plain, packed, smallest)} == {"Accept-Encoding"}
    assert len({one.headers["ETag"] for one in (plain, packed, smallest)}) == 3
    assert (
        client.get(address, headers={"Accept-Encoding": "br;q=0, gzip"}).headers["Content-Encoding"] == "gzip"
    )


def test_a_browser_that_has_the_file_is_told_so_and_one_that_asks_only_for_its_head_gets_that(
    client: FlaskClient,
) -> None:
    address = address_of(client, "js/main.js")
    whole = client.get(address)
    known = client.get(address, headers={"If-None-Match": whole.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")
    assert known.headers["Cache-Control"] == whole.headers["Cache-Control"]
    head = client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.data))


def test_only_what_is_asked_for_by_the_name_of_its_contents_is_kept_for_good(client: FlaskClient) -> None:
    address = address_of(client, "css/all.css")
    assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    other = "/static/000000000000/css/all.css"  # from a page that another version of the site made
    assert client.get(other).headers["Cache-Control"] == "no-cache"
    for name in ("/css/none.css", "/../wsgi.py", "/%2e%2e/wsgi.py", "//etc/passwd", "/"):
        assert client.get(address.removesuffix("/css/all.css") + name).status_code == 404
