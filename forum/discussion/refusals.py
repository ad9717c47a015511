"""Why somebody may not write here, in one sentence, where the composer would be."""

from datetime import datetime

from forum.accounts.user import Standing, User
from forum.database import db
from forum.essays.essay import CommentPolicy, Essay
from forum.subscriptions.subscription import State, Subscription, subscription_state

DAY = "%-d %B %Y"
AUTHOR_ONLY = "Only the author writes under this essay."
SUPPORTERS_ONLY = "Comments on this essay are for supporters."
STILL_READS = "You can still read."


def why_nobody(essay: Essay, now: datetime) -> str | None:
    """Return why nobody may comment on an essay just now, None where the discussion is open."""
    if not essay.is_published(now):
        return "The discussion opens when the essay is published."
    if essay.comments == CommentPolicy.OFF:
        return "Comments are off for this essay."
    if essay.discussion_closed_at is not None:
        return f"This discussion closed on {essay.discussion_closed_at.strftime(DAY)}."
    return None


def why_no_stranger(essay: Essay, now: datetime) -> str | None:
    """Return why nobody who signs in or up need begin to write, None where some of them may comment."""
    return why_nobody(essay, now) or (AUTHOR_ONLY if essay.comments == CommentPolicy.AUTHOR_ONLY else None)


def why_not(user: User, essay: Essay, now: datetime) -> str:
    """Return why a person may not comment on an essay just now; what concerns everybody comes first."""
    if sentence := why_nobody(essay, now):
        return sentence
    standing = user.standing(now)
    reason = f" Reason: {user.standing_reason.rstrip('.')}." if user.standing_reason else ""
    if standing == Standing.BANNED:
        return f"You cannot comment here any more.{reason} {STILL_READS}"
    if standing == Standing.SUSPENDED and user.suspended_until is not None:
        until = user.suspended_until.strftime(f"{DAY}, %H:%M UTC")
        return f"You cannot comment here until {until}.{reason} {STILL_READS}"
    if not user.is_confirmed:
        return "Confirm your e-mail address first: open the link that we sent you."
    if essay.comments == CommentPolicy.AUTHOR_ONLY:
        return AUTHOR_ONLY
    return _why_not_as_subscriber(user, essay, now)


def _why_not_as_subscriber(user: User, essay: Essay, now: datetime) -> str:
    state = subscription_state(user, now)
    if state in (State.GRACE, State.LAPSED):
        subscription = db.session.get_one(Subscription, user.id)
        ended = subscription.ends_at.strftime(DAY) if subscription.ends_at else ""
        if state == State.GRACE:
            return f"Your subscription ended on {ended}. You can go on in the threads that you began."
        return f"Your subscription ended on {ended}. Renew it to comment again; what you wrote stays yours."
    if essay.comments == CommentPolicy.PAID:
        return SUPPORTERS_ONLY
    return "You cannot comment here."
