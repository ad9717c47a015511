"""Signing in with a password, a link or a code; signing out."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import func, select

from forum.accounts.address import masked
from forum.accounts.session import Session
from forum.accounts.sign_in_link import Purpose, SignInLink
from forum.accounts.signals import signed_in
from forum.accounts.user import User
from forum.database import db
from tests.accounts.conftest import KNOWN, PASSWORD, UNKNOWN
from tests.accounts.mailbox import code_in, last_mail, link_in, mails_to
from tests.cast import Cast, Visitor, words

NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)


def sign_in(visitor: Visitor, email: str = KNOWN, password: str = PASSWORD, **more: str):
    return visitor.post("/sign-in", {"email": email, "password": password, **more})


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/account").status_code == 200


def test_the_right_password_signs_in_and_goes_to_the_front_page(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    answer = sign_in(visitor)
    assert (answer.status_code, answer.location) == (303, "/")
    assert is_signed_in(visitor)


def test_the_address_may_be_typed_in_capitals_and_with_blanks(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    assert sign_in(visitor, f"  {KNOWN.upper()} ").status_code == 303
    assert is_signed_in(visitor)


def test_a_wrong_password_keeps_the_address_in_the_form_but_not_the_password(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    answer = sign_in(visitor, password="not the password")
    assert answer.status_code == 422
    assert f'value="{KNOWN}"' in answer.text
    assert "not the password" not in answer.text
    assert "do not go together" in words(answer)
    assert not is_signed_in(visitor)


NO_ADDRESSES = [
    "", "no at sign", "a@", "@b.example", "a@b", "a b@c.example", "x" * 300 + "@c.example", "ü@mail.example",
    "a@" + "b" * 290 + ".example", "a@b.example\r\nBcc: c@d.example", "a@mail.example\x00,b@mail.example",
]  # fmt: skip


@pytest.mark.parametrize("email", NO_ADDRESSES)
def test_what_is_no_address_is_said_beside_the_field(cast: Cast, app: Flask, email: str) -> None:
    for path, more in (("/sign-in", {}), ("/sign-up", {"name": "Somebody"})):
        answer = cast.stranger.post(path, {"email": email, **more})
        assert answer.status_code == 422
        assert 'id="email-error"' in answer.text
    with app.app_context():
        assert db.session.scalar(select(func.count(SignInLink.id))) == 0


def test_an_international_domain_is_one_address_in_both_spellings(cast: Cast, app: Flask) -> None:
    cast.user("Bo", email="bo@bücher.example")
    for spelling in ("bo@bücher.example", "BO@BÜCHER.example", "bo@xn--bcher-kva.example"):
        cast.stranger.post("/sign-in", {"email": spelling})
    assert [mail.kind for mail in mails_to(app, "bo@bücher.example")] == ["sign-in"] * 3


def test_an_old_hash_is_renewed_at_sign_in(cast: Cast) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    user_id = cast.user("Ada", email=KNOWN, password_hash=weak)
    assert sign_in(cast.stranger).status_code == 303
    renewed = cast.read(User, user_id).password_hash
    assert "m=19456,t=2,p=1" in renewed
    assert sign_in(cast.stranger).status_code == 303


def test_a_banned_person_may_sign_in_and_read(cast: Cast, known: int) -> None:
    cast.change(User, known, banned_at=datetime.now(UTC))
    visitor = cast.stranger
    sign_in(visitor)
    assert is_signed_in(visitor)


def test_without_a_password_a_link_and_a_code_are_mailed(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.stranger
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    answer = visitor.post("/sign-in", {"email": KNOWN}, headers=firefox)
    assert (answer.status_code, answer.location) == (303, "/sign-in/check")
    mail = last_mail(app, KNOWN)
    assert mail.text.startswith(f"Your code is {code_in(mail)}\n")
    assert "asked for from Firefox on Linux" in mail.text
    assert f"We sent a link and a code to {KNOWN}" in words(visitor.get("/sign-in/check"))


def test_an_address_without_an_account_is_told_so_by_mail_and_gets_no_code(cast: Cast, app: Flask) -> None:
    visitor = cast.stranger
    assert visitor.post("/sign-in", {"email": UNKNOWN}).location == "/sign-in/check"
    (mail,) = mails_to(app, UNKNOWN)
    assert mail.subject == "There is no account with this address"
    assert "http://localhost/subscribe" in mail.text
    assert "/sign-in/link/" not in mail.text + mail.html
    assert not any(character.isdigit() for character in mail.text)


def test_the_code_signs_in_with_or_without_its_blank(cast: Cast, app: Flask, known: int) -> None:
    for typed in (str, lambda code: code.replace(" ", ""), lambda code: f" {code.replace(' ', '-')}\n"):
        visitor = cast.stranger
        visitor.post("/sign-in", {"email": KNOWN})
        answer = visitor.post("/sign-in/check", {"code": typed(code_in(last_mail(app, KNOWN)))})
        assert (answer.status_code, answer.location) == (303, "/")
        assert is_signed_in(visitor)


def test_the_code_works_only_in_the_browser_that_asked(cast: Cast, app: Flask, known: int) -> None:
    asking, other, third = cast.stranger, cast.stranger, cast.stranger
    asking.post("/sign-in", {"email": KNOWN})
    code = code_in(last_mail(app, KNOWN))
    other.post("/sign-in", {"email": UNKNOWN})
    assert other.post("/sign-in/check", {"code": code}).status_code == 422
    assert third.post("/sign-in/check", {"code": code}).location == "/sign-in"
    assert not is_signed_in(other)
    assert not is_signed_in(third)


def test_five_wrong_codes_make_the_code_worthless_but_not_the_link(
    cast: Cast, app: Flask, known: int
) -> None:
    visitor = cast.stranger
    visitor.post("/sign-in", {"email": KNOWN})
    mail = last_mail(app, KNOWN)
    right = code_in(mail)
    wrong = "111 111" if right != "111 111" else "222 222"
    for _ in range(5):
        assert visitor.post("/sign-in/check", {"code": wrong}).status_code == 422
    assert visitor.post("/sign-in/check", {"code": right}).status_code == 422
    assert not is_signed_in(visitor)
    assert visitor.post(link_in(mail)).status_code == 303


def test_a_code_works_once(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.stranger
    visitor.post("/sign-in", {"email": KNOWN})
    with visitor.client.session_transaction() as cookie:
        asked = cookie["asked"]
    code = code_in(last_mail(app, KNOWN))
    assert visitor.post("/sign-in/check", {"code": code}).status_code == 303
    again = cast.stranger
    with again.client.session_transaction() as cookie:
        cookie["asked"] = asked
    assert again.post("/sign-in/check", {"code": code}).status_code == 422


def test_opening_the_link_changes_nothing_and_its_button_signs_in(cast: Cast, app: Flask, known: int) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN})
    link = link_in(last_mail(app, KNOWN))
    elsewhere = cast.stranger
    for _ in range(3):
        page = elsewhere.get(link)
        assert page.status_code == 200
        assert "k•••n@mail.example" in page.text
        assert KNOWN not in page.text
        assert elsewhere.client.head(link).status_code == 200
    assert not is_signed_in(elsewhere)
    assert elsewhere.post(link).status_code == 303
    assert is_signed_in(elsewhere)


def test_a_link_works_once(cast: Cast, app: Flask, known: int) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN})
    link = link_in(last_mail(app, KNOWN))
    assert cast.stranger.post(link).status_code == 303
    late = cast.stranger
    assert late.get(link).status_code == 410
    assert late.post(link).status_code == 410
    assert not is_signed_in(late)


def test_who_opens_the_link_again_hears_that_they_are_signed_in(cast: Cast, app: Flask, known: int) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN})
    link, visitor = link_in(last_mail(app, KNOWN)), cast.stranger
    visitor.post(link)
    again = visitor.get(link)
    assert again.status_code == 410
    assert "You are signed in here already" in again.text
    assert f'action="{link}/again"' not in again.text
    assert f'action="{link}/again"' in cast.stranger.get(link).text


def test_a_link_and_its_code_live_for_fifteen_minutes(cast: Cast, app: Flask, known: int) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        visitor = cast.stranger
        visitor.post("/sign-in", {"email": KNOWN})
        mail = last_mail(app, KNOWN)
        clock.shift(timedelta(minutes=14, seconds=59))
        assert visitor.get(link_in(mail)).status_code == 200
        clock.shift(timedelta(seconds=1))
        assert visitor.get(link_in(mail)).status_code == 410
        assert visitor.post(link_in(mail)).status_code == 410
        assert visitor.post("/sign-in/check", {"code": code_in(mail)}).status_code == 422
        assert not is_signed_in(visitor)


def test_an_expired_link_offers_a_new_one_with_one_button(cast: Cast, app: Flask, known: int) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        cast.stranger.post("/sign-in", {"email": KNOWN, "next": "/archive"})
        old = link_in(last_mail(app, KNOWN))
        clock.shift(timedelta(hours=2))
        visitor = cast.stranger
        assert f'action="{old}/again"' in visitor.get(old).text
        assert visitor.post(f"{old}/again").location == "/sign-in/check"
        assert visitor.post(link_in(last_mail(app, KNOWN))).location == "/archive"


def test_a_link_for_another_purpose_opens_nothing(cast: Cast, app: Flask, known: int) -> None:
    visitor = cast.sign_in(known)
    visitor.post("/account/address", {"email": "new@mail.example", "password": PASSWORD})
    token = link_in(last_mail(app, "new@mail.example")).rpartition("/")[2]
    cast.stranger.post("/sign-in", {"email": KNOWN})
    other_token = link_in(last_mail(app, KNOWN)).rpartition("/")[2]
    stranger = cast.stranger
    assert stranger.get(f"/sign-in/link/{token}").status_code == 410
    assert stranger.post(f"/sign-in/link/{token}").status_code == 410
    assert stranger.post(f"/account/address/{other_token}").status_code == 410
    assert stranger.post("/sign-in/link/no-such-token").status_code == 410
    assert not is_signed_in(stranger)
    assert cast.read(User, known).email == KNOWN


def test_neither_token_nor_code_is_stored(cast: Cast, app: Flask, known: int) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN})
    mail = last_mail(app, KNOWN)
    with app.app_context():
        row = db.session.scalars(select(SignInLink)).one()
        stored = " ".join(str(getattr(row, column.name)) for column in SignInLink.__table__.columns)
    assert row.purpose == Purpose.SIGN_IN
    assert link_in(mail).rpartition("/")[2] not in stored
    assert code_in(mail).replace(" ", "") not in {row.code_hash, row.token_hash}


def test_the_mail_is_sent_again_after_half_a_minute(cast: Cast, app: Flask, known: int) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        visitor = cast.stranger
        visitor.post("/sign-in", {"email": KNOWN})
        early = visitor.post("/sign-in/again")
        assert early.status_code == 422
        assert "You can send it again in 30 seconds." in words(early)
        clock.shift(timedelta(seconds=30))
        assert visitor.post("/sign-in/again").location == "/sign-in/check"
        assert len(mails_to(app, KNOWN)) == 2
        assert visitor.post("/sign-in/check", {"code": code_in(last_mail(app, KNOWN))}).status_code == 303


def test_sign_in_gives_a_new_session_so_that_a_planted_one_is_worthless(
    cast: Cast, app: Flask, known: int
) -> None:
    visitor = cast.stranger
    visitor.get("/sign-in")
    with visitor.client.session_transaction() as cookie:
        cookie["_user_id"] = "planted by somebody else"
    sign_in(visitor)
    with visitor.client.session_transaction() as cookie:
        first = cookie["_user_id"]
    assert first != "planted by somebody else"
    sign_in(visitor)
    with visitor.client.session_transaction() as cookie:
        assert cookie["_user_id"] != first
    with app.app_context():
        assert db.session.scalar(select(func.count(Session.id)).where(Session.user_id == known)) == 1


def test_a_copied_cookie_opens_nothing_after_sign_out(cast: Cast, known: int) -> None:
    visitor, thief = cast.stranger, cast.stranger
    sign_in(visitor)
    with visitor.client.session_transaction() as cookie:
        copy = dict(cookie)
    with thief.client.session_transaction() as cookie:
        cookie.update(copy)
    assert is_signed_in(thief)
    assert visitor.post("/sign-out").status_code == 303
    assert not is_signed_in(visitor)
    assert not is_signed_in(thief)


def test_staff_are_signed_out_after_twelve_idle_hours_and_readers_after_ninety_days(cast: Cast) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        moderator = cast.sign_in(cast.user("Mo", role="moderator"))
        reader = cast.sign_in(cast.user("Rae"))
        for _ in range(3):
            clock.shift(timedelta(hours=11))
            assert is_signed_in(moderator)
        clock.shift(timedelta(hours=12, minutes=11))
        assert not is_signed_in(moderator)
        clock.move_to(NOON + timedelta(days=89, hours=23))
        assert is_signed_in(reader)
        clock.move_to(NOON + timedelta(days=90))
        assert not is_signed_in(reader)


SAFE = [
    "/archive",
    "/essays/on-tides#discussion",
    "/search?q=tide%20table&page=2",
    "/essays/on-tides?sort=best",
]
HOSTILE = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", "http://evil.example", "https:evil.example",
    "http:/evil.example", "javascript:alert(1)", "data:text/html,x", "evil.example", "@evil.example", "/ /evil.example",
    "/\x00/evil.example", "/\r\nSet-Cookie: a=b", "/\u2028/evil.example", "http://localhost@evil.example",
    "//localhost@evil.example", "/ü", "/<script>", '/"onmouseover=', "", "?next=//evil.example", "/" + "a" * 500,
    " //evil.example", "ftp://evil.example/", "/%0d%0a" + "\r\n",
]  # fmt: skip


def test_people_come_back_to_the_page_they_came_from(cast: Cast, known: int) -> None:
    for path in SAFE:
        assert sign_in(cast.stranger, next=path).location == path


def test_nobody_is_sent_to_another_site(cast: Cast, app: Flask, known: int) -> None:
    for path in HOSTILE:
        assert sign_in(cast.stranger, next=path).location == "/", path
        visitor = cast.sign_in(known)
        assert visitor.get("/sign-in", query_string={"next": path}).location == "/", path
        assert visitor.post("/sign-in/kept", {"next": path}).location == "/", path
    visitor = cast.stranger
    visitor.post("/sign-in", {"email": KNOWN, "next": "//evil.example"})
    assert visitor.post("/sign-in/check", {"code": code_in(last_mail(app, KNOWN))}).location == "/"


def test_a_page_that_needs_an_account_is_come_back_to(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    asked = visitor.get("/account/sessions")
    assert asked.location == "/sign-in?next=/account/sessions"
    assert 'name="next" value="/account/sessions"' in visitor.get(asked.location).text
    assert sign_in(visitor, next="/account/sessions").location == "/account/sessions"


class Receiver:
    """Somebody later in the order of folders, who waits for people that sign in."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, user: User, kept: str = "") -> str | None:
        self.heard.append((user.email, kept))
        return f"/comments/{len(self.heard)}" if kept else None


@pytest.fixture
def receiver():
    receiver = Receiver()
    with signed_in.connected_to(receiver):
        yield receiver


def test_the_kept_comment_follows_every_way_in(
    cast: Cast, app: Flask, known: int, receiver: Receiver
) -> None:
    sentence = "Your comment is kept. It is posted when you have signed in."
    by_password, by_code, new = cast.stranger, cast.stranger, cast.stranger
    for number, browser in enumerate((by_password, by_code, new), start=1):
        with browser.client.session_transaction() as cookie:
            cookie["kept"] = f"abc-{number}"
    for path in ("/sign-in", "/sign-up"):
        assert sentence in words(by_password.get(f"{path}?kept=abc-1&next=/archive"))
        assert sentence not in words(by_password.get(f"{path}?next=/archive"))
    assert sign_in(by_password, kept="abc-1", next="/archive").location == "/comments/1"

    by_code.post("/sign-in", {"email": KNOWN, "kept": "abc-2", "next": "/archive"})
    waits = f"Not posted yet. Open the link we sent to {masked(KNOWN)} to post it."
    assert waits in words(by_code.get("/sign-in/check"))
    answer = by_code.post("/sign-in/check", {"code": code_in(last_mail(app, KNOWN))})
    assert answer.location == "/comments/2"

    new.post("/sign-up", {"email": "new@mail.example", "name": "Newly Here", "kept": "abc-3"})
    answer = cast.stranger.post(link_in(last_mail(app, "new@mail.example")))
    assert answer.location == "/comments/3"
    assert receiver.heard == [(KNOWN, "abc-1"), (KNOWN, "abc-2"), ("new@mail.example", "abc-3")]


def test_words_kept_in_another_browser_are_posted_only_after_a_look(
    cast: Cast, app: Flask, known: int, receiver: Receiver
) -> None:
    cast.stranger.post("/sign-in", {"email": KNOWN, "kept": "by-a-stranger", "next": "/archive"})
    owner = cast.stranger
    answer = owner.post(link_in(last_mail(app, KNOWN)))
    assert answer.location == "/sign-in?kept=by-a-stranger&next=%2Farchive"
    assert receiver.heard == [(KNOWN, "")]
    page = owner.get(answer.location)
    assert "Post it" in words(page)
    assert 'href="/archive"' in page.text
    assert owner.post("/sign-in/kept", {"kept": "by-a-stranger"}).location == "/comments/2"


def test_who_is_signed_in_already_posts_what_was_kept_with_one_button(
    cast: Cast, known: int, receiver: Receiver
) -> None:
    visitor = cast.sign_in(known)
    page = visitor.get("/sign-in?kept=abc&next=/archive")
    assert 'action="/sign-in/kept"' in page.text
    assert receiver.heard == []
    answer = visitor.post("/sign-in/kept", {"kept": "abc", "next": "/archive"})
    assert answer.location == "/comments/1"
    assert receiver.heard == [(KNOWN, "abc")]
    assert cast.stranger.post("/sign-in/kept", {"kept": "abc"}).status_code == 403


def test_a_form_without_its_token_is_given_back_without_the_password(cast: Cast, known: int) -> None:
    visitor = cast.stranger
    data = {
        "csrf_token": "forged",
        "email": KNOWN,
        "password": PASSWORD,
        "name": "Ada Typed",
        "code": "402117",
    }
    for path in ("/sign-in", "/sign-up", "/sign-in/check"):
        answer = visitor.client.post(path, data=data, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 400
        assert KNOWN in answer.text
        assert "Ada Typed" in answer.text
        assert PASSWORD not in answer.text
        assert "402117" not in answer.text
    assert not is_signed_in(visitor)


def test_eight_tries_then_ten_minutes_that_double(cast: Cast, known: int, limits: None) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        visitor = cast.stranger
        for minutes in (10, 20, 40):
            for _ in range(8):
                assert sign_in(visitor, password="wrong").status_code == 422
            locked = sign_in(visitor)
            assert locked.status_code == 429
            assert locked.headers["Retry-After"] == str(minutes * 60)
            assert f"{minutes} minutes" in words(locked)
            clock.shift(timedelta(minutes=minutes) - timedelta(seconds=1))
            assert sign_in(cast.stranger).status_code == 429
            clock.shift(timedelta(seconds=1))
        assert sign_in(visitor).status_code == 303


def test_a_success_forgets_the_tries(cast: Cast, known: int, limits: None) -> None:
    visitor = cast.stranger
    for _ in range(2):
        for _ in range(7):
            assert sign_in(visitor, password="wrong").status_code == 422
        assert sign_in(visitor).status_code == 303


def test_one_visitor_cannot_try_one_password_on_many_addresses(cast: Cast, known: int, limits: None) -> None:
    visitor = cast.stranger
    answers = [sign_in(visitor, f"reader{n}@mail.example", "password1").status_code for n in range(41)]
    assert answers == [422] * 40 + [429]


def test_an_address_gets_five_mails_an_hour(cast: Cast, app: Flask, known: int, limits: None) -> None:
    for email in (KNOWN, UNKNOWN):
        answers = [cast.stranger.post("/sign-in", {"email": email}).status_code for _ in range(6)]
        assert answers == [303] * 5 + [429]
        assert cast.stranger.post("/sign-up", {"email": email, "name": "Another"}).status_code == 429
        assert len(mails_to(app, email)) == 5
