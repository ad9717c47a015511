"""A person's own page and account: their comments, what became of each, and the discussions they follow."""

from flask import Blueprint, abort, render_template
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import joinedload

from forum import clock
from forum.accounts.session import sessions_of
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.discussion.answers import Answer, waiting_sentence
from forum.discussion.comment import Comment, Presence
from forum.essays.essay import Access, Essay
from forum.essays.listing import newest_essays
from forum.notifications.follow import Follow
from forum.web import page_number, person, require, require_found

COMMENTS_PER_PAGE = 20

blueprint = Blueprint("profile", __name__)


@blueprint.get("/readers/<int:user_id>")
def profile(user_id: int) -> Answer:
    """Show a person's visible comments on essays that everyone may read, newest first."""
    user: User = require_found(db.session.get(User, user_id))
    public = and_(Comment.visible, Essay.published(clock.now()), Essay.access == Access.PUBLIC)
    page = _comments(user, page_number(), public)
    return render_template("pages/profile.html", user=user, page=page, own=user == person())


@blueprint.get("/account")
def account() -> Answer:
    """Show what the account holds, each with its page to change it, and the discussions that the person follows."""
    user = person()
    require(user is not None)
    followed = select(Follow.essay_id).where(Follow.user_id == user.id)
    essays = db.session.scalars(newest_essays(clock.now(), Essay.id.in_(followed))).all()
    return render_template("pages/account.html", sessions=sessions_of(user), followed=essays)


@blueprint.get("/account/comments")
def own_comments() -> Answer:
    """Show a person all their comments with what became of each."""
    user = person()
    require(user is not None)
    page = _comments(user, page_number(), Comment.presence != Presence.ERASED)
    states = {comment.id: _state(comment) for comment in page.rows}
    return render_template("pages/own_comments.html", user=user, page=page, states=states)


def _comments(user: User, number: int, condition: ColumnElement[bool]) -> Page[Comment]:
    mine = (
        select(Comment)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.author_id == user.id, condition)
    )
    loaded = mine.options(joinedload(Comment.essay), joinedload(Comment.shown), joinedload(Comment.newest))
    page = page_of(loaded.order_by(Comment.id.desc()), number, COMMENTS_PER_PAGE)
    if page.number > page.count:
        abort(404)
    return page


def _state(comment: Comment) -> str:
    if comment.presence == Presence.WITHDRAWN:
        return "You withdrew it."
    if comment.visible and comment.newest_number == comment.shown_number:
        return "Posted."
    return waiting_sentence(comment, comment.essay)
