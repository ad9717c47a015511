"""Packing what is answered for nobody in particular; kept pages and static files are packed already."""

import gzip

import brotli
from flask import Flask, Response, request, session

TEXTS = frozenset({"text/html", "text/plain", "application/json", "application/atom+xml", "application/xml"})
LEAST_BYTES = 500
"""Less fits into a packet as it is."""

BROTLI_QUALITY, GZIP_LEVEL = 4, 6
"""Each answer is packed once for one reader: more would take longer than the line saves."""


def init_packing(app: Flask) -> None:
    """Pack the answers of the app."""
    app.after_request(_pack)


def _pack(response: Response) -> Response:
    """Pack an answer if its reader can unpack it and has no session.

    The page of somebody with a session holds a form token beside words that others chose, and together in one stream
    the length would tell of the token (BREACH).
    """
    if response.mimetype not in TEXTS or response.is_streamed or response.content_encoding:
        return response
    if response.status_code == 303:  # its page is a line that browsers do not show
        return response
    response.vary.add("Accept-Encoding")
    tag, _ = response.get_etag()
    if tag is not None:
        response.set_etag(tag, weak=True)  # it names the same text, whatever it is packed with
    coding = _coding()
    body = response.get_data()
    if coding and len(body) >= LEAST_BYTES and response.status_code not in (206, 304) and not _has_session():
        response.set_data(_packed(body, coding))
        response.content_encoding = coding
    return response


def _coding() -> str:
    """Return the better one of the two that the browser says it can unpack, if any."""
    accepted = request.accept_encodings
    return next((coding for coding in ("br", "gzip") if accepted.quality(coding) > 0), "")


def _has_session() -> bool:
    """Tell whether the reader has a session, or gets or loses one with this answer."""
    return bool(session) or session.modified


def _packed(body: bytes, coding: str) -> bytes:
    if coding == "br":
        packed: bytes = brotli.compress(body, quality=BROTLI_QUALITY)
        return packed
    return gzip.compress(body, GZIP_LEVEL, mtime=0)
