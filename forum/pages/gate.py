"""What stands where a reader's part of an essay ends: whom the rest is for, and how to become one of them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.essays.essay import Access, Essay
from forum.subscriptions.subscription import State, Subscription, subscription_state
from forum.subscriptions.tier import Words, tiers


@dataclass(frozen=True)
class Gate:
    """Where a reader stands before a restricted essay. `offer` is the paid tier, where that opens it and can be had."""

    state: State
    subscription: Subscription | None
    offer: Words | None
    has_commented: bool
    """Whether there are comments of theirs below, which they no longer see on this page."""


def gate_before(essay: Essay, user: User | None, now: datetime) -> Gate | None:
    """Return what to tell who may not read on, or may only until their days of grace are over; None for others."""
    if essay.access == Access.PUBLIC:
        return None
    state = subscription_state(user, now)
    is_ending = essay.access == Access.PAID and state == State.GRACE
    if essay.may_read_whole(user, now) and not is_ending:
        return None
    paid = tiers()[State.PAID] if essay.access == Access.PAID else None
    return Gate(
        state=state,
        subscription=db.session.get(Subscription, user.id) if user is not None else None,
        offer=paid if paid is not None and paid.is_offered else None,
        has_commented=user is not None and _has_commented(user, essay),
    )


def _has_commented(user: User, essay: Essay) -> bool:
    theirs = (Comment.author_id == user.id) & (Comment.presence != Presence.ERASED)
    return (
        db.session.scalar(select(Comment.id).where(Comment.essay_id == essay.id, theirs).limit(1)) is not None
    )
