"""Using a mailed link or code: once, in its time, for its purpose."""

import hmac
from collections.abc import Collection

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from forum import clock
from forum.accounts.asking import code_digest
from forum.accounts.session import token_digest
from forum.accounts.sign_in import user_with_address
from forum.accounts.sign_in_link import CODE_TRIES, Purpose, SignInLink
from forum.accounts.sign_up import AddressTaken, NameTaken, free_name, make_user
from forum.accounts.signals import joined
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.outbox.message import redirect_unsent, send

WAYS_IN = (Purpose.SIGN_IN, Purpose.SIGN_UP)


class LinkSpent(Exception):
    """The link was used or ran out between looking and using."""


def find_link(token: str, purposes: Collection[Purpose]) -> SignInLink | None:
    """Return the link with a token, usable or not; one for another purpose is nothing here."""
    mine = (SignInLink.token_hash == token_digest(token)) & SignInLink.purpose.in_(purposes)
    return db.session.scalar(select(SignInLink).where(mine))


def find_request(browser: str) -> SignInLink | None:
    """Return the newest link that the browser with this token asked for."""
    return db.session.scalar(select(SignInLink).where(SignInLink.request_hash == token_digest(browser)))


def link_by_code(browser: str, code: str) -> SignInLink | None:
    """Return the link that a browser asked for, if this is its code. Every call counts as a try, so commit it."""
    now = clock.now()
    tries_left = (SignInLink.used_at.is_(None)) & (SignInLink.expires_at > now)
    tries_left &= (SignInLink.request_hash == token_digest(browser)) & (SignInLink.code_tries < CODE_TRIES)
    link = db.session.scalar(
        update(SignInLink)
        .where(tries_left)
        .values(code_tries=SignInLink.code_tries + 1)
        .returning(SignInLink)
        .execution_options(populate_existing=True)
    )
    if link is None or not hmac.compare_digest(link.code_hash, code_digest(link.request_hash, code)):
        return None
    return link


def person_of(link: SignInLink, *, name: str = "", password_hash: str | None = None) -> User:
    """Use a link that leads in and return its person, whose account a sign-up makes here with what they wished.

    `name` is one that was chosen just now; without it the account gets the one asked for, or the free one next
    to it. `password_hash` is what the account gets: whoever asked may not have been the owner of the address, so
    the caller decides whether theirs counts.
    Raises: LinkSpent; NameTaken, when another has the chosen name; BadName.
    """
    _spend(link)
    user, is_new = user_with_address(link.email), False
    if user is None:
        if link.purpose != Purpose.SIGN_UP:
            raise LinkSpent  # no account, or its address has changed since
        try:
            user = _make_user(link, name, password_hash)
        except AddressTaken:  # by another link of the same person, a moment ago
            raise LinkSpent from None
        is_new = True
    if link.purpose == Purpose.SIGN_UP:
        joined.send(user, wishes=link.wishes, is_new=is_new)
    return user


def _make_user(link: SignInLink, name: str, password_hash: str | None) -> User:
    try:
        return make_user(name or free_name(link.name), link.email, password_hash=password_hash)
    except NameTaken:
        if name:
            raise
        # Free a moment ago, so somebody else was first; nobody chose this name, so nobody need be asked.
        return make_user(free_name(link.name), link.email, password_hash=password_hash)


def change_address(link: SignInLink) -> User:
    """Use a link that was mailed to a new address: it becomes the person's, and the old address is told.

    Letters that have not left go to the new one.

    Raises: LinkSpent, also when the address got an account of its own meanwhile.
    """
    locked = lock_users(User.id == link.user_id)  # before the link, which they may be spending just now
    _spend(link)
    user = next(iter(locked), None)
    if user is None or user_with_address(link.email) is not None:
        raise LinkSpent
    send("address-changed", user.email, new_address=link.email)
    spend_links_of(user)
    try:
        with db.session.begin_nested():
            user.email, user.email_confirmed_at = link.email, clock.now()
    except IntegrityError:
        raise LinkSpent from None
    redirect_unsent(user.id, user.email)
    return user


def spend_links_of(user: User) -> None:
    """Make all links worthless that were mailed to a person's address, or would change it."""
    theirs = (SignInLink.email == user.email) | (SignInLink.user_id == user.id)
    unused = theirs & SignInLink.used_at.is_(None)
    db.session.execute(update(SignInLink).where(unused).values(used_at=clock.now()))


def _spend(link: SignInLink) -> None:
    """Mark a link as used; of two uses at once only one gets here."""
    now = clock.now()
    unused = (SignInLink.id == link.id) & SignInLink.used_at.is_(None) & (SignInLink.expires_at > now)
    if (
        db.session.scalar(update(SignInLink).where(unused).values(used_at=now).returning(SignInLink.id))
        is None
    ):
        raise LinkSpent
