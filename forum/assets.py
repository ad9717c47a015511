"""Static files: written by hand, joined and named by their content at the start, kept by browsers for good."""

from hashlib import sha256
from pathlib import Path

from flask import Flask, Response, abort, current_app, send_from_directory

FOREVER = 365 * 24 * 3600
STYLES = "css/all.css"


def init_assets(app: Flask) -> None:
    """Serve `static/` under an address that changes with its content, and give templates `asset()`."""
    folder = Path(app.config["STATIC"])
    styles = _join_styles(folder)
    version = _version(folder, styles)

    @app.get("/static/<version>/<path:name>", endpoint="static")
    def static_file(version: str, name: str) -> Response:
        if name == STYLES:
            response = current_app.response_class(styles, mimetype="text/css")
        elif (folder / name).is_file():
            response = send_from_directory(folder, name)
        else:
            abort(404)
        response.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
        return response

    def asset(name: str) -> str:
        return f"/static/{version}/{name}"

    app.jinja_env.globals["asset"] = asset


def _join_styles(folder: Path) -> bytes:
    """Join the components in the order of css/order.txt, so that a page asks for one file."""
    order = (folder / "css" / "order.txt").read_text(encoding="utf-8").split()
    return b"\n".join((folder / "css" / name).read_bytes() for name in order)


def _version(folder: Path, styles: bytes) -> str:
    digest = sha256(styles)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]
