"""The log: every decision with who, what, when and why, and an undo where it is possible; and what of it is public."""

import re
from datetime import timedelta

import time_machine

from forum import clock
from forum.accounts.user import Role
from forum.database import db
from forum.discussion.report import REASONS
from forum.essays.essay import Access
from forum.site.settings import change_setting
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements
from tests.moderation.stage import Scene


def test_the_log_tells_who_did_what_and_why(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    scene.done(cast.moderator, row, "reject", reason="off-topic", note="This is about wells.")
    page = words(cast.author.get("/moderation/log"))
    assert "moderator Rejected newcomer ’s comment on On tides" in page
    assert REASONS["off-topic"] in page
    assert "This is about wells." in page
    assert "1 decision." in page


def test_each_event_that_can_be_undone_has_a_form_for_it(scene: Scene, cast: Cast) -> None:
    row, other = scene.held(), scene.shown()
    approved = scene.done(cast.author, row, "approve")
    hidden = scene.done(cast.author, row, "hide", reason="unkind")
    pinned = scene.done(cast.author, other, "pin")
    page = cast.moderator.get("/moderation/log").text
    assert f'action="/moderation/undo/{hidden}"' in page
    assert f'action="/moderation/undo/{pinned}"' in page
    assert "Undo with what followed posted: newcomer" in words(cast.moderator.get("/moderation/log"))
    scene.undo(cast.moderator, hidden)
    page = cast.moderator.get("/moderation/log").text
    assert f'action="/moderation/undo/{approved}"' in page
    assert "Undo with what followed" not in page
    assert f'action="/moderation/undo/{hidden}"' not in page
    assert f'href="/moderation/log?comment={row}#event-{hidden}"' in page


def test_closing_a_discussion_is_in_the_log_with_its_undo(scene: Scene, cast: Cast) -> None:
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close", {"note": "Good night."})
    page = cast.author.get("/moderation/log")
    assert "author Discussion closed On tides" in words(page)
    assert "Good night." in page.text
    assert "Undo discussion closed: On tides" in words(page)


def test_the_log_is_narrowed_by_act_person_essay_and_comment(scene: Scene, cast: Cast) -> None:
    row, other = scene.held(), scene.shown()
    scene.done(cast.moderator, row, "reject", reason="unkind")
    scene.done(cast.admin, other, "pin")
    wells = cast.essay("on-wells", "On wells")
    expected = {
        "": 2,
        "?act=reject": 1,
        "?act=nonsense": 2,
        "?q=admin": 1,
        "?q=newcomer": 1,
        "?q=nobody": 0,
        f"?essay={cast.essay_id}": 2,
        f"?essay={wells}": 0,
        f"?comment={row}": 1,
    }
    for query, count in expected.items():
        page = cast.author.get(f"/moderation/log{query}").text
        assert page.count('role="rowheader"') == count, query


def test_a_long_log_has_pages(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    for n in range(51):
        scene.done(cast.author, row, "unpin" if n % 2 else "pin")
    first = cast.author.get("/moderation/log").text
    assert first.count('role="rowheader"') == 50
    assert "/moderation/log?page=2" in first
    assert cast.author.get("/moderation/log?page=2").text.count('role="rowheader"') == 1


def test_an_act_on_many_is_one_line_that_unfolds(scene: Scene, cast: Cast) -> None:
    rows = [scene.post(cast.person(f"newcomer {n}"), f"First words, {n}.") for n in range(22)]
    cast.author.post("/moderation/batch", {"do": "approve", "item": [f"{row}:1" for row in rows]})
    page = cast.author.get("/moderation/log")
    assert page.text.count('role="rowheader"') == 1
    assert "author Posted 22 comments newcomer 0 ’s comment on On tides" in words(page)
    assert "newcomer 21" not in words(page)
    assert "Each of them, to undo one by one" in words(page)
    head = page.text.partition("/moderation/log?part_of=")[2].partition('"')[0]
    assert cast.author.get(f"/moderation/log?part_of={head}").text.count('role="rowheader"') == 22
    assert cast.author.get("/moderation/log?q=newcomer 21").text.count('role="rowheader"') == 1


def test_acts_on_people_are_in_the_log_of_who_may_do_them(scene: Scene, cast: Cast) -> None:
    scene.shown()
    ban = {"reason": "Advertising.", "days": "", "hide_comments": "yes"}
    cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", ban)
    page = words(cast.admin.get("/moderation/log?q=reader"))
    assert "admin Banned reader 1 comment reader ’s comment on On tides" in page
    assert "Advertising." in page
    assert "Undo banned: reader" in page
    assert "Undo banned" not in words(cast.moderator.get("/moderation/log"))


def test_the_log_and_the_person_page_offer_an_undo_exactly_where_it_is_taken(
    scene: Scene, cast: Cast
) -> None:
    other = cast.person("other author", Role.AUTHOR)
    cast.essay("on-wells", "On wells", author_id=other.user_id)
    row, person = scene.shown(), cast.reader.user_id
    moved = _moved(scene, row, "on-wells")
    hidden = scene.done(other, row, "hide", reason="unkind")
    cast.admin.post(f"/moderation/people/{person}/ban", {"reason": "Advertising."})
    banned = int(cast.admin.get("/moderation/log").text.partition('id="event-')[2].partition('"')[0])
    assert other.get("/moderation/log").text.count('role="rowheader"') == 3
    for page in ("/moderation/log", f"/moderation/people/{person}"):
        assert _offered(other, page) == {hidden}, page
        assert _offered(cast.moderator, page) == {moved, hidden}, page
        assert _offered(cast.admin, page) == {moved, hidden, banned}, page
    answers = [scene.undo(other, event).status_code for event in (moved, banned, hidden)]
    assert answers == [403, 403, 303]


def test_moderators_leave_what_they_wrote_to_others_and_nobody_learns_who_reported_them(
    scene: Scene, cast: Cast
) -> None:
    row, by_admin = scene.post(cast.moderator, "Mine."), scene.post(cast.admin, "Mine too.")
    for comment in (row, by_admin):
        cast.reader.post(f"/comments/{comment}/report", {"reason": "unkind", "note": "Mean."})
    assert f'id="card-{row}"' not in cast.moderator.get("/moderation").text
    assert f'action="/moderation/comments/{row}/' not in cast.moderator.get(f"/comments/{row}").text
    assert scene.decide(cast.moderator, row, "approve").status_code == 403
    batch = {"do": "approve", "item": [f"{row}:1"]}
    assert cast.moderator.post("/moderation/batch", batch).status_code == 404
    for page in ("/moderation", f"/comments/{by_admin}"):
        assert "reader : Unkind" in words(cast.moderator.get(page)), page
    assert "A reader : Unkind" in words(cast.admin.get(f"/comments/{by_admin}"))
    assert words(cast.admin.get("/moderation")).count("A reader : Unkind") == 1
    assert scene.decide(cast.admin, by_admin, "approve").status_code == 303
    hidden = scene.done(cast.author, row, "hide", reason="unkind")
    for page in ("/moderation/log", f"/moderation/people/{cast.moderator.user_id}"):
        assert hidden not in _offered(cast.moderator, page), page
        assert hidden in _offered(cast.author, page), page
    assert scene.undo(cast.moderator, hidden).status_code == 403
    assert scene.decide(cast.moderator, row, "restore").status_code == 403


def _moved(scene: Scene, row: int, slug: str) -> int:
    """Let the admin move a comment to another essay; return the event."""
    target = {"target": f"/essays/{slug}"}
    assert scene.cast.admin.post(f"/moderation/comments/{row}/move", target).status_code == 303
    return scene.last_event(row).id


def _offered(who: Visitor, page: str) -> set[int]:
    """Return the events that a page offers to undo."""
    return {int(found) for found in re.findall(r'action="/moderation/undo/(\d+)"', who.get(page).text)}


def test_the_log_takes_the_same_number_of_queries_whatever_is_in_it(scene: Scene, cast: Cast) -> None:
    rows = [scene.post(cast.person(f"newcomer {n}"), f"First words, {n}.") for n in range(6)]
    scene.done(cast.author, rows[0], "approve")
    cast.author.post("/moderation/batch", {"do": "approve", "item": [f"{row}:1" for row in rows[1:3]]})
    cast.admin.post(f"/moderation/people/{cast.person('newcomer 5').user_id}/hold", {"reason": "Unkind."})
    with statements(cast.app) as few:
        cast.author.get("/moderation/log")
    for row in rows[:3]:
        scene.done(cast.author, row, "hide", reason="unkind")
    cast.author.post("/moderation/batch", {"do": "approve", "item": [f"{row}:1" for row in rows[3:]]})
    for name in ("newcomer 1", "newcomer 2"):
        cast.admin.post(f"/moderation/people/{cast.person(name).user_id}/hold", {"reason": "Unkind."})
    with statements(cast.app) as many:
        assert cast.author.get("/moderation/log").text.count('role="rowheader"') == 9
    assert len(many) == len(few)


def test_what_moderators_did_is_published_only_when_an_admin_says_so(scene: Scene, cast: Cast) -> None:
    assert cast.stranger.get("/moderation-log").status_code == 404
    assert "/moderation-log" not in cast.stranger.get("/").text
    _publish(cast)
    assert cast.stranger.get("/moderation-log").status_code == 200
    assert 'href="/moderation-log"' in cast.stranger.get("/").text
    assert cast.stranger.get("/moderation-log?page=2").status_code == 404


def test_the_published_log_has_days_and_reasons_but_no_names_words_notes_or_hours(
    scene: Scene, cast: Cast
) -> None:
    yesterday = clock.now() - timedelta(days=1)
    cast.essay("for-few", "For few alone", access=Access.PAID, published_at=yesterday - timedelta(days=1))
    with time_machine.travel(yesterday, tick=False):
        rows = [scene.shown(f"Secret words, {n}.") for n in range(3)]
        mine = scene.post(cast.admin, "Words for few.", essay="for-few")
        for row in rows[:2]:
            scene.done(cast.moderator, row, "hide", reason="unkind", note="A sealed note.")
        scene.undo(cast.admin, scene.done(cast.moderator, rows[2], "spam"))
        scene.done(cast.moderator, mine, "feature")
        ban = {"reason": "A sealed reason.", "days": "", "hide_comments": "yes"}
        cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", ban)
        cast.admin.post(f"/moderation/people/{cast.other_reader.user_id}/warn", {"reason": "A warning."})
    scene.done(cast.person("moderator of today", Role.MODERATOR), scene.held(), "approve")
    _publish(cast)
    answer = cast.stranger.get("/moderation-log")
    page = words(answer).replace(" .", ".")
    assert "A reader was banned, 1 comment hidden with it." in page
    assert f"2 comments were removed, on On tides. {REASONS['unkind']}." in page
    assert (
        "A comment was removed as spam, on On tides. Spam: it is here to sell or to flood. Taken back" in page
    )
    assert "A comment became the author’s pick." in page
    assert yesterday.strftime("%-d %B %Y") in page
    names = [name for name in cast.visitors if name != "author"]  # every pick is the author's, and says so
    main = page.partition("between writers and moderators.")[2].partition("Essays Archive Feed")[0]
    assert [one for one in names if one in main.replace("A reader was", "")] == []
    for sealed in ("Secret", "sealed", "warn", "For few", "for-few", "was posted"):
        assert sealed not in main
    assert yesterday.strftime("%H:%M") not in answer.text


def _publish(cast: Cast) -> None:
    with cast.app.test_request_context():
        change_setting("public_log", True)
        db.session.commit()
