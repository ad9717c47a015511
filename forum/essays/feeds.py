"""What feed readers and search engines are given: full texts with whole addresses, and nothing that is not for all."""

import re
from collections.abc import Iterable
from datetime import datetime

from flask import Response, current_app, request

FEED_SECONDS = 300
"""How long a reader's program may keep a feed before it asks again."""

_TAG = re.compile(r"<(?:a|img) [^>]*>")
_OWN_ADDRESS = re.compile(r' (href|src)="(?=[/#])')


def with_whole_addresses(html: str, page: str) -> str:
    """Return sanitised HTML whose links and pictures also work away from the site; `page` is where it stands."""
    site: str = current_app.config["SITE_URL"]

    def whole(tag: re.Match[str]) -> str:
        return _OWN_ADDRESS.sub(
            lambda found: f' {found[1]}="{_base(tag[0], found.end(), site, page)}', tag[0]
        )

    return _TAG.sub(whole, html)


def feed_answer(body: str, mimetype: str, changed: Iterable[datetime | None]) -> Response:
    """Answer with a document for programs, which they may keep for a while and then ask whether it changed."""
    response = Response(body, mimetype=mimetype)
    moments = [moment for moment in changed if moment is not None]
    if moments:
        response.last_modified = max(moments)
    response.add_etag()
    response.headers["Cache-Control"] = f"public, max-age={FEED_SECONDS}"
    response.make_conditional(request)
    return response


def _base(tag: str, at: int, site: str, page: str) -> str:
    return f"{site}{page}" if tag[at] == "#" else site
