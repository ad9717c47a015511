"""The page of the rules: who changes them, what is recorded, and the trial, which only reads and tells the truth."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import pytest
from flask import Flask
from sqlalchemy import select

from forum import clock
from forum.accounts.user import Role, User
from forum.database import Base, db
from forum.discussion.comment import Cause, Comment, CommentRevision, Verdict
from forum.discussion.posting import edit_comment, post_comment
from forum.discussion.rules import KINDS, Rule, change_rules, rules_in_force
from forum.essays.essay import Essay
from forum.moderation.decisions import approve
from forum.moderation.trial import TRIABLE, Sample, try_rule
from forum.site.audit import AuditEntry
from forum.site.settings import change_setting, site_settings
from forum.text.markdown import render_comment
from tests.cast import Cast, comment_id, words
from tests.conftest import empty
from tests.discussion.rows import statements

PATH = "/moderation/rules"
WHY = "Too many adverts."


def test_the_rules_stand_in_their_order_and_only_authors_and_admins_change_them(cast: Cast) -> None:
    other_author = cast.person("other author", Role.AUTHOR)
    for who in (cast.author, cast.admin, cast.moderator, other_author):
        page = who.get(PATH)
        assert re.findall(r'<li id="rule-([a-z-]+)"', page.text) == list(KINDS)
        assert ('name="links-links"' in page.text) is (who is not cast.moderator)
    form = {"links-on": "True", "reason": WHY}
    for who in (cast.moderator, cast.reader):
        assert who.post(PATH, form).status_code == 403
    assert in_force(cast, "links").is_on is False
    assert cast.author.post(PATH, form).location == PATH
    assert in_force(cast, "links").is_on


def test_a_changed_rule_is_recorded_and_what_is_not_sent_stays(cast: Cast) -> None:
    form = {"links-on": "True", "links-links": "1", "words-words": "Brass  rules\n\ncasino\ncasino"}
    assert cast.admin.post(PATH, form | {"reason": WHY}).location == PATH
    assert in_force(cast, "words").values["words"] == ["Brass rules", "casino"]
    assert cast.admin.post(PATH, {"first-comments": "1", "reason": WHY}).location == PATH
    assert cast.admin.post(PATH, {"domains-domains": "Post.Example", "reason": WHY}).location == PATH
    with cast.app.app_context():
        entries = list(db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        assert [entry.subject for entry in entries] == [
            "rule:words",
            "rule:links",
            "rule:first",
            "rule:domains",
        ]
        assert entries[1].details == {
            "old": "Off: Hold comments with 3 links or more.",
            "new": "On: Hold comments with 1 link or more.",
        }
        assert site_settings().blocked_domains == ("post.example",)
    page = words(cast.moderator.get(PATH))
    assert (
        "Hold comments with 1 link or more On Caught nothing in the last 30 days. Changed by admin on" in page
    )
    assert "Hold a reader’s comments until they have 1 comment posted On" in page


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"links-links": "0"}, "Type a number from 1 to 100."),
        ({"young-days": "many"}, "Type a whole number."),
        ({"words-words": "casino\n!!!"}, "has no letters or digits"),
        ({"words-words": "x" * 101}, "is too long"),
        ({"words-on": "True", "words-words": ""}, "List the words first"),
        ({"domains-domains": "example"}, "is not a domain"),
        ({"hours-on": "True", "hours-first": "6", "hours-last": "6"}, "Choose two different hours."),
        ({"close-age-note": "n" * 1001}, "Keep the note under 1000 characters."),
    ],
)
def test_what_cannot_be_is_said_and_everything_typed_stays(
    cast: Cast, typed: dict[str, str], sentence: str
) -> None:
    before = in_force(cast)
    answer = cast.author.post(PATH, typed | {"says": "", "words-says": "Read first.", "reason": WHY})
    assert answer.status_code == 422
    assert sentence in words(answer)
    for value in (*typed.values(), "Read first.", WHY):
        assert value in answer.text
    assert in_force(cast) == before


def test_a_page_that_grew_old_changes_nothing_unseen(cast: Cast) -> None:
    seen = re.search(r'name="seen"[^>]*value="(\d+)"', cast.author.get(PATH).text)
    assert seen
    assert cast.admin.post(PATH, {"links-on": "True", "reason": WHY}).status_code == 303
    answer = cast.author.post(PATH, {"links-on": "False", "seen": seen[1], "reason": WHY})
    assert answer.status_code == 409
    assert in_force(cast, "links").is_on


def test_the_policy_decides_from_the_next_comment_on(cast: Cast) -> None:
    def comes_to(who: str, form: dict[str, str]) -> bool:
        assert cast.author.post(PATH, form | {"reason": WHY}).status_code == 303
        posted = comment_id(cast.person(who).comment(cast.slug, f"Words under {form}."))
        return bool(cast.read(Comment, posted).visible)

    known = cast.reader.name
    assert comes_to(known, {})
    assert not comes_to(known, {"everything-on": "True"})
    assert comes_to(known, {"everything-on": "False"})
    assert not comes_to("newcomer", {})  # the first comments wait again, as before everything did
    assert comes_to("newcomer", {"first-on": "False"})
    assert not comes_to("newcomer", {"first-on": "True"})


def test_each_rule_says_what_it_caught_and_how_much_was_then_posted(cast: Cast) -> None:
    put(cast, rule("links", links=1))
    held = [comment_id(cast.reader.comment(cast.slug, f"https://a.example/{n}")) for n in range(3)]
    cast.author.post(f"/moderation/comments/{held[0]}/approve", {"revision": "1"})
    with cast.app.app_context():
        old = db.session.scalars(select(CommentRevision).filter_by(comment_id=held[2])).one()
        old.created_at = clock.now() - timedelta(days=31)
        db.session.commit()
    assert "Caught 2 in the last 30 days, 1 of them then posted." in words(cast.author.get(PATH))
    other = cast.person("other author", Role.AUTHOR)
    assert "Caught 2" not in words(other.get(PATH))


def test_a_trial_shows_where_it_disagrees_first_and_what_it_would_have_missed(cast: Cast) -> None:
    link = "See https://a.example"
    shown = comment_id(cast.reader.comment(cast.slug, f"{link} once."))
    approved = comment_id(cast.newcomer.comment(cast.slug, f"{link} twice."))
    removed = comment_id(cast.reader.comment(cast.slug, f"{link} and buy."))
    missed = comment_id(cast.other_reader.comment(cast.slug, "Plain and unkind."))
    cast.reader.comment(cast.slug, "Plain and kind.")
    cast.author.comment(cast.slug, f"{link}, says the author.")
    cast.author.post(f"/moderation/comments/{approved}/approve", {"revision": "1"})
    for gone in (removed, missed):
        cast.author.post(f"/moderation/comments/{gone}/hide", {"revision": "1", "reason": "spam", "note": ""})
    go = cast.author.post(PATH, {"try": "links", "links-links": "1"})
    assert go.location == f"{PATH}/links/try?links-links=1"
    page = cast.author.get(go.location)
    assert "It would have held 3 of 5 comments: 1 you posted, 1 posted at once, 1 you removed." in words(page)
    listed = [int(found) for found in re.findall(r'href="/comments/(\d+)"', page.text)]
    assert listed == [approved, shown, removed, missed]
    assert in_force(cast, "links").is_on is False
    assert cast.author.get(f"{PATH}/links/try?links-links=x").status_code == 422
    assert cast.author.get(f"{PATH}/trusted/try").status_code == 404
    assert "It would have held none of" in words(
        cast.moderator.get(f"{PATH}/links/try?of=days&links-links=9")
    )


def test_a_trial_of_any_rule_only_reads(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "See https://a.example, and buy the finest rules.")
    cast.author.get(PATH)
    before = everything(cast.app)
    with statements(cast.app) as sent:
        for code in TRIABLE:
            for of in Sample:
                path = f"{PATH}/{code}/try?of={of}&words-words=finest&links-links=1"
                assert cast.author.get(path).status_code == 200
    assert [one for one in sent if not one.lstrip().startswith(("SELECT", "WITH"))] == []
    assert everything(cast.app) == before


@dataclass(frozen=True)
class Sent:
    """One comment of the history that is told twice, with the words that it is then edited to."""

    writer: str
    essay: str
    at: datetime
    source: str
    edited: str | None


def test_what_a_trial_would_have_held_is_what_the_rule_holds(app: Flask) -> None:
    history = made_up(Random(20270314))
    trust = rule("trusted", comments=4)
    tried = [
        rule("first", comments=3),
        rule("words", words=["fine brass", "WEATHER"]),
        rule("links", links=2),
        rule("edit-links"),
        rule("repeat", characters=10, days=2),
        rule("fast", comments=1, minutes=30),
        rule("young", days=40),
        rule("hours", first=20, last=9),
    ]
    everything_waits = rule("everything")
    site = told(app, history, [])
    by_all, by_trust = trials(site, [*tried, everything_waits]), trials(site, tried, trust)
    site = told(app, history, tried)
    assert by_all == {one.cause: held(site, one.cause) for one in tried} | {
        Cause.PREMODERATION: by_all[Cause.PREMODERATION]
    }
    assert all(by_all.values())
    site = told(app, history, [*tried, trust])
    assert by_trust == {one.cause: held(site, one.cause) for one in tried}
    assert by_trust != {one.cause: by_all[one.cause] for one in tried}
    site = told(app, history, [everything_waits])
    assert by_all[Cause.PREMODERATION] == held(site, Cause.PREMODERATION)


def made_up(chance: Random) -> list[Sent]:
    """Return a history of a few weeks by three writers on two essays, with repeats, links, haste and edits."""
    at = clock.now().replace(hour=3, minute=0) - timedelta(days=20)
    texts = [
        "Fine brass, I say.",
        "Bad weather.",
        "A plain word.",
        "https://a.example",
        "https://a.example https://b.example",
    ]
    history = []
    for number in range(20):
        at += timedelta(minutes=chance.choice([2, 5, 29, 31, 300, 3000]))
        source = chance.choice([chance.choice(texts), f"{chance.choice(texts)} Number {number}."])
        edited = chance.choice([None, None, f"{source} Mended.", f"{source} https://c.example"])
        writer = chance.choice(["Ada", "Ben", "Cleo"])
        history.append(Sent(writer, chance.choice(["on-tides", "on-ships"]), at, source, edited))
    return history


def told(app: Flask, history: list[Sent], rules: list[Rule]) -> Cast:
    """Tell the history on an empty site under a moving clock, with these rules; the author posts all that waits."""
    empty(app)
    cast = Cast(app)
    essays = {cast.slug: cast.essay_id, "on-ships": cast.essay("on-ships", "On ships", premoderation="none")}
    people = {name: cast.user(name) for name in ("Ada", "Ben", "Cleo")}
    with app.app_context():
        for name, days in zip(people, (30, 50, 65), strict=True):
            db.session.get_one(User, people[name]).created_at = clock.now() - timedelta(days=days)
        change_setting("same_text_minutes", 0)
        change_setting("premoderation", "none")
        change_rules([rule("first", on=False), *rules])
        db.session.commit()
        author = db.session.get_one(User, cast.author.user_id)
        for number, sent in enumerate(history):
            writer = db.session.get_one(User, people[sent.writer])
            essay = db.session.get_one(Essay, essays[sent.essay])
            with clock.at(sent.at):
                comment = post_comment(writer, essay, render_comment(sent.source), f"form-{number}")
                let_through(author, comment)
            if sent.edited:
                with clock.at(sent.at + timedelta(minutes=1)):
                    edit_comment(writer, essay, comment, render_comment(sent.edited))
                    let_through(author, comment)
        db.session.commit()
    return cast


def let_through(author: User, comment: Comment) -> None:
    if comment.newest.verdict == Verdict.HELD:
        approve(author, comment, comment.newest_number)


def trials(cast: Cast, tried: list[Rule], *others: Rule) -> dict[Cause | None, set[tuple[int, int]]]:
    """Return which wordings each rule would have held, by the order of their comments; `others` are in force."""
    with cast.app.app_context():
        change_rules(others)
        author = db.session.get_one(User, cast.author.user_id)
        order = list(db.session.scalars(select(Comment.id).order_by(Comment.id)))
        return {
            one.cause: {
                (order.index(judged.comment_id), judged.number)
                for judged in try_rule(author, one, Sample.LAST).caught
            }
            for one in tried
        }


def held(cast: Cast, cause: Cause | None) -> set[tuple[int, int]]:
    """Return which wordings were held for a cause, by the order of their comments."""
    about_edits = cause == Cause.RULE_EDIT_LINKS
    with cast.app.app_context():
        order = list(db.session.scalars(select(Comment.id).order_by(Comment.id)))
        rows = db.session.scalars(select(CommentRevision)).all()
        return {
            (order.index(row.comment_id), row.number)
            for row in rows
            if cause in row.causes and (row.number > 1) is about_edits
        }


def rule(code: str, *, on: bool = True, **values: object) -> Rule:
    return Rule(KINDS[code], on, KINDS[code].defaults | values)


def put(cast: Cast, *rules: Rule) -> None:
    with cast.app.app_context():
        change_rules(rules)
        db.session.commit()


def in_force(cast: Cast, code: str = "") -> dict[str, Rule] | Rule:
    with cast.app.app_context():
        return rules_in_force()[code] if code else rules_in_force()


def everything(app: Flask) -> dict[str, list[str]]:
    """Return every row of every table."""
    with app.app_context():
        tables = Base.metadata.sorted_tables
        return {table.name: sorted(map(repr, db.session.execute(select(table)))) for table in tables}
