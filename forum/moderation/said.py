"""What a person said, for those who decide about them: each comment with its state and its first words."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, Presence, Verdict
from forum.discussion.rights import is_staff
from forum.essays.essay import Access
from forum.text.excerpt import first_line

MOST_COMMENTS = 20
MOST_CHARACTERS = 140


@dataclass(frozen=True)
class Said:
    """One comment in a list: `words` is empty where they are no longer there, or not for these eyes.

    `names_essay` tells whether these eyes may see the essay that it is on.
    """

    comment: Comment
    state: str
    kind: str | None
    """The colour of the state: ok, warn, danger or none."""
    words: str
    names_essay: bool


def last_comments(user: User, reader: User) -> list[Said]:
    """Return a person's newest comments; two queries."""
    # Not an outer join: SQLite would put all essays together before it looks for these.
    essay = joinedload(Comment.essay, innerjoin=True)
    found = db.session.scalars(
        select(Comment)
        .where(Comment.author_id == user.id)
        .order_by(Comment.id.desc())
        .limit(MOST_COMMENTS)
        .options(joinedload(Comment.newest), joinedload(Comment.shown), essay)
    )
    return in_words(found, reader)


def in_words(comments: Iterable[Comment], reader: User) -> list[Said]:
    """Return comments with their states and what of their words the reader of the list may see."""
    now = clock.now()
    return [
        Said(comment, *_state(comment), _words(comment, reader), comment.essay.may_see(reader, now))
        for comment in comments
    ]


def _state(comment: Comment) -> tuple[str, str | None]:
    match comment.presence:
        case Presence.WITHDRAWN:
            return "withdrawn", None
        case Presence.ERASED:
            return "erased", None
        case Presence.HIDDEN:
            return ("hidden by the ban" if comment.ban_id else "hidden"), "danger"
        case Presence.LIVE:
            return _verdict(comment)


def _verdict(comment: Comment) -> tuple[str, str | None]:
    match comment.newest.verdict:
        case Verdict.HELD:
            return ("shown, an edit waits" if comment.shown_number else "waiting"), "warn"
        case Verdict.REJECTED:
            return ("shown, an edit was rejected" if comment.shown_number else "rejected"), "danger"
        case Verdict.ACCEPTED:
            return "shown", "ok"


def _words(comment: Comment, reader: User) -> str:
    if comment.presence in (Presence.WITHDRAWN, Presence.ERASED):
        return ""
    essay, now = comment.essay, clock.now()
    if is_staff(reader, essay, now):
        return first_line(comment.newest.source, MOST_CHARACTERS)
    is_open = comment.visible and essay.is_published(now) and essay.access == Access.PUBLIC
    return first_line(comment.shown.source, MOST_CHARACTERS) if is_open and comment.shown else ""
