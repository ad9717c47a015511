"""What moderators send to move, merge or redact a comment."""

from wtforms import IntegerField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from forum.moderation.forms import DecisionForm, ReasonedForm
from forum.text.markdown import MAX_CHARACTERS
from forum.text.normal import normalise, one_line
from forum.web import Form

FEWEST = 3
"""Of a letter or two nobody could say where it does not stand."""


class TargetForm(Form):
    """Where a comment goes, or which one it says the same as."""

    target = StringField(
        "Where to",
        filters=[lambda text: one_line(text)[:500]],
        validators=[InputRequired("Paste the address of the place.")],
    )


class MergeForm(TargetForm, DecisionForm):
    """Which comment goes and which stays, each with the wording that was seen."""

    target_revision = IntegerField(widget=HiddenInput(), validators=[Optional()])


class RedactForm(ReasonedForm):
    """The words to take out of a comment, and why."""

    words = TextAreaField(
        "The words to black out",
        filters=[normalise],
        validators=[
            InputRequired("Paste the words to black out."),
            Length(max=MAX_CHARACTERS, message="Black out less than a whole comment, or hide it instead."),
        ],
    )

    def validate_words(self, field: TextAreaField) -> None:
        """Refuse what stands everywhere."""
        if sum(letter.isalnum() for letter in field.data or "") < FEWEST:
            raise ValidationError(f"Give at least {FEWEST} letters or digits.")
