"""The rules of moderation: each at its boundary, what holds a comment, what closes a discussion, who may come in."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from forum import clock
from forum.accounts.address import clean_address
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Cause, Comment
from forum.discussion.rules import (
    KINDS,
    WHAT_WAITS,
    Facts,
    Rule,
    caught,
    change_rules,
    links_in,
    why_it_waits,
    words_matched,
)
from forum.essays.essay import Essay
from forum.subscriptions.subscription import Kind
from forum.text.markdown import MAX_CHARACTERS
from forum.text.phrases import MOST_PHRASES, find_phrases
from tests.cast import Cast, comment_id, words
from tests.discussion.rows import revision, statements

NOON = datetime(2027, 3, 14, 12, tzinfo=UTC)
TWO_LINKS = "See https://one.example and https://two.example."
ADVERT = "Buy the finest brass rules here."


@pytest.fixture
def moment() -> Iterator[time_machine.Traveller]:
    """Stop the clock, so that a test moves it."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def facts(**known: Any) -> Facts:
    plain = {"source": ADVERT, "links": (), "posted_at": NOON, "joined_at": NOON, "accepted_before": 0}
    return Facts(**(plain | known))


def rule(code: str, *, on: bool = True, **values: Any) -> Rule:
    return Rule(KINDS[code], on, KINDS[code].defaults | values)


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


@pytest.mark.parametrize(
    ("tried", "inside", "outside"),
    [
        (rule("first", comments=3), facts(accepted_before=2), facts(accepted_before=3)),
        (rule("trusted", comments=3), facts(accepted_before=3), facts(accepted_before=2)),
        (rule("links", links=2), facts(links=("a", "a")), facts(links=("a",))),
        (
            rule("edit-links"),
            facts(links=("a", "b"), links_before=frozenset("a")),
            facts(links=("a", "a"), links_before=frozenset("ab")),
        ),
        (
            rule("repeat", characters=len(ADVERT), days=7),
            facts(same_words_at=ago(days=7, seconds=-1)),
            facts(same_words_at=ago(days=7)),
        ),
        (
            rule("repeat", characters=len(ADVERT)),
            facts(same_words_at=NOON),
            facts(same_words_at=NOON, source=ADVERT[1:]),
        ),
        (
            rule("fast", comments=2, minutes=10),
            facts(recent=(ago(minutes=1), ago(seconds=599))),
            facts(recent=(ago(minutes=1), ago(minutes=10))),
        ),
        (rule("young", days=3), facts(joined_at=ago(days=3, seconds=-1)), facts(joined_at=ago(days=3))),
        (
            rule("hours", first=12, last=13),
            facts(posted_at=NOON + timedelta(minutes=59)),
            facts(posted_at=NOON + timedelta(hours=1)),
        ),
        (
            rule("hours", first=22, last=6),
            facts(posted_at=NOON + timedelta(hours=17, minutes=59)),
            facts(posted_at=NOON + timedelta(hours=18)),
        ),
        (rule("words", words=["brass rules"]), facts(), facts(source="Brass, then rules.")),
        (rule("supporters"), facts(subscription="free"), facts(subscription="complimentary")),
    ],
)
def test_each_rule_holds_exactly_at_its_boundary(tried: Rule, inside: Facts, outside: Facts) -> None:
    assert caught(tried, inside)
    assert not caught(tried, outside)


@pytest.mark.parametrize(
    ("listed", "text", "pieces"),
    [
        ("casino", "At the CASINO; not casinos.", ["CASINO"]),
        ("cafe bar", "A Café-Bar in Zürich", ["Café-Bar"]),
        ("ZURICH", "in Zu\u0308rich and Ｚurich", ["Zu\u0308rich", "Ｚurich"]),
        ("casino", "a ca\u200bsi\u00adno", ["ca\u200bsi\u00adno"]),
        ("brass rules", "**brass** _rules_", ["brass** _rules"]),
        ("垃圾", "这是垃圾邮件", ["垃圾"]),
        ("straße", "STRASSE", ["STRASSE"]),
        ("a b", "b a", []),
    ],
)
def test_words_are_whole_and_without_case_accents_and_hiding(
    listed: str, text: str, pieces: list[str]
) -> None:
    assert [text[start:end] for start, end in find_phrases(text, ("other", listed))] == pieces


def test_a_hostile_text_against_a_long_list_takes_linear_time() -> None:
    phrases = tuple(f"{'é ' * 9}{number}" for number in range(MOST_PHRASES))
    started = time.thread_time()
    for text in ("é " * (MAX_CHARACTERS // 2), "e" * MAX_CHARACTERS, "\u0301" * MAX_CHARACTERS):
        assert find_phrases(text, phrases) == []
    assert time.thread_time() - started < 1


def test_a_comment_waits_for_every_rule_that_catches_it(moment: time_machine.Traveller, cast: Cast) -> None:
    noon = (clock.now() + timedelta(days=1)).replace(hour=12, minute=0)
    moment.move_to(noon)
    cast.change(User, cast.reader.user_id or 0, created_at=noon - timedelta(days=1))
    cast.change(User, cast.other_reader.user_id or 0, created_at=noon - timedelta(days=9))
    earlier = comment_id(cast.other_reader.comment(cast.slug, f"{ADVERT} {TWO_LINKS}"))
    switch(
        cast,
        rule("words", words=["Brass Rules"]),
        rule("links", links=2),
        rule("repeat"),
        rule("fast", comments=1),
        rule("young", days=2),
        rule("hours", first=12, last=13),
        rule("edit-links"),
    )
    moment.shift(timedelta(minutes=1))
    first = comment_id(cast.reader.comment(cast.slug, f"{ADVERT} {TWO_LINKS}"))
    second = comment_id(cast.reader.comment(cast.slug, "And good day."))
    moment.shift(timedelta(hours=1))
    calm = comment_id(cast.other_reader.comment(cast.slug, "A word after one o’clock."))
    by_moment = {Cause.RULE_YOUNG, Cause.RULE_HOURS}
    by_words = {Cause.RULE_WORDS, Cause.RULE_LINKS, Cause.RULE_REPEAT}
    assert revision(cast, earlier, 1).causes == set()
    assert revision(cast, first, 1).causes == by_words | by_moment
    assert revision(cast, second, 1).causes == by_moment | {Cause.RULE_FAST}
    assert (revision(cast, calm, 1).causes, cast.read(Comment, calm).visible) == (set(), True)
    author = cast.sign_in(cast.author.user_id or 0)
    staff = comment_id(author.comment(cast.slug, f"{ADVERT} {TWO_LINKS}"))
    assert cast.read(Comment, staff).visible


def test_the_trusted_pass_the_rules_but_for_the_words_and_an_essays_own_policy(cast: Cast) -> None:
    switch(cast, rule("everything"), rule("links", links=1), rule("trusted", comments=2))
    known, new = cast.reader, cast.newcomer
    assert cast.read(Comment, comment_id(known.comment(cast.slug, TWO_LINKS))).visible
    waits = comment_id(new.comment(cast.slug, "Somebody new."))
    assert revision(cast, waits, 1).causes == {Cause.PREMODERATION}
    switch(cast, rule("words", words=["brass"]))
    listed = comment_id(known.comment(cast.slug, f"{ADVERT} {TWO_LINKS}"))
    assert revision(cast, listed, 1).causes == {Cause.RULE_WORDS}
    cast.change(Essay, cast.essay_id, premoderation="all")
    strict = comment_id(known.comment(cast.slug, "Here everything waits."))
    assert revision(cast, strict, 1).causes == {Cause.PREMODERATION}
    cast.change(User, known.user_id or 0, is_held=True)
    cast.change(Essay, cast.essay_id, premoderation=None)
    held = comment_id(known.comment(cast.slug, "From a held person."))
    assert revision(cast, held, 1).causes == {Cause.PERSON}


def test_an_edit_that_adds_a_link_waits_and_the_old_words_stay(
    moment: time_machine.Traveller, cast: Cast
) -> None:
    switch(cast, rule("edit-links"), rule("links", links=2))
    mine = comment_id(cast.reader.comment(cast.slug, "See https://one.example."))
    edit(cast, mine, "Look at https://one.example.")
    assert revision(cast, mine, 2).causes == set()
    edit(cast, mine, "Look at https://other.example.")
    assert revision(cast, mine, 3).causes == {Cause.RULE_EDIT_LINKS}
    assert (cast.read(Comment, mine).visible, cast.read(Comment, mine).shown_number) == (True, 2)
    edit(cast, mine, TWO_LINKS)  # one that waits is repaired, and the desk hears what is new in it
    assert revision(cast, mine, 4).causes == {Cause.RULE_EDIT_LINKS, Cause.RULE_LINKS}
    late = comment_id(cast.reader.comment(cast.slug, "Without any."))
    moment.shift(timedelta(hours=1))
    edit(cast, late, "With https://one.example.")
    assert revision(cast, late, 2).causes == {Cause.EDIT, Cause.RULE_EDIT_LINKS}


def test_no_rule_asks_for_a_query_of_its_own(cast: Cast) -> None:
    sent = []
    cast.reader.comment(cast.slug, "The first of all, which warms up.")
    on = [rule(kind.code, words=["none"]) for kind in WHAT_WAITS if kind.code not in ("everything", "repeat")]
    for rules in ([], on, [*on, rule("repeat")]):
        switch(cast, *rules)
        with statements(cast.app) as seen:
            cast.person(f"known {len(rules)}", accepted_comments=60).comment(
                cast.slug, ADVERT * (1 + len(rules))
            )
        sent.append(len([one for one in seen if "comment_revision" in one and one.startswith("SELECT")]))
    assert sent[2] == sent[1] == sent[0]


def test_the_writer_is_told_the_words_only_where_the_admin_chose_so(cast: Cast) -> None:
    switch(cast, rule("words", words=["brass rules"], says="Adverts are read first."))
    with cast.app.app_context():
        assert why_it_waits({Cause.RULE_WORDS}, ADVERT) == "Adverts are read first."
        assert words_matched(f"BRASS  rules. {ADVERT}") == ["BRASS  rules"]
        assert "hour" not in why_it_waits({Cause.RULE_HOURS})
        assert why_it_waits({Cause.EDIT}) == ""
    switch(cast, rule("words", words=["brass rules"], shows=True))
    with cast.app.app_context():
        assert why_it_waits({Cause.RULE_WORDS}, ADVERT).endswith("Here: “brass rules”.")
    mine = comment_id(cast.reader.comment(cast.slug, ADVERT))
    assert "Here: “brass rules”." in words(cast.reader.get(f"/comments/{mine}"))


def test_a_discussion_closes_by_the_date_and_a_reader_keeps_what_they_typed(
    moment: time_machine.Traveller, cast: Cast
) -> None:
    page, note = f"/essays/{cast.slug}", "Thank you all. Write to the author."
    cast.change(Essay, cast.essay_id, published_at=clock.now())
    switch(cast, rule("close-age", days=60, note=note))
    moment.shift(timedelta(days=60, seconds=-1))
    assert cast.reader.comment(cast.slug, "Just in time.").status_code == 303
    assert 'name="body"' in cast.stranger.get(page).text
    moment.shift(timedelta(seconds=1))
    author = cast.sign_in(cast.author.user_id or 0)
    for visitor in (cast.reader, cast.stranger, author):
        shown = visitor.get(page)
        assert note in words(shown)
        assert 'name="body"' not in shown.text
    for visitor in (cast.reader, cast.stranger):
        answer = visitor.comment(cast.slug, "A second too late.")
        assert answer.status_code == 403
        assert "A second too late.</textarea>" in answer.text
        assert note in words(answer)
    assert "Reopen the discussion" in words(author.get(page))
    assert author.post(f"/moderation/essays/{cast.essay_id}/close").status_code == 409
    assert author.post(f"/moderation/essays/{cast.essay_id}/reopen").status_code == 303
    moment.shift(timedelta(hours=11))
    assert cast.reader.comment(cast.slug, "Open again, for good.").status_code == 303
    assert "Close the discussion" in words(author.get(page))
    assert author.post(f"/moderation/essays/{cast.essay_id}/close").status_code == 303
    assert cast.reader.comment(cast.slug, "Closed by hand.").status_code == 403


def test_a_discussion_closes_after_days_of_silence(moment: time_machine.Traveller, cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, published_at=clock.now())
    switch(cast, rule("close-silent", days=2))
    moment.shift(timedelta(days=2, seconds=-1))
    assert cast.reader.comment(cast.slug, "It goes on.").status_code == 303
    moment.shift(timedelta(days=2, seconds=-1))
    assert 'name="body"' in cast.stranger.get(f"/essays/{cast.slug}").text
    moment.shift(timedelta(seconds=1))
    assert cast.reader.comment(cast.slug, "Nobody spoke.").status_code == 403
    switch(cast, rule("close-silent", on=False))
    assert cast.reader.comment(cast.slug, "The rule is off.").status_code == 303


def test_only_supporters_comment_where_the_rule_says_so(cast: Cast) -> None:
    cast.subscribe(cast.other_reader.user_id or 0, Kind.PAID)
    switch(cast, rule("supporters"))
    answer = cast.reader.comment(cast.slug, "May I?")
    assert answer.status_code == 403
    assert "Comments on this essay are for supporters" in words(answer)
    assert "May I?</textarea>" in answer.text
    assert "are for supporters" in words(cast.stranger.get(f"/essays/{cast.slug}"))
    for visitor in (cast.other_reader, cast.author, cast.moderator):
        assert visitor.comment(cast.slug, f"Words of {visitor.name}.").status_code == 303


def test_a_blocked_domain_takes_no_new_address_and_says_so(cast: Cast) -> None:
    switch(cast, rule("domains", domains=["mail.test-post.org", "bücher.org"]))
    cast.user("An Old Friend", email="old@bücher.org")
    given = ("a@mail.test-post.org", "A@Deep.Mail.Test-Post.org", "b@xn--bcher-kva.org", "old@bücher.org")
    for email in given:
        for path in ("/subscribe", "/sign-up", f"/essays/{cast.slug}/comments"):
            answer = cast.stranger.post(path, {"email": email, "name": "Some Name", "body": ADVERT})
            assert answer.status_code == 422, (path, email)
            assert "Addresses at this domain are not taken here." in words(answer)
            assert f'value="{clean_address(email)}"' in answer.text
    assert cast.stranger.post("/subscribe", {"email": "a@test-post.org"}).status_code == 303
    assert cast.stranger.post("/sign-in", {"email": "old@bücher.org"}).status_code == 303


def test_links_are_counted_as_they_are_shown() -> None:
    html = '<p><a href="https://a.example/?x=1&amp;y" rel="ugc">a</a> <a href="mailto:b@c.example">b</a></p>'
    assert links_in(html) == ("https://a.example/?x=1&amp;y", "mailto:b@c.example")


def switch(cast: Cast, *rules: Rule) -> None:
    """Put these rules in force."""
    with cast.app.app_context():
        change_rules(rules)
        db.session.commit()


def edit(cast: Cast, row_id: int, body: str) -> None:
    answer = cast.reader.post(f"/comments/{row_id}/edit", {"body": body})
    assert answer.status_code == 303, words(answer)
