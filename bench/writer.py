"""A reader who signs in and posts over one kept connection, and repeats what was not acknowledged."""

import html
import http.client
import re
import select
import socket
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from forum.demo.accounts import PASSWORD

TIMEOUT_SECONDS = 30
NOT_NOW = (502, 503, 504)


class NotNow(OSError):
    """The site or its proxy answers that it cannot just now; the same request may be sent again."""


def was_closed(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the other side has closed a kept connection, which a browser sees before it asks again."""
    return connection.sock is not None and can_read(connection.sock)


def can_read(sock: socket.socket) -> bool:
    """Tell whether something came unasked on a connection: its end."""
    return bool(select.select([sock], [], [], 0)[0])


class Line:
    """A kept connection that knows as much of HTTP as our answers need: the standard library's takes thrice as long."""

    def __init__(self, host: str) -> None:
        name, _, port = host.partition(":")
        self._socket = socket.create_connection((name, int(port or 80)), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = host
        self._read = self._socket.makefile("rb")

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> "Answer":
        """Send a request and return its answer. Raises: OSError or http.client.HTTPException."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        return self._answer()

    def was_closed(self) -> bool:
        """Tell whether the other side has closed it, which a browser sees before it asks again."""
        return can_read(self._socket)

    def close(self) -> None:
        """Close it."""
        self._read.close()
        self._socket.close()

    def _answer(self) -> "Answer":
        first = self._read.readline().split(None, 2)
        if len(first) < 2 or not first[1].isdigit():
            raise http.client.RemoteDisconnected("closed without an answer")
        headers: list[tuple[str, str]] = []
        while line := self._read.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        said = dict(headers)
        page = self._chunks() if said.get("transfer-encoding") == "chunked" else self._bytes(said)
        return Answer(int(first[1]), headers, page, said.get("connection") == "close")

    def _bytes(self, said: dict[str, str]) -> bytes:
        length = int(said.get("content-length", 0))
        page = self._read.read(length)
        if len(page) < length:
            raise http.client.IncompleteRead(page)
        return page

    def _chunks(self) -> bytes:
        page = b""
        while length := int(self._read.readline().split(b";")[0], 16):
            page += self._read.read(length)
            self._read.readline()
        self._read.readline()
        return page


class Answer(NamedTuple):
    """What came back; the names of headers are in small letters."""

    status: int
    headers: list[tuple[str, str]]
    page: bytes
    is_last: bool
    """Whether the other side closes the connection now."""


class Writer:
    """One signed-in browser without a screen."""

    def __init__(self, url: str, email: str) -> None:
        self.host = urlsplit(url).netloc
        self.email = email
        self.cookies: dict[str, str] = {}
        self.csrf_token = ""
        self.led_to = ""
        """Where the last comment is that was kept."""
        self._line: Line | None = None

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
        body = urlencode({**form, "csrf_token": self.csrf_token}).encode() if form is not None else None
        headers = {"Cookie": self.cookie_header()}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            answer = self._connected().ask(method, path, headers, body)
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise
        if answer.is_last:
            self.hang_up()
        self._keep_cookies(answer)
        return answer.status, dict(answer.headers).get("location", ""), answer.page

    def cookie_header(self) -> str:
        """Return what this browser says who it is, for a program that asks in its place."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def hang_up(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connected(self) -> Line:
        if self._line is not None and self._line.was_closed():
            self.hang_up()
        if self._line is None:
            self._line = Line(self.host)
        return self._line

    def _keep_cookies(self, answer: Answer) -> None:
        for header, given in answer.headers:
            if header == "set-cookie":
                name, _, value = given.partition(";")[0].partition("=")
                self.cookies[name] = value

    def _read_token(self, path: str) -> None:
        status, _, page = self.send("GET", path)
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.decode())
        if status != 200 or found is None:
            raise RuntimeError(f"{path} has no form for {self.email}: {status}")
        self.csrf_token = html.unescape(found[1])
