"""The desk: what needs a decision, with everything that helps to decide."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db
from forum.discussion.closing import closing_of
from forum.discussion.reasons import offered
from forum.discussion.rights import Act, rights
from forum.essays.essay import Essay
from forum.moderation.cards import Card
from forum.moderation.deciding import address, last_decision
from forum.moderation.forms import QueueForm, moment, options
from forum.moderation.mirror import is_due
from forum.moderation.queue import (
    CAUSES,
    HELD_FOR,
    arrived_since,
    essays_moderated,
    how_long,
    may_use_desk,
    newest_posted,
    overview,
    waiting,
    waiting_count,
)
from forum.web import page_number, person, require, wants_json

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("desk", __name__)


@blueprint.get("/moderation")
def queue() -> Answer:
    """Show what waits for this person, with everything that helps to decide."""
    user, now = person(), clock.now()
    require(may_use_desk(user, now))
    form = QueueForm(request.args, essays_moderated(user))
    form.cause.choices = options({"": "Any cause"} | CAUSES)
    filters = form.filters
    numbers, essay = overview(user), _chosen_essay(user, filters.essay_id)
    page = waiting(user, filters, page_number())
    if not page.rows and page.number > 1:
        return redirect(address("/moderation", page=None), 303)  # the last card of the last page was decided
    if wants_json():
        return jsonify(total=page.total, page=page.number, pages=page.count, waiting=_as_json(page))
    return render_template(
        "moderation/queue.html",
        form=form,
        filters=filters,
        page=page,
        numbers=numbers,
        causes=CAUSES,
        parts=HELD_FOR,
        as_of=now.isoformat(),
        waited=how_long(now - numbers.oldest) if numbers.oldest else "",
        essay=essay,
        closed=closing_of(essay, now) if essay else None,
        posted=[] if page.rows else newest_posted(user),
        has_second_look=is_due(user),
        undoable=last_decision(user),
        reasons=offered(),
        address=address,
        page_address=lambda number: address(page=number),
        waiting_count=numbers.total,
    )


@blueprint.get("/moderation/arrivals")
def arrivals() -> Answer:
    """Tell how many more wait than when a page was made, so that its list need not move."""
    user = person()
    require(may_use_desk(user, clock.now()))
    since = moment(request.args.get("as_of"))
    if since is None:
        return jsonify(error="Say since when: as_of is a moment with its offset from UTC."), 422
    form = QueueForm(request.args, essays_moderated(user))
    return jsonify(more=arrived_since(user, form.filters, since))


@blueprint.app_context_processor
def count_what_waits() -> dict[str, Any]:
    """Give every page the number that stands beside “Moderation”; only a page that shows it to staff asks for it."""
    return {"waiting_count": WaitingCount()}


@dataclass
class WaitingCount:
    """How much waits for whoever looks at the page, counted when it is first printed."""

    number: int | None = None

    def __int__(self) -> int:
        if self.number is None:
            user = person()
            self.number = waiting_count(user) if may_use_desk(user, clock.now()) else 0
        return self.number

    def __bool__(self) -> bool:
        return int(self) > 0

    def __str__(self) -> str:
        return str(int(self))


def _chosen_essay(user: User, essay_id: int | None) -> Essay | None:
    """Return the essay that the queue is narrowed to, where its discussion may be closed."""
    essay = db.session.get(Essay, essay_id) if essay_id is not None else None
    return essay if essay and Act.CLOSE in rights(user, essay, None, clock.now()) else None


def _as_json(page: Page[Card]) -> list[dict[str, Any]]:
    return [
        {
            "id": card.comment.id,
            "url": card.comment.address,
            "essay": card.essay.slug,
            "writer": card.reader.user.name,
            "revision": card.newest.number,
            "causes": sorted(card.comment.waits_for),
            "chips": [chip.words for chip in card.chips],
            "since": card.since.isoformat(),
            "visible": card.comment.visible,
            "html": card.html,
        }
        for card in page.rows
    ]
