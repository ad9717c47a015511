"""The log of decisions, and the undo of each."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.discussion.posting import lock_discussion
from forum.discussion.rights import is_staff
from forum.essays.essay import Essay
from forum.moderation.deciding import address, as_result, lock_comment, next_path, undone_words
from forum.moderation.decisions import NotPossible
from forum.moderation.forms import LogForm, options
from forum.moderation.log import ACTS, LogFilters, entries, find_event
from forum.moderation.queue import (
    CAUSES,
    essays_moderated,
    may_use_desk,
    overview,
)
from forum.moderation.undo import undo as undo_event
from forum.web import page_number, person, refuse, require, require_found, wants_json

Answer = Response | str | tuple[Any, int]
Decision = Callable[[User, Comment], Event]

blueprint = Blueprint("moderation_log", __name__)


@blueprint.get("/moderation/log")
def log() -> Answer:
    """Show what was decided, by whom, when and why."""
    user = person()
    require(may_use_desk(user, clock.now()))
    form = LogForm(request.args, essays_moderated(user))
    form.act.choices = options({"": "Everything"} | ACTS)
    act = form.act.data if form.act.data in ACTS else None
    comment_id = row_number(request.args.get("comment")) or None
    filters = LogFilters(act, comment_id, form.essay_id, form.q.data or "")
    page = entries(user, filters, page_number())
    if wants_json():
        return jsonify(
            total=page.total,
            page=page.number,
            pages=page.count,
            events=[
                {
                    "id": entry.id,
                    "at": entry.at.isoformat(),
                    "who": entry.who,
                    "act": entry.act,
                    "comment": entry.comment_id,
                    "essay": entry.essay.slug,
                    "reason": entry.reason,
                    "note": entry.note,
                    "may_undo": entry.why_not is None,
                }
                for entry in page.rows
            ],
        )
    numbers = overview(user)
    return render_template(
        "moderation/log.html",
        form=form,
        is_narrowed=filters != LogFilters(),
        page=page,
        numbers=numbers,
        causes=CAUSES,
        address=address,
        page_address=lambda number: address(page=number),
        waiting_count=numbers.total,
    )


@blueprint.post("/moderation/undo/<int:event_id>")
def undo(event_id: int) -> Answer:
    """Take one decision back."""
    user = person()
    require(user is not None)
    event: Event = require_found(find_event(user, event_id))
    comment = event.comment
    if comment is None:
        essay = db.session.get_one(Essay, event.essay_id)
        lock_discussion(user.id, essay.id)
    else:
        essay = comment.essay
        lock_comment(comment, user)
    require(is_staff(user, essay, clock.now()))
    try:
        made = undo_event(user, event)
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    if wants_json():
        return jsonify(as_result(made, comment))
    flash(undone_words(comment, essay))
    back = next_path("/moderation/log")
    if comment is not None and urlsplit(back).path == "/moderation":
        back = f"{back.partition('#')[0]}#card-{comment.id}"
    return redirect(back, 303)
