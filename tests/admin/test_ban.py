"""The ban pages: they say what they will do, do exactly that, and undo it."""

import re

import pytest
from sqlalchemy import select

from forum import clock
from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.essays.essay import Access, Essay
from tests.admin.written import STATES, comment_by, states
from tests.cast import Cast, comment_id, words

WHY = "Spam under every essay."


def test_the_page_lists_exactly_what_would_be_hidden_and_the_button_counts_it(cast: Cast) -> None:
    user_id = cast.user("a spammer")
    ids = {state: comment_by(cast.app, user_id, cast.essay_id, state) for state in STATES}
    other = comment_by(cast.app, cast.reader.user_id, cast.essay_id, "shown")
    page = cast.admin.get(f"/moderation/people/{user_id}/ban")
    live = {ids["shown"], ids["waiting"], ids["rejected"]}
    assert {int(one) for one in re.findall(r'href="/comments/(\d+)"', page.text)} == live
    assert other not in live
    assert "Ban and hide 3 comments" in words(page)
    assert states(cast.app)[ids["shown"]][0] == Presence.LIVE  # looking changes nothing

    form = {"reason": WHY, "hide_comments": "yes"}
    answer = cast.admin.post(f"/moderation/people/{user_id}/ban", form)
    assert answer.location.partition("?")[0] == f"/moderation/people/{user_id}"
    assert "a spammer is banned. 3 comments are hidden." in words(cast.admin.get(answer.location))
    with cast.app.app_context():
        assert set(db.session.scalars(select(Comment.id).where(Comment.ban_id.is_not(None)))) == live

    page = cast.admin.get(f"/moderation/people/{user_id}/ban")
    assert "Lift the ban and bring back 3 comments" in words(page)
    cast.admin.post(f"/moderation/people/{user_id}/unban", {"reason": "Wrong person."})
    with cast.app.app_context():
        here = select(Comment.id).where(Comment.presence == Presence.LIVE, Comment.author_id == user_id)
        assert set(db.session.scalars(here)) == live


def test_a_banned_person_reads_but_does_not_write_and_is_told_why(cast: Cast) -> None:
    cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", {"reason": WHY})
    assert cast.reader.comment(cast.slug, "Still here").status_code == 403
    page = cast.reader.get(f"/essays/{cast.slug}")
    assert page.status_code == 200
    assert "Spam under every essay" in words(page)
    cast.admin.post(f"/moderation/people/{cast.reader.user_id}/unban", {"reason": "Wrong person."})
    assert cast.reader.comment(cast.slug, "Back again").status_code == 303


def test_the_button_that_leaves_the_comments_leaves_them(cast: Cast) -> None:
    made = comment_by(cast.app, cast.reader.user_id, cast.essay_id, "shown")
    cast.admin.post(f"/moderation/people/{cast.reader.user_id}/ban", {"reason": WHY})
    assert states(cast.app)[made][0] == Presence.LIVE
    assert cast.read(User, cast.reader.user_id).standing(clock.now()) == Standing.BANNED


def test_an_author_bans_a_reader_and_lifts_it_on_the_same_pages(cast: Cast) -> None:
    path = f"/moderation/people/{cast.reader.user_id}/ban"
    comment_by(cast.app, cast.reader.user_id, cast.essay_id, "shown")
    page = cast.author.get(path)
    assert "Ban and hide 1 comment" in words(page)
    assert "/admin/users" not in page.text  # the admin pages are not theirs
    answer = cast.author.post(path, {"reason": WHY, "hide_comments": "yes"})
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, path.removesuffix("/ban"))
    assert "reader@mail.example" not in cast.author.get(path).text
    lift = cast.author.post(f"/moderation/people/{cast.reader.user_id}/unban", {"reason": "A mistake."})
    assert (lift.status_code, lift.location.partition("?")[0]) == (303, path.removesuffix("/ban"))
    assert cast.read(User, cast.reader.user_id).banned_at is None


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AUTHOR, Role.MODERATOR])
def test_an_author_bans_nobody_who_works_here(cast: Cast, role: Role) -> None:
    whom = cast.user("a colleague", role)
    for answer in (
        cast.author.get(f"/moderation/people/{whom}/ban"),
        cast.author.post(f"/moderation/people/{whom}/ban", {"reason": WHY}),
    ):
        assert answer.status_code == 403
        assert "Only an admin may do this to someone who works here." in words(answer)
    assert cast.admin.post(f"/moderation/people/{whom}/ban", {"reason": WHY}).status_code == 303


def test_an_author_who_is_suspended_bans_nobody(cast: Cast) -> None:
    cast.change(User, cast.author.user_id, banned_at=clock.now())
    assert cast.author.get(f"/moderation/people/{cast.reader.user_id}/ban").status_code == 403


def test_an_author_cannot_lift_what_an_admin_did_and_is_told_so(cast: Cast) -> None:
    path = f"/moderation/people/{cast.reader.user_id}"
    cast.admin.post(f"{path}/ban", {"reason": WHY})
    assert "Only they or an admin may lift it." in words(cast.author.get(f"{path}/ban"))
    answer = cast.author.post(f"{path}/unban", {"reason": "I like them."})
    assert answer.status_code == 422
    assert cast.read(User, cast.reader.user_id).banned_at is not None


def test_an_author_sees_no_words_that_were_never_theirs_to_read(cast: Cast) -> None:
    other = cast.person("other author", Role.AUTHOR)
    paid = cast.essay("for-supporters", "For supporters", author_id=other.user_id, access=Access.PAID)
    user_id = cast.user("a spammer")
    comment_by(cast.app, user_id, paid, "shown")
    comment_by(cast.app, user_id, cast.essay_id, "waiting")
    page = words(cast.author.get(f"/moderation/people/{user_id}/ban"))
    assert "Ban and hide 2 comments" in page
    assert page.count("Comment number") == 1
    assert words(cast.admin.get(f"/moderation/people/{user_id}/ban")).count("Comment number") == 2


def test_an_author_sees_of_others_discussions_what_readers_see(cast: Cast) -> None:
    other = cast.person("other author", Role.AUTHOR)
    comment = comment_id(cast.reader.comment(cast.slug, "The words that readers see."))
    cast.change(Comment, comment, replies=1)  # an answered comment is edited late: the new words wait
    cast.reader.post(f"/comments/{comment}/edit", {"body": "The words that wait.", "revision": "1"})
    page = words(other.get(f"/moderation/people/{cast.reader.user_id}/ban"))
    assert "The words that readers see." in page
    assert "The words that wait." not in page
    cast.change(Essay, cast.essay_id, withdrawn_at=clock.now())
    assert "The words that readers see." not in words(
        other.get(f"/moderation/people/{cast.reader.user_id}/ban")
    )


def test_banning_a_banned_person_again_says_so(cast: Cast) -> None:
    path = f"/moderation/people/{cast.reader.user_id}/ban"
    cast.admin.post(path, {"reason": WHY})
    answer = cast.admin.post(path, {"reason": "Once more."})
    assert answer.status_code == 422
    assert "This person is banned already." in words(answer)


def test_the_ban_page_takes_the_same_number_of_queries_for_few_comments_and_for_many(cast: Cast) -> None:
    from tests.admin.test_users import queries

    user_id = cast.user("a spammer")
    path = f"/moderation/people/{user_id}/ban"
    for _ in range(2):
        comment_by(cast.app, user_id, cast.essay_id, "shown")
    few = queries(cast, cast.admin, path), queries(cast, cast.admin, f"/admin/users/{user_id}")
    for _ in range(20):
        comment_by(cast.app, user_id, cast.essay_id, "shown")
    assert (queries(cast, cast.admin, path), queries(cast, cast.admin, f"/admin/users/{user_id}")) == few
