"""What a writer is answered: where their comment is, or a page with everything they typed and what to mend."""

import secrets
from collections.abc import Sequence
from typing import Any

from flask import flash, jsonify, redirect, render_template, session
from werkzeug.wrappers import Response

from forum import clock
from forum.database import db
from forum.discussion.comment import Comment, Verdict, state_word
from forum.discussion.forms import AppealForm, CommentForm, EditForm, ReportForm, row_number
from forum.discussion.judged import judged_on
from forum.discussion.outcome import KEPT
from forum.discussion.report import Report
from forum.discussion.rights import is_staff, may_read_newest, may_see
from forum.discussion.thread import is_on_page, page_with
from forum.discussion.waiting import old_text_stays
from forum.essays.essay import Essay
from forum.site.settings import site_settings
from forum.text.markdown import MAX_CHARACTERS
from forum.web import person, wants_json

Answer = Response | str | tuple[Any, int] | tuple[Any, int, dict[str, str]]
"""A page, JSON, either with a status, or with headers as well."""


def new_form_token() -> str:
    """Return a token for one form: sent twice, it is still one comment."""
    return secrets.token_urlsafe(16)


def compose(
    form: CommentForm,
    essay: Essay,
    status: int,
    problems: Sequence[str] = (),
    *,
    preview_html: str = "",
    retry_after: int | None = None,
) -> Answer:
    """Answer with the composer as a page of its own, what was typed in it, and what is wrong."""
    if wants_json() and status >= 400:
        wrong = [sentence for errors in form.errors.values() for sentence in errors]
        return jsonify(error=" ".join([*problems, *wrong])), status, _retry(retry_after)
    parent = db.session.get(Comment, row_number(form.parent_id.data))
    if parent is not None and not (
        parent.essay_id == essay.id and may_see(person(), essay, parent, clock.now())
    ):
        parent = None
    form.form_token.data = form.form_token.data or new_form_token()
    page = render_template(
        "discussion/compose.html",
        form=form,
        essay=essay,
        parent=parent,
        problems=problems,
        preview_html=preview_html,
        max_characters=MAX_CHARACTERS,
    )
    return page, status, _retry(retry_after)


def rewrite(
    form: EditForm,
    comment: Comment,
    essay: Essay,
    status: int,
    problems: Sequence[str] = (),
    *,
    preview_html: str = "",
) -> Answer:
    """Answer with the edit form as a page of its own; with 409 the newest wording stands beside it."""
    if wants_json() and status >= 400:
        return jsonify(error=" ".join([*problems, *(form.body.errors or ())])), status
    newer = comment.newest if status == 409 else None
    form.revision.data = comment.newest_number
    page = render_template(
        "discussion/rewrite.html",
        form=form,
        essay=essay,
        comment=comment,
        newer=newer,
        problems=problems,
        preview_html=preview_html,
        max_characters=MAX_CHARACTERS,
    )
    return page, status


def ask_again(form: ReportForm | AppealForm, act: str, comment: Comment, essay: Essay) -> Answer:
    """Answer with the report or appeal form as a page of its own, and what is missing in it."""
    if wants_json():
        return jsonify(error=" ".join(words for errors in form.errors.values() for words in errors)), 422
    page = render_template(
        f"discussion/{act}.html",
        form=form,
        comment=comment,
        essay=essay,
        newest=comment.newest,
        judged=judged_on(comment),
        days=site_settings().appeal_days,
    )
    return page, 422


def reported_before(form: ReportForm, earlier: Report, comment: Comment, essay: Essay) -> Answer:
    """Answer a second report of the same wording: the same words are the same report, others must not be lost."""
    sentence = reported_words(earlier)
    if (form.reason.data, form.note.data) == (earlier.reason, earlier.note):
        return done(comment, essay, sentence)
    if wants_json():
        return jsonify(error=sentence), 409
    page = render_template(
        "discussion/report.html", form=form, comment=comment, essay=essay, reported=sentence
    )
    return page, 409


def reported_words(report: Report) -> str:
    """Return what stands where a reader could report a comment that they reported before."""
    looked = {"": "A moderator will look at it.", KEPT: "The moderators looked at it and kept it."}
    return f"You reported this. {looked.get(report.outcome, '')}".strip()


def posted(comment: Comment, essay: Essay) -> Answer:
    """Answer a stored comment with the place where it is; the browser may forget its draft then."""
    forget_draft(comment, essay)
    return done(comment, essay, posted_words(comment, essay))


def forget_draft(comment: Comment, essay: Essay) -> None:
    """Let the browser's next page forget what it kept of a comment while it was written."""
    draft = f"{essay.slug}:{comment.answers_id}" if comment.answers_id else essay.slug
    if session.get("posted_draft") != draft:  # a session that stays as it is need not be signed again
        session["posted_draft"] = draft


def posted_words(comment: Comment, essay: Essay) -> str:
    """Return what became of a writer's words, in a sentence; staff hear what still waits above them."""
    if comment.newest.verdict == Verdict.ACCEPTED:
        return f"Your comment is posted.{_left_waiting(comment, essay)}"
    if comment.visible:
        return old_text_stays(essay)
    return f"Your comment is waiting for {essay.author.name}. Only you can see it."


def _left_waiting(comment: Comment, essay: Essay) -> str:
    if comment.answers_id is None or not is_staff(person(), essay, clock.now()):
        return ""
    waits = db.session.get_one(Comment, comment.answers_id).needs_verdict
    return " What it answers has words that still wait for a decision." if waits else ""


def done(comment: Comment, essay: Essay, sentence: str) -> Answer:
    """Answer a deed: JSON, or a way back to the comment with a sentence."""
    if wants_json():
        return jsonify(as_json(comment))
    if ("ok", sentence) not in session.get("_flashes", ()):  # once, however often before they look
        flash(sentence, "ok")
    return redirect(place_of(comment, essay), 303)


def place_of(comment: Comment, essay: Essay) -> str:
    """Return where a comment is shown: on its page of the essay, or on its own when it is too deep or far behind.

    On its own page, too, for who may not read the whole essay any more: the discussion is not shown to them.
    """
    if not is_on_page(comment) or not essay.may_read_whole(person(), clock.now()):
        return f"{comment.address}#comment-{comment.id}"
    return f"{page_address(comment, essay)}#comment-{comment.id}"


def page_address(comment: Comment, essay: Essay) -> str:
    """Return the address of the page of the discussion, oldest first, that a comment's thread is on."""
    number = page_with(comment, site_settings().threads_per_page)
    return f"{essay.path}?page={number}" if number > 1 else essay.path


def as_json(comment: Comment) -> dict[str, Any]:
    """Return a comment as JSON: its newest wording for its writer and moderators, for others what readers see."""
    newest = may_read_newest(person(), comment.essay, comment, clock.now())
    wording = comment.newest if newest else comment.shown if comment.visible else None
    return {
        "id": comment.id,
        "url": comment.address,
        "parent_id": comment.parent_id,
        "state": state_word(comment, wording or comment.newest),
        "visible": comment.visible,
        "revision": wording.number if wording else None,
        "html": wording.html if wording else "",
        "likes": comment.likes,
        "created_at": comment.created_at.isoformat(),
    }


def _retry(seconds: int | None) -> dict[str, str]:
    return {"Retry-After": str(seconds)} if seconds else {}
