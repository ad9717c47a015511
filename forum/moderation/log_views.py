"""The log of decisions, and the undo of each."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.moderation.batch import is_large, undo_in_pieces
from forum.moderation.deciding import address, as_result, before, next_path, sentence_of
from forum.moderation.decisions import NotPossible
from forum.moderation.forms import LogForm, options
from forum.moderation.log import ACTS, Entry, LogFilters, entries, find_event
from forum.moderation.queue import (
    CAUSES,
    essays_moderated,
    may_use_desk,
    overview,
)
from forum.moderation.undo import (
    later_events,
    lock_for_undo,
    may_take_back_later,
    what_followed,
    why_may_not_undo,
)
from forum.moderation.undo import undo as undo_event
from forum.site.settings import site_settings
from forum.web import page_number, person, require, require_found, wants_json

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("moderation_log", __name__)


@blueprint.get("/moderation/log")
def log() -> Answer:
    """Show what was decided, by whom, when and why."""
    user = person()
    require(may_use_desk(user, clock.now()))
    form = LogForm(request.args, essays_moderated(user))
    form.act.choices = options({"": "Everything"} | ACTS)
    filters = LogFilters(
        act=form.act.data if form.act.data in ACTS else None,
        comment_id=row_number(request.args.get("comment")) or None,
        essay_id=form.essay_id,
        part_of_id=row_number(request.args.get("part_of")) or None,
        find=form.q.data or "",
    )
    page = entries(user, filters, page_number())
    if wants_json():
        events = [_as_json(entry) for entry in page.rows]
        return jsonify(total=page.total, page=page.number, pages=page.count, events=events)
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
        is_public=site_settings().public_log,
    )


@blueprint.post("/moderation/undo/<int:event_id>")
def undo(event_id: int) -> Answer:
    """Take one act back, with `with_later` together with what other moderators decided since."""
    user = person()
    require(user is not None)
    event: Event = require_found(find_event(user, event_id))
    in_pieces = is_large(event)
    if not in_pieces:
        lock_for_undo(user, event)
    _require_right_to(user, event)
    try:
        if in_pieces:
            return _undo_in_pieces(user, event)
        made = undo_event(user, event, with_later=request.form.get("with_later") == "yes")
        db.session.commit()
    except NotPossible as refusal:
        db.session.rollback()
        return _refused(event_id, str(refusal))
    if wants_json():
        return jsonify(
            as_result(made, made.comment) | {"sentence": _words(made, event), "before": before(user)}
        )
    flash(_words(made, event))
    back = next_path("/moderation/log")
    if made.comment_id is not None and urlsplit(back).path == "/moderation":
        back = f"{back.partition('#')[0]}#card-{made.comment_id}"
    return redirect(back, 303)


def _require_right_to(user: User, event: Event) -> None:
    require(may_use_desk(user, clock.now()) and why_may_not_undo(user, event) is None)


def _undo_in_pieces(user: User, event: Event) -> Answer:
    batch = undo_in_pieces(user, event)
    _require_right_to(user, event)  # it took the locks: whoever lost their role meanwhile has lost it by now
    db.session.commit()
    return jsonify(batch=batch.address) if wants_json() else redirect(batch.address, 303)


def _words(made: Event, event: Event) -> str:
    """Return what an undo did, as a sentence for who undid, with how much of it was left alone."""
    left = event.parts - made.parts
    stays = f" {left:,} changed since and {'stays' if left == 1 else 'stay'} as now." if left else ""
    return sentence_of(made) + stays


def _refused(event_id: int, sentence: str) -> Answer:
    """Say why nothing was undone; where only other decisions stand in the way, offer to take them back too."""
    if wants_json():
        return jsonify(error=sentence), 409
    event = db.session.get_one(Event, event_id)
    later = later_events([event])
    page = render_template(
        "moderation/log-followed.html",
        event=event,
        sentence=sentence,
        what=ACTS[event.act],
        acts=ACTS,
        followed=what_followed(event, later),
        may_take_later="with_later" not in request.form and may_take_back_later(event, later),
        back=next_path("/moderation/log"),
    )
    return page, 409


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "act": entry.act,
        "comment": entry.comment_id,
        "essay": entry.essay.slug if entry.essay else None,
        "person": entry.person,
        "comments": entry.count,
        "part_of": entry.part_of_id,
        "reason": entry.reason,
        "note": entry.note,
        "is_undone": entry.is_undone,
        "may_undo": entry.why_not is None,
        "may_undo_with_later": entry.may_take_later,
    }
