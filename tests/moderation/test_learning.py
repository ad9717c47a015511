"""The filter that learns from decisions: when it is on, what it holds, and what teaches it."""

import re
from collections.abc import Sequence
from secrets import token_hex

from sqlalchemy import select

from forum import clock
from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict, path_of
from forum.discussion.event import Event
from forum.discussion.learned import LearnedFilter, words_that_weighed
from forum.moderation.learning import examples, learn, try_out
from forum.moderation.matched import marked
from forum.site.audit import AuditEntry
from forum.site.settings import change_setting, site_settings
from tests.cast import Cast, words
from tests.discussion.rows import statements
from tests.moderation.stage import Scene

BAD = "Win a casino bonus today, number {} of many"
GOOD = "The tide is a patient thing, said neighbour {} of many"


def decided(cast: Cast, texts: Sequence[tuple[str, str]]) -> None:
    """Put comments by the reader into the database, each with one decision of the author's about it."""
    now = clock.now()
    with cast.app.app_context():
        for text, act in texts:
            comment = Comment(
                essay_id=cast.essay_id,
                author_id=cast.reader.user_id,
                form_token=token_hex(16),
                created_at=now,
            )
            db.session.add(comment)
            db.session.flush()
            comment.path = path_of(comment.id)
            revision = CommentRevision(
                comment_id=comment.id,
                source=text,
                html=f"<p>{text}</p>",
                renderer="test",
                verdict=Verdict.ACCEPTED if act == "approve" else Verdict.REJECTED,
                created_at=now,
            )
            event = Event(
                at=now,
                actor_id=cast.author.user_id,
                act=act,
                essay_id=cast.essay_id,
                comment_id=comment.id,
                revision=1,
            )
            db.session.add_all([revision, event])
        db.session.commit()


def many(removed: int, posted: int) -> list[tuple[str, str]]:
    """Return so many removed texts and posted ones, well mixed."""
    rows = [(number / removed, BAD.format(number), "spam") for number in range(removed)]
    rows += [(number / posted, GOOD.format(number), "approve") for number in range(posted)]
    return [(text, act) for _, text, act in sorted(rows)]


def learned(cast: Cast) -> int:
    """Let the worker's job run once."""
    with cast.app.app_context():
        return learn(clock.now())


def known(cast: Cast) -> list[tuple[str, bool]]:
    """Return what the next training would learn from."""
    with cast.app.app_context():
        return examples(0)


def test_the_filter_is_off_until_enough_was_decided(scene: Scene, cast: Cast) -> None:
    decided(cast, many(29, 60))
    assert learned(cast) == 1
    assert learned(cast) == 0  # nothing new
    assert cast.read(Comment, scene.post(cast.other_reader, BAD.format("two"))).visible
    decided(cast, many(10, 10))
    assert learned(cast) == 1
    assert not cast.read(Comment, scene.post(cast.other_reader, BAD.format("three"))).visible


def test_what_looks_like_what_is_removed_waits_and_is_never_refused(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    row = scene.post(cast.other_reader, "Here, a CASINO bonus")
    comment = cast.read(Comment, row)
    assert (comment.presence, comment.visible) == (Presence.LIVE, False)
    assert comment.waits_for == {Cause.LEARNED}
    with cast.app.app_context():
        newest = db.session.get_one(Comment, row).newest
        assert newest.verdict == Verdict.HELD
        assert set(words_that_weighed(newest.source)) == {"casino", "bonus"}
        assert "a <mark>CASINO</mark> <mark>bonus</mark>" in marked(newest)
    chip = re.search(r"Looks like what you remove: ([\w, ]+?)<", cast.author.get("/moderation").text)
    assert chip is not None
    assert set(chip[1].split(", ")) == {"casino", "bonus"}
    assert cast.read(Comment, scene.post(cast.other_reader, "The tide is patient")).visible


def test_the_filter_leaves_staff_and_trusted_people_alone(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    trusted = cast.person("an old friend", accepted_comments=10)
    for who in (cast.author, cast.moderator, trusted):
        assert cast.read(Comment, scene.post(who, BAD.format(who.name))).visible


def test_the_switch_turns_the_filter_off(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    with cast.app.app_context():
        change_setting("learns", False)
        db.session.commit()
    assert cast.read(Comment, scene.post(cast.other_reader, BAD.format("one"))).visible


def test_a_filter_that_is_often_wrong_is_not_asked(scene: Scene, cast: Cast) -> None:
    """The newest fifth was posted although it looks like what was removed before."""
    decided(cast, [*many(60, 40), *[(BAD.format(f"late {number}"), "approve") for number in range(20)]])
    assert learned(cast) == 1
    assert cast.read(Comment, scene.post(cast.other_reader, BAD.format("one"))).visible
    page = words(cast.author.get("/moderation/learned"))
    assert "It would have held 23 of the 24; 3 of those 23 were removed (13 %)" in page


def test_the_trial_learns_only_from_what_was_decided_before() -> None:
    old = [(BAD.format(n), True) for n in range(40)] + [(GOOD.format(n), False) for n in range(40)]
    new = [("An orchid nobody saw before", True)] * 10 + [(BAD.format("x"), True)] * 10
    trial = try_out([*old, *new])
    assert (trial.tested, trial.removed, trial.caught, trial.right) == (20, 20, 10, 10)
    assert (trial.precision, trial.recall) == (1.0, 0.5)


def test_only_what_a_person_decided_last_and_did_not_take_back_teaches(scene: Scene, cast: Cast) -> None:
    rejected, undone, approved, withdrawn = (scene.held(f"Words of comment {n}") for n in range(4))
    waits = scene.held("Nobody decided about this")
    scene.done(cast.author, rejected, "reject", reason="off-topic")
    event = scene.done(cast.author, undone, "spam")
    scene.done(cast.author, approved, "approve")
    scene.done(cast.author, withdrawn, "approve")
    assert scene.undo(cast.author, event).status_code == 303
    assert cast.newcomer.post(f"/comments/{withdrawn}/withdraw").status_code == 303
    assert known(cast) == [("Words of comment 0", True), ("Words of comment 2", False)]
    scene.done(cast.author, approved, "hide", reason="off-topic")
    assert known(cast) == [("Words of comment 0", True), ("Words of comment 2", True)]
    scene.done(cast.author, approved, "restore")
    assert known(cast) == [("Words of comment 0", True), ("Words of comment 2", False)]
    assert cast.read(Comment, waits).waits_since is not None


def test_the_filter_forgets_and_learns_anew_and_that_is_written_down(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    assert cast.moderator.post("/moderation/learned", {"do": "forget"}).status_code == 403
    assert cast.admin.post("/moderation/learned", {"do": "forget"}).status_code == 303
    assert learned(cast) == 0
    assert cast.read(Comment, scene.post(cast.other_reader, BAD.format("one"))).visible
    decided(cast, many(20, 20))
    assert learned(cast) == 1
    with cast.app.app_context():
        assert db.session.scalars(select(LearnedFilter.decisions)).all() == [40]
    assert cast.admin.post("/moderation/learned", {"do": "remember"}).status_code == 303
    assert learned(cast) == 1
    with cast.app.app_context():
        assert db.session.scalars(select(LearnedFilter.decisions)).all() == [120]
        assert db.session.scalars(select(AuditEntry.act).order_by(AuditEntry.id)).all() == [
            "forget",
            "remember",
        ]


def test_a_word_that_was_taken_out_is_unlearned_at_once(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    with cast.app.app_context():
        first = db.session.scalars(select(Comment).order_by(Comment.id)).first()
        assert first is not None
        db.session.add(Event(at=clock.now(), act="redact", comment_id=first.id, actor_id=cast.author.user_id))
        db.session.commit()
    assert learned(cast) == 1


def test_a_word_that_was_taken_out_is_gone_also_while_nothing_is_learned(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    assert "casino" in cast.author.get("/moderation/learned").text
    with cast.app.app_context():
        change_setting("learns", False)
        holding = CommentRevision.source.contains("casino")
        first = db.session.scalars(select(CommentRevision.comment_id).where(holding)).first()
        db.session.add(Event(at=clock.now(), act="redact", comment_id=first, actor_id=cast.author.user_id))
        db.session.commit()
    assert learned(cast) == 1
    assert "casino" not in cast.author.get("/moderation/learned").text


def test_what_is_in_force_is_read_once_by_a_process(scene: Scene, cast: Cast) -> None:
    decided(cast, many(40, 40))
    learned(cast)
    with cast.app.app_context():
        words_that_weighed("casino")
    with cast.app.app_context():
        site_settings()
        with statements(cast.app) as sent:
            assert "casino" in words_that_weighed("casino")
            assert "bonus" in words_that_weighed("bonus")
        assert len(sent) == 1  # which training is the newest


def test_the_page_says_how_well_it_does_and_what_it_learned(scene: Scene, cast: Cast) -> None:
    assert "Off It has too little to learn from." in words(cast.author.get("/moderation/learned"))
    decided(cast, many(40, 40))
    learned(cast)
    page = words(cast.author.get("/moderation/learned"))
    assert "On New comments that look like what is removed wait" in page
    assert "from 80 decisions: 40 removed, 40 posted" in page
    assert "It would have held 8 of the 16; 8 of those 8 were removed (100 %)" in page
    assert "8 of the 16 were removed; it would have held 8 of those 8 (100 %)" in page
    assert re.search("For removing .*casino.* For posting .*tide", page)
    assert "Forget and learn anew" in page
    assert "Forget" not in words(cast.moderator.get("/moderation/learned"))
