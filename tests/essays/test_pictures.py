"""Pictures: what may be uploaded, what is said about them, how they are sent."""

from hashlib import sha256
from io import BytesIO

import pytest
from werkzeug.test import TestResponse

from tests.cast import Cast, words
from tests.essays.written import editor_form

PNG = b"\x89PNG\r\n\x1a\n and the rest"
JPEG = b"\xff\xd8\xff\xe0 and the rest"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 and the rest"
GIF = b"GIF89a and the rest"


def upload(cast: Cast, content: bytes | None, alt: str = "A buoy", name: str = "a.png") -> TestResponse:
    """Send a picture as the form does."""
    form: dict[str, object] = {"alt": alt}
    if content is not None:
        form["picture"] = (BytesIO(content), name)
    return cast.author.post(f"/desk/essays/{cast.essay_id}/images", form, content_type="multipart/form-data")


@pytest.mark.parametrize(
    ("content", "ending", "mimetype"),
    [
        (PNG, "png", "image/png"),
        (JPEG, "jpg", "image/jpeg"),
        (WEBP, "webp", "image/webp"),
        (GIF, "gif", "image/gif"),
    ],
)
def test_a_picture_is_kept_by_what_it_is_and_sent_for_good(
    cast: Cast, content: bytes, ending: str, mimetype: str
) -> None:
    name = f"{sha256(content).hexdigest()}.{ending}"
    answer = upload(cast, content, name="evil.html")
    assert answer.status_code == 303
    assert f"![A buoy](/media/{name})" in words(cast.author.get(answer.location))
    sent = cast.stranger.get(f"/media/{name}")
    assert (sent.status_code, sent.data, sent.content_type) == (200, content, mimetype)
    assert sent.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert sent.headers["X-Content-Type-Options"] == "nosniff"
    assert sent.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_the_line_that_is_shown_puts_the_picture_into_the_essay(cast: Cast) -> None:
    alt = "A [red] buoy \\ off *Hven*"
    line = words(cast.author.get(upload(cast, PNG, alt).location))
    line = line[line.index("![") : line.index(".png)") + 5]
    form = editor_form(cast, cast.essay_id, body=line) | {"update": "1"}
    assert cast.author.post(f"/desk/essays/{cast.essay_id}", form).status_code == 303
    page = cast.stranger.get("/essays/on-tides").text
    assert f'src="/media/{sha256(PNG).hexdigest()}.png"' in page
    assert 'alt="A [red] buoy' in page


@pytest.mark.parametrize(
    ("content", "alt", "sentence"),
    [
        (PNG, "", "Say in a few words what the picture shows"),
        (PNG, "   ", "Say in a few words what the picture shows"),
        (PNG, "a" * 301, "at most 300 characters"),
        (None, "A buoy", "Choose a picture."),
        (b"", "A buoy", "Choose a picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "A", "of the kind PNG"),
        (b"<html><script>alert(1)</script>", "A buoy", "of the kind PNG"),
        (b" \x89PNG\r\n\x1a\n", "A buoy", "of the kind PNG"),
        (PNG + b"0" * (5 * 1024 * 1024), "A buoy", "larger than 5 MB"),
    ],
)
def test_what_is_no_picture_or_says_nothing_is_refused(
    cast: Cast, content: bytes | None, alt: str, sentence: str
) -> None:
    answer = upload(cast, content, alt)
    assert answer.status_code == 422
    assert sentence in words(answer)


NOBODY = "0" * 64


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "../forum.sqlite3",
        "%2e%2e/secret_key",
        f"{NOBODY}.png",
        f"{NOBODY}.svg",
        f"{NOBODY}.png%0a",
    ],
)
def test_nothing_else_is_sent_from_the_folder_of_pictures(cast: Cast, name: str) -> None:
    assert cast.stranger.get(f"/media/{name}").status_code == 404


def test_the_line_is_only_shown_for_a_picture_of_ours(cast: Cast) -> None:
    page = cast.author.get(f"/desk/essays/{cast.essay_id}/images?name=https://else.example/a.png&alt=A")
    assert "else.example" not in page.text
