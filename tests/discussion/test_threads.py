"""Threads: depth, order, pages, permalinks, the number of statements, counters after a random walk."""

import random
import re

import pytest
from sqlalchemy import insert

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import MAX_DEPTH, Comment, CommentRevision, path_of
from forum.discussion.numbering import next_thread_number
from forum.discussion.posting import bump_thread, post_comment
from forum.essays.essay import Essay
from forum.text.markdown import Rendered
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, rows_of, statements, wrong_counters

ESSAY_STATEMENTS = {"stranger": 7, "reader": 16}
COMMENT_STATEMENTS = {"stranger": 7, "reader": 14}
POST_STATEMENTS = 12
"""At most so many, for 10 comments as for 1,000; more of them need a reason."""


def test_a_reply_stands_below_what_it_answers(cast: Cast) -> None:
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    other = comment_id(cast.reader.comment(cast.slug, "Another thread."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer.", root))
    row = cast.read(Comment, reply)
    assert (row.parent_id, row.answers_id, row.root_id, row.depth) == (root, root, root, 1)
    assert shown(cast.stranger, "/essays/on-tides") == [root, reply, other]


def test_six_levels_are_shown_and_the_rest_is_a_link_away(cast: Cast) -> None:
    chain = reply_chain(cast, 9)
    page = cast.stranger.get("/essays/on-tides")
    assert shown(cast.stranger, "/essays/on-tides") == chain[:6]
    assert f'<a class="continue continue--wide" href="/comments/{chain[5]}">' in page.text
    assert "Continue this thread (3 more)" in words(page)
    assert shown(cast.stranger, f"/comments/{chain[5]}") == chain[5:]
    assert "Continue this thread (6 more)" not in words(cast.stranger.get(f"/comments/{chain[5]}"))


def test_a_reply_too_deep_for_the_page_leads_its_writer_to_a_page_that_shows_it(cast: Cast) -> None:
    chain = reply_chain(cast, 6)
    answer = cast.reader.comment(cast.slug, "The seventh level.", chain[-1])
    deep = comment_id(answer)
    assert answer.headers["Location"] == f"/comments/{deep}#comment-{deep}"
    assert deep in shown(cast.stranger, f"/comments/{deep}")


def test_a_reply_at_the_cap_is_attached_beside_and_names_whom_it_answers(cast: Cast) -> None:
    chain = reply_chain(cast, MAX_DEPTH + 1)
    for _ in range(2):
        deep = comment_id(cast.other_reader.comment(cast.slug, f"Deeper than {chain[-1]}.", chain[-1]))
        row = cast.read(Comment, deep)
        assert (row.depth, row.answers_id) == (MAX_DEPTH, chain[-1])
        assert row.parent_id == chain[MAX_DEPTH - 1]
        chain.append(deep)
    page = words(cast.stranger.get(f"/comments/{chain[MAX_DEPTH - 1]}"))
    assert "In reply to reader" in page
    assert "In reply to other reader" in page
    above = words(cast.stranger.get(f"/comments/{chain[-1]}"))
    assert f"Deeper than {chain[MAX_DEPTH]}." in above


def test_a_chain_a_thousand_deep_posts_shows_and_pages(cast: Cast, kind: str) -> None:
    length = 1_000 if kind == "sqlite" else 150  # the same statements, each with a way to a server and back
    chain = deep_chain(cast, length)
    for visitor in (cast.stranger, cast.reader, cast.author):
        for address in ("/essays/on-tides", f"/comments/{chain[0]}", f"/comments/{chain[-1]}"):
            for headers in ({}, JSON):
                assert visitor.get(address, headers=headers).status_code == 200
    last = cast.reader.comment(cast.slug, "The last word.", chain[-1])
    assert last.status_code == 303
    assert cast.stranger.get(last.headers["Location"]).status_code == 200
    assert chain[-1] in shown(cast.stranger, f"/comments/{chain[MAX_DEPTH - 1]}?after={chain[-10]}")
    assert cast.read(Comment, chain[0]).visible_below == length
    assert cast.read(Comment, chain[-1]).depth == MAX_DEPTH


def test_the_orders_are_oldest_newest_and_most_thanked_with_pinned_ones_first(cast: Cast) -> None:
    first, second, third, fourth = many(cast, 4)
    for comment, likes in ((second, 2), (third, 5), (fourth, 2)):
        cast.change(Comment, comment, likes=likes)
    orders = {
        "": [first, second, third, fourth],
        "?sort=oldest": [first, second, third, fourth],
        "?sort=newest": [fourth, third, second, first],
        "?sort=best": [third, fourth, second, first],
    }
    for query, ids in orders.items():
        assert shown(cast.stranger, f"/essays/on-tides{query}") == ids
    cast.change(Comment, fourth, pinned_at=clock.now())
    for query, ids in orders.items():
        rest = [one for one in ids if one != fourth]
        assert shown(cast.stranger, f"/essays/on-tides{query}") == [fourth, *rest]


def test_by_thanks_the_replies_are_ordered_too_and_otherwise_by_time(cast: Cast) -> None:
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    one, two = (comment_id(cast.reader.comment(cast.slug, f"Reply {n}.", root)) for n in (1, 2))
    cast.change(Comment, two, likes=1)
    assert shown(cast.stranger, "/essays/on-tides?sort=best") == [root, two, one]
    assert shown(cast.stranger, "/essays/on-tides?sort=newest") == [root, one, two]


def test_a_page_holds_fifty_threads_with_all_their_replies(cast: Cast) -> None:
    roots = many(cast, 101)
    reply = comment_id(cast.reader.comment(cast.slug, "A late reply.", roots[49]))
    pages = [shown(cast.stranger, f"/essays/on-tides?page={number}") for number in (1, 2, 3)]
    assert pages == [[*roots[:50], reply], roots[50:100], roots[100:]]
    assert shown(cast.stranger, "/essays/on-tides?sort=newest&page=3") == [roots[0]]
    assert cast.stranger.get("/essays/on-tides?page=4").status_code == 404
    assert "?page=2&amp;sort=newest" in cast.stranger.get("/essays/on-tides?sort=newest").text


def test_a_permalink_leads_to_the_page_that_its_thread_is_on(cast: Cast) -> None:
    roots = many(cast, 120)
    reply = comment_id(cast.reader.comment(cast.slug, "A reply.", roots[60]))
    cast.change(Comment, roots[119], pinned_at=clock.now())
    cast.author.post(f"/moderation/comments/{roots[3]}/hide", {"revision": "1", "reason": "spam", "note": ""})
    for comment in (roots[0], roots[49], roots[50], roots[51], reply, roots[118], roots[119]):
        place = re.search(
            r'href="([^"]+)">See it in the discussion', cast.stranger.get(f"/comments/{comment}").text
        )
        assert place
        assert comment in shown(cast.stranger, place[1].partition("#")[0]), (comment, place[1])


def test_a_held_thread_after_a_full_page_leads_to_a_page_that_exists(cast: Cast) -> None:
    many(cast, 50)
    answer = cast.newcomer.comment(cast.slug, "The first on a new page.")
    page = cast.newcomer.get(answer.headers["Location"].partition("#")[0])
    assert page.status_code == 200
    assert "The first on a new page." in words(page)


def test_withdrawing_the_only_thread_of_a_page_leads_to_a_page_that_exists(cast: Cast) -> None:
    many(cast, 50)
    comment = comment_id(cast.reader.comment(cast.slug, "The first on a new page."))
    answer = cast.reader.post(f"/comments/{comment}/withdraw")
    assert cast.reader.get(answer.headers["Location"].partition("#")[0]).status_code == 200


@pytest.mark.parametrize("who", ["stranger", "reader"])
def test_the_pages_take_as_many_statements_for_a_thousand_comments_as_for_ten(cast: Cast, who: str) -> None:
    counts: list[tuple[int, int]] = []
    for total in (10, 1_000):
        ids = many(cast, total - rows_of(cast, Comment), of=cast.reader, thanked_by=cast.reader)
        visitor = cast.stranger if who == "stranger" else cast.reader
        cast.app.extensions["pages"].judged.clear()
        with statements(cast.app) as of_essay:
            assert visitor.get("/essays/on-tides").status_code == 200
        with statements(cast.app) as of_comment:
            assert visitor.get(f"/comments/{ids[0]}").status_code == 200
        counts.append((len(of_essay), len(of_comment)))
    assert counts[0] == counts[1]
    assert counts[0][0] <= ESSAY_STATEMENTS[who], counts
    assert counts[0][1] <= COMMENT_STATEMENTS[who], counts


def test_many_own_waiting_comments_take_no_more_statements(cast: Cast) -> None:
    counts = []
    for number in range(4):
        comment_id(cast.newcomer.comment(cast.slug, f"Waiting {number}."))
        with statements(cast.app) as sent:
            assert f"Waiting {number}." in words(cast.newcomer.get("/essays/on-tides"))
        counts.append(len(sent))
    assert len(set(counts[1:])) == 1, counts


def test_posting_takes_no_more_statements_below_ten_replies_than_below_one(cast: Cast) -> None:
    chain = reply_chain(cast, 11)
    counts = {}
    for depth in (1, 5, 10):
        with statements(cast.app) as sent:
            assert cast.reader.comment(cast.slug, f"Counted at {depth}.", chain[depth - 1]).status_code == 303
        counts[depth] = len(sent)
    with statements(cast.app) as sent:
        cast.reader.comment(cast.slug, "Counted at 0.")
    assert len(sent) < counts[1] == counts[5] == counts[10] <= POST_STATEMENTS, (len(sent), counts)


def test_posting_takes_no_more_statements_in_a_large_discussion(cast: Cast) -> None:
    counts = []
    for total in (10, 1_000):
        many(cast, total - rows_of(cast, Comment))
        with statements(cast.app) as sent:
            assert cast.reader.comment(cast.slug, f"After {total}.").status_code == 303
        counts.append(len(sent))
    assert counts[0] == counts[1] <= POST_STATEMENTS


def test_every_visible_change_grows_the_threads_version_in_its_transaction(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    steps = [
        (cast.other_reader, f"/comments/{comment}/react", {}),
        (cast.reader, f"/comments/{comment}/edit", {"body": "Another text."}),
        (cast.author, f"/moderation/comments/{comment}/pin", {"revision": "1"}),
        (cast.author, f"/moderation/comments/{comment}/feature", {"revision": "1"}),
        (cast.author, f"/moderation/comments/{comment}/hide", {"revision": "2", "reason": "spam"}),
        (cast.author, f"/moderation/comments/{comment}/restore", {}),
        (cast.author, f"/moderation/essays/{cast.essay_id}/close", {}),
        (cast.author, f"/moderation/essays/{cast.essay_id}/reopen", {}),
        (cast.reader, f"/comments/{comment}/withdraw", {}),
    ]
    version = cast.read(Essay, cast.essay_id).thread_version
    for person, address, form in steps:
        answer = person.post(address, form)
        assert answer.status_code == 303, (address, words(answer))
        grown = cast.read(Essay, cast.essay_id).thread_version
        assert grown > version, address
        version = grown


def test_the_version_stays_when_the_change_is_rolled_back(cast: Cast) -> None:
    with cast.app.app_context():
        author = db.session.get_one(User, cast.reader.user_id)
        essay = db.session.get_one(Essay, cast.essay_id)
        before = essay.thread_version
        post_comment(author, essay, plain("Never committed."), "one-form")
        db.session.rollback()
    assert cast.read(Essay, cast.essay_id).thread_version == before
    assert wrong_counters(cast.app, {cast.reader.user_id or 0: 2}) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_random_walk_every_counter_equals_its_recount(cast: Cast, seed: int) -> None:
    chance = random.Random(seed)
    people = [cast.person(f"walker {number}", accepted_comments=2) for number in range(3)]
    people += [cast.newcomer, cast.author]
    began = {person.user_id or 0: 2 for person in people[:3]}
    comments = [comment_id(people[0].comment(cast.slug, "A first comment."))]
    codes = set()
    for step in range(60):
        person, one = chance.choice(people), chance.choice(comments[-12:])
        number = str(cast.read(Comment, one).newest_number)
        reason = {"revision": number, "reason": "unkind", "note": ""}
        act = chance.choice(
            ["reply"] * 6
            + ["post"]
            + ["edit", "react", "report", "withdraw", "appeal"] * 2
            + ["approve", "reject", "hide", "restore", "spam", "pin", "feature"]
        )
        if act in ("reply", "post"):
            answer = person.comment(cast.slug, f"Step {step}.", one if act == "reply" else None)
            if answer.status_code == 303:
                comments.append(comment_id(answer))
        elif act in ("edit", "react", "report", "withdraw", "appeal"):
            form = {"body": f"Edited in step {step}.", "reason": "spam", "words": "Look again."}
            answer = person.post(f"/comments/{one}/{act}", form)
        else:
            answer = cast.author.post(f"/moderation/comments/{one}/{act}", reason)
        codes.add(answer.status_code)
        assert answer.status_code < 500, (seed, step, act)
        if step % 15 == 14:
            assert wrong_counters(cast.app, began) == [], (seed, step, act)
    assert {303, 403} <= codes
    assert cast.stranger.get("/essays/on-tides").status_code == 200


def shown(visitor: Visitor, address: str) -> list[int]:
    """Return the ids of the comments that a page shows, in its order."""
    page = visitor.get(address)
    assert page.status_code == 200, address
    return [int(found) for found in re.findall(r'<article class="[^"]*" id="comment-(\d+)"', page.text)]


def reply_chain(cast: Cast, length: int) -> list[int]:
    """Post a comment, an answer to it, an answer to that and so on; return their ids."""
    ids: list[int] = []
    for depth in range(length):
        parent = ids[-1] if ids else None
        ids.append(comment_id(cast.reader.comment(cast.slug, f"At depth {depth}.", parent)))
    return ids


def deep_chain(cast: Cast, length: int) -> list[int]:
    """Do the same through the verb, without the page around it."""
    ids: list[int] = []
    with cast.app.app_context():
        for depth in range(length):
            author = db.session.get_one(User, cast.reader.user_id)
            essay = db.session.get_one(Essay, cast.essay_id)
            parent = db.session.get_one(Comment, ids[-1]) if ids else None
            ids.append(post_comment(author, essay, plain(f"Word {depth}."), f"chain-{depth}", parent).id)
            if depth % 50 == 49:
                db.session.commit()
                db.session.expunge_all()
        db.session.commit()
    return ids


def many(cast: Cast, count: int, of: Visitor | None = None, thanked_by: Visitor | None = None) -> list[int]:
    """Put threads straight into the database, as many posts would; return their ids."""
    writer = (of or cast.reader).user_id
    with cast.app.app_context():
        now, last_number = clock.now(), next_thread_number(cast.essay_id) - 1
        rows = [
            {
                "essay_id": cast.essay_id,
                "author_id": writer,
                "form_token": f"many-{writer}-{now}-{number}"[:64],
                "thread_number": last_number + number + 1,
            }
            | {"created_at": now, "visible": True, "shown_number": 1}
            for number in range(count)
        ]
        ids = list(db.session.scalars(insert(Comment).returning(Comment.id), rows))
        wording = {"number": 1, "source": "Words.", "html": "<p>Words.</p>", "renderer": "test"}
        wording |= {"verdict": "accepted", "created_at": now}
        db.session.execute(insert(CommentRevision), [{"comment_id": one, **wording} for one in ids])
        for one in ids:
            db.session.execute(Comment.__table__.update().where(Comment.id == one).values(path=path_of(one)))
        bump_thread(cast.essay_id)
        db.session.commit()
    return sorted(ids)


def plain(text: str) -> Rendered:
    """Return words as the renderer would, without its work."""
    return Rendered(text, f"<p>{text}</p>", 1, 0, "test")
