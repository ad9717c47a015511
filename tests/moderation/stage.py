"""What the tests of moderation share: posting, deciding, and looking at everything that a decision may change."""

import re
from dataclasses import dataclass
from time import sleep
from typing import Any

from sqlalchemy import select, text
from werkzeug.test import TestResponse

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import Appeal
from forum.essays.essay import Essay
from tests.cast import Cast, Visitor, comment_id

KEPT_BY_UNDO = (
    "presence",
    "newest_number",
    "shown_number",
    "ban_id",
    "pinned_at",
    "featured_at",
    "edited_at",
    "likes",
    "replies",
    "visible",
    "visible_below",
)


@dataclass
class Scene:
    """A discussion under the essay of the cast."""

    cast: Cast

    def post(self, who: Visitor, body: str, parent: int | None = None, essay: str | None = None) -> int:
        """Post a comment and return its id."""
        answer = who.comment(essay or self.cast.slug, body, parent)
        assert answer.status_code == 303, answer.text
        return comment_id(answer)

    def held(self, body: str = "A first word from someone new.", parent: int | None = None) -> int:
        """Post a comment that waits, by the newcomer."""
        return self.post(self.cast.newcomer, body, parent)

    def shown(self, body: str = "A word that readers see at once.", parent: int | None = None) -> int:
        """Post a comment that readers see, by the reader."""
        return self.post(self.cast.reader, body, parent)

    def edit(self, who: Visitor, row_id: int, body: str) -> None:
        """Edit a comment."""
        number = self.cast.read(Comment, row_id).newest_number
        answer = who.post(f"/comments/{row_id}/edit", {"body": body, "revision": number})
        assert answer.status_code == 303, answer.text

    def decide(
        self, who: Visitor, row_id: int, verb: str, revision: int | None = None, **data: Any
    ) -> TestResponse:
        """Send a decision about the newest wording, or the one with the given number."""
        number = revision or self.cast.read(Comment, row_id).newest_number
        return who.post(f"/moderation/comments/{row_id}/{verb}", {"revision": number} | data)

    def done(self, who: Visitor, row_id: int, verb: str, **data: Any) -> int:
        """Take a decision that must succeed, and return the id of its event."""
        answer = self.decide(who, row_id, verb, **data)
        assert answer.status_code == 303, answer.text
        return self.last_event(row_id).id

    def undo(self, who: Visitor, event_id: int) -> TestResponse:
        """Take an event back."""
        return who.post(f"/moderation/undo/{event_id}")

    def last_event(self, row_id: int) -> Event:
        """Return the last event of a comment, detached."""
        with self.cast.app.app_context():
            event = db.session.scalars(
                select(Event).where(Event.comment_id == row_id).order_by(Event.id.desc()).limit(1)
            ).one()
            db.session.expunge_all()
            return event

    def state(self, row_id: int) -> dict[str, Any]:
        """Return everything that a decision may change: the comment, its wordings, appeals and every counter."""
        with self.cast.app.app_context():
            comment = db.session.get_one(Comment, row_id)
            wordings = db.session.scalars(
                select(CommentRevision)
                .where(CommentRevision.comment_id == row_id)
                .order_by(CommentRevision.number)
            )
            appeals = db.session.scalars(
                select(Appeal).where(Appeal.comment_id == row_id).order_by(Appeal.id)
            )
            return {
                "comment": {name: getattr(comment, name) for name in KEPT_BY_UNDO},
                "wordings": [
                    (one.number, one.verdict, sorted(one.causes), one.reason, one.note) for one in wordings
                ],
                "appeals": [(one.id, one.decided_at, one.outcome) for one in appeals],
                "below": [
                    (one.id, one.visible, one.visible_below)
                    for one in db.session.scalars(select(Comment).order_by(Comment.id))
                ],
                "accepted": db.session.get_one(User, comment.author_id).accepted_comments,
                "essays": {
                    one.id: (one.visible_comments, one.commented_at)
                    for one in db.session.scalars(select(Essay))
                },
            }

    def is_live(self, row_id: int, verdict: Verdict, *, visible: bool) -> bool:
        """Tell whether a comment is live, its newest wording has this verdict, and readers see it or not."""
        comment, wording = self.cast.read(Comment, row_id), self.state(row_id)["wordings"][-1]
        return (comment.presence, wording[1], comment.visible) == (Presence.LIVE, verdict, visible)

    def public(self) -> str:
        """Return the discussion as a stranger's browser gets it."""
        page = self.cast.stranger.get(f"/essays/{self.cast.slug}")
        assert page.status_code == 200
        found = re.search(r'<section class="discussion".*</section>', page.text, re.S)
        assert found
        # Each form has its own token; the rest must be the same to the byte.
        return re.sub(r'(name="(?:csrf_token|form_token)" value=)"[^"]*"', r"\1", found[0])


def wait_for_locks(cast: Cast, count: int) -> None:
    """Wait until so many connections wait for a row that another has; on PostgreSQL."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(500):
        with cast.app.app_context():
            if db.session.scalar(waiting) >= count:
                return
        sleep(0.01)
    raise AssertionError
