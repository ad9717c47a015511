"""The mirror: what comes back and how, what an answer changes, and what the shares say."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import Base, db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.moderation.mirror import (
    Comparison,
    Share,
    agreement,
    comparisons,
    has_look,
    is_due,
    next_look,
    take_look,
)
from forum.moderation.second_look import SecondLook
from forum.site.settings import change_setting
from tests.cast import Cast, words
from tests.moderation.stage import Scene

PAGE = "/moderation/second-look"


def decide_long_ago(scene: Scene, body: str, verb: str, writer: str = "newcomer") -> int:
    """Let a new writer's comment be decided about as if 40 days ago; return the decision's event."""
    data = {"reason": "unkind", "note": "Because of Mondays."} if verb == "reject" else {}
    event = scene.done(scene.cast.author, scene.post(scene.cast.person(writer), body), verb, **data)
    scene.cast.change(Event, event, at=clock.now() - timedelta(days=40))
    return event


def rows_but(app_cast: Cast, *names: str) -> str:
    """Return a digest of every row of every table but these."""
    digest = sha256()
    with app_cast.app.app_context():
        for table in Base.metadata.sorted_tables:
            if table.name not in names:
                rows = db.session.execute(table.select().order_by(*table.primary_key.columns)).all()
                digest.update(repr((table.name, rows)).encode())
    return digest.hexdigest()


@pytest.mark.parametrize(("verb", "words_then"), [("approve", "posted"), ("reject", "rejected")])
def test_an_old_decision_comes_back_without_name_verdict_and_reason(
    scene: Scene, cast: Cast, verb: str, words_then: str
) -> None:
    event = decide_long_ago(scene, "Is *this* fair?", verb)
    blind = cast.author.get(PAGE)
    assert "<em>this</em>" in blind.text
    main = words(blind).partition("Second look You decided")[2].lower()
    assert "on tides" in main
    for told in ("newcomer", "mondays", "unkind", "rejected", "posted", f"/comments/{event}", "reads"):
        assert told not in main
    answer = cast.author.post(PAGE, {"event": event, "answer": "remove"}, follow_redirects=True)
    assert words_then in words(answer)
    assert ("Because of Mondays." in words(answer)) is (verb == "reject")
    assert ("The same as then" in words(answer)) is (verb == "reject")


def test_a_second_look_changes_nothing_else_and_counts_once(scene: Scene, cast: Cast) -> None:
    event = decide_long_ago(scene, "Words of long ago", "approve")
    cast.author.get(PAGE)
    before = rows_but(cast, "second_look", "session")
    for answer in ("remove", "post"):
        assert cast.author.post(PAGE, {"event": event, "answer": answer}).status_code == 303
    assert rows_but(cast, "second_look", "session") == before
    with cast.app.app_context():
        assert [look.answer for look in db.session.scalars(select(SecondLook))] == ["remove"]


def test_nobody_looks_at_the_decisions_of_others(scene: Scene, cast: Cast) -> None:
    event = decide_long_ago(scene, "Words of long ago", "approve")
    for who in (cast.moderator, cast.admin):
        assert "nothing to look at again" in words(who.get(PAGE))
        assert who.post(PAGE, {"event": event, "answer": "post"}).status_code == 404
    cast.author.post(PAGE, {"event": event, "answer": "post"})
    assert "The same as then" not in words(cast.moderator.get(f"{PAGE}?seen={event}"))


def test_an_answer_must_be_one_of_three(scene: Scene, cast: Cast) -> None:
    event = decide_long_ago(scene, "Words of long ago", "approve")
    for given in ({"event": event}, {"event": event, "answer": "ban"}):
        answer = cast.author.post(PAGE, given)
        assert answer.status_code == 422
        assert "Choose one of the three answers." in words(answer)
    assert cast.author.post(PAGE, {"event": "9" * 30, "answer": "post"}).status_code == 404


def test_what_was_undone_withdrawn_redacted_or_decided_again_does_not_come_back(
    scene: Scene, cast: Cast
) -> None:
    undone, withdrawn, redacted, changed = (
        decide_long_ago(scene, f"Number {n}", "approve", f"writer {n}") for n in range(4)
    )
    assert scene.undo(cast.author, undone).status_code == 303
    comment_id = cast.read(Event, withdrawn).comment_id
    assert cast.person("writer 1").post(f"/comments/{comment_id}/withdraw").status_code == 303
    with cast.app.app_context():
        row = db.session.get_one(Event, redacted)
        db.session.add(Event(at=clock.now(), act="redact", comment_id=row.comment_id, essay_id=row.essay_id))
        db.session.commit()
    scene.done(cast.author, cast.read(Event, changed).comment_id, "hide", reason="unkind")
    assert "nothing to look at again" in words(cast.author.get(PAGE))


def test_who_decides_for_less_than_a_month_looks_at_the_older_half_of_that_time(
    scene: Scene, cast: Cast
) -> None:
    for days in (20, 12, 8):
        event = decide_long_ago(scene, f"Of {days} days ago", "approve", f"writer {days}")
        cast.change(Event, event, at=clock.now() - timedelta(days=days))
    assert looks(cast) == {"Of 20 days ago", "Of 12 days ago"}


def test_second_looks_come_by_turns_of_what_was_posted_and_removed_until_all_were_taken(
    scene: Scene, cast: Cast
) -> None:
    verbs = ("reject", "approve", "reject", "reject", "approve", "reject")
    acts = {decide_long_ago(scene, f"Number {n}", verb, f"writer {n}"): verb for n, verb in enumerate(verbs)}
    turns = []
    with cast.app.app_context():
        author = db.session.get_one(User, cast.author.user_id)
        while (look := next_look(author)) is not None:
            assert next_look(author) == look  # until it is answered
            turns.append(acts.pop(look.event.id))
            take_look(author, look.event, "pass")
        assert not has_look(author)
    assert turns == ["approve", "reject", "approve", "reject", "reject", "reject"]


def test_an_old_decision_is_due_after_25_decisions_since_the_last_look(scene: Scene, cast: Cast) -> None:
    old = decide_long_ago(scene, "Words of long ago", "approve")
    other = decide_long_ago(scene, "More words of long ago", "approve")
    assert not due(cast)
    assert "second look" not in words(cast.author.get("/moderation"))
    more_decisions(cast, old, 23)
    assert due(cast)
    assert "Take a second look" in words(cast.author.get("/moderation"))
    cast.author.post(PAGE, {"event": old, "answer": "pass"})
    assert not due(cast)
    more_decisions(cast, old, 25)
    assert due(cast)
    cast.author.post(PAGE, {"event": other, "answer": "post"})
    more_decisions(cast, old, 25)
    assert not due(cast)  # there is nothing left that is old
    with cast.app.app_context():
        change_setting("second_looks", False)
        db.session.commit()
    assert "switched off" in words(cast.author.get(PAGE))


@pytest.mark.kinds("sqlite")
def test_what_is_due_and_what_comes_next_is_found_without_walking_over_all_decisions(
    scene: Scene, cast: Cast
) -> None:
    decide_long_ago(scene, "Words of long ago", "approve")
    other = decide_long_ago(scene, "More words of long ago", "approve", "another newcomer")
    more_decisions(cast, other, 50)
    few = steps(cast)
    more_decisions(cast, other, 1000)
    assert steps(cast) < 2 * few


def steps(cast: Cast) -> int:
    """Return about how many steps the database takes to tell that a second look is due, and which."""
    taken = []
    with cast.app.app_context():
        author = db.session.get_one(User, cast.author.user_id)
        raw: Any = db.session.connection().connection.driver_connection
        raw.set_progress_handler(lambda: taken.append(1), 10)
        assert is_due(author)
        assert next_look(author) is not None
        raw.set_progress_handler(None, 0)
    return len(taken)


def looks(cast: Cast) -> set[str]:
    """Take every second look that the author can, and return the words that came back."""
    seen = set()
    with cast.app.app_context():
        author = db.session.get_one(User, cast.author.user_id)
        while (look := next_look(author)) is not None:
            seen.add(look.wording.source)
            take_look(author, look.event, "pass")
    return seen


def due(cast: Cast) -> bool:
    """Tell whether the author is to take a second look."""
    with cast.app.app_context():
        return is_due(db.session.get_one(User, cast.author.user_id))


def more_decisions(cast: Cast, like: int, count: int) -> None:
    """Copy a decision so many times, as of now, each about a wording that there is not."""
    with cast.app.app_context():
        event = db.session.get_one(Event, like)
        known = {"actor_id": event.actor_id, "essay_id": event.essay_id, "comment_id": event.comment_id}
        db.session.add_all(Event(at=clock.now(), act="approve", revision=99, **known) for _ in range(count))
        db.session.commit()


def test_the_mirror_counts_second_looks_and_who_fares_how(scene: Scene, cast: Cast) -> None:
    verbs = ("approve", "approve", "reject")
    events = [decide_long_ago(scene, verb, verb, f"writer {n}") for n, verb in enumerate(verbs)]
    cast.change(Comment, cast.read(Event, events[0]).comment_id, subscription="paid", accepted_before=5)
    for event, answer in zip(events, ("post", "remove", "remove"), strict=True):
        cast.author.post(PAGE, {"event": event, "answer": answer})
    moderator_id = cast.moderator.user_id
    with cast.app.app_context():
        author = db.session.get_one(User, cast.author.user_id)
        moderator = db.session.get_one(User, moderator_id)
        for who in (author, None):
            found = agreement(who)
            assert (found.posted, found.removed) == (Share(1, 2), Share(1, 1))
            by_pay, by_age = comparisons(who)
            assert (by_pay.removed_of_one, by_pay.removed_of_other) == (Share(1, 2), Share(0, 1))
            assert (by_age.removed_of_one, by_age.removed_of_other) == (Share(1, 2), Share(0, 1))
        assert agreement(moderator).all.whole == comparisons(moderator)[0].removed_of_one.whole == 0
    assert "2 of 3 decisions would be the same today. These are too few" in words(
        cast.author.get("/moderation/mirror")
    )
    assert "Everybody who moderates" not in words(cast.author.get("/moderation/mirror"))
    assert "Everybody who moderates The same again 2 of 3" in words(cast.admin.get("/moderation/mirror"))


def test_shares_have_the_bounds_of_their_papers_and_few_cases_say_nothing() -> None:
    low, high = Share(81, 263).interval  # the example in Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = Comparison("", "", Share(56, 70), Share(48, 80)).interval  # table II (a), method 10
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    assert Comparison("", "", Share(56, 70), Share(48, 80)).is_different
    assert not Comparison("", "", Share(9, 9), Share(0, 80)).is_different
    assert not Comparison("", "", Share(5, 50), Share(8, 50)).is_different
