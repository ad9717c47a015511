"""Essays from files: Markdown with YAML front matter, or plain text whose first line is the title."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml
from flask import current_app
from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.publishing import create_essay, publish_essay, render_words
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayWords
from forum.text.essay import EssayText
from forum.text.normal import one_line

LARGEST_FILE_BYTES = 4_000_000
"""More than the longest essay takes in any alphabet."""

FIELD_KEYS = {"body": "text", "picture": "text", "time": "published"}
"""What the fields of a refusal are called in a file, where the names differ."""

Word = TypeVar("Word", bound=StrEnum)


class ImportRefused(Exception):
    """A file that cannot become an essay; the message names the file, the key and what to mend."""


@dataclass(frozen=True)
class EssayFile:
    """What a file says. `published` is a moment, or True for "now"; False keeps it a draft."""

    path: Path
    title: str
    source: str
    subtitle: str = ""
    slug: str | None = None
    author: str = ""
    tags: tuple[str, ...] = ()
    published: datetime | bool | None = None
    access: Access = Access.PUBLIC
    comments: CommentPolicy = CommentPolicy.SUBSCRIBERS
    closing: str = ""
    text: EssayText | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Imported:
    """One essay that was made, and what its file said that was not followed."""

    essay: Essay
    notes: tuple[str, ...]


def find_author(email: str) -> User:
    """Return the account of an author by its address.

    Raises: ImportRefused, for whoever runs the command.
    """
    user: User | None = db.session.scalar(select(User).where(User.email == email.strip().lower()))
    if user is None:
        raise ImportRefused(f"--author {email}: no account has this address.")
    if not user.may_write:
        raise ImportRefused(
            f"--author {email}: is a {user.role} here. Make them an author first: forum users role {email} author"
        )
    return user


def import_essays(paths: Sequence[Path], author: User, *, publish: bool) -> list[Imported]:
    """Add an essay for each file. The caller commits, or throws all away when one file is refused.

    Without `publish` all become drafts. With it they appear at the moment that their file gives, or now.
    Raises: ImportRefused, for whoever runs the command.
    """
    files = [_rendered(read_essay_file(path)) for path in paths]  # the slow part, before anything is added
    return [_import(file, author, publish=publish) for file in files]


def read_essay_file(path: Path) -> EssayFile:
    """Return what a file says, as far as it can be told without the site.

    Raises: ImportRefused, for whoever runs the command.
    """
    if path.suffix.lower() not in (".md", ".markdown", ".txt"):
        raise ImportRefused(f"{path}: only .md and .txt files can be imported.")
    content = _content(path)
    if path.suffix.lower() == ".txt":
        first, _, rest = content.lstrip().partition("\n")
        if not one_line(first):
            raise ImportRefused(f"{path}: title: the first line should be the title, but the file is empty.")
        return EssayFile(path, title=one_line(first), source=rest)
    keys, source = _front_matter(path, content)
    return EssayFile(path, source=source, **_values(path, keys))


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ImportRefused(f"{path}: the file is larger than {LARGEST_FILE_BYTES:,} bytes.")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{path}: is not UTF-8 (byte {error.start + 1}). Save it as UTF-8.") from None


def _front_matter(path: Path, content: str) -> tuple[dict[Any, Any], str]:
    """Return the keys between the two lines of hyphens, and the text after them."""
    lines = content.split("\n")
    if lines[0].rstrip() != "---":
        return {}, content
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        raise ImportRefused(f"{path}: the front matter has no second line of three hyphens.")
    try:
        keys = yaml.load("\n".join(lines[1:end]), _StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ImportRefused(f"{path}: front matter: {_yaml_words(error)}") from None
    except (ValueError, RecursionError) as error:
        words = "a value is not what it looks like" if isinstance(error, ValueError) else "nested too deeply"
        raise ImportRefused(f"{path}: front matter: {words}.") from None
    if keys is None:
        keys = {}
    if not isinstance(keys, dict):
        raise ImportRefused(f"{path}: the front matter must be lines of “key: value”.")
    return keys, "\n".join(lines[end + 1 :])


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, where YAML would take the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _yaml_words(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line + 2  # counted from 0, and after the line of hyphens
        return f"line {line}: {one_line(error.problem or 'is not YAML')}."
    return "is not YAML."


def _values(path: Path, keys: dict[Any, Any]) -> dict[str, Any]:
    unknown = [str(key) for key in keys if key not in _READERS]
    if unknown:
        known = ", ".join(_READERS)
        raise ImportRefused(f"{path}: {one_line(unknown[0])[:60]}: is no known key. Known are {known}.")
    values = {key: _READERS[key](_At(path, key), value) for key, value in keys.items() if value is not None}
    if not values.get("title"):
        raise ImportRefused(f"{path}: title: is missing.")
    return values


@dataclass(frozen=True)
class _At:
    """The place of a value, for the sentence that refuses it."""

    path: Path
    key: str

    def refuse(self, must: str, value: Any) -> ImportRefused:
        return ImportRefused(f"{self.path}: {self.key}: must be {must}, not {one_line(str(value))[:60]!r}.")


def _line(at: _At, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise at.refuse("text (put it in quotation marks)", value)
    return one_line(str(value))


def _prose(at: _At, value: Any) -> str:
    if not isinstance(value, str):
        raise at.refuse("text (put it in quotation marks)", value)
    return value


def _tags(at: _At, value: Any) -> tuple[str, ...]:
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list):
        raise at.refuse("a list such as [tides, maps]", value)
    return tuple(tag for item in values if (tag := _line(at, item)))


def _one_of(kind: type[Word]) -> Callable[[_At, Any], Word]:
    def read(at: _At, value: Any) -> Word:
        word = "off" if value is False else str(value)  # YAML reads a bare off as false
        if word not in list(kind):
            raise at.refuse(" or ".join(kind), value)
        return kind(word)

    return read


def _published(at: _At, value: Any) -> datetime | bool:
    """Return a moment; a day is its first moment, and a time without a zone is in UTC."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise at.refuse("a date such as 2027-05-06 or 2027-05-06 09:00, in UTC", value)
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise at.refuse("a date that a calendar holds", value) from None


_READERS: dict[str, Callable[[_At, Any], Any]] = {
    "title": _line,
    "subtitle": _line,
    "slug": _line,
    "author": _line,
    "tags": _tags,
    "published": _published,
    "access": _one_of(Access),
    "comments": _one_of(CommentPolicy),
    "closing": _prose,
}


def _rendered(file: EssayFile) -> EssayFile:
    try:
        return replace(file, text=render_words(EssayWords.typed(file.title, file.subtitle, file.source)))
    except EssayRefused as error:
        raise _refusal(file, error) from None


def _import(file: EssayFile, author: User, *, publish: bool) -> Imported:
    _refuse_repeat(file, author)
    try:
        essay = create_essay(
            author,
            file.title,
            file.source,
            subtitle=file.subtitle,
            slug=file.slug,
            tags=file.tags,
            access=file.access,
            comments=file.comments,
            closing=file.closing,
            text=file.text,
        )
        if publish and file.published is not False:
            publish_essay(essay, file.published if isinstance(file.published, datetime) else None)
    except EssayRefused as error:
        raise _refusal(file, error) from None
    return Imported(essay, tuple(_notes(file, author, publish=publish)))


def _refuse_repeat(file: EssayFile, author: User) -> None:
    """Refuse a file that was imported before, where its title would make a second address."""
    same = select(Essay).where(Essay.author_id == author.id, Essay.title == file.title).order_by(Essay.id)
    there = db.session.scalars(same.limit(1)).first() if file.slug is None else None
    if there is not None:
        address = current_app.config["SITE_URL"] + there.path
        raise ImportRefused(f"{file.path}: title: this essay is there already, at {address}")


def _refusal(file: EssayFile, error: EssayRefused) -> ImportRefused:
    return ImportRefused(f"{file.path}: {FIELD_KEYS.get(error.field, error.field)}: {error}")


def _notes(file: EssayFile, author: User, *, publish: bool) -> list[str]:
    notes = []
    if file.author and file.author != author.name:
        notes.append(f"{file.path}: author: the essay is {author.name}’s, not “{file.author}”’s.")
    if file.published and not publish:
        notes.append(f"{file.path}: published: it is a draft. Add --publish to publish what you import.")
    if file.published is False and publish:
        notes.append(f"{file.path}: published: it stays a draft, as the file says.")
    return notes
