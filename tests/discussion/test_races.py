"""Two or twenty at once, with real threads: one outcome, never a 500, counters that equal recounts."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, select, update
from werkzeug.test import TestResponse

from forum.accounts.user import User, lock_users
from forum.database import WriteQueue, db
from forum.discussion.comment import Comment, Presence
from forum.discussion.kept import KeptComment
from forum.discussion.reaction import Reaction
from forum.discussion.report import Appeal
from forum.essays.essay import CommentPolicy, Essay
from forum.notifications.notice import Notice
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, comment_id
from tests.discussion.rows import history, rows_of, wrong_counters
from tests.moderation.stage import wait_for_locks

ROUNDS = 12
Act = Callable[[], TestResponse]


def test_one_readers_double_thanks_cancel_each_other_and_never_count_twice(cast: Cast) -> None:
    comment = comment_id(cast.other_reader.comment(cast.slug, "A kind remark."))
    tabs = [again(cast, cast.reader) for _ in range(2)]
    for _ in range(ROUNDS):
        together([thank(tab, comment) for tab in tabs])
        assert cast.read(Comment, comment).likes == 0
    together([thank(tab, comment) for tab in [*tabs, again(cast, cast.reader)]])
    assert cast.read(Comment, comment).likes == rows_of(cast, Reaction) == 1


def test_twenty_readers_who_thank_at_once_are_twenty_thanks(cast: Cast) -> None:
    comment = comment_id(cast.other_reader.comment(cast.slug, "A kind remark."))
    readers = [cast.person(f"reader {number}") for number in range(20)]
    for expected in (20, 0, 20):
        together([thank(reader, comment) for reader in readers])
        assert cast.read(Comment, comment).likes == rows_of(cast, Reaction) == expected


def test_two_who_thank_and_report_each_other_do_not_wait_for_each_other(cast: Cast) -> None:
    people = [cast.reader, cast.other_reader]
    theirs = [comment_id(person.comment(cast.slug, f"Words of {person.name}.")) for person in people]
    for number in range(ROUNDS):
        acts = [thank(people[0], theirs[1]), thank(people[1], theirs[0])]
        acts += [say(person, cast, f"Round {number}.") for person in people]
        together(acts)
    assert wrong_counters(cast.app, begun_with(cast)) == []


@pytest.mark.kinds("postgresql")
def test_a_change_of_what_was_moved_meanwhile_waits_for_its_new_discussion_alone(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A kind remark."))
    there, moderator = cast.essay("on-harbours", "On harbours"), cast.moderator
    with cast.app.app_context(), ThreadPoolExecutor(2) as pool, db.engine.connect() as old:
        old.execute(select(Essay.id).where(Essay.id == cast.essay_id).with_for_update())
        lock_users(User.id == cast.reader.user_id)
        db.session.execute(update(Comment).where(Comment.id == comment).values(essay_id=there))
        acts = [
            pool.submit(act_of(moderator, f"/moderation/comments/{comment}/feature", {})),
            pool.submit(thank(cast.other_reader, comment)),
        ]
        wait_for_locks(cast, 2)
        db.session.commit()
        assert [act.result(10).status_code for act in acts] == [303, 303]


def test_a_person_is_renamed_while_they_thank_and_moderate(cast: Cast) -> None:
    cast.moderator.comment(cast.slug, "A discussion that shows the name.")
    comment = comment_id(cast.other_reader.comment(cast.slug, "A kind remark."))
    tabs = [again(cast, cast.moderator) for _ in range(3)]
    for number in range(ROUNDS):
        name = {"name": f"Moderator {number}", "reason": "They married."}
        acts = [act_of(cast.admin, f"/admin/users/{cast.moderator.user_id}/name", name)]
        acts += [thank(tab, comment) for tab in tabs]
        acts += [act_of(again(cast, cast.moderator), f"/moderation/comments/{comment}/feature", {})]
        together(acts)
    assert wrong_counters(cast.app, begun_with(cast)) == []


def test_a_follower_is_renamed_while_others_post_what_they_are_told(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "A discussion that shows the name.")
    assert cast.reader.post(f"/essays/{cast.slug}/follow").status_code == 303
    tabs = [again(cast, cast.moderator) for _ in range(3)]
    for number in range(ROUNDS):
        name = {"name": f"Reader {number}", "reason": "They married."}
        acts = [act_of(cast.admin, f"/admin/users/{cast.reader.user_id}/name", name)]
        acts += [say(tab, cast, f"News {number}, {place}.") for place, tab in enumerate(tabs)]
        together(acts)
    # The author follows too, and heard of the first as well.
    assert rows_of(cast, Notice) == 2 * 3 * ROUNDS + 1


def test_the_author_answers_held_comments_while_their_writer_posts_on(cast: Cast) -> None:
    for number in range(ROUNDS):
        writer = cast.person(f"new writer {number}")
        held = comment_id(writer.comment(cast.slug, "A first comment."))
        tab = again(cast, writer)
        together(
            [
                say(cast.author, cast, f"Answer {number}.", held),
                say(writer, cast, f"A second comment {number}."),
                say(tab, cast, f"A third comment {number}."),
            ]
        )
        assert cast.read(Comment, held).visible
    assert wrong_counters(cast.app, {}) == []


def test_one_form_sent_twice_at_once_is_one_comment(cast: Cast) -> None:
    tabs = [again(cast, cast.reader) for _ in range(2)]
    for number in range(ROUNDS):
        answers = together(
            [say(tab, cast, f"Sent twice {number}.", form_token=f"form-{number}") for tab in tabs]
        )
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert rows_of(cast, Comment) == number + 1


def test_one_form_sent_twice_at_once_with_other_words_keeps_both(cast: Cast) -> None:
    tabs = [again(cast, cast.reader) for _ in range(2)]
    for number in range(4):
        answers = together(
            [
                say(tab, cast, f"Version {version} of {number}.", form_token=f"form-{number}")
                for version, tab in enumerate(tabs)
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]


def test_kept_words_claimed_twice_at_once_are_one_comment(cast: Cast) -> None:
    tabs = [again(cast, cast.reader) for _ in range(2)]
    for number in range(ROUNDS):
        answer = cast.stranger.comment(cast.slug, f"Kept words {number}.")
        kept = re.search(r"kept=([\w-]+)", answer.headers["Location"])
        assert kept
        claims: list[Act] = [
            lambda tab=tab, token=kept[1]: tab.post("/sign-in/kept", {"kept": token})  # type: ignore[misc]
            for tab in tabs
        ]
        answers = together(claims)
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert rows_of(cast, Comment) == number + 1


@pytest.mark.parametrize("act", ["close", "ban"])
def test_after_a_close_or_a_ban_nothing_is_posted(cast: Cast, act: str) -> None:
    for number in range(ROUNDS):
        slug = f"essay-{number}"
        essay = cast.essay(slug, f"Essay {number}")
        person = cast.person(f"writer {number}", accepted_comments=2)
        if act == "close":
            stop = act_of(cast.author, f"/moderation/essays/{essay}/close", {})
        else:
            form = {"reason": "Advertising.", "hide_comments": "yes"}
            stop = act_of(cast.admin, f"/moderation/people/{person.user_id}/ban", form)
        stopped, posted = together([stop, say(person, cast, "At the last moment.", slug=slug)])
        assert stopped.status_code == 303
        assert posted.status_code in (303, 403)
        after = say(person, cast, "Too late.", slug=slug)()
        assert after.status_code == 403
        row = cast.read(Essay, essay)
        if act == "close":
            assert row.visible_comments == (1 if posted.status_code == 303 else 0)
        else:
            assert row.visible_comments == 0
    assert wrong_counters(cast.app, begun_with(cast)) == []


def test_a_parent_hidden_or_withdrawn_while_it_is_answered(cast: Cast) -> None:
    for number in range(ROUNDS):
        parent = comment_id(cast.reader.comment(cast.slug, f"A remark {number}."))
        hide = {"revision": "1", "reason": "unkind", "note": ""}
        remove = (
            act_of(cast.author, f"/moderation/comments/{parent}/hide", hide)
            if number % 2
            else act_of(cast.reader, f"/comments/{parent}/withdraw", {})
        )
        removed, answer = together([remove, say(cast.other_reader, cast, f"An answer {number}.", parent)])
        assert removed.status_code == 303
        assert answer.status_code in (303, 409)
        row = cast.read(Comment, parent)
        assert row.presence == (Presence.HIDDEN if number % 2 else Presence.WITHDRAWN)
        assert row.visible_below == (1 if answer.status_code == 303 else 0)
    assert wrong_counters(cast.app, begun_with(cast)) == []


@pytest.mark.parametrize("change", ["DELETE FROM subscription", "UPDATE subscription SET ends_at = began_at"])
def test_whose_period_ends_while_their_post_waits_is_no_supporter(cast: Cast, change: str) -> None:
    cast.change(Essay, cast.essay_id, comments=CommentPolicy.PAID)
    cast.subscribe(cast.reader.user_id or 0, Kind.PAID)
    assert post_while(cast, change).status_code == 403
    assert rows_of(cast, Comment) == 0


def test_who_is_signed_out_while_their_post_waits_has_it_kept_as_a_stranger_has(cast: Cast) -> None:
    answer = post_while(cast, "DELETE FROM session")
    assert answer.headers["Location"].startswith("/sign-in?kept=")
    assert (rows_of(cast, Comment), rows_of(cast, KeptComment)) == (0, 1)


def test_what_is_posted_waits_by_the_settings_of_its_turn(cast: Cast) -> None:
    changed = """INSERT INTO setting (name, value) VALUES ('premoderation', '"all"'), ('page_version', '"another"')"""
    answer = post_while(cast, changed)
    assert not cast.read(Comment, comment_id(answer)).visible


def test_an_edit_and_the_reply_that_closes_the_window_have_one_order(cast: Cast) -> None:
    for number in range(ROUNDS):
        comment = comment_id(cast.reader.comment(cast.slug, f"A remark {number}."))
        edit = act_of(cast.reader, f"/comments/{comment}/edit", {"body": f"Another remark {number}."})
        together([edit, say(cast.other_reader, cast, f"An answer {number}.", comment)])
        acts = [(act, after) for act, _, after, _ in history(cast, comment)]
        assert acts in (
            [("post", "accepted"), ("edit", "accepted")],
            [("post", "accepted"), ("edit", "held")],
        )
        assert cast.read(Comment, comment).replies == 1


def test_two_appeals_at_once_are_one(cast: Cast) -> None:
    for number in range(6):
        comment = comment_id(cast.reader.comment(cast.slug, f"A remark {number}."))
        hide = {"revision": "1", "reason": "unkind", "note": ""}
        cast.author.post(f"/moderation/comments/{comment}/hide", hide)
        tabs = [cast.reader, again(cast, cast.reader)]
        appeals = [act_of(tab, f"/comments/{comment}/appeal", {"words": "Look again."}) for tab in tabs]
        assert sorted(answer.status_code for answer in together(appeals)) == [303, 403]
        assert rows_of(cast, Appeal) == number + 1


def test_two_moderators_who_decide_at_once_make_one_decision(cast: Cast) -> None:
    for number in range(6):
        comment = comment_id(cast.person(f"new writer {number}").comment(cast.slug, "A first comment."))
        reason = {"revision": "1", "reason": "spam", "note": ""}
        answers = together(
            [
                act_of(cast.author, f"/moderation/comments/{comment}/approve", {"revision": "1"}),
                act_of(cast.moderator, f"/moderation/comments/{comment}/reject", reason),
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        assert len(history(cast, comment)) == 2
    assert wrong_counters(cast.app, {}) == []


def test_three_reports_at_once_fold_once(cast: Cast) -> None:
    reporters = [cast.person(f"known {number}", accepted_comments=1) for number in range(4)]
    for number in range(6):
        comment = comment_id(cast.reader.comment(cast.slug, f"Buy my boats {number}."))
        together([act_of(one, f"/comments/{comment}/report", {"reason": "spam"}) for one in reporters])
        assert [row[0] for row in history(cast, comment)] == ["post", "fold"]
        assert not cast.read(Comment, comment).visible


def test_ten_who_post_at_once_all_count(cast: Cast) -> None:
    people = [cast.person(f"reader {number}", accepted_comments=2) for number in range(10)]
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    answers = together([say(person, cast, f"Words of {person.name}.", root) for person in people])
    assert {answer.status_code for answer in answers} == {303}
    row = cast.read(Comment, root)
    assert (row.replies, row.visible_below) == (10, 10)
    assert cast.read(Essay, cast.essay_id).visible_comments == 11


def together(acts: Sequence[Act]) -> list[TestResponse]:
    """Do several things at the same moment, each in a thread of its own; none may be a 500."""
    start = threading.Barrier(len(acts))
    answers: list[TestResponse | None] = [None] * len(acts)

    def one(place: int) -> None:
        start.wait()
        answers[place] = acts[place]()

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [answer for answer in answers if answer is not None]
    assert len(done) == len(acts)
    assert all(answer.status_code < 500 for answer in done), [answer.status for answer in done]
    return done


def post_while(cast: Cast, change: str) -> TestResponse:
    """Change something after the reader's post has read what it reads first, and before it goes on."""
    with cast.app.app_context():
        engine = db.engine
    post, queue = say(cast.reader, cast, "Sent before that."), cast.app.extensions.get(WriteQueue.__name__)
    connection, has_read = engine.raw_connection(), threading.Event()

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement == "COMMIT":
            has_read.set()

    event.listen(engine, "before_cursor_execute", note)
    cursor = connection.cursor()
    with ThreadPoolExecutor(1) as pool:
        if queue is not None:
            turn = queue.enter()
            answer = pool.submit(post)
            began = has_read.wait(10)
            cursor.execute(change)
            queue.leave(turn)
            assert began
        else:
            cursor.execute(f'SELECT id FROM "user" WHERE id = {cast.reader.user_id} FOR UPDATE')
            answer = pool.submit(post)
            wait_for_locks(cast, 1)
            cursor.execute(change)
            connection.commit()
    event.remove(engine, "before_cursor_execute", note)
    connection.close()
    return answer.result()


def again(cast: Cast, person: Visitor) -> Visitor:
    """Return another browser of a person."""
    assert person.user_id is not None
    return cast.sign_in(person.user_id, person.name)


def thank(person: Visitor, comment: int) -> Act:
    """Return the act of pressing a comment's heart; the token is made now, so that the post is all that happens."""
    return act_of(person, f"/comments/{comment}/react", {})


def say(
    person: Visitor,
    cast: Cast,
    body: str,
    parent: int | None = None,
    *,
    slug: str = "",
    form_token: str = "",
) -> Act:
    """Return the act of posting a comment."""
    form = {"body": body, "form_token": form_token or f"{person.name} {body}"}
    if parent is not None:
        form |= {"parent_id": str(parent), "parent_seen": f"{parent}:1"}
    return act_of(person, f"/essays/{slug or cast.slug}/comments", form)


def act_of(person: Visitor, address: str, form: dict[str, str]) -> Act:
    """Return the sending of a form, ready to go."""
    data = {"csrf_token": person.token(), **form}
    return lambda: person.client.post(address, data=data)


def begun_with(cast: Cast) -> dict[int, int]:
    """Return with how many accepted comments the known people of these stories began."""
    known = ("reader", "other reader", "writer")
    return {
        visitor.user_id or 0: 2
        for name, visitor in cast.visitors.items()
        if name in known or re.match(r"(writer|reader) \d", name)
    }
