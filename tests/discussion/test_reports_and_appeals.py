"""Reports that fold, and appeals against decisions."""

from datetime import timedelta

import pytest
import time_machine
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Role
from forum.discussion.comment import Cause, Comment, Verdict
from forum.discussion.report import Appeal, Report
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import history, last_event, revision, rows_of, wrong_counters


def test_three_known_readers_fold_a_comment(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    first, second, third = known_readers(cast, 3)
    for reporter in (first, second):
        assert report(reporter, comment).status_code == 303
        assert cast.read(Comment, comment).visible
    report(third, comment)
    assert not cast.read(Comment, comment).visible
    newest = revision(cast, comment, 1)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.REPORTS})
    assert history(cast, comment)[-1] == ("fold", "accepted", "held", 1)
    assert last_event(cast, comment).actor_id is None
    assert "Buy my boats." not in cast.stranger.get("/essays/on-tides").text
    assert "Readers reported this." in words(cast.reader.get("/essays/on-tides"))
    assert wrong_counters(cast.app, begun_with(cast)) == []


def test_a_folded_comment_with_replies_leaves_a_placeholder(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    cast.other_reader.comment(cast.slug, "No.", comment)
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    page = cast.stranger.get("/essays/on-tides")
    assert "This comment is waiting for the author." in words(page)
    assert "boats" not in page.text


def test_the_same_reader_counts_once(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for _ in range(4):
        assert report(cast.other_reader, comment).status_code == 303
    assert rows_of(cast, Report) == 1
    assert cast.read(Comment, comment).visible


def test_readers_without_an_accepted_comment_do_not_fold(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for number in range(5):
        report(cast.person(f"unknown {number}"), comment)
    assert rows_of(cast, Report) == 5
    assert cast.read(Comment, comment).visible


def test_the_authors_comment_is_never_reported(cast: Cast) -> None:
    comment = comment_id(cast.author.comment(cast.slug, "My own view."))
    for reporter in known_readers(cast, 3):
        assert report(reporter, comment).status_code == 403
    assert cast.read(Comment, comment).visible


def test_a_wording_is_folded_once_and_its_successor_once_more(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    for reporter in known_readers(cast, 6)[3:]:
        report(reporter, comment)
    assert cast.read(Comment, comment).visible
    cast.reader.post(f"/comments/{comment}/edit", {"body": "Buy my ships."})
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    assert not cast.read(Comment, comment).visible
    assert [row[0] for row in history(cast, comment)].count("fold") == 2


def test_a_waiting_edit_does_not_protect_the_reported_text(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    cast.other_reader.comment(cast.slug, "No.", comment)
    cast.reader.post(f"/comments/{comment}/edit", {"body": "Boats are fine."})
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    assert not cast.read(Comment, comment).visible
    assert revision(cast, comment, 2).causes == {Cause.EDIT, Cause.REPORTS}
    assert history(cast, comment)[-1] == ("fold", "held", "held", 2)
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "2"})
    assert "Boats are fine." in words(cast.stranger.get(f"/comments/{comment}"))


def test_a_reply_to_a_comment_folded_meanwhile_is_409_with_the_words(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    answer = cast.other_reader.comment(cast.slug, "I have a boat already.", comment)
    assert answer.status_code == 409
    assert "I have a boat already." in answer.text


@pytest.mark.parametrize("reason", ["", "nonsense", "\0", "spam" * 1000])
def test_a_report_needs_a_known_reason_and_keeps_the_note(cast: Cast, reason: str) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    answer = cast.other_reader.post(f"/comments/{comment}/report", {"reason": reason, "note": "Third time."})
    assert answer.status_code == 422
    assert "Third time." in answer.text
    assert rows_of(cast, Report) == 0


def test_a_note_that_is_too_long_is_422_and_stays(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    answer = cast.other_reader.post(f"/comments/{comment}/report", {"reason": "spam", "note": "n" * 501})
    assert answer.status_code == 422
    assert "n" * 501 in answer.text
    assert "Keep it to 500 characters." in words(answer)


@pytest.mark.parametrize("decision", ["hide", "spam", "reject"])
def test_a_decision_can_be_appealed_once(cast: Cast, decision: str) -> None:
    comment = decided(cast, decision)
    state = "hidden" if decision != "reject" else "rejected"
    assert "Ask for another look" in words(cast.newcomer.get(f"/comments/{comment}"))
    assert appeal(cast.newcomer, comment).status_code == 303
    newest = revision(cast, comment, 1)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.APPEAL})
    assert history(cast, comment)[-1] == ("appeal", state, "hidden" if state == "hidden" else "held", 1)
    assert appeal(cast.newcomer, comment).status_code == 403
    assert rows_of(cast, Appeal) == 1


def test_after_fourteen_days_a_decision_stands(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        early, late = decided(cast, "hide"), decided(cast, "hide", "Sell your boats.")
        moment.shift(timedelta(days=14))
        assert appeal(cast.newcomer, early).status_code == 303
        moment.shift(timedelta(seconds=1))
        assert "Ask for another look" not in words(cast.newcomer.get(f"/comments/{late}"))
        assert appeal(cast.newcomer, late).status_code == 403


def test_a_lapsed_reader_may_appeal_and_withdraw(cast: Cast) -> None:
    ended = clock.now() - timedelta(days=30)
    comment, other = decided(cast, "hide"), decided(cast, "approve", "Sell your boats.")
    cast.subscribe(cast.newcomer.user_id or 0, Kind.PAID, ended)
    assert cast.newcomer.comment(cast.slug, "Still here.").status_code == 403
    assert appeal(cast.newcomer, comment).status_code == 303
    assert cast.newcomer.post(f"/comments/{other}/withdraw").status_code == 303


def test_a_granted_appeal_brings_the_comment_back(cast: Cast) -> None:
    comment = decided(cast, "hide")
    appeal(cast.newcomer, comment)
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    assert "Buy my boats." in words(cast.stranger.get(f"/comments/{comment}"))
    assert wrong_counters(cast.app, {}) == []


@pytest.mark.parametrize("given", ["", "   ", "w" * 501])
def test_an_appeal_says_why_in_at_most_500_characters(cast: Cast, given: str) -> None:
    comment = decided(cast, "hide")
    answer = cast.newcomer.post(f"/comments/{comment}/appeal", {"words": given})
    assert answer.status_code == 422
    assert given.strip() in answer.text
    assert rows_of(cast, Appeal) == 0


def test_only_the_writer_appeals(cast: Cast) -> None:
    comment = decided(cast, "hide")
    assert appeal(cast.other_reader, comment).status_code == 404
    assert appeal(cast.moderator, comment).status_code == 403


def test_a_comment_that_nobody_decided_against_cannot_be_appealed(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "Buy my boats."))
    assert appeal(cast.newcomer, comment).status_code == 403


def test_a_restored_comment_cannot_be_appealed(cast: Cast) -> None:
    comment = decided(cast, "hide")
    cast.author.post(f"/moderation/comments/{comment}/restore")
    assert appeal(cast.newcomer, comment).status_code == 403


def known_readers(cast: Cast, count: int) -> list[Visitor]:
    """Return readers who had a comment accepted before."""
    return [cast.person(f"known {number}", accepted_comments=1) for number in range(count)]


def begun_with(cast: Cast) -> dict[int, int]:
    """Return with how many accepted comments the people of the story began."""
    began = {"reader": 2, "other reader": 2}
    return {
        visitor.user_id or 0: began.get(name, 1 if name.startswith("known") else 0)
        for name, visitor in cast.visitors.items()
    }


def report(person: Visitor, comment: int) -> TestResponse:
    """Send a report of a comment."""
    return person.post(f"/comments/{comment}/report", {"reason": "spam"})


def appeal(person: Visitor, comment: int) -> TestResponse:
    """Ask for another look at a comment."""
    return person.post(f"/comments/{comment}/appeal", {"words": "It was about the essay."})


def decided(cast: Cast, decision: str, body: str = "Buy my boats.") -> int:
    """Post a comment of the newcomer, let the author decide about it, return its id."""
    author = cast.person("author", Role.AUTHOR)
    comment = comment_id(cast.newcomer.comment(cast.slug, body))
    if decision in ("hide", "spam"):
        author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    data = {"revision": "1", "reason": "spam", "note": ""}
    assert author.post(f"/moderation/comments/{comment}/{decision}", data).status_code == 303
    return comment
