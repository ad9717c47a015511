"""What a rule would have held, tried on the comments that are here; nothing is written by it."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, Text, and_, case, func, literal, select, type_coerce
from sqlalchemy.orm import aliased, contains_eager

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict
from forum.discussion.rights import is_staff
from forum.discussion.rules import KINDS, Facts, Rule, causes_by_rules, links_in, rules_in_force
from forum.essays.essay import Essay
from forum.moderation.cards import light_essay
from forum.moderation.queue import moderated_comments, moderates
from forum.text.excerpt import first_line

LAST = 200
DAYS = 30
MOST = 5_000
"""So many comments are looked at in one trial at most, the newest."""

MOST_LISTED = 200
AT_ONCE = 400
"""How many texts are looked for in one query."""

TRIABLE = tuple(code for code, kind in KINDS.items() if kind.cause is not None)
"""The rules that hold comments, and so can be tried."""


class Sample(StrEnum):
    """Which comments a rule is tried on."""

    LAST = "last"
    DAYS = "days"


class Fate(StrEnum):
    """What became of a comment."""

    APPROVED = "you posted it"
    SHOWN = "posted at once"
    REMOVED = "removed"
    WAITING = "waiting"
    WITHDRAWN = "withdrawn by its writer"


@dataclass(frozen=True)
class Judged:
    """One comment, or an edit of one, with what was decided about it."""

    comment_id: int
    number: int
    name: str
    title: str
    at: datetime
    words: str
    fate: Fate


@dataclass(frozen=True)
class Trial:
    """What a rule would have held, those you posted first, and what was removed that it would have missed."""

    looked_at: int
    caught: Sequence[Judged]
    missed: Sequence[Judged]

    def count(self, *fates: Fate) -> int:
        """Return how many of those that it would have held came to this."""
        return sum(one.fate in fates for one in self.caught)


@dataclass(frozen=True)
class Catch:
    """What a rule held in the last days, and how much of it was then posted."""

    held: int
    posted: int


Wording = tuple[Comment, CommentRevision, Essay, str | None]
"""A comment with the words to judge, and of an edit the HTML before it."""


def try_rule(user: User, rule: Rule, sample: Sample) -> Trial:
    """Return what a rule would have held of what a person moderates, with the rule of trust as it is in force.

    It goes by what was recorded as each comment was posted. Who moderates today counts as having moderated then.
    A handful of queries; they only read.
    """
    now = clock.now()
    wordings = [one for one in _wordings(user, rule, sample, now) if not is_staff(one[0].author, one[2], now)]
    facts = _Recorded(wordings, rule)
    tried = _alone(rule)
    caught, missed = [], []
    for comment, wording, essay, before in wordings:
        known = facts.of(comment, wording, before)
        if rule.cause in causes_by_rules(tried, known, essay.premoderation):
            caught.append(_judged(comment, wording, essay))
        elif (judged := _judged(comment, wording, essay)).fate == Fate.REMOVED:
            missed.append(judged)
    order = list(Fate)
    caught.sort(key=lambda one: order.index(one.fate))
    return Trial(len(wordings), caught, missed)


def caught_lately(user: User) -> dict[str, Catch]:
    """Return what each rule held in the last month of what a person moderates, by the rule's code. One query."""
    now = clock.now()
    columns = []
    causes = type_coerce(CommentRevision.causes, Text)
    for code in TRIABLE:
        held = causes.contains(f" {KINDS[code].cause} ")
        posted = held & (CommentRevision.verdict == Verdict.ACCEPTED)
        columns += [
            func.count(case((held, CommentRevision.comment_id)).distinct()),
            func.count(case((posted, CommentRevision.comment_id)).distinct()),
        ]
    statement = (
        select(*columns)
        .select_from(CommentRevision)
        .join(Comment, Comment.id == CommentRevision.comment_id)
        .where(CommentRevision.created_at > now - timedelta(days=DAYS), causes != "")
        .where(moderated_comments(user, now))
    )
    numbers = list(db.session.execute(statement).one())
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return {code: Catch(held, posted) for code, (held, posted) in zip(TRIABLE, pairs, strict=True)}


def _alone(rule: Rule) -> dict[str, Rule]:
    """Return the rules as if this one alone were on, beside that of trust."""
    in_force = rules_in_force()
    off = {code: replace(one, is_on=False) for code, one in in_force.items()}
    return off | {"trusted": in_force["trusted"], rule.kind.code: replace(rule, is_on=True)}


def _wordings(user: User, rule: Rule, sample: Sample, now: datetime) -> list[Wording]:
    """Return the words that the rule is about, the newest first: new comments, or edits. One query."""
    wording, before = aliased(CommentRevision), aliased(CommentRevision)
    is_about_edits = rule.cause == Cause.RULE_EDIT_LINKS
    statement: Select[Comment, CommentRevision, Essay, str | None] = (
        select(Comment, wording, Essay, before.html if is_about_edits else literal(None, Text))
        .join(wording, wording.comment_id == Comment.id)
        .join(Essay, Essay.id == Comment.essay_id)
        .join(Comment.author)
        .options(contains_eager(Comment.author), *light_essay())
        .where(moderates(user, now), Comment.presence != Presence.ERASED)
        .order_by(wording.created_at.desc(), wording.id.desc())
    )
    if is_about_edits:
        previous = and_(before.comment_id == wording.comment_id, before.number == wording.number - 1)
        statement = statement.join(before, previous)
    else:
        statement = statement.where(wording.number == 1)
    if sample == Sample.DAYS:
        statement = statement.where(wording.created_at > now - timedelta(days=DAYS)).limit(MOST)
    else:
        statement = statement.limit(LAST)
    return [(row[0], row[1], row[2], row[3]) for row in db.session.execute(statement)]


class _Recorded:
    """What the rules knew of comments as they were posted; what other rules do not ask for is not looked up."""

    def __init__(self, wordings: Sequence[Wording], rule: Rule) -> None:
        code = rule.kind.code
        self.recent = _posts_of_writers(wordings) if code == "fast" else {}
        self.said = _said_before(wordings, rule) if code == "repeat" else {}

    def of(self, comment: Comment, wording: CommentRevision, before: str | None) -> Facts:
        return Facts(
            source=wording.source,
            links=links_in(wording.html),
            posted_at=wording.created_at,
            joined_at=comment.author.created_at,
            accepted_before=comment.accepted_before,
            subscription=comment.subscription,
            recent=_until(self.recent.get(comment.author_id, []), comment),
            same_words_at=max(_until(self.said.get(wording.source, []), comment), default=None),
            links_before=frozenset(links_in(before)) if before is not None else None,
        )


Posts = list[tuple[int, datetime]]
"""Ids and moments of comments, by id, which is the order in which they came."""


def _until(posts: Posts, comment: Comment) -> tuple[datetime, ...]:
    """Return when those that came before a comment were posted."""
    end = bisect_left(posts, comment.id, key=lambda post: post[0])
    return tuple(at for _, at in posts[:end])


def _posts_of_writers(wordings: Sequence[Wording]) -> Mapping[int, Posts]:
    """Return the comments of everybody in the sample, from an hour before its first. One query."""
    if not wordings:
        return {}
    since = min(wording.created_at for _, wording, _, _ in wordings) - timedelta(hours=1)
    writers = {comment.author_id for comment, *_ in wordings}
    statement = (
        select(Comment.author_id, Comment.id, Comment.created_at)
        .where(Comment.author_id.in_(writers), Comment.created_at > since)
        .order_by(Comment.id)
    )
    posts: dict[int, Posts] = defaultdict(list)
    for author_id, comment_id, at in db.session.execute(statement):
        posts[author_id].append((comment_id, at))
    return posts


def _said_before(wordings: Sequence[Wording], rule: Rule) -> Mapping[str, Posts]:
    """Return the comments that began with the same words as one of the sample, by the words."""
    least = rule.values["characters"]
    texts = sorted({wording.source for _, wording, _, _ in wordings if len(wording.source) >= least})
    if not texts:
        return {}
    window = timedelta(days=rule.values["days"])
    since = min(wording.created_at for _, wording, _, _ in wordings) - window
    said: dict[str, Posts] = defaultdict(list)
    for batch in _batches(texts):
        statement = (
            select(CommentRevision.source, CommentRevision.comment_id, CommentRevision.created_at)
            .where(CommentRevision.number == 1, CommentRevision.created_at > since)
            .where(CommentRevision.source.in_(batch))
            .order_by(CommentRevision.comment_id)
        )
        for source, comment_id, at in db.session.execute(statement):
            said[source].append((comment_id, at))
    return said


def _batches(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))


def _judged(comment: Comment, wording: CommentRevision, essay: Essay) -> Judged:
    return Judged(
        comment_id=comment.id,
        number=wording.number,
        name=comment.author.name,
        title=essay.title,
        at=wording.created_at,
        # What its writer withdrew is nobody’s to read.
        words="" if comment.presence == Presence.WITHDRAWN else first_line(wording.html),
        fate=_fate(comment, wording),
    )


def _fate(comment: Comment, wording: CommentRevision) -> Fate:
    if comment.presence == Presence.WITHDRAWN:
        return Fate.WITHDRAWN
    if comment.presence == Presence.HIDDEN or wording.verdict == Verdict.REJECTED:
        return Fate.REMOVED
    if wording.verdict == Verdict.ACCEPTED or comment.visible:
        return Fate.APPROVED if wording.causes - {Cause.REPORTS} else Fate.SHOWN
    return Fate.WAITING if comment.waits_since is not None else Fate.REMOVED  # with newer words
