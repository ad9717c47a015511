"""The mail to who moderates: how much waits for them, since when, and the first of it."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, select

from forum.accounts.user import Role, Standing, User, lock_users
from forum.database import db, looking
from forum.discussion.comment import Comment
from forum.moderation.cards import Card
from forum.moderation.queue import Filters, Overview, how_long, may_use_desk, overview, waiting
from forum.notifications.gathering import digest_moment
from forum.outbox.message import Message, send
from forum.site.settings import site_settings
from forum.subscriptions.letters import NAMES, Letter, Pace, gets, pace_of
from forum.text.excerpt import first_line

SHOWN = 5
LONGEST_SHOWN = 300
KIND = "moderation"


def tell_moderators(now: datetime) -> int:
    """Tell who moderates what waits for them, as often as they and the settings say; returns how many mails it is.

    Nobody is told twice of the same, nor of nothing. Commits after each person.
    """
    return sum(_tell(user_id, now) for user_id in _who_may_be_told(now))


def _who_may_be_told(now: datetime) -> list[int]:
    """Return who moderates, wants this letter, and had none for long enough. One query, which holds up nobody."""
    with looking():
        when = {"now": now, "long_ago": now - _between(), "today": digest_moment(Pace.DAILY, now)}
        return list(db.session.scalars(_may_be_told(), when))


@cache
def _may_be_told() -> Select[int]:
    """Return the select, which takes longer to put together than to run."""
    now: Any = bindparam("now")
    mails = select(func.max(Message.created_at)).where(Message.user_id == User.id, Message.kind == KIND)
    last = mails.scalar_subquery()
    at_once = gets(Letter.MODERATION, Pace.NOW) & (last <= bindparam("long_ago"))
    daily = gets(Letter.MODERATION, Pace.DAILY) & (last < bindparam("today"))
    never_yet = gets(Letter.MODERATION, Pace.NOW, Pace.DAILY) & last.is_(None)
    something_waits = exists(select(Comment.id).where(Comment.waits_since.is_not(None)))
    return (
        select(User.id)
        .where(
            User.role.in_(set(Role) - {Role.READER}),  # by the index, past all readers
            User.has_standing(Standing.ACTIVE, now) | User.has_standing(Standing.HELD, now),
            User.email_confirmed_at.is_not(None),
            at_once | daily | never_yet,
            something_waits,
        )
        .order_by(User.id)
    )


def _tell(user_id: int, now: datetime) -> bool:
    """Write one person's mail, if there is news for them; two workers take turns."""
    [user] = lock_users(User.id == user_id)
    numbers = overview(user)
    is_told = may_use_desk(user, now) and _is_news(user, numbers, now)
    if is_told:
        _write(user, numbers, now)
    db.session.commit()
    return is_told


def _is_news(user: User, numbers: Overview, now: datetime) -> bool:
    """Tell whether a person is to hear of what waits: daily while anything does, else when something has come."""
    if numbers.oldest is None or numbers.newest is None:
        return False
    last = _last_told(user)
    if pace_of(user, Letter.MODERATION) == Pace.DAILY:
        moment = digest_moment(Pace.DAILY, now)
        return numbers.oldest < moment and (last is None or last < moment)
    return last is None or (last <= now - _between() and last < numbers.newest)


def _write(user: User, numbers: Overview, now: datetime) -> None:
    send(
        KIND,
        user.email,
        user_id=user.id,
        letter=Letter.MODERATION,
        total=numbers.total,
        waited=how_long(now - (numbers.oldest or now)),
        first=[_shown(card) for card in waiting(user, Filters()).rows[:SHOWN]],
        what=NAMES[Letter.MODERATION],
    )


def _last_told(user: User) -> datetime | None:
    mine = (Message.user_id == user.id) & (Message.kind == KIND)
    return db.session.scalar(select(func.max(Message.created_at)).where(mine))


def _shown(card: Card) -> dict[str, str]:
    """Return one waiting comment as the mail shows it."""
    comment = card.comment
    return {
        "name": comment.author.name,
        "title": card.essay.title,
        "why": ", ".join(chip.words for chip in card.chips),
        "words": first_line(card.newest.source, LONGEST_SHOWN),
        "url": f"{comment.address}#moderate",
    }


def _between() -> timedelta:
    return timedelta(hours=site_settings().moderation_digest_hours)
