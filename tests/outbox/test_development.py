"""The mails of a site in development can be read in the browser; those of a real one cannot."""

import pytest
from flask import Flask

from tests.cast import Cast, words
from tests.outbox.mails import put, put_letters


def test_mails_are_listed_newest_first_and_their_links_can_be_followed(cast: Cast, app: Flask) -> None:
    first, second = put(app, "first@mail.example"), put(app, "second@mail.example")
    page = words(cast.stranger.get("/dev/mail"))
    assert page.index("second@mail.example") < page.index("first@mail.example")
    mail = cast.stranger.get(f"/dev/mail/{second}")
    assert '<a href="http://localhost/sign-in/link/abc"' in mail.text
    assert "second@mail.example" in mail.text
    assert cast.stranger.get(f"/dev/mail/{second + first + 1}").status_code == 404


def test_letters_are_shown_with_the_words_that_they_share(cast: Cast, app: Flask) -> None:
    [letter] = put_letters(app, 1)
    assert "A letter" in words(cast.stranger.get("/dev/mail"))
    assert "Words." in words(cast.stranger.get(f"/dev/mail/{letter}"))


def test_an_empty_outbox_says_so(cast: Cast) -> None:
    assert "No mail has been written yet." in words(cast.stranger.get("/dev/mail"))


def test_in_production_the_mails_do_not_exist(
    cast: Cast, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = put(app)
    monkeypatch.setitem(app.config, "IS_PRODUCTION", True)
    for visitor in (cast.stranger, cast.admin):
        assert visitor.get("/dev/mail").status_code == 404
        assert visitor.get(f"/dev/mail/{message_id}").status_code == 404
