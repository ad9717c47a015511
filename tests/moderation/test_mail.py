"""Mails about moderation: what writers and people are told of decisions, and who moderates of what waits."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event as Flag

import pytest
from sqlalchemy import select, update

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.report import Report
from forum.essays.essay import Essay
from forum.moderation.digest import tell_moderators
from forum.moderation.people import ban, lift_ban, lift_suspension, suspend
from forum.notifications.gathering import gather
from forum.notifications.notice import Notice, retract
from forum.outbox.message import Message, queue_counts, retry_failed
from forum.subscriptions.letters import Letter, Pace
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements
from tests.moderation.stage import Scene, wait_for_locks
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


def test_who_knows_of_a_decision_hears_when_it_is_undone_and_when_that_is(
    time: Traveller, scene: Scene
) -> None:
    cast, row = scene.cast, scene.shown("Some *unkind* words.")
    removed, over = "Your comment was removed", "The decision against your comment was taken back"
    scene.done(cast.author, row, "hide", reason="unkind")
    heard = []
    for how in ("read", "mailed", "mailed"):
        time.shift(HOUR)
        decisions_to(cast, cast.reader)
        get_known(cast, how)
        heard.append(headings(cast, cast.reader))
        assert scene.undo(cast.author, scene.last_event(row).id).status_code == 303
        assert headings(cast, cast.reader) == []
        time.shift(MINUTE)
    assert heard == [[removed], [over], [removed]]
    assert headings(cast, cast.reader) == [over]
    scene.undo(cast.author, scene.last_event(row).id)  # before anybody knows: what they knew holds again
    time.shift(MINUTE)
    assert headings(cast, cast.reader) == [removed]
    mails = decisions_to(cast, cast.reader)
    assert [mail.subject.partition(":")[0] for mail in mails] == [over, removed]
    assert "Readers see it again." in mails[0].text
    assert "Reason: Unkind" in mails[1].text
    assert "Some *unkind* words." in mails[1].text


def test_who_knows_of_a_ban_hears_when_it_is_undone(time: Traveller, scene: Scene) -> None:
    cast = scene.cast
    event = ban_reader(cast)
    time.shift(MINUTE)
    decisions_to(cast, cast.reader)
    get_known(cast, "mailed")
    undone = undo_it(cast.admin, event)
    time.shift(MINUTE)
    assert decisions_to(cast, cast.reader)[-1].subject == "Your ban was lifted"
    assert "You can comment again." in decisions_to(cast, cast.reader)[-1].text
    undo_it(cast.admin, undone)
    time.shift(MINUTE)
    assert [mail.subject for mail in decisions_to(cast, cast.reader)] == ["You cannot comment here any more"]


def test_an_undone_ban_lets_exactly_those_letters_leave_that_it_held_back(
    time: Traveller, scene: Scene
) -> None:
    cast = scene.cast
    reader, other = cast.reader, cast.other_reader
    first, second, third = (scene.shown(f"A question, {number}.") for number in range(3))
    scene.post(other, "An answer.", first)
    gone = scene.post(other, "An answer that is regretted.", second)
    assert news(cast) == 2
    set_pace(cast, reader, Letter.FOLLOWED, Pace.DAILY)
    scene.post(other, "An answer for the digest.", third)
    set_pace(cast, reader, Letter.REPLIES, Pace.DAILY)
    with cast.app.app_context():
        db.session.execute(update(Message).values(tries=2, not_before=clock.now() + HOUR))
        db.session.commit()
    before = unsent(cast)
    assert len(before) == 2
    event = ban_reader(cast)
    assert unsent(cast) == []
    with cast.app.app_context():
        assert (retry_failed(), queue_counts()["failed"]) == (0, 0)
    other.post(f"/comments/{gone}/withdraw")
    time.shift(20 * HOUR)
    news(cast)
    scene.post(other, "An answer while they are banned.", first)
    admin = cast.sign_in(cast.admin.user_id or 0)
    undone = undo_it(admin, undo_it(admin, undo_it(admin, event)))
    assert unsent(cast) == before[:1]
    news(cast)
    digest = mails_to(cast, reader, "digest")
    assert [mail.text.count("An answer for the digest.") for mail in digest] == [1]
    undo_it(admin, undone)
    assert unsent(cast) == []


@pytest.mark.kinds("postgresql")
def test_two_who_take_back_one_mail_that_is_just_written_do_not_stop_each_other(scene: Scene) -> None:
    cast, is_writing, may_write = scene.cast, Flag(), Flag()
    root = scene.shown("A question.")
    answers = [scene.post(cast.other_reader, f"Answer {number}.", root) for number in range(2)]

    def hidden(_notices: object, _now: object) -> set[int]:
        is_writing.set()
        assert may_write.wait(10)
        return set()

    def write() -> None:
        with cast.app.app_context():
            gather(clock.now(), hidden)

    def take_back(answer: int) -> None:
        with cast.app.app_context():
            retract([f"comment:{answer}"])
            db.session.commit()

    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(write)
        assert is_writing.wait(10)
        both = [pool.submit(take_back, answer) for answer in answers]
        wait_for_locks(cast, len(both))
        may_write.set()
        for one in (writing, *both):
            one.result(30)
    assert mails_to(cast, cast.reader) == []
    news(cast)
    assert mails_to(cast, cast.reader) == []


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


def headings(cast: Cast, who: Visitor) -> list[str]:
    """Return what stands in a person's inbox about decisions, the newest first."""
    with cast.app.app_context():
        shown = Notice.shown_to(who.user_id, clock.now())
        return list(db.session.scalars(select(Notice.heading).where(shown).order_by(Notice.id.desc())))


def get_known(cast: Cast, how: str) -> None:
    """Let the mails leave that were written, or their people read the notices instead."""
    with cast.app.app_context():
        if how == "mailed":
            db.session.execute(update(Message).values(sent_at=clock.now()))
        else:
            db.session.execute(update(Notice).values(read_at=clock.now()))
        db.session.commit()


def ban_reader(cast: Cast) -> int:
    """Let an admin ban the reader, and return the id of the event."""
    form = {"reason": "Advertising.", "days": ""}
    path = f"/moderation/people/{cast.reader.user_id}/ban"
    return int(cast.admin.post(path, form, headers={"Accept": "application/json"}).json["event"])


def undo_it(who: Visitor, event: int) -> int:
    """Take an act back, and return the id of the undo."""
    return int(who.post(f"/moderation/undo/{event}", headers={"Accept": "application/json"}).json["event"])


def unsent(cast: Cast) -> list[tuple[object, ...]]:
    """Return the letters to the reader that are to leave, all of each row."""
    theirs = (Message.user_id == cast.reader.user_id) & (Message.letter != Letter.DECISIONS)
    with cast.app.app_context():
        table = Message.__table__
        rows = db.session.execute(table.select().where(theirs, Message.is_open()).order_by(table.c.id))
        return [tuple(row) for row in rows]


def act(cast: Cast, people: tuple[int | None, int | None], deed: object) -> None:
    """Let an admin do something to a person."""
    with cast.app.app_context():
        admin, user = (db.session.get_one(User, one) for one in people)
        deed(admin, user)  # type: ignore[operator]
        db.session.commit()
