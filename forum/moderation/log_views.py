"""The log of decisions, and the undo of each."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.essays.essay import Essay
from forum.moderation.deciding import address, next_path
from forum.moderation.decisions import NotPossible
from forum.moderation.forms import LogForm, options
from forum.moderation.log import ACTS, Entry, LogFilters, entries, find_event
from forum.moderation.queue import (
    CAUSES,
    essays_moderated,
    may_use_desk,
    overview,
    waiting_count,
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
    lock_for_undo(user, event)
    require(may_use_desk(user, clock.now()) and why_may_not_undo(user, event) is None)
    try:
        made = undo_event(user, event, with_later=request.form.get("with_later") == "yes")
        db.session.commit()
    except NotPossible as refusal:
        db.session.rollback()
        return _refused(event_id, str(refusal))
    words = undone_words(made, event)
    if wants_json():
        return jsonify(_as_result(made, words))
    flash(words)
    back = next_path("/moderation/log")
    if made.comment_id is not None and urlsplit(back).path == "/moderation":
        back = f"{back.partition('#')[0]}#card-{made.comment_id}"
    return redirect(back, 303)


def undone_words(made: Event, event: Event) -> str:
    """Return what an undo did, as a sentence for who undid."""
    if made.comment is not None:
        return f"Undone. {made.comment.author.name}’s comment is as it was. {_state_words(made.comment)}"
    if event.parts or made.person_id is not None:
        about = [f"What was decided about {made.person.name} is taken back."] if made.person else []
        if event.parts:
            about.append(f"{_comments(made.parts)} as before.")
        if left := event.parts - made.parts:
            about.append(f"{left} changed since and {'stays' if left == 1 else 'stay'} as now.")
        return " ".join(["Undone.", *about])
    essay = db.session.get_one(Essay, made.essay_id)
    state = "open" if closing_of(essay, clock.now()) is None else "closed"
    return f"Undone. The discussion of {essay.title} is {state} again."


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


def _as_result(made: Event, sentence: str) -> dict[str, Any]:
    user: User = person()
    result = {"event": made.id, "act": made.act, "state": made.to_state, "sentence": sentence}
    if made.comment is not None:
        comment = made.comment
        result |= {"comment": comment.id, "revision": comment.newest_number, "visible": comment.visible}
    return result | {"left": waiting_count(user)}


def _state_words(comment: Comment) -> str:
    if comment.visible:
        return "Readers see it."
    return "It waits for a decision." if comment.waits_since else "Readers do not see it."


def _comments(count: int) -> str:
    return "1 comment is" if count == 1 else f"{count} comments are"
