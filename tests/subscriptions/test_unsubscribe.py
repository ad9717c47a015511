"""One click in a mail program stops a letter: no cookie, no page of ours, and nothing happens by opening the link."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer
from sqlalchemy import select, update

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.outbox.message import Message, retry_failed, send
from forum.outbox.one_click import unsubscribe_url
from forum.subscriptions.letters import Letter, Pace, choices_of, choose, gets
from tests.cast import Cast, words

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link(cast: Cast, user_id: int | None, letter: str = "essays") -> str:
    with cast.app.app_context():
        return unsubscribe_url(user_id or 0, letter).removeprefix("http://localhost")


def paces(cast: Cast, user_id: int | None) -> dict[Letter, Pace]:
    with cast.app.app_context():
        return choices_of(db.session.get_one(User, user_id))


def who_gets_essays(app: Flask) -> set[int]:
    with app.app_context():
        return set(db.session.scalars(select(User.id).where(gets(Letter.ESSAYS, *set(Pace) - {Pace.NEVER}))))


def wait_in_outbox(cast: Cast, user_id: int | None, *letters: str) -> None:
    values = {"device": "x", "link_url": "http://localhost/x", "code": "1", "minutes": 15}
    with cast.app.app_context():
        for letter in letters:
            send("sign-in", f"{letter}@mail.example", user_id=user_id, letter=letter, **values)
        db.session.commit()


def waiting(app: Flask) -> set[tuple[int | None, str]]:
    with app.app_context():
        return {(row.user_id, row.letter) for row in db.session.scalars(select(Message))}


@pytest.mark.parametrize(
    "request_as",
    [
        {"data": ONE_CLICK},
        {"data": ONE_CLICK, "content_type": "multipart/form-data"},
        {"data": b""},
        {"data": ONE_CLICK, "headers": {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}},
    ],
    ids=["urlencoded", "multipart", "empty", "from another site"],
)
def test_one_post_without_a_cookie_stops_the_letter_at_once(
    cast: Cast, request_as: Mapping[str, object]
) -> None:
    reader, other = cast.reader.user_id, cast.other_reader.user_id
    wait_in_outbox(cast, reader, "essays", "replies")
    wait_in_outbox(cast, other, "essays")
    stranger = cast.stranger
    answer = stranger.client.post(link(cast, reader), **request_as)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "You get no more new essays by mail" in words(answer)
    assert "Set-Cookie" not in answer.headers
    assert paces(cast, reader)[Letter.ESSAYS] == Pace.NEVER
    assert paces(cast, reader)[Letter.REPLIES] == Pace.NOW
    assert waiting(cast.app) == {(reader, "replies"), (other, "essays")}
    assert who_gets_essays(cast.app) == {other, cast.author.user_id}


def test_opening_the_link_shows_a_button_and_changes_nothing(cast: Cast) -> None:
    reader = cast.reader.user_id
    address = link(cast, reader)
    for _ in range(2):
        page = cast.stranger.get(address)
        assert page.status_code == 200
        assert "Stop new essays?" in words(page)
        assert cast.reader.name not in words(page)
        assert "reader@mail.example" not in page.text
    assert cast.stranger.client.head(address).status_code == 200
    assert paces(cast, reader)[Letter.ESSAYS] == Pace.NOW


def test_a_link_that_was_used_answers_the_same_again(cast: Cast) -> None:
    address = link(cast, cast.reader.user_id)
    answers = [cast.stranger.client.post(address, data=ONE_CLICK) for _ in range(3)]
    answers.append(cast.stranger.get(address))
    assert {answer.status_code for answer in answers} == {200}
    assert all("You get no more new essays by mail" in words(answer) for answer in answers)


def test_a_mail_program_may_click_many_times_at_once(cast: Cast) -> None:
    address = link(cast, cast.reader.user_id)
    with ThreadPoolExecutor(6) as pool:
        clicks = [pool.submit(cast.stranger.client.post, address, data=ONE_CLICK) for _ in range(12)]
    assert {click.result().status_code for click in clicks} == {200}
    assert paces(cast, cast.reader.user_id)[Letter.ESSAYS] == Pace.NEVER


def test_the_button_on_the_page_brings_back_the_pace_from_before(cast: Cast) -> None:
    reader = cast.reader.user_id
    with cast.app.app_context():
        choose(db.session.get_one(User, reader), Letter.ESSAYS, Pace.WEEKLY)
        db.session.commit()
    address, stranger = link(cast, reader), cast.stranger
    assert 'name="pace" value="weekly"' in stranger.client.post(address, data=ONE_CLICK).text
    answer = stranger.client.post(f"{address}/again", data={"pace": "weekly"})
    assert (answer.status_code, "by mail again" in words(answer)) == (200, True)
    assert paces(cast, reader)[Letter.ESSAYS] == Pace.WEEKLY
    stranger.client.post(f"{address}/again", data={"pace": "never"})
    assert paces(cast, reader)[Letter.ESSAYS] == Pace.NOW


def test_stop_everything_stops_every_letter_and_empties_the_outbox(cast: Cast) -> None:
    reader = cast.reader.user_id
    wait_in_outbox(cast, reader, "essays", "replies", "decisions", "")
    answer = cast.stranger.client.post(link(cast, reader), data={"everything": "yes"})
    assert "You get no mail from us any more" in words(answer)
    assert set(paces(cast, reader).values()) == {Pace.NEVER}
    assert waiting(cast.app) == {(reader, "")}  # a link to sign in still leaves


def test_what_was_given_up_before_it_was_stopped_is_never_tried_again(cast: Cast) -> None:
    reader = cast.reader
    wait_in_outbox(cast, reader.user_id, "essays", "replies")
    with cast.app.app_context():
        db.session.execute(update(Message).values(failed_at=clock.now()))
        db.session.commit()
    cast.stranger.client.post(link(cast, reader.user_id), data=ONE_CLICK)
    with cast.app.app_context():
        assert retry_failed() == 1
        db.session.commit()
    assert waiting(cast.app) == {(reader.user_id, "replies")}


def test_a_link_that_is_not_ours_is_told_in_plain_words(cast: Cast) -> None:
    reader, key = cast.reader.user_id, cast.app.config["SECRET_KEY"]
    good = link(cast, reader).removeprefix("/unsubscribe/")
    body, _, signature = good.rpartition(".")
    bad = {
        "truncated": good[:-3],
        "forged": f"{body}.{signature[::-1]}",
        "another key": URLSafeSerializer("other", salt="unsubscribe").dumps([reader, "essays"]),
        "another purpose": URLSafeTimedSerializer(key, salt="wtf-csrf-token").dumps([reader, "essays"]),
        "no such letter": URLSafeSerializer(key, salt="unsubscribe").dumps([reader, "sign-in"]),
        "nobody": URLSafeSerializer(key, salt="unsubscribe").dumps([999_999, "essays"]),
        "no pair": URLSafeSerializer(key, salt="unsubscribe").dumps("essays"),
        "long": "x" * 5_000,
        "letters": "%C3%A9%F0%9F%8C%8A",
    }
    for what, token in bad.items():
        for method in ("GET", "POST"):
            for path in ("", "/again") if method == "POST" else ("",):
                answer = cast.stranger.client.open(f"/unsubscribe/{token}{path}", method=method, data=b"")
                assert answer.status_code == 404, what
                assert "This link stops nothing" in words(answer), what
                assert 'href="/account/letters"' in answer.text, what
    assert set(paces(cast, reader).values()) == {Pace.NOW, Pace.DAILY}


def test_the_account_of_another_person_is_left_alone_by_who_is_signed_in(cast: Cast) -> None:
    reader, other = cast.reader, cast.other_reader
    other.client.post(link(cast, reader.user_id), data=ONE_CLICK)
    assert paces(cast, other.user_id)[Letter.ESSAYS] == Pace.NOW
    assert paces(cast, reader.user_id)[Letter.ESSAYS] == Pace.NEVER
