"""What a person changes about their own account."""

from sqlalchemy.exc import IntegrityError

from forum.accounts.confirming import spend_links_of
from forum.accounts.session import end_sessions_of, start_session
from forum.accounts.sign_up import NameTaken, is_name_free
from forum.accounts.signals import renamed, support_shown
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.outbox.message import send


def change_name(user: User, name: str) -> None:
    """Give a person another name, everywhere they wrote.

    Raises: NameTaken, with a sentence for the person; BadName, when nobody has checked it before.
    """
    if not is_name_free(name, but_for=user):
        raise NameTaken
    lock_users(User.id == user.id)
    # First the discussions: who posts there has them, and then refers to this person, who may follow them.
    renamed.send(user)
    try:
        with db.session.begin_nested():
            user.name = name
    except IntegrityError:
        raise NameTaken from None


def show_support(user: User, *, shown: bool) -> None:
    """Let a person's comments say that they were written as a supporter, or not, also those that are there."""
    if user.shows_support != shown:
        user.shows_support = shown
        support_shown.send(user)


def change_password(user: User, password_hash: str, device: str) -> None:
    """Give a person a new password; every other browser is signed out, this one gets a new session."""
    user.password_hash = password_hash
    end_sessions_of(user)
    spend_links_of(user)
    start_session(user)
    send("password-changed", user.email, device=device)
