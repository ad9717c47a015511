"""The page about reasons: their sentences, new ones, and which of them readers and moderators may choose."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from slugify import slugify
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, HiddenField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from forum.admin.history import latest_settings, newest_setting_change
from forum.admin.views import Answer, acting_admin
from forum.database import db
from forum.discussion.reasons import NEEDS_NOTE, offered, retired
from forum.discussion.report import REASONS
from forum.moderation.people_forms import ReasonForm
from forum.moderation.standing import lock_people
from forum.site import audit
from forum.site.settings import change_setting
from forum.text.normal import one_line

LONGEST = 120
LONGEST_CODE = 20
MOST = 40
"""How many reasons there may be: all of them are on the page, and none is ever forgotten."""

blueprint = Blueprint("admin_reasons", __name__)


@dataclass(frozen=True)
class Reason:
    """One reason as it is, or as an admin wants it."""

    words: str
    is_offered: bool

    def __str__(self) -> str:
        return self.words if self.is_offered else f"{self.words} (retired)"


class ReasonsForm(ReasonForm):
    """Every reason; the fields of each are added by `_form`."""

    added = StringField(
        "Sentence",
        filters=[one_line],
        validators=[Length(max=LONGEST, message="Keep the sentence under %(max)d characters.")],
    )
    seen = HiddenField()  # the newest change when the page was opened

    def validate_added(self, field: Field) -> None:
        """Keep the page to a length that can be read. Raises: ValidationError."""
        if field.data and len(_current()) >= MOST:
            raise ValidationError(f"There are {MOST} reasons already. Change one of them instead.")

    def wanted(self) -> dict[str, Reason]:
        """Return every reason as the form has it, the new one last."""
        found = {}
        for code in _current():
            is_offered = code == NEEDS_NOTE or bool(self[f"offered-{code}"].data)
            found[code] = Reason(self[f"words-{code}"].data, is_offered)
        if self.added.data:
            found[_new_code(self.added.data, found)] = Reason(self.added.data, is_offered=True)
        return found


@blueprint.get("/admin/reasons")
def reasons() -> Answer:
    """Show every reason, also those that are not offered any more."""
    acting_admin()
    return _page(_form(_as_sent(_current()) | {"seen": str(newest_setting_change("reasons"))}))


@blueprint.post("/admin/reasons")
def save_reasons() -> Answer:
    """Store what is different; a reason that is not sent stays as it is."""
    actor = acting_admin()
    lock_people(actor)  # one admin after the other: what is compared below stays so until the commit
    acting_admin()
    current = _current()
    form = _form(_as_sent(current, leave_out=request.form) | request.form.to_dict())
    if not form.validate():
        return _page(form, 422)
    newest = str(newest_setting_change("reasons"))
    if form.seen.data != newest:
        form.seen.data = newest
        words = "Somebody changed the reasons meanwhile. Look at what you typed, then save it again."
        return _page(form, 409, problems=[words])
    wanted = form.wanted()
    if twice := _said_twice(wanted):
        return _page(form, 422, problems=[f"Two reasons say “{twice}”. Give each its own words."])
    changed = {code: one for code, one in wanted.items() if one != current.get(code)}
    for code, one in changed.items():
        old = str(current.get(code, ""))
        audit.record(actor.id, "setting", "setting:reasons", form.why, old=old, new=str(one))
    if changed:
        change_setting("reasons", _to_store(wanted))
    db.session.commit()
    flash("The reasons are saved." if changed else "Nothing was different, so nothing was changed.", "ok")
    return redirect("/admin/reasons", 303)


def _page(form: ReasonsForm, status: int = 200, problems: list[str] | None = None) -> Answer:
    page = render_template(
        "admin/reasons.html",
        form=form,
        offered=offered(),
        retired=retired(),
        always=NEEDS_NOTE,
        longest=LONGEST,
        change=latest_settings().get("reasons"),
        problems=problems or [],
    )
    return page, status


def _form(values: dict[str, str]) -> ReasonsForm:
    """Return a form with a sentence and a tick for each reason."""
    fields: dict[str, Any] = {}
    for code in _current():
        fields[f"words-{code}"] = StringField(
            code.replace("-", " ").capitalize(),
            filters=[one_line],
            validators=[
                DataRequired("A reason needs a sentence."),
                Length(max=LONGEST, message="Keep the sentence under %(max)d characters."),
            ],
        )
        if code != NEEDS_NOTE:
            fields[f"offered-{code}"] = BooleanField("Offer it")
    made: ReasonsForm = type("ReasonsFormOfNow", (ReasonsForm,), fields)(formdata=MultiDict(values))
    return made


def _current() -> dict[str, Reason]:
    kept = {code: Reason(words, is_offered=True) for code, words in offered().items()}
    return kept | {code: Reason(words, is_offered=False) for code, words in retired().items()}


def _as_sent(reasons: dict[str, Reason], leave_out: Any = ()) -> dict[str, str]:
    """Return reasons as a form would send them, but for those that it does send."""
    values = {}
    for code, one in reasons.items():
        if f"words-{code}" in leave_out:
            continue
        values[f"words-{code}"] = one.words
        if one.is_offered:
            values[f"offered-{code}"] = "y"
    return values


def _new_code(words: str, taken: dict[str, Reason]) -> str:
    """Return a code for a new reason, from its first words."""
    stem = slugify(words.partition(":")[0], max_length=LONGEST_CODE, word_boundary=True) or "reason"
    stem, number = stem[:LONGEST_CODE].strip("-"), 2
    code = stem
    while code in taken:
        code = f"{stem[: LONGEST_CODE - 3]}-{number}"
        number += 1
    return code


def _said_twice(wanted: dict[str, Reason]) -> str:
    """Return a sentence that two of the offered reasons have, "" where there is none."""
    seen: set[str] = set()
    for one in wanted.values():
        if one.is_offered and one.words.casefold() in seen:
            return one.words
        if one.is_offered:
            seen.add(one.words.casefold())
    return ""


def _to_store(wanted: dict[str, Reason]) -> dict[str, dict[str, Any]]:
    """Return what differs from the reasons that the forum comes with."""
    usual = {code: Reason(words, is_offered=True) for code, words in REASONS.items()}
    return {
        code: {"words": one.words, "is_retired": not one.is_offered}
        for code, one in wanted.items()
        if one != usual.get(code)
    }
