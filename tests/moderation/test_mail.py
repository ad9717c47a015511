"""Mails about moderation: what writers and people are told of decisions, and who moderates of what waits."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.report import Report
from forum.essays.essay import Essay
from forum.moderation.digest import tell_moderators
from forum.moderation.people import ban, lift_ban, lift_suspension, suspend
from forum.outbox.message import Message
from forum.subscriptions.letters import Letter, Pace
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements
from tests.moderation.stage import Scene
from tests.notifications.news import DAY, HOUR, MINUTE, MONDAY_NOON, Traveller, mails_to, news, set_pace, time

__all__ = ["time"]  # the fixture


def decisions_to(cast: Cast, who: Visitor) -> list[Message]:
    """Let the worker write what is due, and return the mails to a person about decisions."""
    news(cast)
    return mails_to(cast, who, "decision")


def moderation_mails(cast: Cast, who: Visitor) -> list[Message]:
    """Let the worker look what waits, and return the mails to a moderator about it."""
    with cast.app.app_context():
        tell_moderators(clock.now())
    return mails_to(cast, who, "moderation")


def test_who_waited_is_told_that_it_is_posted_and_who_did_not_is_not(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    scene.done(cast.author, scene.held("My first words."), "approve")
    assert decisions_to(cast, cast.newcomer) == []
    time.shift(MINUTE)
    [mail] = decisions_to(cast, cast.newcomer)
    assert mail.subject == "Your comment is posted: On tides"
    assert "> My first words.\n" in mail.text
    assert "Answer this mail" not in mail.text
    shown = scene.shown("Seen at once.")
    time.shift(HOUR)
    scene.edit(cast.reader, shown, "Seen later.")
    scene.done(cast.author, shown, "approve")
    time.shift(MINUTE)
    assert decisions_to(cast, cast.reader) == []


def test_a_refusal_says_why_which_words_and_how_to_ask_again_until_when(
    time: Traveller, scene: Scene
) -> None:
    cast = scene.cast
    row = scene.held("You are *all* fools.\n\nAll of you.")
    scene.done(cast.author, row, "reject", reason="unkind", note="Say it of the essay.")
    time.shift(MINUTE)
    [mail] = decisions_to(cast, cast.newcomer)
    assert mail.subject == "Your comment was not accepted: On tides"
    said = " ".join(mail.text.split())
    assert "Reason: Unkind: it goes for the person, not the point. “Say it of the essay.”" in said
    assert "Until 25 May 2026 you can ask for another look, on its page." in said
    assert "> You are *all* fools.\n> \n> All of you.\n" in mail.text
    assert f"http://localhost/comments/{row}\n" in mail.text
    assert mail.letter == "decisions"
    assert "/unsubscribe" in mail.text


@pytest.mark.parametrize(
    ("verb", "heading"),
    [
        ("approve", "Your comment is posted"),
        ("reject", "The decision about your comment stands"),
    ],
)
def test_an_appeal_is_answered(time: Traveller, scene: Scene, verb: str, heading: str) -> None:
    cast, row = scene.cast, scene.shown()
    scene.done(cast.author, row, "hide", reason="other", note="Not under this essay.")
    time.shift(MINUTE)
    [first] = decisions_to(cast, cast.reader)
    assert first.subject.startswith("Your comment was removed")
    assert "Reason: “Not under this essay.”" in first.text
    assert cast.reader.post(f"/comments/{row}/appeal", {"words": "Please look again."}).status_code == 303
    scene.done(cast.moderator, row, verb, reason="other", note="We looked.")
    time.shift(MINUTE)
    answer = decisions_to(cast, cast.reader)[1]
    assert answer.subject == f"{heading}: On tides"
    assert "you can ask for another look" not in answer.text


def test_what_is_undone_or_restored_at_once_was_never_said(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    scene.undo(cast.author, scene.done(cast.author, scene.held(), "reject", reason="unkind"))
    shown = scene.shown()
    scene.done(cast.author, shown, "hide", reason="unkind")
    scene.done(cast.author, shown, "restore")
    time.shift(HOUR)
    assert decisions_to(cast, cast.newcomer) == decisions_to(cast, cast.reader) == []
    scene.done(cast.author, shown, "hide", reason="unkind")
    time.shift(HOUR)
    scene.done(cast.author, shown, "restore")
    time.shift(MINUTE)
    subjects = [mail.subject for mail in decisions_to(cast, cast.reader)]
    assert subjects == [
        "Your comment was removed: On tides",
        "The decision against your comment was taken back: On tides",
    ]


def test_a_ban_and_a_suspension_say_until_when_why_and_how_to_ask(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    people = (cast.admin.user_id, cast.reader.user_id)
    for number in range(3):
        scene.shown(f"Shown {number}.")
    act(cast, people, lambda admin, user: suspend(admin, user, clock.now() + DAY, "Cool down."))
    time.shift(MINUTE)
    act(cast, people, lambda admin, user: ban(admin, user, "Advertising.", hide_comments=True))
    time.shift(MINUTE)
    suspended, banned = decisions_to(cast, cast.reader)
    assert suspended.subject == "You cannot comment until 12 May 2026, 12:00 UTC"
    assert "Reason: Cool down. You can still read" in " ".join(suspended.text.split())
    assert banned.subject == "You cannot comment here any more"
    assert "Reason: Advertising. Your comments are hidden." in " ".join(banned.text.split())
    assert "Answer this mail" in banned.text
    act(cast, people, lambda admin, user: lift_ban(admin, user, "Cleared up."))
    time.shift(DAY)
    assert decisions_to(cast, cast.reader)[2].subject == "Your ban was lifted"


def test_a_suspension_lifted_at_once_was_never_said(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    people = (cast.admin.user_id, cast.reader.user_id)
    act(cast, people, lambda admin, user: suspend(admin, user, clock.now() + DAY, "A slip."))
    act(cast, people, lambda admin, user: lift_suspension(admin, user, "A slip."))
    time.shift(HOUR)
    assert decisions_to(cast, cast.reader) == []


def test_reporters_hear_what_became_of_it_and_nobodys_name(time: Traveller, scene: Scene) -> None:
    cast, row = scene.cast, scene.shown("Some *unkind* words.")
    reporters = [cast.person(f"reporter {number}") for number in range(3)]
    for reporter in [*reporters, cast.moderator]:
        assert reporter.post(f"/comments/{row}/report", {"reason": "unkind"}).status_code == 303
    with statements(cast.app) as sent:
        scene.done(cast.moderator, row, "hide", reason="unkind", note="Not here.")
    assert (
        sum(one.startswith("INSERT INTO notice") for one in sent) == 2
    )  # to the writer, to all who reported
    assert decisions_to(cast, reporters[0]) == []
    time.shift(MINUTE)
    for reporter in reporters:
        [mail] = decisions_to(cast, reporter)
        assert mail.subject == "You reported a comment: On tides"
        assert "The moderators looked at it and removed it." in mail.text
        for secret in ("reader\n", "moderator ", "reporter", "*unkind*", "Not here.", f"/comments/{row}"):
            assert secret not in mail.text.partition("Stop mails")[0]
    assert decisions_to(cast, cast.moderator) == []  # who decided knows it
    cast.reader.post(f"/comments/{row}/appeal", {"words": "Look again."})
    scene.done(cast.author, row, "approve")
    time.shift(MINUTE)
    last = decisions_to(cast, reporters[0])[-1]
    assert "The moderators looked at it and kept it." in last.text
    assert f"http://localhost/comments/{row}" in last.text
    assert report_outcomes(cast) == ["kept"] * 4


def test_what_reporters_hear_is_taken_back_with_the_decision(time: Traveller, scene: Scene) -> None:
    cast, row = scene.cast, scene.shown()
    assert cast.other_reader.post(f"/comments/{row}/report", {"reason": "unkind"}).status_code == 303
    scene.undo(cast.author, scene.done(cast.author, row, "hide", reason="unkind"))
    time.shift(HOUR)
    assert decisions_to(cast, cast.other_reader) == []
    assert report_outcomes(cast) == [""]
    scene.done(cast.author, row, "approve")
    time.shift(HOUR)
    assert len(decisions_to(cast, cast.other_reader)) == 1
    heard = "The moderators looked at it and kept it."
    assert heard in words(cast.other_reader.get("/account/notifications"))
    cast.newcomer.post(f"/comments/{row}/report", {"reason": "spam"})  # meanwhile
    for is_there in (False, True, False):
        assert scene.undo(cast.author, scene.last_event(row).id).status_code == 303
        time.shift(HOUR)
        assert (heard in words(cast.other_reader.get("/account/notifications"))) == is_there
        assert cast.read(Comment, row).open_reports == (1 if is_there else 2)
    assert decisions_to(cast, cast.other_reader) == []  # the mail had not left
    assert decisions_to(cast, cast.newcomer) == []


def test_who_moderates_hears_of_what_waits_at_most_every_few_hours(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    assert moderation_mails(cast, cast.author) == []
    first = scene.held("My first words.")
    time.shift(2 * HOUR)
    [mail] = moderation_mails(cast, cast.author)
    assert mail.subject == "One comment is waiting, for 2 hours"
    assert "newcomer, about “On tides” (First comment):\n\n  My first words.\n" in mail.text
    assert f"Decide: http://localhost/comments/{first}#moderate\n" in mail.text
    time.shift(HOUR)
    for number in range(6):
        scene.post(cast.person(f"newcomer {number}"), f"First words of number {number}.")
    assert len(moderation_mails(cast, cast.author)) == 1
    time.shift(2 * HOUR)
    second = moderation_mails(cast, cast.author)[1]
    assert second.subject == "7 comments are waiting, the oldest for 5 hours"
    assert second.text.count("Decide: ") == 5
    time.shift(DAY)
    assert len(moderation_mails(cast, cast.author)) == 2  # nothing new


def test_a_daily_moderation_mail_leaves_at_the_hour_while_something_waits(
    time: Traveller, scene: Scene
) -> None:
    cast = scene.cast
    set_pace(cast, cast.author, Letter.MODERATION, Pace.DAILY)
    row = scene.held()
    counts = []
    for hours in (0, 18, 19, 20, 42, 43):  # until seven on Tuesday, and on Wednesday
        time.move_to(MONDAY_NOON + timedelta(hours=hours))
        counts.append(len(moderation_mails(cast, cast.author)))
    assert counts == [0, 0, 1, 1, 1, 2]
    scene.done(cast.sign_in(cast.author.user_id or 0), row, "approve")
    time.shift(DAY)
    assert len(moderation_mails(cast, cast.author)) == 2


def test_only_who_may_decide_and_wants_it_is_told(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    banned, stopped = cast.moderator, cast.admin
    cast.change(User, banned.user_id or 0, banned_at=MONDAY_NOON)
    set_pace(cast, stopped, Letter.MODERATION, Pace.NEVER)
    scene.held()
    cast.change(Essay, cast.essay_id, author_id=stopped.user_id)
    time.shift(DAY)
    for who in (banned, stopped, cast.reader, cast.author):
        assert moderation_mails(cast, who) == []


def report_outcomes(cast: Cast) -> list[str]:
    """Return what became of every report, in the order in which they came."""
    with cast.app.app_context():
        return list(db.session.scalars(select(Report.outcome).order_by(Report.id)))


def act(cast: Cast, people: tuple[int | None, int | None], deed: object) -> None:
    """Let an admin do something to a person."""
    with cast.app.app_context():
        admin, user = (db.session.get_one(User, one) for one in people)
        deed(admin, user)  # type: ignore[operator]
        db.session.commit()
