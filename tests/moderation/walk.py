"""A small site, and a random walk over everything that moderators, writers and readers may do there."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import aliased
from time_machine import Traveller
from werkzeug.test import Client

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict
from forum.discussion.event import Event
from forum.discussion.posting import (
    appeal_decision,
    edit_comment,
    lock_discussion,
    post_comment,
    toggle_reaction,
    withdraw_comment,
)
from forum.discussion.reaction import Reaction
from forum.discussion.report import Appeal, Report
from forum.discussion.reporting import report_comment
from forum.discussion.rights import Act, rights
from forum.discussion.screening import Refused
from forum.discussion.telling import unreadable
from forum.essays.essay import Essay
from forum.moderation import batch, decisions, merging, moving, people, redaction, shaping
from forum.moderation.decisions import NotPossible, Stale
from forum.moderation.standing import NotDone
from forum.moderation.undo import UNDOABLE, lock_for_undo, undo, why_may_not_undo
from forum.notifications.gathering import gather
from forum.notifications.notice import Notice
from forum.outbox.message import Message
from forum.site.settings import change_setting
from forum.subscriptions.subscription import Kind
from forum.text.markdown import render_comment
from tests.cast import Cast, making_anew
from tests.counting import wrong_counters

REASONS = ("off-topic", "unkind", "spam", "private")
REFUSALS = (NotPossible, NotDone, Stale, Refused, redaction.NotFound)
STEPS = (1, 4, 20, 50)
"""Seconds from one act to the next, below and above the time in which a slip can be taken back unsaid."""

GROWS = {"essay": {"thread_version", "version"}, "comment_revision": set(), "user": set()}
"""Columns that only ever grow."""

Deed = Callable[["Walk", User], None]


class NotAllowed(Exception):
    """The person may not do this: the page would have no button for it."""


@dataclass
class Walk:
    """Where the walk is: the site, chance, the time, and what was done how often."""

    cast: Cast
    random: Random
    time: Traveller
    essays: list[int] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    staff: list[int] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    refusal: str = ""
    """Why the last act that was refused was."""

    def do(self, deed: Callable[[], None]) -> bool:
        """Do something in a request of its own; returns whether it was done, not refused with a sentence."""
        self.time.shift(self.random.choice(STEPS))
        with self.cast.app.test_request_context("/", method="POST"):
            try:
                deed()
                db.session.commit()
            except (*REFUSALS, NotAllowed) as refusal:
                db.session.rollback()
                self.refusal = str(refusal)
                return False
            return True

    def step(self, table: dict[str, tuple[int, Deed]]) -> str | None:
        """Do one act of a table at random, by somebody at random, and return its name; None if it was refused."""
        name = self.random.choices(list(table), [weight for weight, _ in table.values()])[0]
        who = self.random.choice(self.staff)
        if not self.do(lambda: table[name][1](self, db.session.get_one(User, who))):
            return None
        self.done[name] += 1
        return name

    def walk(self, count: int, table: dict[str, tuple[int, Deed]]) -> None:
        """Do so many acts of a table; after each of them everything is sound."""
        tried = 0
        while self.done.total() < count:
            tried += 1
            assert tried < 10 * count, self.done
            if name := self.step(table):
                assert self.unsound() == [], f"after {name}, act {self.done.total()}"
                assert self.kept_page() == self.kept_page(making_anew(self.cast.app)), f"stale after {name}"

    def kept_page(self, browser: Client | None = None) -> str:
        """Return the page of an essay as a stranger gets it, another essay after each act."""
        with self.cast.app.app_context():
            essay = db.session.get_one(Essay, self.essays[self.done.total() % len(self.essays)])
            path = essay.path
        return (browser or self.cast.stranger.client).get(path).text

    def some(self, model: type[Any], condition: ColumnElement[bool] | None = None) -> Any:
        """Return a row at random that meets a condition."""
        ids = select(model.id)
        found = db.session.scalars(ids if condition is None else ids.where(condition)).all()
        if not found:
            raise NotAllowed
        return db.session.get_one(model, self.random.choice(sorted(found)))

    def locked(self, actor: User, comment: Comment, act: Act | None = Act.MODERATE) -> Comment:
        """Return a comment as a request has it: locked, read afresh, and the person's to do this with."""
        lock_discussion(comment.author_id, comment.essay_id, actor.id)
        db.session.refresh(comment, with_for_update={"of": Comment})
        db.session.refresh(comment.newest)
        if act is not None and act not in rights(actor, comment.essay, comment, clock.now()):
            raise NotAllowed
        return comment

    def words(self, text: str = "Words") -> Any:
        """Return words that nobody wrote before."""
        self.texts += 1
        return render_comment(f"{text} number {self.texts}, about the *tide* of {self.texts % 7} o’clock.")

    def last_event(self) -> int:
        """Return the id of the last event."""
        with self.cast.app.app_context():
            return db.session.scalar(select(func.max(Event.id))) or 0

    def unsound(self) -> list[str]:
        """Return a line for everything that does not follow from the rows: counters, waits, appeals, reports."""
        with self.cast.app.app_context():
            return wrong_counters() + _wrong_waits() + _wrong_appeals() + _wrong_moments()

    def in_force(self, since: int, until: int, *, is_undo: bool = True) -> list[int]:
        """Return the acts of moderators of a stretch of the walk that stand, the last first.

        Parts are taken back with what they belong to, unless that left them alone. `is_undo` False leaves out what
        took back others of the stretch.
        """
        with self.cast.app.app_context():
            acts = Event.act.in_(UNDOABLE)
            if not is_undo:
                acts &= (Event.act != "undo") | (Event.undoes_id <= since)
            head, part = aliased(Event), aliased(Event)
            is_left = select(head.id).where(head.id == Event.part_of_id, head.is_undone).exists()
            parts = select(part.id).where(part.part_of_id == Event.id, part.is_undone.is_(False)).exists()
            is_empty = (Event.parts > 0) & Event.person_id.is_(None) & ~parts
            whole = (Event.part_of_id.is_(None) | is_left) & ~is_empty
            standing = Event.is_undone.is_(False) & acts
            stretch = select(Event.id).where(Event.id > since, Event.id <= until, whole, standing)
            return list(db.session.scalars(stretch.order_by(Event.id.desc())))

    def undo(self, event_id: int, *, with_later: bool = False) -> bool:
        """Take an act back as an admin does; returns whether that was possible."""
        return self.do(lambda: take_back(self, self.admin, event_id, with_later=with_later))

    @property
    def admin(self) -> User:
        """Return the admin, in the session of now."""
        return db.session.get_one(User, self.cast.admin.user_id)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row that an act of a moderator may change, and what stands in the inboxes."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.cast.app.app_context():
            for model in (Comment, CommentRevision, Essay, User, Appeal, Report, Reaction):
                table: Any = model.__table__
                columns = [one for one in table.c if one.name not in GROWS.get(table.name, set())]
                keys = list(table.primary_key)
                found[table.name] = [
                    tuple(zip([one.name for one in columns], row, strict=True))
                    for row in db.session.execute(select(*columns).order_by(*keys))
                ]
            said = (Notice.user_id, Notice.subject, Notice.title, Notice.heading, Notice.words, Notice.quote)
            there = select(*said, Notice.url, Notice.read_at).where(Notice.retracted_at.is_(None))
            found["notice"] = [tuple(row) for row in db.session.execute(there.order_by(Notice.id))]
        return found

    def pages(self) -> dict[str, str]:
        """Return what a stranger's browser gets at every public address, without the tokens of forms."""
        stranger = self.cast.stranger
        paths = ["/", "/archive", "/feed.xml", "/sitemap.xml", f"/authors/{self.cast.author.user_id}"]
        with self.cast.app.app_context():
            for slug in db.session.scalars(select(Essay.slug).order_by(Essay.id)):
                paths += [f"/essays/{slug}/feed.xml"]
                paths += [f"/essays/{slug}?sort={order}" for order in ("oldest", "newest", "best", "picks")]
            paths += [f"/comments/{row_id}" for row_id in db.session.scalars(select(Comment.id))]
            paths += [f"/readers/{user_id}" for user_id in self.writers]
        answers = {path: stranger.get(path) for path in paths}
        assert [path for path, answer in answers.items() if answer.status_code not in (200, 303, 404)] == []
        return {
            path: f"{answer.status_code} {without_tokens(answer.text)}" for path, answer in answers.items()
        }

    def mails(self) -> int:
        """Write the mails that are due, and return how many are there that have not left."""
        with self.cast.app.test_request_context("/", method="POST"):
            gather(clock.now(), unreadable)
            return db.session.scalar(select(func.count(Message.id)).where(Message.sent_at.is_(None))) or 0


def build(cast: Cast, seed: int, time: Traveller) -> Walk:
    """Make the site: three essays, writers of all kinds, comments in all states, reports, an appeal, edits, thanks."""
    walk = Walk(cast, Random(seed), time)
    walk.staff = [cast.author.user_id or 0, cast.moderator.user_id or 0, cast.admin.user_id or 0]
    other = cast.user("another author", Role.AUTHOR)
    walk.essays = [
        cast.essay_id,
        cast.essay("on-wells", "On wells"),
        cast.essay("on-rain", "On rain", author_id=other),
    ]
    known = [cast.user(f"writer {number}") for number in range(5)]
    new = [cast.user(f"new writer {number}") for number in range(3)]
    walk.writers = known + new
    cast.subscribe(known[0], Kind.PAID)
    _say_setting(cast, "premoderation", "none")
    for number in range(24):
        who = known[number % len(known)]
        assert walk.do(lambda who=who, number=number: _say(walk, who, number))  # type: ignore[misc]
    _say_setting(cast, "premoderation", "first")
    for number in range(10):
        who = new[number % len(new)]
        assert walk.do(lambda who=who, number=number: _say(walk, who, number))  # type: ignore[misc]
    time.shift(timedelta(hours=1))
    table = {name: READERS[name] for name in ("edit", "report", "thank")} | {"hide": MODERATORS["hide"]}
    for _ in range(60):
        walk.step(table)
    for _ in range(12):
        walk.step({"appeal": READERS["appeal"]})
    for name in ("pin", "feature", "close", "withdraw"):
        for _ in range(4):
            walk.step({name: (MODERATORS | READERS)[name]})
    walk.done.clear()
    time.shift(timedelta(hours=1))
    walk.mails()
    with cast.app.app_context():
        db.session.execute(update(Message).values(sent_at=clock.now()))
        db.session.commit()
    return walk


def differences(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return what of some rows or pages is not as it was, as it is now and as it was before."""
    found: dict[str, Any] = {}
    for name in now.keys() | before.keys():
        new, old = now.get(name), before.get(name)
        if new != old and isinstance(new, list) and isinstance(old, list):
            pairs = [(one, other) for one, other in zip(new, old, strict=False) if one != other]
            found[name] = [
                (one[0], [both for both in zip(one, other, strict=True) if both[0] != both[1]])
                for one, other in pairs
            ]
            found[name] += [f"{len(old)} rows are {len(new)}"] if len(new) != len(old) else []
        elif new != old:
            found[name] = (new, old)
    return found


def without_tokens(page: str) -> str:
    """Return a page without what is new in it each time: the tokens of its forms."""
    return re.sub(r'(name="(?:csrf_token|form_token)" value=)"[^"]*"', r"\1", page)


def take_back(walk: Walk, actor: User, event_id: int, *, with_later: bool) -> None:
    """Undo as its address does."""
    event = db.session.get_one(Event, event_id)
    if batch.is_large(event) or (event.parts and event.person_id is None and walk.random.random() < 0.3):
        batch.undo_in_pieces(actor, event)
        db.session.commit()
        _work_off()
        return
    lock_for_undo(actor, event)
    if why_may_not_undo(actor, event):
        raise NotAllowed
    undo(actor, event, with_later=with_later)


def _say_setting(cast: Cast, name: str, value: Any) -> None:
    with cast.app.test_request_context():
        change_setting(name, value)
        db.session.commit()


def _say(walk: Walk, who: int, number: int) -> None:
    essay = db.session.get_one(Essay, walk.essays[number % len(walk.essays)])
    lock_discussion(who, essay.id)
    author = db.session.get_one(User, who)
    above = db.session.scalars(select(Comment).where(Comment.essay_id == essay.id, Comment.visible)).all()
    parent = walk.random.choice(above) if above and walk.random.random() < 0.6 else None
    post_comment(author, essay, walk.words(), f"form-{walk.texts}", parent)


def _work_off() -> None:
    while batch.go_on_with_batches(clock.now()):
        pass


WAITS = Comment.waits_since.is_not(None)
SEEN = Comment.visible.is_(True)
REFUSED = (Comment.presence == Presence.HIDDEN) | Comment.id.in_(
    select(CommentRevision.comment_id).where(CommentRevision.verdict == Verdict.REJECTED)
)


def _decide(verb: Callable[..., Any], condition: ColumnElement[bool], *why: str) -> Deed:
    def deed(walk: Walk, actor: User) -> None:
        comment = walk.locked(actor, walk.some(Comment, condition))
        reason = (walk.random.choice(REASONS), "A note.") if why else ()
        verb(actor, comment, comment.newest_number, *reason)

    return deed


def _shape(verb: Callable[..., Any], act: Act, condition: ColumnElement[bool], **values: str) -> Deed:
    def deed(walk: Walk, actor: User) -> None:
        verb(actor, walk.locked(actor, walk.some(Comment, condition), act), **values)

    return deed


def _on_essay(verb: Callable[..., Any], **values: str) -> Deed:
    def deed(walk: Walk, actor: User) -> None:
        essay = walk.some(Essay)
        lock_discussion(actor.id, essay.id)
        if Act.CLOSE not in rights(actor, essay, None, clock.now()):
            raise NotAllowed
        verb(actor, essay, **values)

    return deed


def _on_person(verb: Callable[..., Any], *more: Any, **values: Any) -> Deed:
    def deed(walk: Walk, actor: User) -> None:
        user = db.session.get_one(User, walk.random.choice(walk.writers))
        verb(actor, user, *(one() for one in more), "They were told twice.", **values)

    return deed


def _many(verb: str, *, in_pieces: bool) -> Deed:
    def deed(walk: Walk, actor: User) -> None:
        rows = db.session.execute(
            select(Comment.id, Comment.newest_number)
            .where(WAITS if verb == "approve" else WAITS | SEEN)
            .order_by(Comment.id)
        ).all()
        items = [
            (row[0], row[1]) for row in walk.random.sample(rows, min(len(rows), walk.random.randint(2, 9)))
        ]
        asked = batch.Asked(verb, "" if verb == "approve" else "unkind", "")
        if in_pieces and items:
            batch.decide_in_pieces(actor, asked, items)
            db.session.commit()
            _work_off()
        elif not items or batch.decide_at_once(actor, asked, items).head is None:
            raise NotAllowed

    return deed


def _move(walk: Walk, actor: User) -> None:
    comment, there = walk.some(Comment), walk.some(Comment, SEEN)
    target = moving.Target(there.essay, there if walk.random.random() < 0.7 else None)
    lock_discussion(comment.author_id, min(comment.essay_id, target.essay.id), actor.id)
    walk.locked(actor, comment)
    if moving.why_not_to(actor, comment, target):
        raise NotAllowed
    moving.move(actor, comment, target)


def _merge(walk: Walk, actor: User) -> None:
    comment = walk.locked(actor, walk.some(Comment, SEEN))
    target = walk.some(Comment, SEEN & (Comment.essay_id == comment.essay_id))
    if merging.why_not_into(comment, moving.Target(target.essay, target)):
        raise NotAllowed
    merging.merge(actor, comment, target)


def _redact(walk: Walk, actor: User) -> None:
    comment = walk.locked(actor, walk.some(Comment))
    seen = redaction.wordings_of(comment)
    rendered = redaction.without(seen, walk.random.choice(("tide", "about the", "number")))
    redaction.redact(actor, comment, seen, rendered, "private", "")


def _undo(walk: Walk, actor: User, *, with_later: bool = False) -> None:
    lately = select(Event.id).order_by(Event.id.desc()).limit(40)
    undoable = Event.id.in_(lately) & Event.act.in_(UNDOABLE) & Event.is_undone.is_(False)
    take_back(walk, actor, walk.some(Event, undoable).id, with_later=with_later)


def _until() -> Any:
    return clock.now() + timedelta(days=3)


MODERATORS: dict[str, tuple[int, Deed]] = {
    "approve": (8, _decide(decisions.approve, WAITS)),
    "reject": (5, _decide(decisions.reject, WAITS, "reason")),
    "hide": (5, _decide(decisions.hide, WAITS | SEEN, "reason")),
    "remove": (3, _decide(decisions.remove, WAITS | SEEN, "reason")),
    "spam": (3, _decide(decisions.mark_spam, WAITS | SEEN)),
    "restore": (8, _shape(decisions.restore, Act.MODERATE, REFUSED)),
    "pin": (3, _shape(shaping.pin, Act.PIN, SEEN & (Comment.depth == 0))),
    "unpin": (1, _shape(shaping.unpin, Act.PIN, Comment.pinned_at.is_not(None))),
    "feature": (3, _shape(shaping.feature, Act.FEATURE, SEEN)),
    "unfeature": (1, _shape(shaping.unfeature, Act.FEATURE, Comment.featured_at.is_not(None))),
    "close-thread": (2, _shape(shaping.close_thread, Act.MODERATE, Comment.depth == 0, note="Enough.")),
    "reopen-thread": (2, _shape(shaping.reopen_thread, Act.MODERATE, Comment.closed_at.is_not(None))),
    "move": (4, _move),
    "merge": (3, _merge),
    "redact": (2, _redact),
    "close": (1, _on_essay(shaping.close_discussion, note="Good night.")),
    "reopen": (1, _on_essay(shaping.reopen_discussion)),
    "approve many": (2, _many("approve", in_pieces=False)),
    "remove many": (2, _many("remove", in_pieces=False)),
    "spam in pieces": (1, _many("spam", in_pieces=True)),
    "warn": (1, _on_person(people.warn)),
    "hold": (1, _on_person(people.hold)),
    "release": (1, _on_person(people.release)),
    "suspend": (1, _on_person(people.suspend, _until)),
    "unsuspend": (1, _on_person(people.lift_suspension)),
    "ban": (1, _on_person(people.ban, hide_comments=False)),
    "ban and hide": (2, _on_person(people.ban, hide_comments=True, until=None)),
    "unban": (2, _on_person(people.lift_ban)),
    "undo": (5, _undo),
    "undo with what followed": (3, lambda walk, actor: _undo(walk, actor, with_later=True)),
}
"""What moderators do, each with how often."""


def _own(walk: Walk, condition: ColumnElement[bool], act: Act) -> Comment:
    comment = walk.some(Comment, condition)
    return walk.locked(comment.author, comment, act)


def _post(walk: Walk, _actor: User) -> None:
    who = db.session.get_one(User, walk.random.choice([*walk.writers, *walk.staff]))
    essay = walk.some(Essay)
    above = walk.some(Comment, (Comment.essay_id == essay.id) & (SEEN | WAITS))
    parent = above if walk.random.random() < 0.7 else None
    if parent is not None:
        lock_discussion(who.id, essay.id, parent.author_id)
    else:
        lock_discussion(who.id, essay.id)
    if (Act.REPLY if parent else Act.COMMENT) not in rights(who, essay, parent, clock.now()):
        raise NotAllowed
    seen = parent.newest_number if parent else None
    post_comment(who, essay, walk.words(), f"form-{walk.texts}", parent, seen=seen)


def _edit(walk: Walk, _actor: User) -> None:
    comment = _own(walk, Comment.presence != Presence.WITHDRAWN, Act.EDIT)
    edit_comment(comment.author, comment.essay, comment, walk.words("Other words"))


def _withdraw(walk: Walk, _actor: User) -> None:
    comment = _own(walk, Comment.presence == Presence.LIVE, Act.WITHDRAW)
    withdraw_comment(comment.author, comment)


def _appeal(walk: Walk, _actor: User) -> None:
    comment = _own(walk, REFUSED, Act.APPEAL)
    appeal_decision(comment.author, comment, "It was meant kindly.")


def _report(walk: Walk, _actor: User) -> None:
    reader = db.session.get_one(User, walk.random.choice(walk.writers))
    few = SEEN & (Comment.author_id != reader.id) & (Comment.id % 3 == 0)
    report_comment(reader, walk.locked(reader, walk.some(Comment, few), Act.REPORT), "unkind", "")


def _thank(walk: Walk, _actor: User) -> None:
    reader = db.session.get_one(User, walk.random.choice(walk.writers))
    toggle_reaction(reader, walk.locked(reader, walk.some(Comment, SEEN), Act.REACT))


READERS: dict[str, tuple[int, Deed]] = {
    "post": (10, _post),
    "edit": (6, _edit),
    "withdraw": (2, _withdraw),
    "appeal": (6, _appeal),
    "report": (10, _report),
    "thank": (4, _thank),
}
"""What writers and readers do; nobody but themselves takes it back."""


def _wrong_waits() -> list[str]:
    """Return the comments that wait for something else than there is to decide, or have their reports miscounted."""
    needs_verdict: Any = Comment.needs_verdict
    desk_causes: Any = Comment.desk_causes
    counted = select(Report.comment_id, func.count()).where(Report.outcome == "").group_by(Report.comment_id)
    reports = {row[0]: row[1] for row in db.session.execute(counted)}
    rows = db.session.execute(
        select(
            Comment.id,
            Comment.presence,
            Comment.ban_id,
            Comment.merged_into_id,
            Comment.shown_number,
            Comment.open_reports,
            Comment.waits_for,
            Comment.waits_since,
            CommentRevision.verdict,
            CommentRevision.causes,
        ).join(
            CommentRevision,
            (CommentRevision.comment_id == Comment.id) & (CommentRevision.number == Comment.newest_number),
        )
    )
    wrong = []
    for row in rows:
        seen = row.presence == Presence.LIVE and row.shown_number is not None
        one = SimpleNamespace(**row._mapping, should_be_visible=seen, newest=row)
        one.needs_verdict = needs_verdict.fget(one)
        causes = desk_causes.fget(one)
        if row.waits_for != causes or bool(causes) != (row.waits_since is not None):
            wrong.append(f"comment {row.id} waits for {sorted(row.waits_for)}, there is {sorted(causes)}")
        if row.open_reports != reports.get(row.id, 0):
            wrong.append(
                f"comment {row.id} has {reports.get(row.id, 0)} open reports, not {row.open_reports}"
            )
    return wrong


def _wrong_appeals() -> list[str]:
    """Return the comments with two open appeals, and the appeals of somebody else than the writer."""
    open_ones = select(Appeal.comment_id).where(Appeal.decided_at.is_(None))
    twice = open_ones.group_by(Appeal.comment_id).having(func.count() > 1)
    foreign = (
        select(Event.id)
        .join(Comment, Comment.id == Event.comment_id)
        .where(Event.act == "appeal", or_(Event.actor_id.is_(None), Event.actor_id != Comment.author_id))
    )
    return [f"comment {one} has two open appeals" for one in db.session.scalars(twice)] + [
        f"event {one} is an appeal of another" for one in db.session.scalars(foreign)
    ]


def _wrong_moments() -> list[str]:
    """Return the essays whose last word is not that of a visible comment."""
    last = (
        select(Essay.id, Essay.commented_at, func.max(Comment.spoken_at))
        .outerjoin(Comment, (Comment.essay_id == Essay.id) & Comment.visible)
        .group_by(Essay.id, Essay.commented_at)
    )
    # SQLite gives the moment of an aggregate as it is stored.
    return [
        f"essay {row[0]}: the last word is of {row[1]}, not {row[2]}"
        for row in db.session.execute(last)
        if row[1] != row[2]
    ]
