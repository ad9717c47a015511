"""A person's own page and account: their comments, what became of each, and what they follow or muted."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import contains_eager, joinedload

from forum import clock
from forum.accounts.session import sessions_of
from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.discussion.answers import Answer
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event
from forum.discussion.waiting import last_words_on, waiting_sentence
from forum.essays.essay import Access, Essay
from forum.essays.listing import newest_essays
from forum.limits import limit
from forum.moderation.cards import light_essay
from forum.notifications.follow import Follow
from forum.notifications.inbox import stop_mails_of_person
from forum.notifications.watch import ThreadWatch, has_muted, mute_person, people_muted_by, unmute_person
from forum.subscriptions.letters import NAMES, Pace, choices_of
from forum.subscriptions.tier import subscription_of
from forum.web import page_number, person, require, require_found, safe_path

COMMENTS_PER_PAGE = 20
MUTES_AN_HOUR = 60

blueprint = Blueprint("profile", __name__)


@blueprint.get("/readers/<int:user_id>")
def profile(user_id: int) -> Answer:
    """Show a person's visible comments on essays that everyone may read, newest first."""
    user = _reader_shown(user_id)
    public = and_(Comment.visible, Essay.published(clock.now()), Essay.access == Access.PUBLIC)
    page = _comments(user, page_number(), public)
    viewer = person()
    return render_template(
        "pages/profile.html",
        user=user,
        page=page,
        own=user == viewer,
        is_muted=viewer is not None and has_muted(viewer, user),
    )


@blueprint.post("/readers/<int:user_id>/mute")
def mute(user_id: int) -> Answer:
    """Fold a person's comments for the reader who asks, or show them again: `stop` in the form says which."""
    reader = person()
    require(reader is not None)
    limit("mute", str(reader.id), MUTES_AN_HOUR, timedelta(hours=1))
    user = _reader_shown(user_id)
    require(user != reader)
    if "stop" in request.form:
        unmute_person(reader, user)
        flash(f"The comments of {user.name} are shown again.", "ok")
    else:
        mute_person(reader, user)
        stop_mails_of_person(reader, user)
        flash(f"The comments of {user.name} are folded for you from now on.", "ok")
    db.session.commit()
    return redirect(safe_path(request.form.get("next"), otherwise=f"/readers/{user.id}"), 303)


@blueprint.get("/account")
def account() -> Answer:
    """Show what the account holds, each with its page to change it, and what the person follows or muted."""
    user = person()
    require(user is not None)
    followed = select(Follow.essay_id).where(Follow.user_id == user.id)
    return render_template(
        "pages/account.html",
        subscription=subscription_of(user, clock.now()),
        sessions=sessions_of(user),
        letters=[NAMES[letter] for letter, pace in choices_of(user).items() if pace != Pace.NEVER],
        followed=db.session.scalars(newest_essays(clock.now(), Essay.id.in_(followed))).all(),
        threads=_watched_threads(user),
        muted_people=people_muted_by(user),
    )


@blueprint.get("/account/comments")
def own_comments() -> Answer:
    """Show a person all their comments with what became of each."""
    user = person()
    require(user is not None)
    page = _comments(user, page_number(), Comment.presence != Presence.ERASED)
    last_words = last_words_on(page.rows)
    states = {comment.id: _state(comment, last_words) for comment in page.rows}
    return render_template("pages/own_comments.html", user=user, page=page, states=states)


def _reader_shown(user_id: int) -> User:
    """Return a person whose name readers see anywhere; who only reads here is nobody's business but their own.

    Their own page they see all the same, who moderates sees everybody's, and who muted somebody can take it back.
    """
    user: User = require_found(db.session.get(User, user_id))
    viewer = person()
    is_known = user.accepted_comments > 0 or user.may_write
    is_shown = is_known or user == viewer or (viewer is not None and viewer.may_moderate)
    shown: User = require_found(
        user if is_shown or (viewer is not None and has_muted(viewer, user)) else None
    )
    return shown


def _watched_threads(user: User) -> Sequence[Any]:
    """Return the threads that a person follows or has muted: (thread_id, is_muted, visible, name, title). One query."""
    watched = select(ThreadWatch.thread_id, ThreadWatch.is_muted, Comment.visible, User.name, Essay.title)
    watched = watched.join(Comment, Comment.id == ThreadWatch.thread_id)
    watched = watched.join(Essay, Essay.id == Comment.essay_id).join(User, User.id == Comment.author_id)
    mine = watched.where(ThreadWatch.user_id == user.id).order_by(ThreadWatch.thread_id.desc())
    return db.session.execute(mine).all()


def _comments(user: User, number: int, condition: ColumnElement[bool]) -> Page[Comment]:
    mine = (
        select(Comment)
        .join(Essay, Essay.id == Comment.essay_id)
        .where(Comment.author_id == user.id, condition)
    )
    essay = contains_eager(Comment.essay).options(*light_essay())
    loaded = mine.options(essay, joinedload(Comment.shown), joinedload(Comment.newest))
    page = page_of(loaded.order_by(Comment.id.desc()), number, COMMENTS_PER_PAGE)
    if page.number > page.count:
        abort(404)
    return page


def _state(comment: Comment, last_words: Mapping[int, Event]) -> str:
    if comment.presence == Presence.WITHDRAWN:
        return "You withdrew it."
    if comment.visible and comment.newest_number == comment.shown_number:
        return "Posted."
    return waiting_sentence(comment, comment.essay, last_words)
