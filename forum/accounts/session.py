"""Sessions as rows: a cookie names one, sign-out deletes it, and a deleted one opens nothing."""

import secrets
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

from flask import Flask, Request, g, request
from flask import session as cookie
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_login import LoginManager, login_user, logout_user
from itsdangerous import BadSignature
from sqlalchemy import Select, String, bindparam, delete, select, union_all, update
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship
from sqlalchemy.orm.attributes import set_committed_value

from forum import clock
from forum.accounts.device import device_words
from forum.accounts.user import User, lock_users
from forum.database import READING, Base, Id, Moment, Token, db, is_reading_first, reference
from forum.prepared import Part, Prepared
from forum.web import person, require

READER_LIFETIME = timedelta(days=90)
STAFF_IDLE = timedelta(hours=12)
"""Moderators, authors and admins can do harm with a forgotten browser; readers hardly."""

PROOF_LASTS = timedelta(minutes=15)
"""How long after a mailed link or code nobody is asked for the password, which they may have forgotten."""

SEEN_EVERY = timedelta(minutes=10)
"""How old `last_seen_at` may grow before a request writes it again."""

A_SECOND = timedelta(seconds=1)
"""Cookies say when they were signed in whole seconds."""

COOKIES_KNOWN = 1_000
LONGEST_KNOWN = 2_000
"""Of a process at most 2 MB."""


class Session(Base):
    """One signed-in browser."""

    __tablename__ = "session"

    id: Mapped[Id]
    user_id: Mapped[int] = reference("user.id")
    token_hash: Mapped[Token] = mapped_column(unique=True)
    device: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[Moment]
    last_seen_at: Mapped[Moment]

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    def is_alive(self, now: datetime) -> bool:
        """Tell whether the session still opens anything: 90 days for readers, 12 idle hours for staff."""
        return is_alive(self.created_at, self.last_seen_at, now, is_staff=self.user.may_moderate)


def is_alive(created_at: datetime, last_seen_at: datetime, now: datetime, *, is_staff: bool) -> bool:
    """Tell whether a session of these dates still opens anything."""
    return now - last_seen_at < STAFF_IDLE if is_staff else now - created_at < READER_LIFETIME


def token_digest(token: str) -> str:
    """Return what is stored of a token, so that a stolen database signs nobody in."""
    return sha256(token.encode()).hexdigest()


def start_session(user: User) -> None:
    """Sign a person in on this browser: a new session row in place of the old one, a new cookie. The caller commits."""
    now = clock.now()
    token = secrets.token_urlsafe(32)
    _delete_row(cookie.get("_user_id", ""))
    row = Session(user_id=user.id, token_hash=token_digest(token))
    row.device = device_words(request.user_agent.string)
    row.created_at = row.last_seen_at = now
    db.session.add(row)
    cookie.clear()  # nothing of the stranger's cookie, nor its form token, goes on into the new session
    cookie.permanent = True
    user.session_token = token
    login_user(user)


def note_proof() -> None:
    """Note that this browser has just shown that it reads its person's mail."""
    cookie["proved_at"] = int(clock.now().timestamp())


def has_fresh_proof() -> bool:
    """Tell whether this session began a moment ago with a mailed link or code."""
    proved_at: int = cookie.get("proved_at", 0)
    return clock.now().timestamp() - proved_at < PROOF_LASTS.total_seconds()


def end_session() -> None:
    """Sign this browser out: the row goes, so that a copy of the cookie opens nothing. The caller commits."""
    _delete_row(cookie.get("_user_id", ""))
    logout_user()
    cookie.clear()


def end_sessions_of(user: User, *, but: int | None = None) -> None:
    """Sign a person out everywhere, except in the session with the id `but`. The caller commits."""
    theirs = delete(Session).where(Session.user_id == user.id)
    db.session.execute(theirs if but is None else theirs.where(Session.id != but))


def signed_in_user() -> User:
    """Return the signed-in person; a stranger is asked to sign in and comes back."""
    require(person() is not None)
    user: User = person()
    return user


def lock_person(others: Select[int], **values: Any) -> User | None:
    """Return the signed-in person, or None, after taking the row locks of theirs and of others, as lock_users() does.

    `others` selects ids, with `values` for what it leaves open. One statement, that which finds the person.
    """
    if not cookie.get("_user_id"):
        return None
    g.locks = (others, values)
    user: User | None = person()
    if g.pop("locks", None) is not None and user is not None:  # they were known before
        ids = db.session.scalars(others, values).all()
        lock_users(User.id.in_({user.id, *ids}))
    return user


def forget_person() -> None:
    """Let person() find out anew who asks: their session ended while this request waited. The cookie stays."""
    g.pop("_login_user", None)  # where Flask-Login keeps whom it found


def current_session() -> Session | None:
    """Return the row of the session that this request came with. One query, also for its person's subscription."""
    token = cookie.get("_user_id")
    if not token:
        return None
    return db.session.scalar(_finding(), {"token_hash": token_digest(token)})


def sessions_of(user: User) -> list[Session]:
    """Return the sessions that are still alive, the one seen last first; one query."""
    now = clock.now()
    theirs = select(Session).where(Session.user_id == user.id).order_by(Session.last_seen_at.desc())
    return [row for row in db.session.scalars(theirs) if row.is_alive(now)]


def init_sessions(app: Flask) -> None:
    """Let Flask-Login find the person of each request through the session row."""
    app.session_interface = Cookies(app)
    logins = LoginManager(app)
    logins.session_protection = None  # a changing address or browser version does not end a session
    logins.user_loader(_person_of)


class Cookies(SecureCookieSessionInterface):
    """Opens the cookies of sessions as Flask does, but checks what a browser sends again and again only once."""

    def __init__(self, app: Flask) -> None:
        self._open = lru_cache(COOKIES_KNOWN)(lambda sent: self._said(app, sent))

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the browser's cookie says; nothing where it is too old, or not of our making."""
        sent = request.cookies.get(self.get_cookie_name(app))
        if not sent or len(sent) > LONGEST_KNOWN:
            return super().open_session(app, request)
        try:
            said, signed_at = self._open(sent)
        except BadSignature:
            return self.session_class()
        is_young = timedelta(0) <= clock.now() - signed_at < app.permanent_session_lifetime + A_SECOND
        return self.session_class(_copied(said) if is_young else None)

    def _said(self, app: Flask, sent: str) -> tuple[dict[str, Any], datetime]:
        serializer: Any = self.get_signing_serializer(app)
        said, signed_at = serializer.loads(sent, return_timestamp=True)
        return said, signed_at


def _copied(said: dict[str, Any]) -> dict[str, Any]:
    """Return what a cookie says, so that nothing that one request changes in it is known to the next."""
    return {name: value if isinstance(value, str | int) else deepcopy(value) for name, value in said.items()}


def _person_of(token: str) -> User | None:
    locks = g.pop("locks", None)
    if locks is None:
        row = current_session()
        return _person_in(row.user, token, row.id, row.created_at, row.last_seen_at) if row else None
    others, values = locks
    people, session, periods = _parts()
    g.locked = []  # as long as the request lasts, so that what refers to these people finds them
    found = None
    for one in _locking(others).rows(token_hash=token_digest(token), **values):
        user = people.of(one)
        set_committed_value(user, "subscription", periods.of(one))
        g.locked.append(user)
        mine = session.values(one)
        if mine["id"] is not None:
            found = _person_in(user, token, mine["id"], mine["created_at"], mine["last_seen_at"])
    return found


def _person_in(
    user: User, token: str, session_id: int, created_at: datetime, last_seen_at: datetime
) -> User | None:
    """Return the person of a session that still opens something, and note now and then that it is in use."""
    now = clock.now()
    if not is_alive(created_at, last_seen_at, now, is_staff=user.may_moderate):
        return None
    if now - last_seen_at > SEEN_EVERY:
        _touch(session_id, now)
    user.session_token = token
    return user


@cache
def _parts() -> tuple[Part, Part, Part]:
    """Return what is read of a person, of their session and of their period."""
    session = Part(Session, Session.id, Session.created_at, Session.last_seen_at)
    return Part(User), session, Part(User.subscription.property.mapper.class_)


@cache
def _finding() -> Select[Session]:
    along = joinedload(Session.user).joinedload(User.subscription)
    return select(Session).options(along).where(Session.token_hash == bindparam("token_hash"))


@lru_cache(maxsize=8)
def _locking(others: Select[int]) -> Prepared:
    """Return the select of a session with its person and of other people, who are locked in the order of their ids."""
    return Prepared(lambda: _with_locks(others))


def _with_locks(others: Select[int]) -> Select[Any]:
    mine = Session.token_hash == bindparam("token_hash")
    ids = union_all(select(Session.user_id).where(mine), others)
    rows = select(*(column for part in _parts() for column in part.columns)).select_from(User)
    rows = rows.outerjoin(Session, (Session.user_id == User.id) & mine).outerjoin(User.subscription)
    people = rows.where(User.id.in_(ids)).order_by(User.id)
    return people.with_for_update(of=User, key_share=True)


def _delete_row(token: str) -> None:
    db.session.execute(delete(Session).where(Session.token_hash == token_digest(token)))


def _touch(session_id: int, now: datetime) -> None:
    """Note that the session is in use; a reading request does it in a transaction of its own."""
    seen = update(Session).where(Session.id == session_id).values(last_seen_at=now)
    if request.method in READING or is_reading_first():
        with db.engine.begin() as connection:
            connection.execute(seen)
    else:
        db.session.execute(seen)  # not through the row, whose owner may be ending this session just now
