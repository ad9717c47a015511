"""The pages on which a comment is moved, merged with another or redacted, after a look at what that does."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request
from sqlalchemy import select
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence
from forum.discussion.event import Event
from forum.discussion.reaction import Reaction
from forum.discussion.redacted import wordings_before
from forum.discussion.rights import Act, may_see, rights
from forum.essays.essay import Essay
from forum.moderation.deciding import as_result, fetch_comment, next_path, sentence_of, with_done
from forum.moderation.decisions import NotPossible, Stale
from forum.moderation.merging import merge, why_not_into
from forum.moderation.moving import Target, find_target, move, why_not_to
from forum.moderation.redaction import GONE, NotFound, may_read_original, redact, without, wordings_of
from forum.moderation.review_forms import MergeForm, RedactForm, TargetForm
from forum.site.audit import record
from forum.web import person, refuse, require, require_found, wants_json

Answer = Response | str | tuple[Any, int]

blueprint = Blueprint("review", __name__)


@blueprint.get("/moderation/comments/<int:comment_id>/move")
def move_page(comment_id: int) -> Answer:
    """Ask where a comment goes, and with `?target=` say what goes there."""
    comment, user = _find(comment_id)
    form = TargetForm(request.args)
    if not _is_asked(form):
        return _show_move(comment, form, None, 200)
    target, status = _checked(form, lambda target: why_not_to(user, comment, target))
    return _show_move(comment, form, target, status)


@blueprint.post("/moderation/comments/<int:comment_id>/move")
def do_move(comment_id: int) -> Answer:
    """Move a comment with everything below it."""
    comment, user = _find(comment_id)
    form = TargetForm()
    _lock(comment, user, find_target(form.target.data or ""))
    target, status = _checked(form, lambda target: why_not_to(user, comment, target))
    if target is None:
        return _refused(form) or _show_move(comment, form, None, status)
    return _done(comment.id, comment.address, lambda: move(user, comment, target))


@blueprint.get("/moderation/comments/<int:comment_id>/merge")
def merge_page(comment_id: int) -> Answer:
    """Ask which comment says the same, and with `?target=` say what becomes of this one."""
    comment, _ = _find(comment_id)
    form = TargetForm(request.args)
    if not _is_asked(form):
        return _show_merge(comment, form, None, 200)
    target, status = _checked(form, lambda target: why_not_into(comment, target))
    return _show_merge(comment, form, target, status)


@blueprint.post("/moderation/comments/<int:comment_id>/merge")
def do_merge(comment_id: int) -> Answer:
    """Merge a comment with another that says the same."""
    comment, user = _find(comment_id)
    form = MergeForm()
    _lock(comment, user, None)
    target, status = _checked(form, lambda target: why_not_into(comment, target))
    other = target.comment if target else None
    if other is None:
        return _refused(form) or _show_merge(comment, form, None, status)
    is_other_as_seen = form.target_revision.data in (None, other.shown_number)
    if form.revision.data != comment.newest_number or not is_other_as_seen:
        return _edited_before_merge(comment, form, target)
    return _done(comment.id, other.address, lambda: merge(user, comment, other))


@blueprint.get("/moderation/comments/<int:comment_id>/redact")
def redact_page(comment_id: int) -> Answer:
    """Ask which words of a comment are to be blacked out."""
    comment, _ = _find(comment_id)
    return _show_redact(comment, RedactForm(formdata=None), 200)


@blueprint.post("/moderation/comments/<int:comment_id>/redact")
def do_redact(comment_id: int) -> Answer:
    """Black words out of every wording of a comment."""
    form = RedactForm()
    comment, user = _fetch_readable(comment_id)
    if not form.validate():
        return _refused(form) or _show_redact(comment, form, 422)
    if form.revision.data != comment.newest_number:
        return _edited(comment, form)
    seen = wordings_of(comment)
    db.session.rollback()  # rendering takes a while: nobody waits for it
    try:
        rendered = without(seen, form.words.data or "")
    except NotFound as refusal:
        form.words.errors = [str(refusal)]
        comment, user = _fetch_readable(comment_id)
        return _refused(form) or _show_redact(comment, form, 422)
    comment, user = _fetch_readable(comment_id)
    try:
        event = redact(user, comment, seen, rendered, form.reason.data or "", form.note.data or "")
        db.session.commit()
    except Stale:
        return _edited(comment, form)
    except NotPossible as refusal:
        refuse(409, str(refusal))
    return _answered(event, comment, comment.address)


@blueprint.get("/moderation/comments/<int:comment_id>/original")
def original_page(comment_id: int) -> Answer:
    """Say what becomes of looking at words that were blacked out, with a button to do so."""
    comment, _ = _find_sealed(comment_id)
    return render_template("moderation/original.html", comment=comment, essay=comment.essay, wordings=None)


@blueprint.post("/moderation/comments/<int:comment_id>/original")
def show_original(comment_id: int) -> Answer:
    """Show the wordings of a comment as they were before words were blacked out; the audit log says who looked."""
    comment, user = _find_sealed(comment_id)
    record(user.id, "original", f"comment:{comment.id}")
    db.session.commit()
    before = wordings_before(comment)
    numbers = select(CommentRevision).where(CommentRevision.id.in_(before)).order_by(CommentRevision.number)
    wordings = [(row.number, before[row.id]) for row in db.session.scalars(numbers)]
    return render_template(
        "moderation/original.html", comment=comment, essay=comment.essay, wordings=wordings
    )


def _find(comment_id: int) -> tuple[Comment, User]:
    """Return a comment that a person moderates: 404 where it does not exist for them, 403 where they may not."""
    user = person()
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    now = clock.now()
    if not may_see(user, comment.essay, comment, now):
        abort(404)
    require(user is not None and Act.MODERATE in rights(user, comment.essay, comment, now))
    return comment, user


def _fetch_readable(comment_id: int) -> tuple[Comment, User]:
    """Return a comment as fetch_comment() does; 409 where its writer withdrew it, so that no page says its words."""
    comment, user = fetch_comment(comment_id, Act.MODERATE)
    if comment.presence in (Presence.WITHDRAWN, Presence.ERASED):
        refuse(409, GONE)
    return comment, user


def _find_sealed(comment_id: int) -> tuple[Comment, User]:
    """Return a comment whose words before a redaction a person may read: its essay's author, or an admin."""
    user = person()
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    now = clock.now()
    if not may_see(user, comment.essay, comment, now):
        abort(404)
    require(may_read_original(user, comment, now))
    return comment, user


def _lock(comment: Comment, user: User, target: Target | None) -> None:
    """Take the locks of a change in one or two discussions, and read afresh what it is about.

    Who thanked the comment is locked too: their thanks may be written elsewhere. While they are waited for it
    may be moved, and the target too.
    """
    thanked = select(Reaction.user_id).where(Reaction.comment_id == comment.id)
    lock_users(User.id.in_({comment.author_id, user.id}) | User.id.in_(thanked))
    rows = [row for row in (comment, target.comment if target else None) if row is not None]
    for row in rows:
        db.session.refresh(row, ["essay_id"])
    ids = {row.essay_id for row in rows} | ({target.essay.id} if target else set())
    essays = (
        select(Essay).where(Essay.id.in_(ids)).order_by(Essay.id).with_for_update(of=Essay, key_share=True)
    )
    db.session.scalars(essays.execution_options(populate_existing=True)).unique().all()
    for row in rows:
        db.session.refresh(row, with_for_update={"of": Comment})
    db.session.refresh(comment.newest)
    require(Act.MODERATE in rights(user, comment.essay, comment, clock.now()))


def _is_asked(form: TargetForm) -> bool:
    return form.target.data != "" or "target" in request.args


def _checked(form: TargetForm, why_not: Callable[[Target | None], str | None]) -> tuple[Target | None, int]:
    """Return the place that was asked for and 200, or None and 422 with the reason beside the field."""
    if not form.validate():
        return None, 422
    target = find_target(form.target.data or "")
    if sentence := why_not(target):
        form.target.errors = [sentence]
        return None, 422
    return target, 200


def _show_move(comment: Comment, form: TargetForm, target: Target | None, status: int) -> Answer:
    page = render_template(
        "moderation/move.html", comment=comment, essay=comment.essay, form=form, target=target
    )
    return page, status


def _show_merge(
    comment: Comment, form: TargetForm, target: Target | None, status: int, sentence: str = ""
) -> Answer:
    page = render_template(
        "moderation/merge.html",
        comment=comment,
        essay=comment.essay,
        form=form,
        target=target,
        sentence=sentence,
    )
    return page, status


def _show_redact(comment: Comment, form: RedactForm, status: int, sentence: str = "") -> Answer:
    form.revision.data = comment.newest_number
    page = render_template(
        "moderation/redact.html",
        comment=comment,
        essay=comment.essay,
        newest=comment.newest,
        form=form,
        sentence=sentence,
    )
    return page, status


def _edited_before_merge(comment: Comment, form: MergeForm, target: Target | None) -> Answer:
    sentence = "One of the two was edited meanwhile. Nothing was merged. Look again: these are the words now."
    if wants_json():
        return jsonify(error=sentence, revision=comment.newest_number, html=comment.newest.html), 409
    return _show_merge(comment, form, target, 409, sentence)


def _edited(comment: Comment, form: RedactForm) -> Answer:
    sentence = "Its writer edited it meanwhile. Nothing was blacked out. Look again: these are the words now."
    if wants_json():
        return jsonify(error=sentence, revision=comment.newest_number, html=comment.newest.html), 409
    return _show_redact(comment, form, 409, sentence)


def _refused(form: TargetForm | RedactForm) -> Answer | None:
    """Answer who asked for JSON with what is wrong."""
    if not wants_json():
        return None
    return jsonify(error=" ".join(str(words) for errors in form.errors.values() for words in errors)), 422


def _done(comment_id: int, back: str, act: Callable[[], Event]) -> Answer:
    try:
        event = act()
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    return _answered(event, db.session.get_one(Comment, comment_id), back)


def _answered(event: Event, comment: Comment, back: str) -> Answer:
    if wants_json():
        return jsonify(as_result(event, comment))
    flash(sentence_of(event), "ok")
    return redirect(with_done(next_path(back), event), 303)
