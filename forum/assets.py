"""Static files: written by hand, joined and named by their content at the start, kept by browsers for good."""

import mimetypes
from collections.abc import Iterable
from functools import cache, lru_cache
from gzip import compress as gzip
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import brotli
from flask import Flask

from forum.finding import Unmade, may_make_here

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/static/"
FOREVER = 365 * 24 * 3600
NAMED = f"public, max-age={FOREVER}, immutable"
UNNAMED = "no-cache"
"""What is asked for under the name of other contents is not to be kept: a page of another version asked for it."""

BUNDLES = {"css/all.css": "css/all.txt", "css/work.css": "css/work.txt"}
"""The styles of every page, and those of the desk, the admin and the editor; each with the list of its parts."""


def init_assets(app: Flask) -> None:
    """Serve `static/` under an address that changes with its content, and give templates `asset()`."""
    assets = Assets(Path(app.config["STATIC"]), app.wsgi_app)
    app.wsgi_app = assets  # type: ignore[method-assign]
    app.jinja_env.globals["asset"] = assets.address


class Assets:
    """Answers for the static files, before anything is imported or opened for a request; the rest goes on."""

    def __init__(self, folder: Path, application: "WSGIApplication") -> None:
        self._application = application
        self._files = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        self._packed: dict[tuple[str, str], bytes] = {}
        self._version = _version(self._files)
        for name, parts in BUNDLES.items():
            names = self._files[parts].decode().split()
            self._files[name] = b"\n".join(self._files[f"css/{part}"] for part in names)

    def address(self, name: str) -> str:
        """Return the address of a file, which changes when any file does: modules import each other by name."""
        return f"{PREFIX}{self._version}/{name}"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request for a file; ranges are not given, the largest one has a few thousand bytes."""
        path: str = environ["PATH_INFO"]
        if path.startswith(PREFIX) and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            version, _, name = path[len(PREFIX) :].partition("/")
            if name in self._files:
                return self._answer(name, version == self._version, environ, start_response)
        return self._application(environ, start_response)

    def _answer(
        self, name: str, is_named: bool, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        coding = _coding(environ.get("HTTP_ACCEPT_ENCODING", ""))
        body = self._packed.get((name, coding))
        if body is None:
            if not may_make_here():
                raise Unmade(("static", name, coding))
            body = self._packed[name, coding] = _packed(self._files[name], coding)
        tag = f'"{self._version}-{coding or "plain"}"'
        headers = [
            ("Content-Type", _type(name)),
            ("Cache-Control", NAMED if is_named else UNNAMED),
            ("ETag", tag),
            ("Vary", "Accept-Encoding"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if tag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", headers)
            return []
        headers.append(("Content-Length", str(len(body))))
        if coding:
            headers.append(("Content-Encoding", coding))
        start_response("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@lru_cache(64)
def _coding(accepted: str) -> str:
    """Return the smaller one of the two ways to pack text that a browser says it can unpack, if any."""
    parts = [part.replace(" ", "").lower().partition(";") for part in accepted.split(",")]
    known = {name for name, _, share in parts if share not in ("q=0", "q=0.0")}
    return "br" if "br" in known else "gzip" if "gzip" in known else ""


def _packed(body: bytes, coding: str) -> bytes:
    """Return a body as it is sent, packed as small as can be when it is first asked for."""
    if coding == "br":
        packed: bytes = brotli.compress(body)
        return packed
    return gzip(body, mtime=0) if coding else body


@cache
def _type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _version(files: dict[str, bytes]) -> str:
    digest = sha256()
    for name, body in files.items():
        digest.update(name.encode() + body)
    return digest.hexdigest()[:12]
