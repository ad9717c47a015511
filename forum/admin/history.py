"""What was done, in words: the audit log's entries and the history of one person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, String, cast, false, func, literal, or_, select

from forum.accounts.user import User
from forum.database import Page, db, page_of
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.moderation.standing import subject
from forum.site.audit import AuditEntry
from forum.site.settings import HAVE_PAGES, NUMBERS

ENTRIES_PER_PAGE = 50
LONGEST_HISTORY = 50

ACTS = {
    "acknowledge": "Warning confirmed",
    "allow-mail": "Mail allowed again",
    "ban": "Banned",
    "bounce": "Bounce entered",
    "hold": "Comments held",
    "import-readers": "Readers imported",
    "name": "Name changed",
    "note": "Note",
    "release": "Comments released",
    "role": "Role changed",
    "retry-mail": "Mails tried again",
    "rule": "Rule changed",
    "setting": "Setting changed",
    "sign-out": "Signed out",
    "stop-mail": "Mail stopped",
    "subscription-cancel": "Subscription cancelled",
    "subscription-end": "Subscription ended",
    "subscription-extend": "Subscription extended",
    "subscription-free": "Went on as a free subscriber",
    "subscription-grant": "Subscription granted",
    "subscription-resume": "Cancelling of the subscription taken back",
    "suspend": "Suspended",
    "tier": "Tier changed",
    "unban": "Ban lifted",
    "undo": "Undone",
    "unsuspend": "Suspension lifted",
    "warn": "Warned",
}
EVENTS = {
    "appeal": "Appealed",
    "approve": "Comment accepted",
    "close": "Discussion closed",
    "edit": "Comment edited",
    "erase": "Comment erased",
    "feature": "Comment featured",
    "fold": "Comment folded by reports",
    "hide": "Comment hidden",
    "overturn": "Appeal granted",
    "pin": "Comment pinned",
    "post": "Comment posted",
    "reject": "Comment rejected",
    "reopen": "Discussion reopened",
    "restore": "Comment restored",
    "spam": "Comment marked as spam",
    "undo": "Decision undone",
    "unfeature": "Comment not featured any more",
    "unpin": "Comment unpinned",
    "uphold": "Appeal refused",
    "withdraw": "Comment withdrawn",
}
NOT_IN_HISTORY = ("post", "ban", "unban")
"""What they posted is a list of its own, and a ban is one line of the audit log, however many comments it hid."""

SETTINGS = {name: number.label for name, number in NUMBERS.items()} | {
    "tagline": "Sentence about the site",
    "house_rules": "House rules",
    "premoderation": "Which comments wait",
    "first_comments_held": "First comments that wait",
    "blocked_domains": "Blocked domains",
    "reasons": "Reasons",
}


@dataclass(frozen=True)
class Line:
    """One line of a history; `who` None is the system or the command line."""

    at: datetime
    act: str
    who: User | None
    whom: User | None = None
    about: str = ""
    reason: str = ""
    details: str = ""
    address: str = ""


def audit_page(act: str, people: ColumnElement[bool] | None, number: int) -> Page[Line]:
    """Return one page of the audit log, newest first, of one act or of some people if asked; three queries."""
    statement = select(AuditEntry).order_by(AuditEntry.id.desc())
    if act:
        statement = statement.where(AuditEntry.act == act)
    if people is not None:
        theirs = select(User.id).where(people)
        subjects = select(literal("user:") + cast(User.id, String)).where(people)
        statement = statement.where(or_(AuditEntry.actor_id.in_(theirs), AuditEntry.subject.in_(subjects)))
    page: Page[AuditEntry] = page_of(statement, number, ENTRIES_PER_PAGE)
    return Page(lines_of(page.rows), page.number, page.per_page, page.total)


def acts_in_use() -> list[tuple[str, str]]:
    """Return each act that the audit log holds with its words, sorted by these."""
    found = db.session.scalars(select(AuditEntry.act).distinct())
    return sorted(((act, _words(ACTS, act)) for act in found), key=lambda pair: pair[1])


def history_of(user: User) -> list[Line]:
    """Return what was done to a person and what happened to their comments, newest first; three queries."""
    entries = db.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.subject == subject(user), AuditEntry.act != "note")
        .order_by(AuditEntry.id.desc())
        .limit(LONGEST_HISTORY)
    ).all()
    events = db.session.scalars(
        select(Event)
        .join(Comment, Comment.id == Event.comment_id)
        .where(Comment.author_id == user.id, Event.act.not_in(NOT_IN_HISTORY))
        .order_by(Event.id.desc())
        .limit(LONGEST_HISTORY)
    )
    lines = [*lines_of(entries), *(_event_line(event) for event in events)]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:LONGEST_HISTORY]


def notes_on(user: User) -> list[Line]:
    """Return the notes about a person, newest first; two queries."""
    mine = (AuditEntry.subject == subject(user)) & (AuditEntry.act == "note")
    return lines_of(db.session.scalars(select(AuditEntry).where(mine).order_by(AuditEntry.id.desc())).all())


def latest_settings() -> dict[str, Line]:
    """Return the newest change of each setting, by its name; two queries."""
    newest = select(func.max(AuditEntry.id)).where(AuditEntry.act == "setting").group_by(AuditEntry.subject)
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.id.in_(newest))).all()
    named = zip(entries, lines_of(entries), strict=True)
    return {entry.subject.partition(":")[2]: line for entry, line in named}


def newest_setting_change(name: str = "") -> int:
    """Return the id of the newest change of one setting, or of any on the settings page; 0 while there was none."""
    apart = AuditEntry.subject.not_in([f"setting:{one}" for one in HAVE_PAGES])
    about = AuditEntry.subject == f"setting:{name}" if name else apart
    return db.session.scalar(select(func.max(AuditEntry.id)).where(AuditEntry.act == "setting", about)) or 0


def lines_of(entries: Sequence[AuditEntry]) -> list[Line]:
    """Return audit entries in words, with the people they name; one query."""
    ids = {entry.actor_id for entry in entries} | {_whom(entry) for entry in entries}
    ids.discard(None)
    people = {
        one.id: one for one in db.session.scalars(select(User).where(User.id.in_(ids) if ids else false()))
    }
    return [
        Line(
            at=entry.at,
            act=_words(ACTS, entry.act),
            who=people.get(entry.actor_id or 0),
            whom=people.get(_whom(entry) or 0),
            about=_about(entry),
            reason=entry.reason,
            details="; ".join(_details(entry)),
        )
        for entry in entries
    ]


def _event_line(event: Event) -> Line:
    return Line(
        at=event.at,
        act=_words(EVENTS, event.act),
        who=event.actor,
        reason=", ".join(words for words in (event.reason, event.note) if words),
        address=f"/comments/{event.comment_id}",
    )


def _words(known: dict[str, str], act: str) -> str:
    return known.get(act) or act.replace("-", " ").replace("_", " ").capitalize()


def _whom(entry: AuditEntry) -> int | None:
    kind, _, number = entry.subject.partition(":")
    return int(number) if kind == "user" and number.isdigit() else None


def _about(entry: AuditEntry) -> str:
    kind, _, name = entry.subject.partition(":")
    if kind == "setting":
        return SETTINGS.get(name, name)
    return "" if kind == "user" else entry.subject.replace(":", " ")


def _details(entry: AuditEntry) -> Iterable[str]:
    """Yield what an act did, one short phrase for each of its details."""
    given = dict(entry.details)
    if {"old", "new"} <= given.keys():
        yield f"{_value(given.pop('old'))} → {_value(given.pop('new'))}"
    if hidden := given.pop("hidden", 0):
        yield f"{_comments(hidden)} hidden"
    if restored := given.pop("restored", 0):
        yield f"{_comments(restored)} restored"
    if until := given.pop("until", None):
        yield f"until {_day_of(until)}"
    if undone := given.pop("undone", None):
        yield _words(ACTS, undone)
    if device := given.pop("device", None):
        yield str(device)
    given.pop("ban", None)
    for name, value in given.items():
        yield f"{name.replace('_', ' ')}: {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return _period(value)
    return "nothing" if value in ("", None) else str(value)


def _period(details: Mapping[str, str]) -> str:
    ends_at = details.get("ends_at")
    words = f"{details.get('kind')} " + (f"until {_day_of(ends_at)}" if ends_at else "without an end")
    return f"{words}, cancelled" if "cancelled_at" in details else words


def _day_of(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%-d %B %Y, %H:%M UTC")


def _comments(count: int) -> str:
    return "1 comment" if count == 1 else f"{count} comments"
