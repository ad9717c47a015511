"""What happens to new words: shown at once, held for causes, or refused with a sentence that says when to try again."""

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import select

from forum.accounts.user import Standing, User
from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision
from forum.discussion.rights import is_staff
from forum.essays.essay import Essay
from forum.limits import wait_words
from forum.site.settings import Premoderation, SiteSettings, site_settings

BURST = timedelta(minutes=10)


@dataclass
class Refused(Exception):
    """Why words are not taken just now, for their writer; the wait in seconds where one helps."""

    sentence: str
    retry_after: int | None = None

    def __str__(self) -> str:
        return self.sentence


def causes_to_hold(author: User, essay: Essay, now: datetime) -> AbstractSet[Cause]:
    """Return why a new comment waits for a moderator; nothing when readers see it at once."""
    if is_staff(author, essay, now):
        return frozenset()
    settings = site_settings()
    causes: set[Cause] = set()
    if author.standing(now) == Standing.HELD:
        causes.add(Cause.PERSON)
    policy = essay.premoderation or settings.premoderation
    if policy == Premoderation.ALL:
        causes.add(Cause.PREMODERATION)
    elif policy == Premoderation.FIRST and is_new_writer(author, settings):
        causes.add(Cause.NEW_WRITER)
    return causes


def is_new_writer(author: User, settings: SiteSettings) -> bool:
    """Tell whether fewer of a person's comments were accepted than the site asks for."""
    return author.accepted_comments < settings.first_comments_held


def refuse_if_too_fast(author: User, essay: Essay, source: str, now: datetime) -> None:
    """Raise Refused when someone posts too often, or the same words again. One query.

    Staff may write as fast as they like; everybody is stopped from posting the same words twice.
    """
    settings = site_settings()
    recent = db.session.execute(
        select(Comment.created_at, CommentRevision.source)
        .join(CommentRevision, CommentRevision.comment_id == Comment.id)
        .where(Comment.author_id == author.id, Comment.created_at > now - timedelta(hours=1))
        .where(CommentRevision.number == 1)
        .order_by(Comment.created_at.desc())
        .limit(max(settings.posts_per_hour, settings.posts_in_burst) * 4)
    ).all()
    same_text_window = timedelta(minutes=settings.same_text_minutes)
    if any(text == source and now - at < same_text_window for at, text in recent):
        raise Refused("You posted these words a moment ago, and they arrived. Change them to post again.")
    if is_staff(author, essay, now) or not current_app.config["RATE_LIMITS"]:
        return
    times = [at for at, _ in recent]
    limits = [(settings.posts_in_burst, BURST), (settings.posts_per_hour, timedelta(hours=1))]
    if is_new_writer(author, settings):
        limits.append((1, timedelta(seconds=settings.new_reader_wait_seconds)))
    for most, window in limits:
        within = [at for at in times if now - at < window]
        if len(within) >= most:
            wait = math.ceil((within[most - 1] + window - now).total_seconds())
            raise Refused(
                f"You have posted {_comments(most)} in {wait_words(round(window.total_seconds()))}, "
                f"which is the limit. You can post again in {wait_words(wait)}.",
                retry_after=max(1, wait),
            )


def _comments(count: int) -> str:
    return "1 comment" if count == 1 else f"{count} comments"
