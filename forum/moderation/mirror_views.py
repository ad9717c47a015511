"""The pages of the mirror: an old decision once more, blind, and what the second looks and the decisions show."""

from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import AnyOf

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.forms import row_number
from forum.discussion.reasons import said
from forum.moderation import mirror as looks
from forum.moderation.learning import REMOVING
from forum.moderation.log import ACTS
from forum.moderation.queue import CAUSES, may_use_desk, overview
from forum.site.settings import site_settings
from forum.web import Form, person, require, require_found

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("mirror", __name__)


class LookForm(Form):
    """What somebody would do today with words that they decided about long ago."""

    event = StringField()
    answer = StringField(validators=[AnyOf(looks.ANSWERS, message="Choose one of the three answers.")])


@blueprint.get("/moderation/mirror")
def mirror() -> Answer:
    """Show how often a person agrees with themselves, and how kinds of readers fare with them."""
    user = person()
    require(may_use_desk(user, clock.now()))
    whose: list[tuple[str, User | None]] = [("You", user)]
    if user.is_admin:
        whose.append(("Everybody who moderates", None))
    parts = [(words, looks.agreement(who), looks.comparisons(who)) for words, who in whose]
    return render_template(
        "moderation/mirror.html",
        parts=parts,
        fewest=looks.FEWEST,
        every=looks.EVERY,
        new_until=looks.new_until(),
        is_switched_on=site_settings().second_looks,
        can_look=looks.has_look(user),
        **_rail(user),
    )


@blueprint.get("/moderation/second-look")
def second_look() -> Answer:
    """Show an old decision's words without the decision, or what it was once it was looked at."""
    user = person()
    require(may_use_desk(user, clock.now()))
    seen = row_number(request.args.get("seen"))
    taken = looks.taken_look(user, seen) if seen else None
    if taken is not None:
        return _page(user, taken=taken)
    return _page(user, look=looks.next_look(user))


@blueprint.post("/moderation/second-look")
def answer_second_look() -> Answer:
    """Keep what somebody says the second time, and show what they said the first time."""
    user = person()
    require(may_use_desk(user, clock.now()))
    form = LookForm()
    event_id = row_number(form.event.data)
    if looks.taken_look(user, event_id) is None:  # a form that was sent twice is answered as the first time
        look = require_found(looks.find_look(user, event_id))
        if not form.validate():
            return _page(user, look=look, error="Choose one of the three answers."), 422
        looks.take_look(user, look.event, form.answer.data or "")
        db.session.commit()
    return redirect(f"/moderation/second-look?seen={event_id}", 303)


def _page(user: User, **values: Any) -> str:
    look, taken = values.get("look"), values.get("taken")
    event = taken[1] if taken else None
    return render_template(
        "moderation/mirror_look.html",
        look=look,
        taken=taken[0] if taken else None,
        event=event,
        act=ACTS[event.act] if event else "",
        was_removed=event is not None and event.act in REMOVING,
        why=said(event.reason, event.note) if event else "",
        error=values.get("error", ""),
        is_switched_on=site_settings().second_looks,
        **_rail(user),
    )


def _rail(user: User) -> dict[str, Any]:
    numbers = overview(user)
    return {"numbers": numbers, "causes": CAUSES, "waiting_count": numbers.total}
