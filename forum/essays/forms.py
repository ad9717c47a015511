"""What authors send: the words of an essay, its settings, when it is to appear, a picture."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask_wtf.file import FileField
from wtforms import (
    DateField,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import Optional

from forum import clock
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.publishing import split_tags
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayWords
from forum.site.settings import Premoderation
from forum.text.normal import normalise, one_line
from forum.web import Form

ACCESS_WORDS = {
    Access.PUBLIC: "Everyone",
    Access.SUBSCRIBERS: "Subscribers",
    Access.PAID: "Supporters, who pay",
}
COMMENT_WORDS = {
    CommentPolicy.SUBSCRIBERS: "Subscribers",
    CommentPolicy.PAID: "Supporters, who pay",
    CommentPolicy.AUTHOR_ONLY: "Only you",
    CommentPolicy.OFF: "Nobody",
}
WAITING_WORDS = {
    "": "As the site says",
    Premoderation.ALL: "All comments",
    Premoderation.FIRST: "The first comments of new readers",
    Premoderation.NONE: "No comments",
}


def _choices(words: Mapping[Any, str]) -> list[SelectChoice]:
    """Return the choices of a field; used while the classes below are made."""
    return [SelectChoice(str(value), label) for value, label in words.items()]


class EssayForm(Form):
    """The words of an essay. `version` is that of the draft which the author had before them."""

    title = StringField("Title", filters=[one_line])
    subtitle = StringField("Standfirst", filters=[one_line])
    body = TextAreaField("Essay", filters=[normalise])
    version = HiddenField(filters=[lambda typed: typed or "0"])

    @classmethod
    def of(cls, words: EssayWords, version: int) -> "EssayForm":
        """Return the form filled with what was saved."""
        return cls(
            formdata=None,
            title=words.title,
            subtitle=words.subtitle,
            body=words.source,
            version=str(version),
        )

    def words(self) -> EssayWords:
        """Return what was typed, in its normal form."""
        return EssayWords(self.title.data or "", self.subtitle.data or "", self.body.data or "")

    def based_on(self) -> int:
        """Return the version of the draft that was seen; -1, which never was, for nonsense."""
        return version_number(self.version.data)


class SettingsForm(Form):
    """What surrounds the words of an essay."""

    slug = StringField("Address", filters=[one_line])
    tags = StringField("Tags", filters=[one_line])
    access = SelectField("Who may read all of it", choices=_choices(ACCESS_WORDS))
    comments = SelectField("Who may comment", choices=_choices(COMMENT_WORDS))
    premoderation = SelectField("Which comments wait for you", choices=_choices(WAITING_WORDS))
    closing = TextAreaField("Closing line", filters=[normalise])

    @classmethod
    def of(cls, essay: Essay) -> "SettingsForm":
        """Return the form filled with an essay's settings."""
        return cls(
            formdata=None,
            slug=essay.slug,
            tags=", ".join(tag.label for tag in essay.tags),
            access=essay.access.value,
            comments=essay.comments.value,
            premoderation=essay.premoderation.value if essay.premoderation else "",
            closing=essay.closing,
        )

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `change_settings`; the form has been validated."""
        return {
            "slug": self.slug.data or "",
            "tags": split_tags(self.tags.data or ""),
            "access": Access(self.access.data),
            "comments": CommentPolicy(self.comments.data),
            "premoderation": Premoderation(self.premoderation.data) if self.premoderation.data else None,
            "closing": self.closing.data or "",
        }


class PublishForm(Form):
    """Where and when an essay is to appear; the time is in UTC. `version` is that of the draft which was shown."""

    where = RadioField(
        "Where should it appear?",
        choices=_choices({"mail": "On the site and by e-mail", "site": "On the site only"}),
        default="site",  # of a form that does not ask: nobody gets a mail that was not wished for
    )
    when = RadioField(
        "When should it appear?",
        choices=_choices({"now": "Now", "later": "At a time of my choice"}),
        default="now",
    )
    date = DateField("Date", validators=[Optional()])
    time = TimeField("Time, in UTC", validators=[Optional()])
    version = HiddenField(filters=[lambda typed: typed or "0"])

    @property
    def is_to_be_sent(self) -> bool:
        """Tell whether subscribers are to get it by mail."""
        return bool(self.where.data == "mail")

    @property
    def moment(self) -> datetime | None:
        """Return the chosen moment, aware, in UTC; None means now."""
        if self.when.data != "later" or self.date.data is None or self.time.data is None:
            return None
        return datetime.combine(self.date.data, self.time.data, tzinfo=UTC)

    def validate(self, extra_validators: Any = None) -> bool:
        """Ask for a moment that lies ahead, if a moment is to be chosen.

        Checks on the fields themselves would not do: they are left out for empty fields.
        """
        valid: bool = super().validate(extra_validators)
        if self.when.data != "later":
            return valid
        for field, missing in (
            (self.date, "Give the date on which it should appear."),
            (self.time, "Give the time at which it should appear, in UTC."),
        ):
            if field.data is None and not field.errors:
                field.errors = [missing]
        if self.moment is not None and self.moment <= clock.now():
            self.date.errors = ["That moment has passed. Choose a later one, or publish now."]
        return valid and not self.date.errors and not self.time.errors


class WithdrawForm(Form):
    """Why an essay is withdrawn; asked of those who did not write it."""

    reason = TextAreaField("Reason", filters=[normalise])


class PictureForm(Form):
    """A picture and what it shows, for those who cannot see it."""

    picture = FileField("Picture")
    alt = StringField("Alternative text", filters=[one_line])


def version_number(typed: str | None) -> int:
    """Return a version that a form names; -1, which no draft has, for nonsense."""
    return int(typed) if typed and typed.isascii() and typed.isdigit() and len(typed) < 10 else -1


def add_refusal(form: Form, refusal: EssayRefused) -> None:
    """Put the sentence of a refusal beside the field that it is about."""
    fields = {field.name: field for field in form}
    field = fields.get(refusal.field)
    if field is None:
        form.form_errors.append(str(refusal))
    else:
        field.errors = [*field.errors, str(refusal)]
