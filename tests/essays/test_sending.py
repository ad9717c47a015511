"""Sending an essay: everybody who asked for it gets it once, whatever breaks on the way, and the page says so."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from sqlalchemy import event, insert, select, update
from sqlalchemy.orm import Session

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays import release, sending
from forum.essays.desk import render_apart
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.revision import EssayWords
from forum.essays.sending import Sending, begin_sendings
from forum.notifications.notice import Notice
from forum.outbox.mail_server import note_failure
from forum.outbox.message import Mailing, Message
from forum.outbox.one_click import MARK
from forum.outbox.suppression import Suppression, Why
from forum.subscriptions.letters import Choice, Letter, Pace, choose
from forum.subscriptions.subscription import Kind, Subscription
from forum.text.essay import EssayText
from tests.cast import Cast, words
from tests.essays.written import DRAFT, GATED, SECRET, count, editor_form, write

GROUPS = (
    "plain", "unconfirmed", "banned", "suppressed", "never", "daily", "weekly", "now", "paid", "gift", "grace",
    "lapsed", "muting replies",
)  # fmt: skip
UNREACHED = {"unconfirmed", "banned", "suppressed", "never"}
IN_DIGESTS = {"daily", "weekly"}
MAY_READ_PAID = {"paid", "gift", "grace"}


def crowd(cast: Cast, many: int) -> dict[str, str]:
    """Make so many accounts, evenly of all groups, and return the group of each address."""
    now = clock.now()
    groups = {f"p{n}@mail.example": GROUPS[n % len(GROUPS)] for n in range(many)}
    with cast.app.app_context():
        users = [
            {
                "name": address,
                "name_key": address,
                "email": address,
                "email_confirmed_at": None if group == "unconfirmed" else now,
                "banned_at": now if group == "banned" else None,
                "role": "reader",
                "created_at": now,
            }
            for address, group in groups.items()
        ]
        db.session.execute(insert(User), users)
        found = db.session.execute(select(User.email, User.id).where(User.email.in_(groups))).all()
        for address, user_id in found:
            for row in _rows(groups[address], address, user_id, now):
                db.session.add(row)
        db.session.commit()
    return groups


def _rows(group: str, address: str, user_id: int, now: datetime) -> list[Any]:
    day = timedelta(days=1)
    period = {"user_id": user_id, "began_at": now - 400 * day}
    match group:
        case "suppressed":
            return [Suppression(address=address, why=Why.BOUNCED, created_at=now)]
        case "never" | "daily" | "weekly" | "now":
            return [Choice(user_id=user_id, letter=Letter.ESSAYS, pace=Pace(group))]
        case "muting replies":
            return [Choice(user_id=user_id, letter=Letter.REPLIES, pace=Pace.NEVER)]
        case "paid":
            return [Subscription(**period, kind=Kind.PAID, ends_at=now + 300 * day)]
        case "gift":
            return [Subscription(**period, kind=Kind.COMPLIMENTARY, ends_at=None)]
        case "grace":
            return [Subscription(**period, kind=Kind.PAID, ends_at=now - day)]
        case "lapsed":
            return [Subscription(**period, kind=Kind.PAID, ends_at=now - 200 * day)]
    return []


def mails(app: Flask, essay_id: int) -> dict[str, str]:
    """Return who gets an essay by mail, and which words of it."""
    with app.app_context():
        row = db.session.get_one(Sending, essay_id)
        theirs = select(Message.to_address, Message.mailing_id).where(Message.batch == f"essay:{essay_id}")
        found = db.session.execute(theirs).all()
        assert len({message.to_address for message in found}) == len(found)
        names = {row.whole_id: "whole", row.preview_id: "preview"}
        return {address: names[mailing_id] for address, mailing_id in found}


def noticed(app: Flask, essay_id: int) -> set[str]:
    """Return who finds an essay in their digest."""
    with app.app_context():
        theirs = select(User.email).join(Notice, Notice.user_id == User.id)
        shown = (Notice.subject == f"essay:{essay_id}") & Notice.retracted_at.is_(None)
        return set(db.session.scalars(theirs.where(shown)))


def store(app: Flask) -> int:
    """Let the worker have one turn."""
    with app.app_context():
        return begin_sendings(clock.now())


def publish(cast: Cast, essay_id: int, where: str = "mail", **form: str) -> str:
    """Publish on the page, and return the words of the page that asked for the confirmation."""
    address, given = (
        f"/desk/essays/{essay_id}/publish",
        {"where": where, "when": "now", "version": "0"} | form,
    )
    review = cast.author.post(address, given)
    assert review.status_code == 200
    assert cast.author.post(address, given | {"confirm": "1"}).status_code == 303
    return words(review)


def published(cast: Cast, title: str = "Tides", source: str = "Some words.", **options: Any) -> int:
    """Write an essay and publish it to be sent."""
    essay_id = write(cast, title, source, at=DRAFT, **options)
    publish(cast, essay_id)
    return essay_id


def publish_page(cast: Cast, essay_id: int) -> str:
    return words(cast.author.get(f"/desk/essays/{essay_id}/publish"))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces so small that a few readers are several."""
    monkeypatch.setattr(sending, "PIECE", 7)


def test_everybody_who_asked_gets_it_once_as_the_sentence_said(cast: Cast) -> None:
    groups = crowd(cast, 1_001)
    essay_id = write(cast, "Gated", GATED, at=DRAFT, access=Access.PAID)
    review = publish(cast, essay_id)
    assert store(cast.app) > 0
    expected = {
        address: "whole" if group in MAY_READ_PAID else "preview"
        for address, group in groups.items()
        if group not in UNREACHED | IN_DIGESTS
    }
    in_digests = {address for address, group in groups.items() if group in IN_DIGESTS}
    got = mails(cast.app, essay_id)
    assert got == expected | {"author@mail.example": "whole"}
    assert noticed(cast.app, essay_id) == in_digests
    assert cast.read(Sending, essay_id).in_digests == len(in_digests)
    whole = sum(words == "whole" for words in got.values())
    assert f"and sent to {len(got)} subscribers ({len(in_digests)} more find it in their digest)" in review
    assert f"{whole} get the whole text, {len(got) - whole} its beginning." in review
    assert f"Publish and send to {len(got)} readers" in review
    assert review.index("What is sent cannot be unsent.") < review.index("At once,")
    assert store(cast.app) == 0
    assert len(mails(cast.app, essay_id)) == len(got)


def test_supporters_words_are_in_no_mail_to_others(cast: Cast) -> None:
    essay_id = published(cast, "Gated", GATED, access=Access.PAID)
    store(cast.app)
    row = cast.read(Sending, essay_id)
    whole, preview = cast.read(Mailing, row.whole_id), cast.read(Mailing, row.preview_id)
    assert SECRET in whole.text
    assert SECRET in whole.html
    assert "Everyone reads this." in preview.text
    assert "Here the opening ends. The rest is for supporters." in preview.text
    assert "Read on: http://localhost/essays/gated" in preview.text
    assert SECRET not in preview.text + preview.html
    with cast.app.app_context():
        assert SECRET not in "".join(db.session.scalars(select(Notice.words)))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_a_crash_anywhere_leaves_nobody_out_and_writes_to_nobody_twice(cast: Cast, moment: str) -> None:
    groups = crowd(cast, 39)
    essay_id = published(cast)
    wanted = {address for address, group in groups.items() if group not in UNREACHED | IN_DIGESTS}
    crashes = 0
    for commit in range(1, 8):
        with cast.app.app_context(), crash_at(moment, commit):
            try:
                begin_sendings(clock.now())
            except Crash:
                crashes += 1
    store(cast.app)
    assert crashes >= 3
    assert set(mails(cast.app, essay_id)) == wanted | {"author@mail.example"}
    in_digests = {address for address, group in groups.items() if group in IN_DIGESTS}
    assert noticed(cast.app, essay_id) == in_digests
    assert cast.read(Sending, essay_id).in_digests == len(in_digests)
    assert count(cast.app, Mailing) == 1


class Crash(Exception):
    """The power went out."""


@contextmanager
def crash_at(moment: str, number: int) -> Iterator[None]:
    """Let the n-th commit of the block end in a crash, before or after the database has it."""
    seen = 0

    def listener(_session: Session) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Crash

    event.listen(db.session, moment, listener)
    try:
        yield
    finally:
        event.remove(db.session, moment, listener)


@pytest.mark.usefixtures("small_pieces")
def test_two_workers_at_once_write_to_nobody_twice(cast: Cast) -> None:
    groups = crowd(cast, 104)
    essay_id = published(cast)
    workers = [Thread(target=store, args=(cast.app,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    while store(cast.app):
        pass
    wanted = {address for address, group in groups.items() if group not in UNREACHED | IN_DIGESTS}
    assert set(mails(cast.app, essay_id)) == wanted | {"author@mail.example"}
    assert cast.read(Sending, essay_id).in_digests == 16
    assert count(cast.app, Mailing) == 1


@pytest.mark.usefixtures("small_pieces")
def test_a_turn_ends_so_that_other_mail_can_leave(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECES_A_TURN", 2)
    crowd(cast, 52)
    published(cast)
    assert [store(cast.app) for _ in range(5)] == [14, 14, 9, 0, 0]


def test_a_scheduled_essay_is_sent_at_its_time_to_those_who_are_subscribed_then(cast: Cast) -> None:
    moment = datetime(2031, 5, 6, 9, 0, tzinfo=UTC)
    cast.subscribe(cast.user("supporter"), Kind.PAID, moment + timedelta(days=1))
    cast.subscribe(cast.user("former"), Kind.PAID, moment - timedelta(days=300))
    essay_id = write(cast, "Gated", GATED, at=DRAFT, access=Access.PAID)
    review = publish(cast, essay_id, when="later", date="2031-05-06", time="09:00")
    assert "On 6 May 2031 at 09:00 UTC, “Gated” will be published" in review
    assert "and sent to 3 subscribers" in review
    assert "2 get the whole text, 1 its beginning." in review
    assert "Schedule and send to 3 readers" in review
    with time_machine.travel(moment - timedelta(seconds=1), tick=False):
        assert store(cast.app) == 0
        author = cast.sign_in(cast.author.user_id or 0)
        page = words(author.get(f"/desk/essays/{essay_id}/publish"))
        assert "be sent to subscribers" in words(author.get(f"/desk/essays/{essay_id}"))
        assert "and sent to 3 subscribers. 2 get" in page.replace("; subscribers may comment", "")
        cast.user("newcomer")
    with time_machine.travel(moment, tick=False):
        assert store(cast.app) == 4
    assert mails(cast.app, essay_id) == {
        "author@mail.example": "whole",
        "supporter@mail.example": "whole",
        "former@mail.example": "preview",
        "newcomer@mail.example": "preview",
    }


def test_rescheduling_keeps_the_wish_and_unscheduling_or_site_only_takes_it_back(cast: Cast) -> None:
    essay_id = write(cast, "Later", at=DRAFT)
    publish(cast, essay_id, when="later", date="2031-05-06", time="09:00")
    asked_at = cast.read(Sending, essay_id).asked_at
    publish(cast, essay_id, when="later", date="2031-06-06", time="09:00")
    assert cast.read(Sending, essay_id).asked_at == asked_at
    publish(cast, essay_id, "site", when="later", date="2031-06-06", time="09:00")
    assert cast.read(Sending, essay_id) is None
    publish(cast, essay_id, when="later", date="2031-06-06", time="09:00")
    cast.author.post(f"/desk/essays/{essay_id}/unschedule")
    assert cast.read(Sending, essay_id) is None
    with time_machine.travel(datetime(2031, 7, 1, tzinfo=UTC)):
        assert store(cast.app) == 0


def test_what_is_being_sent_is_not_made_a_draft_again(cast: Cast) -> None:
    moment = datetime(2031, 5, 6, 9, tzinfo=UTC)
    essay_id = write(cast, "Later", at=DRAFT)
    publish(cast, essay_id, when="later", date="2031-05-06", time="09:00")
    with cast.app.app_context():  # by a worker that reads its clock a moment after the author's request
        assert begin_sendings(moment) == 1
    assert cast.author.post(f"/desk/essays/{essay_id}/unschedule").location.endswith("/withdraw")
    assert cast.read(Essay, essay_id).published_at == moment


def test_what_comes_out_while_it_is_rendered_is_not_put_off(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = clock.now() + timedelta(hours=1)
    essay_id = write(cast, "Later", at=moment)
    typed = editor_form(cast, essay_id, body="Other words.")
    cast.author.post(f"/desk/essays/{essay_id}", typed | {"draft": "1"})
    with time_machine.travel(moment - timedelta(seconds=1), tick=False) as hand:

        def render_slowly(words: EssayWords) -> EssayText:
            hand.shift(timedelta(seconds=2))
            return render_apart(words)

        monkeypatch.setattr(release, "render_apart", render_slowly)
        form = {"where": "mail", "when": "later", "date": "2031-06-06", "time": "09:00", "confirm": "1"}
        answer = cast.author.post(f"/desk/essays/{essay_id}/publish", form | {"version": "1"})
        assert answer.location == f"/desk/essays/{essay_id}/publish"
        assert "has come out meanwhile" in words(cast.author.get(answer.location))
    assert cast.read(Essay, essay_id).published_at == moment
    assert count(cast.app, Sending) == 0


def test_a_form_that_does_not_ask_and_the_site_only_send_nothing(cast: Cast) -> None:
    for form in ({}, {"where": "site"}):
        essay_id = write(cast, "Quiet", at=DRAFT)
        given = {"when": "now", "version": "0", "confirm": "1"} | form
        assert cast.author.post(f"/desk/essays/{essay_id}/publish", given).status_code == 303
    assert "By e-mail" not in publish_page(cast, essay_id)
    assert store(cast.app) == 0
    assert count(cast.app, Sending) == 0


def test_what_is_imported_is_sent_when_that_is_asked_for(
    cast: Cast, run: Callable[..., Result], file: Callable[..., Path]
) -> None:
    path = file("letter.md", "---\ntitle: A letter\n---\n\nSome words.")
    refused = run("essays", "import", path, "--author", "author@mail.example", "--send")
    assert (refused.exit_code, "add --publish" in refused.output) == (1, True)
    done = run("essays", "import", path, "--author", "author@mail.example", "--publish", "--send")
    assert done.exit_code == 0, done.output
    with cast.app.app_context():
        begin_sendings(clock.now())
        assert [mail.to_address for mail in db.session.scalars(select(Message))] == ["author@mail.example"]


def test_what_is_imported_is_not_sent(
    cast: Cast, run: Callable[..., Result], file: Callable[..., Path]
) -> None:
    path = file("tides.md", "---\ntitle: Tides\n---\n\nSome words.")
    assert run("essays", "import", path, "--author", "author@mail.example", "--publish").exit_code == 0
    assert cast.stranger.get("/essays/tides").status_code == 200
    assert store(cast.app) == 0
    assert "Nothing is sent to subscribers without --send" in run("essays", "import", "--help").output


@pytest.mark.usefixtures("small_pieces")
def test_who_stops_the_letter_before_it_left_gets_none(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECES_A_TURN", 1)
    crowd(cast, 26)
    first, second = cast.user("first"), cast.user("second")
    essay_id = published(cast)
    while {"first@mail.example", "second@mail.example"} - set(mails(cast.app, essay_id)):
        store(cast.app)
    with cast.app.app_context():
        # One after it was stored, one in the moment in which it was, seeing nothing to take back.
        choose(db.session.get_one(User, first), Letter.ESSAYS, Pace.NEVER)
        db.session.add(Choice(user_id=second, letter=Letter.ESSAYS, pace=Pace.NEVER))
        db.session.execute(update(Sending).where(Sending.essay_id == essay_id).values(finished_at=None))
        db.session.commit()
    store(cast.app)
    assert cast.read(Sending, essay_id).finished_at is not None
    assert not {"first@mail.example", "second@mail.example"} & set(mails(cast.app, essay_id))


@pytest.mark.usefixtures("small_pieces")
def test_withdrawn_on_the_way_no_more_leave_and_published_again_it_is_not_sent_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PIECES_A_TURN", 2)
    crowd(cast, 52)
    essay_id = published(cast)
    store(cast.app)
    with cast.app.app_context():
        some = db.session.scalars(select(Message.id).order_by(Message.id).limit(3)).all()
        db.session.execute(update(Message).where(Message.id.in_(some)).values(sent_at=clock.now()))
        db.session.commit()
    assert noticed(cast.app, essay_id)
    cast.author.post(f"/desk/essays/{essay_id}/withdraw")
    assert len(mails(cast.app, essay_id)) == 3
    assert not noticed(cast.app, essay_id)
    assert store(cast.app) == 0
    page = publish_page(cast, essay_id)
    assert "It was sent to 3 subscribers before it was withdrawn. No more of these mails leave." in page
    cast.author.post(f"/desk/essays/{essay_id}/send-again")
    cast.author.post(f"/desk/essays/{essay_id}/republish")
    assert store(cast.app) == 0
    assert len(mails(cast.app, essay_id)) == 3
    assert "Sent to 3 subscribers." in publish_page(cast, essay_id)
    assert noticed(cast.app, essay_id)


def test_withdrawn_before_it_began_it_is_never_sent(cast: Cast) -> None:
    essay_id = published(cast)
    cast.author.post(f"/desk/essays/{essay_id}/withdraw")
    cast.author.post(f"/desk/essays/{essay_id}/republish")
    assert store(cast.app) == 0
    assert count(cast.app, Sending) == 0


def test_the_page_shows_the_progress_and_lets_the_failed_be_tried_again(cast: Cast) -> None:
    for name in ("one", "two", "three"):
        cast.user(name)
    essay_id = published(cast)
    page = publish_page(cast, essay_id)
    assert "0 sent so far. Its readers are still being gathered." in page
    store(cast.app)
    assert "0 of 4 sent." in publish_page(cast, essay_id)
    end(cast.app, "author@mail.example", sent_at=clock.now())
    end(cast.app, "one@mail.example", failed_at=clock.now(), last_error="550 <one@mail.example>: no such box")
    answer = cast.author.get(f"/desk/essays/{essay_id}/publish")
    assert "1 of 4 sent, 1 failed." in words(answer)
    assert "550 < … >: no such box" in words(answer).replace("<…>", "< … >")
    assert "one@mail.example" not in answer.text
    assert "/admin/mail" not in answer.text
    assert "data-refresh" in answer.text
    assert "/admin/mail" in cast.admin.get(f"/desk/essays/{essay_id}/publish").text
    for address in ("two@mail.example", "three@mail.example"):
        end(cast.app, address, sent_at=clock.now())
    answer = cast.author.get(f"/desk/essays/{essay_id}/publish")
    assert "3 of 4 sent, 1 failed." in words(answer)
    assert "data-refresh" not in answer.text
    assert cast.author.post(f"/desk/essays/{essay_id}/send-again").status_code == 303
    assert "1 mail is tried again." in (page := publish_page(cast, essay_id))
    assert "3 of 4 sent." in page
    with cast.app.app_context():
        still_open = db.session.scalars(select(Message.to_address).where(Message.is_open())).all()
        assert list(still_open) == ["one@mail.example"]
    end(cast.app, "one@mail.example", sent_at=clock.now())
    assert "Sent to 4 subscribers." in publish_page(cast, essay_id)
    with time_machine.travel(clock.now() + timedelta(days=91)):
        assert "Who got it is no longer kept." in words(
            cast.sign_in(cast.author.user_id or 0).get(f"/desk/essays/{essay_id}/publish")
        )


def end(app: Flask, address: str, **columns: Any) -> None:
    """Let the mail to an address end, as the worker notes it."""
    with app.app_context():
        db.session.execute(update(Message).where(Message.to_address == address).values(**columns))
        db.session.commit()


def test_a_mail_server_that_is_away_is_said(cast: Cast) -> None:
    essay_id = published(cast)
    store(cast.app)
    with cast.app.app_context():
        note_failure("connection to mail.secret.example refused")
        db.session.commit()
    page = publish_page(cast, essay_id)
    assert "The mail server takes no mail at the moment. Nothing is lost" in page
    assert "mail.secret.example" not in page
    assert "mail.secret.example" in words(cast.admin.get(f"/desk/essays/{essay_id}/publish"))


def test_with_nobody_subscribed_the_sentence_says_so_and_so_does_the_progress(cast: Cast) -> None:
    with cast.app.app_context():
        choose(db.session.get_one(User, cast.author.user_id), Letter.ESSAYS, Pace.NEVER)
        db.session.commit()
    essay_id = write(cast, "Alone", at=DRAFT)
    review = publish(cast, essay_id)
    assert "and sent to nobody, as nobody gets new essays by mail yet" in review
    assert "cannot be unsent" not in review
    store(cast.app)
    assert "There was nobody to send it to." in publish_page(cast, essay_id)


def test_a_test_goes_to_its_author_alone_and_shows_the_draft(cast: Cast) -> None:
    crowd(cast, 13)
    essay_id = write(cast, "Gated", GATED, at=DRAFT, access=Access.PAID)
    form = editor_form(cast, essay_id, title="Newer", body=GATED + "\n\nNewer words.")
    cast.author.post(f"/desk/essays/{essay_id}/autosave", form)
    assert cast.author.post(f"/desk/essays/{essay_id}/test").status_code == 303
    assert "Two tests, of the whole and of its opening, are on the way" in publish_page(cast, essay_id)
    with cast.app.app_context():
        whole, opening = db.session.scalars(select(Message).order_by(Message.id)).all()
        assert {whole.to_address, opening.to_address} == {"author@mail.example"}
        assert (whole.subject, opening.subject) == ("Test: Newer", "Test of the opening: Newer")
        assert (whole.letter, whole.batch) == ("", None)
        assert "Newer words." in whole.text
        assert "Newer words." not in opening.text
        assert MARK not in whole.text + whole.html
    assert cast.stranger.get("/essays/gated").status_code == 404


def test_tests_are_limited_and_not_sent_to_a_suppressed_address(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    essay_id = write(cast, "Ready", at=DRAFT)
    monkeypatch.setitem(cast.app.config, "RATE_LIMITS", True)
    monkeypatch.setattr("forum.essays.release.TESTS_AN_HOUR", 2)
    answers = [cast.author.post(f"/desk/essays/{essay_id}/test").status_code for _ in range(3)]
    assert answers == [303, 303, 429]
    assert count(cast.app, Message) == 2
    monkeypatch.setitem(cast.app.config, "RATE_LIMITS", False)
    with cast.app.app_context():
        db.session.add(Suppression(address="author@mail.example", why=Why.BOUNCED, created_at=clock.now()))
        db.session.commit()
    cast.author.post(f"/desk/essays/{essay_id}/test")
    assert "No test was sent: mail to your address came back." in publish_page(cast, essay_id)
    assert count(cast.app, Message) == 2


def test_the_mail_says_what_it_is_and_how_it_is_stopped(cast: Cast) -> None:
    source = "Some *words*, and [more](/archive).\n\n![A chart](/media/a.png)"
    essay_id = published(cast, "Tides", source, subtitle="What the moon does", closing="Until next week.")
    store(cast.app)
    mail = cast.read(Mailing, cast.read(Sending, essay_id).whole_id)
    assert mail.subject == "Tides"
    assert mail.text.split("\n")[:6] == [
        "Tides", "author", "", "What the moon does", "", "Read on the site: http://localhost/essays/tides",
    ]  # fmt: skip
    for line in (
        "Some *words*, and more <http://localhost/archive>.",
        "[Picture: A chart]",
        "Until next week.",
        "Answer: http://localhost/essays/tides#compose",
        "You get this because you asked for new essays.",
        f"Stop new essays: {MARK}",
        "What we send you: http://localhost/account/letters",
    ):
        assert line in mail.text.split("\n")
    assert f'<a href="{MARK}">Stop new essays</a>' in mail.html
    assert "prefers-color-scheme: dark" in mail.html
    assert "<img" not in mail.html
    assert (
        set(re.findall(r"""(?:src|url|@import|href="(?!http://localhost|https://unsub))[^>]*""", mail.html))
        == set()
    )
    with cast.app.app_context():
        ids = db.session.scalars(select(Message.message_id)).all()
        assert all(re.fullmatch(r"<[0-9a-f]{32}@[^>\s]+>", one) for one in ids)


def test_no_answer_is_asked_for_where_nobody_may_give_one(cast: Cast) -> None:
    essay_id = published(cast, comments=CommentPolicy.OFF)
    store(cast.app)
    assert "Answer" not in cast.read(Mailing, cast.read(Sending, essay_id).whole_id).text


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("Tides\r\nBcc: everybody@mail.example", "Tides Bcc: everybody@mail.example"),
        ("<script>alert(1)</script> & {{ 7 * 7 }}", "<script>alert(1)</script> & {{ 7 * 7 }}"),
        ("مد \u202eوجزر", "مد وجزر"),
        ("T" * 300, "T" * 300),
    ],
)
def test_a_hostile_title_stays_a_title(cast: Cast, title: str, subject: str) -> None:
    essay_id = published(cast, title)
    store(cast.app)
    mail = cast.read(Mailing, cast.read(Sending, essay_id).whole_id)
    assert mail.subject == subject
    assert mail.text.startswith(f"{subject}\nauthor\n")
    assert "<script" not in mail.html
