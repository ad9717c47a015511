"""What a moderator decides about a comment or a discussion, and how a decision is taken back exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, select, type_coerce
from sqlalchemy.orm import aliased

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict, state_word
from forum.discussion.event import Event, note_event, snapshot
from forum.discussion.posting import bump_thread, settle
from forum.discussion.report import Appeal
from forum.essays.essay import Essay
from forum.moderation.telling import tell_writer

NEEDS_NOTE = "other"
"""The reason that says nothing without a note."""

DEEDS = {
    "approve": "posted it",
    "overturn": "granted the appeal and posted it",
    "reject": "rejected it",
    "uphold": "looked at the appeal and upheld the decision",
    "hide": "hid it",
    "spam": "removed it as spam",
    "restore": "restored it",
    "undo": "took back a decision on it",
    "pin": "pinned it",
    "unpin": "unpinned it",
    "feature": "made it the author’s pick",
    "unfeature": "took away the author’s pick",
    "close": "closed the discussion",
    "reopen": "reopened the discussion",
    "post": "wrote it",
    "edit": "edited it",
    "withdraw": "withdrew it",
    "appeal": "appealed",
    "fold": "folded it after reports",
    "ban": "hid it with its writer’s ban",
    "unban": "lifted the ban that hid it",
}
"""What somebody did, by the act of its event, to follow the name."""

OVER_COMMENTS = ("approve", "overturn", "reject", "uphold", "hide", "spam")
UNDOABLE = frozenset(OVER_COMMENTS) | {"pin", "unpin", "feature", "unfeature", "close", "reopen"}
REFUSING = ("reject", "uphold", "hide", "spam", "ban")
"""The acts that a restore can take back."""

OF_COMMENT = ("presence", "shown_number", "ban_id", "pinned_at", "featured_at", "edited_at")
"""What an undo puts back; a restore leaves the pin and the pick, which may have changed since."""
OF_PRESENCE = ("presence", "shown_number", "ban_id")


@dataclass
class Stale(Exception):
    """The decision was about older words than there are now; `newest` are those to look at."""

    newest: CommentRevision

    def __str__(self) -> str:
        return "This was edited after you opened it. Look at it again."


class NotPossible(Exception):
    """Why this cannot be decided any more, in one sentence for who wanted to."""


def approve(actor: User, comment: Comment, revision: int) -> Event:
    """Show a waiting wording to readers; after an appeal this overturns the decision, hidden or rejected.

    `revision` is the number of the wording that the actor saw. Here and in every decision below, the
    caller holds the locks of `posting.lock_discussion` and has checked the right to moderate.
    Raises: Stale, when there is a newer wording; NotPossible, when it does not wait any more.
    """
    newest = _waiting(comment, revision)
    before, from_state = _state_before(comment)
    is_appeal = Cause.APPEAL in newest.causes
    if _replaces_public_words(comment, newest):
        comment.edited_at = newest.created_at
    if is_appeal:
        newest.causes = newest.causes | _causes_before_appeal(comment, newest)
        before["appeal_id"] = _close_appeal(comment, "overturned")
    comment.presence = Presence.LIVE
    comment.shown_number = newest.number
    newest.verdict, newest.reason, newest.note = Verdict.ACCEPTED, "", ""
    return _finish("overturn" if is_appeal else "approve", actor, comment, before, from_state)


def reject(actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    """Refuse a waiting wording; after an appeal this upholds the decision, and all is as before the appeal.

    Words that were public before a late edit stay public; a hidden comment stays hidden.
    Raises: Stale; NotPossible.
    """
    return _reject("reject", actor, comment, revision, reason, note)


def hide(actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    """Take a comment out of readers' sight, whatever is waiting about it.

    Raises: Stale; NotPossible, when it is gone already.
    """
    return _hide("hide", actor, comment, revision, reason, note)


def mark_spam(actor: User, comment: Comment, revision: int) -> Event:
    """Reject a waiting comment, or hide a shown one, as spam.

    Raises: Stale; NotPossible.
    """
    decide = _reject if is_waiting(comment) else _hide
    return decide("spam", actor, comment, revision, "spam", "")


def restore(actor: User, comment: Comment) -> Event:
    """Bring a hidden or rejected comment back to exactly the state before that decision.

    Raises: NotPossible, when nothing was decided against it, or a ban hid it.
    """
    _refuse_if_gone(comment)
    if comment.ban_id is not None:
        raise NotPossible(
            "This was hidden together with its writer’s ban. It comes back when the ban is lifted."
        )
    decision = _decision_to_restore(comment)
    if decision is None:
        raise NotPossible(f"Nothing is to be restored here. {_who_decided(comment)}".strip())
    before, from_state = _state_before(comment)
    _close_appeal(comment, "overturned")
    db.session.flush()  # one appeal is open at a time, also halfway
    _reopen_appeal(decision.before.get("appeal_id"))
    _put_back(comment, decision.before, OF_PRESENCE)
    return _finish("restore", actor, comment, before, from_state, undoes=decision)


def pin(actor: User, comment: Comment) -> Event:
    """Put a thread at the top of its discussion, or take it down again."""
    before, from_state = _state_before(comment)
    comment.pinned_at = None if comment.pinned_at else clock.now()
    return _finish("pin" if comment.pinned_at else "unpin", actor, comment, before, from_state)


def feature(actor: User, comment: Comment) -> Event:
    """Mark a comment as the author's pick, or take the mark away again."""
    before, from_state = _state_before(comment)
    comment.featured_at = None if comment.featured_at else clock.now()
    return _finish("feature" if comment.featured_at else "unfeature", actor, comment, before, from_state)


def close_discussion(actor: User, essay: Essay, note: str) -> Event:
    """Let nobody comment any more; `note` is shown in place of the form.

    Raises: NotPossible, when it is closed.
    """
    if essay.discussion_closed_at is not None:
        raise NotPossible("This discussion is closed already.")
    before = _essay_before(essay)
    essay.discussion_closed_at, essay.closing_note = clock.now(), note
    return _finish_essay("close", actor, essay, before, note=note)


def reopen_discussion(actor: User, essay: Essay) -> Event:
    """Let people comment again.

    Raises: NotPossible, when it is open.
    """
    if essay.discussion_closed_at is None:
        raise NotPossible("This discussion is open already.")
    before = _essay_before(essay)
    essay.discussion_closed_at, essay.closing_note = None, ""
    return _finish_essay("reopen", actor, essay, before)


def undo(actor: User, event: Event) -> Event:
    """Take back one decision: everything is as before it, while nothing else has happened there since.

    Raises: NotPossible, with who did what since.
    """
    if sentence := why_not_undo(event, later_events([event])):
        raise NotPossible(sentence)
    if event.comment is None:
        return _undo_for_essay(actor, event)
    before, from_state = _state_before(event.comment)
    _reopen_appeal(event.before.get("appeal_id"))
    _put_back(event.comment, event.before, OF_COMMENT)
    return _finish("undo", actor, event.comment, before, from_state, undoes=event)


def later_events(events: Sequence[Event]) -> list[Event]:
    """Return what happened to the same comments and discussions since the first of these events. One query."""
    if not events:
        return []
    comment_ids = {event.comment_id for event in events if event.comment_id is not None}
    essay_ids = {event.essay_id for event in events if event.comment_id is None}
    same = Event.comment_id.in_(comment_ids) | (Event.comment_id.is_(None) & Event.essay_id.in_(essay_ids))
    since = Event.id > min(event.id for event in events)
    return list(db.session.scalars(select(Event).where(same, since).order_by(Event.id)))


def why_not_undo(event: Event, later: Sequence[Event]) -> str | None:
    """Return why an event cannot be undone, None if it can; `later` holds what `later_events` says."""
    if event.act not in UNDOABLE:
        return "This cannot be undone. Decide about it as it stands now."
    place = (event.comment_id, event.essay_id)
    later = [one for one in later if one.id > event.id and (one.comment_id, one.essay_id) == place]
    for one in later:
        if one.undoes_id == event.id:
            return f"{actor_name(one)} undid this already."
    taken_back = {one.undoes_id for one in later}
    for one in reversed(later):
        # What was done and taken back again since leaves the state as this event left it.
        if one.id not in taken_back and (one.undoes_id is None or one.undoes_id < event.id):
            deed = DEEDS.get(one.act, "changed it")
            return f"This cannot be undone any more: {actor_name(one)} {deed} since. Decide about it anew."
    return None


def actor_name(event: Event) -> str:
    """Return the name of who did it; what nobody did, the site did."""
    return event.actor.name if event.actor else "The site"


def is_waiting(comment: Comment) -> bool:
    """Tell whether a comment waits for a decision: its newest words are held, and it is live or under appeal."""
    newest = comment.newest
    if newest.verdict != Verdict.HELD or comment.ban_id is not None:
        return False
    is_appealed = comment.presence == Presence.HIDDEN and Cause.APPEAL in newest.causes
    return comment.presence == Presence.LIVE or is_appealed


def has_cause(cause: Cause) -> ColumnElement[bool]:
    """Return the condition on revisions that are or were held for this cause."""
    return type_coerce(CommentRevision.causes, String).contains(f" {cause.value} ")


def open_appeal(comment: Comment) -> Appeal | None:
    """Return the appeal that waits for an answer. One query."""
    return db.session.scalar(
        select(Appeal).where(Appeal.comment_id == comment.id, Appeal.decided_at.is_(None))
    )


def _reject(act: str, actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    newest = _waiting(comment, revision)
    before, from_state = _state_before(comment)
    appealed = _appeal_of(comment, newest)
    before["appeal_id"] = _close_appeal(comment, "upheld")
    if appealed is not None:
        act = "uphold"
        _put_back_verdict(newest, appealed.before)
    else:
        newest.verdict, newest.reason, newest.note = Verdict.REJECTED, reason, note
    return _finish(act, actor, comment, before, from_state, reason=reason, note=note)


def _hide(act: str, actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    _refuse_if_gone(comment)
    newest = _seen(comment, revision)
    is_refused = newest.verdict == Verdict.REJECTED and comment.shown_number is None
    if comment.presence == Presence.HIDDEN or is_refused:
        raise NotPossible(f"Readers do not see this any more. {_who_decided(comment)}".strip())
    before, from_state = _state_before(comment)
    before["appeal_id"] = _close_appeal(comment, "upheld")
    comment.presence = Presence.HIDDEN
    return _finish(act, actor, comment, before, from_state, reason=reason, note=note)


def _waiting(comment: Comment, revision: int) -> CommentRevision:
    _refuse_if_gone(comment)
    newest = _seen(comment, revision)
    if not is_waiting(comment):
        raise NotPossible(f"This does not wait any more. {_who_decided(comment)}".strip())
    return newest


def _seen(comment: Comment, revision: int) -> CommentRevision:
    newest = comment.newest
    if newest.number != revision:
        raise Stale(newest)
    return newest


def _refuse_if_gone(comment: Comment) -> None:
    if comment.presence == Presence.WITHDRAWN:
        raise NotPossible(f"{comment.author.name} withdrew this. Nothing is left to decide.")
    if comment.presence == Presence.ERASED:
        raise NotPossible("This was erased. Nothing is left to decide.")


def _who_decided(comment: Comment) -> str:
    """Say who did the last thing to a comment, for someone who came second."""
    last = db.session.scalar(
        select(Event).where(Event.comment_id == comment.id).order_by(Event.id.desc()).limit(1)
    )
    return f"{actor_name(last)} {DEEDS.get(last.act, 'changed it')}." if last else ""


def _replaces_public_words(comment: Comment, newest: CommentRevision) -> bool:
    """Tell whether readers saw other words of this comment before, also such as reports folded since."""
    if comment.shown_number is not None:
        return comment.shown_number != newest.number
    earlier = select(CommentRevision.id).where(
        CommentRevision.comment_id == comment.id,
        CommentRevision.number < newest.number,
        (CommentRevision.verdict == Verdict.ACCEPTED) | has_cause(Cause.REPORTS),
    )
    return db.session.scalar(earlier.limit(1)) is not None


def _appeal_of(comment: Comment, newest: CommentRevision) -> Event | None:
    """Return the event of the open appeal about these words; words that were sent in anew have none."""
    if Cause.APPEAL not in newest.causes or open_appeal(comment) is None:
        return None
    appealed = db.session.scalar(
        select(Event)
        .where(Event.comment_id == comment.id, Event.act == "appeal")
        .order_by(Event.id.desc())
        .limit(1)
    )
    return appealed if appealed is not None and appealed.revision == newest.number else None


def _causes_before_appeal(comment: Comment, newest: CommentRevision) -> frozenset[str]:
    """Return what the words were held for before: those judged after reports are not folded a second time."""
    appealed = _appeal_of(comment, newest)
    return frozenset(appealed.before["causes"]) if appealed else frozenset()


def _close_appeal(comment: Comment, outcome: str) -> int | None:
    appeal = open_appeal(comment)
    if appeal is None:
        return None
    appeal.decided_at, appeal.outcome = clock.now(), outcome
    return appeal.id


def _reopen_appeal(appeal_id: int | None) -> None:
    if appeal_id is not None:
        appeal = db.session.get_one(Appeal, appeal_id)
        appeal.decided_at, appeal.outcome = None, ""


def _decision_to_restore(comment: Comment) -> Event | None:
    """Return the decision that still keeps a comment from readers: its hiding, else the rejection of its words."""
    taken_back = aliased(Event)
    standing = select(Event).where(
        Event.comment_id == comment.id,
        Event.act.in_(REFUSING),
        Event.id.not_in(select(taken_back.undoes_id).where(taken_back.undoes_id.is_not(None))),
    )
    if comment.presence == Presence.HIDDEN:
        standing = standing.where(Event.to_state == "hidden", Event.from_state != "hidden")
    elif comment.newest.verdict == Verdict.REJECTED:
        standing = standing.where(Event.to_state == "rejected", Event.revision == comment.newest_number)
    else:
        return None
    return db.session.scalar(standing.order_by(Event.id.desc()).limit(1))


def _state_before(comment: Comment) -> tuple[dict[str, Any], str]:
    newest = comment.newest
    before = snapshot(comment, newest) | {"commented_at": _iso(comment.essay.commented_at)}
    return before, state_word(comment, newest)


def _put_back(comment: Comment, before: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        value = before.get(name)
        if name == "presence":
            value = Presence(before[name])
        elif name.endswith("_at"):
            value = datetime.fromisoformat(value) if value else None
        setattr(comment, name, value)
    if comment.newest_number == before["newest_number"]:
        _put_back_verdict(comment.newest, before)
    if "left_commented_at" in before and _iso(comment.essay.commented_at) == before["left_commented_at"]:
        _set_commented_at(comment.essay, before["commented_at"])


def _put_back_verdict(newest: CommentRevision, before: dict[str, Any]) -> None:
    newest.verdict = Verdict(before["verdict"])
    newest.causes = frozenset(before["causes"])
    newest.reason, newest.note = before["reason"], before["note"]


def _finish(
    act: str,
    actor: User,
    comment: Comment,
    before: dict[str, Any],
    from_state: str,
    *,
    reason: str = "",
    note: str = "",
    undoes: Event | None = None,
) -> Event:
    newest, spoken_last = comment.newest, _iso(comment.essay.commented_at)
    db.session.flush()
    db.session.expire(comment, ["shown"])
    settle(comment, is_news=act in ("approve", "overturn"), decided_by=actor)
    if undoes is not None:
        _set_commented_at(comment.essay, spoken_last)  # what comes back is nothing new
    before["left_commented_at"] = _iso(comment.essay.commented_at)
    event = note_event(
        act,
        actor,
        comment,
        newest,
        before,
        from_state=from_state,
        reason=reason,
        note=note,
        undoes_id=undoes.id if undoes else None,
    )
    tell_writer(event, comment, newest, undoes)
    return event


def _set_commented_at(essay: Essay, moment: str | None) -> None:
    essay.commented_at = datetime.fromisoformat(moment) if moment else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _essay_before(essay: Essay) -> dict[str, Any]:
    return {"discussion_closed_at": _iso(essay.discussion_closed_at), "closing_note": essay.closing_note}


def _undo_for_essay(actor: User, event: Event) -> Event:
    essay = db.session.get_one(Essay, event.essay_id)
    before = _essay_before(essay)
    closed_at = event.before["discussion_closed_at"]
    essay.discussion_closed_at = datetime.fromisoformat(closed_at) if closed_at else None
    essay.closing_note = event.before["closing_note"]
    return _finish_essay("undo", actor, essay, before, undoes=event)


def _finish_essay(
    act: str,
    actor: User,
    essay: Essay,
    before: dict[str, Any],
    *,
    note: str = "",
    undoes: Event | None = None,
) -> Event:
    event = Event(
        at=clock.now(),
        actor_id=actor.id,
        act=act,
        essay_id=essay.id,
        from_state="closed" if before["discussion_closed_at"] else "open",
        to_state="closed" if essay.discussion_closed_at else "open",
        note=note,
        undoes_id=undoes.id if undoes else None,
        before=before,
    )
    db.session.add(event)
    bump_thread(essay.id)
    return event
