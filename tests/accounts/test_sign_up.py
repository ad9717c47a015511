"""Making an account: it exists once the address has answered, under a name that nobody else has."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from forum.accounts.password import is_password
from forum.accounts.sign_in import user_with_address
from forum.accounts.user import Role, User
from forum.database import db
from tests.accounts.conftest import KNOWN, PASSWORD
from tests.accounts.mailbox import code_in, last_mail, link_in, mails_to
from tests.accounts.test_sign_in import NOON, is_signed_in, sign_in
from tests.cast import Cast, words

NEW = "new@mail.example"


def find(app: Flask, email: str = NEW) -> User | None:
    with app.app_context():
        return user_with_address(email)


def test_nobody_has_an_account_before_the_address_has_answered(cast: Cast, app: Flask) -> None:
    visitor = cast.stranger
    answer = visitor.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": PASSWORD})
    assert (answer.status_code, answer.location) == (303, "/sign-in/check")
    assert find(app) is None
    assert sign_in(cast.stranger, NEW).status_code == 422


def test_the_code_makes_the_account_with_its_name_and_password(cast: Cast, app: Flask) -> None:
    visitor = cast.stranger
    visitor.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": PASSWORD})
    assert visitor.post("/sign-in/check", {"code": code_in(last_mail(app, NEW))}).status_code == 303
    assert is_signed_in(visitor)
    user = find(app)
    assert user is not None
    assert (user.name, user.role, user.is_confirmed) == ("Newly Here", Role.READER, True)
    assert sign_in(cast.stranger, NEW).status_code == 303


def test_in_the_same_browser_the_link_makes_the_same_account(cast: Cast, app: Flask) -> None:
    visitor = cast.stranger
    visitor.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": PASSWORD})
    link = link_in(last_mail(app, NEW))
    assert 'name="new_password"' not in visitor.get(link).text
    assert visitor.post(link).status_code == 303
    assert sign_in(cast.stranger, NEW).status_code == 303


def test_in_another_browser_the_password_of_who_asked_does_not_count(cast: Cast, app: Flask) -> None:
    for typed in ("", "chosen by the owner"):
        email = f"owner{len(typed)}@mail.example"
        cast.stranger.post("/sign-up", {"name": f"Owner {len(typed)}", "email": email, "password": PASSWORD})
        owner = cast.stranger
        link = link_in(last_mail(app, email))
        assert 'name="new_password"' in owner.get(link).text
        assert owner.post(link, {"new_password": typed}).status_code == 303
        user = find(app, email)
        assert user is not None
        assert not is_password(user.password_hash, PASSWORD)
        assert is_password(user.password_hash, typed) == bool(typed)


@pytest.mark.parametrize("way", ["link", "code"])
def test_nor_does_it_once_the_owner_had_the_expired_link_sent_anew(cast: Cast, app: Flask, way: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        cast.stranger.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": PASSWORD})
        old = link_in(last_mail(app, NEW))
        clock.shift(timedelta(hours=2))
        owner = cast.stranger
        owner.post(f"{old}/again")
        clock.shift(timedelta(minutes=1))
        owner.post("/sign-in/again")
        mail = last_mail(app, NEW)
        if way == "link":
            assert 'name="new_password"' in owner.get(link_in(mail)).text
            owner.post(link_in(mail))
        else:
            owner.post("/sign-in/check", {"code": code_in(mail)})
        assert is_signed_in(owner)
        user = find(app)
        assert user is not None
        assert user.password_hash is None


def test_a_name_that_looks_like_anothers_is_refused_beside_the_field(cast: Cast, known: int) -> None:
    for name in ("Ada Known", "ada known", "Ada  Known", "AdaKnown", "Ada Кnоwn"):
        answer = cast.stranger.post("/sign-up", {"name": name, "email": NEW})
        assert answer.status_code == 422, name
        assert 'id="name-error"' in answer.text
        assert f'value="{NEW}"' in answer.text


def test_a_name_that_cannot_be_shown_is_refused_with_the_reason(cast: Cast) -> None:
    for name in ("", "x", "x" * 61, "a\u200bb c", "!!!", "e\u0301\u0301\u0301\u0301lan"):
        answer = cast.stranger.post("/sign-up", {"name": name, "email": NEW})
        assert answer.status_code == 422, name
        assert 'id="name-error"' in answer.text


def test_a_name_taken_meanwhile_gives_way_to_the_free_one_next_to_it(cast: Cast, app: Flask) -> None:
    visitor, elsewhere = cast.stranger, cast.stranger
    visitor.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": PASSWORD, "next": "/archive"})
    mail = last_mail(app, NEW)
    cast.user("newly  here", email="quicker@mail.example")
    for page in (elsewhere.get(link_in(mail)), visitor.get("/sign-in/check")):
        assert 'value="Newly Here 2"' in page.text

    at_link = elsewhere.post(link_in(mail), {"name": "Newly Here"})
    assert at_link.status_code == 422
    assert "Choose another" in words(at_link)
    assert 'value="Newly Here"' in at_link.text

    at_code = visitor.post("/sign-in/check", {"code": code_in(mail), "name": "Newly Here"})
    assert at_code.status_code == 422
    assert 'value="Newly Here"' in at_code.text
    assert f'value="{code_in(mail)}"' in at_code.text
    answer = visitor.post("/sign-in/check", {"code": code_in(mail)})
    assert (answer.status_code, answer.location) == (303, "/archive")
    assert sign_in(cast.stranger, NEW).status_code == 303
    user = find(app)
    assert user is not None
    assert user.name == "Newly Here 2"


def test_a_password_has_ten_to_two_hundred_characters_and_no_other_rule(cast: Cast) -> None:
    fitting = ("1234567890", "x" * 200, " " * 10)
    for password in (*fitting, "123456789", "x" * 201):
        answer = cast.stranger.post("/sign-up", {"name": "Newly Here", "email": NEW, "password": password})
        assert (answer.status_code == 303) is (password in fitting), password
        assert password not in answer.text


def test_an_address_with_an_account_gets_a_way_in_instead(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.stranger
    visitor.post("/sign-up", {"name": "Somebody Else", "email": KNOWN, "password": "another password"})
    mail = last_mail(app, KNOWN)
    assert "You already have an account" in mail.subject
    assert visitor.post("/sign-in/check", {"code": code_in(mail)}).status_code == 303
    user = cast.read(User, known)
    assert user.name == "Ada Known"
    assert is_password(user.password_hash, PASSWORD)


def test_two_sign_ups_with_one_address_make_one_account(cast: Cast, app: Flask) -> None:
    first, second = cast.stranger, cast.stranger
    first.post("/sign-up", {"name": "First Form", "email": NEW})
    second.post("/sign-up", {"name": "Second Form", "email": NEW})
    one, two = mails_to(app, NEW)
    assert second.post("/sign-in/check", {"code": code_in(two)}).status_code == 303
    assert first.post("/sign-in/check", {"code": code_in(one)}).status_code == 303
    assert is_signed_in(first)
    with app.app_context():
        assert db.session.scalars(select(User.name).where(User.email == NEW)).all() == ["Second Form"]
        assert db.session.scalar(select(func.count(User.id)).where(User.name == "First Form")) == 0


def test_the_name_that_was_typed_never_goes_into_the_mail_to_an_unproven_address(
    cast: Cast, app: Flask
) -> None:
    cast.stranger.post("/sign-up", {"name": "Win a car at evil example", "email": NEW})
    mail = last_mail(app, NEW)
    assert "Win a car" not in mail.subject + mail.text + mail.html
