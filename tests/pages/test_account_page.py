"""The account page: what belongs to discussions stands on it too."""

from forum import clock
from forum.accounts.user import User
from forum.essays.essay import Essay
from tests.cast import Cast, words

FOLLOW = "/essays/on-tides/follow"
PART = "Discussions you follow"


def test_the_account_page_leads_to_ones_comments_and_to_the_discussions_one_follows(cast: Cast) -> None:
    reader = cast.reader
    assert f"{PART} None yet." in words(reader.get("/account"))
    reader.comment(cast.slug, "A first comment.")
    assert reader.post(FOLLOW).headers["Location"] == "/essays/on-tides#discussion"
    page = reader.get("/account")
    assert 'href="/account/comments"' in page.text
    assert 'href="/essays/on-tides#discussion"' in page.text
    assert f"{PART} On tides 1 comment Stop following" in words(page)
    assert "On tides" not in words(cast.other_reader.get("/account"))


def test_one_stops_following_on_the_account_page_and_stays_there(cast: Cast) -> None:
    reader = cast.reader
    reader.post(FOLLOW)
    answer = reader.post(FOLLOW, {"next": "/account#following"})
    assert answer.headers["Location"] == "/account#following"
    assert f"{PART} None yet." in words(reader.get("/account"))


def test_who_may_not_follow_any_more_may_still_stop(cast: Cast) -> None:
    reader = cast.reader
    reader.post(FOLLOW)
    cast.change(User, reader.user_id or 0, banned_at=clock.now())
    assert reader.post(FOLLOW).status_code == 303
    assert reader.post(FOLLOW).status_code == 403


def test_a_withdrawn_essay_is_not_among_the_discussions_one_follows(cast: Cast) -> None:
    reader = cast.reader
    reader.post(FOLLOW)
    cast.change(Essay, cast.essay_id, withdrawn_at=clock.now())
    assert f"{PART} None yet." in words(reader.get("/account"))
