"""The author's desk: publish now or later, send, withdraw, and go back to what an essay said before."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db, page_of
from forum.essays.desk import Answer, changes_between, essay_to_edit, render_apart, writer
from forum.essays.drafting import Conflict, draft_of, draft_version, draft_words, lock_essay
from forum.essays.essay import Access, Essay
from forum.essays.forms import PublishForm, WithdrawForm, version_number
from forum.essays.listing import PER_PAGE, addresses_of, state_of
from forum.essays.publishing import (
    find_revision,
    publish_essay,
    render_words,
    republish,
    restore_revision,
    unfinished_lines,
    unschedule,
    update_essay,
    withdraw_essay,
)
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayRevision, EssayWords
from forum.essays.sending import (
    audience,
    progress,
    send_failed_again,
    send_test,
    sending_of,
    take_wish_back,
    wish_to_send,
)
from forum.limits import limit
from forum.outbox.suppression import is_suppressed
from forum.subscriptions.subscription import State
from forum.subscriptions.tier import tiers
from forum.text.essay import EssayText
from forum.web import page_number, require_found

MOST_REVISIONS = 10**9
"""More than the column holds would be an error in PostgreSQL."""

TESTS_AN_HOUR = 20

blueprint = Blueprint("essay_release", __name__)


@blueprint.get("/desk/essays/<int:essay_id>/publish")
def publish_page(essay_id: int) -> Answer:
    """Ask where and when the essay should appear, and what is still to be mended; once out, tell how it is sent."""
    essay, _ = essay_to_edit(essay_id)
    form = PublishForm(formdata=None, where="mail", version=str(draft_version(essay)))
    if state_of(essay, clock.now()) == "scheduled" and essay.published_at is not None:
        form.where.data = "mail" if sending_of(essay) else "site"
        form.when.data = "later"
        form.date.data, form.time.data = essay.published_at.date(), essay.published_at.time()
    return _publish_page(essay, form, _problems(essay))


@blueprint.post("/desk/essays/<int:essay_id>/publish")
def publish(essay_id: int) -> Answer:
    """Say in one sentence what will happen; do it once that was confirmed."""
    essay, _ = essay_to_edit(essay_id)
    if state_of(essay, clock.now()) in ("published", "withdrawn"):
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    form = PublishForm()
    if not form.validate():
        return _publish_page(essay, form, _problems(essay)), 422
    words = draft_words(essay)
    try:
        text = render_apart(words) if words != essay.words or not essay.html else None
    except EssayRefused as refusal:
        essay, _ = essay_to_edit(essay_id)
        return _publish_page(essay, form, [str(refusal)]), 422
    essay, user = essay_to_edit(essay_id)
    if "confirm" not in request.form:
        return _publish_page(essay, form, [], review=True)
    try:
        _take_over(essay, user, words, text, version_number(form.version.data))
    except Conflict:
        db.session.rollback()
        essay, _ = essay_to_edit(essay_id)
        form.version.data = str(draft_version(essay))
        changed = "The essay was saved in another window meanwhile. Look at it again before you publish it."
        return _publish_page(essay, form, [changed]), 409
    try:
        publish_essay(essay, form.moment, by=user)
    except EssayRefused as refusal:
        db.session.rollback()
        flash(str(refusal), "warn")
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    if form.is_to_be_sent:
        wish_to_send(essay, user)
    else:
        take_wish_back(essay)
    db.session.commit()
    return _published(essay, form)


@blueprint.post("/desk/essays/<int:essay_id>/test")
def mail_test(essay_id: int) -> Answer:
    """Mail the draft to who asks, as readers would get it."""
    essay, user = essay_to_edit(essay_id)
    words = draft_words(essay)
    try:
        text = render_apart(words) if words != essay.words or not essay.html else None
    except EssayRefused as refusal:
        flash(f"No test was sent. {refusal}", "danger")
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    essay, user = essay_to_edit(essay_id)
    limit("test-mail", str(user.id), TESTS_AN_HOUR, timedelta(hours=1))
    if is_suppressed(user.email):
        flash("No test was sent: mail to your address came back. An admin can let it through again.", "warn")
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    shown = text or essay
    mails = send_test(essay, words, shown.html, shown.preview_html, user)
    db.session.commit()
    sent = "A test is" if mails == 1 else "Two tests, of the whole and of its opening, are"
    flash(f"{sent} on the way to {user.email}.")
    return redirect(f"/desk/essays/{essay_id}/publish", 303)


@blueprint.post("/desk/essays/<int:essay_id>/send-again")
def send_again(essay_id: int) -> Answer:
    """Try once more what was given up of an essay's mails."""
    essay, _ = essay_to_edit(essay_id)
    try:
        mails = send_failed_again(essay)
    except EssayRefused as refusal:
        flash(str(refusal), "warn")
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    db.session.commit()
    flash(f"{mails:,} {'mail is' if mails == 1 else 'mails are'} tried again.")
    return redirect(f"/desk/essays/{essay_id}/publish", 303)


@blueprint.post("/desk/essays/<int:essay_id>/unschedule")
def unschedule_view(essay_id: int) -> Answer:
    """Make a scheduled essay a draft again."""
    essay, user = essay_to_edit(essay_id)
    try:
        unschedule(essay, by=user)
    except EssayRefused as refusal:
        db.session.rollback()
        flash(str(refusal), "warn")
        return redirect(f"/desk/essays/{essay_id}/withdraw", 303)
    db.session.commit()
    flash("Unscheduled. It is a draft again.")
    return redirect(f"/desk/essays/{essay_id}", 303)


@blueprint.route("/desk/essays/<int:essay_id>/withdraw", methods=["GET", "POST"])
def withdraw(essay_id: int) -> Answer:
    """Ask once more, then take the essay away from its readers."""
    essay, user = essay_to_edit(essay_id)
    if not essay.is_published(clock.now()):
        return redirect(f"/desk/essays/{essay_id}/publish", 303)
    form = WithdrawForm()
    is_own = essay.author_id == user.id
    is_complete = request.method == "POST" and (is_own or bool(form.reason.data))
    if not is_complete:
        status = 200
        if request.method == "POST":
            form.reason.errors, status = ["Say why: the reason is kept in the audit log."], 422
        how_far = progress(essay, clock.now())
        page = render_template(
            "essays/withdraw.html", essay=essay, form=form, is_own=is_own, progress=how_far
        )
        return page, status
    withdraw_essay(essay, by=user, reason=form.reason.data or "")
    db.session.commit()
    flash("Withdrawn. Readers are told that it is gone.")
    return redirect(f"/desk/essays/{essay_id}", 303)


@blueprint.post("/desk/essays/<int:essay_id>/republish")
def republish_view(essay_id: int) -> Answer:
    """Bring a withdrawn essay back."""
    essay, user = essay_to_edit(essay_id)
    republish(essay, by=user)
    db.session.commit()
    flash("It is published again.")
    return redirect(essay.path, 303)


@blueprint.get("/desk/essays/<int:essay_id>/revisions")
def revisions(essay_id: int) -> Answer:
    """List what the essay said, newest first."""
    essay, _ = essay_to_edit(essay_id)
    theirs = select(EssayRevision).where(EssayRevision.essay_id == essay.id)
    page = page_of(theirs.order_by(EssayRevision.number.desc()), page_number(), PER_PAGE)
    address_of = addresses_of(f"/desk/essays/{essay_id}/revisions")
    return render_template("essays/revisions.html", essay=essay, page=page, address_of=address_of)


@blueprint.get("/desk/essays/<int:essay_id>/revisions/compare")
def compare(essay_id: int) -> Answer:
    """Show what changed between two revisions, word by word."""
    essay, _ = essay_to_edit(essay_id)
    old = require_found(find_revision(essay, version_number(request.args.get("old"))))
    new = require_found(find_revision(essay, version_number(request.args.get("new"))))
    changes = changes_between(old.words, new.words)
    return render_template("essays/compare.html", essay=essay, old=old, new=new, changes=changes)


@blueprint.post("/desk/essays/<int:essay_id>/revisions/<int:number>/restore")
def restore(essay_id: int, number: int) -> Answer:
    """Make the essay say again what it said."""
    essay, _ = essay_to_edit(essay_id)
    old = require_found(find_revision(essay, number) if number < MOST_REVISIONS else None)
    try:
        text = render_apart(old.words)
    except EssayRefused as refusal:
        flash(f"Version {number} cannot be restored. {refusal}", "danger")
        return redirect(f"/desk/essays/{essay_id}/revisions", 303)
    essay, user = essay_to_edit(essay_id)
    restore_revision(essay, number, user, text)
    db.session.commit()
    shown = essay.is_published(clock.now())
    flash(f"Version {number} is restored. Readers see it now." if shown else f"Version {number} is restored.")
    return redirect(f"/desk/essays/{essay_id}", 303)


def _take_over(
    essay: Essay, editor: User, words: EssayWords, text: EssayText | None, seen_version: int
) -> None:
    """Make the draft what the essay says, if it is still the draft that the author saw."""
    lock_essay(essay, editor)
    draft = draft_of(essay)
    if draft is not None and (draft.version != seen_version or draft.words != words):
        raise Conflict(draft)
    if text is not None:
        update_essay(essay, editor, words, text)


def _published(essay: Essay, form: PublishForm) -> Answer:
    if form.moment is not None:
        sent = ", and sent then" if form.is_to_be_sent else ""
        flash(f"Scheduled for {form.moment.strftime('%-d %B %Y, %H:%M UTC')}{sent}.")
        return redirect(f"/desk/essays/{essay.id}", 303)
    if form.is_to_be_sent:
        flash("Published. Everyone can find it now, and it is being sent.")
        return redirect(f"/desk/essays/{essay.id}/publish", 303)
    flash("Published. Everyone can find it now.")
    return redirect(essay.path, 303)


def _publish_page(essay: Essay, form: PublishForm, problems: list[str], *, review: bool = False) -> str:
    now = clock.now()
    state = state_of(essay, now)
    is_to_come = state in ("draft", "scheduled")
    moment = form.moment if review else essay.published_at
    return render_template(
        "essays/publish.html",
        essay=essay,
        form=form,
        problems=problems,
        unfinished=unfinished_lines(draft_words(essay).source),
        review=review,
        state=state,
        words=draft_words(essay),
        audience=audience(essay, moment or now) if is_to_come else None,
        progress=progress(essay, now),
        lacks_offer=essay.access == Access.PAID and not tiers()[State.PAID].is_offered,
        is_admin=writer().is_admin,
    )


def _problems(essay: Essay) -> list[str]:
    """Return what stands in the way of publishing the draft."""
    words = draft_words(essay)
    if words == essay.words and essay.html:
        return []
    try:
        render_words(words)
    except EssayRefused as refusal:
        return [str(refusal)]
    return []
