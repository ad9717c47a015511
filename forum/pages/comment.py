"""One comment on a page of its own, with what is around it and every act its reader may do, as plain forms."""

from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request
from markupsafe import Markup

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.answers import Answer, as_json, new_form_token, place_of, reported_words
from forum.discussion.comment import Comment
from forum.discussion.forms import AppealForm, CommentForm, EditForm, ReportForm, row_number
from forum.discussion.judged import appeals_on, judged_on
from forum.discussion.reasons import offered
from forum.discussion.redacted import MARK
from forum.discussion.refusals import (
    is_about_subscription,
    supporters_only,
    why_no_stranger,
    why_not,
    why_thread_closed,
)
from forum.discussion.reporting import report_by
from forum.discussion.rights import Act, is_for_supporters, may_read_newest, may_see, rights, rights_towards
from forum.discussion.thread import Node, comment_with_replies, waiting_node
from forum.discussion.waiting import last_words_on, usual_wait, waiting_sentence
from forum.essays.essay import Essay
from forum.limits import limit
from forum.moderation.deciding import last_decision
from forum.moderation.redaction import may_read_original
from forum.moderation.reports import reports_on
from forum.notifications.inbox import stop_mails_of_thread
from forum.notifications.watch import ThreadWatch, unwatch, watch, watch_of
from forum.pages.own import OwnParts, joined, own_parts, put_own_parts, thread_html, trace_parts
from forum.site.settings import site_settings
from forum.text.markdown import MAX_CHARACTERS
from forum.web import person, require, require_found, safe_path, wants_json

WATCHES_AN_HOUR = 200
"""More than a person does by hand; each may store a row."""

blueprint = Blueprint("comment", __name__)


@blueprint.get("/comments/<int:comment_id>")
def comment_page(comment_id: int) -> Answer:
    """Show a comment: the chain above it, itself, what may be done with it, and a page of the replies below it."""
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    essay, user, now = comment.essay, person(), clock.now()
    if comment.merged_into_id is not None and essay.may_read_whole(user, now):
        return redirect(f"/comments/{comment.merged_into_id}", 303)
    if not may_see(user, essay, comment, now):
        abort(404)
    in_general = rights(user, essay, None, now)
    may = rights_towards(comment, user, essay, in_general, now)
    if wants_json():
        return jsonify(as_json(comment))
    after = _after(comment)
    page = comment_with_replies(essay, comment, after)
    node, may_read = page.node, Act.READ in may
    own = user is not None and comment.author_id == user.id
    parts = _parts(user, essay, page.ids(), may, node) if may_read else {}
    unseen = may_read_newest(user, essay, comment, now)
    closed = None if Act.MODERATE in in_general else why_thread_closed(comment)
    refusal = _refusal(user, essay, may, closed, now)
    return render_template(
        "pages/comment.html",
        essay=essay,
        comment=comment,
        node=_as_seen(node, comment, essay) if unseen else node,
        sentence=_sentence(comment, essay, own=own) if unseen and _differs(comment) else None,
        own=own,
        may=may,
        # Whoever may answer this comment may answer those below it, also in the thread that they alone may go on with.
        may_below=in_general - ({Act.REPLY} if closed else set()) | (may & {Act.REPLY}),
        parents=page.parents if may_read else [],
        replies=_replies(node, parts) if may_read else "",
        after=after,
        last_id=page.last_id,
        with_own=lambda html: put_own_parts(html, parts),
        muted_ids={comment_id for kind, comment_id in parts if kind == "fold"},
        watched=watch_of(user, comment.root_comment_id) if user is not None else None,
        place=place_of(comment, essay),
        refusal=refusal,
        lacks_subscription=_lacks_subscription(user, essay, refusal, closed, now),
        supporters_only=supporters_only() if user is None and is_for_supporters(essay) else "",
        forms_for=_forms(comment),
        undoable=last_decision(user) if Act.MODERATE in may and "done" in request.args else None,
        origin=_origin(comment, user, now),
        may_read_original=MARK in comment.newest.source and may_read_original(user, comment, now),
        root=db.session.get(Comment, comment.root_comment_id) if Act.MODERATE in may else None,
        asked=appeals_on([comment.id]).get(comment.id) if Act.MODERATE in may else None,
        reports=reports_on([comment.id], user).get(comment.id, []) if Act.MODERATE in may else [],
        appeal_days=site_settings().appeal_days,
        folds_at=site_settings().reports_that_fold,
        reported=_reported(user, comment) if Act.REPORT in may else "",
        judged=judged_on(comment) if own and unseen else None,
        reasons=offered(),
        house_rules=site_settings().house_rules,
        max_characters=MAX_CHARACTERS,
    )


@blueprint.get("/comments/<int:comment_id>/reply")
def reply_page(comment_id: int) -> Answer:
    """Lead to the reply form of a comment."""
    return redirect(f"/comments/{comment_id}#compose", 303)


@blueprint.post("/comments/<int:comment_id>/follow")
def follow_thread(comment_id: int) -> Answer:
    """Follow the thread that a comment is in, or stop following it: `stop` in the form says which."""
    return _change_watch(comment_id, is_muted=False)


@blueprint.post("/comments/<int:comment_id>/mute")
def mute_thread(comment_id: int) -> Answer:
    """Hear nothing of the thread that a comment is in, or hear of it again: `stop` in the form says which."""
    return _change_watch(comment_id, is_muted=True)


def _change_watch(comment_id: int, *, is_muted: bool) -> Answer:
    """Follow or mute a thread, or stop that.

    Stopping is for everybody at any time, muting for who sees the comment, since they may hear of its thread.
    """
    user = person()
    require(user is not None)
    limit("watch", str(user.id), WATCHES_AN_HOUR, timedelta(hours=1))
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    thread_id, watched = comment.root_comment_id, watch_of(user, comment.root_comment_id)
    sees = may_see(user, comment.essay, comment, clock.now())
    if watched is None and not sees:
        abort(404)
    if "stop" in request.form:
        if watched is not None and watched.is_muted == is_muted:
            unwatch(user, thread_id)
    else:
        require(sees and (is_muted or Act.FOLLOW in rights(user, comment.essay, None, clock.now())))
        watch(user, thread_id, is_muted=is_muted)
        if is_muted:
            stop_mails_of_thread(user, thread_id)
    db.session.commit()
    sentence = _watch_words(watch_of(user, thread_id))
    flash(sentence, "ok")
    return redirect(safe_path(request.form.get("next"), otherwise=f"{comment.address}#mute-thread"), 303)


def _watch_words(watched: ThreadWatch | None) -> str:
    if watched is None:
        return "From this thread you hear of answers to you."
    return "You hear nothing of this thread any more." if watched.is_muted else "You follow this thread."


def _refusal(
    user: User | None, essay: Essay, may: frozenset[Act], closed: str | None, now: datetime
) -> str | None:
    """Return what stands in place of the form to reply; strangers have one, their words are kept."""
    if user is None:
        return why_no_stranger(essay, now) or closed
    return None if Act.REPLY in may else closed or why_not(user, essay, now)


def _lacks_subscription(
    user: User | None, essay: Essay, refusal: str | None, closed: str | None, now: datetime
) -> bool:
    if user is None or refusal is None or closed:
        return False
    return is_about_subscription(user, essay, now)


def _after(comment: Comment) -> Comment | None:
    """Return the comment after which the page of replies goes on, None for the first; 404 if it is not below."""
    if "after" not in request.args:
        return None
    after: Comment = require_found(db.session.get(Comment, row_number(request.args["after"])))
    if not after.path.startswith(f"{comment.path}/"):
        abort(404)
    return after


def _parts(user: User | None, essay: Essay, ids: list[int], may: frozenset[Act], node: Node) -> OwnParts:
    """Return what goes to the markers: traces of what was moved away, and the viewer's own."""
    moved = trace_parts(essay, ids, with_threads=False) if node.has_lost else {}
    return joined(moved, own_parts(user, essay, ids, may, top=node.id))


def _origin(comment: Comment, user: User | None, now: datetime) -> Essay | None:
    """Return the essay that a comment was moved from, if it was another one that the person may see."""
    if comment.moved_from_essay_id in (None, comment.essay_id):
        return None
    essay = db.session.get(Essay, comment.moved_from_essay_id)
    return essay if essay is not None and essay.may_see(user, now) else None


def _replies(node: Node, parts: OwnParts) -> Markup:
    """Return what stands below a comment, the viewer's own waiting replies too; nothing where nothing does."""
    html = put_own_parts(thread_html(node.replies), parts)
    return html if "<li" in html else Markup()


def _sentence(comment: Comment, essay: Essay, *, own: bool) -> str:
    """Return what stands above words that readers do not see; a writer whose words wait is told how long."""
    usually = usual_wait(essay.author_id) if own and comment.waits_since else ""
    return waiting_sentence(comment, essay, last_words_on([comment]), to_writer=own, usually=usually)


def _reported(user: User, comment: Comment) -> str:
    """Return what stands in place of the form to report a comment, "" where that belongs."""
    report = report_by(user, comment)
    return reported_words(report) if report is not None else ""


def _differs(comment: Comment) -> bool:
    """Tell whether the newest wording is not what readers see."""
    return not comment.visible or comment.newest_number != comment.shown_number


def _as_seen(node: Node, comment: Comment, essay: Essay) -> Node:
    """Return the comment with its newest wording, for its writer and the moderators."""
    if not _differs(comment):
        return node
    seen = waiting_node(comment, essay)
    seen.depth = 0
    return seen


def _forms(comment: Comment) -> dict[str, CommentForm | EditForm | ReportForm | AppealForm]:
    reply = CommentForm(formdata=None, form_token=new_form_token())
    edit = EditForm(formdata=None, body=comment.newest.source, revision=comment.newest_number)
    return {
        "reply": reply,
        "edit": edit,
        "report": ReportForm(formdata=None),
        "appeal": AppealForm(formdata=None),
    }
