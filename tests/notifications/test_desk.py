"""The reader's desk: letters and their paces, an inbox, threads and people whom one follows or has muted."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.essays.essay import Access, Essay
from forum.notifications.notice import Notice, notify, retract, unread_count
from forum.notifications.watch import MutedPerson, ThreadWatch
from forum.outbox.suppression import Why, is_suppressed, suppress
from forum.subscriptions.letters import Letter, Pace, choices_of
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import statements
from tests.pages.test_routes import fingerprint

INBOX = "/account/notifications"
LETTERS = "/account/letters"
NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)


def tell(cast: Cast, whom: Visitor, subject: str, **values: Any) -> int:
    """Put a notice before a person and return its id."""
    given = {"title": "On tides", "heading": "answered you", "url": "/essays/on-tides"} | values
    by = given.pop("by", None)
    with cast.app.app_context():
        people = select(User.id).where(User.id == whom.user_id)
        notify(Letter.REPLIES, people, subject, by=db.session.get(User, by) if by else None, **given)
        db.session.commit()
        return db.session.scalars(select(Notice.id).order_by(Notice.id.desc())).first() or 0


def unread(cast: Cast, whom: Visitor) -> int:
    with cast.app.app_context():
        return unread_count(db.session.get_one(User, whom.user_id))


def paces(cast: Cast, whom: Visitor) -> dict[Letter, Pace]:
    with cast.app.app_context():
        return choices_of(db.session.get_one(User, whom.user_id))


def watched(cast: Cast) -> list[tuple[int, int, bool]]:
    with cast.app.app_context():
        return [(row.user_id, row.thread_id, row.is_muted) for row in db.session.scalars(select(ThreadWatch))]


def between(page: str, start: str, end: str = "\0") -> str:
    return page.partition(start)[2].partition(end)[0]


def test_each_letter_has_a_pace_and_staff_have_one_more(cast: Cast) -> None:
    usual = {"essays": "now", "replies": "now", "followed": "daily", "decisions": "now"}
    assert chosen(cast.reader.get(LETTERS).text) == usual
    assert 'name="moderation"' in cast.moderator.get(LETTERS).text
    wanted = {"essays": "weekly", "replies": "daily", "followed": "never", "decisions": "never"}
    assert cast.reader.post(LETTERS, wanted).headers["Location"] == LETTERS
    assert {letter.value: pace.value for letter, pace in paces(cast, cast.reader).items()} == wanted
    assert chosen(cast.reader.get(LETTERS).text) == wanted


def chosen(page: str) -> dict[str, str]:
    """Return what is chosen among the radio buttons of a page, by their names."""
    tags = [tag for tag in re.findall(r"<input[^>]*>", page) if re.search(r"\schecked\b", tag)]
    attributes = [dict(re.findall(r'(\w+)="([^"]*)"', tag)) for tag in tags]
    return {given["name"]: given["value"] for given in attributes}


@pytest.mark.parametrize("wrong", [{}, {"decisions": "weekly"}, {"essays": "hourly"}])
def test_a_pace_that_there_is_not_is_refused_and_nothing_is_saved(cast: Cast, wrong: dict[str, str]) -> None:
    good = {"essays": "daily", "replies": "daily", "followed": "daily", "decisions": "never"}
    before = paces(cast, cast.reader)
    answer = cast.reader.post(LETTERS, good | wrong if wrong else {})
    assert (answer.status_code, "There is a problem" in words(answer)) == (422, True)
    assert paces(cast, cast.reader) == before


def test_nothing_at_all_is_one_button_and_a_reader_cannot_choose_what_staff_get(cast: Cast) -> None:
    answer = cast.reader.post(LETTERS, {"nothing": "yes", "moderation": "now"})
    assert answer.status_code == 303
    assert "such as a link to sign in" in words(cast.reader.get(LETTERS))
    assert paces(cast, cast.reader) == dict.fromkeys(set(Letter) - {Letter.MODERATION}, Pace.NEVER)
    assert "Nothing but what you ask for" in words(cast.reader.get("/account"))


def test_who_gets_no_mail_because_it_came_back_is_told_and_can_try_again(cast: Cast) -> None:
    reader, address = cast.reader, "reader@mail.example"
    assert "came back" not in words(reader.get(LETTERS))
    for why, can_retry in ((Why.BY_HAND, False), (Why.BOUNCED, True)):
        with cast.app.app_context():
            suppress(address, why)
            db.session.commit()
        page = reader.get(LETTERS)
        assert 'href="/account/address"' in page.text
        assert ("Try this address again" in words(page)) == can_retry
        reader.post(LETTERS, {"resume": "yes"})
        with cast.app.app_context():
            assert is_suppressed(address) != can_retry
            db.session.execute(db.text("DELETE FROM suppression"))
            db.session.commit()


def test_looking_at_the_inbox_and_following_its_links_marks_nothing(cast: Cast) -> None:
    reader = cast.reader
    answer = comment_id(cast.other_reader.comment(cast.slug, "An answer."))
    tell(
        cast,
        reader,
        f"comment:{answer}",
        by=cast.other_reader.user_id,
        words="An *answer*.",
        quote="My own words.",
    )
    reader.get(INBOX)
    before = fingerprint(cast.app)
    page = reader.get(INBOX)
    for address in (
        INBOX,
        f"/comments/{answer}",
        f"/comments/{answer}/reply",
        "/essays/on-tides",
        "/account",
    ):
        assert reader.get(address).status_code in (200, 303)
    assert fingerprint(cast.app) == before
    assert "other reader answered you" in words(page)
    assert "My own words. An answer." in words(page)
    assert f'href="/comments/{answer}/reply"' in page.text
    assert unread(cast, reader) == 1


def test_a_notice_is_read_when_it_is_opened_or_marked_and_new_again_when_one_says_so(cast: Cast) -> None:
    reader = cast.reader
    first = tell(cast, reader, "comment:1", url="http://localhost/comments/1")
    second = tell(cast, reader, "comment:2")
    assert reader.post(f"{INBOX}/{first}/open").headers["Location"] == "/comments/1"
    assert unread(cast, reader) == 1
    answer = reader.post(f"{INBOX}/{second}/read", {"next": f"{INBOX}#notice-{first}"})
    assert answer.headers["Location"] == f"{INBOX}#notice-{first}"
    assert unread(cast, reader) == 0
    reader.post(f"{INBOX}/{first}/read", {"unread": "yes"})
    assert unread(cast, reader) == 1
    page = reader.get(INBOX).text
    assert f"notice-{first}" in between(page, 'id="new"', 'id="earlier"')
    assert f"notice-{second}" in between(page, 'id="earlier"')


def test_mark_all_as_read_leaves_what_came_meanwhile(cast: Cast) -> None:
    reader = cast.reader
    for number in range(3):
        tell(cast, reader, f"comment:{number}")
    shown = between(reader.get(INBOX).text, 'name="newest" value="', '"')
    tell(cast, reader, "comment:9")
    tell(cast, cast.other_reader, "comment:0")
    assert reader.post(f"{INBOX}/read", {"newest": shown}).status_code == 303
    assert (unread(cast, reader), unread(cast, cast.other_reader)) == (1, 1)
    reader.post(f"{INBOX}/read", {"newest": "nonsense"})
    assert unread(cast, reader) == 1


def test_the_notices_of_another_do_not_exist(cast: Cast) -> None:
    theirs = tell(cast, cast.other_reader, "comment:1", words="Not for everybody.")
    assert "Not for everybody." not in cast.reader.get(INBOX).text
    for deed in ("open", "read"):
        assert cast.reader.post(f"{INBOX}/{theirs}/{deed}").status_code == 404
    assert unread(cast, cast.other_reader) == 1


def test_a_notice_leads_nowhere_but_to_this_site(cast: Cast) -> None:
    for url in ("https://elsewhere.example/", "//elsewhere.example", "http://localhost.elsewhere.example/"):
        notice = tell(cast, cast.reader, f"event:{len(url)}", url=url)
        assert cast.reader.post(f"{INBOX}/{notice}/open").headers["Location"] == INBOX


def test_what_was_taken_back_or_may_still_be_undone_is_not_in_the_inbox(cast: Cast) -> None:
    with time_machine.travel(NOON, tick=False):
        reader = cast.reader
        tell(cast, reader, "event:1", words="Later.", not_before=NOON + timedelta(seconds=30))
        tell(cast, reader, "comment:2", words="Gone.")
        with cast.app.app_context():
            retract(["comment:2"])
            db.session.commit()
        assert "Nothing new." in words(reader.get(INBOX))
        assert "masthead__count" not in reader.get("/archive").text
    with time_machine.travel(NOON + timedelta(seconds=31), tick=False):
        page = words(reader.get(INBOX))
        assert ("Later." in page, "Gone." in page) == (True, False)


def test_words_below_an_essay_that_one_may_no_longer_read_are_kept_back(cast: Cast) -> None:
    answer = comment_id(cast.other_reader.comment(cast.slug, "An answer."))
    tell(cast, cast.reader, f"comment:{answer}", words="For supporters.", quote="Of the essay.")
    cast.change(Essay, cast.essay_id, access=Access.PAID)
    page = words(cast.reader.get(INBOX))
    assert ("For supporters." in page, "Of the essay." in page) == (False, False)
    assert "Its words are for those who may read the whole essay." in page


def test_the_masthead_counts_what_is_new_for_people_only_and_in_one_statement(cast: Cast) -> None:
    assert "Notices" not in words(cast.stranger.get("/archive"))
    counts = []
    for number in range(3):
        with statements(cast.app) as sent:
            page = cast.reader.get("/archive")
        assert (f"Notices {number} new" in words(page)) == bool(number)
        counts.append(sum("notice" in statement for statement in sent))
        tell(cast, cast.reader, f"comment:{number}")
    assert counts == [1, 1, 1]
    with statements(cast.app) as sent:
        assert cast.reader.get("/nowhere").status_code == 404
        cast.stranger.get("/archive")
    assert not any("notice" in statement for statement in sent)


def test_the_inbox_has_pages_of_fifty_and_takes_as_many_statements_for_one_as_for_all(cast: Cast) -> None:
    counts = []
    for number in range(51):
        tell(cast, cast.reader, f"comment:{number}", thread=f"thread:{number}")
        if number in (0, 49):
            with statements(cast.app) as sent:
                cast.reader.get(INBOX)
            counts.append(len(sent))
    assert counts[0] == counts[1], counts
    assert cast.reader.get(INBOX).text.count('class="notice"') == 50
    assert cast.reader.get(f"{INBOX}?page=2").text.count('class="notice"') == 1
    assert cast.reader.get(f"{INBOX}?page=3").status_code == 404


def test_a_thread_is_followed_or_muted_from_any_of_its_comments_and_never_both(cast: Cast) -> None:
    reader, user_id = cast.reader, cast.reader.user_id
    root = comment_id(cast.other_reader.comment(cast.slug, "A first comment."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer.", root))
    assert "Follow this thread" in words(reader.get(f"/comments/{reply}"))
    for _ in range(2):  # sent twice it is the same
        assert (
            reader.post(f"/comments/{reply}/follow").headers["Location"] == f"/comments/{reply}#mute-thread"
        )
        assert watched(cast) == [(user_id, root, False)]
    assert "Stop following" in words(reader.get(f"/comments/{root}"))
    reader.post(f"/comments/{root}/mute", {"next": INBOX})
    assert watched(cast) == [(user_id, root, True)]
    assert "Threads you muted Begun by other reader On On tides Unmute" in words(reader.get("/account"))
    reader.post(f"/comments/{root}/follow", {"stop": "yes"})
    assert watched(cast) == [(user_id, root, True)]
    reader.post(f"/comments/{root}/mute", {"stop": "yes"})
    assert watched(cast) == []


def test_who_may_not_follow_may_mute_and_everybody_may_stop(cast: Cast) -> None:
    reader, user_id = cast.reader, cast.reader.user_id or 0
    root = comment_id(cast.other_reader.comment(cast.slug, "A first comment."))
    reader.post(f"/comments/{root}/follow")
    cast.change(User, user_id, banned_at=clock.now())
    assert reader.post(f"/comments/{root}/follow").status_code == 403
    assert reader.post(f"/comments/{root}/follow", {"stop": "yes"}).status_code == 303
    assert "Follow this thread" not in words(reader.get(f"/comments/{root}"))
    assert reader.post(f"/comments/{root}/mute").status_code == 303
    cast.author.post(f"/moderation/comments/{root}/hide", {"revision": "1", "reason": "spam", "note": ""})
    assert reader.get(f"/comments/{root}").status_code == 404
    assert reader.post(f"/comments/{root}/mute", {"stop": "yes"}).status_code == 303
    assert reader.post(f"/comments/{root}/mute").status_code == 404
    assert watched(cast) == []


def test_a_muted_person_is_folded_for_one_reader_on_every_device_and_for_nobody_else(cast: Cast) -> None:
    reader, other = cast.reader, cast.other_reader
    root = comment_id(other.comment(cast.slug, "Words of the muted."))
    answer = comment_id(cast.author.comment(cast.slug, "An answer that stays.", root))
    before = cast.moderator.get("/essays/on-tides").text
    assert reader.post(f"/readers/{other.user_id}/mute").headers["Location"] == f"/readers/{other.user_id}"
    phone = cast.sign_in(reader.user_id or 0)
    for address in ("/essays/on-tides", f"/comments/{root}"):
        page = phone.get(address).text
        folded = between(page, '<details class="muted">', "</details>")
        assert "Muted: a comment by" in folded, address
        assert "Words of the muted." in folded, address
        assert page.count('<details class="muted">') == 1, address
        assert "An answer that stays." in page.replace(folded, ""), address
    chain = between(phone.get(f"/comments/{answer}").text, '<ol class="chain"', "</ol>")
    assert ("Muted." in chain, "Words of the muted." in chain) == (True, False)
    profile = phone.get(f"/readers/{other.user_id}").text
    assert "Words of the muted." in between(profile, '<details class="muted">', "</details>")
    for visitor in (other, cast.stranger, cast.author):
        assert 'class="muted"' not in visitor.get("/essays/on-tides").text
    assert same(cast.moderator.get("/essays/on-tides").text) == same(before)
    assert "muted" not in words(other.get("/account"))
    assert "People you muted other reader" in words(phone.get("/account"))
    phone.post(f"/readers/{other.user_id}/mute", {"stop": "yes"})
    assert 'class="muted"' not in reader.get("/essays/on-tides").text


def same(page: str) -> str:
    """Return a page without what is new in each answer."""
    return re.sub(
        r'name="(csrf_token|form_token)" (?:type="hidden" )?value="[^"]*"|value="[^"]{20,}"', "", page
    )


def test_what_waits_to_be_mailed_of_whom_or_what_one_mutes_stays_here(cast: Cast) -> None:
    reader, other = cast.reader, cast.other_reader
    root = comment_id(cast.author.comment(cast.slug, "A first comment."))
    of_thread = tell(cast, reader, "comment:1", thread=f"thread:{root}")
    of_person = tell(cast, reader, "comment:2", thread="thread:0", by=other.user_id)
    neither = tell(cast, reader, "comment:3", thread="thread:0", by=cast.author.user_id)
    theirs = tell(cast, other, "comment:4", thread=f"thread:{root}")
    reader.post(f"/comments/{root}/mute")
    reader.post(f"/readers/{other.user_id}/mute")
    waits = [
        cast.read(Notice, notice).mail_at is not None for notice in (of_thread, of_person, neither, theirs)
    ]
    assert waits == [False, False, True, True]
    assert unread(cast, reader) == 3


def test_ones_comments_are_listed_with_what_became_of_each(cast: Cast) -> None:
    newcomer = cast.newcomer
    held = comment_id(newcomer.comment(cast.slug, "This one waits."))
    refused = comment_id(newcomer.comment(cast.slug, "This one was refused."))
    gone = comment_id(newcomer.comment(cast.slug, "This one is gone."))
    newcomer.post(f"/comments/{gone}/withdraw")
    reason = {"revision": "1", "reason": "off-topic", "note": ""}
    cast.author.post(f"/moderation/comments/{refused}/reject", reason)
    page = words(newcomer.get("/account/comments"))
    assert "Waiting for author. Only you can see this." in page
    assert "first comments are read before they appear. This one waits." in page
    assert re.search(
        r"Not accepted by the moderators: .*Only you can see this\. This one was refused\.", page
    )
    assert "You withdrew it. This one is gone." in page
    newcomer.post(f"/comments/{refused}/appeal", {"words": "Look again."})
    cast.author.post(f"/moderation/comments/{held}/approve", {"revision": "1"})
    page = words(newcomer.get("/account/comments"))
    assert "author will look at this again. Only you can see it. This one was refused." in page
    assert "Posted. This one waits." in page


def test_nobody_mutes_themselves_and_staff_can_be_muted(cast: Cast) -> None:
    assert cast.reader.post(f"/readers/{cast.reader.user_id}/mute").status_code == 403
    assert "Mute" not in words(cast.reader.get(f"/readers/{cast.reader.user_id}"))
    assert "Mute" not in words(cast.stranger.get(f"/readers/{cast.author.user_id}"))
    for _ in range(2):
        assert cast.reader.post(f"/readers/{cast.author.user_id}/mute").status_code == 303
    with cast.app.app_context():
        pairs = [(row.user_id, row.muted_id) for row in db.session.scalars(select(MutedPerson))]
    assert pairs == [(cast.reader.user_id, cast.author.user_id)]


def test_the_account_leads_to_the_desk_and_a_name_in_it_is_only_text(cast: Cast) -> None:
    trouble = cast.person("Eve <b>bold</b>")
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    cast.change(Comment, root, author_id=trouble.user_id)
    cast.reader.post(f"/readers/{trouble.user_id}/mute")
    cast.reader.post(f"/comments/{root}/follow")
    page = cast.reader.get("/account")
    for address in (LETTERS, INBOX, "/account/comments", "/account/sessions"):
        assert f'href="{address}"' in page.text
    assert "<b>bold" not in page.text + cast.reader.get("/essays/on-tides").text
    assert "Eve &lt;b&gt;bold" in cast.reader.get("/essays/on-tides").text
