"""Who may act on whom, and what every act on a person leaves: an event to undo, an audit entry and a notice."""

from datetime import datetime

from forum import clock
from forum.accounts.user import Role, User, lock_users
from forum.database import db
from forum.discussion.change import Watch, put_back, rows_of
from forum.discussion.event import Event, take_out_of_force
from forum.discussion.refusals import reason_in_force
from forum.moderation.telling import keep_person_told
from forum.notifications.notice import hold_back_waiting, let_go_of_waiting
from forum.outbox.message import hold_back_unsent, let_go_of_unsent
from forum.site import audit
from forum.subscriptions.letters import Letter

MODERATORS_MAY = frozenset({"warn", "hold", "release"})
AUTHORS_MAY = MODERATORS_MAY | {"suspend", "unsuspend", "ban", "unban"}
"""The acts on readers; admins may the same, and on those who work here as well."""

LETTERS = frozenset(Letter) - {Letter.DECISIONS}
"""What the banned get no more: they hear only what was decided about them."""

NOT_YOUR_BAN = "Only an admin may lift a ban that somebody else made."


class NotDone(Exception):
    """Why an act on a person was not done, as one sentence for whoever tried."""


def why_not(act: str, actor: User, user: User, now: datetime) -> str | None:
    """Return why the actor may not do this act to this person, or take it back; None if they may.

    Moderators warn readers and hold their comments. Authors also suspend and ban readers. Only admins act on
    those who work here, and nobody on themselves.
    """
    allowed = AUTHORS_MAY if actor.may_write else MODERATORS_MAY
    if not actor.may_moderate or not actor.is_in_standing(now) or act not in allowed:
        return "Only authors and admins may do this." if actor.may_moderate else "You may not do this."
    if actor.id == user.id:
        return "You cannot do this to your own account."
    if user.role != Role.READER and not actor.is_admin:
        return "Only an admin may do this to someone who works here."
    return None


def may_note(actor: User, user: User) -> bool:
    """Tell whether a person may read and write notes about another: about those who work here, only admins."""
    return actor.is_admin or (actor.may_moderate and user.role == Role.READER)


def why_not_undo_on_person(actor: User, event: Event, user: User) -> str | None:
    """Return why the actor may not take back an act on this person, or do it again: who may do it may undo it."""
    first = _first(event)
    if first.act in ("ban", "unban") and first.actor_id != actor.id and not actor.is_admin:
        return NOT_YOUR_BAN
    return why_not(first.act, actor, user, clock.now())


def may_manage(actor: User | None, now: datetime) -> bool:
    """Tell whether a person manages users and settings: an admin in good standing."""
    return actor is not None and actor.is_admin and actor.is_in_standing(now)


def lock_people(*people: User | None) -> None:
    """Take the row locks of these people and of every admin, in id order, and read them afresh.

    Every act on people begins with it, so that an actor who was demoted or banned meanwhile is seen to be so.
    """
    lock_users(User.id.in_([one.id for one in people if one is not None]) | (User.role == Role.ADMIN))


def subject(user: User) -> str:
    """Return how the audit log names a person."""
    return f"user:{user.id}"


def note_on_person(
    act: str, actor: User, user: User, watch: Watch, reason: str = "", *, undoes: Event | None = None
) -> Event:
    """Add the event of an act on a person, after the act; the reason that they are shown follows from it."""
    if undoes is not None:
        take_out_of_force(undoes)
        db.session.flush()
        user.standing_reason = reason_in_force(user, clock.now())
    event = Event(
        at=clock.now(),
        actor_id=actor.id,
        act=act,
        person_id=user.id,
        note=reason,
        undoes_id=undoes.id if undoes else None,
        parts=0,
        changes=watch.changes(),
    )
    db.session.add(event)
    db.session.flush()
    return event


def hold_letters_back(user: User, at: datetime) -> None:
    """Let no letter leave for who is banned from now on; whoever undoes what was done at that moment lets them go."""
    hold_back_unsent(user.id, LETTERS, at)
    hold_back_waiting(user.id, LETTERS, at)


def undo_on_person(actor: User, event: Event) -> Event:
    """Put back what an act on a person changed, without its parts; who knows of it already is told.

    Letters that it held back leave; those that wait when a ban is in force again are held back in their turn.
    """
    user, now = db.session.get_one(User, event.person_id), clock.now()
    watch, was_banned = Watch(user, *rows_of(event.changes)), user.is_banned(now)
    put_back(event.changes)
    made = note_on_person("undo", actor, user, watch, undoes=event)
    let_go_of_unsent(user.id, event.at)
    let_go_of_waiting(user.id, event.at)
    if user.is_banned(now) and not was_banned:
        hold_letters_back(user, made.at)
    audit.record(actor.id, "undo", subject(user), undone=_first(event).act)
    keep_person_told(made, user)
    return made


def _first(event: Event) -> Event:
    """Return the act that an undo, or the undo of an undo, is about in the end."""
    while event.undoes_id is not None:
        event = db.session.get_one(Event, event.undoes_id)
    return event
