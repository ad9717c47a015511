"""Who may read on: the gate in words, periods under a moving clock, and words behind the mark that leak nowhere."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask, url_for
from sqlalchemy import select
from werkzeug.routing import Rule

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.sending import wish_to_send
from forum.jobs import JOBS
from forum.notifications.follow import toggle_follow
from forum.notifications.notice import Notice
from forum.notifications.watch import watch
from forum.outbox.message import Message
from forum.subscriptions.subscription import Kind, State, Subscription
from forum.subscriptions.tier import Words, change_tier
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.people import people, posted
from tests.essays.written import DRAFT, write

MARKER = "ebb-marker"
SOURCE = f"""The opening is for everyone.

<!--more-->

## A heading with {MARKER}

The rest says {MARKER}, ![a picture of {MARKER}](/media/{"0" * 64}.png)[^1]

[^1]: A note on {MARKER}.
"""
JSON = {"Accept": "application/json"}
DEVELOPERS_OWN = ("/dev/", "/static/")  # the mailbox of who develops the site, and its own style sheets
START = datetime(2026, 5, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


# One rule, asked in two languages


def test_the_condition_in_sql_is_the_function(cast: Cast) -> None:
    ids = {name: visitor.user_id for name, visitor in people(cast).items() if visitor.user_id}
    later = clock.now() + DAY
    for access in Access:
        for published_at in (clock.now() - DAY, later):
            cast.change(Essay, cast.essay_id, access=access, published_at=published_at)
            with cast.app.app_context():
                essay, now = db.session.get_one(Essay, cast.essay_id), clock.now()
                in_sql = set(db.session.scalars(select(User.id).where(essay.readers(now))))
                for name, user_id in ids.items():
                    reads = essay.may_read_whole(db.session.get_one(User, user_id), now)
                    assert (user_id in in_sql) == reads, (name, access, published_at)


# The gate


def test_a_stranger_is_told_for_whom_the_rest_is_and_how_long_and_can_subscribe_in_place(cast: Cast) -> None:
    write(cast, "Free", SOURCE, access=Access.SUBSCRIBERS)
    page = cast.stranger.get("/essays/free")
    assert "The rest is for subscribers" in words(page)
    assert "About 1 minute more. It is free." in words(page)
    assert '<input type="hidden" name="next" value="/essays/free">' in page.text
    assert page.text.count('action="/subscribe"') == 1
    assert 'href="/sign-in?next=/essays/free">Sign in</a> if you are one.' in page.text
    unconfirmed = words(cast.person("unconfirmed", email_confirmed_at=None).get("/essays/free"))
    assert "It is free. Open the link that we sent you" in unconfirmed


def test_the_gate_of_a_paid_essay_offers_what_the_admin_offers(cast: Cast) -> None:
    write(cast, "Paid", SOURCE, access=Access.PAID)
    for visitor in (cast.stranger, cast.reader):
        page = words(visitor.get("/essays/paid"))
        assert "The rest is for supporters" in page
        assert "Write to letters@" not in page  # nothing is offered, so nobody is told how to get it
    offer(cast)
    page = cast.stranger.get("/essays/paid")
    for sentence in ("Patron : £4 a month", "Every essay at dawn", "Leave a note at the harbour."):
        assert sentence in words(page), sentence
    assert ">Sign in</a> if you are one." in page.text
    assert 'action="/subscribe"' in page.text  # new essays can be asked for under every essay
    assert "/account/subscription" not in page.text
    assert '<a href="/account/subscription">Your subscription</a>' in cast.reader.get("/essays/paid").text


def test_who_publishes_a_paid_essay_hears_when_nobody_is_told_how_to_pay(cast: Cast) -> None:
    warning = "Readers are not told how to become supporters"
    essay_id = write(cast, "Paid", SOURCE, at=DRAFT, access=Access.PAID)
    assert warning in words(cast.author.get(f"/desk/essays/{essay_id}/publish"))
    free_id = write(cast, "Free", SOURCE, at=DRAFT, access=Access.SUBSCRIBERS)
    assert warning not in words(cast.author.get(f"/desk/essays/{free_id}/publish"))
    offer(cast)
    assert warning not in words(cast.author.get(f"/desk/essays/{essay_id}/publish"))


def test_where_only_supporters_comment_the_others_learn_how_to_become_one(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, comments=CommentPolicy.PAID)
    offer(cast)
    how = "Comments on this essay are for supporters (£4 a month). Leave a note at the harbour."
    comment = comment_id(cast.author.comment(cast.slug, "Mine."))
    for visitor in (cast.stranger, cast.reader):
        for address in ("/essays/on-tides", f"/comments/{comment}"):
            assert how in words(visitor.get(address)), (visitor.name, address)
    refused = cast.reader.comment(cast.slug, "Mine, too.", headers=JSON)
    assert refused.status_code == 403
    assert how in words(refused)


def test_the_discussion_behind_the_gate_shows_its_number_and_leads_to_ones_own_words(cast: Cast) -> None:
    reader = cast.reader
    write(cast, "Paid", SOURCE, access=Access.PAID)
    cast.subscribe(reader.user_id or 0, Kind.PAID)
    own = comment_id(reader.comment("paid", "Mine."))
    cast.author.comment("paid", "An answer.", own)
    end(cast, reader)
    page = reader.get("/essays/paid")
    assert "2 comments." in words(page)
    assert "An answer." not in words(page)
    assert "What you wrote in it is with your comments" in words(page)
    assert "Mine." in words(reader.get("/account/comments"))
    alone = words(reader.get(f"/comments/{own}"))
    assert "The discussion is for those who may read the whole essay. Your own words stay yours." in alone
    assert "An answer." not in alone
    back = reader.post(f"/comments/{own}/withdraw")
    assert back.status_code == 303
    assert "Your comment is withdrawn." in words(reader.get(back.headers["Location"]))


# A moving clock


@dataclass
class Period:
    """A reader with a paid period on a paid essay, who began one thread; `theirs` was begun by the author."""

    cast: Cast
    reader: Visitor
    ends_at: datetime
    own: int
    theirs: int

    def stands(self) -> str:
        """Tell in words what the reader may do now: by the page they see, and by what becomes of their comments."""
        reads = MARKER in self.reader.get("/essays/paid").text
        answers = {
            "writes": self.reader.comment("paid", f"At {clock.now()}."),
            "goes on": self.reader.comment("paid", f"Also at {clock.now()}.", self.own),
        }
        assert {answer.status_code for answer in answers.values()} <= {303, 403}
        done = [act for act, answer in answers.items() if answer.status_code == 303]
        assert self.reader.get(f"/comments/{self.own}").status_code == 200
        assert self.reader.get(f"/comments/{self.theirs}").status_code == (200 if reads else 404)
        return ", ".join(["reads"] * reads + done)


EVERYTHING, IN_GRACE, NOTHING = "reads, writes, goes on", "reads, goes on", ""


@pytest.fixture
def period(app: Flask) -> Iterator[tuple[Period, time_machine.Traveller]]:
    """Return the reader with 30 days before them, and the clock, which stands until it is moved."""
    with time_machine.travel(START, tick=False) as moving:
        cast = Cast(app)  # signed in by the same clock
        reader = cast.person("patron", accepted_comments=9)
        cast.subscribe(reader.user_id or 0, Kind.PAID, START + 30 * DAY)
        write(cast, "Paid", SOURCE, access=Access.PAID, comments=CommentPolicy.PAID)
        theirs = comment_id(cast.author.comment("paid", "What do you think?"))
        own = comment_id(reader.comment("paid", "I think of the moon."))
        yield Period(cast, reader, START + 30 * DAY, own, theirs), moving


def test_who_cancelled_reads_and_writes_until_the_second_it_ends_and_then_neither(
    period: tuple[Period, time_machine.Traveller],
) -> None:
    it, moving = period
    moving.shift(DAY)
    assert it.stands() == EVERYTHING
    assert it.reader.post("/account/subscription/cancel").status_code == 303
    for moment in (START + 2 * DAY, it.ends_at - SECOND):
        moving.move_to(moment)
        assert it.stands() == EVERYTHING
    for moment in (it.ends_at, it.ends_at + DAY):
        moving.move_to(moment)
        assert it.stands() == NOTHING
    page = words(it.reader.get("/essays/paid"))
    assert "The rest is for supporters" in page
    assert "Your subscription ended on 31 May 2026" in page
    assert it.reader.post(f"/comments/{it.own}/withdraw").status_code == 303


def test_who_did_not_cancel_has_days_of_grace_then_lapses_and_has_all_back_when_renewed(
    period: tuple[Period, time_machine.Traveller],
) -> None:
    it, moving = period
    moving.move_to(it.ends_at - SECOND)
    assert it.stands() == EVERYTHING
    moving.shift(SECOND)
    assert it.stands() == IN_GRACE
    page = it.reader.get("/essays/paid")
    over = "Your subscription ended on 31 May 2026. Until 7 June 2026 you can go on in the threads that you began."
    assert over in words(page)
    assert '<a href="/account/subscription">' in page.text
    moving.move_to(it.ends_at + 7 * DAY - SECOND)
    assert it.stands() == IN_GRACE
    moving.shift(SECOND)
    assert it.stands() == NOTHING
    moving.move_to(it.ends_at + 20 * DAY)
    renewal = {"act": "extend", "days": "30", "reason": "They renewed."}
    assert it.cast.admin.post(f"/admin/users/{it.reader.user_id}/subscription", renewal).status_code == 303
    assert it.stands() == EVERYTHING


# Nothing leaks


def test_no_address_gives_words_behind_the_mark_or_below_it_to_who_may_not_read_them(cast: Cast) -> None:
    without, lapsed = those_without(cast)
    essay_id, comments = talked_about(cast, lapsed)
    supporter = cast.person("patron")
    assert MARKER in supporter.get("/essays/paid").text
    assert MARKER in supporter.get(f"/comments/{comments[-1]}").text
    values = {
        "slug": ["paid", "free"],
        "comment_id": comments,
        "essay_id": [essay_id, cast.essay_id],
        "first": [essay_id],
        "user_id": [supporter.user_id, lapsed.user_id, cast.author.user_id],
        "author_id": [cast.author.user_id],
        "tag": ["gate"],
        "year": [clock.now().year],
        "token": ["no-such-token"],
        "name": ["0" * 64 + ".png"],
        "batch_id": [1],
        "code": ["words"],
    }
    for name in ("stranger", "free", "lapsed"):
        answered = 0
        for address in addresses(cast, values):
            for headers in ({}, JSON) if address.startswith(("/essays/", "/comments/")) else ({},):
                answer = without[name].get(address, headers=headers)
                assert MARKER not in answer.text, (name, address, headers)
                assert MARKER not in str(answer.headers), (name, address, headers)
                answered += answer.status_code == 200
        assert answered > 20, name


def test_no_mail_and_no_notice_gives_them_away_either(cast: Cast) -> None:
    without, lapsed = those_without(cast)
    lost, stayed = cast.person("lost"), cast.person("stayed")
    for visitor in (lost, stayed):
        cast.subscribe(visitor.user_id or 0, Kind.PAID)
    talked_about(cast, lapsed, lost, stayed)
    end(cast, lost)  # told while they could read, mailed when they no longer can
    run_jobs(cast)
    stopped = {*(one.user_id for one in without.values()), lost.user_id}
    mails = mails_of(cast)
    for sentence in (f"The rest says {MARKER}", f"I read {MARKER}, too, stayed."):
        assert any(sentence in text for text in mails[stayed.user_id or 0]), sentence
    for user_id in stopped - {None}:
        assert not any(MARKER in text for text in mails.get(user_id, ())), user_id
    with cast.app.app_context():
        told = db.session.scalars(select(Notice).where(Notice.words.contains(MARKER)))
        assert {notice.user_id for notice in told}.isdisjoint(stopped - {lost.user_id})
    assert MARKER not in lost.get("/account/notifications").text


def those_without(cast: Cast) -> tuple[dict[str, Visitor], Visitor]:
    """Return everyone who may not read what is paid, and of them the lapsed reader."""
    reading = ("paid", "complimentary", "cancelled", "grace", "author", "moderator", "admin")
    without = {name: visitor for name, visitor in people(cast).items() if name not in reading}
    return without, without["lapsed"]


def talked_about(cast: Cast, *once: Visitor) -> tuple[int, list[int]]:
    """Publish and send a paid essay, below which people wrote, and a supporter answered each of them.

    They follow its discussion and their thread. Return the essay's id and those of the comments.
    """
    closing = f"Thanks from {MARKER}."
    essay_id = write(cast, "Paid", SOURCE, access=Access.PAID, tags=["gate"], closing=closing)
    write(cast, "Free", "Open to all.", tags=["gate"])
    supporter = cast.person("patron", accepted_comments=9)
    cast.subscribe(supporter.user_id or 0, Kind.PAID)
    comments = []
    for visitor in once:
        own = posted(cast, essay_id, visitor.user_id or 0, "Mine")
        with cast.app.app_context():
            user = db.session.get_one(User, visitor.user_id)
            toggle_follow(user, essay_id)
            watch(user, own, is_muted=False)
            db.session.commit()
        answer = comment_id(supporter.comment("paid", f"I read {MARKER}, too, {visitor.name}.", own))
        comments += [own, answer]
    comments.append(comment_id(supporter.comment("paid", f"{MARKER} again.")))
    with cast.app.app_context():
        wish_to_send(db.session.get_one(Essay, essay_id), db.session.get_one(User, cast.author.user_id))
        db.session.commit()
    return essay_id, comments


def addresses(cast: Cast, values: dict[str, list[object]]) -> Iterator[str]:
    """Yield every address that can be asked for, with each of the values that its parts may have."""
    for rule in cast.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or str(rule).startswith(DEVELOPERS_OWN):
            continue
        for one in each_of(rule, values):
            with cast.app.test_request_context():
                address = url_for(rule.endpoint, **one)
            yield address
            if "slug" in one:
                yield from (f"{address}?sort={order}" for order in ("newest", "best", "picks"))


def each_of(rule: Rule, values: dict[str, list[object]]) -> Iterator[dict[str, object]]:
    """Yield the arguments for one rule; what this test does not know yet is an error, not left out."""
    names = sorted(rule.arguments)
    for choice in itertools.product(*(values[name] for name in names)):
        yield dict(zip(names, choice, strict=True))


def run_jobs(cast: Cast) -> None:
    """Let the worker write every mail that is due now, in a while, tomorrow and next week."""
    for later in (timedelta(0), timedelta(hours=2), DAY, 8 * DAY):
        with time_machine.travel(clock.now() + later), cast.app.app_context():
            for job in JOBS:
                job(clock.now())


def mails_of(cast: Cast) -> dict[int, list[str]]:
    """Return the texts of every person's mails."""
    found: dict[int, list[str]] = {}
    with cast.app.app_context():
        for message in db.session.scalars(select(Message).where(Message.user_id.is_not(None))):
            said = message.words
            found.setdefault(message.user_id or 0, []).append(f"{said.subject} {said.text} {said.html}")
    return found


def end(cast: Cast, visitor: Visitor) -> None:
    """Let a person's period be over for long."""
    cast.change(Subscription, visitor.user_id or 0, ends_at=clock.now() - 60 * DAY)


def offer(cast: Cast) -> None:
    """Let the admin offer the paid tier in words of their own."""
    with cast.app.app_context():
        gives = "Every essay at dawn\nA voice"
        change_tier(State.PAID, Words("Patron", "£4 a month", gives, "Leave a note at the harbour.", True))
        db.session.commit()
