"""Whether people may write: to suspend, hold and ban them, and the way back from each, audited with its reason."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import aliased, joinedload

from forum import clock
from forum.accounts.user import Role, Standing, User, lock_users
from forum.database import db
from forum.discussion.change import Watch, put_back
from forum.discussion.comment import Comment, Presence, state_word
from forum.discussion.event import Event, note_event
from forum.discussion.posting import settle
from forum.essays.essay import Essay
from forum.moderation.ban import Ban
from forum.moderation.telling import take_back, tell_person
from forum.site import audit

MINUTE = "%-d %B %Y, %H:%M UTC"
AFTERWARDS = "You can still read, and comment again afterwards."

Why = Callable[[User, User, datetime], str | None]


class NotDone(Exception):
    """Why an act on a person was not done, as one sentence for whoever tried."""


def suspend(actor: User, user: User, until: datetime, reason: str) -> None:
    """Keep a person from writing until a moment; it passes by itself.

    Raises: NotDone, for the actor.
    """
    _begin(actor, user, reason, why_not_manage)
    if until <= clock.now():
        raise NotDone("A suspension must end in the future.")
    if user.banned_at is not None:
        raise NotDone("This person is banned. Lift the ban first.")
    user.suspended_until, user.standing_reason = until, reason
    entry = audit.record(actor.id, "suspend", subject(user), reason, until=until.isoformat())
    heading = f"You cannot comment until {until.astimezone(UTC).strftime(MINUTE)}"
    tell_person(entry, user, heading, f"Reason: {reason.rstrip('.')}. {AFTERWARDS}")


def lift_suspension(actor: User, user: User, reason: str) -> None:
    """Let a suspended person write again. Raises: NotDone."""
    _begin(actor, user, reason, why_not_manage)
    if user.suspended_until is None or user.suspended_until <= clock.now():
        raise NotDone("This person is not suspended any more.")
    was, user.suspended_until = user.suspended_until, None
    user.standing_reason = _reason_left(user)
    entry = audit.record(actor.id, "unsuspend", subject(user), reason, until=was.isoformat())
    if not take_back("suspend", user):
        tell_person(entry, user, "Your suspension was lifted", _what_they_may(user))


def hold(actor: User, user: User, reason: str) -> None:
    """Let every new comment of a person wait for a moderator. Raises: NotDone."""
    _begin(actor, user, reason, why_not_manage)
    if user.is_held:
        raise NotDone("This person’s comments are held already.")
    if user.banned_at is not None:
        raise NotDone("This person is banned. Lift the ban first.")
    user.is_held = True
    if user.standing(clock.now()) == Standing.HELD:  # the reason for a suspension stays while that runs
        user.standing_reason = reason
    audit.record(actor.id, "hold", subject(user), reason)


def release(actor: User, user: User, reason: str) -> None:
    """Let a held person's comments appear as everyone's do. Raises: NotDone."""
    _begin(actor, user, reason, why_not_manage)
    if not user.is_held:
        raise NotDone("This person’s comments are not held any more.")
    user.is_held = False
    user.standing_reason = _reason_left(user)
    audit.record(actor.id, "release", subject(user), reason)


def ban(actor: User, user: User, reason: str, *, hide_comments: bool) -> Ban:
    """Keep a person from writing until the ban is lifted, and hide their live comments if asked to.

    Raises: NotDone, for the actor.
    """
    _begin(actor, user, reason, why_not_ban)
    if user.banned_at is not None:
        raise NotDone("This person is banned already.")
    now = clock.now()
    made = Ban(user_id=user.id, actor_id=actor.id, reason=reason, created_at=now)
    db.session.add(made)
    db.session.flush()
    user.banned_at, user.standing_reason = now, reason
    hidden = _hide_comments(actor, user, made) if hide_comments else 0
    entry = audit.record(actor.id, "ban", subject(user), reason, ban=made.id, hidden=hidden)
    gone = " Your comments are hidden." if hidden else ""
    words = f"Reason: {reason.rstrip('.')}.{gone} You can still read."
    tell_person(entry, user, "You cannot comment here any more", words)
    return made


def lift_ban(actor: User, user: User, reason: str) -> int:
    """Let a banned person write again, and bring back what the ban hid and nobody changed since; returns how many.

    Raises: NotDone, for the actor.
    """
    _begin(actor, user, reason, why_not_ban)
    if user.banned_at is None:
        raise NotDone("This person is not banned any more.")
    lifted = ban_in_force(user)
    if not actor.is_admin and (lifted is None or lifted.actor_id != actor.id):
        raise NotDone("Only an admin may lift a ban that somebody else made.")
    restored = _restore_comments(actor, lifted) if lifted else 0
    user.banned_at = None
    user.standing_reason = _reason_left(user)
    entry = audit.record(
        actor.id, "unban", subject(user), reason, ban=lifted.id if lifted else None, restored=restored
    )
    if not take_back("ban", user):
        back = " The comments that it hid are there again." if restored else ""
        tell_person(entry, user, "Your ban was lifted", f"{_what_they_may(user)}{back}".strip())
    return restored


def why_not_manage(actor: User, user: User, now: datetime) -> str | None:
    """Return why the actor may not change this person's standing, or None if they may."""
    if not may_manage(actor, now):
        return "Only an admin may do this."
    if actor.id == user.id:
        return "You cannot do this to your own account. Ask another admin."
    return None


def why_not_ban(actor: User, user: User, now: datetime) -> str | None:
    """Return why the actor may not ban this person: admins ban anybody else, authors ban readers."""
    if not may_ban(actor, now):
        return "Only authors and admins may ban people."
    if actor.id == user.id:
        return "You cannot ban yourself."
    if user.role != Role.READER and not actor.is_admin:
        return "Only an admin may ban someone who works here."
    return None


def may_manage(actor: User | None, now: datetime) -> bool:
    """Tell whether a person manages users and settings: an admin in good standing."""
    return actor is not None and actor.is_admin and actor.is_in_standing(now)


def may_ban(actor: User | None, now: datetime) -> bool:
    """Tell whether a person may ban readers at all: authors and admins in good standing."""
    return actor is not None and actor.may_write and actor.is_in_standing(now)


def ban_in_force(user: User) -> Ban | None:
    """Return the ban that holds a person now."""
    if user.banned_at is None:
        return None
    return db.session.scalar(
        select(Ban).where(Ban.user_id == user.id, Ban.lifted_at.is_(None)).order_by(Ban.id.desc()).limit(1)
    )


def comments_a_ban_would_hide(user: User) -> Sequence[Comment]:
    """Return a person's live comments, newest first, each with its essay and newest wording; one query."""
    return db.session.scalars(_live_comments(user).order_by(Comment.id.desc())).all()


def comments_lifting_would_restore(made: Ban) -> Sequence[Comment]:
    """Return the comments that a ban hid and nobody changed since, newest first; one query."""
    return [comment for comment, _ in _hidden_by(made)]


def lock_people(*people: User | None) -> None:
    """Take the row locks of these people and of every admin, in id order, and read them afresh.

    Every act on people begins with it, so that an actor who was demoted or banned meanwhile is seen to be so.
    """
    lock_users(User.id.in_([one.id for one in people if one is not None]) | (User.role == Role.ADMIN))


def subject(user: User) -> str:
    """Return how the audit log names a person."""
    return f"user:{user.id}"


def _begin(actor: User, user: User, reason: str, why_not: Why) -> None:
    lock_people(actor, user)
    if sentence := why_not(actor, user, clock.now()):
        raise NotDone(sentence)
    if not reason.strip():
        raise NotDone("Give a reason in one sentence.")


def _hide_comments(actor: User, user: User, made: Ban) -> int:
    _lock_essays(select(Comment.essay_id).where(Comment.author_id == user.id))
    comments = db.session.scalars(_live_comments(user).execution_options(populate_existing=True)).all()
    for comment in comments:
        newest = comment.newest
        watch, from_state = Watch(comment), state_word(comment, newest)
        comment.presence, comment.ban_id = Presence.HIDDEN, made.id
        settle(comment)
        note_event("ban", actor, comment, newest, watch, from_state=from_state, note=made.reason)
    return len(comments)


def _restore_comments(actor: User, lifted: Ban) -> int:
    _lock_essays(select(Comment.essay_id).where(Comment.ban_id == lifted.id))
    found = _hidden_by(lifted)
    for comment, event in found:
        newest = comment.newest
        watch, from_state = Watch(comment), state_word(comment, newest)
        put_back(event.changes)
        settle(comment)
        note_event("unban", actor, comment, newest, watch, from_state=from_state, undoes=event)
    # What was changed meanwhile stays as it is, and no longer counts as hidden by this ban.
    db.session.execute(update(Comment).where(Comment.ban_id == lifted.id).values(ban_id=None))
    lifted.lifted_at = clock.now()
    return len(found)


def _hidden_by(made: Ban) -> list[tuple[Comment, Event]]:
    """Return each comment that the ban hid and whose last event is still that, with the event."""
    any_event = aliased(Event)
    last = select(func.max(any_event.id)).where(any_event.comment_id == Comment.id).scalar_subquery()
    found = db.session.execute(
        select(Comment, Event)
        .join(Event, Event.id == last)
        .where(Comment.ban_id == made.id, Comment.presence == Presence.HIDDEN, Event.act == "ban")
        .order_by(Comment.id.desc())
        .options(joinedload(Comment.newest), joinedload(Comment.essay))
        .execution_options(populate_existing=True)
    )
    return [(comment, event) for comment, event in found.unique()]


def _live_comments(user: User) -> Select[Comment]:
    return (
        select(Comment)
        .where(Comment.author_id == user.id, Comment.presence == Presence.LIVE)
        .options(joinedload(Comment.newest), joinedload(Comment.shown), joinedload(Comment.essay))
    )


def _lock_essays(ids: Select[int]) -> None:
    """Take the row locks of essays in id order, after the person's."""
    db.session.scalars(
        select(Essay.id).where(Essay.id.in_(ids)).order_by(Essay.id).with_for_update(key_share=True)
    ).all()


def _what_they_may(user: User) -> str:
    return "You can comment again." if user.is_in_standing(clock.now()) else ""


def _reason_left(user: User) -> str:
    """Return the reason of what still restrains a person, once something else is lifted."""
    now = clock.now()
    acts = {Standing.BANNED: "ban", Standing.SUSPENDED: "suspend", Standing.HELD: "hold"}
    act = acts.get(user.standing(now))
    if act is None:
        return ""
    mine = (audit.AuditEntry.subject == subject(user)) & (audit.AuditEntry.act == act)
    return (
        db.session.scalar(
            select(audit.AuditEntry.reason).where(mine).order_by(audit.AuditEntry.id.desc()).limit(1)
        )
        or ""
    )
