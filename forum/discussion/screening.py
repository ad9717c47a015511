"""What happens to new words: shown at once, held for causes, or refused with a sentence that says when to try again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select

from forum.accounts.user import Standing, User
from forum.database import db
from forum.discussion.before import Before
from forum.discussion.comment import Cause, Comment, CommentRevision
from forum.discussion.learned import suspects
from forum.discussion.rights import is_staff
from forum.discussion.rules import Facts, Rule, causes_by_rules, links_in, rules_in_force
from forum.essays.essay import Essay
from forum.limits import wait_words
from forum.site.settings import SiteSettings, site_settings
from forum.text.markdown import Rendered

BURST = timedelta(minutes=10)
WHATEVER_IS_WRITTEN = ("everything", "first", "trusted")
"""The rules that ask neither for the words nor for the moment."""


@dataclass
class Refused(Exception):
    """Why words are not taken just now, for their writer; the wait in seconds where one helps."""

    sentence: str
    retry_after: int | None = None

    def __str__(self) -> str:
        return self.sentence


def causes_to_hold(author: User, essay: Essay, now: datetime) -> frozenset[Cause]:
    """Return why a person's comment would wait whatever is in it. No query beyond that of the settings."""
    rules = rules_in_force()
    plain = {code: rules[code] for code in WHATEVER_IS_WRITTEN}
    facts = Facts("", (), now, author.created_at, author.accepted_comments)
    return _causes(author, essay, plain, facts, now)


def causes_for_words(
    author: User,
    essay: Essay,
    words: Rendered,
    now: datetime,
    *,
    before: Before | None = None,
    edited: Comment | None = None,
) -> frozenset[Cause]:
    """Return why a new comment waits for a moderator, or a new wording of `edited`; nothing when it is shown at once.

    An edit goes by what counted as its comment was posted. No query with what was read `before`; else one for the
    learned filter, and one where the rule against repeated words asks for it.
    """
    rules = rules_in_force()
    facts = Facts(
        source=words.source,
        links=links_in(words.html),
        posted_at=now,
        joined_at=author.created_at,
        accepted_before=edited.accepted_before if edited else author.accepted_comments,
        recent=_recent(before, rules["fast"].values["comments"]) if before else (),
        same_words_at=(
            before.same_words_at if before else _same_words_at(words.source, now, edited, rules["repeat"])
        ),
        links_before=frozenset(links_in(edited.newest.html)) if edited else None,
    )
    return _causes(author, essay, rules, facts, now)


def is_new_writer(author: User, settings: SiteSettings) -> bool:
    """Tell whether fewer of a person's comments were accepted than the site asks for."""
    return author.accepted_comments < settings.first_comments_held


def refuse_if_too_fast(author: User, essay: Essay, before: Before, now: datetime) -> None:
    """Raise Refused when someone posts too often, or the same words again. No query.

    Staff may write as fast as they like; everybody is stopped from posting the same words twice.
    """
    if before.repeats_own:
        raise Refused("You posted these words a moment ago, and they arrived. Change them to post again.")
    if is_staff(author, essay, now) or not current_app.config["RATE_LIMITS"]:
        return
    settings = site_settings()
    limits = [(settings.posts_in_burst, BURST), (settings.posts_per_hour, timedelta(hours=1))]
    if is_new_writer(author, settings):
        limits.append((1, timedelta(seconds=settings.new_reader_wait_seconds)))
    for most, window in limits:
        first_of_them = before.posted_at[most]
        if first_of_them is not None and now - first_of_them < window:
            wait = math.ceil((first_of_them + window - now).total_seconds())
            raise Refused(
                f"You have posted {_comments(most)} in {wait_words(round(window.total_seconds()))}, "
                f"which is the limit. You can post again in {wait_words(wait)}.",
                retry_after=max(1, wait),
            )


def _recent(before: Before, most: int) -> tuple[datetime, ...]:
    """Return so many posts as the rule against haste counts, all as old as the first of them: it asks no more."""
    first_of_them = before.posted_at[most]
    return () if first_of_them is None else (first_of_them,) * most


def _causes(
    author: User, essay: Essay, rules: Mapping[str, Rule], facts: Facts, now: datetime
) -> frozenset[Cause]:
    if is_staff(author, essay, now):
        return frozenset()
    causes = causes_by_rules(rules, facts, essay.premoderation)
    if facts.source and suspects(facts.source, facts.accepted_before):
        causes |= {Cause.LEARNED}
    return causes | {Cause.PERSON} if author.standing(now) == Standing.HELD else causes


def _same_words_at(source: str, now: datetime, edited: Comment | None, repeat: Rule) -> datetime | None:
    """Return when another comment began with the same words last, where the rule that asks for it is on."""
    if not repeat.is_on or len(source) < repeat.values["characters"]:
        return None
    since = now - timedelta(days=repeat.values["days"])
    found = (
        select(func.max(CommentRevision.created_at))
        .where(CommentRevision.number == 1, CommentRevision.source == source)
        .where(CommentRevision.created_at > since)
    )
    if edited is not None:
        found = found.where(CommentRevision.comment_id != edited.id)
    return db.session.scalar(found)


def _comments(count: int) -> str:
    return "1 comment" if count == 1 else f"{count} comments"
