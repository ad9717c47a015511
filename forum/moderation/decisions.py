"""What a moderator decides about a comment: show it, refuse it, hide it, bring it back."""

from dataclasses import dataclass

from sqlalchemy import select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.accepting import accept, close_appeal, event_of_appeal
from forum.discussion.change import Watch, put_back, rows_of
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict, state_word
from forum.discussion.event import Event, note_event
from forum.discussion.outcome import answer_reports, count_open_reports, tell_reporters
from forum.discussion.posting import settle, waited_seconds
from forum.moderation.telling import tell_writer

DEEDS = {
    "approve": "posted it",
    "overturn": "granted the appeal and posted it",
    "reject": "rejected it",
    "uphold": "looked at the appeal and upheld the decision",
    "hide": "hid it",
    "remove": "removed it",
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
    "close-thread": "closed its thread",
    "reopen-thread": "reopened its thread",
    "move": "moved it",
    "redact": "redacted it",
    "merge": "merged it with another",
    "keep": "looked at the reports and kept it",
    "warn": "warned them",
    "acknowledge": "confirmed the warning",
    "hold": "held their comments",
    "release": "released their comments",
    "suspend": "suspended them",
    "unsuspend": "lifted the suspension",
}
"""What somebody did, by the act of its event, to follow the name."""

OVER_COMMENTS = ("approve", "keep", "overturn", "reject", "uphold", "hide", "spam")
REFUSING = ("reject", "uphold", "hide", "spam", "ban")
"""The acts that a restore can take back."""

SUPERSEDED = (*OVER_COMMENTS, "appeal", "fold")
"""What is out of force when the decision before it is restored."""

OF_VERDICT = ("presence", "shown_number", "ban_id", "verdict", "causes", "reason", "note")
"""What a restore puts back; it leaves the pin, the pick and the place, which may have changed since."""


@dataclass
class Stale(Exception):
    """The decision was about older words than there are now; `newest` are those to look at."""

    newest: CommentRevision

    def __str__(self) -> str:
        return "This was edited after you opened it. Look at it again."


class NotPossible(Exception):
    """Why this cannot be decided any more, in one sentence for who wanted to."""


def approve(actor: User, comment: Comment, revision: int) -> Event:
    """Show a waiting wording to readers, or keep one that was reported; after an appeal this overturns the decision.

    `revision` is the number of the wording that the actor saw. Here and in every decision below, the
    caller holds the locks of `posting.lock_discussion` and has checked the right to moderate.
    Raises: Stale, when there is a newer wording; NotPossible, when it does not wait any more.
    """
    if _is_only_reported(comment):
        return _keep(actor, comment, revision)
    _waiting(actor, comment, revision)
    act = begin(actor, comment)
    return act.finish(accept(comment, act.watch), is_news=True)


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


def remove(actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    """Reject a comment that waits, or hide one that readers see: what “Remove” means on the desk.

    Raises: Stale; NotPossible.
    """
    decide = _reject if comment.needs_verdict else _hide
    return decide("reject" if decide is _reject else "hide", actor, comment, revision, reason, note)


def mark_spam(actor: User, comment: Comment, revision: int) -> Event:
    """Reject a waiting comment, or hide a shown one, as spam.

    Raises: Stale; NotPossible.
    """
    decide = _reject if comment.needs_verdict else _hide
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
    if comment.merged_into_id is not None:
        raise NotPossible("This was merged with another. It comes back when the merge is undone.")
    decision = _decision_to_restore(comment)
    if decision is None:
        raise NotPossible(f"Nothing is to be restored here. {_who_decided(actor, comment)}".strip())
    act = begin(actor, comment)
    act.close_appeal("overturned")
    db.session.flush()  # one appeal is open at a time, also halfway
    for one in _since(decision):
        act.watch.add(*rows_of(one.changes))
        put_back(one.changes, OF_VERDICT)
        if one is not decision and one.act in SUPERSEDED:
            act.watch.add(one)
            one.is_undone = True
    put_back(decision.changes, ("decided_at", "outcome", "open_reports", "waits_since"))
    return act.finish("restore", undoes=decision)


def refuse_if_decided(actor: User | None, comment: Comment, revision: int) -> None:
    """Stop what somebody wants to decide about a comment that they saw waiting, when others were faster.

    Of words that were edited since, the decision itself says so. Without an actor the sentence is for anybody.
    Raises: NotPossible, with who decided what.
    """
    _refuse_if_gone(comment)
    if comment.waits_since is None and comment.newest_number == revision:
        raise NotPossible(f"This does not wait any more. {_who_decided(actor, comment)}".strip())


def actor_name(event: Event) -> str:
    """Return the name of who did it; what nobody did, the site did."""
    return event.actor.name if event.actor else "The site"


def doer(event: Event, viewer: User | None) -> str:
    """Return who did it, for a sentence that a person reads; to themselves somebody is “You”."""
    return "You" if viewer is not None and event.actor_id == viewer.id else actor_name(event)


def deed(event: Event, viewer: User | None) -> str:
    """Return who did what, for the middle of a sentence that a person reads."""
    return f"{doer(event, viewer)} {DEEDS.get(event.act, 'changed it')}"


@dataclass
class Act:
    """One act on one comment, from before the first change until its event is written."""

    actor: User
    comment: Comment
    from_state: str
    waited: int | None
    watch: Watch

    def close_appeal(self, outcome: str) -> None:
        """Answer the open appeal, if there is one."""
        close_appeal(self.comment, self.watch, outcome)

    def answer_reports(self, outcome: str) -> None:
        """Answer every open report: the moderators agreed ("removed") or not ("kept")."""
        answer_reports(self.comment, self.watch, outcome)

    def finish(
        self,
        act: str,
        *,
        reason: str = "",
        note: str = "",
        undoes: Event | None = None,
        is_news: bool = False,
    ) -> Event:
        """Bring counters and notices in line, write the event, and tell who is concerned."""
        comment, newest = self.comment, self.comment.newest
        if undoes is not None:
            count_open_reports(comment)
        db.session.flush()
        db.session.expire(comment, ["newest", "shown"])
        settle(comment, is_news=is_news, decided_by=self.actor)
        event = note_event(
            act,
            self.actor,
            comment,
            newest,
            self.watch,
            from_state=self.from_state,
            reason=reason,
            note=note,
            undoes=undoes,
            waited_seconds=self.waited if act in OVER_COMMENTS else None,
        )
        tell_reporters(event, comment)
        tell_writer(event, comment, newest)
        return event


def begin(actor: User, comment: Comment) -> Act:
    """Begin an act on a comment: remember what stands in it."""
    newest = comment.newest
    watch = Watch(comment, newest, comment.shown)
    return Act(actor, comment, state_word(comment, newest), waited_seconds(comment), watch)


def _keep(actor: User, comment: Comment, revision: int) -> Event:
    _seen(comment, revision)
    act = begin(actor, comment)
    act.answer_reports("kept")
    return act.finish("keep")


def _reject(act_word: str, actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    newest = _waiting(actor, comment, revision)
    act = begin(actor, comment)
    appealed = event_of_appeal(comment, newest)
    act.close_appeal("upheld")
    if not comment.should_be_visible:  # else what was reported stays, and so do the reports
        act.answer_reports("removed")
    if appealed is not None:
        act_word = "uphold"
        put_back(appealed.changes, ("verdict", "causes"))
    else:
        newest.verdict, newest.reason, newest.note = Verdict.REJECTED, reason, note
    return act.finish(act_word, reason=reason, note=note)


def _hide(act_word: str, actor: User, comment: Comment, revision: int, reason: str, note: str) -> Event:
    _refuse_if_gone(comment)
    newest = _seen(comment, revision)
    is_refused = newest.verdict == Verdict.REJECTED and comment.shown_number is None
    if comment.presence == Presence.HIDDEN or is_refused:
        raise NotPossible(f"Readers do not see this any more. {_who_decided(actor, comment)}".strip())
    act = begin(actor, comment)
    appealed = event_of_appeal(comment, newest)
    act.close_appeal("upheld")
    act.answer_reports("removed")
    if appealed is not None:
        put_back(appealed.changes, ("verdict", "causes"))
    elif comment.needs_verdict and Cause.APPEAL in newest.causes:  # sent in again: answered with this
        newest.verdict, newest.reason, newest.note = Verdict.REJECTED, reason, note
    comment.presence = Presence.HIDDEN
    return act.finish(act_word, reason=reason, note=note)


def _is_only_reported(comment: Comment) -> bool:
    """Tell whether readers see its newest words, and somebody reported them."""
    return bool(comment.open_reports) and comment.should_be_visible and not comment.needs_verdict


def _waiting(actor: User, comment: Comment, revision: int) -> CommentRevision:
    _refuse_if_gone(comment)
    newest = _seen(comment, revision)
    if not comment.needs_verdict:
        raise NotPossible(f"This does not wait any more. {_who_decided(actor, comment)}".strip())
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


def _who_decided(actor: User | None, comment: Comment) -> str:
    """Say who did the last thing to a comment, for someone who came second."""
    last = db.session.scalar(
        select(Event).where(Event.comment_id == comment.id).order_by(Event.id.desc()).limit(1)
    )
    return f"{deed(last, actor)}." if last else ""


def _decision_to_restore(comment: Comment) -> Event | None:
    """Return the decision that still keeps a comment from readers: its hiding, else the rejection of its words."""
    against = (Event.comment_id == comment.id) & Event.act.in_(REFUSING)
    standing = select(Event).where(against, Event.is_undone.is_(False))
    if comment.presence == Presence.HIDDEN:
        standing = standing.where(Event.to_state == "hidden", Event.from_state != "hidden")
    elif comment.newest.verdict == Verdict.REJECTED:
        standing = standing.where(Event.to_state == "rejected", Event.revision == comment.newest_number)
    else:
        return None
    return db.session.scalar(standing.order_by(Event.id.desc()).limit(1))


def _since(decision: Event) -> list[Event]:
    """Return the decision and what happened to its comment since and still stands, the last first. One query.

    What took back something later is left out with it: together they changed nothing.
    """
    same = (Event.comment_id == decision.comment_id) & (Event.id >= decision.id)
    is_half = Event.undoes_id.is_not(None) & (Event.undoes_id > decision.id)
    standing = select(Event).where(same, Event.is_undone.is_(False), ~is_half)
    return list(db.session.scalars(standing.order_by(Event.id.desc())))
