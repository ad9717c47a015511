"""The addresses that readers write to: post, edit, withdraw, thank, report, appeal, follow."""

from datetime import timedelta

from flask import Blueprint, abort, flash, jsonify, redirect, request
from flask import session as cookie
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, lazyload

from forum import clock
from forum.accounts.asking import Origin, Wish, ask_to_join
from forum.accounts.device import device_words
from forum.accounts.session import forget_person, lock_person
from forum.accounts.signals import renamed, signed_in, support_shown, words_asked
from forum.accounts.user import Standing, User
from forum.accounts.views import asked, limit_mails
from forum.database import begin_to_write, db, read_first
from forum.discussion.answers import (
    Answer,
    as_json,
    ask_again,
    compose,
    done,
    new_form_token,
    page_address,
    posted,
    posted_words,
    reported_before,
    rewrite,
)
from forum.discussion.before import read_before
from forum.discussion.comment import Cause, Comment
from forum.discussion.forms import AppealForm, CommentForm, EditForm, ReportForm, SentComment, row_number
from forum.discussion.kept import find_kept, keep_comment, post_kept, words_kept
from forum.discussion.posting import (
    WRITER,
    appeal_decision,
    bump_threads_that_name,
    edit_comment,
    essay_at,
    first_wording,
    hold_discussion,
    lock_comment,
    post_comment,
    posted_before,
    tell_again,
    toggle_reaction,
    withdraw_comment,
)
from forum.discussion.refusals import warning_words, why_nobody, why_not, why_thread_closed
from forum.discussion.reporting import report_by, report_comment
from forum.discussion.rights import Act, may_see, rights
from forum.discussion.screening import Refused
from forum.essays.essay import Essay, find_essay
from forum.limits import limit
from forum.notifications.follow import is_following, toggle_follow
from forum.prepared import send_waiting, together
from forum.text.markdown import Rendered
from forum.web import (
    csrf,
    is_from_elsewhere,
    person,
    refuse,
    require,
    require_found,
    safe_path,
    visitor_key,
    wants_json,
)

KEPT_AN_HOUR = 20
MOST_AN_HOUR = {Act.EDIT: 30, Act.REPORT: 20, Act.REACT: 200, Act.APPEAL: 10}
"""More than a person does by hand; each stores a row or makes somebody look."""

INSTEAD = "Post to the essay instead?"
NOT_HERE = f"The comment you answer is not in this discussion. {INSTEAD}"
SENT_BEFORE = "This form was posted before, with other words. Post these as a new comment?"
WITHDRAWN = "This essay was withdrawn while you wrote. Your words are below: copy what you want to keep."
REMOVED = f"The comment you were answering has been removed. {INSTEAD}"

blueprint = Blueprint("discussion", __name__)
signed_in.connect(post_kept)
words_asked.connect(words_kept)
renamed.connect(bump_threads_that_name)
support_shown.connect(bump_threads_that_name)


@blueprint.post("/essays/<slug>/comments")
def post(slug: str) -> Answer:
    """Post a comment; a stranger's words are kept until they have confirmed their address, or signed in."""
    sent = SentComment.of(request.form)
    words = sent.render_words()
    is_posted = words is not None and "preview" not in request.form
    if is_posted:
        read_first()
    user = lock_person(WRITER, comment_id=row_number(sent.parent_id)) if is_posted else person()
    essay = require_found(_essay_for(slug, is_light=user is not None and is_posted))
    if user is not None:
        csrf.protect()
        if words is not None and is_posted:
            return _post(sent, essay, user, words)
    has_account = "sign_in" in request.form
    if user is None and has_account and not sent.body:
        return redirect(f"/sign-in?next={essay.path}", 303)
    form = sent.form()
    if words is not None and not is_posted:
        return compose(form, essay, 200, preview_html=words.html)
    joins = user is None and form.names_writer and not has_account
    if (joins and not form.check_writer()) or words is None:
        return compose(form, essay, 422)
    return _keep(form, essay, joins=joins and not is_from_elsewhere())


post.takes_no_token = True  # type: ignore[attr-defined]  # a stranger has no session yet, and posts nothing


@blueprint.get("/essays/<slug>/write")
def write(slug: str) -> Answer:
    """Show the composer as a page of its own, with what was kept in it."""
    essay = require_found(find_essay(slug))
    form = CommentForm(formdata=None)
    if kept := find_kept(request.args.get("kept", "")):
        form.body.data, form.form_token.data = kept.source, kept.form_token
        form.parent_id.data = str(kept.parent_id or "")
        if kept.essay_id == essay.id and _is_gone(essay):
            return compose(form, essay, 410, [WITHDRAWN])
    require_found(_essay_for(slug))
    return compose(form, essay, 200)


@blueprint.post("/comments/<int:comment_id>/edit")
def edit(comment_id: int) -> Answer:
    """Store a new wording: shown at once in the edit window, otherwise when a moderator has accepted it."""
    form = EditForm()
    words = form.render_words()
    comment, essay, user = _fetch(comment_id, Act.EDIT)
    if words is None:
        return rewrite(form, comment, essay, 422)
    if "preview" in request.form:
        return rewrite(form, comment, essay, 200, preview_html=words.html)
    if form.revision.data not in (None, comment.newest_number):
        newer = "This comment was changed in another window meanwhile. Its text there stands below yours."
        return rewrite(form, comment, essay, 409, problems=[newer])
    edit_comment(user, essay, comment, words)
    db.session.commit()
    return done(comment, essay, posted_words(comment, essay))


@blueprint.post("/comments/<int:comment_id>/withdraw")
def withdraw(comment_id: int) -> Answer:
    """Take one's own comment back."""
    comment, essay, user = _fetch(comment_id, Act.WITHDRAW)
    withdraw_comment(user, comment)
    db.session.commit()
    if wants_json():
        return jsonify(as_json(comment))
    flash("Your comment is withdrawn.", "ok")
    anchor = f"comment-{comment.id}" if comment.visible_below else "discussion"
    return redirect(f"{page_address(comment, essay)}#{anchor}", 303)


@blueprint.post("/comments/<int:comment_id>/react")
def react(comment_id: int) -> Answer:
    """Thank a comment, or take the thanks back."""
    comment, essay, user = _fetch(comment_id, Act.REACT)
    toggle_reaction(user, comment)
    db.session.commit()
    if wants_json():
        return jsonify(as_json(comment))
    back = safe_path(request.form.get("next"), otherwise=page_address(comment, essay))
    return redirect(f"{back.partition('#')[0]}#comment-{comment.id}", 303)


@blueprint.post("/comments/<int:comment_id>/report")
def report(comment_id: int) -> Answer:
    """Tell the moderators that something is wrong with a comment."""
    form = ReportForm()
    comment, essay, user = _fetch(comment_id, Act.REPORT)
    if not form.validate():
        return ask_again(form, "report", comment, essay)
    if earlier := report_by(user, comment):
        return reported_before(form, earlier, comment, essay)
    report_comment(user, comment, form.reason.data or "", form.note.data or "")
    db.session.commit()
    return done(comment, essay, "Thank you. A moderator will look at it.")


@blueprint.post("/comments/<int:comment_id>/appeal")
def appeal(comment_id: int) -> Answer:
    """Ask for another look at a decision against one's own comment."""
    form = AppealForm()
    comment, essay, user = _fetch(comment_id, Act.APPEAL)
    if not form.validate():
        return ask_again(form, "appeal", comment, essay)
    appeal_decision(user, comment, form.words.data or "")
    db.session.commit()
    return done(comment, essay, "Your words are with the moderators. You will find their answer here.")


@blueprint.post("/essays/<slug>/follow")
def follow(slug: str) -> Answer:
    """Follow an essay's discussion, or stop following it."""
    essay = require_found(_essay_for(slug))
    user = person()
    may_stop = user is not None and is_following(user, essay.id)
    require(may_stop or Act.FOLLOW in rights(user, essay, None, clock.now()))
    following = toggle_follow(user, essay.id)
    db.session.commit()
    if wants_json():
        return jsonify(following=following)
    flash("You follow this discussion." if following else "You no longer follow this discussion.", "ok")
    return redirect(safe_path(request.form.get("next"), otherwise=f"{essay.path}#discussion"), 303)


def _post(sent: SentComment, essay: Essay, user: User, words: Rendered) -> Answer:
    form_token = sent.form_token or new_form_token()
    begin_to_write()
    with together():
        hold_discussion(essay)
        parent = _parent(sent.parent_id, essay)
        before = read_before(user, essay, words.source, form_token, parent)
    if not before.is_signed_in:
        forget_person()
        return _keep(
            sent.form(), require_found(essay if essay.may_see(None, clock.now()) else None), joins=False
        )
    if before.posted_id is not None:
        return _posted_before(db.session.get_one(Comment, before.posted_id), sent, essay, words)
    if sent.parent_id and parent is None:
        sent.parent_id = ""
        return compose(sent.form(), essay, 422, [NOT_HERE])
    may = rights(user, essay, parent, clock.now())
    if parent is not None and Act.REPLY not in may and Act.COMMENT in may:
        sent.parent_id = ""
        closed = why_thread_closed(parent)
        return compose(sent.form(), essay, 409, [f"{closed} {INSTEAD}" if closed else REMOVED])
    if (Act.REPLY if parent else Act.COMMENT) not in may:
        why = why_thread_closed(parent) or why_not(user, essay, clock.now())
        return compose(sent.form(), essay, 403, [why])
    try:
        with together(commits=True):
            comment = post_comment(user, essay, words, form_token, parent, seen=sent.seen, before=before)
    except Refused as refusal:
        return compose(sent.form(), essay, 429, [str(refusal)], retry_after=refusal.retry_after)
    except IntegrityError:  # the same form arrived twice at once, and the other one was first
        db.session.rollback()
        comment = require_found(posted_before(user, form_token))
        tell_again(comment)
        db.session.commit()
    return posted(comment, essay)


def _posted_before(earlier: Comment, sent: SentComment, essay: Essay, words: Rendered) -> Answer:
    """Answer a form that was sent before: the same words are the same comment, others must not be lost."""
    if earlier.essay_id == essay.id and first_wording(earlier).source == words.source:
        tell_again(earlier)
        db.session.commit()
        return posted(earlier, essay)
    sent.form_token = new_form_token()
    return compose(sent.form(), essay, 409, [SENT_BEFORE])


def _keep(form: CommentForm, essay: Essay, *, joins: bool) -> Answer:
    """Keep a stranger's words and mail them a way to post them, or ask them to sign in.

    That a discussion is over is said at once.
    """
    begin_to_write()
    parent = _parent(form.parent_id.data, essay)
    if sentence := why_nobody(essay, clock.now()) or why_thread_closed(parent):
        return compose(form, essay, 403, [sentence])
    limit("keep", visitor_key(), KEPT_AN_HOUR, timedelta(hours=1))
    if joins:
        limit_mails(form.email.data)
    form_token = form.form_token.data or new_form_token()
    token = keep_comment(essay, parent.id if parent else None, form.body.data or "", form_token)
    if joins:
        return _ask_to_confirm(form, essay, token)
    db.session.commit()
    if not is_from_elsewhere():
        cookie["kept"] = token  # whoever signs in here wrote it, and need not be asked whether to post it
    if wants_json():
        return jsonify(error="Sign in to comment. Your words are kept.", kept=token), 403
    return redirect(f"/sign-in?kept={token}&next={essay.path}", 303)


def _ask_to_confirm(form: CommentForm, essay: Essay, kept: str) -> Answer:
    """Mail a link that posts what is kept, and show where to type its code."""
    origin = Origin(essay.path, kept, device_words(request.user_agent.string))
    answer = asked(ask_to_join(form.email.data, Wish(form.wishes, form.name.data or ""), origin))
    if wants_json():
        return jsonify(waiting="Open the link that we mailed to post it.", kept=kept), 202
    return answer


def _parent(given: str | None, essay: Essay) -> Comment | None:
    """Return the comment that is answered, locked, if it exists in this discussion for this person."""
    if not given:
        return None
    send_waiting()  # the lock of the discussion is taken before that of a comment
    wanted = select(Comment).where(Comment.id == row_number(given), Comment.essay_id == essay.id)
    thread = joinedload(Comment.root).load_only(
        Comment.author_id, Comment.thread_number, Comment.pinned_at, Comment.closed_at, Comment.closing_note
    )
    newest = joinedload(Comment.newest, innerjoin=True)
    along = (newest, thread.lazyload(Comment.author), lazyload(Comment.author))
    locked = wanted.options(*along).with_for_update(of=Comment).execution_options(populate_existing=True)
    parent = db.session.scalar(locked)
    if parent is None:
        return None
    seen_once = parent.shown_number is not None or Cause.REPORTS in parent.newest.causes
    return parent if seen_once or may_see(person(), essay, parent, clock.now()) else None


def _essay_for(slug: str, *, is_light: bool = False) -> Essay | None:
    """Return the essay if it exists for this person, without its texts where only its discussion is wanted."""
    essay = (essay_at(slug) if is_light else None) or find_essay(slug)
    return essay if essay is not None and essay.may_see(person(), clock.now()) else None


def _is_gone(essay: Essay) -> bool:
    """Tell whether an essay that readers could see was withdrawn; its author still sees it."""
    was_public = essay.published_at is not None and essay.published_at <= clock.now()
    return was_public and essay.is_withdrawn() and not essay.may_edit(person())


def _fetch(comment_id: int, act: Act) -> tuple[Comment, Essay, User]:
    """Return a comment for a deed on it, locked: 404 where it does not exist for the person, 403 where they may not."""
    user = person()
    # First: whose session ended while they wrote has everything back, whatever it is about.
    require(user is not None)
    if act in MOST_AN_HOUR:
        limit(act, str(user.id), MOST_AN_HOUR[act], timedelta(hours=1))
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    if not may_see(user, comment.essay, comment, clock.now()):
        abort(404)
    lock_comment(comment, user.id)
    now = clock.now()
    may = rights(user, comment.essay, comment, now)
    if act not in may and user.standing(now) == Standing.WARNED:
        refuse(403, warning_words(user))
    require(act in may)
    return comment, comment.essay, user
