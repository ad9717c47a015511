"""One comment on a page of its own, with what is around it and every act its reader may do, as plain forms."""

from flask import Blueprint, abort, jsonify, redirect, render_template
from markupsafe import Markup

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.answers import Answer, as_json, new_form_token, place_of, waiting_sentence
from forum.discussion.comment import Comment
from forum.discussion.forms import AppealForm, CommentForm, EditForm, ReportForm
from forum.discussion.refusals import is_about_subscription, supporters_only, why_no_stranger, why_not
from forum.discussion.report import REASONS
from forum.discussion.rights import Act, may_read_newest, may_see, rights, rights_towards
from forum.discussion.thread import Node, comment_with_replies, parents_of, waiting_node, walk
from forum.essays.essay import CommentPolicy, Essay
from forum.moderation.decisions import open_appeal
from forum.pages.essay import thread_html, with_own_parts
from forum.site.settings import site_settings
from forum.text.markdown import MAX_CHARACTERS
from forum.web import person, require_found, wants_json

blueprint = Blueprint("comment", __name__)


@blueprint.get("/comments/<int:comment_id>")
def comment_page(comment_id: int) -> Answer:
    """Show a comment: the chain above it, itself, what may be done with it, and the replies below it."""
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    essay, user, now = comment.essay, person(), clock.now()
    if not may_see(user, essay, comment, now):
        abort(404)
    in_general = rights(user, essay, None, now)
    may = rights_towards(comment, user, essay, in_general, now)
    if wants_json():
        return jsonify(as_json(comment))
    node = comment_with_replies(essay, comment)
    own = user is not None and comment.author_id == user.id
    unseen = may_read_newest(user, essay, comment, now)
    return render_template(
        "pages/comment.html",
        essay=essay,
        comment=comment,
        node=_as_seen(node, comment, essay) if unseen else node,
        sentence=waiting_sentence(comment, essay, to_writer=own) if unseen and _differs(comment) else None,
        own=own,
        may=may,
        # Whoever may answer this comment may answer those below it, also in the thread that they alone may go on with.
        may_below=in_general | (may & {Act.REPLY}),
        parents=parents_of(essay, comment) if Act.READ in may else [],
        replies=_replies(node, user, essay, may) if Act.READ in may else "",
        place=place_of(comment, essay),
        refusal=why_no_stranger(essay, now) if user is None else why_not(user, essay, now),
        lacks_subscription=user is not None and is_about_subscription(user, essay, now),
        supporters_only=supporters_only() if user is None and essay.comments == CommentPolicy.PAID else "",
        forms_for=_forms(comment),
        appeal=open_appeal(comment) if Act.MODERATE in may else None,
        reasons=REASONS,
        house_rules=site_settings().house_rules,
        max_characters=MAX_CHARACTERS,
    )


@blueprint.get("/comments/<int:comment_id>/reply")
def reply_page(comment_id: int) -> Answer:
    """Lead to the reply form of a comment."""
    return redirect(f"/comments/{comment_id}#compose", 303)


def _replies(node: Node, user: User | None, essay: Essay, may: frozenset[Act]) -> Markup:
    """Return what stands below a comment, the viewer's own waiting replies too; nothing where nothing does."""
    ids = [below.id for below in walk(node.replies)]
    html = with_own_parts(thread_html(node.replies), user, essay, ids, may, top=node.id)
    return html if "<li" in html else Markup()


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
