"""The page of the learned filter: whether it is asked and why, how well it does, what it learned, and forgetting."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.rules import rule
from forum.moderation import learning
from forum.moderation.queue import CAUSES, may_use_desk, overview
from forum.site.settings import site_settings
from forum.web import person, require

Answer = Response | str | tuple[Any, int]

WORDS_LISTED = 20
TOLD = {
    "forget": (learning.forget, "It has forgotten everything, and learns from what is decided from now on."),
    "remember": (learning.remember, "It learns from all decisions again, within a minute."),
}
"""What the filter can be told, and what to say then."""

blueprint = Blueprint("learned", __name__)


@blueprint.get("/moderation/learned")
def learned() -> Answer:
    """Show what the filter learned and how well it does."""
    user = person()
    require(may_use_desk(user, clock.now()))
    training, numbers = learning.newest_filter(), overview(user)
    removing, posting = _heaviest(training.likeness.weights if training else {})
    return render_template(
        "moderation/learned.html",
        is_switched_on=site_settings().learns,
        training=training,
        measured=training.measured if training else {},
        trial=learning.trial_of(training),
        enough=learning.ENOUGH_OF_EACH,
        least_caught=learning.LEAST_CAUGHT,
        trusted_after=rule("trusted").values["comments"],
        removing=removing,
        posting=posting,
        may_change=_may_change(user),
        numbers=numbers,
        causes=CAUSES,
        waiting_count=numbers.total,
    )


@blueprint.post("/moderation/learned")
def tell() -> Answer:
    """Tell the filter to forget, or to learn from everything again."""
    user: User | None = person()
    require(user is not None and _may_change(user))
    assert user is not None  # noqa: S101  # for the type checker: require() has stopped strangers
    if request.form.get("do") not in TOLD:
        abort(400)
    tell_it, sentence = TOLD[request.form["do"]]
    tell_it(user)
    db.session.commit()
    flash(sentence, "ok")
    return redirect("/moderation/learned", 303)


def _may_change(user: User) -> bool:
    return user.may_write and user.is_in_standing(clock.now())


def _heaviest(weights: dict[str, float]) -> tuple[list[str], list[str]]:
    """Return the words that speak most for removing, and those that speak most for posting."""
    ordered = sorted(weights, key=lambda word: (weights[word], word))
    posting = [word for word in ordered[:WORDS_LISTED] if weights[word] < 0]
    removing = [word for word in reversed(ordered[-WORDS_LISTED:]) if weights[word] > 0]
    return removing, posting
