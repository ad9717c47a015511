"""The least that a WSGI server can do: `application` answers stored pages, the same bytes under the same headers."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGES = "BENCH_PAGES"
"""The variable that names the folder with pages: 0.json holds the headers of 0.body, and so on."""

_pages = {
    f"/{file.stem}": (list(map(tuple, json.loads(file.read_text()))), file.with_suffix(".body").read_bytes())
    for file in Path(os.environ.get(PAGES, "/nonexistent")).glob("*.json")
}


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer one stored page."""
    headers, body = _pages[environ["PATH_INFO"]]
    start_response("200 OK", headers)
    return [body]


def main() -> None:
    """Serve on the port with the number of workers that the command line gives."""
    from forum.server import web_server

    port, workers = map(int, sys.argv[1:])
    web_server("bench.bare:application", "127.0.0.1", port, workers).serve()


if __name__ == "__main__":
    main()
