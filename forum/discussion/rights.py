"""Who may do what in a discussion: the one function that every button, route and API asks."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import Appeal
from forum.essays.essay import CommentPolicy, Essay
from forum.site.settings import site_settings
from forum.subscriptions.subscription import State, subscription_state

SUBSCRIBED = frozenset({State.FREE, State.PAID, State.COMPLIMENTARY})
PAYING = frozenset({State.PAID, State.COMPLIMENTARY})
DECISIONS = ("reject", "hide", "uphold", "spam")
"""The acts against a comment that its writer may appeal."""


class Act(StrEnum):
    """What somebody may want to do in a discussion."""

    READ = "read"
    COMMENT = "comment"
    REPLY = "reply"
    EDIT = "edit"
    WITHDRAW = "withdraw"
    REACT = "react"
    REPORT = "report"
    APPEAL = "appeal"
    FOLLOW = "follow"
    MODERATE = "moderate"
    PIN = "pin"
    FEATURE = "feature"
    CLOSE = "close"


def rights(user: User | None, essay: Essay, comment: Comment | None, now: datetime) -> frozenset[Act]:
    """Return every act that a person may do on an essay's discussion and, if given, on one of its comments.

    `user` None is a stranger. At most four small queries, and none for strangers beyond the essay.
    """
    allowed: set[Act] = set()
    can_read = essay.may_read_whole(user, now)
    if can_read:
        allowed.add(Act.READ)
    if user is None:
        return frozenset(allowed)
    staff = is_staff(user, essay, now)
    if comment is not None and comment.author_id == user.id:
        allowed |= _over_own_words(user, essay, comment, now)
    if not can_read:
        return frozenset(allowed)
    if _may_start_thread(user, essay, now):
        allowed.add(Act.COMMENT)
    if user.is_confirmed and user.standing(now) != Standing.BANNED and essay.is_published(now):
        allowed.add(Act.FOLLOW)
    if staff and essay.is_published(now):
        allowed.add(Act.CLOSE)
    if comment is not None:
        allowed |= _towards(user, essay, comment, now, staff=staff)
    return frozenset(allowed)


def is_staff(user: User | None, essay: Essay, now: datetime) -> bool:
    """Tell whether a person moderates this essay's discussion: its author, moderators, admins in good standing."""
    if user is None or not user.may_moderate or not _is_in_standing(user, now):
        return False
    return user.id == essay.author_id or user.role in (Role.MODERATOR, Role.ADMIN)


def may_see(user: User | None, essay: Essay, comment: Comment, now: datetime) -> bool:
    """Tell whether a comment exists for a person: shown, a placeholder, their own, or theirs to moderate."""
    if user is not None and comment.author_id == user.id:
        return True
    if not essay.may_read_whole(user, now):
        return False
    return comment.visible or comment.visible_below > 0 or is_staff(user, essay, now)


def decision_on(comment: Comment) -> Event | None:
    """Return the latest decision against a comment that still stands."""
    undone = select(Event.undoes_id).where(Event.undoes_id.is_not(None), Event.comment_id == comment.id)
    return db.session.scalar(
        select(Event)
        .where(Event.comment_id == comment.id, Event.act.in_(DECISIONS), Event.id.not_in(undone))
        .order_by(Event.id.desc())
        .limit(1)
    )


def _over_own_words(user: User, essay: Essay, comment: Comment, now: datetime) -> set[Act]:
    """Withdrawing and appealing stay open to everyone, whatever became of their standing or subscription."""
    allowed: set[Act] = set()
    if comment.presence == Presence.LIVE:
        allowed.add(Act.WITHDRAW)
    refused = comment.presence == Presence.HIDDEN or comment.newest.verdict == Verdict.REJECTED
    refused = refused and comment.presence in (Presence.LIVE, Presence.HIDDEN) and comment.ban_id is None
    if refused and _may_appeal(comment, now):
        allowed.add(Act.APPEAL)
    revisable = comment.presence == Presence.LIVE or (refused and comment.newest.verdict != Verdict.HELD)
    if revisable and comment.ban_id is None and _may_write_below(user, essay, comment, now):
        allowed.add(Act.EDIT)
    return allowed


def _towards(user: User, essay: Essay, comment: Comment, now: datetime, *, staff: bool) -> set[Act]:
    """Collect the acts on a comment that do not depend on having written it."""
    allowed: set[Act] = set()
    waiting = comment.presence == Presence.LIVE and comment.newest.verdict == Verdict.HELD
    if _may_write_below(user, essay, comment, now) and (comment.visible or (staff and waiting)):
        allowed.add(Act.REPLY)
    own = comment.author_id == user.id
    subscribed = subscription_state(user, now) in SUBSCRIBED | {State.GRACE}
    if comment.visible and not own and subscribed and _is_in_standing(user, now):
        if _is_open(essay, now):
            allowed.add(Act.REACT)
        if comment.author_id != essay.author_id:
            allowed.add(Act.REPORT)
    if staff and comment.presence in (Presence.LIVE, Presence.HIDDEN):
        allowed.add(Act.MODERATE)
    if staff and comment.visible:
        allowed.add(Act.FEATURE)
        if comment.depth == 0:
            allowed.add(Act.PIN)
    return allowed


def _may_start_thread(user: User, essay: Essay, now: datetime) -> bool:
    if not _is_open(essay, now) or not _is_in_standing(user, now) or not user.is_confirmed:
        return False
    if essay.comments == CommentPolicy.AUTHOR_ONLY:
        return user.id == essay.author_id
    if is_staff(user, essay, now):
        return True
    state = subscription_state(user, now)
    return state in (PAYING if essay.comments == CommentPolicy.PAID else SUBSCRIBED)


def _may_write_below(user: User, essay: Essay, comment: Comment, now: datetime) -> bool:
    """Tell whether a person may write in a comment's thread; in the grace days, in those that they began."""
    if not essay.may_read_whole(user, now):
        return False
    if _may_start_thread(user, essay, now):
        return True
    if essay.comments == CommentPolicy.AUTHOR_ONLY or not _is_open(essay, now):
        return False
    if not _is_in_standing(user, now) or subscription_state(user, now) != State.GRACE:
        return False
    root = db.session.get(Comment, comment.root_comment_id)
    return root is not None and root.author_id == user.id


def _may_appeal(comment: Comment, now: datetime) -> bool:
    decision = decision_on(comment)
    if decision is None or now - decision.at > timedelta(days=site_settings().appeal_days):
        return False
    used = select(Appeal.id).where(
        (Appeal.event_id == decision.id) | ((Appeal.comment_id == comment.id) & Appeal.decided_at.is_(None))
    )
    return db.session.scalar(used.limit(1)) is None


def _is_open(essay: Essay, now: datetime) -> bool:
    return (
        essay.is_published(now) and essay.discussion_closed_at is None and essay.comments != CommentPolicy.OFF
    )


def _is_in_standing(user: User, now: datetime) -> bool:
    return user.standing(now) in (Standing.ACTIVE, Standing.HELD)
