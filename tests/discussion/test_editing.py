"""Editing one's own words: in the window, after it, while they wait, and after a decision against them."""

from datetime import timedelta

import time_machine
from werkzeug.test import TestResponse

from forum import clock
from forum.discussion.comment import Cause, Comment, Verdict
from forum.essays.essay import Essay
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, history, last_event, revision, wrong_counters


def test_an_edit_in_the_window_is_shown_at_once(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    answer = edit(cast.reader, comment, "The harbour is newer.")
    assert answer.status_code == 303
    page = words(cast.stranger.get("/essays/on-tides"))
    assert "The harbour is newer." in page
    assert "older" not in page
    assert "edited" in page
    assert history(cast, comment)[-1] == ("edit", "accepted", "accepted", 2)
    assert last_event(cast, comment).actor_id == cast.reader.user_id


def test_the_edit_window_closes_after_fifteen_minutes(cast: Cast) -> None:
    with time_machine.travel(clock.now(), tick=False) as moment:
        comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
        moment.shift(timedelta(minutes=14, seconds=59))
        edit(cast.reader, comment, "The harbour is newer.")
        assert "The harbour is newer." in words(cast.stranger.get(f"/comments/{comment}"))
        moment.shift(timedelta(seconds=1))
        edit(cast.reader, comment, "The harbour is oldest.")
    assert "The harbour is newer." in words(cast.stranger.get(f"/comments/{comment}"))
    assert history(cast, comment)[1:] == [
        ("edit", "accepted", "accepted", 2),
        ("edit", "accepted", "held", 3),
    ]
    assert revision(cast, comment, 3).causes == {Cause.EDIT}


def test_the_edit_window_closes_with_the_first_reply(cast: Cast) -> None:
    comment = answered(cast)
    edit(cast.reader, comment, "The harbour is newer.")
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))
    assert revision(cast, comment, 2).verdict == Verdict.HELD


def test_even_a_withdrawn_or_held_reply_closes_the_edit_window(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    cast.newcomer.comment(cast.slug, "A held answer.", comment)
    edit(cast.reader, comment, "The harbour is newer.")
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))
    second = comment_id(cast.reader.comment(cast.slug, "The pier is older."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer.", second))
    cast.other_reader.post(f"/comments/{reply}/withdraw")
    edit(cast.reader, second, "The pier is newer.")
    assert "The pier is older." in words(cast.stranger.get(f"/comments/{second}"))


def test_while_a_late_edit_waits_readers_see_the_old_text_and_the_writer_sees_both(cast: Cast) -> None:
    comment = answered(cast)
    answer = edit(cast.reader, comment, "The harbour is newer.")
    assert answer.status_code == 303
    for viewer in (cast.stranger, cast.other_reader):
        for address in ("/essays/on-tides", f"/comments/{comment}", f"/readers/{cast.reader.user_id}"):
            for headers in ({}, JSON):
                text = viewer.get(address, headers=headers).text
                assert "harbour is newer" not in text, (address, viewer.name, headers)
                assert "harbour is older" in text or address.startswith("/readers"), (address, headers)
    own = words(cast.reader.get(f"/comments/{comment}"))
    assert "The harbour is newer." in own
    assert "What readers see" in own
    assert "Your new text is waiting for author. Readers see the old one until then." in own


def test_another_late_edit_replaces_the_waiting_one(cast: Cast) -> None:
    comment = answered(cast)
    edit(cast.reader, comment, "The harbour is newer.")
    edit(cast.reader, comment, "The harbour is newest.")
    assert [row[1:] for row in history(cast, comment)[1:]] == [("accepted", "held", 2), ("held", "held", 3)]
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))


def test_a_held_comment_is_repaired_and_goes_on_waiting_for_its_cause(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    edit(cast.newcomer, comment, "The harbour is newer.")
    newest = revision(cast, comment, 2)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.NEW_WRITER})
    assert history(cast, comment)[-1] == ("edit", "held", "held", 2)


def test_the_same_words_make_no_new_revision(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    edit(cast.reader, comment, "The harbour is older.  ")
    assert cast.read(Comment, comment).newest_number == 1
    assert [row[0] for row in history(cast, comment)] == ["post"]


def test_an_edit_in_the_window_is_screened_as_a_new_comment_is(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    cast.change(Essay, cast.essay_id, premoderation="all")
    edit(cast.reader, comment, "The harbour is newer.")
    assert revision(cast, comment, 2).causes == {Cause.PREMODERATION}
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))


def test_the_author_edits_late_without_waiting(cast: Cast) -> None:
    comment = comment_id(cast.author.comment(cast.slug, "The harbour is older."))
    cast.reader.comment(cast.slug, "An answer.", comment)
    edit(cast.author, comment, "The harbour is newer.")
    assert "The harbour is newer." in words(cast.stranger.get(f"/comments/{comment}"))


def test_an_edit_of_words_that_changed_meanwhile_is_409_with_both_texts(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    edit(cast.reader, comment, "The harbour is newer.", revision="1")
    answer = edit(cast.reader, comment, "The harbour is lost.", revision="1")
    assert answer.status_code == 409
    assert "The harbour is lost." in answer.text
    assert "The harbour is newer." in words(answer)
    assert 'name="revision" value="2"' in answer.text
    assert "The harbour is newer." in words(cast.stranger.get(f"/comments/{comment}"))


def test_an_edit_that_cannot_be_kept_is_422_with_the_text(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    answer = edit(cast.reader, comment, "x" * 10_001)
    assert answer.status_code == 422
    assert "x" * 10_001 in answer.text
    assert "This is 1 character too long." in words(answer)


def test_the_preview_of_an_edit_stores_nothing(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    answer = edit(cast.reader, comment, "The *harbour* is newer.", preview="1")
    assert answer.status_code == 200
    assert "<em>harbour</em>" in answer.text
    assert cast.read(Comment, comment).newest_number == 1


def test_a_rejected_comment_is_revised_and_submitted_again(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is a scandal."))
    reject(cast, comment)
    assert words(cast.newcomer.get(f"/comments/{comment}")).count("Not accepted by the moderators") == 1
    edit(cast.newcomer, comment, "The harbour is a pity.")
    newest = revision(cast, comment, 2)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.APPEAL})
    assert history(cast, comment)[-1] == ("edit", "rejected", "held", 2)
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "2"})
    assert "The harbour is a pity." in words(cast.stranger.get(f"/comments/{comment}"))
    assert wrong_counters(cast.app, {}) == []


def test_a_hidden_comment_is_submitted_again_even_with_the_same_words(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is a scandal."))
    hide(cast, comment)
    assert edit(cast.reader, comment, "The harbour is a scandal.").status_code == 303
    newest = revision(cast, comment, 2)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.APPEAL})
    assert history(cast, comment)[-1] == ("edit", "hidden", "hidden", 2)
    assert "Your comment is waiting for author." in words(cast.reader.get(f"/comments/{comment}"))


def test_one_request_for_another_look_is_open_at_a_time(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is a scandal."))
    hide(cast, comment)
    edit(cast.reader, comment, "The harbour is a pity.")
    assert edit(cast.reader, comment, "The harbour is a joke.").status_code == 403
    assert cast.reader.post(f"/comments/{comment}/appeal", {"words": "Look again."}).status_code == 403


def test_a_comment_hidden_while_it_waited_can_be_revised(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is a scandal."))
    hide(cast, comment)
    assert edit(cast.newcomer, comment, "The harbour is a pity.").status_code == 303
    assert revision(cast, comment, 2).causes == {Cause.APPEAL}


def test_a_rejected_late_edit_leaves_the_old_text_public(cast: Cast) -> None:
    comment = answered(cast)
    edit(cast.reader, comment, "The harbour is a scandal.")
    reject(cast, comment, revision="2")
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))
    own = words(cast.reader.get(f"/comments/{comment}"))
    assert "Not accepted by the moderators" in own
    assert "The harbour is a scandal." in own


def test_nobody_edits_the_words_of_another(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    for person in (cast.other_reader, cast.author, cast.moderator, cast.admin):
        assert edit(person, comment, "Something else.").status_code == 403, person.name
    assert "The harbour is older." in words(cast.stranger.get(f"/comments/{comment}"))


def edit(person: Visitor, comment: int, body: str, **data: str) -> TestResponse:
    """Send the edit form of a comment."""
    return person.post(f"/comments/{comment}/edit", {"body": body, **data})


def answered(cast: Cast) -> int:
    """Post a comment of the reader and a reply to it; return the comment's id."""
    comment = comment_id(cast.reader.comment(cast.slug, "The harbour is older."))
    cast.other_reader.comment(cast.slug, "An answer.", comment)
    return comment


def reject(cast: Cast, comment: int, revision: str = "1") -> None:
    """Let the author reject the newest wording."""
    data = {"revision": revision, "reason": "off-topic", "note": ""}
    assert cast.author.post(f"/moderation/comments/{comment}/reject", data).status_code == 303


def hide(cast: Cast, comment: int) -> None:
    """Let the author hide a comment."""
    data = {"revision": "1", "reason": "unkind", "note": ""}
    assert cast.author.post(f"/moderation/comments/{comment}/hide", data).status_code == 303
