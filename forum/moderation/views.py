"""The addresses that decide about one comment."""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response

from forum.moderation import decisions
from forum.moderation.deciding import decide, seen, why
from forum.moderation.forms import DecisionForm, ReasonedForm

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("moderation", __name__)


@blueprint.post("/moderation/comments/<int:comment_id>/approve")
def approve(comment_id: int) -> Answer:
    """Post a waiting comment, and go on to answer it if asked to."""
    form = DecisionForm()
    return decide(comment_id, "approve", form, lambda user, it: decisions.approve(user, it, seen(form)))


@blueprint.post("/moderation/comments/<int:comment_id>/reject")
def reject(comment_id: int) -> Answer:
    """Refuse a waiting comment."""
    form = ReasonedForm()
    return decide(
        comment_id, "reject", form, lambda user, it: decisions.reject(user, it, seen(form), *why(form))
    )


@blueprint.post("/moderation/comments/<int:comment_id>/hide")
def hide(comment_id: int) -> Answer:
    """Take a comment out of readers' sight."""
    form = ReasonedForm()
    return decide(comment_id, "hide", form, lambda user, it: decisions.hide(user, it, seen(form), *why(form)))


@blueprint.post("/moderation/comments/<int:comment_id>/spam")
def spam(comment_id: int) -> Answer:
    """Remove a comment as spam."""
    form = DecisionForm()
    return decide(comment_id, "spam", form, lambda user, it: decisions.mark_spam(user, it, seen(form)))


@blueprint.post("/moderation/comments/<int:comment_id>/restore")
def restore(comment_id: int) -> Answer:
    """Bring a hidden or rejected comment back."""
    return decide(comment_id, "restore", None, decisions.restore)
