"""The page of a discussion: one part that is the same for everyone, and what is the viewer's own around it."""

import re

import pytest

from forum.database import db
from forum.discussion.thread import Order
from forum.essays.essay import CommentPolicy, Essay
from forum.pages.essay import kept_pages, versions_of
from forum.pages.own import MARKER
from forum.pages.shared import View
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import JSON

OWN = (
    r'<a class="is-own"[^>]*>[^<]*</a>',
    r'<span class="is-liked[^>]*>[^<]*</span>',
    r'(?:<ol class="thread">)?<li><article class="comment comment--waiting".*?</article></li>(?:</ol>)?',
)
"""What `_own.html`, `_liked.html` and `_waiting.html` put at the markers."""


def test_the_shared_part_is_the_same_bytes_for_everyone_who_looks(cast: Cast) -> None:
    busy_discussion(cast)
    for query in ("", "?sort=newest", "?sort=best"):
        threads = {}
        for visitor in (cast.stranger, cast.reader, cast.newcomer, cast.author, cast.moderator, cast.admin):
            threads[visitor.name] = thread_of(visitor, f"/essays/on-tides{query}")
        assert len(set(threads.values())) == 1, {name: len(text) for name, text in threads.items()}


def test_what_is_ones_own_is_there_beside_the_shared_part(cast: Cast) -> None:
    busy_discussion(cast)
    page = cast.reader.get("/essays/on-tides").text
    assert page.count('class="is-own"') > 2
    assert "is-liked" in page
    assert "comment--waiting" in cast.newcomer.get("/essays/on-tides").text
    assert "is-own" not in cast.stranger.get("/essays/on-tides").text


def test_own_comments_offer_the_edit_only_while_one_may_edit(cast: Cast) -> None:
    shown = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    held = comment_id(cast.newcomer.comment(cast.slug, "A held one."))
    own = {shown: cast.reader, held: cast.newcomer}
    for comment, visitor in own.items():
        assert f'href="/comments/{comment}#edit"' in visitor.get("/essays/on-tides").text
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
    for comment, visitor in own.items():
        page = visitor.get("/essays/on-tides").text
        assert f'href="/comments/{comment}#edit"' not in page
        assert f'href="/comments/{comment}#withdraw"' in page


@pytest.mark.parametrize("who", ["stranger", "reader", "newcomer", "author", "admin"])
def test_nothing_of_the_viewer_is_in_the_shared_part(cast: Cast, who: str) -> None:
    busy_discussion(cast)
    visitor: Visitor = getattr(cast, who)
    looked_at = [visitor.get("/essays/on-tides").text for _ in range(2)]
    tokens = set(re.findall(r'name="(?:csrf_token|form_token)" value="([^"]+)"', "".join(looked_at)))
    assert bool(tokens) is (who != "stranger")
    with cast.app.test_request_context():
        essay = db.session.get_one(Essay, cast.essay_id)
        groups = kept_pages().threads(versions_of(essay), View(Order.OLDEST, 1)).groups
        html = b"".join(leaf.html for group in groups for leaf in group.leaves).decode()
    assert not any(token in html for token in tokens)
    assert "csrf" not in html
    assert "My waiting words" not in html
    assert "A waiting new text" not in html
    if who not in ("reader", "author"):  # who wrote, is named as a writer
        assert visitor.name not in html
    assert MARKER.sub("", html).strip() == thread_of(cast.stranger, "/essays/on-tides").strip()


def test_the_version_names_the_bytes_of_the_shared_part(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    seen: dict[int, str] = {}
    for number in range(4):
        version = cast.read(Essay, cast.essay_id).thread_version
        assert version not in seen
        seen[version] = thread_of(cast.stranger, "/essays/on-tides")
        assert thread_of(cast.other_reader, "/essays/on-tides") == seen[version]
        cast.person(f"fan {number}").post(f"/comments/{comment}/react")
    assert len(set(seen.values())) == 4


def test_a_comment_cannot_write_a_marker_for_somebodys_own_parts(cast: Cast) -> None:
    own = comment_id(cast.other_reader.comment(cast.slug, "My own comment."))
    body = f"Look: <!--own:{own}--> and `<!--below:0-->` and <!--liked:{own}-->"
    cast.reader.comment(cast.slug, body)
    page = cast.other_reader.get("/essays/on-tides").text
    assert page.count(f'href="/comments/{own}#withdraw"') == 1
    assert f"&lt;!--own:{own}--&gt;" in page


def test_the_essays_author_wears_a_badge_and_nobody_else(cast: Cast) -> None:
    theirs = comment_id(cast.author.comment(cast.slug, "I wrote this essay."))
    assert words(cast.stranger.get(f"/comments/{theirs}")).count("Author") == 1
    other = comment_id(cast.admin.comment(cast.slug, "I did not."))
    assert "Author" not in words(cast.stranger.get(f"/comments/{other}"))


def test_the_count_beside_the_discussion_is_that_of_the_comments_on_it(cast: Cast) -> None:
    assert "Nobody has answered yet." in words(cast.stranger.get("/essays/on-tides"))
    first = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    assert "1 comment." in words(cast.stranger.get("/essays/on-tides"))
    cast.reader.comment(cast.slug, "An answer.", first)
    cast.newcomer.comment(cast.slug, "A held one.")
    assert "2 comments." in words(cast.stranger.get("/essays/on-tides"))


def test_the_comment_page_shows_the_chain_above_and_every_act_of_its_reader(cast: Cast) -> None:
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer.", root))
    page = cast.reader.get(f"/comments/{reply}")
    assert "reader A first comment." in words(page)
    for act in ("report", "react"):
        assert f"/comments/{reply}/{act}" in page.text, act
    own = cast.other_reader.get(f"/comments/{reply}").text
    for act in ("edit", "withdraw"):
        assert f'action="/comments/{reply}/{act}"' in own, act
    assert f'action="/comments/{reply}/report"' not in own


def test_a_stranger_is_told_before_writing_whose_words_are_wanted(cast: Cast) -> None:
    for policy, sentence, has_composer in (
        (CommentPolicy.AUTHOR_ONLY, "Only the author writes under this essay.", False),
        (CommentPolicy.PAID, "Comments on this essay are for supporters.", True),
        (CommentPolicy.SUBSCRIBERS, "Write a comment", True),
    ):
        cast.change(Essay, cast.essay_id, comments=policy)
        page = cast.stranger.get("/essays/on-tides")
        assert sentence in words(page), policy
        assert ('id="compose"' in page.text) is has_composer, policy


def test_below_a_comment_its_reader_may_do_what_they_may_elsewhere(cast: Cast) -> None:
    root = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    reply = comment_id(cast.other_reader.comment(cast.slug, "An answer.", root))
    comment_id(cast.reader.comment(cast.slug, "A third.", reply))
    cast.other_reader.post(f"/comments/{reply}/withdraw")
    for top in (root, reply):  # one's own, and one that is gone
        page = cast.reader.get(f"/comments/{top}").text
        assert below(page) == {"read", "comment", "reply", "react", "report", "follow"}, top
    assert below(cast.stranger.get(f"/comments/{root}").text) == {"reply"}


def below(page: str) -> set[str]:
    """Return what the viewer may do with the replies on a comment's page."""
    found = re.search(r'data-may="([^"]*)" aria-labelledby="below-title"', page)
    assert found
    return set(found[1].split())


def test_the_reply_link_leads_to_the_reply_form(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    answer = cast.other_reader.get(f"/comments/{comment}/reply")
    assert answer.headers["Location"] == f"/comments/{comment}#compose"
    page = cast.other_reader.get(f"/comments/{comment}").text
    assert f'name="parent_id" value="{comment}"' in page


def test_as_json_the_discussion_has_its_threads_and_no_hidden_words(cast: Cast) -> None:
    busy_discussion(cast)
    for visitor in (cast.stranger, cast.newcomer, cast.author):
        told = visitor.get("/essays/on-tides", headers=JSON).get_json()
        assert (told["page"], told["pages"]) == (1, 1)
        assert len(told["comments"]) == 2
        assert "waiting" not in str(told).replace("This comment is waiting", "")
        assert "rash" not in str(told)


def busy_discussion(cast: Cast) -> None:
    """Fill the discussion with everything that looks different to different people."""
    first = comment_id(cast.reader.comment(cast.slug, "A first comment."))
    gone = comment_id(cast.other_reader.comment(cast.slug, "A rash remark."))
    cast.reader.comment(cast.slug, "An answer to it.", gone)
    cast.other_reader.post(f"/comments/{gone}/withdraw")
    thanked = comment_id(cast.author.comment(cast.slug, "Thank you.", first))
    cast.reader.post(f"/comments/{thanked}/react")
    cast.newcomer.comment(cast.slug, "My waiting words.")
    cast.newcomer.comment(cast.slug, "My waiting words below.", first)
    cast.reader.post(f"/comments/{first}/edit", {"body": "A waiting new text."})


def thread_of(visitor: Visitor, address: str) -> str:
    """Return the threads of a page without what is the viewer's own."""
    page = visitor.get(address)
    assert page.status_code == 200
    found = re.search(r'(<ol class="thread">.*</ol>)', page.text.split('id="discussion"')[1], re.S)
    assert found
    html = found[1]
    for part in OWN:
        html = re.sub(part, "", html, flags=re.S)
    return re.sub(r"</ol>\s*<nav.*", "</ol>", html, flags=re.S)
