"""Comments in every state, made through the verbs, and the counters that have to agree with them."""

import itertools

from flask import Flask
from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.event import note_event
from forum.discussion.posting import lock_discussion, post_comment, settle, withdraw_comment
from forum.essays.essay import Essay
from forum.text.markdown import render_comment

STATES = ("shown", "waiting", "rejected", "hidden", "withdrawn")

_numbers = itertools.count(1)


def comment_by(
    app: Flask, user_id: int | None, essay_id: int, state: str, parent_id: int | None = None
) -> int:
    """Write a comment, bring it into one of STATES and return its id."""
    number = next(_numbers)
    words = render_comment(f"Comment number {number}")
    with app.app_context():
        user, essay = db.session.get_one(User, user_id), db.session.get_one(Essay, essay_id)
        lock_discussion(user.id, essay.id)
        parent = db.session.get(Comment, parent_id) if parent_id else None
        comment = post_comment(user, essay, words, f"written-{number}", parent)
        _bring_into(comment, user, state)
        db.session.commit()
        return comment.id


def states(app: Flask) -> dict[int, tuple[object, ...]]:
    """Return of each comment: presence, verdict, shown number, ban, whether it is visible, how many below it are."""
    with app.app_context():
        return {
            one.id: (
                one.presence,
                one.newest.verdict,
                one.shown_number,
                one.ban_id,
                one.visible,
                one.visible_below,
            )
            for one in db.session.scalars(select(Comment))
        }


def refuse_wrong_counters(app: Flask) -> None:
    """Fail unless every stored counter is what counting gives."""
    with app.app_context():
        comments = db.session.scalars(select(Comment)).all()
        shown = [one for one in comments if one.presence == Presence.LIVE and one.shown_number]
        for one in comments:
            below = [other for other in shown if one.id in other.ancestor_ids()]
            assert (one.visible, one.visible_below) == (one in shown, len(below)), one.id
        for essay in db.session.scalars(select(Essay)):
            assert essay.visible_comments == sum(one.essay_id == essay.id for one in shown)
        for user in {one.author for one in comments}:
            assert user.accepted_comments == sum(one.author_id == user.id for one in shown), user.name


def _bring_into(comment: Comment, writer: User, state: str) -> None:
    if state == "withdrawn":
        withdraw_comment(writer, comment)
        return
    newest = comment.newest
    watch = Watch(comment, newest)
    verdicts = {"waiting": Verdict.HELD, "rejected": Verdict.REJECTED}
    newest.verdict = verdicts.get(state, Verdict.ACCEPTED)
    comment.shown_number = 1 if newest.verdict == Verdict.ACCEPTED else None
    if state == "hidden":
        comment.presence = Presence.HIDDEN
    if state in ("hidden", "rejected"):
        note_event("hide" if state == "hidden" else "reject", None, comment, newest, watch)
    settle(comment)
