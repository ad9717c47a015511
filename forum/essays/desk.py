"""What the pages of the author's desk share: whose essay it is, and rendering apart from the database."""

from typing import Any

from flask import abort
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Essay
from forum.essays.publishing import render_words
from forum.essays.revision import EssayWords
from forum.text.difference import Change, differences
from forum.text.essay import EssayText
from forum.web import person, require

Answer = Response | str | tuple[Any, int]

EDITOR_KIB = 2_560
"""The longest essay as a form sends it, if each of its letters takes twelve characters."""


def essay_to_edit(essay_id: int) -> tuple[Essay, User]:
    """Return an essay and the person who may edit it; 404 for whom it does not exist, 403 for other readers."""
    essay = db.session.get(Essay, essay_id)
    user = person()
    if essay is None or not (essay.may_see(user, clock.now()) or essay.is_withdrawn()):
        require(user is not None)
        abort(404)
    require(essay.may_edit(user) and user.is_in_standing(clock.now()))
    return essay, user


def writer() -> User:
    """Return who asks, if they may write essays; a stranger is asked to sign in, others get 403."""
    user = person()
    require(user is not None and user.may_write and user.is_in_standing(clock.now()))
    found: User = user
    return found


def render_apart(words: EssayWords) -> EssayText:
    """Render between two transactions: it may take seconds, and nobody should wait so long for the database.

    Fetch the essay again afterwards. Raises: EssayRefused, for the author.
    """
    db.session.rollback()
    return render_words(words)


def changes_between(old: EssayWords, new: EssayWords) -> list[tuple[str, list[tuple[Change, str]]]]:
    """Return what leads from one text to another: for each of its three parts a label and the differences."""
    parts = (("Title", "title"), ("Standfirst", "subtitle"), ("Essay", "source"))
    return [(label, differences(getattr(old, name), getattr(new, name))) for label, name in parts]
