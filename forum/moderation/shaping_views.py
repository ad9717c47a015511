"""The addresses that shape a discussion: pin, pick, close and reopen a thread or all of it."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.rights import Act
from forum.moderation import shaping
from forum.moderation.deciding import (
    as_result,
    change_discussion,
    decide,
    fetch_comment,
    fetch_essay,
    next_path,
    sentence_of,
    with_done,
)
from forum.moderation.decisions import NotPossible
from forum.moderation.forms import NoteForm
from forum.web import person, refuse, wants_json

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("shaping", __name__)


@blueprint.post("/moderation/comments/<int:comment_id>/pin")
def pin(comment_id: int) -> Answer:
    """Pin a thread."""
    return decide(comment_id, "pin", None, shaping.pin, Act.PIN)


@blueprint.post("/moderation/comments/<int:comment_id>/unpin")
def unpin(comment_id: int) -> Answer:
    """Take a pinned thread down again."""
    return decide(comment_id, "unpin", None, shaping.unpin, Act.PIN)


@blueprint.post("/moderation/comments/<int:comment_id>/feature")
def feature(comment_id: int) -> Answer:
    """Make a comment the author's pick."""
    return decide(comment_id, "feature", None, shaping.feature, Act.FEATURE)


@blueprint.post("/moderation/comments/<int:comment_id>/unfeature")
def unfeature(comment_id: int) -> Answer:
    """Let a comment be the author's pick no more."""
    return decide(comment_id, "unfeature", None, shaping.unfeature, Act.FEATURE)


@blueprint.post("/moderation/comments/<int:comment_id>/close-thread")
def close_thread(comment_id: int) -> Answer:
    """Close the thread that a comment is in, with a note that is shown below it."""
    form, root = NoteForm(), _first_of_thread(comment_id)
    if not form.validate():
        if wants_json():
            return jsonify(error=" ".join(form.note.errors)), 422
        return render_template("moderation/close-thread.html", form=form, comment=root, essay=root.essay), 422
    return _change_thread(root, lambda user: shaping.close_thread(user, root, form.note.data or ""))


@blueprint.post("/moderation/comments/<int:comment_id>/reopen-thread")
def reopen_thread(comment_id: int) -> Answer:
    """Open the thread that a comment is in again."""
    root = _first_of_thread(comment_id)
    return _change_thread(root, lambda user: shaping.reopen_thread(user, root))


@blueprint.post("/moderation/essays/<int:essay_id>/close")
def close(essay_id: int) -> Answer:
    """Close an essay's discussion, with a note that is shown in place of the form."""
    form = NoteForm()
    essay, user = fetch_essay(essay_id)
    if not form.validate():
        if wants_json():
            return jsonify(error=" ".join(form.note.errors)), 422
        return render_template(
            "moderation/close.html", form=form, essay=essay, closed=closing_of(essay, clock.now())
        ), 422
    return change_discussion(essay, lambda: shaping.close_discussion(user, essay, form.note.data or ""))


@blueprint.post("/moderation/essays/<int:essay_id>/reopen")
def reopen(essay_id: int) -> Answer:
    """Open an essay's discussion again."""
    essay, user = fetch_essay(essay_id)
    return change_discussion(essay, lambda: shaping.reopen_discussion(user, essay))


def _first_of_thread(comment_id: int) -> Comment:
    """Return the first comment of the thread of one that a person moderates, locked."""
    comment, _ = fetch_comment(comment_id, Act.MODERATE)
    root = db.session.get_one(Comment, comment.root_comment_id)
    db.session.refresh(root, with_for_update={"of": Comment})
    return root


def _change_thread(root: Comment, change: Callable[[User], Event]) -> Answer:
    try:
        event = change(person())
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    if wants_json():
        return jsonify(as_result(event, root))
    flash(sentence_of(event), "ok")
    return redirect(with_done(next_path(root.address), event), 303)
