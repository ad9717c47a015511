"""Giving a person another role."""

from forum.accounts.confirming import spend_links_of
from forum.accounts.session import end_sessions_of
from forum.accounts.user import Role, User, lock_users
from forum.site.audit import record


class LastAdmin(Exception):
    """Without this person nobody could manage the site; the message is a sentence for who tried."""

    def __init__(self) -> None:
        super().__init__("This is the only admin. Make another one first.")


def change_role(user: User, role: Role, *, actor_id: int | None, reason: str = "") -> None:
    """Give a person a role, end their sessions, and note it in the audit log; the same role changes nothing.

    `actor_id` None means the command line.
    Raises: LastAdmin.
    """
    # All admins are locked, so that two of them cannot demote each other in the same moment.
    locked = lock_users((User.role == Role.ADMIN) | (User.id == user.id))
    if user.role == role:
        return
    if user.is_admin and sum(one.is_admin for one in locked) == 1:
        raise LastAdmin
    record(actor_id, "role", f"user:{user.id}", reason, old=user.role.value, new=role.value)
    user.role = role
    end_sessions_of(user)
    spend_links_of(user)
