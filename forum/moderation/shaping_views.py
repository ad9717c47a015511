"""The addresses that shape a discussion: pin, pick, close and reopen."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, jsonify, render_template
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.rights import Act
from forum.moderation import shaping
from forum.moderation.deciding import change_discussion, decide, fetch_essay
from forum.moderation.forms import NoteForm
from forum.web import wants_json

Answer = Response | str | tuple[Any, int]
Decision = Callable[[User, Comment], Event]

blueprint = Blueprint("shaping", __name__)


@blueprint.post("/moderation/comments/<int:comment_id>/pin")
def pin(comment_id: int) -> Answer:
    """Pin a thread, or unpin it."""
    return decide(comment_id, "pin", None, shaping.pin, Act.PIN)


@blueprint.post("/moderation/comments/<int:comment_id>/feature")
def feature(comment_id: int) -> Answer:
    """Make a comment the author's pick, or not any more."""
    return decide(comment_id, "feature", None, shaping.feature, Act.FEATURE)


@blueprint.post("/moderation/essays/<int:essay_id>/close")
def close(essay_id: int) -> Answer:
    """Close an essay's discussion, with a note that is shown in place of the form."""
    form = NoteForm()
    essay, user = fetch_essay(essay_id)
    if not form.validate():
        if wants_json():
            return jsonify(error=" ".join(form.note.errors)), 422
        return render_template("moderation/close.html", form=form, essay=essay, closed=closing_of(essay, clock.now())), 422
    return change_discussion(essay, lambda: shaping.close_discussion(user, essay, form.note.data or ""))


@blueprint.post("/moderation/essays/<int:essay_id>/reopen")
def reopen(essay_id: int) -> Answer:
    """Open an essay's discussion again."""
    essay, user = fetch_essay(essay_id)
    return change_discussion(essay, lambda: shaping.reopen_discussion(user, essay))
