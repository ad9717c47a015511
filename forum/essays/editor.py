"""The author's desk: their essays, the editor with its preview and drafts, two versions that met."""

from flask import Blueprint, flash, jsonify, redirect, render_template, request

from forum import clock
from forum.accounts.user import User
from forum.database import db, page_of
from forum.essays.desk import EDITOR_KIB, Answer, changes_between, essay_to_edit, render_apart, writer
from forum.essays.drafting import Conflict, draft_of, draft_version, draft_words, save_draft, set_aside
from forum.essays.essay import Essay
from forum.essays.forms import EssayForm, SettingsForm, add_refusal, version_number
from forum.essays.listing import PER_PAGE, addresses_of, desk_essays, state_of
from forum.essays.publishing import change_settings, create_essay, render_words, update_essay
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayWords, SetAside
from forum.essays.sending import progress
from forum.web import large_body, page_number

blueprint = Blueprint("essay_editor", __name__)


@blueprint.get("/desk/essays")
def essays() -> Answer:
    """List the essays that the person may edit, those changed last first."""
    page = page_of(desk_essays(writer()), page_number(), PER_PAGE)
    return render_template(
        "essays/essays.html",
        page=page,
        now=clock.now(),
        state_of=state_of,
        address_of=addresses_of("/desk/essays"),
    )


@blueprint.route("/desk/essays/new", methods=["GET", "POST"])
@large_body(EDITOR_KIB)
def new() -> Answer:
    """Begin an essay."""
    writer()
    form = EssayForm()
    if request.method == "GET":
        return _new_page(form)
    words = form.words()
    try:
        text = render_apart(words) if words.source else None
        if "preview" in request.form:
            return _new_page(form, preview_html=text.html if text else "")
        essay = create_essay(writer(), words.title, words.source, subtitle=words.subtitle, text=text)
    except EssayRefused as refusal:
        return _refused_new(form, refusal)
    db.session.commit()
    flash("Saved as a draft. Only you see it.")
    return redirect(f"/desk/essays/{essay.id}?begun=1", 303)


@blueprint.route("/desk/essays/<int:essay_id>", methods=["GET", "POST"])
@large_body(EDITOR_KIB)
def edit(essay_id: int) -> Answer:
    """Show the editor, preview, save the draft, or put its words before readers."""
    essay, user = essay_to_edit(essay_id)
    if request.method == "GET":
        return _saved_page(essay)
    form = EssayForm()
    words = form.words()
    if "preview" in request.form:
        return _preview(essay_id, form, words)
    if "draft" in request.form or (not words.source and not essay.is_published(clock.now())):
        return _save(essay, user, form, words)
    return _update(essay_id, form, words)


@blueprint.post("/desk/essays/<int:essay_id>/autosave")
@large_body(EDITOR_KIB)
def autosave(essay_id: int) -> Answer:
    """Save the draft from a page that goes on being written on; 204 when there is nothing new."""
    essay, user = essay_to_edit(essay_id)
    form = EssayForm()
    words = form.words()
    if words == draft_words(essay):
        return "", 204
    try:
        draft = save_draft(essay, user, words, form.based_on())
    except EssayRefused as refusal:
        return jsonify(error=str(refusal)), 422
    except Conflict:
        set_aside(essay, user, words)
        db.session.commit()
        return jsonify(url=f"/desk/essays/{essay_id}/conflict"), 409
    db.session.commit()
    return jsonify(version=draft.version)


@blueprint.route("/desk/essays/<int:essay_id>/conflict", methods=["GET", "POST"])
def conflict(essay_id: int) -> Answer:
    """Show two versions that met, and let the author keep either."""
    essay, user = essay_to_edit(essay_id)
    mine, theirs = db.session.get(SetAside, (essay.id, user.id)), draft_of(essay)
    if mine is None or theirs is None:
        return redirect(f"/desk/essays/{essay_id}", 303)
    if request.method == "GET":
        return _conflict_page(essay, mine)
    if request.form.get("keep") == "mine":
        try:
            save_draft(essay, user, mine.words, version_number(request.form.get("version")))
        except Conflict:
            return _conflict_page(essay, mine), 409
    db.session.delete(mine)
    db.session.commit()
    flash("Kept. The other version is gone from the draft.")
    return redirect(f"/desk/essays/{essay_id}", 303)


@blueprint.post("/desk/essays/<int:essay_id>/settings")
def settings(essay_id: int) -> Answer:
    """Change the address, the tags, and who may read and comment."""
    essay, user = essay_to_edit(essay_id)
    form = SettingsForm()
    if not form.validate():
        return _saved_page(essay, form), 422
    try:
        change_settings(essay, **form.settings(), by=user)
    except EssayRefused as refusal:
        db.session.rollback()
        add_refusal(form, refusal)
        return _saved_page(essay_to_edit(essay_id)[0], form), 422
    db.session.commit()
    flash("Settings saved.")
    return redirect(f"/desk/essays/{essay_id}#settings", 303)


def _save(essay: Essay, user: User, form: EssayForm, words: EssayWords) -> Answer:
    try:
        save_draft(essay, user, words, form.based_on())
    except EssayRefused as refusal:
        return _refused(essay.id, form, refusal)
    except Conflict:
        return _conflict(essay.id, words)
    db.session.commit()
    shown = essay.is_published(clock.now())
    flash("Draft saved. Readers still see the text from before." if shown else "Draft saved.")
    return redirect(f"/desk/essays/{essay.id}", 303)


def _update(essay_id: int, form: EssayForm, words: EssayWords) -> Answer:
    """Put the words before readers; words that cannot be shown are kept as the draft all the same."""
    try:
        text = render_apart(words)
    except EssayRefused as refusal:
        return _keep_refused(essay_id, form, words, refusal)
    essay, user = essay_to_edit(essay_id)
    try:
        update_essay(essay, user, words, text, form.based_on())
    except Conflict:
        return _conflict(essay_id, words)
    db.session.commit()
    flash("Updated. Readers see it now." if essay.is_published(clock.now()) else "Saved.")
    return redirect(f"/desk/essays/{essay_id}", 303)


def _keep_refused(essay_id: int, form: EssayForm, words: EssayWords, refusal: EssayRefused) -> Answer:
    essay, user = essay_to_edit(essay_id)
    try:
        draft = save_draft(essay, user, words, form.based_on())
    except EssayRefused:
        return _refused(essay_id, form, refusal)
    except Conflict:
        return _conflict(essay_id, words)
    db.session.commit()
    form.version.data = str(draft.version)
    return _refused(essay_id, form, refusal)


def _conflict(essay_id: int, words: EssayWords) -> Answer:
    db.session.rollback()
    essay, user = essay_to_edit(essay_id)
    mine = set_aside(essay, user, words)
    db.session.commit()
    return _conflict_page(essay, mine), 409


def _conflict_page(essay: Essay, mine: SetAside) -> str:
    theirs = draft_of(essay)
    changes = changes_between(theirs.words, mine.words) if theirs else []
    return render_template("essays/conflict.html", essay=essay, mine=mine, theirs=theirs, changes=changes)


def _preview(essay_id: int, form: EssayForm, words: EssayWords) -> Answer:
    """Show what readers would see; nothing is saved."""
    try:
        html = render_apart(words).html
    except EssayRefused as refusal:
        return _refused(essay_id, form, refusal)
    essay, _ = essay_to_edit(essay_id)
    return _page(essay, form, SettingsForm.of(essay), html)


def _refused(essay_id: int, form: EssayForm, refusal: EssayRefused) -> Answer:
    db.session.rollback()
    essay, _ = essay_to_edit(essay_id)
    add_refusal(form, refusal)
    return _page(essay, form, SettingsForm.of(essay), problem=str(refusal)), 422


def _saved_page(essay: Essay, settings_form: SettingsForm | None = None) -> str:
    words = draft_words(essay)
    form = EssayForm.of(words, draft_version(essay))
    html, problem = essay.html, ""
    if words != essay.words:
        try:
            html = render_words(words).html
        except EssayRefused as refusal:
            html, problem = "", str(refusal)
    return _page(essay, form, settings_form or SettingsForm.of(essay), html, problem)


def _page(
    essay: Essay, form: EssayForm, settings_form: SettingsForm, preview_html: str = "", problem: str = ""
) -> str:
    now = clock.now()
    return render_template(
        "essays/editor.html",
        essay=essay,
        form=form,
        settings_form=settings_form,
        preview_html=preview_html,
        problem=problem,
        state=state_of(essay, now),
        has_draft=draft_words(essay) != essay.words,
        progress=progress(essay, now),
    )


def _new_page(form: EssayForm, preview_html: str = "", problem: str = "") -> str:
    return render_template("essays/new.html", form=form, preview_html=preview_html, problem=problem)


def _refused_new(form: EssayForm, refusal: EssayRefused) -> Answer:
    db.session.rollback()
    add_refusal(form, refusal)
    return _new_page(form, problem=str(refusal)), 422
