"""What a page offers that decides without script: all that the desk offers."""

import re

from forum.discussion.comment import Cause, Comment
from tests.cast import Cast
from tests.discussion.test_rules import rule, switch
from tests.moderation.stage import Scene


def test_a_decision_that_fails_offers_itself_again_also_for_what_a_rule_caught(
    scene: Scene, cast: Cast
) -> None:
    switch(cast, rule("links", links=2))
    row = scene.held("See https://one.example, https://two.example, https://three.example.")
    assert Cause.RULE_LINKS in cast.read(Comment, row).waits_for
    answer = scene.decide(cast.author, row, "reject", reason="other", note="")
    assert answer.status_code == 422
    named = re.search(r'class="problem__list">\s*<li><a href="#([\w-]+)"', answer.text)
    assert named is not None
    assert f'<textarea id="{named[1]}"' in answer.text
    assert 'value="other" required checked' in answer.text
    assert f'formaction="/moderation/comments/{row}/spam"' in answer.text


def test_a_comments_own_page_offers_spam_for_what_was_edited_and_its_writers_history(
    scene: Scene, cast: Cast
) -> None:
    row = scene.shown()
    scene.post(cast.other_reader, "An answer to it.", row)
    scene.edit(cast.reader, row, "Other words by now.")
    page = cast.author.get(f"/comments/{row}").text
    for verb in ("approve", "reject", "hide", "spam"):
        assert f'action="/moderation/comments/{row}/{verb}"' in page
    assert f'href="/moderation/people/{cast.reader.user_id}"' in page
