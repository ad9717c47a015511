"""Why somebody may not write here, in one sentence, where the composer would be."""

from datetime import datetime

from sqlalchemy import select

from forum.accounts.user import Standing, User
from forum.database import db
from forum.discussion.closing import closing_of, thread_closing_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.discussion.rights import is_for_supporters
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.subscriptions.subscription import State, Subscription, subscription_state
from forum.subscriptions.tier import tiers

DAY = "%-d %B %Y"
AUTHOR_ONLY = "Only the author writes under this essay."
SUPPORTERS_ONLY = "Comments on this essay are for supporters."
THREAD_CLOSED = "This thread is closed."
STILL_READS = "You can still read."
CONFIRM_FIRST = "Read it and confirm, then you can write again."

ACTS = {Standing.BANNED: "ban", Standing.SUSPENDED: "suspend", Standing.HELD: "hold"}
"""The act that brings a person into a standing, and has its reason."""


def why_nobody(essay: Essay, now: datetime) -> str | None:
    """Return why nobody may comment on an essay just now, None where the discussion is open."""
    if not essay.is_published(now):
        return "The discussion opens when the essay is published."
    if essay.comments == CommentPolicy.OFF:
        return "Comments are off for this essay."
    if closing := closing_of(essay, now):
        return f"This discussion closed on {closing.at.strftime(DAY)}. {closing.note}".strip()
    return None


def why_no_stranger(essay: Essay, now: datetime) -> str | None:
    """Return why nobody who signs in or up need begin to write, None where some of them may comment."""
    return why_nobody(essay, now) or (AUTHOR_ONLY if essay.comments == CommentPolicy.AUTHOR_ONLY else None)


def why_thread_closed(comment: Comment | None) -> str | None:
    """Return why nobody but staff may answer in the thread of a comment, None where it goes on."""
    closing = thread_closing_of(comment) if comment is not None else None
    return f"{THREAD_CLOSED} {closing.note}".strip() if closing else None


def why_not(user: User, essay: Essay, now: datetime) -> str:
    """Return why a person may not comment on an essay just now; what concerns everybody comes first."""
    return _whatever_they_pay(user, essay, now) or _why_not_as_subscriber(user, essay, now)


def is_about_subscription(user: User, essay: Essay, now: datetime) -> bool:
    """Tell whether it is their subscription that keeps a person from commenting, who may not."""
    return _whatever_they_pay(user, essay, now) is None


def supporters_only() -> str:
    """Return whose words are wanted where only supporters comment and, while it can be had, how to become one."""
    paid = tiers()[State.PAID]
    if not paid.is_offered:
        return SUPPORTERS_ONLY
    price = f" ({paid.price})" if paid.price else ""
    how = f" {paid.how}" if paid.how else ""
    return f"{SUPPORTERS_ONLY.rstrip('.')}{price}.{how}"


def reason_in_force(user: User, now: datetime) -> str:
    """Return the reason of what restrains a person just now: one thing may have ended by its date above another."""
    act = ACTS.get(user.standing(now))
    if act is None:
        return ""
    mine = (Event.person_id == user.id) & (Event.act == act) & Event.is_undone.is_(False)
    found = db.session.scalar(select(Event.note).where(mine).order_by(Event.id.desc()).limit(1))
    return user.standing_reason if found is None else found


def warning_words(user: User) -> str:
    """Return what a warned person is told wherever they would write."""
    return f"You were warned: {user.warning.rstrip('.')}. {CONFIRM_FIRST}"


def _whatever_they_pay(user: User, essay: Essay, now: datetime) -> str | None:
    """Return why a person may not comment, where no other subscription would change it."""
    if sentence := why_nobody(essay, now):
        return sentence
    standing = user.standing(now)
    why = reason_in_force(user, now)
    reason = f" Reason: {why.rstrip('.')}." if why else ""
    still = f" {STILL_READS}" if essay.may_read_whole(user, now) else ""
    if standing == Standing.BANNED:
        if user.banned_until is not None:
            until = user.banned_until.strftime(f"{DAY}, %H:%M UTC")
            return f"You cannot comment here until {until}.{reason}{still}"
        return f"You cannot comment here any more.{reason}{still}"
    if standing == Standing.SUSPENDED and user.suspended_until is not None:
        until = user.suspended_until.strftime(f"{DAY}, %H:%M UTC")
        return f"You cannot comment here until {until}.{reason}{still}"
    if standing == Standing.WARNED:
        return warning_words(user)
    if not user.is_confirmed:
        return "Confirm your e-mail address first: open the link that we sent you."
    return AUTHOR_ONLY if essay.comments == CommentPolicy.AUTHOR_ONLY else None


def _why_not_as_subscriber(user: User, essay: Essay, now: datetime) -> str:
    state, subscription = subscription_state(user, now), db.session.get(Subscription, user.id)
    if state in (State.GRACE, State.LAPSED) and subscription is not None and subscription.ends_at is not None:
        ended = subscription.ends_at.strftime(DAY)
        if state == State.LAPSED:
            return (
                f"Your subscription ended on {ended}. Renew it to comment again; what you wrote stays yours."
            )
        until = subscription.grace_until.strftime(DAY)
        return (
            f"Your subscription ended on {ended}. Until {until} you can go on in the threads that you began."
        )
    if is_for_supporters(essay) or essay.access == Access.PAID:
        return supporters_only()
    return "You cannot comment here."
