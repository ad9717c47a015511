"""What moderators send: a decision with the wording they saw, a reason and a note; how they narrow the lists."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import AnyOf, InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from forum.discussion.forms import ReasonField, row_number
from forum.discussion.reasons import NEEDS_NOTE
from forum.moderation.batch import DECISIONS, Item
from forum.moderation.queue import Filters, cause_named
from forum.text.normal import normalise, one_line
from forum.web import Form

MAX_NOTE = 1000
NOT_SEEN = "Look at the comment first: the form did not say which wording you saw."
TOO_LONG = f"Keep it to {MAX_NOTE:,} characters."

LARGEST = 2**31 - 1
"""The largest number of a wording that can be stored, so that a larger one is nonsense and no error."""

ORDERS = {"oldest": "Oldest first", "newest": "Newest first"}


def options(words: Mapping[Any, str]) -> list[Any]:
    """Return the choices of a field from words by value."""
    return [SelectChoice(str(value), label) for value, label in words.items()]


class NumberSeen(IntegerField):
    """The number of the wording that somebody saw, with a sentence of our own for what is none."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what the form says. Raises: ValueError, shown with it."""
        try:
            super().process_formdata(valuelist)
        except ValueError as wrong:
            raise ValueError(NOT_SEEN) from wrong


class DecisionForm(Form):
    """A decision about the wording with this number, which waited when it was seen, or did not."""

    revision = NumberSeen(widget=HiddenInput(), validators=[InputRequired(NOT_SEEN)])
    waits = HiddenField()


class WhyForm(Form):
    """A reason that a writer is told, with a note."""

    reason = ReasonField("Reason", validators=[InputRequired("Choose a reason.")])
    note = TextAreaField(
        "Note",
        filters=[normalise],
        validators=[Length(max=MAX_NOTE, message=TOO_LONG)],
    )

    def validate_note(self, field: TextAreaField) -> None:
        """Ask for the note where the reason alone says nothing."""
        if self.reason.data == NEEDS_NOTE and not field.data:
            raise ValidationError("Say in the note what the reason is.")


class ReasonedForm(DecisionForm, WhyForm):
    """A decision that its writer is told the reason for."""


class ManyForm(Form):
    """One decision about many comments, each with the wording that was seen, or about all that match."""

    do = HiddenField(validators=[AnyOf(DECISIONS, message="Say what to do: post, remove, or spam.")])
    item = SelectMultipleField(validate_choice=False)
    all = BooleanField()
    as_of = HiddenField()

    @property
    def items(self) -> list[Item]:
        """Return id and wording of each comment that was ticked, each once; nonsense is no comment."""
        pairs = (str(one).partition(":") for one in self.item.data or [])
        seen = {row_number(row_id): min(row_number(number), LARGEST) for row_id, _, number in pairs}
        return [*seen.items()]

    @property
    def moment(self) -> datetime | None:
        """Return when the page was made that this comes from."""
        return moment(self.as_of.data)

    def validate_item(self, _field: SelectMultipleField) -> None:
        """Ask for something to decide about."""
        if not self.items and not self.all.data:
            raise ValidationError("Choose at least one comment.")

    def validate_as_of(self, _field: HiddenField) -> None:
        """Ask since when all is meant that waits: what came later was not seen."""
        if self.all.data and self.moment is None:
            raise ValidationError("The form did not say which comments you saw. Open the desk again.")


class RemoveManyForm(ManyForm, WhyForm):
    """The removal of many comments, whose writers are told why."""


def moment(given: str | None) -> datetime | None:
    """Return the moment that a page was made at, as it says itself; None for nonsense."""
    try:
        found = datetime.fromisoformat(given or "")
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):  # such as the last hour of the year 9999 in another zone
        return None


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

    @property
    def is_understood(self) -> bool:
        """Tell whether all that it asks for narrows the queue: nobody decides about more than they saw."""
        has_essay = not self.essay.data or self.essay_id is not None
        return has_essay and (not self.cause.data or cause_named(self.cause.data) is not None)

    @property
    def filters(self) -> Filters:
        """Return what the queue is narrowed to."""
        is_newest_first = self.order.data == "newest"
        return Filters(cause_named(self.cause.data), self.essay_id, self.q.data or "", is_newest_first)


class LogForm(NarrowForm):
    """Which decisions to show."""

    act = SelectField("What", validate_choice=False)
