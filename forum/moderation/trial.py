"""What a rule would have done, tried on the comments that are here; nothing is written by it."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heappop, heappush

from sqlalchemy import Select, Text, and_, case, func, literal, select, type_coerce
from sqlalchemy.orm import aliased, contains_eager

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.rights import is_staff
from forum.discussion.rules import (
    KINDS,
    WHAT_WAITS,
    Facts,
    Kind,
    Rule,
    caught,
    causes_by_rules,
    links_in,
    rules_in_force,
)
from forum.essays.essay import CommentPolicy, Essay
from forum.moderation.cards import light_essay
from forum.moderation.queue import moderated_comments, moderates
from forum.subscriptions.subscription import State
from forum.text.excerpt import first_line

LAST = 200
DAYS = 30
MOST = 5_000
"""So many comments are looked at in one trial at most, the newest."""

MOST_LISTED = 200
AT_ONCE = 400
"""How many texts are looked for in one query."""

TRIABLE = tuple(code for code in KINDS if code != "domains")
"""The rules that can be tried: all that are about comments, and not about who signs up."""

LIFTED = frozenset(kind.cause for kind in WHAT_WAITS) - {Cause.RULE_WORDS} | {Cause.LEARNED}
"""The causes for which nobody waits who is trusted."""

BY_POLICY = frozenset({Cause.PREMODERATION, Cause.NEW_WRITER})
"""The causes that may come from an essay's own policy, which goes before trust."""

LATER = frozenset({Cause.REPORTS, Cause.APPEAL})
"""The causes that words get after they were posted, in place of those before."""

TAKE_AWAY = ("hide", "spam", "withdraw", "fold", "ban", "merge")
"""The acts by which readers no longer see a comment."""


class Deed(StrEnum):
    """What a rule does to the comments that it is about."""

    HOLD = "hold"
    REFUSE = "refuse"
    CLOSE = "close"
    RELEASE = "release"


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
    """What a rule would have caught, where it disagrees first, and what was removed that it would have missed."""

    looked_at: int
    waited: int
    """Of a rule that lets people post without waiting, how many waited."""
    caught: Sequence[Judged]
    missed: Sequence[Judged]

    def count(self, *fates: Fate) -> int:
        """Return how many of those that it would have caught came to this."""
        return sum(one.fate in fates for one in self.caught)


@dataclass(frozen=True)
class Catch:
    """What a rule held in the last days, and how much of it was then posted."""

    held: int
    posted: int


Wording = tuple[Comment, CommentRevision, Essay, str | None]
"""A comment with the words to judge, and of an edit the HTML before it."""


def deed_of(kind: Kind) -> Deed:
    """Return what a kind of rule does to comments."""
    match kind.code:
        case "supporters":
            return Deed.REFUSE
        case "close-age" | "close-silent":
            return Deed.CLOSE
        case "trusted":
            return Deed.RELEASE
    return Deed.HOLD


def try_rule(user: User, rule: Rule, sample: Sample) -> Trial:
    """Return what a rule would have done to what others wrote where a person moderates, with trust as it is in force.

    It goes by what was recorded as each comment was posted, and by essays as they are. Who moderates today
    counts as having moderated then. A handful of queries; they only read.
    """
    now = clock.now()
    wordings = [one for one in _wordings(user, rule, sample, now) if not is_staff(one[0].author, one[2], now)]
    is_about_held = deed_of(rule.kind) == Deed.RELEASE
    held_for = _held_for(wordings) if is_about_held else {}
    is_caught = _question(rule, wordings, held_for)
    found, missed = [], []
    for comment, wording, essay, before in wordings:
        judged = _judged(comment, wording, essay)
        if is_caught((comment, wording, essay, before)):
            found.append(judged)
        elif judged.fate == Fate.REMOVED:
            missed.append(judged)
    order = [Fate.REMOVED, *Fate] if is_about_held else list(Fate)
    found.sort(key=lambda one: order.index(one.fate))
    waited = sum(bool(causes) for causes in held_for.values())
    return Trial(len(wordings), waited, found, [] if is_about_held else missed)


def caught_lately(user: User) -> dict[str, Catch]:
    """Return what each rule held in the last month of what a person moderates, by the rule's code. One query."""
    now = clock.now()
    columns = []
    causes = type_coerce(CommentRevision.causes, Text)
    holding = [code for code, kind in KINDS.items() if kind.cause is not None]
    for code in holding:
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
    return {code: Catch(held, posted) for code, (held, posted) in zip(holding, pairs, strict=True)}


def _question(
    rule: Rule, wordings: Sequence[Wording], held_for: Mapping[int, AbstractSet[str]]
) -> Callable[[Wording], bool]:
    """Return the question whether a rule would have caught a comment of the sample; a query or two at most."""
    match rule.kind.code:
        case "close-age":
            return lambda one: _is_too_late(one, rule)
        case "close-silent":
            too_late = _after_silence(wordings, timedelta(days=rule.values["days"]))
            return lambda one: one[0].id in too_late
    facts, tried = _Recorded(wordings, rule), _alone(rule)
    match rule.kind.code:
        case "supporters":
            return lambda one: _is_refused(one, rule, facts.of(one))
        case "trusted":
            return lambda one: _is_released(one, rule, facts.of(one), held_for[one[1].id])
    return lambda one: rule.cause in causes_by_rules(tried, facts.of(one), one[2].premoderation)


def _is_refused(one: Wording, supporters: Rule, facts: Facts) -> bool:
    comment, _, essay, _ = one
    # In days of grace people go on in threads that they began, with this rule as without it.
    if comment.subscription == State.GRACE:
        return False
    return essay.comments == CommentPolicy.SUBSCRIBERS and caught(supporters, facts)


def _is_released(one: Wording, trust: Rule, facts: Facts, held_for: AbstractSet[str]) -> bool:
    lifted = LIFTED - BY_POLICY if one[2].premoderation is not None else LIFTED
    return bool(held_for) and held_for <= lifted and caught(trust, facts)


def _is_too_late(one: Wording, closing: Rule) -> bool:
    comment, _, essay, _ = one
    if essay.kept_open_at is not None or essay.published_at is None:
        return False
    return comment.created_at >= essay.published_at + timedelta(days=closing.values["days"])


def _held_for(wordings: Sequence[Wording]) -> dict[int, AbstractSet[str]]:
    """Return why each wording waited as it was posted, also where reports or an appeal took that place. One query."""
    held_for: dict[int, AbstractSet[str]] = {
        wording.id: wording.causes - LATER for _, wording, _, _ in wordings
    }
    replaced = [comment.id for comment, wording, _, _ in wordings if wording.causes & LATER]
    changes = select(Event.changes).where(Event.comment_id.in_(replaced), Event.act.in_(("fold", "appeal")))
    for changed in db.session.scalars(changes.order_by(Event.id.desc())):  # the first one knew
        for _, row_id, field, old, _ in changed:
            if field == "causes" and row_id in held_for:
                held_for[row_id] = frozenset(old)
    return held_for


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

    def of(self, one: Wording) -> Facts:
        comment, wording, _, before = one
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


@dataclass(frozen=True)
class _Spoken:
    """When a comment was posted, and from when to when readers saw it."""

    comment_id: int
    at: datetime
    seen_at: datetime | None
    gone_at: datetime | None


def _after_silence(wordings: Sequence[Wording], most: timedelta) -> set[int]:
    """Return the comments of the sample's discussions that came after a silence. One query.

    An essay that somebody keeps open is closed by no rule.
    """
    began = {
        essay.id: essay.published_at
        for *_, essay, _ in wordings
        if essay.kept_open_at is None and essay.published_at is not None
    }
    gone_at = select(func.max(Event.at)).where(Event.comment_id == Comment.id, Event.act.in_(TAKE_AWAY))
    statement = (
        select(
            Comment.essay_id,
            Comment.id,
            Comment.created_at,
            Comment.spoken_at,
            case((~Comment.visible & Comment.spoken_at.is_not(None), gone_at.scalar_subquery())),
        )
        .where(Comment.essay_id.in_(began))
        .order_by(Comment.created_at, Comment.id)
    )
    discussions: dict[int, list[_Spoken]] = defaultdict(list)
    for essay_id, *spoken in db.session.execute(statement):
        discussions[essay_id].append(_Spoken(*spoken))
    return {
        comment_id
        for essay_id, spoken in discussions.items()
        for comment_id in _too_late_in(spoken, began[essay_id], most)
    }


def _too_late_in(discussion: Sequence[_Spoken], began: datetime, most: timedelta) -> Iterable[int]:
    """Return what came after a silence, of a whole discussion in time; it breaks no silence, for nobody wrote it.

    What was written in time and posted by a moderator later lets the discussion go on from then, as the rule does.
    """
    to_come: list[tuple[datetime, int, _Spoken]] = []
    seen: list[_Spoken] = []  # in the order in which readers saw them
    for one in discussion:
        while to_come and to_come[0][0] <= one.at:
            seen.append(heappop(to_come)[2])
        while seen and seen[-1].gone_at is not None and seen[-1].gone_at <= one.at:
            seen.pop()
        last = max(began, (seen[-1].seen_at if seen else None) or began)
        if one.at >= last + most:
            yield one.comment_id
        elif one.seen_at is not None:
            heappush(to_come, (one.seen_at, one.comment_id, one))


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
