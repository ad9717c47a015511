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
from forum.discussion.rights import Act, rights
from forum.discussion.rules import KINDS, Rule, change_rules, rules_in_force
from forum.essays.essay import Essay
from forum.moderation.decisions import approve, hide
from forum.moderation.trial import TRIABLE, Sample, try_rule
from forum.site.audit import AuditEntry
from forum.site.settings import change_setting, site_settings
from forum.subscriptions.subscription import Kind
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


def test_the_numbers_of_a_rule_that_is_off_are_folded_away_until_one_is_wrong(cast: Cast) -> None:
    def folded(text: str) -> set[str]:
        return {part.split('"')[0] for part in text.split('id="rule-')[1:] if "<details" in part}

    off = {"close-age", "close-silent", "words", "links", "repeat", "fast", "young", "hours", "trusted"}
    assert folded(cast.author.get(PATH).text) == off
    form = {"links-links": "0", "young-days": "4", "hours-on": "True", "reason": WHY}
    assert folded(cast.author.post(PATH, form).text) == off - {"links", "hours"}


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
    assert cast.author.get(f"{PATH}/domains/try").status_code == 404
    assert "It would have held none of" in words(
        cast.moderator.get(f"{PATH}/links/try?of=days&links-links=9")
    )


def test_a_trial_says_what_would_have_become_of_each_comment(cast: Cast) -> None:
    def said(trial: str) -> str:
        page = words(cast.author.get(f"{PATH}/{trial}"))
        return page[page.rindex("Try it ") : page.index(" Trying it changed nothing.")]

    cast.change(Essay, cast.essay_id, published_at=clock.now() - timedelta(days=10))
    supporter = cast.person("supporter", accepted_comments=2)
    cast.subscribe(supporter.user_id, Kind.PAID)
    cast.reader.comment(cast.slug, "Posted at once.")
    supporter.comment(cast.slug, "Paid for.")
    approved = comment_id(cast.newcomer.comment(cast.slug, "Posted after a look."))
    cast.author.post(f"/moderation/comments/{approved}/approve", {"revision": "1"})
    removed = comment_id(cast.newcomer.comment(cast.slug, "Removed."))
    refusal = {"revision": "1", "reason": "spam", "note": ""}
    cast.author.post(f"/moderation/comments/{removed}/reject", refusal)
    cast.author.comment(cast.slug, "By the author.")
    fared = "1 you posted, 1 posted at once, 1 you removed."
    assert f"3 of 4 comments would have been refused: {fared}" in said("supporters/try")
    assert "4 of 4 comments would not have been written" in said("close-age/try?close-age-days=10")
    open_for_all = "open for every one of 4 comments. It would have missed 1 that you removed."
    assert open_for_all in said("close-age/try?close-age-days=11")
    assert "4 of 4 comments would not have been written" in said("close-silent/try?close-silent-days=10")
    cost = "2 of 4 comments waited. 1 of them would have been posted at once: 1 you removed."
    assert cost in said("trusted/try?trusted-comments=1")
    assert "waited. None of them would" in said("trusted/try?trusted-comments=2")
    cast.newcomer.post(f"/comments/{removed}/appeal", {"words": "It was kind."})
    assert cost.replace("you removed", "still waiting") in said("trusted/try?trusted-comments=1")
    cast.author.post(f"/moderation/comments/{removed}/reject", refusal)
    assert cost in said("trusted/try?trusted-comments=1")
    cast.change(Essay, cast.essay_id, kept_open_at=clock.now(), premoderation="first")
    for closing in ("close-age", "close-silent"):
        assert open_for_all in said(f"{closing}/try?{closing}-days=1")
    assert "waited. None of them would" in said("trusted/try?trusted-comments=1")


def test_a_trial_of_any_rule_only_reads(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "See https://a.example, and buy the finest rules.")
    cast.author.get(PATH)
    before = everything(cast.app)
    statements_of_trials(cast, Sample.DAYS)
    first = statements_of_trials(cast, Sample.LAST)
    assert everything(cast.app) == before
    cast.essay("on-ships", "On ships")
    for number in range(3):
        cast.other_reader.comment("on-ships", f"Other words than before, number {number}.")
    assert statements_of_trials(cast, Sample.LAST) == first


def statements_of_trials(cast: Cast, of: Sample) -> dict[str, int]:
    """Try every rule, and return how many statements each trial took; all of them only read."""
    counts = {}
    for code in TRIABLE:
        with statements(cast.app) as sent:
            path = f"{PATH}/{code}/try?of={of}&words-words=finest&links-links=1"
            assert cast.author.get(path).status_code == 200
        assert [one for one in sent if not one.lstrip().startswith(("SELECT", "WITH"))] == []
        counts[code] = len(sent)
    return counts


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
    at_once, held_at_first = tried_on(site, trust), held_as_posted(site)
    site = told(app, history, [*tried, trust])
    assert by_trust == {one.cause: held(site, one.cause) for one in tried}
    assert at_once == held_at_first - held_as_posted(site)
    assert at_once
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
    return {one.cause: tried_on(cast, one, *others) for one in tried}


def tried_on(cast: Cast, one: Rule, *others: Rule) -> set[tuple[int, int]]:
    """Return which wordings a rule would have caught, by the order of their comments; `others` are in force."""
    with cast.app.app_context():
        change_rules(others)
        author = db.session.get_one(User, cast.author.user_id)
        order = list(db.session.scalars(select(Comment.id).order_by(Comment.id)))
        caught = try_rule(author, one, Sample.LAST).caught
        return {(order.index(judged.comment_id), judged.number) for judged in caught}


def held_as_posted(cast: Cast) -> set[tuple[int, int]]:
    """Return which comments were held as they were posted, for whatever rule, by their order."""
    return {first for cause in Cause for first in held(cast, cause) if first[1] == 1}


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


@dataclass(frozen=True)
class Post:
    """One comment of a history of some weeks: it is decided about `later`, if it waits or is to be removed."""

    writer: str
    essay: str
    at: datetime
    waits: bool
    later: datetime
    is_removed: bool


@pytest.mark.kinds("sqlite")
def test_who_a_trial_would_have_kept_from_writing_is_who_the_rule_keeps(app: Flask) -> None:
    history = some_weeks(Random(62))
    before = played(app, history, [])
    tried = [rule("supporters"), rule("close-age", days=15), rule("close-silent", days=4)]
    would = []
    for one in tried:
        with app.app_context():
            author = db.session.scalars(select(User).filter_by(name="author")).one()
            would.append({judged.comment_id for judged in try_rule(author, one, Sample.DAYS).caught})
    for one, caught in zip(tried, would, strict=True):
        after = played(app, history, [one])
        not_written = {number for number in before if number not in after}
        by_readers = {number for number in not_written if history[number].writer != "author"}
        assert {number for number, comment in before.items() if comment in caught} == by_readers
        assert by_readers


def some_weeks(chance: Random) -> list[Post]:
    """Return a history by three readers and the author, some of it posted after a look, some of it removed."""
    at = clock.now() - timedelta(days=29)
    history = []
    for _ in range(20):
        at += timedelta(hours=chance.choice([5, 15, 30, 60]))
        writer = chance.choice(["Ada", "Ben", "Cleo", "Cleo", "author"])
        essay = chance.choice(["on-tides", "on-tides", "on-ships", "on-ships", "kept-open"])
        waits = chance.random() < 0.4
        later = at + timedelta(hours=chance.choice([2, 20, 70]))
        history.append(Post(writer, essay, at, waits, later, chance.random() < 0.4))
    return history


def played(app: Flask, history: list[Post], rules: list[Rule]) -> dict[int, int]:
    """Let people write on an empty site, and answer themselves, where they may; return the comments by number.

    Cleo’s time as a supporter ends in the middle, and her days of grace begin.
    """
    empty(app)
    cast = Cast(app)
    people = {"author": cast.author.user_id} | {name: cast.user(name) for name in ("Ada", "Ben", "Cleo")}
    cast.subscribe(people["Ben"], Kind.COMPLIMENTARY)
    cast.subscribe(people["Cleo"], Kind.PAID, clock.now() - timedelta(days=13))
    essays = {slug: cast.essay(slug, slug) for slug in ("on-ships", "kept-open")} | {
        "on-tides": cast.essay_id
    }
    with app.app_context():
        for essay_id in essays.values():
            db.session.get_one(Essay, essay_id).published_at = clock.now() - timedelta(days=30)
        db.session.get_one(Essay, essays["kept-open"]).kept_open_at = clock.now() - timedelta(days=30)
        db.session.commit()
        change_setting("premoderation", "none")
        change_rules([rule("first", on=False), rule("words", words=["weather"]), *rules])
        db.session.commit()
        author = db.session.get_one(User, people["author"])
        comments: dict[int, Comment] = {}
        threads: dict[tuple[str, str], Comment] = {}
        agenda = [(one.at, number, False) for number, one in enumerate(history)]
        agenda += [(one.later, number, True) for number, one in enumerate(history)]
        for at, number, is_later in sorted(agenda):
            post = history[number]
            with clock.at(at):
                if not is_later:
                    writer = db.session.get_one(User, people[post.writer])
                    essay = db.session.get_one(Essay, essays[post.essay])
                    above = threads.get((post.writer, post.essay))
                    allowed = rights(writer, essay, above, at)
                    if (Act.REPLY if above else Act.COMMENT) in allowed:
                        source = f"{'The weather' if post.waits else 'A word'}, number {number}."
                        comment = post_comment(writer, essay, render_comment(source), f"form-{number}", above)
                        comments[number] = comment
                        threads.setdefault((post.writer, post.essay), comment)
                elif number in comments:
                    let_through(author, comments[number])
                    if post.is_removed:
                        hide(author, comments[number], 1, "spam", "")
        db.session.commit()
        return {number: comment.id for number, comment in comments.items()}


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
