"""Asking for a link and a code by mail: the same rows and as many mails whether or not there is an account."""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from sqlalchemy import delete

from forum import clock
from forum.accounts.session import token_digest
from forum.accounts.sign_in import has_account, words_kept
from forum.accounts.sign_in_link import LINK_LIFETIME, Purpose, SignInLink
from forum.accounts.user import User
from forum.database import db
from forum.outbox.message import send

REMEMBERED_FOR = timedelta(days=7)
"""How long an expired link can still say so and send a new one: as long as the words that wait for it are kept."""

MOST_QUOTED = 500
WEB_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s)>\]]+", re.I)

SEND_AGAIN_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class Origin:
    """Where a person asks from: the page to go back to, the comment kept for them, their device in words."""

    next_path: str = "/"
    kept: str = ""
    device: str = ""


@dataclass(frozen=True)
class Wish:
    """What a person asks for along with their account: letters, a name or "", a password or none."""

    letters: frozenset[str]
    name: str = ""
    password_hash: str | None = None


def ask_to_sign_in(email: str, origin: Origin) -> str:
    """Mail a way in; an address without an account is told so by mail, and only by mail.

    Returns the token that names the asking browser.
    """
    kind = "sign-in" if has_account(email) else "unknown-address"
    return _mail(kind, _new_link(Purpose.SIGN_IN, email), origin)


def ask_to_join(email: str, wish: Wish, origin: Origin) -> str:
    """Mail a way to subscribe, which makes the account; an address that has one gets a way in with the same letters.

    The words that wait are quoted in the mail, so that its receiver sees what they would post; the name is not:
    anybody may have typed it. Returns the token that names the asking browser.
    """
    kind = "known-address" if has_account(email) else "confirm"
    link = _new_link(Purpose.SIGN_UP, email)
    link.name, link.password_hash, link.wishes = wish.name, wish.password_hash, wish.letters
    return _mail(kind, link, origin, words=_quoted(words_kept(origin.kept)))


def ask_to_change_address(user: User, email: str, origin: Origin) -> None:
    """Mail a link to the new address; where it has an account already, that account gets a way in instead."""
    is_known = has_account(email)
    link = _new_link(Purpose.SIGN_IN if is_known else Purpose.CHANGE_ADDRESS, email)
    link.user_id = user.id
    _mail("known-address" if is_known else "change-address", link, origin)


def ask_again(link: SignInLink, origin: Origin) -> str:
    """Mail once more what was asked for with `link`. Returns the token that names the asking browser."""
    if link.purpose == Purpose.SIGN_UP:
        return ask_to_join(link.email, Wish(link.wishes, link.name, link.password_hash), origin)
    return ask_to_sign_in(link.email, origin)


def link_for(user: User) -> str:
    """Return the address of a link that signs a person in once, for whoever has the command line."""
    link = _new_link(Purpose.SIGN_IN, user.email)
    token, _code, _browser = _give_secrets(link)
    db.session.add(link)
    return _url(link, token)


def code_digest(request_hash: str, code: str) -> str:
    """Return what is stored of a code: of six digits a plain digest would soon be guessed."""
    key = current_app.config["SECRET_KEY"].encode()
    return hmac.digest(key, f"{request_hash}:{code}".encode(), "sha256").hex()


def _new_link(purpose: Purpose, email: str) -> SignInLink:
    """Return a link to an address. Who has it is looked up at its use: a reference would cost time at the known."""
    now = clock.now()
    db.session.execute(delete(SignInLink).where(SignInLink.expires_at < now - REMEMBERED_FOR))
    return SignInLink(purpose=purpose, email=email, created_at=now, expires_at=now + LINK_LIFETIME)


def _quoted(words: str) -> str:
    """Return words for a mail to an address that anybody may have typed: not long, and with nothing to open."""
    words = WEB_ADDRESS.sub("[a link]", words)
    return words if len(words) <= MOST_QUOTED else words[:MOST_QUOTED].rstrip() + "…"


def _mail(kind: str, link: SignInLink, origin: Origin, words: str = "") -> str:
    token, code, browser = _give_secrets(link)
    link.next_path, link.kept = origin.next_path, origin.kept
    db.session.add(link)
    send(
        kind,
        link.email,
        link_url=_url(link, token),
        code=f"{code[:3]} {code[3:]}",
        device=origin.device,
        minutes=LINK_LIFETIME // timedelta(minutes=1),
        words=words,
        wishes=link.wishes or frozenset(),
    )
    return browser


def _give_secrets(link: SignInLink) -> tuple[str, str, str]:
    """Return a new token, code and name of the asking browser; the row keeps only what tells them again."""
    token, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    code = f"{secrets.randbelow(1_000_000):06}"
    link.token_hash, link.request_hash = token_digest(token), token_digest(browser)
    link.code_hash = code_digest(link.request_hash, code)
    return token, code, browser


def _url(link: SignInLink, token: str) -> str:
    page = "account/address" if link.purpose == Purpose.CHANGE_ADDRESS else "sign-in/link"
    return f"{current_app.config['SITE_URL']}/{page}/{token}"
