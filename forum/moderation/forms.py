"""What moderators send: a decision with the wording they saw, a reason and a note; how they narrow the lists."""

from collections.abc import Mapping
from typing import Any

from wtforms import IntegerField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from forum.discussion.forms import row_number
from forum.discussion.reasons import NEEDS_NOTE, offered
from forum.text.normal import normalise, one_line
from forum.web import Form

MAX_NOTE = 1000
TOO_LONG = f"Keep it to {MAX_NOTE:,} characters."

ORDERS = {"oldest": "Oldest first", "newest": "Newest first"}


def options(words: Mapping[Any, str]) -> list[Any]:
    """Return the choices of a field from words by value."""
    return [SelectChoice(str(value), label) for value, label in words.items()]


class DecisionForm(Form):
    """A decision about the wording with this number."""

    revision = IntegerField(
        widget=HiddenInput(),
        validators=[InputRequired("Look at the comment first: the form did not say which wording you saw.")],
    )


class ReasonedForm(DecisionForm):
    """A decision that its writer is told the reason for."""

    reason = RadioField("Reason", validators=[InputRequired("Choose a reason.")])
    note = TextAreaField(
        "Note",
        filters=[normalise],
        validators=[Length(max=MAX_NOTE, message=TOO_LONG)],
    )

    def __init__(self, *given: Any, **values: Any) -> None:
        super().__init__(*given, **values)
        self.reason.choices = options(offered())

    def validate_note(self, field: TextAreaField) -> None:
        """Ask for the note where the reason alone says nothing."""
        if self.reason.data == NEEDS_NOTE and not field.data:
            raise ValidationError("Say in the note what the reason is.")


class NoteForm(Form):
    """A few words about a discussion that is closed."""

    note = TextAreaField(
        "Closing note",
        filters=[normalise],
        validators=[Length(max=MAX_NOTE, message=TOO_LONG)],
    )


class NarrowForm(Form):
    """A GET form over a list; what it does not understand narrows nothing."""

    q = StringField("Find", filters=[lambda text: one_line(text)[:100]])
    essay = SelectField("Essay", validators=[Optional()], validate_choice=False)

    def __init__(self, given: Any, essays: list[tuple[int, str]]) -> None:
        super().__init__(given)
        self._essay_ids = {row_id for row_id, _ in essays}
        titles = {str(row_id): title for row_id, title in essays}
        self.essay.choices = options({"": "All essays"} | titles)

    @property
    def essay_id(self) -> int | None:
        """Return the essay that was chosen, None for all."""
        given = row_number(self.essay.data)
        return given if given in self._essay_ids else None


class QueueForm(NarrowForm):
    """Which waiting comments to show."""

    cause = SelectField("Why it waits", validate_choice=False)
    order = SelectField("Order", choices=options(ORDERS), default="oldest", validate_choice=False)


class LogForm(NarrowForm):
    """Which decisions to show."""

    act = SelectField("What", validate_choice=False)
