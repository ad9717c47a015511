"""Acts on accounts that only admins have: role, name, sessions, notes; every one is audited."""

from sqlalchemy import delete, select

from forum import clock
from forum.accounts import account
from forum.accounts import role as accounts_role
from forum.accounts.session import Session, end_sessions_of
from forum.accounts.sign_up import NameTaken
from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.moderation.standing import NotDone, lock_people, may_manage, subject
from forum.site import audit
from forum.text.names import BadName, clean_name

ONLY_ADMIN = "You are the only admin."


def change_role(actor: User | None, user: User, role: Role, reason: str) -> None:
    """Give a person another role and end their sessions; `actor` None means the command line.

    Two admins who demote each other at once are one after the other: the second is no admin any more.
    Raises: NotDone, for the actor.
    """
    lock_people(actor, user)
    _refuse_unless_admin(actor)
    if user.role == role:
        raise NotDone(f"Their role is {role.value} already.")
    if role != Role.ADMIN and is_only_admin(user):
        raise NotDone(ONLY_ADMIN if actor is user else "This is the only admin.")
    accounts_role.change_role(user, role, actor_id=actor.id if actor else None, reason=reason)


def is_only_admin(user: User) -> bool:
    """Tell whether nobody else could manage the site: no other admin in good standing."""
    if not user.is_admin:
        return False
    now = clock.now()
    free = User.has_standing(Standing.ACTIVE, now) | User.has_standing(Standing.HELD, now)
    others = select(User.id).where(User.role == Role.ADMIN, User.id != user.id, free)
    return db.session.scalar(others.limit(1)) is None


def change_name(actor: User, user: User, name: str, reason: str) -> None:
    """Give a person another name, everywhere they wrote.

    Raises: NotDone, when the name cannot be used or somebody has one that looks like it.
    """
    lock_people(actor, user)
    _refuse_unless_admin(actor)
    old = user.name
    try:
        if clean_name(name) == old:
            raise NotDone("That is their name already.")
        account.change_name(user, name)
    except BadName as wrong:
        raise NotDone(str(wrong)) from wrong
    except NameTaken as wrong:
        raise NotDone("Somebody has this name, or one that looks like it.") from wrong
    audit.record(actor.id, "name", subject(user), reason, old=old, new=user.name)


def end_one_session(actor: User, user: User, session: Session, reason: str) -> None:
    """Sign one of a person's browsers out."""
    lock_people(actor, user)
    _refuse_unless_admin(actor)
    db.session.execute(delete(Session).where(Session.id == session.id))
    audit.record(actor.id, "sign-out", subject(user), reason, device=session.device)


def end_all_sessions(actor: User, user: User, reason: str) -> None:
    """Sign a person out everywhere."""
    lock_people(actor, user)
    _refuse_unless_admin(actor)
    end_sessions_of(user)
    audit.record(actor.id, "sign-out", subject(user), reason, device="everywhere")


def _refuse_unless_admin(actor: User | None) -> None:
    if actor is not None and not may_manage(actor, clock.now()):
        raise NotDone("Only an admin may do this.")
