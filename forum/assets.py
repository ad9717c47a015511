"""Static files: written by hand, joined and named by their content at the start, kept by browsers for good."""

from hashlib import sha256
from pathlib import Path

from flask import Flask, Response, abort, current_app, send_from_directory

FOREVER = 365 * 24 * 3600

BUNDLES = {"css/all.css": "css/all.txt", "css/work.css": "css/work.txt"}
"""The styles of every page, and those of the desk, the admin and the editor; each with the list of its parts."""


def init_assets(app: Flask) -> None:
    """Serve `static/` under an address that changes with its content, and give templates `asset()`."""
    folder = Path(app.config["STATIC"])
    styles = {name: _join_styles(folder, folder / parts) for name, parts in BUNDLES.items()}
    version = _version(folder)

    @app.get("/static/<version>/<path:name>", endpoint="static")
    def static_file(version: str, name: str) -> Response:
        if name in styles:
            response = current_app.response_class(styles[name], mimetype="text/css")
        elif (folder / name).is_file():
            response = send_from_directory(folder, name)
        else:
            abort(404)
        response.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
        return response

    def asset(name: str) -> str:
        return f"/static/{version}/{name}"

    app.jinja_env.globals["asset"] = asset


def _join_styles(folder: Path, parts: Path) -> bytes:
    """Join the components in the order of a list, so that a page asks for one file."""
    return b"\n".join(
        (folder / "css" / name).read_bytes() for name in parts.read_text(encoding="utf-8").split()
    )


def _version(folder: Path) -> str:
    digest = sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]
