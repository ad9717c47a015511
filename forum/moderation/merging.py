"""Merging a comment with another that says the same: one of them goes, and what readers gave it is the other's."""

from typing import Any

from sqlalchemy import ColumnElement, delete, literal, or_, select

from forum.accounts.user import User
from forum.database import db, insert_from
from forum.discussion.accepting import open_appeal
from forum.discussion.change import Watch
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event
from forum.discussion.posting import change_counters
from forum.discussion.reaction import Reaction
from forum.moderation.decisions import NotPossible, begin
from forum.moderation.moving import Stood, Target, height_of, is_below, room_below, settle_places


def why_not_into(comment: Comment, target: Target | None) -> str | None:
    """Return why a comment cannot be merged into another, in a sentence for who wants to; None if it can."""
    if target is None or target.comment is None:
        return "There is no such comment. Paste the address of the one that stays."
    if target.essay.id != comment.essay_id:
        return "That comment is in another discussion. Move one of them first."
    if target.comment.id == comment.id:
        return "That is this comment. Paste the address of the one that stays."
    if is_below(target.comment, comment):
        return "That comment is an answer below this one. Choose one that is not."
    return None if target.comment.visible else "Readers do not see that comment. Choose another one."


def merge(actor: User, comment: Comment, target: Comment) -> Event:
    """Take away a comment that says what another says; its answers and its thanks are the other's from now on.

    The caller asked `why_not_into`. Raises: NotPossible, when it is gone already or its writer waits for an answer.
    """
    if comment.presence != Presence.LIVE:
        raise NotPossible("Readers do not see this any more. There is nothing to merge.")
    if open_appeal(comment) is not None:
        raise NotPossible("Its writer asks for another look at a decision. Answer that first.")
    act = begin(actor, comment)
    _hang_answers_below(comment, target, act.watch)
    act.answer_reports("removed")
    comment.presence, comment.merged_into_id = Presence.HIDDEN, target.id
    settle_thanks(comment, None)
    return act.finish("merge")


def settle_thanks(comment: Comment, merged_before: int | None) -> None:
    """Let the comment that one is merged into since an act have its thanks, and the one before lose them again.

    Raises: NotPossible, where that one was itself merged into this since: each would lead to the other.
    """
    if comment.merged_into_id == merged_before:
        return
    db.session.flush()
    _refuse_circle(comment)
    if merged_before is not None:
        if db.session.get_one(Comment, merged_before).merged_into_id is not None:
            raise NotPossible(
                "The comment that it was merged with was merged with another since. Undo that first."
            )
        _take_thanks_back(comment, merged_before)
    if comment.merged_into_id is not None:
        _give_thanks(comment, comment.merged_into_id)


def _refuse_circle(comment: Comment) -> None:
    into: Comment | None = comment
    while into is not None and into.merged_into_id is not None:
        if into.merged_into_id == comment.id:
            raise NotPossible("The comment that it was merged with was merged into this one since.")
        into = db.session.get(Comment, into.merged_into_id)


def _hang_answers_below(comment: Comment, target: Comment, watch: Watch) -> None:
    answers = or_(Comment.parent_id == comment.id, Comment.answers_id == comment.id)
    rows = db.session.scalars(select(Comment).where(answers).order_by(Comment.id)).all()
    watch.add(*rows)
    stood = [Stood.of(row) for row in rows]
    below = [row for row in rows if row.parent_id == comment.id]
    place = room_below(target, height_of(below)) if below else None
    for row in rows:
        if row.parent_id == comment.id:
            row.parent_id = place
        if row.answers_id == comment.id and row.id != target.id:
            row.answers_id = target.id
    settle_places(stood)


def _give_thanks(comment: Comment, target_id: int) -> None:
    """Add who thanked the one and neither thanked nor wrote the other; they are remembered as its own."""
    writer = select(Comment.author_id).where(Comment.id == target_id).scalar_subquery()
    values: list[ColumnElement[Any]] = [
        literal(target_id).label("comment_id"),
        Reaction.user_id.label("user_id"),
        Reaction.created_at.label("created_at"),
        literal(comment.id).label("merged_from_id"),
    ]
    theirs = select(*values).where(Reaction.comment_id == comment.id, Reaction.user_id != writer)
    added = db.session.scalars(insert_from(Reaction, theirs).returning(Reaction.user_id)).all()
    _count_thanks(target_id, len(added))


def _take_thanks_back(comment: Comment, target_id: int) -> None:
    """Take away exactly the thanks that came with a comment, but for those that their readers took back since."""
    came = delete(Reaction).where(Reaction.comment_id == target_id, Reaction.merged_from_id == comment.id)
    gone = db.session.scalars(
        came.returning(Reaction.user_id).execution_options(synchronize_session=False)
    ).all()
    _count_thanks(target_id, -len(gone))


def _count_thanks(comment_id: int, change: int) -> None:
    if change:
        change_counters(Comment, comment_id, likes=Comment.likes + change)
