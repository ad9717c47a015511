"""Signing in: who an address and a password belong to, and what follows when somebody is known."""

from sqlalchemy import select

from forum.accounts.password import hash_password, is_password, needs_rehash
from forum.accounts.session import start_session
from forum.accounts.signals import signed_in, words_asked
from forum.accounts.user import User
from forum.database import db


def user_with_address(email: str) -> User | None:
    """Return the person with an address, given as `clean_address` spells it."""
    return db.session.scalar(select(User).where(User.email == email))


def has_account(email: str) -> bool:
    """Tell whether an address has an account, without loading it: nobody shall see the difference in time."""
    return db.session.scalar(select(User.id).where(User.email == email)) is not None


def user_by_password(email: str, password: str) -> User | None:
    """Return the person whom an address and a password belong to; an unknown address takes as long as a known one.

    Ends the transaction, so that no writer waits for the 40 ms of the check: call it before anything is added.
    """
    found = db.session.execute(select(User.id, User.password_hash).where(User.email == email)).one_or_none()
    db.session.rollback()
    stored = found.password_hash if found else None
    if not is_password(stored, password):
        return None
    fresh = hash_password(password) if stored and needs_rehash(stored) else stored
    user = db.session.get(User, found.id) if found else None
    if user is None or user.password_hash != stored:
        return None  # changed by its owner while we were checking
    user.password_hash = fresh
    return user


def finish_sign_in(user: User, next_path: str, kept: str) -> str:
    """Start a session on this browser, post what the person wrote before, and return where they go now."""
    start_session(user)
    return post_kept(user, kept) or next_path


def post_kept(user: User, kept: str) -> str | None:
    """Tell everyone that waits for it that a person has signed in; return the first address that one names."""
    answers = [address for _, address in signed_in.send(user, kept=kept)]
    return next((address for address in answers if address), None)


def words_kept(kept: str) -> str:
    """Return what a person wrote before they signed in, as they typed it, while it waits; "" for nothing."""
    if not kept:
        return ""
    answers = [words for _, words in words_asked.send(None, kept=kept)]
    return next((words for words in answers if words), "")
