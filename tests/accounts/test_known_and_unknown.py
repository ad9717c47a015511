"""Nothing tells whether an address has an account: not the words, the headers, the work or the time."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from forum.accounts.address import masked
from tests.accounts.conftest import KNOWN, PASSWORD, UNKNOWN
from tests.accounts.mailbox import mails_to
from tests.cast import Cast, Visitor
from tests.discussion.rows import statements

assert len(KNOWN) == len(UNKNOWN)  # so that even the lengths must be equal

Deed = Callable[[Cast, str], list[TestResponse]]


def with_wrong_password(cast: Cast, email: str) -> list[TestResponse]:
    return [cast.stranger.post("/sign-in", {"email": email, "password": "wrong password"})]


def with_a_mail(cast: Cast, email: str) -> list[TestResponse]:
    visitor = cast.stranger
    return [visitor.post("/sign-in", {"email": email, "next": "/archive"}), *check_page(visitor)]


def by_signing_up(cast: Cast, email: str) -> list[TestResponse]:
    visitor = cast.stranger
    form = {"name": "Somebody New", "email": email, "password": PASSWORD}
    return [visitor.post("/sign-up", form), *check_page(visitor)]


def by_subscribing(cast: Cast, email: str) -> list[TestResponse]:
    visitor = cast.stranger
    return [visitor.post("/subscribe", {"email": email, "next": "/archive"}), *check_page(visitor)]


def by_commenting(cast: Cast, email: str) -> list[TestResponse]:
    """Once with all that the form asks for, once with as little as it takes."""
    answers = []
    for more in ({"name": "Ada Known", "essays": "y", "replies": "y"}, {"name": ""}):
        visitor = cast.stranger
        posted = visitor.comment(cast.slug, "The harbour is older.", email=email, **more)
        answers += [posted, *check_page(visitor), visitor.post("/sign-in/again")]
    return answers


def by_sending_again(cast: Cast, email: str) -> list[TestResponse]:
    start = datetime(2026, 5, 11, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        visitor = cast.stranger
        answers = [visitor.post("/sign-in", {"email": email}), visitor.post("/sign-in/again")]
        clock.shift(timedelta(seconds=31))
        return [*answers, visitor.post("/sign-in/again"), visitor.get("/sign-in/check")]


def by_changing_the_own_address(cast: Cast, email: str) -> list[TestResponse]:
    return [cast.reader.post("/account/address", {"email": email}), cast.reader.get("/account")]


def check_page(visitor: Visitor) -> list[TestResponse]:
    return [visitor.get("/sign-in/check"), visitor.post("/sign-in/check", {"code": "000 000"})]


DEEDS: list[Deed] = [
    with_wrong_password,
    with_a_mail,
    by_signing_up,
    by_subscribing,
    by_commenting,
    by_sending_again,
    by_changing_the_own_address,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_the_answers_are_the_same(cast: Cast, known: int, deed: Deed) -> None:
    for_known, for_unknown = deed(cast, KNOWN), deed(cast, UNKNOWN)
    assert [seen(answer, KNOWN) for answer in for_known] == [seen(answer, UNKNOWN) for answer in for_unknown]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_the_work_is_the_same(cast: Cast, app: Flask, known: int, deed: Deed) -> None:
    cast.reader  # noqa: B018  # made now, so that it is not made while we count
    with statements(app) as for_known:
        deed(cast, KNOWN)
    with statements(app) as for_unknown:
        deed(cast, UNKNOWN)
    assert for_known == for_unknown
    assert len(mails_to(app, KNOWN)) == len(mails_to(app, UNKNOWN))


def test_a_wrong_password_takes_as_long_as_an_unknown_address_or_none(cast: Cast, known: int) -> None:
    cast.user("No Password", email="plain@mail.example")
    emails = (KNOWN, UNKNOWN, "plain@mail.example")
    # In turn: the machine may be faster now and slower in a moment.
    rounds = [[work_of_one(cast, email) for email in emails] for _ in range(5)]
    took = dict(zip(emails, map(min, zip(*rounds, strict=True)), strict=True))
    # Without the hash of nobody it would be 40 ms against 4.
    assert max(took.values()) < 3 * min(took.values()), took


def seen(answer: TestResponse, email: str) -> tuple[object, ...]:
    """Return what a watcher sees of an answer, but for what differs between any two answers."""
    headers = [
        (name, re.sub("=[^;]*", "", value) if name == "Set-Cookie" else value)
        for name, value in answer.headers
        if name != "Date"
    ]
    body = re.sub(r'name="csrf_token" value="[^"]*"|kept=[\w-]+', "", answer.text)
    body = body.replace(email, "…").replace(masked(email), "…")
    return answer.status_code, headers, body


def work_of_one(cast: Cast, email: str) -> float:
    """Return the seconds of work, free of what else the machine does, that one wrong password takes."""
    start = time.thread_time()
    cast.stranger.post("/sign-in", {"email": email, "password": "wrong password"})
    return time.thread_time() - start
