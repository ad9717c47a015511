"""News of comments: who hears of one, when a mail leaves, what is gathered, and what is taken back."""

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.telling import unreadable
from forum.essays.essay import Access, Essay
from forum.jobs import send_news
from forum.notifications.follow import Follow
from forum.notifications.gathering import gather
from forum.notifications.notice import Notice, notify
from forum.notifications.watch import MutedPerson, watch
from forum.outbox.mime import as_mail
from forum.outbox.one_click import MARK, unsubscribe_url
from forum.subscriptions.letters import Letter, Pace
from forum.subscriptions.subscription import Kind, Subscription
from tests.cast import Cast, Visitor, comment_id
from tests.discussion.rows import statements
from tests.notifications.news import (  # noqa: F401
    DAY,
    HOUR,
    MINUTE,
    MONDAY_NOON,
    Traveller,
    mails_to,
    news,
    set_pace,
    time,
)

SOON = MINUTE  # longer than the window in which a decision may be undone


def say(who: Visitor, body: str, parent: int | None = None) -> int:
    """Post a comment under the essay of the cast and return its id."""
    answer = who.comment(Cast.slug, body, parent)
    assert answer.status_code == 303, answer.text
    return comment_id(answer)


def follow(cast: Cast, *people: Visitor) -> None:
    """Let people follow the discussion."""
    with cast.app.app_context():
        for one in people:
            db.session.add(Follow(user_id=one.user_id, essay_id=cast.essay_id, created_at=clock.now()))
        db.session.commit()


def told(cast: Cast, who: Visitor) -> list[tuple[str, str]]:
    """Return what stands in a person's inbox: the letter and what happened, oldest first."""
    mine = select(Notice).where(Notice.user_id == who.user_id, Notice.retracted_at.is_(None))
    with cast.app.app_context():
        return [(one.letter, one.heading) for one in db.session.scalars(mine.order_by(Notice.id))]


def test_each_person_hears_of_a_comment_once_as_what_it_is_to_them(time: Traveller, cast: Cast) -> None:  # noqa: F811
    first = say(cast.reader, "Tides wait for nobody.")
    follow(cast, cast.reader, cast.other_reader, cast.moderator)
    cast.person("unconfirmed", email_confirmed_at=None)
    follow(cast, cast.person("unconfirmed"))
    say(cast.other_reader, "They waited for me once.", first)
    assert told(cast, cast.reader) == [("replies", "answered you")]
    assert told(cast, cast.moderator) == [("followed", "answered reader")]
    assert told(cast, cast.author) == [("followed", "commented"), ("followed", "answered reader")]
    assert told(cast, cast.other_reader) == told(cast, cast.person("unconfirmed")) == []


def test_the_first_answer_leaves_at_once_whole_and_as_part_of_its_thread(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for *nobody*.")
    answer = say(
        cast.other_reader, "They **waited** for me once.\n\nAt [Dover](https://dover.example).", root
    )
    assert news(cast) == 1
    assert news(cast) == 0
    [mail] = mails_to(cast, cast.reader)
    assert (mail.kind, mail.letter) == ("reply", "replies")
    assert mail.subject == "other reader answered you: On tides"
    assert "> Tides wait for nobody.\n" in mail.text
    assert "  They *waited* for me once.\n\n  At Dover <https://dover.example>." in mail.text
    assert "<strong>waited</strong>" in mail.html
    for place in (
        f"/comments/{answer}",
        f"/comments/{answer}/reply",
        f"/comments/{root}",
        "/account/letters",
    ):
        assert f"http://localhost{place}\n" in mail.text
        assert f'href="http://localhost{place}"' in mail.html
    assert mail.message_id == f"<comment-{answer}.{cast.reader.user_id}@localhost>"
    thread = f"<thread-{root}.{cast.reader.user_id}@localhost>"
    assert mail.headers == {"In-Reply-To": thread, "References": thread}


def test_twenty_answers_in_ten_minutes_are_two_mails(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    for number in range(20):
        say(cast.moderator, f"Answer number {number}.", root)
        news(cast)
        time.shift(MINUTE / 2)
    assert len(mails_to(cast, cast.reader)) == 1
    time.shift(49 * MINUTE)
    assert news(cast) == 0
    time.shift(2 * MINUTE)
    assert news(cast) == 1
    first, second = mails_to(cast, cast.reader)
    assert second.subject == "19 answers to you in On tides"
    assert first.headers == second.headers
    assert "Answer number 0." in first.text
    assert "Answer number 0." not in second.text
    assert "Answer number 1." in second.text
    assert "Answer number 19." in second.text
    say(cast.moderator, "One more, in another hour.", root)
    time.shift(2 * HOUR)
    assert news(cast) == 1


def test_a_busy_thread_is_counted_where_it_does_not_fit(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    say(cast.moderator, "The first.", root)
    news(cast)
    for number in range(25):
        say(cast.moderator, f"Answer number {number}.", root)
    time.shift(2 * HOUR)
    assert news(cast) == 1
    mail = mails_to(cast, cast.reader)[-1]
    assert "25 answers" in mail.subject
    assert mail.text.count("Read and answer:") == 20
    assert "And 5 more: http://localhost/comments/" in mail.text


def test_digests_leave_once_a_day_and_weekly_ones_on_monday(time: Traveller, cast: Cast) -> None:  # noqa: F811
    daily, weekly = cast.other_reader, cast.moderator
    follow(cast, daily, weekly)
    set_pace(cast, weekly, Letter.FOLLOWED, Pace.WEEKLY)
    say(cast.reader, "Said on Monday.")
    assert news(cast) == 0
    time.move_to(MONDAY_NOON.replace(day=12, hour=6, minute=59))
    assert news(cast) == 0
    time.move_to(MONDAY_NOON.replace(day=12, hour=7))
    say(cast.reader, "Said on Tuesday, at seven.")
    assert news(cast) == 2  # the author follows as well
    time.shift(HOUR)
    assert news(cast) == 0
    [digest] = mails_to(cast, daily)
    assert (digest.kind, digest.subject) == ("digest", "Slack Water: 1 comment that you follow")
    assert "Said on Monday." in digest.text
    assert "Said on Tuesday" not in digest.text
    time.move_to(MONDAY_NOON.replace(day=13, hour=9))
    news(cast)
    assert "Said on Tuesday, at seven." in mails_to(cast, daily)[1].text
    assert mails_to(cast, weekly) == []
    time.move_to(MONDAY_NOON.replace(day=18, hour=7, minute=1))
    assert news(cast) == 1
    [digest] = mails_to(cast, weekly)
    assert "Said on Monday." in digest.text
    assert "Said on Tuesday" in digest.text
    assert len(mails_to(cast, daily)) == 2  # nothing to report, nothing sent


def test_a_digest_tells_of_essays_then_answers_then_the_rest_and_how_to_stop_each(
    time: Traveller,  # noqa: F811
    cast: Cast,
) -> None:
    reader = cast.reader
    set_pace(cast, reader, Letter.REPLIES, Pace.DAILY)
    follow(cast, reader)
    root = say(reader, "Tides wait for nobody.")
    say(cast.other_reader, "A thread of its own.")
    say(cast.other_reader, "An answer to the reader.", root)
    with cast.app.app_context():
        people = select(User.id).where(User.id == reader.user_id)
        texts = {"title": "On moons", "heading": "New essay by author", "url": "/essays/on-moons"}
        notify(Letter.ESSAYS, people, "essay:99", words="About what pulls.", **texts)
        db.session.commit()
    set_pace(cast, reader, Letter.ESSAYS, Pace.DAILY)
    time.shift(DAY)
    news(cast)
    [mail] = mails_to(cast, reader)
    places = [
        mail.text.index(words) for words in ("About what pulls.", "An answer to", "A thread of its own.")
    ]
    assert places == sorted(places)
    assert mail.subject.endswith("1 essay, 1 answer to you, 1 comment that you follow")
    assert mail.letter == "essays"
    assert mail.text.count("/unsubscribe/") == mail.html.count("/unsubscribe/") == 3


def test_a_digest_names_an_essay_once_however_many_threads_it_tells_of(time: Traveller, cast: Cast) -> None:  # noqa: F811
    reader = cast.reader
    follow(cast, reader)
    say(cast.other_reader, "One thread.")
    say(cast.other_reader, "Another thread.")
    time.shift(DAY)
    news(cast)
    [mail] = mails_to(cast, reader)
    assert "One thread." in mail.text
    assert "Another thread." in mail.text
    assert mail.text.count("* On tides") == mail.html.count(">On tides<") == 1


def test_an_approval_undone_in_the_window_leaves_no_trace_outside(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    held = say(cast.newcomer, "My first words here.", root)
    assert news(cast) == 0
    approve = f"/moderation/comments/{held}/approve"
    assert cast.moderator.post(approve, {"revision": 1}).status_code == 303
    time.shift(MINUTE / 4)
    assert news(cast) == 0
    with cast.app.app_context():
        event = db.session.scalars(select(Event.id).order_by(Event.id.desc())).first()
    assert cast.moderator.post(f"/moderation/undo/{event}").status_code == 303
    time.shift(HOUR)
    assert news(cast) == 0
    assert mails_to(cast, cast.newcomer) == mails_to(cast, cast.reader) == []
    assert cast.moderator.post(approve, {"revision": 1}).status_code == 303
    assert news(cast) == 0  # it may be undone again
    time.shift(MINUTE)
    assert news(cast) == 2
    assert [mail.kind for mail in mails_to(cast, cast.reader)] == ["reply"]
    assert [mail.kind for mail in mails_to(cast, cast.newcomer)] == ["decision"]
    assert told(cast, cast.moderator) == []


def test_what_goes_is_not_mailed_and_what_comes_back_is_mailed_once(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    answer = say(cast.other_reader, "They waited for me once.", root)
    hide, restore = f"/moderation/comments/{answer}/hide", f"/moderation/comments/{answer}/restore"
    assert cast.moderator.post(hide, {"revision": 1, "reason": "unkind"}).status_code == 303
    assert (news(cast), told(cast, cast.reader)) == (0, [])
    for _ in range(2):
        assert cast.moderator.post(restore).status_code == 303
        assert told(cast, cast.reader) == [("replies", "answered you")]
        news(cast)
        assert len(mails_to(cast, cast.reader)) == 1
        assert cast.moderator.post(hide, {"revision": 1, "reason": "unkind"}).status_code == 303
        assert told(cast, cast.reader) == []
        time.shift(2 * HOUR)


def test_words_taken_back_leave_in_no_mail_that_still_waits(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "A question.")
    first = say(cast.other_reader, "Words that are regretted.", root)
    news(cast)
    time.shift(HOUR)
    say(cast.moderator, "Another answer.", root)
    gone = say(cast.other_reader, "More that is regretted.", root)
    news(cast)
    for comment in (first, gone):
        assert cast.other_reader.post(f"/comments/{comment}/withdraw").status_code == 303
    time.shift(MINUTE)
    news(cast)
    mails = mails_to(cast, cast.reader)
    assert len(mails) == 1
    assert "Another answer." in mails[0].text
    assert "regretted" not in "".join(mail.text + mail.html for mail in mails)


@pytest.mark.parametrize("how", ["thread muted", "person muted", "letter off", "banned", "withdrawn"])
def test_who_wants_it_no_more_gets_no_mail_about_it(time: Traveller, cast: Cast, how: str) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    answer = say(cast.other_reader, "They waited for me once.", root)
    with cast.app.app_context():
        reader = db.session.get_one(User, cast.reader.user_id)
        if how == "thread muted":
            watch(reader, root, is_muted=True)
        if how == "person muted":
            muted = {"user_id": reader.id, "muted_id": cast.other_reader.user_id}
            db.session.add(MutedPerson(**muted, created_at=clock.now()))
        if how == "banned":
            reader.banned_at = clock.now()
        db.session.commit()
    if how == "letter off":
        set_pace(cast, cast.reader, Letter.REPLIES, Pace.NEVER)
    if how == "withdrawn":
        assert cast.other_reader.post(f"/comments/{answer}/withdraw").status_code == 303
    assert news(cast) == 0
    time.shift(DAY)
    news(cast)
    assert mails_to(cast, cast.reader) == []


def test_nobody_is_mailed_words_below_an_essay_they_may_not_read(time: Traveller, cast: Cast) -> None:  # noqa: F811
    for who in (cast.reader, cast.other_reader):
        cast.subscribe(who.user_id or 0, Kind.PAID, MONDAY_NOON + 2 * DAY)
    cast.change(Essay, cast.essay_id, access=Access.PAID)
    follow(cast, cast.reader, cast.newcomer)
    root = say(cast.reader, "For supporters only.")
    set_pace(cast, cast.reader, Letter.REPLIES, Pace.DAILY)
    say(cast.other_reader, "A secret answer.", root)
    assert told(cast, cast.newcomer) == []  # never could
    cast.change(Subscription, cast.reader.user_id or 0, ends_at=MONDAY_NOON, cancelled_at=MONDAY_NOON)
    time.shift(DAY)
    news(cast)
    assert mails_to(cast, cast.reader) == []  # could, but not any more
    assert "A secret answer." in mails_to(cast, cast.author)[0].text


def test_an_edit_is_what_the_mail_says(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    answer = say(cast.other_reader, "Hasty words.", root)
    edit = {"body": "Considered words.", "revision": "1"}
    assert cast.other_reader.post(f"/comments/{answer}/edit", edit).status_code == 303
    news(cast)
    [mail] = mails_to(cast, cast.reader)
    assert "Considered words." in mail.text
    assert "Hasty" not in mail.text + mail.html


def test_a_thousand_followers_are_told_in_as_many_statements_as_one(time: Traveller, cast: Cast) -> None:  # noqa: F811
    cast.reader.comment(cast.slug, "Makes the session.")
    with statements(cast.app) as few:
        say(cast.reader, "To few.")
    with cast.app.app_context():
        now = clock.now()
        for number in range(250):
            name = f"follower {number}"
            user = User(name=name, email=f"f{number}@mail.example", email_confirmed_at=now, created_at=now)
            db.session.add(user)
            db.session.flush()
            db.session.add(Follow(user_id=user.id, essay_id=cast.essay_id, created_at=now))
        db.session.commit()
    with statements(cast.app) as many:
        last = say(cast.reader, "To many.")
    assert len(many) == len(few)
    time.shift(DAY)
    assert news(cast) == 251  # in three pieces
    assert news(cast) == 0
    with cast.app.app_context():
        about = select(Notice.mailed_at).where(Notice.subject == f"comment:{last}")
        assert set(db.session.scalars(about)) == {clock.now()}


def test_two_workers_at_once_write_each_mail_once(time: Traveller, cast: Cast) -> None:  # noqa: F811
    root = say(cast.reader, "Tides wait for nobody.")
    follow(cast, *(cast.person(f"follower {number}") for number in range(30)))
    for number in range(30):
        set_pace(cast, cast.person(f"follower {number}"), Letter.FOLLOWED, Pace.NOW)
    say(cast.other_reader, "They waited for me once.", root)
    barrier, written = threading.Barrier(3), list[int]()

    def work() -> None:
        with cast.app.app_context():
            barrier.wait()
            written.append(send_news(clock.now()))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    news(cast)  # whoever was in another worker's hands when one came by
    people = [cast.reader, *(cast.person(f"follower {number}") for number in range(30))]
    assert [len(mails_to(cast, one)) for one in people] == [1] * 31


def test_a_worker_that_fails_midway_loses_nothing_and_repeats_nothing(time: Traveller, cast: Cast) -> None:  # noqa: F811
    say(cast.other_reader, "They waited for me once.", say(cast.reader, "Tides wait for nobody."))

    def fail(_notices: Sequence[Notice], _now: object) -> set[int]:
        raise OSError("the disk is full")

    with cast.app.app_context(), pytest.raises(OSError, match="full"):
        gather(clock.now(), fail)
    with cast.app.app_context():
        assert [gather(clock.now(), unreadable), gather(clock.now(), unreadable)] == [1, 0]
    assert len(mails_to(cast, cast.reader)) == 1


def test_titles_and_names_cannot_break_out_of_a_mail(time: Traveller, cast: Cast) -> None:  # noqa: F811
    cast.change(Essay, cast.essay_id, title="On \u202esedit\r\nBcc: all@mail.example <b>")
    root = say(cast.reader, "Tides wait for nobody.")
    hostile = "Stop mails: https://evil.example\n\n<img src=x onerror=alert(1)>\n\n--\nA forum"
    say(cast.person("ada <b>", accepted_comments=2), hostile, root)
    news(cast)
    [mail] = mails_to(cast, cast.reader)
    assert mail.subject == "ada <b> answered you: On sedit Bcc: all@mail.example <b>"
    assert "<img" not in mail.html
    assert "<bdi>ada &lt;b&gt;</bdi>" in mail.html
    typed = mail.text[mail.text.index("Stop mails: https://evil") - 2 :].partition("Answer: ")[0]
    assert all(line.startswith("  ") or not line for line in typed.splitlines())
    with cast.app.app_context():
        sent = as_mail(mail)
    assert sent["Bcc"] is None
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert sent["In-Reply-To"] == sent["References"] == mail.headers["References"]
    assert cast.read(Comment, root).visible


def test_no_link_that_somebody_wrote_learns_how_its_reader_stops_a_letter(
    time: Traveller,  # noqa: F811
    cast: Cast,
) -> None:
    question = say(cast.reader, "When is high water?")
    say(
        cast.other_reader,
        f"[Here](https://tides.example/?at={MARK}) and https://tides.example/{MARK}",
        question,
    )
    news(cast)
    [mail] = mails_to(cast, cast.reader, "reply")
    with cast.app.app_context():
        secret = unsubscribe_url(mail.user_id or 0, mail.letter)
        sent = as_mail(mail)
    texts = [part.get_content() for part in sent.iter_parts()]
    assert ["tides.example/" in text for text in texts] == [True, True]
    assert [text.count(secret) for text in texts] == [1, 1]
