"""The filter that was learned from decisions: what it knows, and which new words look like what is removed."""

from datetime import datetime
from typing import Any

from flask import current_app, g
from sqlalchemy import JSON, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, Id, Moment, db
from forum.discussion.rules import rule
from forum.site.settings import site_settings
from forum.text.likeness import Likeness, likeness, words_that_weigh

SUSPECT_FROM = 0.8
"""How likely removing must be for a comment to wait. By measuring (docs/decisions/0012): of a hundred that wait
for it 94 or more are rightly there, also on a subject that it was not learned on."""

MOST_WORDS_SHOWN = 5

Training = tuple[int, datetime]
"""Which training it was: its id and moment."""
Newest = tuple[Training | None, Likeness | None]
"""Which training was the newest, and what it taught if it is good enough to be asked."""


class LearnedFilter(Base):
    """One training, on this machine, from the decisions until then. The newest row is in force."""

    __tablename__ = "learned_filter"

    id: Mapped[Id]
    trained_at: Mapped[Moment]
    decisions: Mapped[int]
    """From how many decisions it was learned."""
    last_event_id: Mapped[int]
    measured: Mapped[dict[str, Any]] = mapped_column(JSON)
    """How it did on recent decisions that it had not seen."""
    model: Mapped[dict[str, Any]] = mapped_column(JSON)

    @property
    def likeness(self) -> Likeness:
        """Return what it knows of words."""
        return Likeness(self.model.get("bias", 0.0), self.model.get("weights", {}))

    @property
    def is_good_enough(self) -> bool:
        """Tell whether it did well enough to be asked about new comments."""
        return bool(self.measured.get("is_good_enough"))


def suspects(source: str, accepted_before: int) -> bool:
    """Tell whether new words look like what is removed, for the desk to have a look; nobody is refused for it.

    Never of a person of whom as many comments were posted as the rule of trust asks for, whether that rule is
    on or off. At most one small query for the first call in a request, none while the filter is switched off.
    """
    if accepted_before >= rule("trusted").values["comments"]:
        return False
    learned = _in_force()
    return learned is not None and likeness(learned, source) >= SUSPECT_FROM


def know_newest(training: Training | None) -> None:
    """Spare this request the question which training is the newest: it was read together with other things."""
    g.newest_training = training


def words_that_weighed(source: str) -> list[str]:
    """Return the few words of a text that look most like what is removed, as they are compared.

    One small query for the first call in a request; nothing while the filter is off.
    """
    learned = _in_force()
    return words_that_weigh(learned, source, MOST_WORDS_SHOWN) if learned else []


def _in_force() -> Likeness | None:
    if not site_settings().learns:
        return None
    if "likeness" not in g:
        g.likeness = _newest()
    learned: Likeness | None = g.likeness
    return learned


def _newest() -> Likeness | None:
    """Return what the newest training taught; read once by each process, as it takes a hundred kilobytes."""
    training = g.newest_training if "newest_training" in g else _newest_training()
    known: Newest = current_app.extensions.get("learned_filter", (None, None))
    if known[0] != training:
        row = db.session.get(LearnedFilter, training[0]) if training else None
        known = (training, row.likeness if row is not None and row.is_good_enough else None)
        current_app.extensions["learned_filter"] = known
    return known[1]


def _newest_training() -> Training | None:
    newest = select(LearnedFilter.id, LearnedFilter.trained_at).order_by(LearnedFilter.id.desc()).limit(1)
    row = db.session.execute(newest).first()
    return (row.id, row.trained_at) if row else None
