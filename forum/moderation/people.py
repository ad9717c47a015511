"""Whether people may write: to warn, hold, suspend and ban them, and the way back from each, with its reason."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import joinedload

from forum import clock
from forum.accounts.user import Standing, User
from forum.database import db
from forum.discussion.change import Watch, put_back, rows_of
from forum.discussion.comment import Comment, Presence, state_word
from forum.discussion.event import Event, note_event
from forum.discussion.outcome import REMOVED, tell_reporters
from forum.discussion.posting import put_on_desk, settle_together
from forum.discussion.refusals import CONFIRM_FIRST, reason_in_force
from forum.discussion.report import Report
from forum.essays.essay import Essay
from forum.moderation.ban import Ban
from forum.moderation.cards import light_essay
from forum.moderation.standing import (
    NOT_YOUR_BAN,
    NotDone,
    hold_letters_back,
    lock_people,
    note_on_person,
    subject,
    why_not,
)
from forum.moderation.telling import tell_person, what_they_may
from forum.moderation.undo import later_events, why_not_undo
from forum.site import audit

MINUTE = "%-d %B %Y, %H:%M UTC"
AFTERWARDS = "You can still read, and comment again afterwards."
BANNED = "This person is banned. Lift the ban first."


def warn(actor: User, user: User, words: str) -> Event:
    """Keep a person from writing until they have confirmed that they read this warning.

    A second one has to wait until the first was read: else nobody knows what they confirmed.
    Raises: NotDone, for the actor.
    """
    _begin("warn", actor, user, words)
    if user.is_banned(clock.now()):
        raise NotDone(BANNED)
    if user.warning:
        raise NotDone("They have not read the last warning yet. Take that back first, or wait.")
    watch = Watch(user)
    user.warning, user.warned_at = words, clock.now()
    event = note_on_person("warn", actor, user, watch, words)
    audit.record(actor.id, "warn", subject(user), words)
    tell_person(event, user, "You were warned", f"{words}\n\n{CONFIRM_FIRST}", "/account/warning")
    return event


def suspend(actor: User, user: User, until: datetime, reason: str) -> Event:
    """Keep a person from writing until a moment; it passes by itself.

    Raises: NotDone, for the actor.
    """
    _begin("suspend", actor, user, reason)
    now = clock.now()
    if until <= now:
        raise NotDone("A suspension must end in the future.")
    if user.is_banned(now):
        raise NotDone(BANNED)
    watch = Watch(user)
    user.suspended_until, user.standing_reason = until, reason
    event = note_on_person("suspend", actor, user, watch, reason)
    audit.record(actor.id, "suspend", subject(user), reason, until=until.isoformat())
    heading = f"You cannot comment until {_minute(until)}"
    tell_person(event, user, heading, f"Reason: {reason.rstrip('.')}. {AFTERWARDS}")
    return event


def lift_suspension(actor: User, user: User, reason: str) -> Event:
    """Let a suspended person write again. Raises: NotDone."""
    _begin("unsuspend", actor, user, reason)
    was = user.suspended_until
    if was is None or was <= clock.now():
        raise NotDone("This person is not suspended any more.")
    watch = Watch(user)
    user.suspended_until = None
    user.standing_reason = reason_in_force(user, clock.now())
    event = note_on_person("unsuspend", actor, user, watch, reason)
    audit.record(actor.id, "unsuspend", subject(user), reason, until=was.isoformat())
    tell_person(event, user, "Your suspension was lifted", what_they_may(user))
    return event


def hold(actor: User, user: User, reason: str) -> Event:
    """Let every new comment of a person wait for a moderator. Raises: NotDone."""
    _begin("hold", actor, user, reason)
    now = clock.now()
    if user.is_held:
        raise NotDone("This person’s comments are held already.")
    if user.is_banned(now):
        raise NotDone(BANNED)
    watch = Watch(user)
    user.is_held = True
    if user.standing(now) == Standing.HELD:  # the reason for a suspension stays while that runs
        user.standing_reason = reason
    event = note_on_person("hold", actor, user, watch, reason)
    audit.record(actor.id, "hold", subject(user), reason)
    return event


def release(actor: User, user: User, reason: str) -> Event:
    """Let a held person's comments appear as everyone's do. Raises: NotDone."""
    _begin("release", actor, user, reason)
    if not user.is_held:
        raise NotDone("This person’s comments are not held any more.")
    watch = Watch(user)
    user.is_held = False
    user.standing_reason = reason_in_force(user, clock.now())
    event = note_on_person("release", actor, user, watch, reason)
    audit.record(actor.id, "release", subject(user), reason)
    return event


def ban(actor: User, user: User, reason: str, *, hide_comments: bool, until: datetime | None = None) -> Event:
    """Keep a person from writing until a moment, or for good, and hide their live comments if asked to.

    It passes by itself; what it hid stays hidden until somebody lifts it. Letters that have not left for them
    stay here, unless the ban is undone. Returns the event, whose parts are the comments.
    Raises: NotDone, for the actor.
    """
    _begin("ban", actor, user, reason)
    now = clock.now()
    if until is not None and until <= now:
        raise NotDone("A ban must end in the future.")
    if user.is_banned(now):
        raise NotDone("This person is banned already.")
    made = Ban(user_id=user.id, actor_id=actor.id, reason=reason, created_at=now, until=until, lifted_at=now)
    db.session.add(made)
    db.session.flush()
    watch = Watch(user, made)  # the ban as lifted at once: so an undo leaves it
    made.lifted_at = None
    user.banned_at, user.banned_until, user.standing_reason = now, until, reason
    event = note_on_person("ban", actor, user, watch, reason)
    if hide_comments:
        event.parts = _hide_comments(actor, user, made, event)
    details = {"until": until.isoformat()} if until else {}
    audit.record(actor.id, "ban", subject(user), reason, ban=made.id, hidden=event.parts, **details)
    hold_letters_back(user, event.at)
    gone = " Your comments are hidden." if event.parts else ""
    heading = f"You cannot comment until {_minute(until)}" if until else "You cannot comment here any more"
    still = AFTERWARDS if until else "You can still read."
    tell_person(event, user, heading, f"Reason: {reason.rstrip('.')}.{gone} {still}")
    return event


def lift_ban(actor: User, user: User, reason: str) -> Event:
    """Let a banned person write again, and bring back what the ban hid and nobody changed since.

    Also after the ban ended by itself, for what it hid. Returns the event, whose parts are the comments.
    Raises: NotDone, for the actor.
    """
    _begin("unban", actor, user, reason)
    lifted, now = ban_to_lift(user), clock.now()
    was_banned = user.is_banned(now)
    if lifted is None and not was_banned:
        raise NotDone("This person is not banned any more.")
    if not may_lift(actor, lifted):
        raise NotDone(NOT_YOUR_BAN)
    watch = Watch(user, lifted)
    hidden = _lock_hidden_by(lifted) if lifted else []
    _forget_the_others(lifted, [comment.id for comment, _ in hidden], watch)
    user.banned_at = user.banned_until = None
    if lifted is not None:
        lifted.lifted_at = now
    user.standing_reason = reason_in_force(user, now)
    event = note_on_person("unban", actor, user, watch, reason)
    event.parts = _restore_comments(actor, hidden, event)
    audit.record(
        actor.id,
        "unban",
        subject(user),
        reason,
        ban=lifted.id if lifted else None,
        restored=event.parts,
    )
    back = " The comments that it hid are there again." if event.parts else ""
    if was_banned or back:
        tell_person(event, user, "Your ban was lifted", f"{what_they_may(user)}{back}".strip())
    return event


def write_note(actor: User, user: User, words: str) -> None:
    """Keep a note about a person, for the eyes of those who have a desk."""
    audit.record(actor.id, "note", subject(user), words)


def ban_to_lift(user: User) -> Ban | None:
    """Return the ban that holds a person, or that has ended by itself while what it hid is still hidden."""
    open_bans = select(Ban).where(Ban.user_id == user.id, Ban.lifted_at.is_(None))
    last = db.session.scalar(open_bans.order_by(Ban.id.desc()).limit(1))
    if last is None or user.is_banned(clock.now()):
        return last
    hides = select(Comment.ban_id).where(Comment.ban_id.is_not(None), Comment.author_id == user.id)
    return db.session.scalar(open_bans.where(Ban.id.in_(hides)).order_by(Ban.id.desc()).limit(1))


def may_lift(actor: User, made: Ban | None) -> bool:
    """Tell whether a person may lift a ban: an admin any, an author their own."""
    return actor.is_admin or (made is not None and made.actor_id == actor.id)


def comments_a_ban_would_hide(user: User) -> Sequence[Comment]:
    """Return a person's live comments, newest first, each with its essay and newest wording; one query."""
    return db.session.scalars(_live_comments(user).order_by(Comment.id.desc())).all()


def hidden_by(made: Ban) -> list[tuple[Comment, Event]]:
    """Return each comment that lifting a ban brings back, newest first, with the event that hid it; two queries.

    Left out is what somebody decided otherwise about since; a pin or a pick in the meantime is no such thing.
    """
    last = (
        select(func.max(Event.id))
        .where(Event.comment_id == Comment.id, Event.act == "ban", Event.is_undone.is_(False))
        .correlate(Comment)
        .scalar_subquery()
    )
    found = db.session.execute(
        select(Comment, Event)
        .join(Event, Event.id == last)
        .where(Comment.ban_id == made.id, Comment.presence == Presence.HIDDEN)
        .order_by(Comment.id.desc())
        .options(*_with_words())
        .execution_options(populate_existing=True)
    )
    pairs = [(comment, event) for comment, event in found.unique()]
    later: dict[int | None, list[Event]] = {}
    for event in later_events([event for _, event in pairs]):
        later.setdefault(event.comment_id, []).append(event)
    return [pair for pair in pairs if why_not_undo(pair[1], later.get(pair[0].id, [])) is None]


def _begin(act: str, actor: User, user: User, reason: str) -> None:
    lock_people(actor, user)
    if sentence := why_not(act, actor, user, clock.now()):
        raise NotDone(sentence)
    if not reason.strip():
        raise NotDone("Give a reason in one sentence.")


def _hide_comments(actor: User, user: User, made: Ban, event: Event) -> int:
    _lock_essays(select(Comment.essay_id).where(Comment.author_id == user.id))
    comments = _lock_comments(_live_comments(user))
    reports = _open_reports(comments)
    before = {}
    for comment in comments:
        its_reports = reports.get(comment.id, [])
        before[comment.id] = Watch(comment, *its_reports), state_word(comment, comment.newest)
        for report in its_reports:
            report.decided_at, report.outcome = made.created_at, REMOVED
        comment.presence, comment.ban_id, comment.open_reports = Presence.HIDDEN, made.id, 0
    settle_together(comments)
    for comment in comments:
        watch, from_state = before[comment.id]
        part = note_event(
            "ban", actor, comment, comment.newest, watch, from_state=from_state, note=made.reason
        )
        part.part_of_id = event.id
        tell_reporters(part, comment)
    return len(comments)


def _lock_hidden_by(made: Ban) -> list[tuple[Comment, Event]]:
    _lock_essays(select(Comment.essay_id).where(Comment.ban_id == made.id))
    _lock_comments(select(Comment).where(Comment.ban_id == made.id))
    return hidden_by(made)


def _restore_comments(actor: User, hidden: Sequence[tuple[Comment, Event]], event: Event) -> int:
    before = {}
    for comment, hiding in hidden:
        before[comment.id] = Watch(comment, *rows_of(hiding.changes)), state_word(comment, comment.newest)
        put_back(hiding.changes)
    settle_together([comment for comment, _ in hidden])
    for comment, hiding in hidden:
        watch, from_state = before[comment.id]
        part = note_event(
            "unban", actor, comment, comment.newest, watch, from_state=from_state, undoes=hiding
        )
        part.part_of_id = event.id
        tell_reporters(part, comment)
    return len(hidden)


def _forget_the_others(lifted: Ban | None, restored: Sequence[int], watch: Watch) -> None:
    """Let what was changed since stay as it is, and no longer count as hidden by this ban."""
    if lifted is None:
        return
    others = select(Comment).where(Comment.ban_id == lifted.id, Comment.id.not_in(restored))
    for comment in db.session.scalars(others.options(joinedload(Comment.newest))):
        watch.add(comment)
        comment.ban_id = None
        put_on_desk(comment)


def _lock_essays(ids: Select[int]) -> None:
    """Take the row locks of essays in id order, after the person's."""
    db.session.scalars(
        select(Essay.id).where(Essay.id.in_(ids)).order_by(Essay.id).with_for_update(key_share=True)
    ).all()


def _lock_comments(which: Select[Comment]) -> Sequence[Comment]:
    """Take the row locks of comments in id order, after their essays', and read them afresh."""
    locked = which.order_by(Comment.id).with_for_update(of=Comment)
    return db.session.scalars(locked.execution_options(populate_existing=True)).all()


def _open_reports(comments: Sequence[Comment]) -> dict[int, list[Report]]:
    reported = [comment.id for comment in comments if comment.open_reports]
    found: dict[int, list[Report]] = {}
    if reported:
        open_ones = select(Report).where(Report.comment_id.in_(reported), Report.outcome == "")
        for report in db.session.scalars(open_ones.order_by(Report.id)):
            found.setdefault(report.comment_id, []).append(report)
    return found


def _live_comments(user: User) -> Select[Comment]:
    return (
        select(Comment)
        .where(Comment.author_id == user.id, Comment.presence == Presence.LIVE)
        .options(*_with_words())
    )


def _with_words() -> tuple[Any, ...]:
    """Return the options that load comments with their words and essays, but not the text of one for each of them."""
    # Not an outer join: SQLite would put all essays together before it looks for these.
    essay = joinedload(Comment.essay, innerjoin=True).options(*light_essay())
    return joinedload(Comment.newest), joinedload(Comment.shown), essay


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(MINUTE)
