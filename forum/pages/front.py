"""What answers the pages of essays before the heavy part of the stack: a read that proves versions, then kept bytes.

It judges nothing itself. Pages are rendered by the application (`shared.py`), what a reader may do is judged by it
once for each state of their account (`viewer.remember`), and whatever is not plain is handed on to it.
"""

import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flask import Flask, session
from flask_wtf.csrf import generate_csrf
from itsdangerous import BadSignature
from markupsafe import escape
from sqlalchemy import Engine, Select, String, bindparam, exists, select, text, type_coerce
from werkzeug.datastructures import Accept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header
from werkzeug.sansio.utils import host_is_trusted

from forum import clock
from forum.accounts.session import SEEN_EVERY, Session, is_alive, token_digest
from forum.accounts.user import Role, User
from forum.database import STORED, UtcDateTime, db
from forum.discussion.answers import new_form_token
from forum.discussion.comment import UNSEEN, Comment
from forum.essays.essay import Essay
from forum.finding import MAKER, Unmade, Unread, may_make_here
from forum.notifications.follow import Follow
from forum.notifications.notice import unread_by
from forum.pages.own import Concern, OwnParts, concerns, parts_of
from forum.pages.shared import (
    CSRF,
    FIRST_VIEW,
    FORM_TOKEN,
    NAME,
    UNREAD,
    WAITING,
    Habits,
    Page,
    Pages,
    Validity,
    Versions,
    View,
    filled,
    filled_gzip,
    order_of,
)
from forum.pages.viewer import ACCOUNT, OF_SESSION, TERMS, EssayState, Fingerprint, find_audience, of_session
from forum.rawreads import RawReads, RawStatement
from forum.site.settings import Setting
from forum.subscriptions.letters import Choice, Letter, Pace
from forum.untold import LONGEST_SECONDS
from forum.web import number_of, safe_headers

MOST_COOKIES = 2_000
"""Whose signature was checked, kept by what they are."""

LONGEST_COOKIE = 1_000
"""Ours have some 300 characters."""

MOST_HEADERS = 300
LONGEST_HEADER = 200
"""Different ones of a kind that are worth remembering; browsers send few, and short ones."""

LARGEST_REPEAT = 128 * 1_024
"""Larger answers are not kept whole, under all that was asked."""

ESSAY = re.compile(r"/essays/([a-z0-9-]{1,120})\Z")
POSTING = re.compile(r"/essays/([a-z0-9-]{1,120})/comments\Z")
FACTS = 9
"""Columns of a visit before the essay's terms."""
WHO = FACTS + len(TERMS)
"""Where the columns of the session begin: two dates and a name, then the account."""
FLEETING = frozenset({"_flashes", "posted_draft"})
"""What a session holds for the next page alone."""

Start = Callable[..., Any]
Environ = dict[str, Any]
Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """An answer; `validity` says until when it is the same for all as long as `versions` are current.

    None where it is one reader's alone, or where the next one may get another encoding or another page.
    """

    status: str
    headers: Headers
    body: bytes
    validity: Validity | None
    versions: Versions | None = None


@dataclass
class Repeat:
    """What is answered to the same words again, as long as the essay and its discussion are as they were."""

    status: str
    headers: Headers
    body: list[bytes]
    validity: Validity
    slug: str
    versions: Versions
    mark: bytes
    """When they were last compared; see `RawReads.mark()`."""

    @property
    def size(self) -> int:
        """Return about what it takes."""
        return 2_000 + sum(len(part) for part in self.body)


class Asked(NamedTuple):
    """A visit that can be answered here."""

    slug: str
    view: View
    cookie: str
    is_head: bool


@dataclass(frozen=True)
class Cookie:
    """What the cookie of a session says, its signature checked."""

    digest: str | None
    """Of the token of whoever is signed in."""
    csrf_token: str
    signed_at: datetime
    is_plain: bool
    """Whether it holds nothing for the next page alone."""


class Front:
    """A WSGI callable in front of another one, that answers what it can."""

    def __init__(self, app: Flask, behind: Callable[[Environ, Start], Iterable[bytes]], pages: Pages) -> None:
        self._app = app
        self.behind = behind
        self._pages = pages
        self._prefix = f"{app.config['SESSION_COOKIE_NAME']}="
        self._headers = safe_headers(app)
        self._reads: Reads | None = None
        self._is_trusted = lru_cache(MOST_HEADERS)(
            lambda host: host_is_trusted(host, app.config["TRUSTED_HOSTS"])
        )
        self._open_cookie = lru_cache(MOST_COOKIES)(self._check_cookie)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request, or hand it on. Raises: Unmade, in a thread that is only to find what is kept."""
        if environ["REQUEST_METHOD"] == "POST":
            return self._hand_on_post(environ, start)
        reads = self._reads
        mark = reads.mark() if reads is not None else None
        is_essay = environ["PATH_INFO"].startswith("/essays/")
        if is_essay and mark is None and reads is not None and not may_make_here():
            raise Unread
        if reads is not None and mark is not None and "HTTP_COOKIE" not in environ:
            repeat = self._pages.repeats.find(_key(environ))
            if isinstance(repeat, Repeat) and self._is_current(repeat, reads, mark):
                start(repeat.status, repeat.headers)
                return repeat.body
        return self._answer_or_hand_on(environ, start, mark)

    def _is_current(self, repeat: Repeat, reads: "Reads", mark: bytes) -> bool:
        if repeat.mark != mark:
            try:
                is_same = not repeat.validity.others and reads.versions(repeat.slug) == repeat.versions
            except Unmade:
                raise
            except Exception:  # the application meets it too, and has pages for that
                is_same = False
            if not is_same:
                return False
            repeat.mark = mark
        return repeat.validity.holds(clock.now())

    def _hand_on_post(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Hand on what brings something. Who posts where others look is answered when the page is made anew.

        Until then others get the page before, so that nobody waits for it. Where the server has no thread to make it
        with, nobody else is served meanwhile either.
        """
        found = POSTING.match(environ["PATH_INFO"])
        maker = environ.get(MAKER)
        if found is None or maker is None:
            return self.behind(environ, start)
        untold, changes = self._pages.untold, dict[tuple[int, int], bool]()

        def note(essay_id: int, version: int, *, is_stored: bool) -> None:
            (untold.store if is_stored else untold.expect)(essay_id, version)
            changes[essay_id, version] = is_stored

        try:
            return self.behind(environ | {STORED: note}, start)
        finally:
            for change, is_stored in changes.items():
                if is_stored and untold.is_wanted(*change):
                    self._have_made(maker, found[1])
                untold.remove(*change)

    def _have_made(self, maker: Callable[..., Future[None]], slug: str) -> None:
        try:
            # No longer than this: from then on the change counts as told anyway.
            wait([maker(self._make, slug)], LONGEST_SECONDS)
        except RuntimeError:  # this process is about to end, and takes nothing on
            return

    def _make(self, slug: str) -> None:
        """Make the page that nearly everybody sees who comes to an essay."""
        try:
            versions = self._ready().versions(slug)
            if versions is not None:
                self._pages.stranger(versions, FIRST_VIEW)
        except HTTPException:
            return  # it was withdrawn meanwhile
        except Exception:  # what was stored is stored; whoever looks next meets the same
            logging.getLogger("forum").warning("a page was not made", exc_info=True)

    def _answer_or_hand_on(self, environ: Environ, start: Start, mark: bytes | None) -> Iterable[bytes]:
        asked = self._asked(environ)
        if asked is not None:
            try:
                answer = self._answer(asked, environ)
            except Unmade:
                raise
            except HTTPException:
                answer = None  # the application has a page for it
            except Exception:  # the application meets it too, and has pages for that
                logging.getLogger("forum").warning("a kept page failed", exc_info=True)
                answer = None
            if answer is not None:
                body = [] if asked.is_head else [answer.body]
                if mark is not None and "HTTP_COOKIE" not in environ:
                    self._keep(environ, asked.slug, answer, body, mark)
                start(answer.status, answer.headers)
                return body
        return self.behind(environ, start)

    def _keep(self, environ: Environ, slug: str, answer: Answer, body: list[bytes], mark: bytes) -> None:
        """Keep an answer if it is the same for all who ask in the same words."""
        status, headers, whole, validity, versions = answer
        key = _key(environ)
        is_large = len(whole) > LARGEST_REPEAT or any(len(part or "") > LONGEST_HEADER for part in key)
        if validity is None or versions is None or is_large:
            return
        repeat = Repeat(status, headers, body, validity, slug, versions, mark)
        self._pages.repeats.keep(key, repeat)

    def _asked(self, environ: Environ) -> Asked | None:
        found = ESSAY.match(environ["PATH_INFO"])
        method = environ["REQUEST_METHOD"]
        if found is None or method not in ("GET", "HEAD") or "json" in environ.get("HTTP_ACCEPT", ""):
            return None
        host = environ.get("HTTP_HOST", "")
        if len(host) > LONGEST_HEADER or not self._is_trusted(host):
            return None
        view = view_of(environ.get("QUERY_STRING", ""))
        return None if view is None else Asked(found[1], view, self._cookie(environ), method == "HEAD")

    def _cookie(self, environ: Environ) -> str:
        for pair in environ.get("HTTP_COOKIE", "").split(";"):
            if (pair := pair.strip()).startswith(self._prefix):
                return str(pair[len(self._prefix) :])
        return ""

    def _answer(self, asked: Asked, environ: Environ) -> Answer | None:
        cookie = self._open_cookie(asked.cookie) if 0 < len(asked.cookie) < LONGEST_COOKIE else None
        if asked.cookie and (cookie is None or not cookie.is_plain or not self._is_young(cookie)):
            return None
        reads = self._ready()
        if cookie is not None and cookie.digest is not None:
            return self._answer_reader(asked, cookie, reads, environ)
        versions = reads.versions(asked.slug)
        if versions is None:
            return None
        self._note(versions, asked.view)
        before = self._pages.stranger_before(versions, asked.view)
        page = before or self._pages.stranger(versions, asked.view)
        answer = self._answer_stranger(page, versions.essay_id, asked.view, environ)
        return answer._replace(versions=versions) if before is None else answer

    def _note(self, versions: Versions, view: View) -> None:
        """Note that somebody looks at the discussion, so that the next one who posts sees to it that nobody waits."""
        if view == FIRST_VIEW:
            self._pages.untold.want(versions.essay_id, versions.thread)

    def _answer_stranger(self, page: Page, essay_id: int, view: View, environ: Environ) -> Answer:
        about = [
            ("ETag", page.etag),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept, Accept-Encoding, Cookie"),
        ]
        if page.etag.removeprefix("W/") in environ.get("HTTP_IF_NONE_MATCH", ""):
            return Answer("304 Not Modified", about, b"", page.validity)
        encodings = encodings_in(environ.get("HTTP_ACCEPT_ENCODING", ""))
        validity: Validity | None = page.validity
        if "br" in encodings:
            brotli = self._pages.brotli(page, essay_id, view)
            if brotli is not None:
                return self._ok(brotli, "br", about, validity)
            validity = None
        if "gzip" in encodings:
            return self._ok(page.gzip, "gzip", about, validity)
        return self._ok(page.html, "", about, validity)

    def _answer_reader(self, asked: Asked, cookie: Cookie, reads: "Reads", environ: Environ) -> Answer | None:
        now = clock.now()
        visit = reads.visit(cookie.digest or "", asked.slug, now)
        if visit is None or not is_fresh(visit, now):
            return None
        versions = visit.state.versions
        audience = find_audience(self._pages, visit.account, visit.state, now)
        if audience is None:
            return None
        self._note(versions, asked.view)
        threads = self._pages.threads_before(versions, asked.view) or self._pages.threads(
            versions, asked.view
        )
        frame = self._pages.frame_of_reader(versions, asked.view, audience, visit.habits, threads)
        own: OwnParts = {}
        if threads.ids:
            found = reads.concerns(visit.user_id, threads.first_id, threads.last_id)
            own = parts_of(found, threads.comment_ids, audience.may, self._app.jinja_env)
        if visit.has_unseen:
            own |= self._pages.waiting(versions.essay_id, visit.user_id, threads, audience.may)
        values = {
            CSRF: cookie.csrf_token,
            FORM_TOKEN: new_form_token(),
            NAME: str(escape(visit.name)),
            UNREAD: self._unread(visit.unread),
            WAITING: self._pages.waiting_badge(visit.user_id) if audience.may_moderate else "",
        }
        about = [("Cache-Control", "no-store"), ("Vary", "Accept, Accept-Encoding, Cookie")]
        if "gzip" in encodings_in(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return self._ok(filled_gzip(frame.segments, values, threads, own), "gzip", about)
        return self._ok(filled(frame.parts, values, threads, own), "", about)

    def _ok(self, body: bytes, encoding: str, about: Headers, validity: Validity | None = None) -> Answer:
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        if encoding:
            headers.append(("Content-Encoding", encoding))
        return Answer("200 OK", [*headers, *about, *self._headers], body, validity)

    def _unread(self, count: int) -> str:
        return (
            self._app.jinja_env.get_template("notifications/_unread.html").render(unread=count)
            if count
            else ""
        )

    def _is_young(self, cookie: Cookie) -> bool:
        lifetime: timedelta = self._app.config["PERMANENT_SESSION_LIFETIME"]
        return clock.now() - cookie.signed_at < lifetime

    def _ready(self) -> "Reads":
        if self._reads is None:
            with self._app.app_context():
                self._reads = Reads(db.engine)
        return self._reads

    def _check_cookie(self, cookie: str) -> Cookie | None:
        """Return what a cookie says, None where the application had better look at it."""
        interface: Any = self._app.session_interface
        serializer = interface.get_signing_serializer(self._app)
        try:
            said, signed_at = serializer.loads(cookie, return_timestamp=True)
        except BadSignature:
            return None
        token, csrf = said.get("_user_id"), said.get("csrf_token")
        if token and not csrf:
            return None  # its first page gives it one
        with self._app.test_request_context():
            session.update(csrf_token=csrf)
            signed = generate_csrf() if token else ""
        return Cookie(token_digest(token) if token else None, signed, signed_at, not FLEETING & said.keys())


def where_it_may_wait(application: Callable[[Environ, Start], Iterable[bytes]]) -> Any:
    """Return an application that raises Unmade in a thread that only hands out what is there."""

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if not may_make_here():
            raise Unmade
        return application(environ, start)

    return answer


class Visit(NamedTuple):
    """Who has a session, what they have to do with an essay, and how that one is just now."""

    created_at: datetime
    last_seen_at: datetime
    account: Fingerprint
    user_id: int
    name: str
    is_staff: bool
    state: EssayState
    unread: int
    has_unseen: bool
    habits: Habits


class Reads:
    """The statements of a visit: one for a stranger, two for a reader."""

    def __init__(self, engine: Engine) -> None:
        self._raw = RawReads(engine)
        moment: Any = UtcDateTime().dialect_impl(engine.dialect).result_processor(engine.dialect, None)
        self._moment: Callable[[Any], datetime] = moment
        self._versions = RawStatement(versions_statement(), engine)
        self._visit = RawStatement(visit_statement(), engine)
        self._concerns = RawStatement(concerns(), engine)
        names = [column.name for column in ACCOUNT]
        self._id, self._role = names.index("id"), names.index("role")

    def mark(self) -> bytes | None:
        """Return what stays the same as long as nothing is written, None where that cannot be told."""
        return self._raw.mark()

    def versions(self, slug: str) -> Versions | None:
        """Return which state of an essay is current."""
        rows = self._raw.rows(self._versions, slug=slug)
        if not rows:
            return None
        site, essay_id, essay, thread = rows[0]
        return Versions(essay_id, essay, thread, (site or "").strip('"'))

    def visit(self, digest: str, slug: str, now: datetime) -> Visit | None:
        """Return all that a reader's page depends on, by the digest of their session's token."""
        if self.mark() is not None:
            # The same moment for a whole second, so that it can be the same question; nobody hears too late.
            now = now.replace(microsecond=0) + timedelta(seconds=bool(now.microsecond))
        rows = self._raw.rows(self._visit, digest=digest, slug=slug, now=now)
        if not rows:
            return None
        row = rows[0]
        site, essay_id, essay, thread, unread, follows, has_unseen, pace, commented_at = row[:FACTS]
        created_at, last_seen_at, name, *_ = row[WHO:]
        account = row[WHO + 3 :]
        return Visit(
            self._moment(created_at),
            self._moment(last_seen_at),
            account,
            account[self._id],
            name,
            account[self._role] != Role.READER.value,
            EssayState(
                Versions(essay_id, essay, thread, (site or "").strip('"')), row[FACTS:WHO], commented_at
            ),
            unread,
            bool(has_unseen),
            Habits(bool(follows), pace == Pace.NEVER.value),
        )

    def concerns(self, user_id: int, first_id: int, last_id: int) -> list[Concern]:
        """Return what a reader has to do with comments of a range."""
        rows = self._raw.rows(self._concerns, viewer_id=user_id, first_id=first_id, last_id=last_id)
        return [Concern(kind, comment_id, name, bool(closed)) for kind, comment_id, name, closed in rows]


def _key(environ: Environ) -> tuple[str | None, ...]:
    """Return all of a request without a cookie that decides its answer."""
    found = environ.get
    return (
        environ["PATH_INFO"],
        found("QUERY_STRING"),
        environ["REQUEST_METHOD"],
        found("HTTP_HOST"),
        found("HTTP_ACCEPT"),
        found("HTTP_ACCEPT_ENCODING"),
        found("HTTP_IF_NONE_MATCH"),
    )


def is_fresh(visit: Visit, now: datetime) -> bool:
    """Tell whether a session is alive and was noted as in use not long ago; if not, the application sees to it."""
    lives = is_alive(visit.created_at, visit.last_seen_at, now, is_staff=visit.is_staff)
    return lives and now - visit.last_seen_at < SEEN_EVERY


def versions_statement(*besides: Any) -> Select[Any]:
    """Return the statement for the current state of an essay, by its `slug`, with other columns besides."""
    site = select(type_coerce(Setting.value, String)).where(Setting.name == "page_version").scalar_subquery()
    versions = (Essay.id, Essay.version, Essay.thread_version)
    return select(site, *versions, *besides).select_from(Essay).where(Essay.slug == bindparam("slug"))


def visit_statement() -> Select[Any]:
    """Return the statement for all that a page depends on, by the `digest` of a session, the `slug` and `now`."""
    viewer, essay = User.id, Essay.id
    follows = exists().where(Follow.user_id == viewer, Follow.essay_id == essay)
    # Constants, not values: SQLite would plan the statement anew each time, to see whether its index still fits.
    theirs = (Comment.author_id == viewer) & (Comment.essay_id == essay) & text(UNSEEN)
    there = Comment.merged_into_id.is_(None) & text("presence IN ('live', 'hidden')")
    pace = select(Choice.pace).where(Choice.user_id == viewer, Choice.letter == Letter.ESSAYS.value)
    # Counted in a table of its own, in which the row around it cannot be named.
    themselves = select(Session.user_id).where(Session.token_hash == bindparam("digest")).scalar_subquery()
    unread = unread_by(themselves, bindparam("now", type_=UtcDateTime()))
    facts = (unread.scalar_subquery(), follows, exists().where(theirs, there), pace.scalar_subquery())
    return of_session(versions_statement(*facts, Essay.commented_at, *TERMS, *OF_SESSION))


def encodings_in(accepted: str) -> frozenset[str]:
    """Return which of "br" and "gzip" a browser understands; a header that no browser sends is not remembered."""
    return _encodings_in(accepted) if len(accepted) < LONGEST_HEADER else frozenset()


def view_of(query: str) -> View | None:
    """Return which page a query asks for, None where the application has to look at it."""
    return _view_of(query) if len(query) < LONGEST_HEADER else None


@lru_cache(MOST_HEADERS)
def _encodings_in(accepted: str) -> frozenset[str]:
    wanted = parse_accept_header(accepted, Accept)
    return frozenset(name for name in ("br", "gzip") if accepted and wanted.quality(name) > 0)


@lru_cache(MOST_HEADERS)
def _view_of(query: str) -> View | None:
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        given.setdefault(name, value)
    number = number_of(given.get("page"))
    if number is None or not query.isascii():
        return None
    return View(order_of(given.get("sort")), number)
