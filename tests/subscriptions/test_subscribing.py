"""Subscribing: one form that also comments and signs in, confirmed by the owner of the address, never by a scanner."""

import html
import re
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from forum import clock
from forum.accounts.sign_in import user_with_address
from forum.accounts.sign_in_link import SignInLink
from forum.accounts.sign_up import free_name
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.kept import KeptComment
from forum.outbox.message import Message
from forum.site.settings import change_setting
from forum.subscriptions.letters import Letter, Pace, choices_of, choose
from forum.subscriptions.tier import Tier
from tests.accounts.mailbox import code_in, last_mail, link_in, mails_to
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, rows_of, sources, statements

NEW = "thea.park@mail.example"
WORDS = "The harbour is *older* than that."
TICKS = {"essays": "y", "replies": "y"}


def comments_as_a_stranger(cast: Cast, email: str = NEW, body: str = WORDS, **data: str) -> Visitor:
    """Post the composer's form as it is sent from a browser where nobody is signed in."""
    visitor = cast.stranger
    answer = visitor.comment(cast.slug, body, **{"name": "", "email": email, **TICKS, **data})
    assert (answer.status_code, answer.location) == (303, "/sign-in/check"), words(answer)
    return visitor


def account(cast: Cast, email: str = NEW) -> User | None:
    with cast.app.app_context():
        return user_with_address(email)


def paces(cast: Cast, email: str = NEW) -> tuple[Pace, Pace]:
    """Return how often the person with an address gets new essays, and answers."""
    with cast.app.app_context():
        user = user_with_address(email)
        assert user is not None
        choices = choices_of(user)
        return choices[Letter.ESSAYS], choices[Letter.REPLIES]


def stop_essays(cast: Cast, user_id: int) -> None:
    with cast.app.app_context():
        choose(db.session.get_one(User, user_id), Letter.ESSAYS, Pace.NEVER)
        db.session.commit()


def switch_on(cast: Cast, setting: str) -> None:
    with cast.app.app_context():
        change_setting(setting, True)
        db.session.commit()


def test_a_strangers_comment_waits_in_sight_until_the_address_has_answered(cast: Cast) -> None:
    visitor = comments_as_a_stranger(cast)
    page = visitor.get("/sign-in/check")
    assert "Not posted yet. Open the link we sent to t•••k@mail.example to post it." in words(page)
    assert WORDS in page.text
    assert account(cast) is None
    assert (rows_of(cast, Comment), rows_of(cast, KeptComment)) == (0, 1)


@pytest.mark.parametrize("way", ["link", "link elsewhere", "code"])
def test_one_button_or_one_code_subscribes_signs_in_and_posts(cast: Cast, app: Flask, way: str) -> None:
    visitor = comments_as_a_stranger(cast)
    mail = last_mail(app, NEW)
    visitor = cast.stranger if way == "link elsewhere" else visitor
    if way == "code":
        answer = visitor.post("/sign-in/check", {"code": code_in(mail), "name": ""})
    else:
        for _ in range(2):  # a scanner of mail first
            assert "Post my comment" in words(visitor.get(link_in(mail)))
        assert account(cast) is None
        answer = visitor.post(link_in(mail), {"name": ""})
    comment = cast.read(Comment, comment_id(answer))
    user = account(cast)
    assert user is not None
    assert re.fullmatch(r"Reader \d{4}", user.name)
    assert user.is_confirmed
    assert (comment.author_id, comment.subscription, comment.visible) == (user.id, "free", False)
    assert sources(cast) == [WORDS]
    assert paces(cast) == (Pace.NOW, Pace.NOW)
    page = words(visitor.get(answer.location))
    assert "Your comment is waiting for author." in page
    assert "You are on the list." in page


def test_what_is_not_ticked_is_not_sent(cast: Cast, app: Flask) -> None:
    visitor = comments_as_a_stranger(cast, essays="", replies="y")
    mail = last_mail(app, NEW)
    assert "new essays" not in mail.text + mail.html + words(visitor.get(link_in(mail)))
    page = visitor.get(visitor.post(link_in(mail)).location)
    assert paces(cast) == (Pace.NEVER, Pace.NOW)
    assert "on the list" not in words(page)


def test_the_mail_shows_what_waits_and_what_one_would_get(cast: Cast, app: Flask) -> None:
    body = (
        "Water & <b>tides</b>\n\nsee https://evil.example/x?y or [this](http://evil.example) "
        + "and on " * 200
    )
    comments_as_a_stranger(cast, body=body, name="Win a car")
    mail = last_mail(app, NEW)
    assert mail.kind == "confirm"
    assert code_in(mail) in mail.subject
    assert "> Water & <b>tides</b>\n> \n> see [a link] or [this]([a link])" in mail.text
    assert "Water &amp; &lt;b&gt;tides&lt;/b&gt;" in mail.html
    assert "- new essays, by e-mail\n- an e-mail when somebody answers you" in mail.text
    assert mail.text.count("and on") < 100
    # Anybody may have typed this address, so nothing in the mail leads where they want.
    assert not re.search("evil|Win a car", mail.subject + mail.text + mail.html)


def test_a_known_address_gets_another_mail_and_the_same_end(cast: Cast, app: Flask) -> None:
    known = cast.user("Ada Known", email="ada@mail.example", accepted_comments=2)
    stop_essays(cast, known)
    visitor = comments_as_a_stranger(cast, "ada@mail.example", name="Somebody Else")
    mail = last_mail(app, "ada@mail.example")
    assert mail.kind == "known-address"
    assert f"> {WORDS}" in mail.text
    page = visitor.get(link_in(mail))
    assert 'name="name"' not in page.text
    comment = cast.read(Comment, comment_id(visitor.post(link_in(mail))))
    assert (comment.author_id, comment.visible) == (known, True)
    assert cast.read(User, known).name == "Ada Known"
    assert paces(cast, "ada@mail.example") == (Pace.NOW, Pace.NOW)


def test_elsewhere_the_owner_of_an_account_is_asked_before_anything_is_posted(cast: Cast, app: Flask) -> None:
    cast.user("Ada Known", email="ada@mail.example")
    comments_as_a_stranger(cast, "ada@mail.example", body="Words of somebody else.")
    owner, link = cast.stranger, link_in(last_mail(app, "ada@mail.example"))
    assert "We ask you before it is posted" in words(owner.get(link))
    asked = owner.get(owner.post(link).location)
    assert "Words of somebody else." in words(asked)
    assert "Do not post it" in words(asked)
    assert rows_of(cast, Comment) == 0


def test_an_account_that_has_come_into_being_meanwhile_is_asked_too(cast: Cast, app: Flask) -> None:
    comments_as_a_stranger(cast)
    link = link_in(last_mail(app, NEW))
    cast.user("Thea Park", email=NEW)
    assert cast.stranger.post(link).location.startswith("/sign-in?kept=")
    assert rows_of(cast, Comment) == 0


NO_ADDRESSES = [
    "", "x" * 300 + "@c.example", "x" * 65 + "@c.example", "a@" + "b" * 290 + ".example",
    '"a b"@mail.example', "ü@mail.example",
    "a@b.example\r\nBcc: c@d.example", "a@mail.example\nb@mail.example", "a@mail.example, b@mail.example", "a@b",
]  # fmt: skip


@pytest.mark.parametrize("email", NO_ADDRESSES)
def test_what_is_no_address_is_said_at_the_field_and_nothing_typed_is_lost(cast: Cast, email: str) -> None:
    form = {"email": email, "name": "Thea Park", "body": WORDS, **TICKS}
    for path in ("/subscribe", f"/essays/{cast.slug}/comments"):
        answer = cast.stranger.post(path, form)
        assert answer.status_code == 422
        assert 'id="email-error"' in answer.text
        assert 'value="Thea Park"' in answer.text
        assert (WORDS in html.unescape(answer.text)) is (path != "/subscribe")
    assert (rows_of(cast, Message), rows_of(cast, KeptComment)) == (0, 0)
    told = cast.stranger.post(f"/essays/{cast.slug}/comments", form, headers=JSON)
    assert (told.status_code, "address" in told.get_json()["error"]) == (422, True)


def test_a_name_cannot_be_bad_and_is_one_line(cast: Cast, app: Flask) -> None:
    for path in ("/subscribe", f"/essays/{cast.slug}/comments"):
        answer = cast.stranger.post(path, {"email": NEW, "name": "!", "body": WORDS})
        assert answer.status_code == 422
        assert 'id="name-error"' in answer.text
    cast.stranger.post("/subscribe", {"email": NEW, "name": "Thea\r\nBcc: evil@mail.example"})
    cast.stranger.post(link_in(last_mail(app, NEW)))
    user = account(cast)
    assert user is not None
    assert user.name == "Thea Bcc: evil@mail.example"


def test_an_international_domain_is_written_to_and_subscribed(cast: Cast, app: Flask) -> None:
    cast.stranger.post("/subscribe", {"email": "Thea@BÜCHER.example"})
    assert cast.stranger.post(link_in(last_mail(app, "thea@bücher.example"))).status_code == 303
    assert account(cast, "thea@bücher.example") is not None


def test_throw_away_addresses_are_refused_only_where_the_admin_says_so(cast: Cast, app: Flask) -> None:
    email = "a.word@post.mailinator.com"
    assert cast.stranger.post("/subscribe", {"email": email}).status_code == 303
    switch_on(cast, "refuse_disposable")
    cast.user("An Old Friend", email="old@mailinator.com")
    for given in (email, "old@mailinator.com"):  # the answer does not tell who has an account
        for path in ("/subscribe", f"/essays/{cast.slug}/comments", "/sign-up"):
            answer = cast.stranger.post(path, {"email": given, "name": "Some Name", "body": WORDS})
            assert answer.status_code == 422
            assert "Use one that you keep." in words(answer)
    assert cast.stranger.post("/subscribe", {"email": NEW}).status_code == 303
    assert cast.stranger.post("/sign-in", {"email": "old@mailinator.com"}).status_code == 303
    assert last_mail(app, "old@mailinator.com").kind == "sign-in"


def test_who_has_an_account_takes_the_words_along_to_sign_in(cast: Cast) -> None:
    form = {"email": "", "name": "", "sign_in": "1"}
    answer = cast.stranger.comment(cast.slug, WORDS, **form)
    assert re.fullmatch(r"/sign-in\?kept=[\w-]+&next=/essays/on-tides", answer.location)
    page = cast.stranger.get(answer.location)
    assert WORDS in words(page)
    assert cast.stranger.comment(cast.slug, "", **form).location == "/sign-in?next=/essays/on-tides"
    assert rows_of(cast, Message) == 0


def test_a_preview_asks_for_no_address(cast: Cast) -> None:
    answer = cast.stranger.comment(cast.slug, WORDS, email="", name="", preview="1", **TICKS)
    assert answer.status_code == 200
    assert "<em>older</em>" in answer.text
    assert rows_of(cast, KeptComment) == 0


def test_a_form_on_another_site_sends_no_mail(cast: Cast) -> None:
    form = {"email": NEW, "body": WORDS, **TICKS}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = cast.stranger.post("/subscribe", form, headers=headers)
        assert answer.status_code == 403
        assert f'value="{NEW}"' in answer.text
        kept = cast.stranger.post(f"/essays/{cast.slug}/comments", form, headers=headers)
        assert kept.location.startswith("/sign-in?kept=")
    assert rows_of(cast, Message) == 0


def test_the_box_needs_no_session_and_its_mail_leads_back(cast: Cast, app: Flask) -> None:
    visitor = cast.stranger
    for path in ("/", f"/essays/{cast.slug}"):
        page = visitor.get(path)
        assert 'action="/subscribe"' in page.text
        assert "csrf_token" not in page.text
    form = {"email": NEW, "next": f"/essays/{cast.slug}"}
    sent = visitor.client.post("/subscribe", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert sent.location == "/sign-in/check"
    answer = cast.stranger.post(link_in(last_mail(app, NEW)))
    assert answer.location == f"/essays/{cast.slug}"
    assert paces(cast) == (Pace.NOW, Pace.NOW)


def test_who_is_signed_in_sees_the_box_only_without_essays(cast: Cast) -> None:
    reader = cast.reader
    assert 'action="/subscribe"' not in reader.get("/").text + reader.get(f"/essays/{cast.slug}").text
    stop_essays(cast, reader.user_id or 0)
    for path in ("/", f"/essays/{cast.slug}", "/subscribe"):
        assert "Send me new essays" in words(reader.get(path))
    assert reader.client.post("/subscribe", data={"next": "/archive"}).status_code == 400
    answer = reader.post("/subscribe", {"next": "/archive"})
    assert answer.location == "/archive"
    assert "You are on the list." in words(reader.get("/archive"))
    assert paces(cast, "reader@mail.example")[0] == Pace.NOW


def test_the_page_shows_the_tiers_that_are_offered(cast: Cast) -> None:
    assert "Every new essay by mail" in words(cast.stranger.get("/subscribe"))
    assert "Supporter" not in words(cast.stranger.get("/subscribe"))
    gives = "Every essay\nThe working notes"
    with cast.app.app_context():
        db.session.add(Tier(state="paid", name="Friend", price="£4 a month", gives=gives, how="Write to me."))
        db.session.commit()
    assert "Friend : £4 a month Every essay The working notes Write to me." in words(
        cast.stranger.get("/subscribe")
    )


def test_an_address_gets_five_mails_an_hour_however_they_are_asked_for(cast: Cast, app: Flask) -> None:
    app.config["RATE_LIMITS"] = True
    try:
        for _ in range(3):
            assert cast.stranger.post("/subscribe", {"email": NEW}).status_code == 303
        for _ in range(2):
            comments_as_a_stranger(cast)
        form = {"email": NEW, "body": WORDS, "form_token": "one more"}
        here = {"Sec-Fetch-Site": "same-origin"}
        answers = [
            cast.stranger.post(path, form, headers=here)
            for path in ("/subscribe", f"/essays/{cast.slug}/comments")
        ]
    finally:
        app.config["RATE_LIMITS"] = False
    assert [answer.status_code for answer in answers] == [429, 429]
    assert WORDS in html.unescape(answers[1].text)
    assert len(mails_to(app, NEW)) == 5


@pytest.mark.parametrize("fault", ["used", "old", "cut short"])
def test_a_link_that_is_over_loses_no_words_and_sends_a_new_one(cast: Cast, app: Flask, fault: str) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        visitor = comments_as_a_stranger(cast)
        link = link_in(last_mail(app, NEW))
        if fault == "old":
            moment.shift(timedelta(days=6))
            cast.stranger.post("/subscribe", {"email": "other@mail.example"})
            visitor = cast.stranger
        elif fault == "cut short":
            moment.shift(timedelta(minutes=1))
            link = link[:-5]
        else:
            cast.user("Quicker", email=NEW)
            cast.stranger.post(link)  # by somebody who was asked, and did not post
            visitor = cast.stranger
        page = visitor.get(link)
        assert page.status_code == 410
        assert "Your comment is not posted yet. It is kept for a week." in words(page)
        assert WORDS in words(page)
        again = re.search(r'action="(/sign-in/(?:link/[\w-]+/)?again)"', page.text)
        assert again
        assert visitor.post(again[1]).location == "/sign-in/check"
        answer = visitor.post(link_in(last_mail(app, NEW)))
        if fault == "used":
            answer = visitor.post("/sign-in/kept", {"kept": kept_in(answer.location)})
    assert sources(cast) == [WORDS]
    assert cast.read(Comment, comment_id(answer)).newest_number == 1


def test_a_forged_link_opens_nothing(cast: Cast) -> None:
    for token in ("x" * 43, "x", "%00", "é"):
        stranger = cast.stranger
        page = stranger.get(f"/sign-in/link/{token}")
        assert page.status_code in (404, 410)
        assert stranger.post(f"/sign-in/link/{token}").status_code in (404, 410)
        assert stranger.get("/account").status_code == 303


def test_a_free_name_is_the_wanted_one_or_the_next_to_it_in_two_queries(cast: Cast, app: Flask) -> None:
    for name in ("Ada", "Ada 2", "Ada 3", "Q" * 60):
        cast.user(name, email=f"{len(name)}{name[-1]}@mail.example")
    wanted = {"Bea": "Bea", " ada ": "ada 4", "Q" * 60: "Q" * 58 + " 2"}
    with app.app_context():
        for name, free in wanted.items():
            with statements(app) as seen:
                assert free_name(name) == free
            assert len(seen) <= 2
        for bad in ("", "x", "!!!", "a" * 61):
            assert re.fullmatch(r"Reader \d{4}", free_name(bad))


def test_more_people_may_share_a_name_than_are_tried_at_once(cast: Cast, app: Flask) -> None:
    for number in range(1, 11):
        cast.user(f"Ada {number}" if number > 1 else "Ada", email=f"ada{number}@mail.example")
    with app.app_context():
        assert re.fullmatch(r"Ada \d{4}", free_name("Ada"))


def test_who_is_signed_in_is_told_under_which_name_they_write(cast: Cast) -> None:
    page = cast.reader.get(f"/essays/{cast.slug}")
    assert "You write as reader ." in words(page)
    assert 'name="email"' not in page.text


def test_old_links_are_forgotten_with_the_words_that_waited_for_them(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        comments_as_a_stranger(cast)
        moment.shift(timedelta(days=8))
        cast.stranger.post("/subscribe", {"email": "other@mail.example"})
    with cast.app.app_context():
        assert db.session.scalar(select(func.count(SignInLink.id))) == 1


def kept_in(address: str) -> str:
    """Return the token of the kept comment in an address."""
    found = re.search(r"kept=([\w-]+)", address)
    assert found, address
    return found[1]
