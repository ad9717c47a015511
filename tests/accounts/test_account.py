"""Looking after an account: name, words, address, password, sessions, colours."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from forum.accounts.device import device_words
from forum.accounts.session import Session
from forum.accounts.user import User
from forum.database import db
from forum.outbox.message import Message, send
from tests.accounts.conftest import KNOWN, PASSWORD
from tests.accounts.mailbox import last_mail, link_in, mails_to
from tests.accounts.test_sign_in import is_signed_in, sign_in
from tests.cast import Cast, words

NEW = "new@mail.example"
PAGES = ("", "/name", "/about", "/appearance", "/address", "/password", "/sessions")


def test_a_stranger_sees_no_account_page_and_changes_nothing(cast: Cast) -> None:
    for page in PAGES:
        assert cast.stranger.get(f"/account{page}").location == f"/sign-in?next=/account{page}"
    for page in (*PAGES[1:-1], "/sessions/1/end", "/sessions/end-others"):
        assert cast.stranger.post(f"/account{page}", {"name": "Stolen"}).status_code == 403


def test_the_account_page_says_what_the_account_holds(cast: Cast, known: int) -> None:
    page = words(cast.sign_in(known).get("/account"))
    for part in ("Ada Known", KNOWN, "Change password", "1 browser", "As your device says"):
        assert part in page


def test_a_name_is_changed_and_shown(cast: Cast, known: int) -> None:
    visitor = cast.sign_in(known)
    answer = visitor.post("/account/name", {"name": "  Ada   Marsh "})
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Your name is changed." in words(visitor.get("/account"))
    assert cast.read(User, known).name == "Ada Marsh"


def test_a_taken_name_is_refused_beside_the_field_but_the_own_may_be_respelled(
    cast: Cast, known: int
) -> None:
    visitor = cast.sign_in(known)
    cast.user("Bo Marsh")
    answer = visitor.post("/account/name", {"name": "B0 marsh"})
    assert answer.status_code == 422
    assert 'value="B0 marsh"' in answer.text
    assert visitor.post("/account/name", {"name": "ADA KNOWN"}).status_code == 303


def test_words_about_oneself_are_plain_text_of_five_hundred_characters(cast: Cast, known: int) -> None:
    visitor = cast.sign_in(known)
    assert visitor.post("/account/about", {"about": "x" * 501}).status_code == 422
    assert visitor.post("/account/about", {"about": "<b>tides</b>\r\nand\x00 boats"}).status_code == 303
    assert cast.read(User, known).about == "<b>tides</b>\nand boats"
    assert "&lt;b&gt;tides" in visitor.get("/account").text


def test_the_address_changes_when_the_new_one_answers_and_the_old_one_is_told(
    cast: Cast, app: Flask, known: int
) -> None:
    visitor, phone = cast.sign_in(known), cast.stranger
    assert visitor.post("/account/address", {"email": NEW, "password": PASSWORD}).status_code == 303
    assert f"We sent a link to {NEW}." in words(visitor.get("/account"))
    assert cast.read(User, known).email == KNOWN
    link = link_in(last_mail(app, NEW))
    assert phone.get(link).status_code == 200
    assert cast.read(User, known).email == KNOWN
    assert phone.post(link).location == "/sign-in"
    assert cast.read(User, known).email == NEW
    assert NEW in last_mail(app, KNOWN).text
    assert not is_signed_in(phone)
    assert phone.post(link).status_code == 410
    assert sign_in(cast.stranger, KNOWN).status_code == 422
    assert sign_in(cast.stranger, NEW).status_code == 303


def test_letters_that_wait_go_to_the_new_address(cast: Cast, app: Flask, known: int) -> None:
    with app.app_context():
        values = {"device": "x", "link_url": "http://localhost/x", "code": "1", "minutes": 15}
        send("sign-in", KNOWN, user_id=known, letter="essays", **values)
        db.session.commit()
    visitor = cast.sign_in(known)
    visitor.post("/account/address", {"email": NEW, "password": PASSWORD})
    cast.stranger.post(link_in(last_mail(app, NEW)))
    with app.app_context():
        theirs = select(Message.to_address).where(Message.user_id == known)
        assert db.session.scalars(theirs).all() == [NEW]
    assert [mail.kind for mail in mails_to(app, KNOWN)] == ["address-changed"]


def test_a_way_in_that_was_mailed_to_the_old_address_dies_with_the_change(
    cast: Cast, app: Flask, known: int
) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN})
    way_in = link_in(last_mail(app, KNOWN))
    cast.sign_in(known).post("/account/address", {"email": NEW, "password": PASSWORD})
    cast.stranger.post(link_in(last_mail(app, NEW)))
    assert cast.stranger.post(way_in).status_code == 410


def test_other_pending_links_die_with_a_change_of_address_or_password(
    cast: Cast, app: Flask, known: int
) -> None:
    visitor = cast.sign_in(known)
    for email in (NEW, "second@mail.example", "third@mail.example"):
        visitor.post("/account/address", {"email": email, "password": PASSWORD})
    cast.stranger.post(link_in(last_mail(app, NEW)))
    assert cast.stranger.post(link_in(last_mail(app, "second@mail.example"))).status_code == 410

    visitor.post("/sign-out")
    visitor.post("/sign-in", {"email": NEW})
    way_in = link_in(last_mail(app, NEW))
    form = {"password": PASSWORD, "new_password": "another long one"}
    assert cast.sign_in(known).post("/account/password", form).status_code == 303
    assert cast.stranger.post(way_in).status_code == 410
    assert cast.read(User, known).email == NEW


def test_changing_the_address_needs_the_password(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.sign_in(known)
    for password in ("", "wrong password"):
        answer = visitor.post("/account/address", {"email": NEW, "password": password})
        assert answer.status_code == 422
        assert 'id="password-error"' in answer.text
        assert f'value="{NEW}"' in answer.text
    assert mails_to(app, NEW) == []
    assert visitor.post("/account/address", {"email": KNOWN, "password": PASSWORD}).status_code == 422


def test_an_address_that_another_got_meanwhile_cannot_be_taken(cast: Cast, app: Flask, known: int) -> None:
    cast.sign_in(known).post("/account/address", {"email": NEW, "password": PASSWORD})
    link = link_in(last_mail(app, NEW))
    cast.user("Quicker", email=NEW)
    assert cast.stranger.post(link).status_code == 410
    assert cast.read(User, known).email == KNOWN


def test_a_new_password_ends_all_other_sessions_and_renews_this_one(
    cast: Cast, app: Flask, known: int
) -> None:
    here, there = cast.stranger, cast.stranger
    sign_in(here)
    sign_in(there)
    with here.client.session_transaction() as cookie:
        before = cookie["_user_id"]
    answer = here.post("/account/password", {"password": PASSWORD, "new_password": "another long one"})
    assert answer.status_code == 303
    assert is_signed_in(here)
    assert not is_signed_in(there)
    with here.client.session_transaction() as cookie:
        assert cookie["_user_id"] != before
    assert last_mail(app, KNOWN).kind == "password-changed"
    assert sign_in(cast.stranger).status_code == 422
    assert sign_in(cast.stranger, password="another long one").status_code == 303


def test_a_new_password_needs_the_old_one_and_ten_characters(cast: Cast, known: int) -> None:
    visitor = cast.sign_in(known)
    good = "another long one"
    for old, new in (("", good), ("wrong password", good), (PASSWORD, "short"), (PASSWORD, "")):
        answer = visitor.post("/account/password", {"password": old, "new_password": new})
        assert answer.status_code == 422
        assert good not in answer.text
    assert sign_in(cast.stranger).status_code == 303


def test_who_forgot_the_password_comes_by_mail_and_chooses_another(
    cast: Cast, app: Flask, known: int
) -> None:
    with time_machine.travel(datetime(2026, 5, 11, 12, tzinfo=UTC), tick=False) as clock:
        visitor = cast.stranger
        visitor.post("/sign-in", {"email": KNOWN})
        visitor.post(link_in(last_mail(app, KNOWN)))
        clock.shift(timedelta(minutes=14))
        assert 'name="password"' not in visitor.get("/account/password").text
        assert 'name="password"' not in visitor.get("/account/address").text
        form = {"new_password": "another long one"}
        assert visitor.post("/account/password", form).status_code == 303
        assert sign_in(cast.stranger, password="another long one").status_code == 303

        visitor.post("/sign-out")
        visitor.post("/sign-in", {"email": KNOWN})
        visitor.post(link_in(last_mail(app, KNOWN)))
        clock.shift(timedelta(minutes=15))
        assert 'name="password"' in visitor.get("/account/password").text
        assert visitor.post("/account/password", {"new_password": "a third long one"}).status_code == 422


def test_guessing_at_the_own_password_is_limited(cast: Cast, known: int, limits: None) -> None:
    visitor = cast.sign_in(known)
    form = {"password": "wrong password", "new_password": "another long one"}
    assert [visitor.post("/account/password", form).status_code for _ in range(9)] == [422] * 8 + [429]
    assert visitor.post("/account/address", {"email": NEW, "password": PASSWORD}).status_code == 429


def test_who_has_no_password_chooses_the_first_one(cast: Cast) -> None:
    visitor = cast.sign_in(cast.user("Bo", email=KNOWN))
    assert 'name="password"' not in visitor.get("/account/password").text
    assert visitor.post("/account/password", {"new_password": PASSWORD}).status_code == 303
    assert sign_in(cast.stranger).status_code == 303


def test_sessions_are_listed_in_words_and_ended_one_by_one_or_all_others(
    cast: Cast, app: Flask, known: int
) -> None:
    agents = ["(X11; Linux x86_64; rv:140.0) Firefox/140.0", "(iPhone) Version/18.0 Safari/604.1", "curl/8"]
    browsers = [cast.stranger for _ in agents]
    for browser, agent in zip(browsers, agents, strict=True):
        browser.post("/sign-in", {"email": KNOWN, "password": PASSWORD}, headers={"User-Agent": agent})
    page = browsers[0].get("/account/sessions")
    for device in ("Firefox on Linux This one", "Safari on an iPhone", "an unknown browser"):
        assert device in words(page)
    ends = re.findall(r'action="(/account/sessions/\d+/end)"', page.text)
    assert len(ends) == 3
    with app.app_context():
        phone = db.session.scalars(select(Session.id).where(Session.device == "Safari on an iPhone")).one()
    assert browsers[0].post(f"/account/sessions/{phone}/end").location == "/account/sessions"
    assert [is_signed_in(browser) for browser in browsers] == [True, False, True]
    assert browsers[0].post("/account/sessions/end-others").status_code == 303
    assert [is_signed_in(browser) for browser in browsers] == [True, False, False]


def test_ending_the_session_of_this_browser_is_signing_out(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    sign_in(visitor)
    end = re.findall(r'action="(/account/sessions/\d+/end)"', visitor.get("/account/sessions").text)[0]
    assert visitor.post(end).location == "/"
    assert not is_signed_in(visitor)


def test_anothers_session_does_not_exist_for_me(cast: Cast, app: Flask, known: int) -> None:
    other = cast.sign_in(known)
    with app.app_context():
        theirs = db.session.scalars(select(Session.id).where(Session.user_id == known)).one()
    assert cast.reader.post(f"/account/sessions/{theirs}/end").status_code == 404
    assert cast.reader.post("/account/sessions/end-others").status_code == 303
    assert is_signed_in(other)


def test_colours_and_keys_follow_the_account_onto_every_page(cast: Cast, known: int) -> None:
    visitor = cast.sign_in(known)
    assert "data-theme" not in visitor.get("/account").text
    for theme, keys, expected in (("dark", "", "off"), ("light", "y", "on")):
        assert visitor.post("/account/appearance", {"theme": theme, "keys": keys}).status_code == 303
        page = visitor.get("/account").text
        assert f'data-theme="{theme}"' in page
        assert f'data-keys="{expected}"' in page
    assert visitor.post("/account/appearance", {"theme": "purple"}).status_code == 422


def test_the_forms_do_not_set_what_they_do_not_show(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.sign_in(known)
    more = {
        "role": "admin",
        "email": NEW,
        "user_id": "1",
        "accepted_comments": "99",
        "banned_at": "",
        "id": "1",
    }
    for page, form in (
        ("name", {"name": "Ada Known"}),
        ("about", {"about": "x"}),
        ("appearance", {"theme": ""}),
    ):
        assert visitor.post(f"/account/{page}", form | more).status_code == 303
    user = cast.read(User, known)
    assert (user.role, user.email, user.accepted_comments) == ("reader", KNOWN, 0)
    with app.app_context():
        assert db.session.scalar(select(func.count(User.id)).where(User.role == "admin")) == 0


WINDOWS, LINUX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"
MAC, IPHONE = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)",
)
PHONE, BOOK = "Mozilla/5.0 (Linux; Android 15; SM-S931B)", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)"
BLINK, WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)", "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (f"{LINUX} Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"{WINDOWS} {BLINK} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        (f"{WINDOWS} {BLINK} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera on Windows"),
        (f"{MAC} {WEBKIT} Version/18.0 Safari/605.1.15", "Safari on a Mac"),
        (f"{IPHONE} {WEBKIT} CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on an iPhone"),
        (
            f"{PHONE} {BLINK} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        (f"{BOOK} {BLINK} Chrome/140.0.0.0 Safari/537.36", "Chrome on ChromeOS"),
        ("Something (Windows NT 10.0)", "a browser on Windows"),
        ("<b>you won</b>", "an unknown browser"),
        ("", "an unknown browser"),
    ],
)
def test_a_device_is_named_in_words_its_owner_knows(agent: str, expected: str) -> None:
    assert device_words(agent) == expected
