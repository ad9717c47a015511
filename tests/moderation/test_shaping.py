"""Shaping a discussion: pins, picks, closed threads, moving, redacting, merging; each taken back to the byte."""

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text

from forum import clock
from forum.accounts.user import Role
from forum.database import db
from forum.discussion.comment import MAX_DEPTH, Comment
from forum.discussion.event import Event
from forum.discussion.redacted import MARK
from forum.jobs import send_news
from forum.notifications.notice import Notice
from forum.site.audit import AuditEntry
from tests.cast import Visitor, words
from tests.counting import wrong_counters
from tests.discussion.rows import JSON, statements
from tests.moderation.stage import Scene

OTHER = "on-harbours"
SECRET = "call me on 555 0199"
TOKENS = re.compile(r'name="(?:csrf_token|form_token)" value="[^"]*"')


def test_one_thread_is_pinned_and_the_next_takes_its_place(scene: Scene) -> None:
    first, second = scene.shown("The first thread."), scene.shown("The second thread.")
    scene.done(scene.cast.author, first, "pin")
    before = seen(scene)
    event = scene.done(scene.cast.author, second, "pin")
    assert pinned(scene) == [second]
    assert scene.undo(scene.cast.author, event).status_code == 303
    assert pinned(scene) == [first]
    assert seen(scene) == before


def test_an_undo_that_pins_again_takes_back_first_what_was_pinned_since(scene: Scene) -> None:
    first, second = scene.shown("The first thread."), scene.shown("The second thread.")
    scene.done(scene.cast.author, first, "pin")
    down = scene.done(scene.cast.author, first, "unpin")
    scene.done(scene.cast.author, second, "pin")
    assert "You pinned it since." in words(scene.undo(scene.cast.author, down))
    assert pinned(scene) == [second]
    with_later = {"with_later": "yes"}
    assert scene.cast.author.post(f"/moderation/undo/{down}", with_later).status_code == 303
    assert pinned(scene) == [first]


@pytest.mark.kinds("sqlite")
def test_what_was_done_and_undone_is_told_as_it_is(scene: Scene) -> None:
    author, row, other = scene.cast.author, scene.shown(), scene.shown("The same in other words.")
    post = partial(author.post, headers=JSON)
    for verb, done, undone, again in (
        ("pin", "Pinned {}.", "{} is not pinned any more.", "{} is pinned again."),
        (
            "feature",
            "Marked {} as the author’s pick.",
            "{} is not the author’s pick any more.",
            "{} is the author’s pick again.",
        ),
        (
            "close-thread",
            "Closed the thread of {}.",
            "The thread of {} is open again.",
            "The thread of {} is closed again.",
        ),
        ("merge", "Merged {} with another.", "{} is as it was. Readers see it.", None),
        ("redact", "Blacked out words in {}.", "{} is as it was. Readers see it.", None),
    ):
        sent = {"revision": 1, "reason": "private", "note": "", "target": str(other), "words": "at once"}
        made = post(f"/moderation/comments/{row}/{verb}", sent).json
        told = [made["sentence"]]
        for _ in range(2 if again else 1):
            made = post(f"/moderation/undo/{made['event']}").json
            told.append(made["sentence"].removeprefix("Undone. "))
        assert told == [words.format("reader’s comment") for words in (done, undone, again) if words]


def test_picks_have_a_page_of_their_own_once_there_are_any(scene: Scene) -> None:
    root = scene.shown("A thread of its own.")
    reply = scene.shown("An answer that was picked.", root)
    address = f"/essays/{scene.cast.slug}?sort=picks"
    assert "sort=picks" not in scene.cast.stranger.get(f"/essays/{scene.cast.slug}").text
    assert "A thread of its own." in words(scene.cast.stranger.get(address))
    event = scene.done(scene.cast.author, reply, "feature")
    assert "sort=picks" in scene.cast.stranger.get(f"/essays/{scene.cast.slug}").text
    with statements(scene.cast.app) as sent:
        page = scene.cast.stranger.get(address)
    assert len(sent) <= 7
    assert "A thread of its own." not in words(page)
    assert f'<a class="continue" href="/comments/{reply}">See it in its thread →</a>' in page.text
    held = scene.held("A picked one that nobody sees.")
    scene.cast.change(Comment, held, featured_at=clock.now())
    asked = scene.cast.stranger.get(address, headers=JSON).get_json()
    assert [one["id"] for one in asked["comments"]] == [reply]
    scene.undo(scene.cast.author, event)
    assert "sort=picks" not in scene.cast.stranger.get(f"/essays/{scene.cast.slug}").text


def test_in_a_closed_thread_only_staff_answer_and_words_are_kept(scene: Scene) -> None:
    root = scene.shown("A thread that runs hot.")
    reply = scene.post(scene.cast.other_reader, "An answer.", root)
    before = seen(scene)
    event = scene.done(scene.cast.moderator, reply, "close-thread", note="All is said.") and event_of(
        scene, root
    )
    assert (event.act, event.comment_id) == ("close-thread", root)
    page = scene.cast.stranger.get(f"/essays/{scene.cast.slug}")
    assert "This thread is closed. All is said." in words(page)
    assert '<li class="is-closed">' in page.text
    for visitor in (scene.cast.reader, scene.cast.stranger):
        answer = visitor.comment(scene.cast.slug, "One word more.", reply)
        assert answer.status_code in (403, 409)
        assert "This thread is closed. All is said." in words(answer)
        assert "One word more." in answer.text
    own = scene.cast.reader.get(f"/comments/{root}")
    assert "This thread is closed. All is said." in words(own)
    assert 'id="compose"' not in own.text
    assert f"/comments/{root}/edit" not in own.text
    assert (
        scene.cast.reader.post(f"/comments/{root}/edit", {"body": "Better.", "revision": 1}).status_code
        == 403
    )
    assert f'href="/comments/{root}#edit"' not in scene.cast.reader.get(f"/essays/{scene.cast.slug}").text
    assert scene.post(scene.cast.author, "The last word.", reply)
    assert scene.decide(scene.cast.author, root, "close-thread").status_code == 409
    too_long = scene.decide(scene.cast.author, root, "close-thread", note="x" * 1001)
    assert too_long.status_code == 422
    last = last_comment(scene)
    scene.cast.author.post(f"/comments/{last}/withdraw")
    assert scene.undo(scene.cast.moderator, event.id).status_code == 303
    assert seen(scene) == before


def test_a_comment_moves_to_another_essay_with_all_below_it_and_back_with_what_came_since(
    scene: Scene,
) -> None:
    other = other_essay(scene)
    root = scene.shown("A thread.")
    moved = scene.post(scene.cast.other_reader, "Off the point.", root)
    below = scene.shown("Below it.", moved)
    scene.held("Held below it.", below)
    before, counted = seen(scene), scene.state(moved)
    assert "It stands there already." in words(ask_move(scene, moved, root, 422))
    page = ask_move(scene, moved, f"http://localhost/essays/{OTHER}", 200)
    assert "The comment and 1 comment below it will stand as a thread of its own on On harbours ." in words(
        page
    )
    event = act(scene, moved, "move", target=f"/essays/{OTHER}")
    assert right(scene)
    assert (scene.cast.read(Comment, below).essay_id, scene.cast.read(Comment, below).root_id) == (
        other,
        moved,
    )
    old, new = (words(scene.cast.stranger.get(f"/essays/{slug}")) for slug in (scene.cast.slug, OTHER))
    assert "A comment by other reader was moved to On harbours ." in old
    assert "Off the point." not in old
    assert "moved here" in new
    assert "Moved here" in words(scene.cast.stranger.get(f"/comments/{moved}"))
    assert "Below it." in words(scene.cast.stranger.get(f"/comments/{below}"))
    since = scene.post(scene.cast.reader, "Written there.", below, essay=OTHER)
    assert scene.undo(scene.cast.moderator, event).status_code == 303
    assert right(scene)
    assert scene.cast.read(Comment, since).root_id == root
    scene.cast.reader.post(f"/comments/{since}/withdraw")
    assert seen(scene) == before
    assert scene.state(moved)["comment"] == counted["comment"]


def test_events_follow_their_comments_so_that_rights_do(scene: Scene) -> None:
    stranger_to_it = scene.cast.person("another author", Role.AUTHOR)
    other_essay(scene, author_id=stranger_to_it.user_id)
    moved = scene.shown("Here by mistake.")
    picked = scene.done(scene.cast.author, moved, "feature")
    assert ask_move(scene, moved, f"/essays/{OTHER}", 422, scene.cast.author)
    event = act(scene, moved, "move", target=f"/essays/{OTHER}")
    assert scene.cast.read(Comment, moved).featured_at is None
    assert scene.undo(scene.cast.author, event).status_code in (403, 404)
    assert scene.undo(stranger_to_it, picked).status_code in (403, 404, 409)
    assert scene.undo(scene.cast.moderator, event).status_code == 303
    assert scene.cast.read(Comment, moved).featured_at is not None
    assert scene.cast.read(Event, picked).essay_id == scene.cast.essay_id


def test_a_move_that_cannot_be_is_refused_and_what_was_typed_stays(scene: Scene) -> None:
    root = scene.shown("A thread.")
    below = scene.shown("Below it.", root)
    scene.cast.essay("a-draft", "A draft", published_at=None)
    before = seen(scene)
    for target, sentence in (
        ("", "Paste the address of the place."),
        ("nonsense", "There is no such essay or comment."),
        ("/comments/999999", "There is no such essay or comment."),
        (str(root), "It cannot stand below itself."),
        (f"/comments/{below}", "It cannot stand below itself."),
        ("/essays/a-draft", "no such essay"),
        (f"/comments/{scene.held()}", "Readers do not see that comment."),
    ):
        answer = scene.decide(scene.cast.moderator, root, "move", target=target)
        assert answer.status_code == 422, target
        assert sentence in words(answer), target
        assert f'value="{target}"' in answer.text
    assert seen(scene) == before


def test_what_would_reach_too_deep_is_attached_higher_up(scene: Scene) -> None:
    chain = [scene.shown("Level 0.")]
    for level in range(1, MAX_DEPTH + 1):
        chain.append(scene.shown(f"Level {level}.", chain[-1]))
    tree = scene.shown("A tree.")
    leaf = scene.shown("Its leaf.", tree)
    before = seen(scene)
    event = act(scene, tree, "move", target=str(chain[-1]))
    assert scene.cast.read(Comment, tree).parent_id == chain[MAX_DEPTH - 2]
    assert scene.cast.read(Comment, leaf).depth == MAX_DEPTH
    assert right(scene)
    assert scene.undo(scene.cast.moderator, event).status_code == 303
    assert right(scene)
    assert seen(scene) == before


def test_a_move_is_not_taken_back_to_a_place_that_is_below_itself_now(scene: Scene) -> None:
    first, second = scene.shown("The first."), scene.shown("The second.")
    reply = scene.shown("A reply.", first)
    event = act(scene, reply, "move", target=str(second))
    act(scene, first, "move", target=str(reply))
    answer = scene.undo(scene.cast.moderator, event)
    assert answer.status_code == 409
    assert right(scene)
    assert scene.cast.read(Comment, reply).parent_id == second


def test_moving_takes_as_many_statements_for_many_as_for_few(scene: Scene) -> None:
    other_essay(scene)
    assert scene.cast.moderator
    counts = []
    for size in (2, 20):
        root = scene.shown(f"A thread with {size}.")
        for number in range(size):
            scene.shown(f"Answer {number} of {size}.", root)
        with statements(scene.cast.app) as sent:
            act(scene, root, "move", target=f"/essays/{OTHER}")
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_a_duplicate_is_merged_with_its_answers_and_thanks_and_comes_back_exactly(scene: Scene) -> None:
    cast = scene.cast
    stays = scene.shown("What I said.")
    goes = scene.post(cast.other_reader, "What was said.")
    answer = scene.post(cast.author, "An answer to it.", goes)
    scene.post(cast.reader, "Below that.", answer)
    fans = [cast.person(f"fan {number}") for number in range(3)]
    for fan in (fans[0], fans[1], cast.reader):  # the reader wrote the one that stays
        fan.post(f"/comments/{goes}/react")
    fans[1].post(f"/comments/{stays}/react")
    cast.newcomer.post(f"/comments/{goes}/report", {"reason": "spam"})
    before, counted = seen(scene), scene.state(goes)
    page = cast.moderator.get(f"/moderation/comments/{goes}/merge?target={stays}")
    assert "What I said." in words(page)
    event = act(scene, goes, "merge", target=f"/comments/{stays}")
    assert right(scene)
    assert cast.read(Comment, stays).likes == 2
    assert cast.read(Comment, answer).parent_id == stays
    assert heard(scene, cast.other_reader) == ["Your comment was merged with another"]
    for visitor in (cast.stranger, cast.other_reader, cast.author):
        led = visitor.get(f"/comments/{goes}")
        assert (led.status_code, led.headers["Location"]) == (303, f"/comments/{stays}")
    assert "comment--waiting" not in cast.other_reader.get(f"/essays/{cast.slug}").text
    fans[0].post(f"/comments/{stays}/react")  # takes back what came with the merge
    fans[2].post(f"/comments/{stays}/react")
    assert scene.undo(cast.moderator, event).status_code == 303
    fans[2].post(f"/comments/{stays}/react")
    assert right(scene)
    assert seen(scene) == before
    assert scene.state(goes) == counted
    assert heard(scene, cast.other_reader) == []
    again = event_of(scene, goes)
    assert scene.undo(cast.moderator, again.id).status_code == 303
    assert cast.read(Comment, stays).likes == 2
    assert right(scene)


def test_two_comments_are_merged_only_with_the_words_that_were_looked_at(scene: Scene) -> None:
    cast = scene.cast
    goes, stays = scene.shown("The same."), scene.post(cast.other_reader, "Just the same.")
    address = f"/moderation/comments/{goes}/merge"

    def looked_at(page: str) -> dict[str, str]:
        return dict(re.findall(r'name="(target|revision|target_revision)" value="([^"]+)"', page))

    assert cast.moderator.post(address, {"target": stays}).status_code == 422
    form = looked_at(cast.moderator.get(f"{address}?target={stays}").text)
    for writer, row in ((cast.reader, goes), (cast.other_reader, stays)):
        scene.edit(writer, row, f"Something else, says {row}.")
        refused = cast.moderator.post(address, form)
        assert refused.status_code == 409
        assert "Nothing was merged." in words(refused)
        assert f"Something else, says {row}." in words(refused)
        assert cast.moderator.post(address, form, headers=JSON).status_code == 409
        assert cast.read(Comment, goes).visible
        form = looked_at(refused.text)
    assert cast.moderator.post(address, form).status_code == 303
    assert cast.read(Comment, goes).merged_into_id == stays


def test_a_merge_that_cannot_be_is_refused(scene: Scene) -> None:
    other_essay(scene)
    goes = scene.shown("A comment.")
    below = scene.shown("Below it.", goes)
    elsewhere = scene.post(scene.cast.reader, "Elsewhere.", essay=OTHER)
    for target, sentence in (
        (f"/essays/{scene.cast.slug}", "There is no such comment."),
        (str(goes), "That is this comment."),
        (str(below), "an answer below this one"),
        (str(elsewhere), "in another discussion"),
        (str(scene.held()), "Readers do not see that comment."),
    ):
        answer = scene.decide(scene.cast.moderator, goes, "merge", target=target)
        assert answer.status_code == 422, target
        assert sentence in words(answer), target
    hidden = scene.shown("Hidden already.")
    scene.done(scene.cast.author, hidden, "hide", reason="spam", note="")
    assert scene.decide(scene.cast.moderator, hidden, "merge", target=str(goes)).status_code == 409


def test_redacted_words_are_in_no_page_feed_mail_or_notice_and_come_back_with_the_undo(
    scene: Scene, kind: str
) -> None:
    cast = scene.cast
    comment, answer, event = redacted(scene)
    assert rows_that_say_it(scene) == set()
    if kind == "sqlite":  # pages say what the rows say on either
        assert pages_that_say_it(scene, comment) == []
    shown = words(cast.stranger.get(f"/comments/{comment}"))
    assert f"Please {MARK} or {MARK}." in shown
    seal = cast.author.post(f"/moderation/comments/{comment}/original")
    assert SECRET in seal.text
    assert cast.moderator.post(f"/moderation/comments/{comment}/original").status_code == 403
    assert cast.other_reader.post(f"/moderation/comments/{comment}/original").status_code == 403
    with cast.app.app_context():
        looked = db.session.scalars(select(AuditEntry).where(AuditEntry.act == "original")).one()
        assert (looked.actor_id, looked.subject) == (cast.author.user_id, f"comment:{comment}")
    assert scene.undo(cast.moderator, event).status_code == 303
    assert SECRET in cast.stranger.get(f"/comments/{comment}").text.lower()
    with cast.app.app_context():
        quote = db.session.scalar(
            select(Notice.quote).where(
                Notice.subject == f"comment:{answer}", Notice.user_id == cast.reader.user_id
            )
        )
        assert SECRET in (quote or "").lower()


def test_an_edit_that_brings_redacted_words_back_waits(scene: Scene) -> None:
    comment = scene.shown(f"Please {SECRET}.")
    scene.done(scene.cast.author, comment, "redact", words=SECRET, reason="private", note="")
    scene.edit(scene.cast.reader, comment, "Please call me soon.")
    assert "call me soon" in words(scene.cast.stranger.get(f"/comments/{comment}"))
    scene.edit(scene.cast.reader, comment, "Please **Call me** on 555\n0199.")
    assert scene.cast.read(Comment, comment).waits_for == {"edit"}
    assert "0199" not in scene.cast.stranger.get(f"/comments/{comment}").text


def test_words_that_were_edited_meanwhile_are_looked_at_again_before_any_are_redacted(scene: Scene) -> None:
    comment = scene.shown(f"Please {SECRET}.")
    scene.edit(scene.cast.reader, comment, f"Better: {SECRET}.")
    given = {"words": SECRET, "reason": "private", "note": ""}
    answer = scene.decide(scene.cast.author, comment, "redact", revision=1, **given)
    assert answer.status_code == 409
    assert f"Better: {SECRET}." in words(answer)
    assert f">{SECRET}</textarea>" in answer.text.replace("\r\n", "")
    assert SECRET in words(scene.cast.stranger.get(f"/comments/{comment}"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("not in it", "These words are not in the comment."),
        ("ab", "at least 3 letters"),
        ("one two", "in another form"),
    ],
)
def test_words_that_cannot_be_redacted_are_refused(scene: Scene, given: str, sentence: str) -> None:
    comment = scene.shown("Say [one](https://example.org) two about it.")
    answer = scene.decide(
        scene.cast.author, comment, "redact", words=given, reason="private", note="Because."
    )
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert given in answer.text
    assert "Because." in answer.text


def redacted(scene: Scene) -> tuple[int, int, int]:
    """Redact an edited comment that was answered, mailed, reported and followed; return it, the answer, the event."""
    cast = scene.cast
    cast.person("follower").post(f"/essays/{cast.slug}/follow")
    comment = scene.shown(f"Please {SECRET}.")
    answer = scene.post(cast.other_reader, "I will.", comment)
    cast.change(Comment, comment, created_at=clock.now() - timedelta(days=1))
    scene.edit(cast.reader, comment, f"Please *{SECRET.upper()}* or {SECRET}.")
    with cast.app.app_context():
        send_news(clock.now() + timedelta(minutes=5))
        db.session.commit()
    assert rows_that_say_it(scene) == {"notice", "message", "comment_revision"}
    event = scene.done(cast.moderator, comment, "redact", words=SECRET, reason="private", note="A number.")
    scene.done(cast.moderator, comment, "approve")
    return comment, answer, event


def pages_that_say_it(scene: Scene, comment: int) -> list[str]:
    """Return every address of the app that still says the redacted words, to whom."""
    cast, found = scene.cast, []
    values = {
        "slug": cast.slug,
        "comment_id": comment,
        "essay_id": cast.essay_id,
        "user_id": cast.reader.user_id,
        "author_id": cast.author.user_id,
    }
    for rule in cast.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.arguments <= set(values):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: str(values[name[1]]), rule.rule)
        for who in (cast.stranger, cast.reader, cast.moderator, cast.author, cast.admin):
            if says_it(who.get(f"{path}?q=555&old=1&new=2").text):
                found.append(f"{who.name}: {path}")
        if path.startswith(("/essays", "/comments", "/moderation")) and says_it(
            cast.moderator.get(path, headers=JSON).text
        ):
            found.append(f"JSON: {path}")
    return found


def rows_that_say_it(scene: Scene) -> set[str]:
    """Return the tables whose rows still say the redacted words."""
    tables = (
        "notice",
        "message",
        "mailing",
        "kept_comment",
        "comment_revision",
        "report",
        "appeal",
        "audit_entry",
    )
    with scene.cast.app.app_context():
        rows = {table: db.session.execute(text(f"SELECT * FROM {table}")).all() for table in tables}
    return {table for table, found in rows.items() if any(says_it(str(tuple(row))) for row in found)}


def says_it(words_there: str) -> bool:
    return "0199" in words_there


def seen(scene: Scene) -> dict[str, Any]:
    """Return every public page and feed of both essays, and where each comment hangs."""
    pages = {}
    for slug in (scene.cast.slug, OTHER):
        for part in ("", "?sort=newest", "?sort=best", "?sort=picks", "/feed.xml"):
            page = scene.cast.stranger.get(f"/essays/{slug}{part}")
            pages[slug + part] = TOKENS.sub("", page.text)
    return pages


def right(scene: Scene) -> bool:
    """Tell whether every path and counter is what the rows say; what readers began with is not in the rows."""
    with scene.cast.app.app_context():
        wrong = [line for line in wrong_counters() if not line.startswith("user")]
        assert wrong == []
        lost = select(Event.id).join(Comment, Comment.id == Event.comment_id)
        assert not db.session.scalars(lost.where(Event.essay_id != Comment.essay_id)).all()
    return True


def heard(scene: Scene, who: Visitor) -> list[str]:
    """Return what somebody was told of decisions about their comments, and is not taken back."""
    with scene.cast.app.app_context():
        told = select(Notice.heading).where(Notice.user_id == who.user_id, Notice.retracted_at.is_(None))
        return list(db.session.scalars(told.where(Notice.letter == "decisions")))


def pinned(scene: Scene) -> list[int]:
    with scene.cast.app.app_context():
        return list(db.session.scalars(select(Comment.id).where(Comment.pinned_at.is_not(None))))


def other_essay(scene: Scene, **columns: Any) -> int:
    return scene.cast.essay(OTHER, "On harbours", published_at=clock.now() - timedelta(days=20), **columns)


def ask_move(scene: Scene, comment: int, target: object, status: int, who: Visitor | None = None) -> Any:
    page = (who or scene.cast.moderator).get(f"/moderation/comments/{comment}/move?target={target}")
    assert page.status_code == status
    return page


def act(scene: Scene, comment: int, verb: str, **data: Any) -> int:
    """Do what must succeed, and return the id of its event."""
    answer = scene.decide(scene.cast.moderator, comment, verb, **data)
    assert answer.status_code == 303, words(answer)
    return event_of(scene, comment).id


def event_of(scene: Scene, comment: int) -> Event:
    return scene.last_event(comment)


def last_comment(scene: Scene) -> int:
    with scene.cast.app.app_context():
        return db.session.scalars(select(Comment.id).order_by(Comment.id.desc()).limit(1)).one()
