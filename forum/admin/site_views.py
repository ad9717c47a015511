"""The pages about the site: the audit log and the settings."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request
from werkzeug.datastructures import MultiDict

from forum.admin.finding import LONGEST_QUERY, is_asked_for
from forum.admin.forms import SettingsForm
from forum.admin.history import acts_in_use, audit_page, latest_settings, newest_setting_change
from forum.admin.views import Answer, acting_admin
from forum.database import db
from forum.moderation.standing import lock_people
from forum.site import audit
from forum.site.settings import HAVE_PAGES, NUMBERS, SWITCHES, SiteSettings, change_setting, site_settings
from forum.text.normal import one_line
from forum.web import page_number

blueprint = Blueprint("admin_site", __name__)


@blueprint.get("/admin/audit")
def audit_log() -> Answer:
    """Show who did what to whom, and why."""
    acting_admin()
    act = one_line(request.args.get("act", "")[:60])
    whom = one_line(request.args.get("person", "")[: LONGEST_QUERY * 4])[:LONGEST_QUERY]
    page = audit_page(act, is_asked_for(whom) if whom else None, page_number())
    if not page.rows and page.number > 1:
        abort(404)
    given = {"act": act, "person": whom}
    return render_template(
        "admin/audit.html", page=page, act=act, person=whom, acts=acts_in_use(), given=given
    )


@blueprint.get("/admin/settings")
def settings() -> Answer:
    """Show every setting with what follows from it and who changed it last."""
    acting_admin()
    form = SettingsForm(formdata=None, data=asdict(site_settings()) | {"seen": newest_setting_change()})
    return _settings_page(form)


@blueprint.post("/admin/settings")
def save_settings() -> Answer:
    """Store the settings that differ from what is in force; a field that is not sent stays as it is."""
    actor = acting_admin()
    lock_people(actor)  # one admin after the other: what is compared below stays so until the commit
    acting_admin()
    current = {key: value for key, value in asdict(site_settings()).items() if key not in HAVE_PAGES}
    form = SettingsForm(formdata=MultiDict({key: str(value) for key, value in current.items()} | _sent()))
    if not form.validate():
        return _settings_page(form, 422)
    newest = newest_setting_change()
    if form.seen.data and form.seen.data != str(newest):
        form.seen.data = str(newest)
        words = "Somebody changed the settings meanwhile. Look at what you typed, then save it again."
        return _settings_page(form, 409, problems=[words])
    changed = {key: form[key].data for key in current if form[key].data != current[key]}
    for key, value in changed.items():
        change_setting(key, value)
        audit.record(actor.id, "setting", f"setting:{key}", form.why, old=str(current[key]), new=str(value))
    db.session.commit()
    flash("The settings are saved." if changed else "Nothing was different, so nothing was changed.", "ok")
    return redirect("/admin/settings", 303)


def _settings_page(form: SettingsForm, status: int = 200, problems: list[str] | None = None) -> Answer:
    page = render_template(
        "admin/settings.html",
        form=form,
        numbers=NUMBERS,
        switches=SWITCHES,
        defaults=SiteSettings(),
        changes=latest_settings(),
        problems=problems or [],
    )
    return page, status


def _sent() -> dict[str, Any]:
    return request.form.to_dict()
