"""When a database may be filled, and what whoever filled it is told."""

from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.demo.accounts import PASSWORD, read_people
from forum.essays.essay import Essay


def is_empty() -> bool:
    """Tell whether there is nobody and no essay yet."""
    return db.session.scalar(select(User.id).limit(1)) is None and not db.session.scalar(
        select(Essay.id).limit(1)
    )


def sign_in_words() -> str:
    """Return as whom one can sign in, in a few lines; nothing where the demo's people are not there."""
    people = [person for person in read_people() if person.email]
    there = set(db.session.scalars(select(User.email).where(User.email.in_([one.email for one in people]))))
    lines = [f"  {one.email:<24} {one.name}, {one.role.value}" for one in people if one.email in there]
    return "\n".join([f"Sign in with the password {PASSWORD} as", *lines]) if lines else ""
