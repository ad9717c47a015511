"""What we send a reader: each letter at once, in a digest, or never."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, exists, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forum.accounts.signals import joined
from forum.accounts.user import User
from forum.database import Base, db, insert_unless_there, one_of, reference
from forum.outbox.message import drop_unsent


class Letter(StrEnum):
    """The kinds of mail that a reader can stop."""

    ESSAYS = "essays"
    REPLIES = "replies"
    FOLLOWED = "followed"
    DECISIONS = "decisions"
    MODERATION = "moderation"


class Pace(StrEnum):
    """How often."""

    NOW = "now"
    DAILY = "daily"
    WEEKLY = "weekly"
    NEVER = "never"


PACES: Mapping[Letter, tuple[Pace, ...]] = {
    Letter.ESSAYS: tuple(Pace),
    Letter.REPLIES: tuple(Pace),
    Letter.FOLLOWED: tuple(Pace),
    Letter.DECISIONS: (Pace.NOW, Pace.NEVER),
    Letter.MODERATION: (Pace.NOW, Pace.DAILY, Pace.NEVER),  # for staff; "now" is every few hours at most
}
"""The choices that there are for each letter."""

USUAL: Mapping[Letter, Pace] = {
    Letter.ESSAYS: Pace.NOW,
    Letter.REPLIES: Pace.NOW,
    Letter.FOLLOWED: Pace.DAILY,
    Letter.DECISIONS: Pace.NOW,
    Letter.MODERATION: Pace.NOW,
}
"""What holds for who has chosen nothing: an account is a subscription."""


NAMES: Mapping[Letter, str] = {
    Letter.ESSAYS: "new essays",
    Letter.REPLIES: "answers to you",
    Letter.FOLLOWED: "news of what you follow",
    Letter.DECISIONS: "decisions on your comments",
    Letter.MODERATION: "word of comments that wait for you",
}
"""What each is called in a sentence: "You get no more … by mail"."""


class Choice(Base):
    """One reader's choice for one letter, where they made one."""

    __tablename__ = "letter_choice"

    user_id: Mapped[int] = reference("user.id", index=False, primary_key=True)
    letter: Mapped[str] = mapped_column(String(20), primary_key=True)
    pace: Mapped[Pace] = one_of(Pace)


def choices_of(user: User) -> dict[Letter, Pace]:
    """Return a person's pace for every letter that there is for them. One query."""
    rows = db.session.execute(select(Choice.letter, Choice.pace).where(Choice.user_id == user.id))
    chosen = {row.letter: row.pace for row in rows}
    return {
        letter: chosen.get(letter.value, usual)
        for letter, usual in USUAL.items()
        if user.may_moderate or letter != Letter.MODERATION
    }


def pace_of(user: User, letter: Letter) -> Pace:
    """Return how often a person gets a letter."""
    row = db.session.get(Choice, (user.id, letter.value))
    return row.pace if row else USUAL[letter]


def choose(user: User, letter: Letter, pace: Pace) -> None:
    """Set how often a person gets a letter; stopped, what has not left yet does not leave any more."""
    mine = {"user_id": user.id, "letter": letter.value}
    # A mail program may send its one click twice at once.
    db.session.execute(insert_unless_there(Choice, **mine, pace=pace))
    db.session.execute(update(Choice).filter_by(**mine).values(pace=pace))
    if pace == Pace.NEVER:
        drop_unsent(user.id, letter.value)


def gets(letter: Letter, *paces: Pace) -> ColumnElement[bool]:
    """Return the condition on users who get a letter at one of these paces."""
    mine = select(Choice.user_id).where(Choice.user_id == User.id, Choice.letter == letter.value)
    chosen = exists(mine.where(Choice.pace.in_(paces)))
    return chosen | ~exists(mine) if USUAL[letter] in paces else chosen


@joined.connect
def _keep_wishes(user: User, *, wishes: Collection[str], is_new: bool, **_: Any) -> None:
    """Keep what somebody ticked as they subscribed; an old account is only given more, never less."""
    for letter in (Letter.ESSAYS, Letter.REPLIES):
        if is_new and letter.value not in wishes:
            choose(user, letter, Pace.NEVER)
        elif not is_new and letter.value in wishes and pace_of(user, letter) == Pace.NEVER:
            choose(user, letter, Pace.NOW)
