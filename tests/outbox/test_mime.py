"""Mails travel with text and HTML, with honest headers, and nothing that was typed can add one."""

import email
import email.policy
import re
from email.header import decode_header, make_header

import pytest
from flask import Flask

from forum import clock
from forum.outbox.message import Mailing, Message
from forum.outbox.mime import as_mail
from forum.outbox.one_click import MARK, read_token
from tests.outbox.mails import deliver, put, row
from tests.outbox.sink import Sink

LONG = "a-" * 60


def message(**values: object) -> Message:
    now = clock.now()
    usual = {
        "kind": "essay",
        "to_address": "ada@mail.example",
        "subject": "On tides",
        "text": f"Read on.\n\nNo more: {MARK}\n",
        "html": f'<p>Read on.</p><p><a href="{MARK}">No more</a></p>',
        "message_id": "<essay-1.7@localhost>",
        "headers": {},
        "created_at": now,
        "not_before": now,
    }
    return Message(**usual | values)


def sent(app: Flask, **values: object) -> str:
    """Return the bytes of a mail as the receiver gets them, as text."""
    with app.app_context():
        return as_mail(message(**values)).as_bytes().decode("ascii")


def test_a_mail_server_receives_text_and_html_with_honest_headers(app: Flask, sink: Sink) -> None:
    message_id = put(app)
    assert deliver(app) == 1
    assert deliver(app) == 0
    (mail,) = sink.got
    assert mail["Subject"] == "Your code is 402 117"
    assert mail["To"] == "ada@mail.example"
    assert mail["From"] == "Slack Water <letters@localhost>"
    assert mail["Message-ID"] == row(app, message_id).message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == row(app, message_id).created_at.replace(microsecond=0)
    assert not [name for name in mail if name.startswith("List-")]
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n").startswith("Your code is 402 117\n")
    assert "prefers-color-scheme: dark" in html.get_content()
    for remote in ("<img", "src=", "@import", "url(", "<link"):
        assert remote not in html.get_content()
    assert row(app, message_id).sent_at is not None


def test_a_letter_can_be_stopped_with_one_click_from_its_headers_and_from_both_bodies(app: Flask) -> None:
    raw = sent(app, letter="essays", user_id=7)
    found = re.search(r"^List-Unsubscribe: <(http://localhost/unsubscribe/([\w.-]+))>\r$", raw, re.MULTILINE)
    assert found, raw
    assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert "\r\nList-Id: <essays.localhost>\r\n" in raw
    with app.app_context():
        assert read_token(found[2]) == (7, "essays")
    parts = email.message_from_string(raw, policy=email.policy.default).iter_parts()
    assert [found[1] in part.get_content() and MARK not in part.get_content() for part in parts] == [True] * 2


def test_a_mail_that_is_no_letter_offers_nothing_to_stop_and_shows_no_mark(app: Flask) -> None:
    for values in ({}, {"letter": "essays"}, {"user_id": 7}):
        raw = sent(app, **values)
        assert "List-" not in raw
        assert "unsubscribe" not in raw
        assert "http://localhost/account/letters" in raw


def test_shared_words_travel_in_place_of_own_ones(app: Flask) -> None:
    shared = Mailing(subject="Shared", text=f"Shared text {MARK}", html=f"<p>Shared {MARK}</p>")
    raw = sent(app, mailing=shared, subject="", text="", html="", letter="essays", user_id=7)
    assert "Subject: Shared\r\n" in raw
    assert "Shared text http://localhost/unsubscribe/" in raw


def test_identifiers_are_written_out_however_long_they_are(app: Flask) -> None:
    headers = {"In-Reply-To": f"<{LONG}@localhost>", "References": f"<1@localhost> <{LONG}@localhost>"}
    raw = sent(app, headers=headers, message_id=f"<{LONG}@localhost>", letter="followed", user_id=123_456_789)
    assert f"\r\nIn-Reply-To: <{LONG}@localhost>\r\n" in raw
    assert f"\r\nReferences: <1@localhost>\r\n <{LONG}@localhost>\r\n" in raw
    assert f"\r\nMessage-ID: <{LONG}@localhost>\r\n" in raw
    assert "=?" not in raw


def test_no_subject_can_add_a_header_and_all_letters_pass(app: Flask) -> None:
    raw = sent(app, subject="Hello\r\nBcc: everyone@mail.example\r\n\r\nBody")
    assert "Subject: Hello Bcc: everyone@mail.example Body\r\n" in raw
    for subject in ("Über 潮汐 " * 30, "Plain words " * 20, "=?utf-8?q?a=0D=0ABcc:_x=40mail.example?= ü"):
        mail = email.message_from_string(sent(app, subject=subject))
        assert "Bcc" not in mail
        unfolded = " ".join(mail["Subject"].split())
        assert str(make_header(decode_header(unfolded))) == subject.strip()


@pytest.mark.parametrize(
    "values",
    [
        {"to_address": "a@mail.example\r\nBcc: everyone@mail.example"},
        {"to_address": "a@mail.example, everyone@mail.example"},
        {"to_address": "jörg@mail.example"},
        {"to_address": "no address"},
        {"message_id": "<1@localhost>\r\nBcc: everyone@mail.example"},
        {"headers": {"In-Reply-To": "<1@localhost>\nBcc: everyone@mail.example"}},
        {"headers": {"In-Reply-To": "<ü@localhost>"}},
        {"headers": {"References": "<1@localhost> " * 100}},
        {"headers": {"X: y\r\nBcc": "everyone@mail.example"}},
        {"headers": {"From": "someone@else.example"}},
        {"letter": "essays\r\nBcc: everyone@mail.example", "user_id": 7},
    ],
)
def test_a_header_that_would_hold_more_than_it_should_stops_the_mail(
    app: Flask, values: dict[str, object]
) -> None:
    with app.app_context(), pytest.raises(ValueError, match=r"."):
        as_mail(message(**values)).as_bytes()


def test_an_international_domain_travels_in_ascii_and_is_no_other_one(app: Flask, sink: Sink) -> None:
    put(app, "bo@bücher.example")
    put(app, "bo@straße.example")
    deliver(app)
    assert sink.addresses() == ["bo@xn--bcher-kva.example", "bo@xn--strae-oqa.example"]


def test_lines_that_begin_with_a_dot_arrive_as_they_were(app: Flask, sink: Sink) -> None:
    from forum.database import db

    with app.app_context():
        db.session.add(message(text=".\n..two\n.hidden\n"))
        db.session.commit()
    deliver(app)
    text, _ = sink.got[0].iter_parts()
    assert text.get_content().splitlines() == [".", "..two", ".hidden"]
