"""What readers send: a comment, an edit, a report, an appeal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wtforms import HiddenField, IntegerField, RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.form import BaseForm
from wtforms.validators import DataRequired, InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from forum.accounts.forms import WishesForm, address_field, name_field
from forum.discussion.reasons import NEEDS_NOTE, offered
from forum.text.markdown import Rejected, Rendered, render_comment
from forum.text.normal import normalise, one_line
from forum.web import Form

MAX_NOTE = 500


class WordsForm(Form):
    """A form with words that become a comment's text."""

    body = TextAreaField("Your comment", filters=[normalise])

    def render_words(self) -> Rendered | None:
        """Return the words rendered, or None with the reason beside the field."""
        try:
            return render_comment(self.body.data or "")
        except Rejected as refusal:
            self.body.errors = [str(refusal)]
            return None


def _parent(given: str | None) -> str:
    return one_line(given)[:20]


def _parent_seen(given: str | None) -> str:
    return one_line(given)[:40]


def _token(given: str | None) -> str | None:
    return one_line(given)[:64] or None


class CommentForm(WordsForm, WishesForm):
    """A new comment. One `form_token` is one comment, however often it is sent. Only strangers name themselves."""

    name = name_field(optional=True)
    email = address_field(is_new=True)
    parent_id = HiddenField(filters=[_parent])
    parent_seen = HiddenField(filters=[_parent_seen])
    form_token = HiddenField(filters=[_token])

    @property
    def names_writer(self) -> bool:
        """Tell whether the form that was sent had a place for the writer's address; other programs' need not."""
        return bool(self.email.raw_data)

    def check_writer(self) -> bool:
        """Tell whether name and address are valid, with the reasons beside the fields where they are not."""
        return all([self.name.validate(self), self.email.validate(self)])


@dataclass
class SentComment:
    """What was sent in a comment's form. The form, with all that a page shows of it, is made where it is shown."""

    body: str
    parent_id: str
    parent_seen: str
    form_token: str | None
    problem: str = ""
    """Why the words cannot be taken."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "SentComment":
        """Return what was sent, by the same filters as the form's."""
        return cls(
            normalise(given.get("body")),
            _parent(given.get("parent_id")),
            _parent_seen(given.get("parent_seen")),
            _token(given.get("form_token")),
        )

    @property
    def seen(self) -> int | None:
        """Return the number of the answered comment's wording that stood on the page of the form, as it says itself.

        A script may have moved the form to another comment since: the field names the one that it is about.
        """
        row_id, _, number = self.parent_seen.partition(":")
        return row_number(number) if row_id and row_id == self.parent_id else None

    def render_words(self) -> Rendered | None:
        """Return the words rendered, or None where they cannot be taken; the form says why."""
        try:
            return render_comment(self.body)
        except Rejected as refusal:
            self.problem = str(refusal)
            return None

    def form(self) -> CommentForm:
        """Return the form with what was sent in it."""
        form = CommentForm()
        form.parent_id.data, form.form_token.data = self.parent_id, self.form_token
        if self.problem:
            form.body.errors = [self.problem]
        return form


class EditForm(WordsForm):
    """A new wording of one's comment; `revision` is the number of the wording that was seen."""

    revision = IntegerField(widget=HiddenInput(), validators=[Optional()])


class ReasonField(RadioField):
    """One of the reasons that are offered now."""

    def __init__(self, *given: Any, **values: Any) -> None:
        super().__init__(*given, **values)
        self.type = RadioField.__name__  # by which the macros tell fields apart
        self.choices = [SelectChoice(code, words) for code, words in offered().items()]

    def pre_validate(self, form: BaseForm) -> None:
        """Refuse what was retired since the form was made. Raises: ValidationError, with a sentence of our own."""
        try:
            super().pre_validate(form)
        except ValidationError as wrong:
            raise ValidationError("This reason is not offered any more. Choose another.") from wrong


class ReportForm(Form):
    """Why a reader thinks that a moderator should look."""

    reason = ReasonField(
        "What is wrong with it?",
        validators=[InputRequired("Choose what is wrong with it.")],
    )
    note = TextAreaField(
        "In your words",
        filters=[normalise],
        validators=[Length(max=MAX_NOTE, message=f"Keep it to {MAX_NOTE} characters.")],
    )

    def validate_note(self, field: TextAreaField) -> None:
        """Ask for words where the reason alone says nothing."""
        if self.reason.data == NEEDS_NOTE and not field.data:
            raise ValidationError("Say in your words what is wrong.")


class AppealForm(Form):
    """Why a writer asks for another look."""

    words = TextAreaField(
        "Why should we look again?",
        filters=[normalise],
        validators=[
            DataRequired("Say why we should look again."),
            Length(max=MAX_NOTE, message=f"Keep it to {MAX_NOTE} characters."),
        ],
    )


def row_number(given: str | None) -> int:
    """Return the id that a form names; 0, which no row has, for nonsense."""
    return int(given) if given and given.isascii() and given.isdigit() and len(given) < 19 else 0
