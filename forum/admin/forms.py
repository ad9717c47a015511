"""The forms of the admin pages."""

from enum import StrEnum
from typing import Any

from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    Field,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import (
    AnyOf,
    DataRequired,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    ValidationError,
)

from forum.accounts.address import BadAddress, clean_address
from forum.accounts.user import Role
from forum.moderation.people_forms import LONGEST_REASON, Day, ReasonForm, WholeNumber
from forum.site.settings import LONGEST_HOUSE_RULES, LONGEST_TAGLINE, NUMBERS, SWITCHES
from forum.subscriptions.periods import Deed, ending, extending, granting, last_moment
from forum.subscriptions.subscription import Kind
from forum.subscriptions.tier import Words
from forum.text.names import BadName, clean_name
from forum.text.normal import normalise, one_line

LONGEST_EXTENSION_DAYS = 3_650
LONGEST_NAME = 60
LONGEST_HOW = 300
LONGEST_GIVES = 1_000


class AddressForm(ReasonForm):
    """An act on an address, whether somebody here has it or not."""

    email = StringField("E-mail", filters=[one_line], validators=[DataRequired("Type an address.")])

    def validate_email(self, field: Field) -> None:
        """Say at the field why this is no address. Raises: ValidationError."""
        try:
            field.data = clean_address(field.data)
        except BadAddress as wrong:
            raise ValidationError(str(wrong)) from wrong

    @property
    def address(self) -> str:
        """Return the address, of a form that is valid, as accounts spell it."""
        return self.email.data or ""


class BounceForm(AddressForm):
    """A mail that came back, as somebody has seen it."""

    kind = RadioField(
        "What the answer says",
        choices=[
            SelectChoice("permanent", "The address does not exist any more"),
            SelectChoice("passing", "The mailbox is full, or cannot be reached for now"),
        ],
        validate_choice=False,
        validators=[AnyOf(["permanent", "passing"], "Choose one of the two.")],
    )


class RetryForm(ReasonForm):
    """Mails to be tried again; why is often plain, so the reason can be left out."""

    reason = StringField(
        "Reason",
        filters=[one_line],
        validators=[Length(max=LONGEST_REASON, message="Keep the reason under %(max)d characters.")],
    )


class RoleForm(ReasonForm):
    """Another role for a person."""

    role = SelectField(
        "Role",
        choices=[SelectChoice(role.value, role.value.capitalize()) for role in Role],
        validate_choice=False,
        validators=[AnyOf([role.value for role in Role], "Choose one of the roles.")],
    )


class NameForm(ReasonForm):
    """Another name for a person."""

    name = StringField("New name", filters=[one_line], validators=[DataRequired("Type the new name.")])

    @property
    def wanted(self) -> str:
        """Return the name that was typed."""
        return self.name.data or ""

    def validate_name(self, field: Field) -> None:
        """Say at the field why a name cannot be used. Raises: ValidationError."""
        try:
            clean_name(field.data)
        except BadName as wrong:
            raise ValidationError(str(wrong)) from wrong


class PeriodAct(StrEnum):
    """What an admin does to periods; each is the button's verb."""

    GRANT = "grant"
    EXTEND = "extend"
    END = "end"


class PeriodForm(ReasonForm):
    """What happens to the period of one person or of many: each act reads its own fields."""

    act = RadioField(
        "What to do",
        choices=[
            SelectChoice(PeriodAct.GRANT.value, "Grant a period"),
            SelectChoice(PeriodAct.EXTEND.value, "Extend the period they have"),
            SelectChoice(PeriodAct.END.value, "End the period they have"),
        ],
        validate_choice=False,
        validators=[AnyOf([act.value for act in PeriodAct], "Choose what to do.")],
    )
    kind = SelectField("Which", choices=[], validate_choice=False)
    until = Day("Until", validators=[Optional()])
    days = WholeNumber(
        "Or for days more",
        validators=[
            Optional(),
            NumberRange(1, LONGEST_EXTENSION_DAYS, "Extend by %(min)d to %(max)d days."),
        ],
    )

    def validate_kind(self, field: Field) -> None:
        """Ask for a kind where one is granted. Raises: ValidationError."""
        if self.act.data == PeriodAct.GRANT and field.data not in set(Kind):
            raise ValidationError("Choose paid or complimentary.")

    def validate(self, extra_validators: Any = None) -> bool:
        """Tell whether the form can be used; which ends it needs depends on the act."""
        fine = super().validate(extra_validators)
        if self.days.errors or self.until.errors or not (wrong := self._wrong_with_days()):
            return fine
        self.days.errors = [wrong]
        return False

    def _wrong_with_days(self) -> str:
        has_days, has_date = self.days.data is not None, self.until.data is not None
        if self.act.data != PeriodAct.EXTEND:
            return "Days are for extending. Give a date." if has_days else ""
        if has_days == has_date:
            return (
                "Give the days or the date, not both."
                if has_days
                else "Say until which date, or for how long."
            )
        return ""

    def deed(self) -> Deed:
        """Return what to do to each person's period, of a form that is valid."""
        until = last_moment(self.until.data) if self.until.data else None
        match PeriodAct(self.act.data):
            case PeriodAct.GRANT:
                return granting(Kind(self.kind.data), until)
            case PeriodAct.EXTEND:
                return extending(until=until, days=self.days.data)
            case PeriodAct.END:
                return ending(until)


class PeriodFileForm(ReasonForm):
    """A file of addresses with a kind and a date for each; its text travels in the form until it is used."""

    file = FileField("File")
    text = HiddenField()


class TierForm(ReasonForm):
    """What one tier says of itself."""

    name = StringField(
        "Name",
        filters=[one_line],
        validators=[
            DataRequired("Give the tier a name."),
            Length(max=LONGEST_NAME, message="Keep the name under %(max)d characters."),
        ],
    )
    price = StringField(
        "Price",
        filters=[one_line],
        validators=[Length(max=LONGEST_NAME, message="Keep the price under %(max)d characters.")],
    )
    gives = TextAreaField(
        "What it gives",
        filters=[normalise],
        validators=[Length(max=LONGEST_GIVES, message="Keep this under %(max)d characters.")],
    )
    how = StringField(
        "How to get it",
        filters=[one_line],
        validators=[Length(max=LONGEST_HOW, message="Keep this under %(max)d characters.")],
    )
    is_offered = BooleanField("Offer it to readers")

    def words(self) -> Words:
        """Return what was typed, of a form that is valid."""
        lines = [line.strip() for line in (self.gives.data or "").splitlines()]
        return Words(
            name=self.name.data or "",
            price=self.price.data or "",
            gives="\n".join(line for line in lines if line),
            how=self.how.data or "",
            is_offered=self.is_offered.data,
        )


class SettingsForm(ReasonForm):
    """Every setting that may be changed while the site runs; the numbers are added below the class."""

    tagline = StringField(
        "One sentence about the site",
        filters=[one_line],
        validators=[Length(max=LONGEST_TAGLINE, message="Keep the sentence under %(max)d characters.")],
    )
    house_rules = TextAreaField(
        "House rules",
        filters=[normalise],
        validators=[Length(max=LONGEST_HOUSE_RULES, message="Keep the rules under %(max)d characters.")],
    )
    seen = HiddenField()  # the newest change when the page was opened


for _name, _number in NUMBERS.items():
    _bounds = NumberRange(
        _number.least, _number.most, f"Type a number from {_number.least} to {_number.most}."
    )
    setattr(
        SettingsForm,
        _name,
        WholeNumber(_number.label, validators=[InputRequired("Type a number."), _bounds]),
    )


def _is_on(value: object) -> bool:
    return value in (True, "True")


for _name, _switch in SWITCHES.items():
    setattr(
        SettingsForm,
        _name,
        RadioField(
            _switch.label,
            choices=[SelectChoice(True, "On"), SelectChoice(False, "Off")],
            coerce=_is_on,
        ),
    )
