"""What an act changed, field by field, so that it can be taken back exactly whatever else happened meanwhile."""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, inspect

from forum.accounts.user import User
from forum.database import Base, UtcDateTime, Words, db
from forum.discussion.comment import Comment, CommentRevision
from forum.discussion.report import Appeal, Report
from forum.essays.essay import Essay

Change = list[Any]
"""Kind of row, its id, the field, the value before and the value after, as JSON."""
Key = tuple[str, int, str]
"""What a change is about: kind of row, its id, the field."""

DERIVED = frozenset({"waits_since", "waits_for", "open_reports", "standing_reason", "thread_number"})
"""Fields that follow from others: two acts may both have changed them and still be taken back one by one."""

STANDING = frozenset({"presence", "newest_number", "shown_number", "spoken_at", "ban_id", "edited_at"})
"""Where a comment stands with its readers: with the verdicts on its wordings one matter, decided in its order."""

APART = frozenset({"source", "html", "renderer"})
"""Of a wording, what is not the verdict on it."""

_models: dict[str, type[Base]] = {}
_fields: dict[str, tuple[str, ...]] = {}


def track(model: type[Base], *fields: str) -> None:
    """Let the given fields of a model be remembered by every act that changes them."""
    _models[model.__tablename__] = model
    _fields[model.__tablename__] = fields


track(
    Comment,
    "presence",
    "newest_number",
    "shown_number",
    "spoken_at",
    "ban_id",
    "pinned_at",
    "featured_at",
    "edited_at",
    "closed_at",
    "closing_note",
    "essay_id",
    "parent_id",
    "thread_number",
    "answers_id",
    "merged_into_id",
    "moved_from_essay_id",
    "moved_from_id",
    "moved_at",
    "open_reports",
    "waits_since",
    "waits_for",
)
track(CommentRevision, "verdict", "causes", "reason", "note", "source", "html", "renderer")
track(Essay, "discussion_closed_at", "closing_note", "kept_open_at")
track(
    User, "is_held", "suspended_until", "banned_at", "banned_until", "standing_reason", "warning", "warned_at"
)
track(Appeal, "decided_at", "outcome")
track(Report, "decided_at", "outcome")


class Watch:
    """Some rows as they are before an act, to tell afterwards what it changed in them."""

    def __init__(self, *rows: Base | None) -> None:
        self._before: dict[Key, Any] = {}
        self._rows: dict[tuple[str, int], Base] = {}
        self.add(*rows)

    def add(self, *rows: Base | None) -> None:
        """Watch more rows, from now on; one that is watched already stays as it was seen first."""
        for row in rows:
            if row is None or (row.__tablename__, _id(row)) in self._rows:
                continue
            self._rows[row.__tablename__, _id(row)] = row
            for field in _fields[row.__tablename__]:
                self._before[row.__tablename__, _id(row), field] = _as_json(getattr(row, field))

    def changes(self) -> list[Change]:
        """Return what is different now, in the order in which the rows were added.

        Of a comment that hangs elsewhere the essay is told in any case: what it hung below may be moved since.
        """
        found = []
        for (kind, row_id, field), old in self._before.items():
            row = self._rows[kind, row_id]
            new = _as_json(getattr(row, field))
            if new != old or (kind == "comment" and field == "essay_id" and self._has_moved(row)):
                found.append([kind, row_id, field, old, new])
        return found

    def _has_moved(self, row: Base) -> bool:
        parent_id: int | None = row.parent_id  # type: ignore[attr-defined]  # only comments are asked about
        before: int | None = self._before["comment", _id(row), "parent_id"]
        return parent_id != before


def matters(changes: Iterable[Change]) -> set[Key]:
    """Return what some changes of one comment, discussion or person are about: each matter is undone in its order."""
    found = set()
    for kind, row_id, field, old, new in changes:
        is_verdict = kind in ("comment_revision", "appeal", "report") and field not in APART
        if is_verdict or (kind == "comment" and field in STANDING):
            found.add(("comment", 0, "standing"))
        elif field not in DERIVED:
            found.add((kind, row_id, field))
        # One thread is pinned in a discussion: what moves to another one matters to both.
        if field == "essay_id" and old != new:
            found.add((kind, row_id, "pinned_at"))
    return found


def rows_of(changes: Iterable[Change]) -> list[Base]:
    """Return the rows that some changes are about, each once; one query for each that is not loaded."""
    ids = dict.fromkeys((kind, row_id) for kind, row_id, *_ in changes)
    return [db.session.get_one(_models[kind], row_id) for kind, row_id in ids]


def stands(changes: Iterable[Change]) -> bool:
    """Tell whether every field still holds what the act left in it."""
    for kind, row_id, field, _, new in changes:
        row = db.session.get_one(_models[kind], row_id)
        # Where a comment is that hangs below another one follows from that.
        follows = field in DERIVED or (field == "essay_id" and getattr(row, "parent_id", None) is not None)
        if not follows and _as_json(getattr(row, field)) != new:
            return False
    return True


def put_back(changes: Iterable[Change], only: Collection[str] | None = None) -> None:
    """Give every field the value from before the act; `only` names the fields, None means all."""
    for kind, row_id, field, old, _ in changes:
        if field == "waits_since" and old is None:
            continue  # whether it waits follows from the rest; if it does, then since the moment that it began to
        if only is None or field in only:
            setattr(db.session.get_one(_models[kind], row_id), field, _from_json(_models[kind], field, old))


def value_before(changes: Iterable[Change], field: str, otherwise: Any) -> Any:
    """Return what a field held before the act, as JSON; `otherwise` is what it holds if the act left it alone."""
    return next((old for _, _, name, old, _ in changes if name == field), otherwise)


def _id(row: Base) -> int:
    row_id: int = row.id  # type: ignore[attr-defined]  # every tracked model has one
    return row_id


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    return value.value if isinstance(value, StrEnum) else value


def _from_json(model: type[Base], field: str, value: Any) -> Any:
    kind = inspect(model).columns[field].type
    if value is None:
        return None
    if isinstance(kind, UtcDateTime):
        return datetime.fromisoformat(value)
    if isinstance(kind, Words):
        return frozenset(value)
    if isinstance(kind, Enum) and kind.enum_class is not None:
        return kind.enum_class(value)
    return value
