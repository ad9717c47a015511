"""What is remembered of cookies and form tokens that were right once, and what is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask, session
from flask_wtf.csrf import CSRFError, generate_csrf

from forum.accounts.session import Cookies
from forum.web import csrf

NOW = datetime(2026, 5, 11, 12, tzinfo=UTC)


def cookie_of(app: Flask, **said: Any) -> str:
    """Return a cookie as the site signs it."""
    serializer: Any = Cookies(app).get_signing_serializer(app)
    return str(serializer.dumps(said))


def opened(app: Flask, cookie: str) -> dict[str, Any]:
    """Return what a request finds in its cookie, and change all of it then."""
    with app.test_request_context(headers={"Cookie": f"{app.config['SESSION_COOKIE_NAME']}={cookie}"}):
        said = {name: list(value) if isinstance(value, list) else value for name, value in session.items()}
        for value in session.values():
            if isinstance(value, list):
                value.append("a change")
        session.clear()
        return said


@pytest.mark.kinds("sqlite")
def test_a_cookie_says_the_same_again_however_a_request_changed_it(app: Flask) -> None:
    cookie = cookie_of(app, name="value", flashes=["one"])
    assert opened(app, cookie) == opened(app, cookie) == {"name": "value", "flashes": ["one"]}


@pytest.mark.kinds("sqlite")
def test_a_cookie_that_was_opened_grows_too_old_all_the_same(app: Flask) -> None:
    with time_machine.travel(NOW, tick=False) as moment:
        cookie = cookie_of(app, name="value")
        moment.move_to(NOW - timedelta(seconds=1))
        assert opened(app, cookie) == {}
        moment.move_to(NOW + app.permanent_session_lifetime)
        assert opened(app, cookie) == {"name": "value"}
        moment.shift(timedelta(seconds=1))
        assert opened(app, cookie) == {}


@pytest.mark.kinds("sqlite")
def test_a_cookie_of_somebody_elses_making_says_nothing(app: Flask) -> None:
    cookie = cookie_of(app, name="value")
    assert opened(app, cookie) == {"name": "value"}
    assert opened(app, cookie[:-2] + "xx") == {}


@pytest.mark.kinds("sqlite")
def test_a_form_token_is_right_for_its_own_session_alone(app: Flask) -> None:
    def send(session_token: str, form_token: str) -> None:
        with app.test_request_context(method="POST", data={"csrf_token": form_token}):
            session["csrf_token"] = session_token
            csrf.protect()

    with app.test_request_context():
        session["csrf_token"] = "one"
        signed = generate_csrf()
    for _ in range(2):
        send("one", signed)
        with pytest.raises(CSRFError):
            send("another", signed)
        with pytest.raises(CSRFError):
            send("one", "one")


@pytest.mark.kinds("sqlite")
def test_a_known_form_token_from_a_page_of_another_site_is_refused(app: Flask) -> None:
    def send(referrer: str) -> None:
        given = {"csrf_token": signed}
        with app.test_request_context(
            method="POST", data=given, headers={"Referer": referrer}, base_url=SECURE
        ):
            session["csrf_token"] = "one"
            csrf.protect()

    with app.test_request_context():
        session["csrf_token"] = "one"
        signed = generate_csrf()
    for _ in range(2):
        send(f"{SECURE}/essays/on-tides")
        with pytest.raises(CSRFError):
            send("https://other.example/")


SECURE = "https://localhost"


@pytest.mark.kinds("sqlite")
def test_a_form_token_that_was_made_longer_is_not_remembered(app: Flask) -> None:
    with app.test_request_context(method="POST"):
        token = generate_csrf()
        secret = session["csrf_token"]
    for longer in (token, token + "~" * 4_000):
        with app.test_request_context(method="POST", data={"csrf_token": longer}):
            session["csrf_token"] = secret
            csrf.protect()  # it is right all the same
    assert [form for secrets, form in app.extensions["FormTokens"] if secrets == secret] == [token]
