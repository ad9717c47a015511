"""A comment that someone wrote while signed out, kept on the server until they have signed in."""

import secrets
from datetime import timedelta

from flask import flash
from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, mapped_column

from forum import clock
from forum.accounts.session import token_digest
from forum.accounts.user import User
from forum.database import Base, Id, Moment, Prose, Token, db, reference
from forum.discussion.answers import forget_draft, posted_words
from forum.discussion.comment import Comment
from forum.discussion.posting import (
    first_wording,
    lock_comment,
    lock_discussion,
    post_comment,
    posted_before,
    tell_again,
)
from forum.discussion.refusals import why_not, why_thread_closed
from forum.discussion.rights import Act, rights
from forum.discussion.screening import Refused
from forum.essays.essay import Essay
from forum.text.markdown import render_comment

KEPT_FOR = timedelta(days=7)


class KeptComment(Base):
    """What was typed, under a token that its writer's browser and mailed link carry. Posted at most once."""

    __tablename__ = "kept_comment"

    id: Mapped[Id]
    token_hash: Mapped[Token] = mapped_column(unique=True)
    essay_id: Mapped[int] = reference("essay.id")
    parent_id: Mapped[int | None] = reference("comment.id", index=False)
    form_token: Mapped[Token]
    source: Mapped[Prose]
    created_at: Mapped[Moment] = mapped_column(index=True)
    comment_id: Mapped[int | None] = reference("comment.id", index=False)


def keep_comment(essay: Essay, parent_id: int | None, source: str, form_token: str) -> str:
    """Keep the words of a stranger for a week and return the token under which they are found again."""
    now = clock.now()
    db.session.execute(delete(KeptComment).where(KeptComment.created_at < now - KEPT_FOR))
    token = secrets.token_urlsafe(24)
    kept = KeptComment(essay_id=essay.id, parent_id=parent_id, source=source, form_token=form_token)
    kept.token_hash, kept.created_at = token_digest(token), now
    db.session.add(kept)
    return token


def find_kept(token: str) -> KeptComment | None:
    """Return what is kept under a token, posted or not, until it is a week old."""
    recent = KeptComment.created_at > clock.now() - KEPT_FOR
    return db.session.scalar(select(KeptComment).where(KeptComment.token_hash == token_digest(token), recent))


def words_kept(_sender: object, kept: str = "") -> str | None:
    """Return the words that are kept under a token, as they were typed, while they are not posted."""
    row = find_kept(kept)
    return row.source if row is not None and row.comment_id is None else None


def post_kept(user: User, kept: str = "") -> str | None:
    """Post what a person wrote before they signed in and return where to find it.

    Where it cannot be posted, the address is that of a page with their words still in the form.
    """
    row = find_kept(kept) if kept else None
    if row is None:
        return None
    parent = db.session.get(Comment, row.parent_id) if row.parent_id else None
    if parent is not None:
        lock_comment(parent, user.id)
    else:
        lock_discussion(user.id, row.essay_id)
    db.session.refresh(row)
    if row.comment_id is not None:
        return f"/comments/{row.comment_id}"
    if earlier := posted_before(user, row.form_token):
        if first_wording(earlier).source == row.source:
            tell_again(earlier)
            return earlier.address
        row.form_token = secrets.token_urlsafe(16)
    essay = parent.essay if parent is not None else db.session.get_one(Essay, row.essay_id)
    now = clock.now()
    may = rights(user, essay, parent, now)
    if (Act.REPLY if parent else Act.COMMENT) not in may:
        gone = parent is not None and not parent.visible
        closed = why_thread_closed(parent) or why_not(user, essay, now)
        flash("The comment you were answering has been removed." if gone else closed, "warn")
        return f"{essay.path}/write?kept={kept}"
    try:
        comment = post_comment(user, essay, render_comment(row.source), row.form_token, parent)
    except Refused as refusal:
        flash(str(refusal), "warn")
        return f"{essay.path}/write?kept={kept}"
    row.comment_id = comment.id
    forget_draft(comment, essay)
    flash(posted_words(comment, essay), "ok")
    return f"/comments/{comment.id}"
