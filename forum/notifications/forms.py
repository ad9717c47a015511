"""What a reader chooses: how often they get each letter."""

from collections.abc import Mapping

from wtforms import RadioField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older
from wtforms.validators import InputRequired

from forum.site.settings import site_settings
from forum.subscriptions.letters import PACES, Letter, Pace
from forum.web import Form

PACE_WORDS = {
    Pace.NOW: "At once",
    Pace.DAILY: "Once a day",
    Pace.WEEKLY: "Once a week",
    Pace.NEVER: "Never",
}


def _pace_field(letter: Letter, label: str, description: str) -> RadioField:
    needed = [InputRequired("Choose how often.")]
    return RadioField(label, description=description, choices=_choices(letter), validators=needed)


def _choices(letter: Letter, at_once: str = PACE_WORDS[Pace.NOW]) -> list[SelectChoice]:
    words = {**PACE_WORDS, Pace.NOW: at_once}
    return [SelectChoice(pace.value, words[pace]) for pace in PACES[letter]]


class LettersForm(Form):
    """A pace for every letter that there is for the person; each field is named as its letter."""

    essays = _pace_field(
        Letter.ESSAYS, "New essays", "Each essay when it is published, as much of it as you may read."
    )
    replies = _pace_field(
        Letter.REPLIES, "Answers to you", "What somebody answered to a comment of yours, whole."
    )
    followed = _pace_field(
        Letter.FOLLOWED,
        "Threads and discussions that you follow",
        "New comments where you pressed the button to follow.",
    )
    decisions = _pace_field(
        Letter.DECISIONS,
        "Decisions on your comments",
        "That a comment of yours was posted, or was not and why, or what came of your appeal.",
    )
    moderation = _pace_field(
        Letter.MODERATION,
        "Comments that wait for you",
        "How many wait for a moderator, and the oldest of them.",
    )

    def __init__(self, paces: Mapping[Letter, Pace]) -> None:
        super().__init__(data={letter.value: pace.value for letter, pace in paces.items()})
        if Letter.MODERATION in paces:
            self.moderation.choices = _choices(
                Letter.MODERATION, _at_most_every(site_settings().moderation_digest_hours)
            )
        else:
            del self.moderation

    def chosen(self) -> dict[Letter, Pace]:
        """Return what was chosen, of a form that is valid."""
        return {Letter(field.name): Pace(field.data) for field in self}


def _at_most_every(hours: int) -> str:
    return (
        f"When some wait, at most every {hours} hours"
        if hours > 1
        else "When some wait, at most once an hour"
    )
