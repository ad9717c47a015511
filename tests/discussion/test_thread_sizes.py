"""Discussions too large for one page: wide and deep threads, the end of an order, pages whose threads are gone."""

import re
from collections.abc import Sequence

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select, text, update

from forum import clock
from forum.database import db, is_sqlite
from forum.discussion.comment import MAX_DEPTH, Comment, CommentRevision, path_of
from forum.discussion.numbering import GapCloser, next_thread_number
from forum.discussion.posting import bump_thread
from forum.essays.essay import Essay
from forum.site.settings import change_setting
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import last_event, statements


def test_of_ten_thousand_replies_pages_show_some_with_links_to_the_rest_in_as_many_statements(
    cast: Cast,
) -> None:
    [few] = plant(cast, [None, *[0] * 300])[:1]
    begin = cost(cast, "/essays/on-tides"), cost(cast, f"/comments/{few}")
    wide, *replies = plant(cast, [None, *[0] * 10_000])
    [after] = plant(cast, [None])
    assert shown(cast.stranger, "/essays/on-tides")[-102:] == [wide, *replies[:100], after]
    page = cast.stranger.get("/essays/on-tides").text
    link = (
        f'<a class="continue continue--wide" href="/comments/{wide}">Continue this thread (9,900 more) →</a>'
    )
    assert page.index(f'id="comment-{replies[99]}"') < page.index(link) < page.index(f'id="comment-{after}"')
    assert shown(cast.stranger, f"/comments/{wide}") == [wide, *replies[:200]]
    following = following_page(cast, f"/comments/{wide}")
    assert shown(cast.stranger, following) == [wide, *replies[200:400]]
    assert shown(cast.stranger, f"/comments/{wide}?after={replies[9_899]}") == [wide, *replies[9_900:]]
    assert following_page(cast, f"/comments/{wide}?after={replies[9_799]}") is None
    assert (cost(cast, "/essays/on-tides"), cost(cast, f"/comments/{wide}")) == begin
    for nonsense in ("", "x", "-1", "9" * 30, str(wide), str(after), str(few + 1)):
        assert cast.stranger.get(f"/comments/{wide}?after={nonsense}").status_code == 404
    answer = cast.reader.comment(cast.slug, "The latest.", wide)
    reply = comment_id(answer)
    assert answer.headers["Location"] == f"/comments/{reply}#comment-{reply}"
    assert reply in shown(cast.reader, f"/comments/{reply}")
    assert (
        f'href="/comments/{reply}#comment-{reply}">See it in' in cast.stranger.get(f"/comments/{reply}").text
    )


def test_a_page_of_replies_says_what_those_answer_that_it_begins_with(cast: Cast) -> None:
    ids = plant(cast, [None, 0, *[1] * 250, 0])
    root, answered, below, last = ids[0], ids[1], ids[2:252], ids[252]
    assert shown(cast.stranger, f"/comments/{root}") == [root, answered, *below[:199]]
    address = following_page(cast, f"/comments/{root}")
    assert shown(cast.stranger, address) == [root, *below[199:], last]
    page = words(cast.stranger.get(address))
    assert "Replies, continued" in page
    assert "Replies to reader , continued" in page
    assert following_page(cast, f"/comments/{answered}") == f"/comments/{answered}?after={below[199]}"
    assert shown(cast.stranger, f"/comments/{answered}?after={below[199]}") == [answered, *below[200:]]
    assert f'<link rel="canonical" href="http://localhost{address}">' in cast.stranger.get(address).text


def test_below_the_last_level_of_a_page_its_replies_are_a_link_away_however_many(cast: Cast) -> None:
    chain = [None, *range(MAX_DEPTH)]
    ids = plant(cast, [*chain, *[MAX_DEPTH - 1] * 300, 0])
    root, deepest, last = ids[0], ids[6], ids[-1]
    assert shown(cast.stranger, f"/comments/{root}") == ids[:7]
    assert (
        f'href="/comments/{deepest}">Continue this thread (311 more)'
        in cast.stranger.get(f"/comments/{root}").text
    )
    address = following_page(cast, f"/comments/{root}")
    assert address == f"/comments/{root}?after={deepest}"
    assert shown(cast.stranger, address) == [root, last]
    # From in the midst of what is too deep it goes on behind that.
    assert shown(cast.stranger, f"/comments/{root}?after={ids[100]}") == [root, last]
    assert shown(cast.stranger, "/essays/on-tides") == ids[:6]
    assert len(shown(cast.stranger, f"/comments/{ids[MAX_DEPTH - 1]}")) == 201


def test_the_count_of_what_is_left_out_stands_where_it_was_left_out(cast: Cast) -> None:
    ids = plant(cast, [None, 0, *[1] * 98, 0, *[1] * 3, 0, 2])
    page = cast.stranger.get("/essays/on-tides").text
    more = dict(re.findall(r'href="/comments/(\d+)">Continue this thread \((\d+) more\)', page))
    assert shown(cast.stranger, "/essays/on-tides") == [*ids[:100], ids[100]]
    assert more == {str(ids[0]): "1", str(ids[1]): "3", str(ids[2]): "1"}


def test_pages_whose_threads_are_gone_say_so_until_the_threads_are_counted_anew(cast: Cast) -> None:
    set_threads_per_page(cast, 5)
    ids = plant(cast, [None] * 16)
    for one in ids[5:10]:
        cast.author.post(f"/moderation/comments/{one}/hide", {"revision": "1", "reason": "spam", "note": ""})
    gone = cast.stranger.get("/essays/on-tides?page=2")
    assert "Every comment that stood on this page is gone." in words(gone)
    assert 'href="/essays/on-tides?page=4#discussion"' in gone.text
    close_gaps, version = GapCloser(), cast.read(Essay, cast.essay_id).thread_version
    assert run(cast.app, close_gaps) == 1
    assert cast.read(Essay, cast.essay_id).thread_version > version
    assert [shown(cast.stranger, f"/essays/on-tides?page={page}") for page in (1, 2, 3)] == [
        ids[:5],
        ids[10:15],
        ids[15:],
    ]
    assert cast.stranger.get("/essays/on-tides?page=4").status_code == 404
    assert "gone" not in words(cast.stranger.get("/essays/on-tides?page=2"))
    assert run(cast.app, close_gaps) == 0  # it looked a moment ago
    assert run(cast.app, GapCloser()) == 0
    cast.author.post(f"/moderation/comments/{ids[7]}/restore")
    assert shown(cast.stranger, "/essays/on-tides") == [*ids[:5], ids[7]]
    new = comment_id(cast.other_reader.comment(cast.slug, "A new thread."))
    assert shown(cast.stranger, "/essays/on-tides?sort=newest")[:3] == [new, ids[15], ids[14]]
    assert shown(cast.stranger, "/essays/on-tides?page=3") == [ids[15], new]


def test_where_many_come_back_their_threads_are_counted_anew(cast: Cast) -> None:
    set_threads_per_page(cast, 5)
    ids = plant(cast, [None] * 30)
    show(cast, ids[2:], visible=False)
    cast.reader.comment(cast.slug, "So that something happened.")
    assert run(cast.app, GapCloser()) == 1
    show(cast, ids[2:], visible=True)
    assert len(shown(cast.stranger, "/essays/on-tides")) == 20
    assert run(cast.app, GapCloser()) == 1
    pages = [shown(cast.stranger, f"/essays/on-tides?page={page}") for page in range(1, 7)]
    assert [one for page in pages for one in page] == ids


def test_most_thanked_ends_after_twenty_pages_and_says_where_the_rest_is(cast: Cast) -> None:
    set_threads_per_page(cast, 5)
    ids = plant(cast, [None] * 103)
    cast.change(Comment, ids[7], likes=2)
    assert shown(cast.stranger, "/essays/on-tides?sort=best") == [ids[7], *ids[:-5:-1]]
    end = cast.stranger.get("/essays/on-tides?sort=best&page=20")
    assert "These were the 100 most thanked threads. Read all threads, oldest first" in words(end)
    assert shown(cast.stranger, "/essays/on-tides?sort=best&page=20")[-1] == ids[3]
    assert cast.stranger.get("/essays/on-tides?sort=best&page=21").status_code == 404
    show(cast, ids[:3], visible=False)
    assert "These were" not in words(cast.stranger.get("/essays/on-tides?sort=best&page=20"))


def test_what_is_moved_has_a_number_and_a_place_there_and_its_own_again_when_that_is_undone(
    cast: Cast,
) -> None:
    one, other, deep, two, reply, three = plant(cast, [None, 0, 1, None, 3, None])
    cast.author.post(f"/moderation/comments/{one}/move", {"target": f"/comments/{reply}", "revision": "1"})
    before = {one: (1, 0), other: (None, 1), deep: (None, 2), two: (2, 0), reply: (None, 1), three: (3, 0)}
    below = {one: (None, 2), other: (None, 3), deep: (None, 4), two: (2, 0), reply: (None, 1), three: (3, 0)}
    assert standing(cast) == below
    undo_last(cast, one)
    assert standing(cast) == before
    cast.author.post(f"/moderation/comments/{other}/move", {"target": "/essays/on-tides", "revision": "1"})
    assert standing(cast) == before | {other: (4, 0), deep: (None, 1)}
    assert shown(cast.stranger, "/essays/on-tides?sort=newest")[:2] == [other, deep]
    undo_last(cast, other)
    assert standing(cast) == before


@pytest.mark.kinds("sqlite")
def test_no_statement_of_a_page_reads_more_than_a_range_of_an_index(cast: Cast) -> None:
    root = plant(cast, [None, 0, 1, None])[0]
    for query in ("", "?sort=newest", "?sort=best", "?sort=picks"):
        assert plans(cast, f"/essays/on-tides{query}") == []
    assert plans(cast, f"/comments/{root}?after={root + 1}") == []
    assert plans(cast, "/essays/on-tides/feed.xml") == []


def plant(cast: Cast, parents: Sequence[int | None]) -> list[int]:
    """Put comments by the reader straight into the database, as many posts would, each below one of those before it.

    `parents` says for each which of them, by its place in the list. Returns their ids.
    """
    writer = cast.reader.user_id
    with cast.app.app_context():
        first = (db.session.scalar(select(func.max(Comment.id))) or 0) + 1
        number, now = next_thread_number(cast.essay_id), clock.now()
        ids = list(range(first, first + len(parents)))
        rows: list[dict[str, object]] = []
        in_thread: dict[int, int] = {}
        below = [0] * len(parents)
        for at, parent in enumerate(parents):
            above = parent
            while above is not None:
                below[above] += 1
                above = parents[above]
            up = rows[parent] if parent is not None else None
            root = (up["root_id"] or up["id"]) if up else None
            if isinstance(root, int):
                in_thread[root] = in_thread.get(root, 0) + 1
            rows.append(
                {
                    "id": ids[at],
                    "essay_id": cast.essay_id,
                    "author_id": writer,
                    "parent_id": up["id"] if up else None,
                    "answers_id": up["id"] if up else None,
                    "root_id": root,
                    "thread_number": None if up else number,
                    "place": in_thread.get(root, 0) if isinstance(root, int) else 0,
                    "depth": int(str(up["depth"])) + 1 if up else 0,
                    "path": path_of(ids[at], str(up["path"]) if up else ""),
                    "form_token": f"planted-{ids[at]}",
                    "created_at": now,
                    "spoken_at": now,
                    "visible": True,
                    "shown_number": 1,
                }
            )
            number += up is None
        for row, count in zip(rows, below, strict=True):
            row["visible_below"] = count
        db.session.execute(insert(Comment), rows)
        wording = {"number": 1, "source": "Words.", "html": "<p>Words.</p>", "renderer": "test"}
        wording |= {"verdict": "accepted", "created_at": now}
        db.session.execute(insert(CommentRevision), [{"comment_id": one, **wording} for one in ids])
        if not is_sqlite():
            db.session.execute(
                text("SELECT setval(pg_get_serial_sequence('comment', 'id'), :last)"), {"last": ids[-1]}
            )
        bump_thread(cast.essay_id, len(ids))
        db.session.commit()
    return ids


def show(cast: Cast, ids: Sequence[int], *, visible: bool) -> None:
    """Take comments without replies out of sight, or bring them back."""
    with cast.app.app_context():
        db.session.execute(update(Comment).where(Comment.id.in_(ids)).values(visible=visible))
        bump_thread(cast.essay_id)
        db.session.commit()


def shown(visitor: Visitor, address: str | None) -> list[int]:
    """Return the ids of the comments that a page shows, in its order."""
    page = visitor.get(address or "no page follows")
    assert page.status_code == 200, address
    return [int(found) for found in re.findall(r'<article class="[^"]*" id="comment-(\d+)"', page.text)]


def following_page(cast: Cast, address: str) -> str | None:
    """Return where the link to the next replies leads, None if there is none."""
    link = re.search(r'href="([^"]+)#below-title" rel="next">Next replies', cast.stranger.get(address).text)
    return link[1] if link else None


def cost(cast: Cast, address: str) -> int:
    """Return how many statements a page takes that is made anew, by a process that knows the settings."""
    cast.stranger.get(address)
    with cast.app.app_context():
        bump_thread(cast.essay_id)
        db.session.commit()
    cast.app.extensions["pages"].clear()
    with statements(cast.app) as sent:
        assert cast.stranger.get(address).status_code == 200
    return len(sent)


def plans(cast: Cast, address: str) -> list[str]:
    """Return the steps of a page's statements that read all comments, of the site or of the essay."""
    sent: list[tuple[str, tuple[object, ...]]] = []

    def note(
        _connection: object, _cursor: object, statement: str, values: tuple[object, ...], *_rest: object
    ) -> None:
        sent.append((statement, values))

    with cast.app.app_context():
        bump_thread(cast.essay_id)
        db.session.commit()
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert cast.stranger.get(address).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with cast.app.app_context(), engine.connect() as connection:
        asked = [one for one in sent if " comment" in one[0]]
        assert asked
        steps = [
            f"{row[3]}: {statement}"
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    essay_alone = re.compile(r"SEARCH comment\w* USING INDEX ix_comment_threads \(essay_id=\?\)")
    return [step for step in steps if step.startswith("SCAN comment") or essay_alone.match(step)]


def standing(cast: Cast) -> dict[int, tuple[int | None, int]]:
    """Return the thread number and the place of every comment."""
    with cast.app.app_context():
        rows = db.session.execute(select(Comment.id, Comment.thread_number, Comment.place))
        return {row.id: (row.thread_number, row.place) for row in rows}


def undo_last(cast: Cast, comment: int) -> None:
    """Take back what was done last to a comment."""
    assert cast.author.post(f"/moderation/undo/{last_event(cast, comment).id}").status_code == 303


def run(app: Flask, job: GapCloser) -> int:
    """Let the worker do a job now."""
    with app.app_context():
        return job(clock.now())


def set_threads_per_page(cast: Cast, number: int) -> None:
    with cast.app.test_request_context(method="POST"):
        change_setting("threads_per_page", number)
        db.session.commit()
