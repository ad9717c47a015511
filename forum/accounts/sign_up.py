"""Making an account, and the two things that can be taken: a name and an address."""

import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from forum import clock
from forum.accounts.sign_in import user_with_address
from forum.accounts.user import Role, User
from forum.database import db
from forum.text.names import MAX_NAME_CHARACTERS, BadName, clean_name, name_key

TRIED_AT_ONCE = 8


class NameTaken(Exception):
    """Somebody has this name, or one that looks like it; the message is a sentence for who wants it."""

    def __init__(self) -> None:
        super().__init__("Somebody here has this name, or one that looks like it. Choose another.")


class AddressTaken(Exception):
    """There is an account with this address. Never shown to visitors, who could ask for any address."""


def make_user(
    name: str,
    email: str,
    *,
    role: Role = Role.READER,
    password_hash: str | None = None,
    about: str = "",
) -> User:
    """Add a confirmed account; the caller knows that the address is the person's. One of two at once wins.

    Raises: NameTaken, AddressTaken; BadName, when nobody has checked the name before.
    """
    now = clock.now()
    user = User(name=name, email=email, role=role, password_hash=password_hash, about=about)
    user.created_at = user.email_confirmed_at = now
    _refuse_taken(user)
    try:
        with db.session.begin_nested():
            db.session.add(user)
    except IntegrityError:
        _refuse_taken(user)
        raise
    return user


def is_name_free(name: str, *, but_for: User | None = None) -> bool:
    """Tell whether no other person has a name that reads like this one."""
    owner_id = db.session.scalar(select(User.id).where(User.name_key == name_key(name)))
    return owner_id is None or (but_for is not None and owner_id == but_for.id)


def free_name(wanted: str = "") -> str:
    """Return a name that nobody has: the wanted one, else "<wanted> 2" and so on, else "Reader 4821".

    Where `wanted` cannot be a name it counts as none. One query, a second when the wanted name is taken; more
    only where thousands share a name.
    """
    try:
        name = clean_name(wanted)
    except BadName:
        name = "Reader"
    else:
        if is_name_free(name):
            return name
        if found := _first_free([numbered(name, number) for number in range(2, 2 + TRIED_AT_ONCE)]):
            return found
    digits = 4
    while True:
        numbers = [
            10 ** (digits - 1) + secrets.randbelow(9 * 10 ** (digits - 1)) for _ in range(TRIED_AT_ONCE)
        ]
        if found := _first_free([numbered(name, number) for number in numbers]):
            return found
        digits += 1


def numbered(name: str, number: int) -> str:
    """Return a name with a number after it, shortened where it must be."""
    ending = f" {number}"
    return name[: MAX_NAME_CHARACTERS - len(ending)].rstrip() + ending


def _first_free(names: Sequence[str]) -> str:
    """Return the first of these names that nobody has, "" when all are taken. One query."""
    keys = {name: name_key(name) for name in names}
    taken = set(db.session.scalars(select(User.name_key).where(User.name_key.in_(keys.values()))))
    return next((name for name in names if keys[name] not in taken), "")


def _refuse_taken(user: User) -> None:
    if user_with_address(user.email) is not None:
        raise AddressTaken
    if not is_name_free(user.name):
        raise NameTaken
