"""What a writer reads above words that wait: why, and how long that usually takes."""

import random
from collections.abc import Sequence
from datetime import timedelta
from statistics import median

import pytest
from sqlalchemy import select

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.report import REASONS
from forum.discussion.waiting import usual_wait, within
from forum.essays.essay import Essay
from tests.cast import Cast, comment_id, words
from tests.discussion.rows import statements


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "1 minute"),
        (60, "1 minute"),
        (60.5, "2 minutes"),
        (59 * 60 + 1, "1 hour"),
        (3600, "1 hour"),
        (2 * 3600 + 1, "3 hours"),
        (47 * 3600, "47 hours"),
        (47 * 3600 + 1, "2 days"),
        (9.5 * 86_400, "10 days"),
    ],
)
def test_a_usual_wait_is_rounded_up(seconds: float, says: str) -> None:
    assert within(seconds) == says


def test_the_usual_wait_is_the_median_of_the_authors_last_fifty_decisions(cast: Cast) -> None:
    dice = random.Random(7)
    other = cast.person("other author", Role.AUTHOR).user_id or 0
    essays = {
        cast.essay_id: cast.author.user_id,
        cast.essay("on-winds", "On winds"): cast.author.user_id,
        cast.essay("on-salt", "On salt", author_id=other): other,
    }
    for count in (4, 1, 30, 200):
        decide(cast, [dice.choice(list(essays)) for _ in range(count)], dice)
        with cast.app.app_context():
            for author_id in set(essays.values()):
                assert usual_wait(author_id or 0) == by_force(author_id or 0)


def test_only_who_has_something_waiting_is_told_and_asks_for_it(cast: Cast) -> None:
    decide(cast, [cast.essay_id] * 5, random.Random(1), waited=2 * 3600 + 60)
    told = "A newcomer’s first comments are read before they appear. Usually answered within 3 hours."
    comment = comment_id(cast.newcomer.comment(cast.slug, "Buy my boats."))
    for page in (f"/essays/{cast.slug}", f"/comments/{comment}"):
        with statements(cast.app) as sent:
            assert told in words(cast.newcomer.get(page))
        assert sum("waited_seconds IS NOT NULL" in one for one in sent) == 1
    with statements(cast.app) as sent:
        assert "Usually answered" not in words(cast.reader.get(f"/essays/{cast.slug}"))
        assert "Usually answered" not in words(cast.author.get(f"/comments/{comment}"))
    assert not any("waited_seconds IS NOT NULL" in one for one in sent)
    cast.change(User, cast.newcomer.user_id or 0, is_held=True)
    cast.change(User, cast.newcomer.user_id or 0, is_held=True, accepted_comments=9)
    held = comment_id(cast.newcomer.comment(cast.slug, "Sell my boats."))
    assert "It is read before it appears. Usually" in words(cast.newcomer.get(f"/comments/{held}"))


def test_what_was_removed_while_it_waited_says_so_with_the_reason_everywhere(cast: Cast) -> None:
    edited, held = (comment_id(who.comment(cast.slug, "Ships.")) for who in (cast.reader, cast.newcomer))
    cast.change(Comment, edited, replies=1)
    cast.reader.post(f"/comments/{edited}/edit", {"body": "Other ships.", "revision": 1})
    form = {"revision": 2, "reason": "unkind", "note": "So much."}
    assert cast.author.post(f"/moderation/comments/{edited}/hide", form).status_code == 303
    ban = {"reason": "Once too often.", "days": "7", "hide_comments": "yes"}
    assert cast.author.post(f"/moderation/people/{cast.newcomer.user_id}/ban", ban).status_code == 303
    told = [
        (cast.reader, edited, f"Removed by the moderators: {REASONS['unkind']}. “So much.”"),
        (cast.newcomer, held, "Removed together with your ban."),
    ]
    for who, row, sentence in told:
        for address in (f"/essays/{cast.slug}", f"/comments/{row}", "/account/comments"):
            page = words(who.get(address))
            assert f"{sentence} Only you can see this." in page, address
            assert "Waiting for" not in page
    assert "Removed together with its writer’s ban." in words(cast.author.get(f"/comments/{held}"))
    assert 'id="appeal"' in cast.reader.get(f"/comments/{edited}").text
    assert 'id="appeal"' not in cast.newcomer.get(f"/comments/{held}").text


def decide(cast: Cast, essay_ids: Sequence[int], dice: random.Random, waited: int | None = None) -> None:
    """Write decisions as they were taken, some of them undone, some of what did not wait."""
    with cast.app.app_context():
        for essay_id in essay_ids:
            seconds = waited if waited is not None else dice.choice([None, dice.randrange(400_000)])
            is_undone = waited is None and dice.random() < 0.2
            event = Event(at=clock.now() - timedelta(days=1), act="approve", essay_id=essay_id)
            event.waited_seconds, event.is_undone, event.changes = seconds, is_undone, []
            db.session.add(event)
            db.session.flush()
        db.session.commit()


def by_force(author_id: int) -> str:
    """Say the same from all rows, without the database's help."""
    own = {row.id for row in db.session.scalars(select(Essay)) if row.author_id == author_id}
    events = sorted(db.session.scalars(select(Event)), key=lambda event: event.id)
    waits = [
        event.waited_seconds
        for event in events
        if event.essay_id in own and event.waited_seconds is not None and not event.is_undone
    ][-50:]
    return f"Usually answered within {within(median(waits))}." if len(waits) >= 5 else ""
