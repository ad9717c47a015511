"""The desk: who sees what, in which order, with what beside it, in how many queries."""

import re
from datetime import timedelta

import pytest
import time_machine

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.posting import post_comment
from forum.discussion.rights import Act, rights
from forum.essays.essay import Access, Essay
from forum.moderation.queue import how_long, moderates
from forum.subscriptions.subscription import Kind
from forum.text.markdown import render_comment
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements
from tests.moderation.stage import Scene

BAD = '<img src=x onerror="alert(1)">'


QUERIES = {"/moderation": 23, "/moderation/log": 10}
"""With the session and the settings."""


def test_the_desk_says_how_many_wait_and_how_long(scene: Scene, cast: Cast) -> None:
    with time_machine.travel(clock.now() - timedelta(hours=3, minutes=10), tick=True):
        scene.held("The first.")
    scene.held("The second.")
    page = words(cast.author.get("/moderation"))
    assert "2 comments. The oldest has waited 3 hours." in page
    assert page.index("The first.") < page.index("The second.")
    newest_first = words(cast.author.get("/moderation?order=newest"))
    assert newest_first.index("The second.") < newest_first.index("The first.")


def test_an_empty_desk_says_so_and_shows_what_was_posted_last(scene: Scene, cast: Cast) -> None:
    for number in range(4):
        scene.shown(f"Posted number {number}.")
    page = words(cast.author.get("/moderation"))
    assert "Nothing is waiting." in page
    assert "Posted number 3." in page
    assert "Posted number 0." not in page


def test_only_staff_have_a_desk(cast: Cast) -> None:
    for path in ("/moderation", "/moderation/log"):
        assert cast.reader.get(path).status_code == 403
        assert cast.stranger.get(path).headers["Location"].startswith("/sign-in?next=/moderation")
        for who in (cast.author, cast.moderator, cast.admin):
            assert who.get(path).status_code == 200


def test_an_author_sees_their_own_essays_only(scene: Scene, cast: Cast) -> None:
    other = cast.person("another author", Role.AUTHOR)
    scene.held("For the first author.")
    essay_id = cast.essay("on-wells", "On wells", author_id=other.user_id)
    row = scene.post(cast.newcomer, "For the other author.", essay="on-wells")
    assert "For the other author." not in cast.author.get("/moderation").text
    assert "On wells" not in cast.author.get("/moderation").text
    assert "For the first author." not in other.get("/moderation").text
    assert "For the other author." in other.get("/moderation").text
    assert scene.decide(cast.author, row, "approve").status_code == 404
    event = scene.done(other, row, "approve")
    assert "On wells" not in cast.author.get("/moderation/log").text
    assert scene.undo(cast.author, event).status_code == 404
    for who in (cast.moderator, cast.admin):
        assert "On wells" in who.get(f"/moderation/log?essay={essay_id}").text


def test_the_desk_holds_exactly_the_essays_whose_comments_one_may_decide_about(
    scene: Scene, cast: Cast
) -> None:
    other = cast.person("another author", Role.AUTHOR)
    hour = timedelta(hours=1)
    cast.essay("draft", "Draft", published_at=None)
    cast.essay("later", "Later", published_at=clock.now() + hour)
    cast.essay("gone", "Gone", withdrawn_at=clock.now())
    cast.essay("for-supporters", "For supporters", access=Access.PAID)
    cast.essay("of-another", "Of another", author_id=other.user_id)
    cast.person("suspended moderator", Role.MODERATOR, suspended_until=clock.now() + hour)
    cast.person("banned author", Role.AUTHOR, banned_at=clock.now())
    people = [cast.author, other, cast.reader, cast.moderator, cast.admin, *cast.visitors.values()]
    with cast.app.test_request_context():
        now = clock.now()
        for who in people:
            user = db.session.get_one(User, who.user_id)
            on_desk = set(db.session.scalars(db.select(Essay.slug).where(moderates(user, now))))
            allowed = {
                essay.slug
                for essay in db.session.scalars(db.select(Essay)).unique()
                if Act.MODERATE in rights(user, essay, None, now)
            }
            assert on_desk == allowed, who.name


def test_the_masthead_counts_for_staff_and_asks_nothing_for_readers(scene: Scene, cast: Cast) -> None:
    for _ in range(2):
        scene.held(f"Waiting {_}.")
    assert "2 waiting" in words(cast.author.get(f"/essays/{cast.slug}"))
    assert "2 waiting" not in words(cast.newcomer.get(f"/essays/{cast.slug}"))
    scene.done(cast.author, scene.held("And one more."), "spam")
    assert "2 waiting" in words(cast.moderator.get("/moderation/log"))


def test_each_card_says_why_it_is_here_and_what_it_answers(scene: Scene, cast: Cast) -> None:
    above = scene.shown("Above it *all*, a line.")
    scene.held("A first word.", above)
    cast.change(User, cast.reader.user_id or 0, is_held=True)
    scene.post(cast.reader, "A held word.")
    page = words(cast.author.get("/moderation"))
    assert "First comment" in page
    assert "Held person" in page
    assert "To reader on On tides : Above it all, a line." in page
    assert "To the essay On tides" in page


def test_beside_a_card_stands_what_is_known_of_its_writer(scene: Scene, cast: Cast) -> None:
    cast.subscribe(cast.newcomer.user_id or 0, Kind.PAID)
    scene.done(cast.author, scene.held("A bad one."), "reject", reason="unkind")
    scene.held("A better one.")
    page = words(cast.author.get("/moderation"))
    assert "Supporter, joined" in page
    assert "1 waiting, 0 posted, 1 removed" in page
    assert "rejected" in page
    assert "@mail.example" not in page


def test_the_desk_does_not_repeat_what_its_writer_withdrew(scene: Scene, cast: Cast) -> None:
    above = scene.shown("I regret these words.")
    scene.held("A first word.", above)
    assert "I regret these words." in words(cast.author.get("/moderation"))
    cast.reader.post(f"/comments/{above}/withdraw")
    page = words(cast.author.get("/moderation"))
    assert "I regret these words." not in page
    assert "This comment was deleted by its writer." in page


def test_a_comment_that_was_reported_shows_its_answers(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    for number in range(5):
        scene.post(cast.other_reader, f"Answer number {number}.", row)
    for name in ("first", "second", "third"):
        who = cast.person(f"{name} witness", accepted_comments=1)
        who.post(f"/comments/{row}/report", {"reason": "spam" if name == "third" else "unkind"})
    page = words(cast.author.get("/moderation"))
    assert "Reported by 3 readers: unkind, spam" in page
    assert "Answer number 2." in page
    assert "Answer number 3." not in page
    assert "Keep it" in page


def test_a_late_edit_shows_what_changed(scene: Scene, cast: Cast) -> None:
    with time_machine.travel(clock.now() - timedelta(hours=1), tick=True):
        row = scene.shown("The tide is late.")
    scene.edit(cast.reader, row, "The tide is early.")
    page = cast.author.get("/moderation").text
    assert "<del>late.</del><ins>early.</ins>" in page
    assert "Edited later" in page
    assert "Keep the first version" in page


def test_the_wait_of_a_reported_comment_counts_from_the_reports(scene: Scene, cast: Cast) -> None:
    with time_machine.travel(clock.now() - timedelta(days=9), tick=True):
        row = scene.shown()
        essay = cast.read(Essay, cast.essay_id)
        assert essay.visible_comments == 1
    for name in ("first", "second", "third"):
        cast.person(f"{name} witness", accepted_comments=1).post(
            f"/comments/{row}/report", {"reason": "unkind"}
        )
    assert "It has waited less than a minute." in words(cast.author.get("/moderation"))


def test_the_queue_is_narrowed_by_cause_essay_and_words(scene: Scene, cast: Cast) -> None:
    essay_id = cast.essay("on-wells", "On wells")
    scene.held("A mole in the harbour.")
    scene.post(cast.person("Zoë_Quill"), "A 100% dry well.", essay="on-wells")
    cast.change(User, cast.reader.user_id or 0, is_held=True)
    scene.post(cast.reader, "Third.")
    expected = {
        "?cause=first": "mole dry",
        "?cause=new-writer": "mole dry",
        "?cause=held": "Third",
        f"?essay={essay_id}": "dry",
        "?q=MOLE": "mole",
        "?q=zo%C3%AB": "dry",
        "?q=100%25": "dry",
        "?q=1%25y": "",
        "?q=nobody+said+this": "",
        "?cause=nonsense&essay=x&order=y&page=x": "mole dry Third",
    }
    for query, found in expected.items():
        page = cast.author.get(f"/moderation{query}")
        assert page.status_code == 200
        main = page.text.partition('<ol class="queue"')[2].partition("</main>")[0]
        bodies = " ".join(re.findall(r"card__body.*?</div>", main, re.S))
        for word in ("mole", "dry", "Third"):
            assert (word in bodies) is (word in found), (query, word)


def test_a_long_queue_has_pages_of_twenty(scene: Scene, cast: Cast) -> None:
    _fill(cast, 45)
    first = cast.author.get("/moderation")
    assert first.text.count('class="card"') == 20
    assert "/moderation?page=3" in first.text
    assert cast.author.get("/moderation?page=3").text.count('class="card"') == 5
    assert cast.author.get("/moderation?page=4").headers["Location"] == "/moderation"
    assert cast.author.get("/moderation?page=99999999").status_code == 404


@pytest.mark.parametrize("path", ["/moderation", "/moderation/log"])
def test_the_desk_takes_the_same_number_of_queries_whatever_waits(
    scene: Scene, cast: Cast, path: str
) -> None:
    _fill(cast, 20)
    if path.endswith("log"):
        _decide_all(scene, cast, 5)
    cast.author.get(path)
    with statements(cast.app) as few:
        assert cast.author.get(path).status_code == 200
    _fill(cast, 180, start=20)
    if path.endswith("log"):
        _decide_all(scene, cast, 30)
    with statements(cast.app) as many:
        assert cast.author.get(path).status_code == 200
    assert len(many) == len(few) <= QUERIES[path]


def test_words_names_notes_and_titles_arrive_escaped(scene: Scene, cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, title=BAD)
    cast.change(User, cast.newcomer.user_id or 0, name="<script>alert(2)")
    above = scene.held(f"Below {BAD}", scene.shown(f"Above {BAD}"))
    scene.done(cast.author, above, "reject", reason="other", note=BAD)
    scene.edit(cast.newcomer, above, f"Again {BAD}")
    pages = [
        cast.author.get("/moderation"),
        cast.author.get("/moderation/log"),
        cast.author.get(f"/moderation?q={BAD}"),
        scene.decide(cast.author, above, "approve", revision=1),
        scene.decide(cast.author, above, "reject", note=BAD),
        cast.author.post(f"/moderation/essays/{cast.essay_id}/close", {"note": BAD * 60}),
    ]
    assert [page.status_code for page in pages] == [200, 200, 200, 409, 422, 422]
    for page in pages:
        assert "<img" not in page.text
        assert "<script>alert" not in page.text
        assert "&lt;img" in page.text


def test_after_a_decision_the_way_back_remembers_it_and_offers_undo(scene: Scene, cast: Cast) -> None:
    row, other = scene.held("The first."), scene.held("The second.")
    desk = cast.author.get("/moderation?order=oldest").text
    assert f'name="next" value="/moderation?order=oldest#card-{other}"' in desk
    answer = scene.decide(cast.author, row, "approve", next=f"/moderation?order=oldest#card-{other}")
    event = scene.last_event(row).id
    assert answer.headers["Location"] == f"/moderation?order=oldest&done={event}#card-{other}"
    page = cast.author.get(f"/moderation?order=oldest&done={event}")
    assert f'action="/moderation/undo/{event}"' in page.text
    assert "Posted newcomer’s comment. 1 left." in words(page)
    assert "1 left." not in words(cast.author.get(f"/moderation?done={event}"))
    # Neither another's decision nor one that is undone is offered.
    assert "/moderation/undo/" not in cast.moderator.get(f"/moderation?done={event}").text
    scene.undo(cast.author, event)
    assert "/moderation/undo/" not in cast.author.get(f"/moderation?done={event}").text


def test_the_desk_answers_json(scene: Scene, cast: Cast) -> None:
    row = scene.held("One that waits.")
    answer = cast.author.get("/moderation", headers={"Accept": "application/json"})
    assert answer.json["total"] == 1
    assert answer.json["waiting"][0]["id"] == row
    assert answer.json["waiting"][0]["causes"] == ["new-writer"]
    event = scene.done(cast.author, row, "approve")
    log = cast.author.get("/moderation/log", headers={"Accept": "application/json"}).json
    assert (log["events"][0]["id"], log["events"][0]["may_undo"]) == (event, True)


def test_the_essay_that_was_chosen_can_be_closed_from_the_desk(cast: Cast) -> None:
    page = cast.author.get(f"/moderation?essay={cast.essay_id}").text
    assert f'action="/moderation/essays/{cast.essay_id}/close"' in page
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
    page = cast.author.get(f"/moderation?essay={cast.essay_id}").text
    assert f'action="/moderation/essays/{cast.essay_id}/reopen"' in page


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(days=9, hours=23), "9 days"),
    ],
)
def test_a_wait_is_told_in_its_largest_unit(wait: timedelta, said: str) -> None:
    assert how_long(wait) == said


def _fill(cast: Cast, count: int, *, start: int = 0) -> None:
    """Let as many different newcomers post, each with an answer to the one before."""
    rendered = render_comment("Words that wait, with *emphasis*.")
    with cast.app.test_request_context():
        essay = db.session.get_one(Essay, cast.essay_id)
        now, above = clock.now(), None
        for number in range(start, start + count):
            writer = User(
                name=f"Writer {number}",
                email=f"writer{number}@mail.example",
                email_confirmed_at=now,
                created_at=now,
                role=Role.READER,
            )
            db.session.add(writer)
            db.session.flush()
            above = post_comment(writer, essay, rendered, f"form-{number}", above if number % 5 else None)
        db.session.commit()


def _decide_all(scene: Scene, cast: Cast, count: int) -> None:
    with cast.app.app_context():
        ids = list(db.session.scalars(db.select(Comment.id).order_by(Comment.id.desc()).limit(count)))
    who: Visitor = cast.author
    for row in ids:
        scene.done(who, row, "approve")
