"""A warning, and how who got it confirms that they read it."""

from forum.accounts.user import User, lock_users
from forum.discussion.change import Watch
from forum.discussion.event import Event
from forum.moderation.standing import note_on_person, subject
from forum.site import audit


def acknowledge(user: User, seen: str) -> Event | None:
    """Let a warned person write again: they have read the warning. None if it is not (any more) the one they saw."""
    lock_users(User.id == user.id)
    if not user.warning or warning_mark(user) != seen:
        return None
    watch = Watch(user)
    user.warning = ""
    event = note_on_person("acknowledge", user, user, watch)
    audit.record(user.id, "acknowledge", subject(user))
    return event


def warning_mark(user: User) -> str:
    """Return what tells one warning of a person from the next."""
    return user.warned_at.isoformat() if user.warned_at else ""
