"""Reports that fold, and appeals against decisions."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import Role
from forum.database import db
from forum.discussion.comment import Cause, Comment, Verdict
from forum.discussion.report import REASONS, Appeal, Report
from forum.discussion.reporting import Weight
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, history, last_event, revision, rows_of, wrong_counters
from tests.discussion.test_races import act_of, together


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
    assert "<title>A comment on On tides" in cast.stranger.get(f"/comments/{comment}").text


def test_the_same_reader_counts_once_and_loses_nothing(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for _ in range(4):
        assert report(cast.other_reader, comment).status_code == 303
    address, more = f"/comments/{comment}/report", {"reason": "unkind", "note": "And he laughed."}
    answer = cast.other_reader.post(address, more)
    assert answer.status_code == 409
    assert "You reported this. A moderator will look at it." in words(answer)
    assert "And he laughed.</textarea>" in answer.text
    assert cast.other_reader.post(address, more, headers=JSON).status_code == 409
    assert rows_of(cast, Report) == 1
    assert cast.read(Comment, comment).visible
    page = cast.other_reader.get(f"/comments/{comment}").text
    assert "You reported this." in page
    assert address not in page
    cast.reader.post(f"/comments/{comment}/edit", {"body": "Buy my ships."})
    assert address in cast.other_reader.get(f"/comments/{comment}").text


@pytest.mark.parametrize(
    ("judged", "right", "value", "says"),
    [
        (0, 0, "1", "counts 1"),
        (3, 0, "1", "counts 1"),
        (4, 2, "1", "counts 1: 2 of 4 reports were right"),
        (4, 1, "1/3", "counts 0.33: 1 of 4 reports were right"),
        (6, 1, "1/4", "counts 0.25: 1 of 6 reports were right"),
        (8, 0, "1/10", "counts 0.1: 0 of 8 reports were right"),
    ],
)
def test_reports_of_who_is_often_wrong_count_less(judged: int, right: int, value: str, says: str) -> None:
    weight = Weight(True, judged, right)
    assert (weight.value, str(weight)) == (Fraction(value), says)
    assert Weight(False, judged, right).value == 0


def test_who_is_often_wrong_needs_others_to_fold_and_only_the_author_sees_why(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    first, second, third, fourth = known_readers(cast, 4)
    judged(cast, third, comment, ["removed"] + ["kept"] * 5)
    assert (
        first.post(f"/comments/{comment}/report", {"reason": "spam", "note": "Sold twice."}).status_code
        == 303
    )
    for reporter in (second, third):
        report(reporter, comment)
    assert cast.read(Comment, comment).visible
    why = "known 2 : Spam: it is here to sell or to flood (counts 0.25: 1 of 6 reports were right)"
    for page in (cast.author.get("/moderation"), cast.author.get(f"/comments/{comment}")):
        assert why in words(page)
        assert "known 0 : Spam: it is here to sell or to flood. Sold twice." in words(page)
    assert "counts (right + 1) / (judged + 2)" in words(cast.author.get(f"/comments/{comment}"))
    assert "Sold twice." not in words(cast.reader.get(f"/comments/{comment}"))
    assert "known 2" not in words(first.get(f"/comments/{comment}"))
    report(fourth, comment)
    assert not cast.read(Comment, comment).visible


def test_reports_that_were_answered_do_not_count_again(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    readers = known_readers(cast, 5)
    for reporter in readers[:2]:
        report(reporter, comment)
    assert "Reported by 2 readers: spam" in words(cast.author.get("/moderation"))
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    assert "The moderators looked at it and kept it." in words(readers[0].get(f"/comments/{comment}"))
    for reporter in readers[2:4]:
        report(reporter, comment)
    assert cast.read(Comment, comment).visible
    report(readers[4], comment)
    assert not cast.read(Comment, comment).visible


def test_who_answers_a_reported_comment_has_answered_the_reports(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    for reporter in known_readers(cast, 3):
        report(reporter, comment)
    assert cast.author.comment(cast.slug, "Boats.", comment, parent_seen=f"{comment}:1").status_code == 303
    row = cast.read(Comment, comment)
    assert (row.visible, row.open_reports, row.waits_since) == (True, 0, None)


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


def test_a_reason_that_was_retired_meanwhile_is_refused_in_our_words_with_the_others_to_choose(
    cast: Cast,
) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    answer = cast.other_reader.post(f"/comments/{comment}/report", {"reason": "ugly"})
    assert "This reason is not offered any more. Choose another." in words(answer)
    assert '<fieldset class="field field--choices field--wrong"' in answer.text


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


def test_a_decision_that_is_done_again_late_may_be_appealed_then_and_once(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        comment = decided(cast, "hide")
        moment.shift(timedelta(days=20))
        author = cast.sign_in(cast.author.user_id or 0)  # staff is signed out overnight
        assert appeal(cast.newcomer, comment).status_code == 403
        for is_visible in (True, False):
            undo_last(cast, author, comment)
            assert cast.read(Comment, comment).visible is is_visible
        assert appeal(cast.newcomer, comment).status_code == 303
        form = {"revision": "1", "reason": "spam", "note": "Still."}
        assert author.post(f"/moderation/comments/{comment}/reject", form).status_code == 303
        assert "The moderators looked again, and it stays" in words(cast.newcomer.get(f"/comments/{comment}"))
        for _ in range(2):
            undo_last(cast, author, comment)
            assert appeal(cast.newcomer, comment).status_code == 403
    assert rows_of(cast, Appeal) == 1


def test_an_appeal_shows_to_both_exactly_what_was_judged_and_what_is_newer(cast: Cast) -> None:
    comment = decided(cast, "reject")
    address = f"/comments/{comment}"
    assert "The words above are those that were judged." in words(cast.newcomer.get(address))
    empty = cast.newcomer.post(f"{address}/appeal", {"words": ""})
    assert "These are the words that were judged: Buy my boats. Reason: Spam" in words(empty)
    assert "You can ask once for each decision, within 14 days." in words(empty)
    appeal(cast.newcomer, comment)
    for page in (cast.author.get("/moderation"), cast.author.get(address)):
        assert "These are the words that were judged." in words(page)
    cast.newcomer.post(f"{address}/edit", {"body": "Boats are lovely.", "revision": "1"})
    own = words(cast.newcomer.get(address))
    assert "Your newest words were not judged yet. These were: Buy my boats." in own
    assert "You asked for another look: It was about the essay. It waits for an answer." in own
    for page in (cast.author.get("/moderation"), cast.author.get(address)):
        assert "These words are newer than the decision; nobody has judged them." in words(page)
        assert "The words that were judged Buy my boats." in words(page)
        assert "Boats are lovely." in words(page)


def test_in_place_a_writer_is_offered_another_look_and_reads_what_came_of_it(cast: Cast) -> None:
    comment = decided(cast, "reject")
    link, place = f'href="/comments/{comment}#appeal"', f"/essays/{cast.slug}"
    assert link in cast.newcomer.get(place).text
    own = words(cast.newcomer.get(f"/comments/{comment}"))
    assert "It is read before it appears." in own
    assert "the old one stays" not in own
    appeal(cast.newcomer, comment)
    assert link not in cast.newcomer.get(place).text
    cast.author.post(f"/moderation/comments/{comment}/reject", {"revision": "1", "reason": "unkind"})
    told = f"Not accepted by the moderators: {REASONS['unkind']}. Looked at again, and it stays. Only you"
    assert told in words(cast.newcomer.get(place))
    assert link not in cast.newcomer.get(place).text


def test_an_appeal_and_a_restore_at_once_leave_no_appeal_behind(cast: Cast) -> None:
    for number in range(4):
        comment = decided(cast, "hide", f"Buy boat {number}.")
        acts = [
            act_of(cast.newcomer, f"/comments/{comment}/appeal", {"words": "Look again."}),
            act_of(cast.author, f"/moderation/comments/{comment}/restore", {}),
        ]
        appealed, restored = (answer.status_code for answer in together(acts))
        assert appealed in (303, 403)
        assert restored == 303
        assert cast.read(Comment, comment).visible
        assert cast.read(Comment, comment).waits_since is None
    assert all(row.decided_at for row in rows(cast, Appeal))


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


def judged(cast: Cast, reader: Visitor, comment: int, outcomes: list[str]) -> None:
    """Let some reports of a reader have been answered in better days."""
    with cast.app.app_context():
        for number, outcome in enumerate(outcomes, 100):
            made = {"comment_id": comment, "revision": number, "user_id": reader.user_id, "reason": "spam"}
            db.session.add(Report(**made, created_at=clock.now(), decided_at=clock.now(), outcome=outcome))
        db.session.commit()


def undo_last(cast: Cast, person: Visitor, comment: int) -> None:
    """Take back the last thing that happened to a comment."""
    assert person.post(f"/moderation/undo/{last_event(cast, comment).id}").status_code == 303


def rows(cast: Cast, model: type[Any]) -> list[Any]:
    """Return all rows of one kind, detached."""
    with cast.app.app_context():
        found = list(db.session.scalars(select(model)))
        db.session.expunge_all()
        return found


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
