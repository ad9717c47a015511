"""A reader who signs in and posts over one kept connection, and repeats what was not acknowledged."""

import html
import http.client
import re
import select
from urllib.parse import urlencode, urlsplit

from forum.demo.accounts import PASSWORD

TIMEOUT_SECONDS = 30
NOT_NOW = (502, 503, 504)


class NotNow(OSError):
    """The site or its proxy answers that it cannot just now; the same request may be sent again."""


def was_closed(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the other side has closed a kept connection, which a browser sees before it asks again."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


class Writer:
    """One signed-in browser without a screen."""

    def __init__(self, url: str, email: str) -> None:
        self.host = urlsplit(url).netloc
        self.email = email
        self.cookies: dict[str, str] = {}
        self.csrf_token = ""
        self.led_to = ""
        """Where the last comment is that was kept."""
        self._connection: http.client.HTTPConnection | None = None

    def sign_in(self) -> None:
        """Sign in by password. Raises: RuntimeError, when the site says no."""
        self._read_token("/sign-in")
        status, _, page = self.send("POST", "/sign-in", {"email": self.email, "password": PASSWORD})
        if status != 303:
            raise RuntimeError(f"{self.email} cannot sign in: {status} {page[:200]!r}")
        self._read_token("/account")

    def post(self, essay: str, body: str, form_token: str, parent_id: int | None = None) -> int | None:
        """Post a comment; returns its id once the site says that it is kept, None when it says anything else.

        Raises: OSError or http.client.HTTPException, when the connection breaks, or NotNow.
        """
        form = {"body": body, "form_token": form_token, "parent_id": str(parent_id or "")}
        status, location, _ = self.send("POST", f"{essay}/comments", form)
        if status in NOT_NOW:
            raise NotNow(status)
        found = re.search(r"#comment-(\d+)$", location)
        if status != 303 or found is None:
            return None
        self.led_to = location
        return int(found[1])

    def send(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """Send one request; returns the status, where it leads, and the page."""
        body = urlencode({**form, "csrf_token": self.csrf_token}) if form is not None else None
        headers = {"Cookie": self.cookie_header()}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection = self._connected()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            page = answer.read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise
        self._keep_cookies(answer)
        return answer.status, answer.headers.get("Location", ""), page

    def cookie_header(self) -> str:
        """Return what this browser says who it is, for a program that asks in its place."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def hang_up(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and was_closed(self._connection):
            self.hang_up()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
        return self._connection

    def _keep_cookies(self, answer: http.client.HTTPResponse) -> None:
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value

    def _read_token(self, path: str) -> None:
        status, _, page = self.send("GET", path)
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.decode())
        if status != 200 or found is None:
            raise RuntimeError(f"{path} has no form for {self.email}: {status}")
        self.csrf_token = html.unescape(found[1])
