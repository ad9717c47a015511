"""What people fill in to sign up, to sign in and to change their account."""

from typing import Any

from wtforms import BooleanField, EmailField, Field, PasswordField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from forum.accounts.address import BadAddress, clean_address, is_at, is_disposable
from forum.accounts.password import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS
from forum.site.settings import site_settings
from forum.text.names import BadName, clean_name
from forum.text.normal import normalise, one_line
from forum.web import Form

MAX_ABOUT_CHARACTERS = 500


DISPOSABLE = (
    "Addresses of this kind last an hour or so. Use one that you keep. "
    "If you have an account with this one, sign in with it."
)
BLOCKED = (
    "Addresses at this domain are not taken here. Use another one. "
    "If you have an account with this one, sign in with it."
)


def address_field(label: str = "E-mail address", *, is_new: bool = False) -> Any:
    """Return a field that holds an address as it is stored, once it is valid.

    With `is_new` throw-away addresses are refused where the admin wants that, and those at blocked domains,
    whether or not one has an account: the answer must not tell.
    """

    def check(_form: Any, field: Field) -> None:
        try:
            field.data = clean_address(field.data)
        except BadAddress as error:
            raise ValidationError(str(error)) from None
        if is_new and site_settings().refuse_disposable and is_disposable(field.data):
            raise ValidationError(DISPOSABLE)
        if is_new and is_at(field.data, site_settings().blocked_domains):
            raise ValidationError(BLOCKED)

    return EmailField(label, [DataRequired("Write your e-mail address."), check], [one_line])


def name_field(*, optional: bool = False) -> Any:
    """Return a field that holds a name as it is stored, once it is valid; "" for none, where that is allowed."""

    def check(_form: Any, field: Field) -> None:
        try:
            field.data = clean_name(field.data)
        except BadName as error:
            raise ValidationError(str(error)) from None

    first = Optional() if optional else DataRequired("Write the name that others will see.")
    return StringField("Name", [first, check], [one_line])


def new_password_field(label: str, *, optional: bool = True) -> Any:
    """Return a field for a password that is chosen here: long enough, nothing else is asked of it."""
    length = Length(
        MIN_PASSWORD_CHARACTERS,
        MAX_PASSWORD_CHARACTERS,
        f"A password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters.",
    )
    first = Optional(strip_whitespace=False) if optional else DataRequired("Write the new password.")
    return PasswordField(label, [first, length])


class SignInForm(Form):
    """An address, and a password or none."""

    email = address_field()
    password = PasswordField("Password")


class WishesForm(Form):
    """What somebody would like to be sent; both are ticked beforehand, and asked for again before they count."""

    essays = BooleanField("Send me new essays (free)", default=True)
    replies = BooleanField("E-mail me when somebody answers", default=True)

    @property
    def wishes(self) -> frozenset[str]:
        """Return the letters that are ticked."""
        return frozenset(name for name in ("essays", "replies") if self[name].data)


class SignUpForm(WishesForm):
    """A name, an address, and a password or none."""

    name = name_field()
    email = address_field(is_new=True)
    password = new_password_field("Password")


class CodeForm(Form):
    """The six digits of a mail; `name` for a new account."""

    code = StringField("Code", [DataRequired("Write the six digits from the mail.")], [one_line])
    name = StringField("Name", filters=[one_line])


class LinkForm(Form):
    """What a mailed link may ask for a new account before it is used."""

    name = StringField("Name", filters=[one_line])
    new_password = new_password_field("Password")


class NameForm(Form):
    """A new name."""

    name = name_field()


class AboutForm(Form):
    """A few words on the person's page."""

    about = TextAreaField(
        "About you",
        [Length(max=MAX_ABOUT_CHARACTERS, message=f"Keep it to {MAX_ABOUT_CHARACTERS} characters.")],
        [normalise],
    )


class AddressForm(Form):
    """A new address; the password when there is one, since whoever has the address has the account."""

    email = address_field("New e-mail address", is_new=True)
    password = PasswordField("Your password")


class PasswordForm(Form):
    """A new password, and the one until now when there is one."""

    password = PasswordField("Your password until now")
    new_password = new_password_field("New password", optional=False)


class AppearanceForm(Form):
    """How pages look, whether single letters are keys, and what others are told of one's support."""

    theme = RadioField(
        "Colours",
        choices=[
            SelectChoice("", "As my device says"),
            SelectChoice("light", "Light"),
            SelectChoice("dark", "Dark"),
        ],
        default="",
    )
    keys = BooleanField("Single letters are keys, such as j for the next comment")
    support = BooleanField("Show that I am a supporter")
