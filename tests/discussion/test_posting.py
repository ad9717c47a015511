"""Posting, withdrawing, thanking, and who sees what of it: the rows of the state table that need no decision."""

import re

import pytest

from forum.accounts.user import Role, User
from forum.discussion.comment import Cause, Comment, Presence, Verdict
from forum.essays.essay import Essay
from forum.moderation.decisions import DEEDS
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON, history, last_event, revision, rows_of, wrong_counters

OPEN_ADDRESSES = (
    "/",
    "/essays/on-tides",
    "/essays/on-tides?sort=newest",
    "/essays/on-tides?sort=best",
    "/essays/on-tides/feed.xml",
    "/feed.xml",
    "/comments/{comment}",
    "/readers/{reader}",
)


def test_a_known_readers_comment_is_shown_at_once(cast: Cast) -> None:
    answer = cast.reader.comment(cast.slug, "The *harbour* is older.")
    comment = comment_id(answer)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/essays/on-tides#comment-{comment}"
    page = cast.stranger.get("/essays/on-tides")
    assert f'id="comment-{comment}"' in page.text
    assert "The <em>harbour</em> is older." in page.text
    assert history(cast, comment) == [("post", "", "accepted", 1)]
    assert last_event(cast, comment).actor_id == cast.reader.user_id


def test_a_newcomers_comment_is_held_for_that_cause(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    newest = revision(cast, comment, 1)
    assert (newest.verdict, newest.causes) == (Verdict.HELD, {Cause.NEW_WRITER})
    assert history(cast, comment) == [("post", "", "held", 1)]


@pytest.mark.parametrize("address", OPEN_ADDRESSES)
def test_a_held_comment_is_shown_to_nobody_else(cast: Cast, address: str) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    for viewer in (cast.stranger, cast.other_reader):
        for headers in ({}, JSON):
            answer = viewer.get(
                address.format(comment=comment, reader=cast.newcomer.user_id), headers=headers
            )
            assert "harbour is older" not in answer.text, (address, viewer.name, headers)
            assert answer.status_code == (404 if "{" in address else 200), (address, headers)


def test_a_held_comment_does_not_exist_for_others(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    for viewer in (cast.stranger, cast.other_reader):
        unknown = viewer.get(f"/comments/{comment + 1000}")
        held = viewer.get(f"/comments/{comment}")
        assert (held.status_code, words(held)) == (404, words(unknown))
        assert viewer.get(f"/comments/{comment}", headers=JSON).status_code == 404


def test_the_writer_sees_their_held_comment_and_that_it_waits(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    for address in ("/essays/on-tides", f"/comments/{comment}", "/account/comments"):
        page = words(cast.newcomer.get(address))
        assert "The harbour is older." in page, address
        assert "Waiting for author. Only you can see this." in page, address
    told = cast.newcomer.get(f"/comments/{comment}", headers=JSON).get_json()
    assert (told["state"], told["visible"]) == ("held", False)


def test_who_only_reads_has_no_page_that_tells_others_their_name(cast: Cast) -> None:
    page = f"/readers/{cast.newcomer.user_id}"
    for viewer in (cast.stranger, cast.other_reader):
        assert viewer.get(page).status_code == 404
    assert cast.other_reader.post(f"{page}/mute").status_code == 404
    for viewer in (cast.newcomer, cast.author, cast.moderator, cast.admin):
        assert "newcomer" in words(viewer.get(page))
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    cast.author.post(f"/moderation/comments/{comment}/approve", {"revision": "1"})
    assert cast.stranger.get(page).status_code == 200


def test_the_profile_does_not_show_the_held_comment_even_to_its_writer(cast: Cast) -> None:
    cast.newcomer.comment(cast.slug, "The harbour is older.")
    assert "harbour" not in words(cast.newcomer.get(f"/readers/{cast.newcomer.user_id}"))


def test_moderators_see_a_held_comment_on_its_page_without_being_called_its_writer(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    for viewer in (cast.author, cast.moderator, cast.admin):
        page = words(viewer.get(f"/comments/{comment}"))
        assert "The harbour is older." in page
        assert "Only you can see" not in page
        assert "newcomer (you)" not in page


def test_a_held_reply_is_shown_to_its_writer_below_what_it_answers(cast: Cast) -> None:
    parent = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    other = comment_id(cast.reader.comment(cast.slug, "Another thread."))
    reply = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older.", parent))
    assert "The harbour is older." in words(cast.newcomer.get(f"/comments/{parent}"))
    assert "The harbour is older." not in words(cast.newcomer.get(f"/comments/{other}"))
    page = cast.newcomer.get("/essays/on-tides").text
    places = [page.index(f'id="comment-{one}"') for one in (parent, reply, other)]
    assert places == sorted(places)


def test_a_held_reply_below_an_answered_comment_is_shown_among_its_replies(cast: Cast) -> None:
    parent = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    cast.other_reader.comment(cast.slug, "An answer.", parent)
    elsewhere = comment_id(cast.newcomer.comment(cast.slug, "A thread of my own."))
    reply = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older.", parent))
    page = cast.newcomer.get(f"/comments/{parent}").text
    assert f'id="comment-{reply}"' in page
    assert f'id="comment-{elsewhere}"' not in page


@pytest.mark.parametrize("role", [Role.AUTHOR, Role.MODERATOR, Role.ADMIN])
def test_the_essays_author_and_the_staff_are_always_accepted(cast: Cast, role: Role) -> None:
    person = cast.author if role == Role.AUTHOR else cast.person(role.value, role)
    cast.change(Essay, cast.essay_id, premoderation="all")
    comment = comment_id(person.comment(cast.slug, "I can say more about this."))
    assert cast.read(Comment, comment).visible


def test_another_author_is_a_reader_here(cast: Cast) -> None:
    other = cast.person("other author", Role.AUTHOR)
    comment = comment_id(other.comment(cast.slug, "I wrote on this, too."))
    assert not cast.read(Comment, comment).visible


def test_the_subscription_at_the_time_of_posting_stays_with_the_comment(cast: Cast) -> None:
    before = comment_id(cast.reader.comment(cast.slug, "As a free reader."))
    cast.subscribe(cast.reader.user_id or 0, Kind.PAID)
    after = comment_id(cast.reader.comment(cast.slug, "As a supporter."))
    assert [cast.read(Comment, one).subscription for one in (before, after)] == ["free", "paid"]
    assert "supporter" in words(cast.stranger.get(f"/comments/{after}")).replace("As a supporter.", "")


def test_the_author_answering_a_held_comment_on_its_page_accepts_it(cast: Cast) -> None:
    held = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    assert seen_on_page(cast.newcomer, held) is None
    answer = comment_id(
        cast.author.comment(cast.slug, "So it is.", held, parent_seen=seen_on_page(cast.author, held))
    )
    assert cast.read(Comment, held).visible
    assert history(cast, held) == [("post", "", "held", 1), ("approve", "held", "accepted", 1)]
    assert last_event(cast, held).actor_id == cast.author.user_id
    assert cast.read(User, cast.newcomer.user_id).accepted_comments == 1
    assert f'id="comment-{answer}"' in cast.stranger.get(f"/comments/{held}").text
    assert wrong_counters(cast.app, {}) == []


def test_another_reader_cannot_answer_a_held_comment(cast: Cast) -> None:
    held = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    answer = cast.reader.comment(cast.slug, "I saw it.", held)
    assert answer.status_code == 422
    assert "I saw it." in answer.text
    assert rows_of(cast, Comment) == 1


def test_an_answer_does_not_accept_words_that_its_writer_was_not_shown(cast: Cast) -> None:
    held = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    other = comment_id(cast.person("other newcomer").comment(cast.slug, "The pier is older still."))
    seen = seen_on_page(cast.author, held)
    cast.newcomer.post(f"/comments/{held}/edit", {"body": "Cheap watches here."})
    for row, about in ((held, seen), (held, ""), (held, f"{other}:2"), (other, seen)):
        answer = cast.author.comment(cast.slug, f"About {row}, {about}.", row, parent_seen=about)
        assert answer.status_code == 303
        assert not cast.read(Comment, row).visible
        assert "has words that still wait for a decision" in words(cast.author.get("/essays/on-tides"))
    assert "Cheap watches" not in cast.stranger.get("/essays/on-tides").text
    assert len(history(cast, held)) == 2


def test_a_late_edit_is_accepted_by_an_answer_to_it_and_not_by_one_to_the_old_text(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "An old text."))
    cast.other_reader.comment(cast.slug, "An answer.", comment)
    cast.reader.post(f"/comments/{comment}/edit", {"body": "A new text."})
    cast.author.comment(cast.slug, "So the old one said.", comment)
    assert "A new text." not in words(cast.stranger.get(f"/comments/{comment}"))
    seen = seen_on_page(cast.author, comment)
    form = {"body": "Well said.", "parent_id": comment, "parent_seen": seen, "preview": "1"}
    assert f'name="parent_seen" value="{seen}"' in cast.author.post("/essays/on-tides/comments", form).text
    cast.author.comment(cast.slug, "Well said.", comment, parent_seen=seen)
    assert "A new text." in words(cast.stranger.get(f"/comments/{comment}"))
    assert history(cast, comment)[-1] == ("approve", "held", "accepted", 2)
    assert cast.read(Comment, comment).edited_at is not None


def test_a_withdrawn_comment_with_replies_leaves_a_placeholder(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    cast.other_reader.comment(cast.slug, "An answer to it.", comment)
    answer = cast.reader.post(f"/comments/{comment}/withdraw")
    assert answer.headers["Location"] == f"/essays/on-tides#comment-{comment}"
    for viewer in (cast.stranger, cast.reader, cast.other_reader, cast.author):
        page = viewer.get("/essays/on-tides")
        assert "This comment was deleted by its writer." in words(page)
        assert "rash remark" not in page.text
        assert "An answer to it." in words(page)
    assert history(cast, comment)[-1] == ("withdraw", "accepted", "withdrawn", 1)
    assert wrong_counters(cast.app, {user(cast.reader): 2, user(cast.other_reader): 2}) == []


def test_the_words_of_a_withdrawn_comment_are_gone_everywhere(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark on the harbour."))
    cast.other_reader.comment(cast.slug, "An answer to it.", comment)
    cast.reader.post(f"/comments/{comment}/withdraw")
    for viewer in (cast.stranger, cast.other_reader):
        for address in OPEN_ADDRESSES:
            for headers in ({}, JSON):
                path = address.format(comment=comment, reader=cast.reader.user_id)
                assert "rash remark" not in viewer.get(path, headers=headers).text, (path, headers)


def test_a_withdrawn_comment_without_replies_leaves_nothing(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    answer = cast.reader.post(f"/comments/{comment}/withdraw")
    assert answer.headers["Location"] == "/essays/on-tides#discussion"
    assert f"comment-{comment}" not in cast.stranger.get("/essays/on-tides").text
    assert cast.stranger.get(f"/comments/{comment}").status_code == 404
    assert "You withdrew it." in words(cast.reader.get("/account/comments"))


def test_a_placeholder_goes_with_the_last_reply_below_it(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer to it.", comment))
    cast.reader.post(f"/comments/{comment}/withdraw")
    cast.other_reader.post(f"/comments/{reply}/withdraw")
    page = cast.stranger.get("/essays/on-tides")
    assert f"comment-{comment}" not in page.text
    assert "Nobody has answered yet." in words(page)


def test_a_held_reply_below_does_not_keep_a_placeholder(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    cast.newcomer.comment(cast.slug, "A held answer.", comment)
    cast.reader.post(f"/comments/{comment}/withdraw")
    assert f"comment-{comment}" not in cast.stranger.get("/essays/on-tides").text
    assert "A held answer." in words(cast.newcomer.get("/essays/on-tides"))


def test_a_held_comment_can_be_withdrawn(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    assert cast.newcomer.post(f"/comments/{comment}/withdraw").status_code == 303
    assert history(cast, comment)[-1] == ("withdraw", "held", "withdrawn", 1)
    assert "harbour" not in words(cast.newcomer.get("/essays/on-tides"))


def test_withdrawing_twice_is_refused_and_changes_nothing(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    cast.reader.post(f"/comments/{comment}/withdraw")
    assert cast.reader.post(f"/comments/{comment}/withdraw").status_code == 403
    assert [row[0] for row in history(cast, comment)] == ["post", "withdraw"]


def test_a_thank_you_counts_once_and_can_be_taken_back(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A kind remark."))
    answer = cast.other_reader.post(f"/comments/{comment}/react", headers=JSON)
    assert answer.get_json()["likes"] == 1
    assert "You thanked." in words(cast.other_reader.get("/essays/on-tides"))
    assert "You thanked." not in words(cast.reader.get("/essays/on-tides"))
    assert cast.other_reader.post(f"/comments/{comment}/react", headers=JSON).get_json()["likes"] == 0


def test_nobody_thanks_their_own_comment(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A kind remark."))
    assert cast.reader.post(f"/comments/{comment}/react").status_code == 403
    assert cast.read(Comment, comment).likes == 0


@pytest.mark.parametrize("answer_as", [{}, JSON])
def test_the_answer_to_a_thank_you_shows_no_words_that_wait(cast: Cast, answer_as: dict[str, str]) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "An old text."))
    cast.other_reader.comment(cast.slug, "An answer.", comment)
    cast.reader.post(f"/comments/{comment}/edit", {"body": "A secret new text."})
    for act in ("react", "report"):
        data = {"reason": "spam"} if act == "report" else {}
        answer = cast.other_reader.post(f"/comments/{comment}/{act}", data, headers=answer_as)
        assert answer.status_code in (200, 303)
        assert "secret" not in answer.text


def test_a_restricted_discussion_is_kept_from_strangers_in_every_form(cast: Cast) -> None:
    cast.subscribe(user(cast.reader), Kind.PAID)
    cast.essay("for-supporters", "For supporters", access="paid")
    comment = comment_id(cast.reader.comment("for-supporters", "Between us supporters."))
    for viewer in (cast.stranger, cast.other_reader):
        for address in ("/essays/for-supporters", f"/comments/{comment}", f"/readers/{cast.reader.user_id}"):
            for headers in ({}, JSON):
                assert "Between us" not in viewer.get(address, headers=headers).text, (address, headers)


def test_a_hidden_comment_shows_its_writer_the_reason(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "An unkind remark."))
    hide = {"revision": "1", "reason": "unkind", "note": "Not like this."}
    cast.moderator.post(f"/moderation/comments/{comment}/hide", hide)
    answer = cast.reader.get("/essays/on-tides")
    assert f"/comments/{comment}#withdraw" not in answer.text
    page = words(answer)
    assert "Removed by the moderators: Unkind: it goes for the person, not the point." in page
    assert "“Not like this.”" in page
    assert "unkind remark" not in cast.stranger.get("/essays/on-tides").text


def test_every_act_that_writes_an_event_has_words_for_the_log(cast: Cast) -> None:
    comment = comment_id(cast.newcomer.comment(cast.slug, "The harbour is older."))
    cast.newcomer.post(f"/comments/{comment}/edit", {"body": "The harbour is newer."})
    cast.author.comment(cast.slug, "So it is.", comment, parent_seen=f"{comment}:2")
    cast.newcomer.post(f"/comments/{comment}/withdraw")
    acts = [row[0] for row in history(cast, comment)]
    assert acts == ["post", "edit", "approve", "withdraw"]
    assert set(acts) <= set(DEEDS)


def test_presence_never_returns_from_withdrawn(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A rash remark."))
    cast.reader.post(f"/comments/{comment}/withdraw")
    for act in ("edit", "appeal", "react", "report"):
        data = {"body": "Back again.", "words": "Please.", "reason": "spam"}
        assert cast.reader.post(f"/comments/{comment}/{act}", data).status_code == 403, act
    assert cast.read(Comment, comment).presence == Presence.WITHDRAWN


def seen_on_page(visitor: Visitor, comment: int) -> str | None:
    """Return what the reply form on a comment's page says that its viewer was shown."""
    found = re.search(r'name="parent_seen" value="([^"]*)"', visitor.get(f"/comments/{comment}").text)
    return found[1] if found else None


def user(visitor: Visitor) -> int:
    """Return the id of a signed-in visitor."""
    assert visitor.user_id is not None
    return visitor.user_id
