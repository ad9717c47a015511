"""What a writer reads above words of theirs that others do not see: why they wait, and how long that usually takes."""

from collections.abc import Iterable, Mapping
from statistics import median

from sqlalchemy import select

from forum.database import db
from forum.discussion.comment import Cause, Comment, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.reasons import said
from forum.discussion.rights import DECISIONS, decisions_on
from forum.discussion.rules import why_it_waits
from forum.essays.essay import Essay

LAST = 50
"""How many of an author's decisions the usual wait is taken from."""
TOO_FEW = 5
"""With fewer decisions nothing is said of it."""

UPHELD = "uphold"
"""The act of who looked at an appeal and left all as it was."""


def waiting_sentence(
    comment: Comment,
    essay: Essay,
    last_words: Mapping[int, Event],
    *,
    to_writer: bool = True,
    usually: str = "",
) -> str:
    """Return what stands above words that readers do not see, for their writer or for a moderator.

    `last_words` is what `last_words_on` says of it and maybe others; `usually`, what `usual_wait` says, stands below
    what waits.
    """
    newest, author = comment.newest, essay.author.name
    only_you, why = " Only you can see it.", ""
    if comment.merged_into_id is not None:
        return "Merged with another comment that says the same."
    if comment.ban_id is not None:
        whose = "your" if to_writer else "its writer’s"
        words, only_you, usually = f"Removed together with {whose} ban.", " Only you can see this.", ""
    elif comment.presence == Presence.HIDDEN and not comment.needs_verdict:
        words, only_you, usually = (
            _removed("Removed", last_words.get(comment.id)),
            " Only you can see this.",
            "",
        )
    elif newest.verdict == Verdict.REJECTED:
        words, only_you, usually = (
            _removed("Not accepted", last_words.get(comment.id)),
            " Only you can see this.",
            "",
        )
    elif Cause.APPEAL in newest.causes:
        words = f"{author} will look at this again."
    elif Cause.REPORTS in newest.causes:
        words = f"Readers reported this. It waits for {author}."
    elif comment.visible:
        words, only_you, why = old_text_stays(essay), "", why_it_waits(newest.causes, newest.source)
    else:
        words, only_you = f"Waiting for {author}.", " Only you can see this."
        why = why_it_waits(newest.causes, newest.source) or "It is read before it appears."
    if not to_writer:
        return words
    return " ".join(sentence for sentence in (words + only_you, why, usually) if sentence)


def last_words_on(comments: Iterable[Comment]) -> dict[int, Event]:
    """Return the last decision about each comment that was refused. One query, none where nothing was."""
    ids = [one.id for one in comments if one.is_refused]
    return decisions_on(ids, (*DECISIONS, UPHELD)) if ids else {}


def old_text_stays(essay: Essay) -> str:
    """Return what is said of an edit that waits."""
    return f"Your new text is waiting for {essay.author.name}. Readers see the old one until then."


def usual_wait(author_id: int) -> str:
    """Return how long decisions on an author's essays usually take, in a sentence; "" while there are few. One query.

    That is the median of the last fifty waits, whoever decided: half of them were answered sooner.
    """
    waits = (
        select(Event.waited_seconds)
        .join(Essay, Essay.id == Event.essay_id)
        .where(Essay.author_id == author_id, Event.waited_seconds.is_not(None), Event.is_undone.is_(False))
        .order_by(Event.id.desc())
        .limit(LAST)
    )
    found = [seconds for seconds in db.session.scalars(waits) if seconds is not None]
    return f"Usually answered within {within(median(found))}." if len(found) >= TOO_FEW else ""


def within(seconds: float) -> str:
    """Return a length of time rounded up: in minutes, from an hour on in hours, from two days on in days."""
    minutes = max(1, -int(-seconds // 60))
    if minutes < 60:
        return _count(minutes, "minute")
    hours = -(-minutes // 60)
    return _count(hours, "hour") if hours < 48 else _count(-(-hours // 24), "day")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _removed(what: str, decision: Event | None) -> str:
    """Say who keeps words from readers and why; after another look with the reason that was given then."""
    why = said(decision.reason, decision.note) if decision else ""
    words = f"{what} by the moderators: {why}" if why else f"{what} by the moderators."
    return f"{words} Looked at again, and it stays." if decision and decision.act == UPHELD else words
