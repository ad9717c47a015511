"""Essays of the tests, written by the product's own verbs."""

from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from forum.accounts.user import User
from forum.database import db
from forum.essays.drafting import draft_of
from forum.essays.essay import Essay
from forum.essays.publishing import create_essay, publish_essay
from forum.essays.revision import EssayRevision
from tests.cast import Cast

SECRET = "the-words-for-supporters"
GATED = f"Everyone reads this.\n\n<!--more-->\n\n## {SECRET}-heading\n\nOnly some read {SECRET}."

DRAFT = "draft"
"""In place of a moment: not published."""


def write(
    cast: Cast, title: str, source: str = "Some words.", at: datetime | str | None = None, **options: Any
) -> int:
    """Write an essay of the cast's author, publish it now, at a moment, or not at all, and return its id."""
    with cast.app.app_context():
        author = db.session.get(User, cast.author.user_id)
        assert author is not None
        essay = create_essay(author, title, source, **options)
        if at != DRAFT:
            publish_essay(essay, at if isinstance(at, datetime) else None)
        db.session.commit()
        return essay.id


def slug_of(cast: Cast, essay_id: int) -> str:
    """Return the slug that an essay has now."""
    slug: str = cast.read(Essay, essay_id).slug
    return slug


def editor_form(cast: Cast, essay_id: int, **typed: str) -> dict[str, str]:
    """Return what the editor would send, opened now, with some fields typed over."""
    with cast.app.app_context():
        essay = db.session.get(Essay, essay_id)
        assert essay is not None
        draft = draft_of(essay)
        words = draft.words if draft else essay.words
        form = {
            "title": words.title,
            "subtitle": words.subtitle,
            "body": words.source,
            "version": str(draft.version if draft else 0),
        }
    return form | typed


def settings_form(cast: Cast, essay_id: int, **typed: str) -> dict[str, str]:
    """Return what the settings form would send, with some fields typed over."""
    essay = cast.read(Essay, essay_id)
    form = {"slug": essay.slug, "tags": "", "access": essay.access.value, "comments": essay.comments.value}
    return form | {"premoderation": "", "closing": ""} | typed


def revision_notes(app: Flask, essay_id: int) -> list[tuple[int, str, str]]:
    """Return (number, source, note) of every revision of an essay, in order."""
    with app.app_context():
        theirs = select(EssayRevision).where(EssayRevision.essay_id == essay_id)
        rows = db.session.scalars(theirs.order_by(EssayRevision.number))
        return [(row.number, row.source, row.note) for row in rows]


def count(app: Flask, model: type[Any]) -> int:
    """Return how many rows there are."""
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0
