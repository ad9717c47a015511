"""Redaction: words are taken out of every wording of a comment, and out of all that was made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence
from forum.discussion.event import Event
from forum.discussion.kept import KeptComment
from forum.discussion.redacted import MARK, pattern_of, says
from forum.discussion.rights import is_staff
from forum.moderation.decisions import NotPossible, Stale, begin
from forum.moderation.digest import KIND
from forum.notifications.notice import WORDS_GONE, rewrite, rewrite_quotes
from forum.outbox.message import Message
from forum.text.markdown import Rejected, Rendered, render_comment

NOT_THERE = "These words are not in the comment. Copy them from the text below."
NOT_AS_TYPED = "They stand there in another form as well. Copy them from the text as it was typed, below."
TOO_OFTEN = "They stand there so often that the text would grow too long. Hide the comment instead."

GONE = "This is gone. Nobody can read it any more."


class NotFound(Exception):
    """Why words cannot be taken out of a comment, for who typed them."""


@dataclass(frozen=True)
class Wording:
    """One wording of a comment, read before the words in it are taken out."""

    revision_id: int
    source: str
    html: str


def may_read_original(user: User | None, comment: Comment, now: datetime) -> bool:
    """Tell whether a person may read what was taken out of a comment: its essay's author, or an admin.

    What its writer withdrew is nobody's to read.
    """
    if user is None or comment.presence not in (Presence.LIVE, Presence.HIDDEN):
        return False
    return is_staff(user, comment.essay, now) and (user.is_admin or user.id == comment.essay.author_id)


def wordings_of(comment: Comment) -> list[Wording]:
    """Return every wording of a comment, the first one first. One query."""
    return [Wording(row.id, row.source, row.html) for row in _revisions(comment)]


def without(wordings: Sequence[Wording], words: str) -> dict[int, Rendered]:
    """Return the wordings that have some words, rendered anew with a mark in their place. No query.

    Raises: NotFound, when they are not there, or when a reader would still find them.
    """
    pattern, rendered = pattern_of(words), {}
    for wording in wordings:
        source, html = pattern.sub(MARK, wording.source), wording.html
        if source != wording.source:
            rendered[wording.revision_id] = made = _render(source)
            html = made.html
        if says(words, source, html):
            raise NotFound(NOT_AS_TYPED)
    if not rendered:
        raise NotFound(NOT_THERE)
    return rendered


def redact(
    actor: User,
    comment: Comment,
    seen: Sequence[Wording],
    rendered: Mapping[int, Rendered],
    reason: str,
    note: str,
) -> Event:
    """Take words out of a comment for good; its event alone keeps them, sealed.

    `seen` are the wordings that `rendered` was made from. Raises: Stale, when they are not those of now;
    NotPossible, when there is nothing left to read.
    """
    if comment.presence in (Presence.WITHDRAWN, Presence.ERASED):
        raise NotPossible(GONE)
    if wordings_of(comment) != list(seen):
        raise Stale(comment.newest)
    act, rows = begin(actor, comment), _revisions(comment)
    act.watch.add(*rows)
    before = {row: row.source for row in rows}
    for row in rows:
        if made := rendered.get(row.id):
            row.source, row.html, row.renderer = made.source, made.html, made.renderer
    settle_words(comment, before)
    return act.finish("redact", reason=reason, note=note)


def settle_words(comment: Comment, before: Mapping[CommentRevision, str]) -> None:
    """Let everything that quotes a comment say what its wordings say since an act.

    Those are notices about it and about answers to it, mails of them that have not left, and what was kept of it
    while its writer signed in. Mails that have left lose their words here too.
    """
    changed = {old: row.source for row, old in before.items() if row.source != old}
    if not changed:
        return
    db.session.flush()
    rewrite(_subjects(comment), changed)
    rewrite_quotes(comment.author_id, changed)
    for old, new in changed.items():
        kept = (KeptComment.comment_id == comment.id) & (KeptComment.source == old)
        db.session.execute(_quietly(update(KeptComment).where(kept).values(source=new)))
    shown = (Message.kind == KIND) & Message.text.contains(f"{comment.address}#moderate")
    db.session.execute(_quietly(delete(Message).where(shown, Message.sent_at.is_(None))))
    db.session.execute(_quietly(update(Message).where(shown).values(text=WORDS_GONE, html=WORDS_GONE)))


def _render(source: str) -> Rendered:
    try:
        return render_comment(source)
    except Rejected:
        raise NotFound(TOO_OFTEN) from None


def _revisions(comment: Comment) -> list[CommentRevision]:
    mine = select(CommentRevision).where(CommentRevision.comment_id == comment.id)
    return list(db.session.scalars(mine.order_by(CommentRevision.number)))


def _subjects(comment: Comment) -> list[str]:
    """Return what the notices are about that may have words of a comment in them."""
    events = db.session.scalars(select(Event.id).where(Event.comment_id == comment.id))
    return [
        f"comment:{comment.id}",
        *(f"event:{row_id}" for row_id in events),
    ]


def _quietly(statement: Any) -> Any:
    return statement.execution_options(synchronize_session=False)
