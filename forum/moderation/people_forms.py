"""The forms about people: why, for how long, a note."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from wtforms import BooleanField, DateField, Field, IntegerField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from forum import clock
from forum.text.normal import normalise, one_line
from forum.web import Form

LONGEST_REASON = 300
LONGEST_NOTE = 2_000
LONGEST_WARNING = 1_000
LONGEST_DAYS = 3_650


class WholeNumber(IntegerField):
    """A number, with a sentence of our own for what is none."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was typed. Raises: ValueError, shown beside the field."""
        try:
            super().process_formdata(valuelist)
        except ValueError as wrong:
            raise ValueError("Type a whole number.") from wrong


class Day(DateField):
    """A date, with a sentence of our own for what is none."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was typed. Raises: ValueError, shown beside the field."""
        try:
            super().process_formdata([one_line(value) for value in valuelist])
        except ValueError as wrong:
            raise ValueError("Type a date as year-month-day, such as 2027-01-31.") from wrong


class ReasonForm(Form):
    """An act that needs nothing but its reason."""

    reason = StringField(
        "Reason",
        filters=[one_line],
        validators=[
            DataRequired("Give a reason in one sentence."),
            Length(max=LONGEST_REASON, message="Keep the reason under %(max)d characters."),
        ],
    )

    @property
    def why(self) -> str:
        """Return the reason that was given."""
        return self.reason.data or ""

    def named(self, act: str) -> "ReasonForm":
        """Set the fields' ids apart from those of the other forms on the page."""
        for field in _fields(self):
            field.id = f"{act}-{field.name.replace('_', '-')}"
            field.label.field_id = field.id
        return self


class UntilForm(ReasonForm):
    """How long a person may not write: for some days from now, or until a date; without either it has no end."""

    days = WholeNumber(
        "Days",
        validators=[Optional(), NumberRange(1, LONGEST_DAYS, "Give %(min)d to %(max)d days.")],
    )
    until = Day("Or until", validators=[Optional()])

    def validate_until(self, field: Field) -> None:
        """Hold the date to the same bounds as the days. Raises: ValidationError."""
        if field.data is None or field.errors:
            return
        if self.days.data is not None:
            raise ValidationError("Give the days or the date, not both.")
        until, now = _first_moment(field.data), clock.now()
        if until <= now:
            raise ValidationError("Choose a date in the future.")
        if until > now + timedelta(days=LONGEST_DAYS):
            raise ValidationError("Choose a date within ten years, or ban the person without an end.")

    @property
    def end(self) -> datetime | None:
        """Return the end that a valid form gives, None for none."""
        if self.until.data is not None:
            return _first_moment(self.until.data)
        return None if self.days.data is None else clock.now() + timedelta(days=self.days.data)


class SuspendForm(UntilForm):
    """How long a suspension lasts; one of the two ends has to be given."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Tell whether the form can be used."""
        fine = super().validate(extra_validators)
        if self.days.errors or self.until.errors or self.days.data is not None or self.until.data:
            return fine
        self.days.errors = [*self.days.errors, "Say for how many days, or until which date."]
        return False

    def ends_at(self) -> datetime:
        """Return the end of the suspension, of a form that is valid."""
        return self.end or clock.now()


class BanForm(UntilForm):
    """How long a ban lasts, and whether it hides the person's comments."""

    hide_comments = BooleanField("Hide their comments")


class WarnForm(ReasonForm):
    """What a person is warned of; the words stand for the reason."""

    reason = None  # type: ignore[assignment]
    words = TextAreaField(
        "What you warn them of",
        filters=[normalise],
        validators=[
            DataRequired("Write what they are warned of."),
            Length(max=LONGEST_WARNING, message="Keep the warning under %(max)d characters."),
        ],
    )

    @property
    def why(self) -> str:
        """Return the warning that was typed."""
        return self.words.data or ""


class NoteForm(ReasonForm):
    """A note about a person; the note is all there is to say, so it stands for the reason."""

    reason = None  # type: ignore[assignment]
    note = TextAreaField(
        "Note",
        filters=[normalise],
        validators=[
            DataRequired("Write the note first."),
            Length(max=LONGEST_NOTE, message="Keep the note under %(max)d characters."),
        ],
    )

    @property
    def words(self) -> str:
        """Return the note that was typed."""
        return self.note.data or ""


class ConfirmForm(Form):
    """That a person read a warning: which, and where they go on."""

    seen = StringField()
    next = StringField()


def _first_moment(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)


def _fields(form: Form) -> Iterator[Field]:
    yield from form
