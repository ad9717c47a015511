"""The addresses that decide about many comments at once, and the page that tells how far that is."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event
from forum.moderation.batch import (
    Asked,
    Batch,
    Item,
    Outcome,
    Skipped,
    decide_at_once,
    decide_in_pieces,
    left_alone,
)
from forum.moderation.deciding import as_result, left_words, next_path, sentence_of, with_done
from forum.moderation.forms import ManyForm, QueueForm, RemoveManyForm
from forum.moderation.queue import (
    essays_moderated,
    may_use_desk,
    moderated_comments,
    seen_waiting,
    waiting_count,
)
from forum.moderation.undo import AT_ONCE, later_events, why_not_undo
from forum.web import person, require, require_found, wants_json

Answer = Response | str | tuple[Any, int]

LISTED = 100
"""How many of those that were left as they are a page lists."""

NAMED = 5
"""How many of them a sentence names."""

KEPT = ("next", "as_of", "cause", "essay", "q", "order")
"""What the form sends again as it came."""

blueprint = Blueprint("batch", __name__)


@blueprint.post("/moderation/batch")
def decide() -> Answer:
    """Decide about all comments that were ticked, or about all that match: few at once, many by the worker."""
    user = person()
    require(may_use_desk(user, clock.now()))
    form = (RemoveManyForm if request.form.get("do") == "remove" else ManyForm)()
    narrow = QueueForm(request.form, essays_moderated(user))
    is_valid = form.validate()
    items = _items(user, form, narrow)
    if not is_valid:
        return _ask(form, items)
    reason, note = (
        (form.reason.data or "", form.note.data or "") if isinstance(form, RemoveManyForm) else ("", "")
    )
    asked = Asked(form.do.data or "", reason, note)
    if len(items) > AT_ONCE:
        batch = decide_in_pieces(user, asked, items)
        db.session.commit()
        return jsonify(batch=batch.address) if wants_json() else redirect(batch.address, 303)
    outcome = decide_at_once(user, asked, items)
    db.session.commit()
    return _decided(outcome)


@blueprint.get("/moderation/batches/<int:batch_id>")
def progress(batch_id: int) -> Answer:
    """Show how far a large batch is, and in the end what came of it."""
    user = person()
    require(may_use_desk(user, clock.now()))
    batch: Batch = require_found(db.session.get(Batch, batch_id))
    require_found(batch if batch.actor_id == user.id or user.is_admin else None)
    head = db.session.get_one(Event, batch.event_id)
    sentence = _how_far(batch, head)
    if wants_json():
        counts = {"total": batch.total, "done": batch.done, "skipped": batch.skipped}
        return jsonify(is_running=batch.is_running, sentence=sentence, **counts)
    return render_template(
        "moderation/batch.html",
        batch=batch,
        head=head,
        sentence=sentence,
        skipped=left_alone(batch, LISTED),
        is_still="still" in request.args,
        may_undo=why_not_undo(head, later_events([head])) is None,
    )


def _items(user: User, form: ManyForm, narrow: QueueForm) -> list[Item]:
    """Return what is meant: of all that match, what was seen; of what was ticked, what is there for this person.

    404 where none of it is.
    """
    if form.all.data:
        seen = form.moment if narrow.is_understood else None
        statement = seen_waiting(user, narrow.filters, seen) if seen is not None else None
        return [(row[0], row[1]) for row in db.session.execute(statement)] if statement is not None else []
    ids = [row_id for row_id, _ in form.items]
    mine = db.select(Comment.id).where(Comment.id.in_(ids), moderated_comments(user, clock.now()))
    there = set(db.session.scalars(mine))
    require_found(there or not ids or None)
    return [item for item in form.items if item[0] in there]


def _decided(outcome: Outcome) -> Answer:
    left_out = _left_out(outcome.skipped)
    if wants_json():
        skipped = _as_json(outcome.skipped)
        if outcome.head is None:
            left = waiting_count(person())
            return jsonify(error=left_out or "Nothing was waiting.", skipped=skipped, left=left), 409
        result = as_result(outcome.head) | {"done": outcome.head.parts, "skipped": skipped}
        return jsonify(result | {"sentence": " ".join(filter(None, (result["sentence"], left_out)))})
    done = sentence_of(outcome.head) if outcome.head is not None else "Nothing was decided."
    flash(" ".join(filter(None, (done, left_out, left_words()))))
    back = next_path("/moderation")
    return redirect(with_done(back, outcome.head) if outcome.head is not None else back, 303)


def _as_json(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """Return what was left as it is, for a script. One query.

    `settled` is what nobody can decide about any more, `gone` of these what nobody may read any more.
    """
    ids = [one.comment_id for one in skipped]
    statement = db.select(Comment.id, Comment.waits_since, Comment.presence).where(Comment.id.in_(ids))
    found = {row.id: row for row in db.session.execute(statement)}
    waiting = {row.id for row in found.values() if row.waits_since is not None}
    kept = {row.id for row in found.values() if row.presence in (Presence.LIVE, Presence.HIDDEN)}
    return [
        {"id": row_id, "why": why, "settled": row_id not in waiting, "gone": row_id not in kept}
        for row_id, why in ((one.comment_id, one.why) for one in skipped)
    ]


def _left_out(skipped: Sequence[Skipped]) -> str:
    """Return which comments were left as they are, and why."""
    words = " ".join(one.why for one in skipped[:NAMED])
    return f"{words} {_left(len(skipped) - NAMED, ' more')}" if len(skipped) > NAMED else words


def _how_far(batch: Batch, head: Event) -> str:
    if batch.is_running:
        settled = f"{batch.done + batch.skipped:,} of {batch.total:,} comments are done."
        return f"{settled} It goes on if you leave this page."
    left = batch.total - batch.done
    return f"{sentence_of(head)} {_left(left)}" if left else sentence_of(head)


def _left(count: int, more: str = "") -> str:
    return f"{count:,}{more} was left as it is." if count == 1 else f"{count:,}{more} were left as they are."


def _ask(form: ManyForm, items: Sequence[Item]) -> Answer:
    """Answer with what was chosen and typed, and what is wrong with it."""
    if wants_json():
        return jsonify(error=" ".join(str(one) for errors in form.errors.values() for one in errors)), 422
    page = render_template(
        "moderation/batch_ask.html",
        form=form,
        kept=[(name, request.form[name]) for name in KEPT if name in request.form],
        lines=_lines(items[:LISTED]),
        count=len(items),
        back=next_path("/moderation"),
    )
    return page, 422


def _lines(items: Sequence[Item]) -> list[tuple[str, Comment]]:
    """Return each comment with what its box sends. One query."""
    chosen = db.select(Comment).where(Comment.id.in_([row_id for row_id, _ in items]))
    found = {one.id: one for one in db.session.scalars(chosen.options(joinedload(Comment.newest)))}
    return [(f"{row_id}:{seen}", found[row_id]) for row_id, seen in items if row_id in found]
