"""HTTP manners that every page shares: require(), who asks, errors, limits of a request, safe headers."""

import logging
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, unquote_to_bytes, urlencode

from flask import Flask, Response, abort, current_app, g, jsonify, render_template, request, session
from flask_login import current_user
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError, CSRFProtect, same_origin
from flask_wtf.form import _Auto
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as AnyResponse

from forum.database import READING, db
from forum.limits import TooOften, wait_words

KIB = 1024
MAX_BODY = 256 * KIB
MAX_FORM_MEMORY = 128 * KIB
MAX_FORM_PARTS = 100

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9._~/%?=&+:@,;!$'()*#-]{0,480}\Z")
NEVER_SENT_BACK = ("csrf_token", "password", "new_password", "code")
TYPED_TEXTS = ("body", "source", "words", "note")
AWAY_SECONDS = 5
"""When to come again while the database is away: it is back within seconds, or somebody has to look at it."""

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

MOST_PAIRS = 1_000
"""Of a session's token and a form's."""

LONGEST_TOKEN = 200

View = TypeVar("View", bound=Callable[..., Any])


class FormTokens(CSRFProtect):
    """Checks that a form is from a page of ours; what was right is so for good: tokens do not age."""

    def protect(self, apply_exemptions: bool = False) -> None:
        """Stop a request whose form is not from a page of its session. Raises: CSRFError."""
        right: set[tuple[str | None, str | None]]
        right = current_app.extensions.setdefault(FormTokens.__name__, set())
        pair = (session.get("csrf_token"), self._get_csrf_token())  # type: ignore[no-untyped-call]
        is_from_here = not request.is_secure or same_origin(request.referrer or "", request.host_url)
        if pair in right and is_from_here:
            return
        super().protect(apply_exemptions)  # type: ignore[no-untyped-call]
        is_short = len(str(pair[1])) < LONGEST_TOKEN  # letters that mean nothing can be added to a right one
        if is_short and g.get("csrf_valid", False):  # it was looked at, not let off
            if len(right) >= MOST_PAIRS:
                right.clear()
            right.add(pair)


csrf = FormTokens()  # type: ignore[no-untyped-call]


class RowId(IntegerConverter):
    """The number of a row in an address; one that is too large for any row is no such address."""

    regex = r"[0-9]{1,18}"


class Form(FlaskForm):
    """The base of every form. It does no forgery check of its own: every POST is checked once, below."""

    class Meta:
        csrf = False

    def __init__(self, formdata: Any = _Auto, **values: Any) -> None:
        super().__init__(formdata, **values)  # type: ignore[no-untyped-call]


class SignInNeeded(Exception):
    """A page that is only for people with an account was asked for by a stranger."""


class DamagedText(Exception):
    """A form arrived in another encoding than UTF-8, so that some letters are lost."""


def require(allowed: bool) -> None:
    """Stop with 403 unless the person may do it; a stranger is asked to sign in and comes back."""
    if allowed:
        return
    if not current_user.is_authenticated:
        raise SignInNeeded
    abort(403)


def require_found(row: Any) -> Any:
    """Return what was fetched, or stop with 404: what you may not see does not exist."""
    if row is None:
        abort(404)
    return row


def person() -> Any:
    """Return the signed-in User, or None for a stranger."""
    somebody = current_user._get_current_object()
    return somebody if somebody.is_authenticated else None


def wants_json() -> bool:
    """Tell whether the answer should be JSON: the client asks for it before HTML."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def safe_path(path: str | None, otherwise: str = "/") -> str:
    """Return a path on this site to go to, or `otherwise` when it could lead elsewhere."""
    return path if path and SAFE_PATH.match(path) else otherwise


def page_number() -> int:
    """Return the page that `?page=` asks for; nonsense is the first page, a page beyond reason is 404."""
    number = number_of(request.args.get("page"))
    return number if number is not None else abort(404)


def number_of(given: str | None) -> int | None:
    """Return the number of a page as it was given; nonsense is the first page, None is beyond reason."""
    if given is None or not given.isascii() or not given.isdigit():
        return 1
    return max(1, int(given)) if len(given) <= 7 else None


def pages_of(path: str) -> Callable[[int], str]:
    """Return a function from a page's number to its address, the other parts of the query kept."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "page"]

    def address(number: int) -> str:
        query = urlencode([*kept, ("page", number)] if number > 1 else kept)
        return f"{path}?{query}" if query else path

    return address


def large_body(kib: int) -> Callable[[View], View]:
    """Allow a view's requests a body of `kib` KiB, where the usual 256 do not hold what people send there."""

    def mark(view: View) -> View:
        view.max_body = kib * KIB  # type: ignore[attr-defined]
        return view

    return mark


def is_from_elsewhere() -> bool:
    """Tell whether the browser says that a form was sent from a page of another site; a program says nothing."""
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")
    return request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/")


def visitor_key() -> str:
    """Return the key under which limits count a stranger: the address of the network peer."""
    return request.remote_addr or "unknown"


def init_web(app: Flask) -> None:
    """Give the app its request limits, forgery protection, error pages and headers."""
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_MEMORY,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        WTF_CSRF_CHECK_DEFAULT=False,  # done below, after the size of the request is known to be fit
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as the session
        WTF_CSRF_SSL_STRICT=True,
    )
    app.url_map.converters["int"] = RowId
    csrf.init_app(app)  # type: ignore[no-untyped-call]
    app.jinja_env.globals["pages_of"] = pages_of
    app.before_request(_check_request)
    app.after_request(_add_headers)
    app.teardown_appcontext(_end_transaction)  # before Flask-SQLAlchemy does, which was there first
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _forgery_error)
    app.register_error_handler(SignInNeeded, _sign_in_needed)
    app.register_error_handler(DamagedText, _damaged_text)
    app.register_error_handler(TooOften, _too_often)
    app.register_error_handler(OperationalError, _database_away)
    app.register_error_handler(NoConnectionFree, _database_away)
    app.register_error_handler(Exception, _unexpected_error)


def _check_request() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if isinstance(request.routing_exception, SecurityError):
        raise request.routing_exception  # before anything asks for the host of a request that named a foreign one
    if "\0" in request.path:
        abort(404)  # PostgreSQL cannot even look for it
    if not request.query_string.isascii():
        abort(400)  # a browser percent-encodes everything else
    if request.method in READING:
        return
    if (largest := getattr(view, "max_body", None)) is not None:
        request.max_content_length = largest
        request.max_form_memory_size = largest
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        abort(411)  # a chunked body past the limit would be cut short without a word
    if (request.content_length or 0) > (request.max_content_length or MAX_BODY):
        abort(413)
    if request.content_length and request.mimetype not in FORMS:
        refuse(400, "This address takes forms, not JSON or plain text.")
    if _is_damaged():
        raise DamagedText
    if not getattr(view, "takes_no_token", False):
        csrf.protect()


def _is_damaged() -> bool:
    """Tell whether a form is not UTF-8; Werkzeug would put replacement marks in without a word."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return False
    try:
        unquote_to_bytes(request.get_data(cache=True)).decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def safe_headers(app: Flask) -> list[tuple[str, str]]:
    """Return the headers that keep every answer safe, whatever it is."""
    headers = [
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ]
    if app.config["SESSION_COOKIE_SECURE"]:
        headers.append(("Strict-Transport-Security", "max-age=31536000"))
    return headers


def _add_headers(response: Response) -> Response:
    headers = response.headers
    there = {name.lower() for name, _ in headers}  # to ask for each by itself takes three times as long
    for name, value in safe_headers(current_app):
        if name.lower() not in there:
            headers.add(name, value)
    if session.accessed:
        # A stranger's page may wait in the browser for the way back; what belongs to a session may not.
        headers.setdefault("Cache-Control", "no-store" if session else "no-cache")
    return response


def _end_transaction(_error: BaseException | None) -> None:
    """End what a request began, even when the database went away after the answer was made."""
    try:
        db.session.close()
    except OperationalError:
        db.session().invalidate()


def answer_error(code: int, sentence: str | None = None, **values: Any) -> tuple[Any, int]:
    """Return the error page, or its JSON for who asked for JSON."""
    db.session.rollback()
    if wants_json():
        return jsonify(error=sentence or values.get("wait") or "This did not work."), code
    known = code if code in (400, 403, 404, 405, 409, 410, 413, 429, 500, 503) else 400
    render = render_template if known < 500 else _render_without_questions
    page = render(f"errors/{known}.html", explanation=sentence, typed=_typed_texts(), **values)
    return page, code


def _render_without_questions(name: str, **values: Any) -> str:
    """Render a page that asks the database nothing, not even who looks: it may be what is broken."""
    site = {"name": current_app.config["SITE_NAME"], "url": current_app.config["SITE_URL"]}
    return current_app.jinja_env.get_template(name).render(site=site, **values)


def _typed_texts() -> list[str]:
    """Return the texts that somebody typed into a form of this site, so that no error page loses them."""
    try:
        if request.method in READING or not _is_from_here():
            return []
        return [request.form[name] for name in TYPED_TEXTS if request.form.get(name)]
    except HTTPException:  # the form itself is what was wrong
        return []


def _http_error(error: HTTPException) -> tuple[Any, int] | AnyResponse:
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, OperationalError | NoConnectionFree):  # met while another error page was made
        return _database_away(cause)
    if error.code is None or error.code < 400:
        return error.get_response()
    sentences = {411: "The length of what was sent is missing, so none of it was read. Send it in one piece."}
    own_words = error.description if getattr(error, "for_people", False) else None
    page, code = answer_error(error.code, own_words or sentences.get(error.code))
    response = current_app.make_response((page, code))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def refuse(code: int, sentence: str) -> NoReturn:
    """Stop with an error page that says `sentence` instead of the page's own words."""
    try:
        abort(code, description=sentence)
    except HTTPException as error:
        error.for_people = True  # type: ignore[attr-defined]
        raise


def _forgery_error(error: CSRFError) -> tuple[Any, int]:
    """Offer what was typed again when the form grew stale; a form from elsewhere gets nothing back."""
    return _send_again(400, "This form has expired, or your browser refused the site's cookie.")


def _damaged_text(error: DamagedText) -> tuple[Any, int]:
    return _send_again(400, "Some letters were damaged on the way here. Mend them below, then send it again.")


def _sign_in_needed(error: SignInNeeded) -> tuple[Any, int] | AnyResponse:
    if request.method in READING and not wants_json():
        path = request.full_path.rstrip("?")
        return current_app.redirect(f"/sign-in?next={quote(path, safe='/')}", 303)
    return _send_again(403, "You are signed out. Sign in in another tab, then send it again here.")


def _send_again(code: int, sentence: str) -> tuple[Any, int]:
    if wants_json() or not _is_from_here():
        return answer_error(code, sentence)
    db.session.rollback()
    fields = [(name, value) for name, value in request.form.items(multi=True) if name not in NEVER_SENT_BACK]
    return render_template("errors/again.html", sentence=sentence, fields=fields, path=request.path), code


def _is_from_here() -> bool:
    """Tell whether the browser says that the form came from a page of this site."""
    origin = request.headers.get("Origin", "")
    return request.headers.get("Sec-Fetch-Site") == "same-origin" or origin == request.host_url.rstrip("/")


def _too_often(error: TooOften) -> AnyResponse:
    wait = wait_words(error.wait_seconds)
    sentence = f"That was too often. You can try again in {wait}." if wants_json() else None
    page, code = answer_error(429, sentence, wait=wait)
    response = current_app.make_response((page, code))
    response.headers["Retry-After"] = str(error.wait_seconds)
    return response


def _database_away(error: OperationalError | NoConnectionFree) -> tuple[Any, int] | AnyResponse:
    """Ask to come again: a database that restarts, or is too busy, is well again in a moment."""
    cause = getattr(error, "orig", error)
    if not getattr(cause, "sqlite_errorname", "SQLITE_BUSY").startswith("SQLITE_BUSY"):
        return _unexpected_error(error)  # SQLite says in the same class that a table is missing
    logging.getLogger("forum").error("the database is away on %s: %s", request.method, cause)
    sentence = "The site cannot reach its database just now. Try again in a few seconds."
    page, code = answer_error(503, sentence)
    response = current_app.make_response((page, code))
    response.headers["Retry-After"] = str(AWAY_SECONDS)
    return response


def _unexpected_error(error: Exception) -> tuple[Any, int]:
    logging.getLogger("forum").exception("unexpected error on %s", request.method)
    return answer_error(500)
