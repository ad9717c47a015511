"""Pictures of essays: files beside the database, named by their content, so that they never change."""

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path

from flask import current_app

from forum.essays.refusal import EssayRefused

MAX_PICTURE_BYTES = 5 * 1024 * 1024
MAX_ALT = 300
KINDS = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}

NAME = re.compile(r"[0-9a-f]{64}\.(?:png|jpg|webp|gif)\Z")


def picture_folder() -> Path:
    """Return where the pictures are kept."""
    return Path(current_app.instance_path) / "media"


def keep_picture(content: bytes) -> str:
    """Keep a picture and return its name, such as "<sha256>.png"; the same picture twice is one file.

    Raises: EssayRefused, for the author, when it is too large or no picture of a kind that is safe to show.
    """
    if len(content) > MAX_PICTURE_BYTES:
        raise EssayRefused("picture", "The picture is larger than 5 MB. Make it smaller.")
    kind = kind_of(content)
    if kind is None:
        raise EssayRefused("picture", "Choose a picture of the kind PNG, JPEG, WebP or GIF.")
    name = f"{sha256(content).hexdigest()}.{kind}"
    folder = picture_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).exists():
        _write(folder, name, content)
    return name


def kind_of(content: bytes) -> str | None:
    """Return the kind of a picture by its first bytes; what its sender calls it says nothing."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None


def markdown_line(name: str, alt: str) -> str:
    """Return the line that puts a picture into an essay."""
    words = re.sub(r"([\\\[\]])", r"\\\1", alt)
    return f"![{words}](/media/{name})"


def checked_alt(alt: str) -> str:
    """Return the alternative text of a picture.

    Raises: EssayRefused, for the author, when there is none or too much of it.
    """
    if not alt:
        raise EssayRefused("alt", "Say in a few words what the picture shows, for those who cannot see it.")
    if len(alt) > MAX_ALT:
        raise EssayRefused("alt", f"The alternative text can have at most {MAX_ALT} characters.")
    return alt


def _write(folder: Path, name: str, content: bytes) -> None:
    """Write the file whole or not at all."""
    handle, scratch = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(scratch).chmod(0o644)
    Path(scratch).replace(folder / name)
