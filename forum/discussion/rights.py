"""Who may do what in a discussion: the one function that every button, route and API asks."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.discussion.closing import closing_of, thread_closing_of
from forum.discussion.comment import Cause, Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.report import Appeal
from forum.discussion.rules import rule
from forum.essays.essay import CommentPolicy, Essay
from forum.site.settings import site_settings
from forum.subscriptions.subscription import PAYING, State, subscription_state

SUBSCRIBED = frozenset({State.FREE, State.PAID, State.COMPLIMENTARY})
DECISIONS = ("reject", "hide", "spam")
"""The acts against a comment that its writer may appeal, once each; what an appeal ended with stands."""


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


NOT_ABOUT_ONE = frozenset({Act.READ, Act.COMMENT, Act.FOLLOW, Act.CLOSE})


def rights(user: User | None, essay: Essay, comment: Comment | None, now: datetime) -> frozenset[Act]:
    """Return every act that a person may do on one comment, or without one, on somebody's comment in general.

    `user` None is a stranger. At most four small queries, and none for strangers beyond the essay.
    """
    in_general = _in_general(user, essay, now)
    return in_general if comment is None else rights_towards(comment, user, essay, in_general, now)


def rights_towards(
    comment: Comment, user: User | None, essay: Essay, in_general: frozenset[Act], now: datetime
) -> frozenset[Act]:
    """Narrow what rights() says without a comment down to one comment, where both are needed."""
    if user is None:
        return in_general
    return (in_general & NOT_ABOUT_ONE) | _towards(user, essay, comment, in_general, now)


def is_staff(user: User | None, essay: Essay, now: datetime) -> bool:
    """Tell whether a person moderates this essay's discussion: its author, moderators, admins in good standing."""
    if user is None or not user.may_moderate or not user.is_in_standing(now):
        return False
    return user.id == essay.author_id or user.role in (Role.MODERATOR, Role.ADMIN)


def leaves_own_to_others(user: User, essay: Essay) -> bool:
    """Tell whether somebody who moderates here does not decide about what they wrote themselves.

    Moderators do not; the essay's author and admins may, because there may be nobody else.
    """
    return user.role == Role.MODERATOR and user.id != essay.author_id


def may_see(user: User | None, essay: Essay, comment: Comment, now: datetime) -> bool:
    """Tell whether a comment exists for a person: shown, a placeholder, their own, or theirs to moderate."""
    if user is not None and comment.author_id == user.id:
        return True
    if not essay.may_read_whole(user, now):
        return False
    return comment.visible or comment.visible_below > 0 or is_staff(user, essay, now)


def may_read_newest(user: User | None, essay: Essay, comment: Comment, now: datetime) -> bool:
    """Tell whether a person may read words of a comment that readers do not see: their own, or theirs to moderate."""
    if user is None or comment.presence not in (Presence.LIVE, Presence.HIDDEN):
        return False
    return comment.author_id == user.id or is_staff(user, essay, now)


def is_for_supporters(essay: Essay) -> bool:
    """Tell whether only supporters comment on an essay: it says so itself, or the site does for all of them."""
    is_by_rule = essay.comments == CommentPolicy.SUBSCRIBERS and rule("supporters").is_on
    return essay.comments == CommentPolicy.PAID or is_by_rule


def is_editable(comment: Comment) -> bool:
    """Tell whether the state of a comment lets its writer change it, if they may write at all. No query."""
    if comment.presence not in (Presence.LIVE, Presence.HIDDEN) or comment.ban_id is not None:
        return False
    if comment.merged_into_id is not None:
        return False
    return comment.presence == Presence.LIVE or not _has_open_appeal(comment)


def decisions_on(comment_ids: Collection[int], acts: Collection[str] = DECISIONS) -> dict[int, Event]:
    """Return the latest decision against each comment that still stands, or the latest of other acts. One query."""
    about = Event.comment_id.in_(comment_ids) & Event.act.in_(acts) & Event.is_undone.is_(False)
    found = db.session.scalars(select(Event).where(about).order_by(Event.id))
    return {one.comment_id: one for one in found if one.comment_id is not None}


def appealable(comments: Iterable[Comment], now: datetime) -> set[int]:
    """Return which comments were refused so that their writers may ask for another look.

    Two queries, however many, and none where nothing was refused; more for a decision that is long past.
    """
    ids = [one.id for one in comments if _is_refused_by_itself(one) and not _has_open_appeal(one)]
    if not ids:
        return set()
    earliest = now - timedelta(days=site_settings().appeal_days)
    made = select(Appeal.event_id, Appeal.comment_id, Appeal.decided_at).where(Appeal.comment_id.in_(ids))
    appeals = db.session.execute(made).all()
    used = {row.event_id for row in appeals}
    waiting = {row.comment_id for row in appeals if row.decided_at is None}
    return {
        comment_id
        for comment_id, one in decisions_on(ids).items()
        if one.id not in used and comment_id not in waiting and not _is_over(one, earliest)
    }


def _in_general(user: User | None, essay: Essay, now: datetime) -> frozenset[Act]:
    """Collect what a person may do in a discussion, towards a comment that another reader wrote."""
    if not essay.may_read_whole(user, now):
        return frozenset()
    allowed = {Act.READ}
    if user is None:
        return frozenset(allowed)
    state = subscription_state(user, now)
    if _may_start_thread(user, essay, state, now):
        allowed |= {Act.COMMENT, Act.REPLY}
    if user.is_confirmed and user.standing(now) != Standing.BANNED and essay.is_published(now):
        allowed.add(Act.FOLLOW)
    if user.is_in_standing(now) and state in SUBSCRIBED | {State.GRACE}:
        allowed.add(Act.REPORT)
        if _is_open(essay, now):
            allowed.add(Act.REACT)
    if is_staff(user, essay, now):
        allowed |= {Act.MODERATE, Act.PIN, Act.FEATURE}
        if essay.is_published(now):
            allowed.add(Act.CLOSE)
    return frozenset(allowed)


def _towards(
    user: User, essay: Essay, comment: Comment, in_general: frozenset[Act], now: datetime
) -> set[Act]:
    """Narrow what a person may do in general down to one comment."""
    allowed: set[Act] = set()
    own = comment.author_id == user.id
    moderates = Act.MODERATE in in_general and not (own and leaves_own_to_others(user, essay))
    # Staff write in a closed thread too.
    goes_on = Act.MODERATE in in_general or thread_closing_of(comment) is None
    if own:
        allowed |= _over_own_words(user, essay, comment, in_general, now, goes_on=goes_on)
    may_reply = goes_on and (Act.REPLY in in_general or _may_go_on_in(user, essay, comment, now))
    answerable = comment.visible or (moderates and comment.is_waiting)
    if may_reply and answerable:
        allowed.add(Act.REPLY)
    if comment.visible and not own:
        allowed |= in_general & {Act.REACT, Act.REPORT}
    if comment.author_id == essay.author_id:
        allowed.discard(Act.REPORT)
    if comment.presence in (Presence.LIVE, Presence.HIDDEN) and moderates:
        allowed.add(Act.MODERATE)
    if comment.visible:
        allowed |= in_general & ({Act.FEATURE, Act.PIN} if comment.depth == 0 else {Act.FEATURE})
    return allowed


def _over_own_words(
    user: User, essay: Essay, comment: Comment, in_general: frozenset[Act], now: datetime, *, goes_on: bool
) -> set[Act]:
    """Withdrawing and appealing stay open to everyone, whatever became of their standing or subscription."""
    allowed: set[Act] = set()
    if comment.presence == Presence.LIVE:
        allowed.add(Act.WITHDRAW)
    if comment.presence not in (Presence.LIVE, Presence.HIDDEN) or comment.ban_id is not None:
        return allowed
    if comment.merged_into_id is not None:  # its address leads to another, so it must not come back by itself
        return allowed
    if comment.id in appealable([comment], now):
        allowed.add(Act.APPEAL)
    may_write = goes_on and (Act.COMMENT in in_general or _may_go_on_in(user, essay, comment, now))
    if may_write and is_editable(comment):
        allowed.add(Act.EDIT)
    return allowed


def _is_refused_by_itself(comment: Comment) -> bool:
    """Tell whether words are kept from readers by a decision about them, not by a ban or for another comment."""
    return comment.is_refused and comment.ban_id is None and comment.merged_into_id is None


def _has_open_appeal(comment: Comment) -> bool:
    return comment.newest.verdict == Verdict.HELD and Cause.APPEAL in comment.newest.causes


def _may_start_thread(user: User, essay: Essay, state: State, now: datetime) -> bool:
    if not _is_open(essay, now) or not user.is_in_standing(now) or not user.is_confirmed:
        return False
    if essay.comments == CommentPolicy.AUTHOR_ONLY:
        return user.id == essay.author_id
    if is_staff(user, essay, now):
        return True
    return state in (PAYING if is_for_supporters(essay) else SUBSCRIBED)


def _may_go_on_in(user: User, essay: Essay, comment: Comment, now: datetime) -> bool:
    """Tell whether a person may write in a comment's thread in their grace days: they began it."""
    if essay.comments == CommentPolicy.AUTHOR_ONLY or not _is_open(essay, now):
        return False
    if not essay.may_read_whole(user, now) or not user.is_in_standing(now):
        return False
    if subscription_state(user, now) != State.GRACE:
        return False
    root = db.session.get(Comment, comment.root_comment_id)
    return root is not None and root.author_id == user.id


def _is_over(decision: Event, earliest: datetime) -> bool:
    """Tell whether a decision was in force before this moment, and not only done again after an undo since."""
    last: Event | None = decision
    while last is not None and last.at < earliest:
        last = db.session.scalar(select(Event).where(Event.undoes_id == last.id))
    return last is None


def _is_open(essay: Essay, now: datetime) -> bool:
    return essay.is_published(now) and closing_of(essay, now) is None and essay.comments != CommentPolicy.OFF
