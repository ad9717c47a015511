"""The least that a WSGI server can do: `application` answers stored pages, the same bytes under the same headers."""

import http.client
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGES = "BENCH_PAGES"
"""The variable that names the folder with pages: page.json holds status and headers of page.body, and so on."""

FIRST_TIMES = 12
LONGEST_WAIT_SECONDS = 30

OF_THE_SERVER = ("server", "date", "connection", "transfer-encoding")
"""Headers that the server itself adds, to the bare pages as well."""


@dataclass(frozen=True)
class Answer:
    """What came to one request, as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def keep(self, folder: Path, name: str) -> None:
        """Store it for the bare server, under `/name`."""
        reason = http.client.responses[self.status]
        kept = [(key, value) for key, value in self.headers.items() if key not in OF_THE_SERVER]
        (folder / f"{name}.json").write_text(json.dumps([f"{self.status} {reason}", kept]))
        (folder / f"{name}.body").write_bytes(self.body)


def fetch(url: str, headers: Mapping[str, str]) -> Answer:
    """Ask once, on a connection of its own, and unpack nothing; names of headers come in small letters."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.putrequest(
            "GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )
    finally:
        connection.close()


def warm_up(url: str, headers: Mapping[str, str]) -> None:
    """Ask often enough on new connections that every worker has had its first time, and what it makes behind that.

    Brotli of an essay's page is made in the background; who may have it gets gzip until then. Raises: RuntimeError.
    """
    wanted = "br" if "br" in headers.get("Accept-Encoding", "") else None
    until, times = time.monotonic() + LONGEST_WAIT_SECONDS, 0
    while times < FIRST_TIMES:
        coding = fetch(url, headers).headers.get("content-encoding")
        times = times + 1 if wanted in (None, coding) else 0
        if time.monotonic() > until:
            raise RuntimeError(f"{url}: no {wanted} in {LONGEST_WAIT_SECONDS} s")


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer one stored page."""
    status, headers, body = _pages[environ["PATH_INFO"]]
    start_response(status, headers)
    return body


def _stored(file: Path) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    status, headers = json.loads(file.read_text())
    body = file.with_suffix(".body").read_bytes()
    return status, [(name, value) for name, value in headers], [body] if body else []


_pages = {
    f"/{file.stem}": _stored(file) for file in Path(os.environ.get(PAGES, "/nonexistent")).glob("*.json")
}


def main() -> None:
    """Serve on the port with the number of workers that the command line gives."""
    from forum.server.supervisor import web_server

    port, workers = map(int, sys.argv[1:])
    web_server("bench.bare:application", "127.0.0.1", port, workers).serve()


if __name__ == "__main__":
    main()
