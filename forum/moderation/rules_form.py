"""The form of the rules: a switch, numbers and lists for each; a field that is not sent stays as it is in force."""

from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.datastructures import MultiDict
from wtforms import Field, HiddenField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import InputRequired, Length, NumberRange, ValidationError

from forum.accounts.address import BadAddress, clean_domain
from forum.discussion.rules import KINDS, Kind, Number, Rule
from forum.moderation.people_forms import ReasonForm, WholeNumber
from forum.text.normal import normalise, one_line
from forum.text.phrases import LONGEST_PHRASE, MOST_PHRASES, MOST_WORDS_IN_PHRASE, has_words, words_of

LONGEST_NOTE = 1_000
LONGEST_SENTENCE = 200
MOST_DOMAINS = 1_000


class RulesForm(ReasonForm):
    """Every rule; the fields of each are added below the class, named after it: `links-on`, `links-links`."""

    seen = HiddenField()  # the newest change when the page was opened

    def __init__(self, given: Mapping[str, str], in_force: Mapping[str, Rule]) -> None:
        super().__init__(formdata=MultiDict(as_typed(in_force.values()) | dict(given)))

    def rule(self, code: str) -> Rule:
        """Return a rule as it was typed, of a form that is valid."""
        kind = KINDS[code]
        values = {name: self[f"{code}-{name}"].data for name in kind.defaults}
        is_on = self[f"{code}-on"].data if has_switch(kind) else any(values.values())
        return Rule(kind, is_on, values)

    def is_fit(self, code: str) -> bool:
        """Tell whether what was typed for one rule can be used, with the reasons beside the fields where not."""
        checked = [self[name].validate(self) for name in field_names(KINDS[code])]
        return all(checked)


def has_switch(kind: Kind) -> bool:
    """Tell whether a rule is switched on and off; an empty list of domains needs no switch."""
    return kind.code != "domains"


def field_names(kind: Kind) -> list[str]:
    """Return the names of the fields of a rule, its switch first."""
    names = [*(["on"] if has_switch(kind) else []), *kind.defaults]
    return [f"{kind.code}-{name}" for name in names]


def tried_names(kind: Kind) -> list[str]:
    """Return the names of the fields that change what a rule catches."""
    return [f"{kind.code}-{name}" for name in (*kind.numbers, "words") if name in kind.defaults]


def as_typed(rules: Iterable[Rule]) -> dict[str, str]:
    """Return what stands in the fields of rules, by their names."""
    typed: dict[str, str] = {}
    for rule in rules:
        values = {"on": rule.is_on, **rule.values} if has_switch(rule.kind) else dict(rule.values)
        typed |= {f"{rule.kind.code}-{name}": _typed(value) for name, value in values.items()}
    return typed


def _typed(value: Any) -> str:
    return "\n".join(value) if isinstance(value, list) else str(value)


def _lines(text: str | None) -> list[str]:
    """Return the lines of a list, each once, without those that are empty."""
    return list(dict.fromkeys(filter(None, (one_line(line) for line in normalise(text).splitlines()))))


class ListField(TextAreaField):
    """A list, one entry a line."""

    def _value(self) -> str:
        return "\n".join(self.data) if isinstance(self.data, list) else str(self.data or "")


def _check_words(_form: Any, field: Field) -> None:
    if len(field.data) > MOST_PHRASES:
        raise ValidationError(f"Keep the list to {MOST_PHRASES} lines.")
    for phrase in field.data:
        if len(phrase) > LONGEST_PHRASE or sum(1 for _ in words_of(phrase)) > MOST_WORDS_IN_PHRASE:
            most = f"{LONGEST_PHRASE} characters and {MOST_WORDS_IN_PHRASE} words"
            raise ValidationError(f"“{phrase[:40]}” is too long. A line has at most {most}.")
        if not has_words(phrase):
            raise ValidationError(
                f"“{phrase}” has no letters or digits, so no comment can be searched for it."
            )


def _check_domains(_form: Any, field: Field) -> None:
    if len(field.data) > MOST_DOMAINS:
        raise ValidationError(f"Keep the list to {MOST_DOMAINS:,} domains.")
    try:
        field.data = list(dict.fromkeys(clean_domain(line) for line in field.data))
    except BadAddress as wrong:
        raise ValidationError(str(wrong)) from wrong


def _check_needs_words(form: Any, field: Field) -> None:
    if field.data and not form["words-words"].data:
        raise ValidationError("List the words first, or leave this off.")


def _check_hours(form: Any, field: Field) -> None:
    if form["hours-on"].data and field.data == form["hours-first"].data:
        raise ValidationError("Choose two different hours.")


def _is_on(value: object) -> bool:
    return value in (True, "True")


def _switch(label: str, *more: Any, yes: str = "On", no: str = "Off") -> Any:
    choices = [SelectChoice(True, yes), SelectChoice(False, no)]
    return RadioField(label, choices=choices, coerce=_is_on, validators=[*more])


def _number(number: Number, *more: Any) -> Any:
    bounds = NumberRange(
        number.least, number.most, f"Type a number from {number.least:,} to {number.most:,}."
    )
    return WholeNumber(number.label, validators=[InputRequired("Type a number."), bounds, *more])


def _other(name: str) -> Any:
    match name:
        case "words":
            return ListField("Words and phrases", filters=[_as_list], validators=[_check_words])
        case "domains":
            return ListField("Domains", filters=[_as_list], validators=[_check_domains])
        case "says":
            short = Length(max=LONGEST_SENTENCE, message="Keep the sentence under %(max)d characters.")
            return StringField("What the writer is told", filters=[one_line], validators=[short])
        case "shows":
            return _switch("Tell the writer which words", yes="Yes", no="No")
    fits = Length(max=LONGEST_NOTE, message="Keep the note under %(max)d characters.")
    return TextAreaField("Closing note", filters=[normalise], validators=[fits])


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else _lines(value)


def _add_fields() -> None:
    for code, kind in KINDS.items():
        if has_switch(kind):
            checks = [_check_needs_words] if code == "words" else []
            setattr(RulesForm, f"{code}-on", _switch(code, *checks))
        for name, number in kind.numbers.items():
            checks = [_check_hours] if (code, name) == ("hours", "last") else []
            setattr(RulesForm, f"{code}-{name}", _number(number, *checks))
        for name in kind.others:
            setattr(RulesForm, f"{code}-{name}", _other(name))


_add_fields()
