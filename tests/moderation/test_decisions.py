"""What becomes of a comment when someone decides about it: every row of the table of states that is a moderator's."""

import re
from datetime import timedelta

import pytest
import time_machine

from forum import clock
from forum.accounts.user import Role
from forum.database import db
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import REASONS
from forum.essays.essay import Essay
from forum.moderation.decisions import DEEDS
from forum.site.settings import change_setting
from tests.cast import Cast, Visitor, words
from tests.moderation.stage import Scene

UNKIND = {"reason": "unkind"}
ROCKET = "The moon pulls the water."


def test_an_approved_comment_is_seen_and_counted(scene: Scene, cast: Cast) -> None:
    row = scene.held(ROCKET)
    assert ROCKET not in scene.public()
    scene.done(cast.author, row, "approve")
    assert ROCKET in scene.public()
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)
    assert scene.state(row)["accepted"] == 1
    assert cast.read(Essay, cast.essay_id).visible_comments == 1


@pytest.mark.parametrize("who", ["author", "moderator", "admin"])
def test_the_essays_author_moderators_and_admins_decide(scene: Scene, cast: Cast, who: str) -> None:
    row = scene.held()
    assert scene.decide(getattr(cast, who), row, "approve").status_code == 303
    event = scene.last_event(row)
    assert (event.act, event.from_state, event.to_state, event.revision) == ("approve", "held", "accepted", 1)
    assert event.actor_id == getattr(cast, who).user_id


@pytest.mark.parametrize("verb", ["approve", "reject", "hide", "restore", "spam", "pin", "feature"])
def test_nobody_else_decides(scene: Scene, cast: Cast, verb: str) -> None:
    row, seen = scene.held(), scene.shown()
    other = cast.person("another author", Role.AUTHOR)
    before = scene.state(row), scene.state(seen)
    for who in (cast.reader, cast.other_reader, other, cast.stranger):
        assert scene.decide(who, row, verb, **UNKIND).status_code == 404
        assert scene.decide(who, seen, verb, **UNKIND).status_code == 403
    assert scene.decide(cast.newcomer, row, verb, **UNKIND).status_code == 403
    assert (scene.state(row), scene.state(seen)) == before


def test_a_suspended_moderator_does_not_decide(scene: Scene, cast: Cast) -> None:
    row, who = scene.held(), cast.moderator
    from forum.accounts.user import User

    cast.change(User, who.user_id or 0, suspended_until=clock.now() + timedelta(days=1))
    assert who.get("/moderation").status_code == 403
    assert scene.decide(who, row, "approve").status_code == 404


def test_a_rejected_comment_is_not_seen_and_its_writer_reads_why(scene: Scene, cast: Cast) -> None:
    row = scene.held(ROCKET)
    scene.done(cast.author, row, "reject", reason="unkind", note="Please say it without the names.")
    assert scene.is_live(row, Verdict.REJECTED, visible=False)
    assert ROCKET not in scene.public()
    own = words(cast.newcomer.get(f"/comments/{row}"))
    assert "Please say it without the names." in own
    assert REASONS["unkind"].split(":")[0] in own


@pytest.mark.parametrize("verb", ["reject", "hide"])
def test_a_reason_is_asked_for_and_what_was_typed_stays(scene: Scene, cast: Cast, verb: str) -> None:
    row = scene.held() if verb == "reject" else scene.shown()
    before = scene.state(row)
    answer = scene.decide(cast.author, row, verb, note="Not like <b>this</b>.")
    assert answer.status_code == 422
    assert "Choose a reason." in words(answer)
    assert "Not like &lt;b&gt;this&lt;/b&gt;.</textarea>" in answer.text
    retired = scene.decide(cast.author, row, verb, reason="ugly")
    assert retired.status_code == 422
    assert "This reason is not offered any more. Choose another." in words(retired)
    assert scene.decide(cast.author, row, verb, reason="unkind", note="x" * 1001).status_code == 422
    assert scene.state(row) == before


def test_the_reason_other_needs_a_note(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    answer = scene.decide(cast.author, row, "reject", reason="other")
    assert answer.status_code == 422
    assert "Say in the note" in words(answer)
    scene.done(cast.author, row, "reject", reason="other", note="It is my birthday.")
    assert scene.last_event(row).note == "It is my birthday."


def test_the_reason_and_the_note_are_kept_in_the_event(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    scene.done(cast.moderator, row, "hide", reason="private", note="It names\r\nher street.\0")
    event = scene.last_event(row)
    assert (event.reason, event.note) == ("private", "It names\nher street.")


def test_a_decision_needs_the_number_of_the_wording(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    answer = cast.author.post(f"/moderation/comments/{row}/approve", {"revision": "all of them"})
    assert answer.status_code == 422
    assert "the form did not say which wording you saw" in words(answer)
    assert cast.author.post(f"/moderation/comments/{row}/approve", {}).status_code == 422
    assert scene.is_live(row, Verdict.HELD, visible=False)


@pytest.mark.parametrize("verb", ["approve", "reject", "hide", "spam"])
def test_a_decision_about_older_words_is_refused_with_the_new_ones(
    scene: Scene, cast: Cast, verb: str
) -> None:
    row = scene.held("I think the tide is late.")
    scene.edit(cast.newcomer, row, "I think the tide is early.")
    before = scene.state(row)
    answer = scene.decide(cast.author, row, verb, revision=1, reason="unkind", note="Kept meanwhile.")
    assert answer.status_code == 409
    assert "newcomer edited it less than a minute ago." in words(answer)
    assert "<p>I think the tide is early.</p>" in answer.text
    assert "<del>late.</del><ins>early.</ins>" in answer.text
    assert f'action="/moderation/comments/{row}/approve"' in answer.text
    assert 'name="revision" value="2"' in answer.text
    assert 'name="revision" value="1"' not in answer.text
    assert scene.state(row) == before
    scene.done(cast.author, row, verb, revision=2, **UNKIND)


def test_a_rejection_of_older_words_keeps_what_was_typed(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    scene.edit(cast.newcomer, row, "Other words by now.")
    answer = scene.decide(cast.author, row, "reject", revision=1, reason="private", note="Kept meanwhile.")
    assert answer.status_code == 409
    assert "Kept meanwhile.</textarea>" in answer.text
    assert 'value="private" required checked' in answer.text


def test_as_json_a_stale_decision_carries_the_new_words(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    scene.edit(cast.newcomer, row, "Other words by now.")
    json = {"Accept": "application/json"}
    stale = cast.author.post(f"/moderation/comments/{row}/approve", {"revision": 1}, headers=json)
    assert (stale.status_code, stale.json["revision"]) == (409, 2)
    assert "Other words by now." in stale.json["html"]
    assert "<ins>Other words by now.</ins>" in stale.json["changes"]
    done = cast.author.post(f"/moderation/comments/{row}/approve", {"revision": 2}, headers=json)
    assert (done.status_code, done.json["state"], done.json["visible"]) == (200, "accepted", True)


def test_who_comes_second_reads_who_decided_what(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    scene.done(cast.moderator, row, "reject", **UNKIND)
    answer = scene.decide(cast.author, row, "approve")
    assert answer.status_code == 409
    assert "This does not wait any more. moderator rejected it." in words(answer)
    again = scene.decide(cast.moderator, row, "approve")
    assert "This does not wait any more. You rejected it." in words(again)
    assert scene.is_live(row, Verdict.REJECTED, visible=False)


def test_what_another_moderator_decided_is_not_overturned_from_an_old_desk(scene: Scene, cast: Cast) -> None:
    rows = [scene.held(), scene.shown()]
    _report(cast, "first", rows[1])
    desk = cast.moderator.get("/moderation").text
    assert desk.count('name="waits" value="yes"') == desk.count('name="revision"') > 0
    for row in rows:
        scene.done(cast.author, row, "approve")
        before = scene.state(row)
        for verb in ("spam", "hide", "reject"):
            answer = scene.decide(cast.moderator, row, verb, waits="yes", **UNKIND)
            assert answer.status_code == 409
            assert "This does not wait any more. author " in words(answer)
            assert 'name="waits"' not in answer.text
        for do in ("remove", "spam"):
            sent = {"do": do, "item": f"{row}:1"} | UNKIND
            json = {"Accept": "application/json"}
            many = cast.moderator.post("/moderation/batch", sent, headers=json)
            assert "This does not wait any more. author " in many.json["error"]
        assert scene.state(row) == before
    scene.done(cast.moderator, rows[0], "hide", **UNKIND)


def test_a_withdrawn_comment_is_not_decided_any_more(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    cast.newcomer.post(f"/comments/{row}/withdraw")
    for verb in ("approve", "reject", "hide", "spam", "restore"):
        answer = scene.decide(cast.author, row, verb, **UNKIND)
        assert answer.status_code == 409
        assert "newcomer withdrew this." in words(answer)
        assert "A first word" not in words(answer)


def test_a_comment_above_answers_leaves_a_placeholder_when_hidden(scene: Scene, cast: Cast) -> None:
    above = scene.shown("Words above.")
    scene.post(cast.other_reader, "Words below.", above)
    scene.done(cast.author, above, "hide", **UNKIND)
    page = scene.public()
    assert "Words above." not in page
    assert "Words below." in page
    assert f'id="comment-{above}"' in page
    assert cast.read(Essay, cast.essay_id).visible_comments == 1
    assert cast.read(Comment, above).presence == Presence.HIDDEN


def test_restoring_brings_back_exactly_the_state_before(scene: Scene, cast: Cast) -> None:
    seen, waiting = scene.shown(), scene.held()
    scene.done(cast.author, seen, "pin")
    states, page = [scene.state(seen), scene.state(waiting)], scene.public()
    scene.done(cast.author, seen, "hide", **UNKIND)
    scene.done(cast.moderator, waiting, "reject", **UNKIND)
    assert scene.public() != page
    scene.done(cast.moderator, waiting, "restore")
    scene.done(cast.moderator, seen, "restore")
    assert [scene.state(seen), scene.state(waiting)] == states
    assert scene.public() == page


def test_a_hidden_comment_that_waited_waits_again_when_restored(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    before = scene.state(row)
    scene.done(cast.author, row, "hide", **UNKIND)
    assert "Nothing is waiting." in words(cast.author.get("/moderation"))
    scene.done(cast.author, row, "restore")
    assert scene.state(row) == before


def test_a_comment_that_nobody_removed_cannot_be_restored(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    answer = scene.decide(cast.author, row, "restore")
    assert answer.status_code == 409
    assert "Nothing is to be restored here." in words(answer)


def test_what_a_ban_hid_is_restored_only_with_the_ban(scene: Scene, cast: Cast) -> None:
    from forum.moderation.ban import Ban

    row = scene.shown()
    with cast.app.app_context():
        db.session.add(ban := Ban(user_id=cast.reader.user_id, created_at=clock.now()))
        db.session.commit()
        ban_id = ban.id
    cast.change(Comment, row, presence=Presence.HIDDEN, ban_id=ban_id)
    answer = scene.decide(cast.admin, row, "restore")
    assert answer.status_code == 409
    assert "when the ban is lifted" in words(answer)


@pytest.mark.parametrize("is_held", [True, False])
def test_spam_is_rejected_or_hidden_with_that_reason(scene: Scene, cast: Cast, *, is_held: bool) -> None:
    row = scene.held() if is_held else scene.shown()
    scene.done(cast.author, row, "spam")
    event = scene.last_event(row)
    assert (event.act, event.reason) == ("spam", "spam")
    assert event.to_state == ("rejected" if is_held else "hidden")
    scene.done(cast.author, row, "restore")
    assert scene.last_event(row).to_state == ("held" if is_held else "accepted")


def test_a_late_edit_is_shown_once_approved(scene: Scene, cast: Cast) -> None:
    row = _edited_late(scene, cast)
    assert "The old words." in scene.public()
    scene.done(cast.author, row, "approve")
    page = scene.public()
    assert "The new words." in page
    assert "The old words." not in page
    assert "edited" in page
    assert cast.read(Comment, row).edited_at is not None
    assert cast.read(Essay, cast.essay_id).visible_comments == 1


def test_a_late_edit_that_is_rejected_leaves_the_old_words(scene: Scene, cast: Cast) -> None:
    row = _edited_late(scene, cast)
    page = scene.public()
    scene.done(cast.author, row, "reject", **UNKIND)
    assert scene.public() == page
    assert cast.read(Comment, row).edited_at is None


def test_undoing_an_approved_edit_takes_its_mark_away(scene: Scene, cast: Cast) -> None:
    row = _edited_late(scene, cast)
    before, page = scene.state(row), scene.public()
    event = scene.done(cast.author, row, "approve")
    assert scene.undo(cast.author, event).status_code == 303
    assert scene.state(row) == before
    assert scene.public() == page


def test_a_folded_comment_that_is_kept_is_not_folded_again(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    for name in ("first", "second", "third"):
        _report(cast, name, row)
    assert scene.is_live(row, Verdict.HELD, visible=False)
    assert "Reported by 3 readers: unkind" in words(cast.author.get("/moderation"))
    scene.done(cast.author, row, "approve")
    for name in ("fourth", "fifth", "sixth", "seventh"):
        _report(cast, name, row)
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)


def test_a_kept_comment_is_not_folded_again_after_a_granted_appeal_either(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    for name in ("first", "second", "third"):
        _report(cast, name, row)
    scene.done(cast.author, row, "approve")
    scene.done(cast.author, row, "hide", **UNKIND)
    _appeal(cast.reader, row)
    scene.done(cast.moderator, row, "approve")
    for name in ("fourth", "fifth", "sixth"):
        _report(cast, name, row)
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)


def test_a_granted_appeal_shows_the_comment_again(scene: Scene, cast: Cast) -> None:
    row = scene.shown(ROCKET)
    page = scene.public()
    scene.done(cast.author, row, "hide", **UNKIND)
    _appeal(cast.reader, row)
    assert "It was meant kindly." in words(cast.author.get("/moderation"))
    scene.done(cast.moderator, row, "approve")
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)
    assert scene.public() == page
    assert scene.state(row)["appeals"][0][2] == "overturned"
    assert scene.last_event(row).act == "overturn"


@pytest.mark.parametrize("verb", ["hide", "reject"])
def test_an_upheld_appeal_leaves_all_as_before_it(scene: Scene, cast: Cast, verb: str) -> None:
    row, who = (scene.shown(), cast.reader) if verb == "hide" else (scene.held(), cast.newcomer)
    scene.done(cast.author, row, verb, reason="unkind", note="The first note.")
    before = scene.state(row)
    _appeal(who, row)
    scene.done(cast.moderator, row, "reject", reason="private", note="I looked again.")
    after = scene.state(row)
    assert after.pop("appeals")[0][2] == "upheld"
    assert before.pop("appeals") == []
    assert after == before
    event = scene.last_event(row)
    assert (event.act, event.reason, event.note) == ("uphold", "private", "I looked again.")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_undoing_the_answer_opens_the_appeal_again(scene: Scene, cast: Cast, verb: str) -> None:
    row = scene.shown()
    scene.done(cast.author, row, "hide", **UNKIND)
    _appeal(cast.reader, row)
    before = scene.state(row)
    event = scene.done(cast.moderator, row, verb, **UNKIND)
    assert scene.undo(cast.author, event).status_code == 303
    assert scene.state(row) == before


def test_restoring_a_hidden_comment_grants_its_appeal(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    page = scene.public()
    scene.done(cast.author, row, "hide", **UNKIND)
    _appeal(cast.reader, row)
    scene.done(cast.author, row, "restore")
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)
    assert scene.public() == page
    assert scene.state(row)["appeals"][0][2] == "overturned"


def test_new_words_for_a_hidden_comment_wait_and_rejecting_them_leaves_it_hidden(
    scene: Scene, cast: Cast
) -> None:
    row = scene.shown("Harsh words.")
    scene.done(cast.author, row, "hide", **UNKIND)
    scene.edit(cast.reader, row, "Mild words.")
    assert "Sent in again" in words(cast.author.get("/moderation"))
    scene.done(cast.author, row, "reject", **UNKIND)
    comment, wordings = cast.read(Comment, row), scene.state(row)["wordings"]
    assert (comment.presence, wordings[-1][1]) == (Presence.HIDDEN, Verdict.REJECTED)
    assert "words." not in scene.public()


def test_new_words_for_a_hidden_comment_are_shown_once_approved(scene: Scene, cast: Cast) -> None:
    row = scene.shown("Harsh words.")
    scene.done(cast.author, row, "hide", **UNKIND)
    scene.edit(cast.reader, row, "Mild words.")
    scene.done(cast.author, row, "approve")
    page = scene.public()
    assert "Mild words." in page
    assert "Harsh words." not in page
    assert "edited" in page


def test_the_first_words_come_back_when_a_hiding_is_undone_by_restoring_after_new_words_failed(
    scene: Scene, cast: Cast
) -> None:
    row = scene.shown("Harsh words.")
    scene.done(cast.author, row, "hide", **UNKIND)
    scene.edit(cast.reader, row, "Harsher words.")
    scene.done(cast.author, row, "reject", **UNKIND)
    scene.done(cast.author, row, "restore")
    assert "Harsh words." in scene.public()
    scene.edit(cast.reader, row, "Third words.")
    assert cast.read(Comment, row).newest_number == 3


def test_pin_and_pick_are_put_on_and_taken_off(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    page = scene.public()
    scene.done(cast.author, row, "pin")
    scene.done(cast.author, row, "feature")
    assert "Pinned" in scene.public()
    assert "Author’s pick" in scene.public()
    scene.done(cast.author, row, "unpin")
    scene.done(cast.author, row, "unfeature")
    assert scene.public() == page


@pytest.mark.parametrize(
    ("on", "off", "is_on", "is_off"),
    [
        (("pin", "Pin"), ("unpin", "Unpin"), "It is pinned already.", "It is not pinned."),
        (
            ("feature", "Author’s pick"),
            ("unfeature", "Not my pick"),
            "It is the author’s pick already.",
            "It is not the author’s pick.",
        ),
    ],
)
def test_who_presses_the_same_button_second_changes_nothing_and_hears_who_was_first(
    scene: Scene, cast: Cast, on: tuple[str, str], off: tuple[str, str], is_on: str, is_off: str
) -> None:
    row = scene.shown()
    for (verb, label), says in ((on, is_on), (off, is_off)):
        button = f'formaction="/moderation/comments/{row}/{verb}"'
        for who in (cast.moderator, cast.author):
            assert re.search(rf"{button}[^>]*><span>{label}<", who.get(f"/comments/{row}").text)
        event, page = scene.done(cast.moderator, row, verb), scene.public()
        second = scene.decide(cast.author, row, verb)
        assert second.status_code == 409
        assert f"{says} moderator {DEEDS[verb]}." in words(second)
        assert (scene.last_event(row).id, scene.public()) == (event, page)


def test_only_a_thread_that_readers_see_is_pinned(scene: Scene, cast: Cast) -> None:
    above = scene.shown()
    below = scene.post(cast.other_reader, "Below.", above)
    assert scene.decide(cast.author, below, "pin").status_code == 403
    assert scene.decide(cast.author, scene.held(), "pin").status_code == 403


def test_approve_and_reply_leads_to_the_reply_form(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    answer = scene.decide(cast.author, row, "approve", reply="1")
    assert answer.headers["Location"] == f"/comments/{row}/reply"
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)


@pytest.mark.parametrize(
    "there", ["https://evil.example/", "//evil.example", "/\t/evil.example", "/moderation\r\nX: y"]
)
def test_the_way_back_stays_on_this_site(scene: Scene, cast: Cast, there: str) -> None:
    answer = scene.decide(cast.author, scene.held(), "approve", next=there)
    assert answer.headers["Location"].startswith("/moderation?done=")


def test_a_closed_discussion_takes_no_comments_and_shows_its_note(scene: Scene, cast: Cast) -> None:
    row = scene.shown()
    page = scene.public()
    answer = _discussion(cast.author, cast, "close", note="All has been <said>.")
    assert answer.status_code == 303
    assert "All has been &lt;said&gt;." in scene.public()
    assert cast.reader.comment(cast.slug, "One more?").status_code == 403
    assert _discussion(cast.moderator, cast, "close").status_code == 409
    assert _discussion(cast.moderator, cast, "reopen").status_code == 303
    assert _discussion(cast.moderator, cast, "reopen").status_code == 409
    assert scene.public() == page
    assert cast.reader.comment(cast.slug, "One more?", row).status_code == 303


def test_a_note_that_is_too_long_closes_nothing(cast: Cast) -> None:
    answer = _discussion(cast.author, cast, "close", note="x" * 1001)
    assert answer.status_code == 422
    assert "x" * 1001 in answer.text
    assert cast.read(Essay, cast.essay_id).discussion_closed_at is None


def test_only_who_moderates_an_essay_closes_its_discussion(cast: Cast) -> None:
    other = cast.person("another author", Role.AUTHOR)
    draft = cast.essay("a-draft", "A draft", published_at=None)
    for who in (cast.reader, other, cast.stranger):
        assert _discussion(who, cast, "close").status_code == 403
        assert who.post(f"/moderation/essays/{draft}/close").status_code == 404
    assert cast.author.post("/moderation/essays/999999/close").status_code == 404


def test_closing_is_undone_with_its_note(scene: Scene, cast: Cast) -> None:
    _discussion(cast.author, cast, "close", note="For the night.")
    closed = scene.public()
    _discussion(cast.author, cast, "reopen")
    event = _last_of_essay(cast)
    assert event.act == "reopen"
    assert scene.undo(cast.moderator, event.id).status_code == 303
    assert scene.public() == closed
    assert "For the night." in closed


@pytest.mark.parametrize("verb", ["approve", "reject", "hide", "spam", "pin", "feature"])
def test_an_undone_decision_leaves_everything_as_it_was(scene: Scene, cast: Cast, verb: str) -> None:
    above = scene.shown("Words above.")
    row = scene.post(cast.newcomer, "Words between.", above) if verb in ("approve", "reject") else above
    scene.post(cast.other_reader, "Words below.", above)
    before, page = scene.state(row), scene.public()
    event = scene.done(cast.author, row, verb, **UNKIND)
    assert scene.state(row) != before
    answer = scene.undo(cast.moderator, event)
    assert answer.status_code == 303
    assert scene.state(row) == before
    assert scene.public() == page
    undone = scene.last_event(row)
    assert (undone.act, undone.undoes_id, undone.actor_id) == ("undo", event, cast.moderator.user_id)


def test_a_decision_is_undone_once(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    event = scene.done(cast.author, row, "approve")
    scene.undo(cast.author, event)
    again = scene.undo(cast.moderator, event)
    assert again.status_code == 409
    assert "author undid this already." in words(again)
    assert "You undid this already." in words(scene.undo(cast.author, event))


def test_a_decision_is_not_undone_after_something_else_happened(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    event = scene.done(cast.author, row, "reject", **UNKIND)
    scene.edit(cast.newcomer, row, "Milder words.")
    before = scene.state(row)
    answer = scene.undo(cast.author, event)
    assert answer.status_code == 409
    assert "newcomer edited it since." in words(answer)
    assert scene.state(row) == before


def test_what_was_done_and_undone_since_does_not_stand_in_the_way(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    before = scene.state(row)
    approved = scene.done(cast.author, row, "approve")
    scene.undo(cast.author, scene.done(cast.author, row, "pin"))
    scene.done(cast.author, row, "hide", **UNKIND)
    scene.done(cast.author, row, "restore")
    assert scene.undo(cast.author, approved).status_code == 303
    assert scene.state(row) == before


def test_an_undo_is_undone_by_which_the_decision_stands_again(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    waiting = scene.state(row)
    event = scene.done(cast.author, row, "approve")
    approved, page = scene.state(row), scene.public()
    scene.undo(cast.author, event)
    taken_back = scene.last_event(row).id
    assert scene.undo(cast.author, taken_back).status_code == 303
    assert (scene.state(row), scene.public()) == (approved, page)
    assert "undid this already." in words(scene.undo(cast.author, taken_back))
    assert scene.undo(cast.author, event).status_code == 303
    assert scene.state(row) == waiting


def test_only_who_moderates_there_undoes(scene: Scene, cast: Cast) -> None:
    event = scene.done(cast.author, scene.held(), "approve")
    for who in (cast.newcomer, cast.reader, cast.person("another author", Role.AUTHOR)):
        assert scene.undo(who, event).status_code == 404
    assert scene.undo(cast.stranger, event).status_code == 403
    assert scene.undo(cast.author, 999_999).status_code == 404


def test_every_decision_bumps_the_threads_version(scene: Scene, cast: Cast) -> None:
    row = scene.held()
    versions = [cast.read(Essay, cast.essay_id).thread_version]
    for verb in ("approve", "pin", "feature", "hide", "restore"):
        scene.done(cast.author, row, verb, **UNKIND)
        versions.append(cast.read(Essay, cast.essay_id).thread_version)
    _discussion(cast.author, cast, "close")
    versions.append(cast.read(Essay, cast.essay_id).thread_version)
    assert versions == sorted(set(versions))


def test_the_home_page_does_not_call_a_restored_comment_new(scene: Scene, cast: Cast) -> None:
    with time_machine.travel(clock.now() - timedelta(minutes=30), tick=True):
        row = scene.shown()
        spoken = cast.read(Essay, cast.essay_id).commented_at
    scene.undo(cast.author, scene.done(cast.author, row, "hide", **UNKIND))
    assert cast.read(Essay, cast.essay_id).commented_at == spoken


def test_with_the_site_set_so_everybody_waits(scene: Scene, cast: Cast) -> None:
    with cast.app.test_request_context():
        change_setting("premoderation", "all")
        db.session.commit()
    row = scene.shown()
    assert scene.is_live(row, Verdict.HELD, visible=False)
    assert "Everything waits here" in words(cast.author.get("/moderation"))
    scene.done(cast.author, row, "approve")
    assert scene.is_live(row, Verdict.ACCEPTED, visible=True)


def _edited_late(scene: Scene, cast: Cast) -> int:
    with time_machine.travel(clock.now() - timedelta(minutes=40), tick=True):
        row = scene.shown("The old words.")
    scene.edit(cast.reader, row, "The new words.")
    return row


def _report(cast: Cast, name: str, row: int) -> None:
    who = cast.person(f"{name} witness", accepted_comments=1)
    assert who.post(f"/comments/{row}/report", {"reason": "unkind"}).status_code == 303


def _appeal(who: Visitor, row: int) -> None:
    answer = who.post(f"/comments/{row}/appeal", {"words": "It was meant kindly."})
    assert answer.status_code == 303, answer.text


def _discussion(who: Visitor, cast: Cast, verb: str, **data: str):  # type: ignore[no-untyped-def]
    return who.post(f"/moderation/essays/{cast.essay_id}/{verb}", data)


def _last_of_essay(cast: Cast) -> Event:
    with cast.app.app_context():
        event = db.session.scalars(
            db.select(Event).where(Event.comment_id.is_(None)).order_by(Event.id.desc()).limit(1)
        ).one()
        db.session.expunge_all()
        return event
