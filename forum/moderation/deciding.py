"""How a decision that came with a form is taken and answered: with a page, with JSON, or with the form again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import abort, flash, get_template_attribute, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.accepting import open_appeal
from forum.discussion.closing import closing_of
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict, state_word
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.discussion.posting import lock_comment, lock_discussion
from forum.discussion.reasons import offered
from forum.discussion.rights import Act, is_staff, may_read_newest, may_see, rights
from forum.essays.essay import Essay
from forum.moderation import decisions
from forum.moderation.decisions import NotPossible, Stale
from forum.moderation.forms import DecisionForm, ReasonedForm
from forum.moderation.log import ACTS
from forum.moderation.matched import marked
from forum.moderation.queue import how_long, waiting_count
from forum.moderation.undo import UNDOABLE, later_events, why_not_undo
from forum.text.difference import differences
from forum.web import person, refuse, require, require_found, safe_path, wants_json

Answer = Response | str | tuple[Any, int]
Decision = Callable[[User, Comment], Event]

SAME_SITTING = timedelta(hours=12)
"""So long the desk offers to undo what somebody did last, whenever they come back to it."""

LOOKED_BACK = 20
"""Among how many acts the last one is looked for that can be undone."""


class Undoable(NamedTuple):
    """What somebody did and may take back, as a sentence for themselves."""

    event_id: int
    sentence: str


@dataclass(frozen=True)
class Typed:
    """What came with a decision that could not be taken, to stand in its form again."""

    verb: str
    reason: str
    note: str
    errors: dict[str, str]


def decide(
    comment_id: int, verb: str, form: DecisionForm | None, decision: Decision, act: Act = Act.MODERATE
) -> Answer:
    """Fetch, require, validate, decide, commit, answer: the same for every decision about a comment."""
    comment, user = fetch_comment(comment_id, act)
    try:
        if form is not None and form.waits.data:
            decisions.refuse_if_decided(user, comment, seen(form))
        if form is not None and not form.validate():
            if form.revision.data not in (None, comment.newest_number):
                raise Stale(comment.newest)
            return _ask_again(comment, user, _typed(verb, form), 422, " ".join(_sentences(form)))
        event = decision(user, comment)
        db.session.commit()
    except Stale as stale:
        number = form.revision.data if form is not None else None
        return _ask_again(comment, user, _typed(verb, form), 409, _edited_words(comment, stale), number)
    except NotPossible as refusal:
        db.session.rollback()
        return _ask_again(comment, user, _typed(verb, None), 409, str(refusal))
    return _done(comment, event)


def fetch_comment(comment_id: int, act: Act) -> tuple[Comment, User]:
    """Return a comment, locked and read afresh: 404 where it does not exist for the person, 403 where they may not."""
    user = person()
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    if not may_see(user, comment.essay, comment, clock.now()):
        abort(404)
    require(user is not None)
    lock_comment(comment, user.id)
    db.session.refresh(comment.newest)
    # Staff who come after the writer withdrew it are told so, by the decision.
    is_gone = comment.presence in (Presence.WITHDRAWN, Presence.ERASED)
    may = rights(user, comment.essay, comment, clock.now())
    require(act in may or (is_gone and act == Act.MODERATE and is_staff(user, comment.essay, clock.now())))
    return comment, user


def fetch_essay(essay_id: int) -> tuple[Essay, User]:
    user = person()
    essay: Essay = require_found(db.session.get(Essay, essay_id))
    if not essay.may_see(user, clock.now()):
        abort(404)
    require(user is not None)
    lock_discussion(user.id, essay.id)
    require(Act.CLOSE in rights(user, essay, None, clock.now()))
    return essay, user


def change_discussion(essay: Essay, change: Callable[[], Event]) -> Answer:
    try:
        event = change()
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    if wants_json():
        return jsonify(as_result(event, None))
    flash(f"{ACTS[event.act]}.")
    return redirect(with_done(next_path(f"/moderation?essay={essay.id}"), event), 303)


def _done(comment: Comment, event: Event) -> Answer:
    if wants_json():
        return jsonify(as_result(event, comment))
    words, back = sentence_of(event), next_path("/moderation")
    if event.act in decisions.OVER_COMMENTS and back.startswith("/moderation"):
        words += f" {left_words()}"
    flash(words)
    if "reply" in request.form and comment.visible:
        return redirect(f"{comment.address}/reply", 303)
    return redirect(with_done(back, event), 303)


def left_words() -> str:
    """Return how much waits for who asks."""
    left = waiting_count(person())
    return f"{left:,} left." if left else "Nothing is waiting."


def sentence_of(event: Event) -> str:
    """Return what somebody just did, as a sentence for themselves: to a comment, many, a person or a discussion."""
    if event.act == "undo":
        return _undone_sentence(event)
    if event.comment is not None:
        return decision_words(event, event.comment)
    if event.person is not None:
        did = "brought back" if event.act == "unban" else "removed"
        also = f" and {did} {_comments(event.parts)}" if event.parts else ""
        return f"{ON_PEOPLE.get(event.act, ACTS.get(event.act, event.act))} {event.person.name}{also}."
    if event.parts or event.act in ON_MANY:
        return ON_MANY.get(event.act, "Changed {}.").format(_comments(event.parts))
    return f"{ACTS.get(event.act, event.act)}."


ON_MANY = {
    "approve": "Posted {}.",
    "remove": "Removed {}.",
    "spam": "Removed {} as spam.",
}
ON_PEOPLE = {
    "ban": "Banned",
    "unban": "Lifted the ban on",
    "suspend": "Suspended",
    "unsuspend": "Lifted the suspension of",
    "hold": "Held the comments of",
    "release": "Released the comments of",
    "warn": "Warned",
}


def decision_words(event: Event, comment: Comment) -> str:
    """Return what somebody just did to a comment, as a sentence for themselves."""
    about = f"{comment.author.name}’s comment"
    match event.act:
        case "approve" if Cause.REPORTS in comment.newest.causes:
            return f"Kept {about}."
        case "approve" | "overturn":
            return f"Posted {about}."
        case "keep":
            return f"Kept {about}."
        case "reject" | "hide":
            return f"Removed {about}."
        case "uphold":
            return f"Upheld the decision about {about}."
        case "spam":
            return f"Removed {about} as spam."
        case "restore":
            return f"Restored {about}. {_state_words(comment)}"
        case "feature":
            return f"Marked {about} as the author’s pick."
        case "unfeature":
            return f"Took the author’s pick from {about}."
        case "close-thread" | "reopen-thread":
            return f"{'Closed' if event.act == 'close-thread' else 'Reopened'} the thread of {about}."
        case "merge":
            return f"Merged {about} with another."
        case "redact":
            return f"Blacked out words in {about}."
        case _:
            return f"{ACTS.get(event.act, event.act)} {about}."


def _undone_sentence(made: Event) -> str:
    """Return what an undo brought back, as a sentence for who did it."""
    if made.comment is not None:
        return f"Undone. {_undone_on_comment(_undone_act(made)[0], made.comment)}"
    if made.person is not None:
        return f"Undone. {made.person.name} is as before.{_undone_parts(made)}"
    essay = db.session.get(Essay, made.essay_id) if made.essay_id is not None else None
    if made.parts or essay is None:
        return f"Undone. {_comments(made.parts)} {'is' if made.parts == 1 else 'are'} as before."
    state = "open" if closing_of(essay, clock.now()) is None else "closed"
    return f"Undone. The discussion of {essay.title} is {state} again."


def _undone_act(made: Event) -> tuple[str, bool]:
    """Return the act that an undo is about in the end, and whether it is in force again."""
    event, in_force = made, True
    while event.undoes_id is not None:
        event, in_force = db.session.get_one(Event, event.undoes_id), not in_force
    return event.act, in_force


def _undone_on_comment(act: str, comment: Comment) -> str:
    name = comment.author.name
    match act:
        case "pin" | "unpin":
            return f"{name}’s comment is {'pinned again' if comment.pinned_at else 'not pinned any more'}."
        case "feature" | "unfeature":
            state = "the author’s pick again" if comment.featured_at else "not the author’s pick any more"
            return f"{name}’s comment is {state}."
        case "close-thread" | "reopen-thread":
            return f"The thread of {name}’s comment is {'closed' if comment.closed_at else 'open'} again."
        case _:
            return f"{name}’s comment is as it was. {_state_words(comment)}"


def _undone_parts(made: Event) -> str:
    """Return what became of the comments of an act on a person that was undone."""
    if not made.parts:
        return ""
    act, in_force = _undone_act(made)
    is_hidden = in_force if act == "ban" else not in_force
    removed = "is removed again" if made.parts == 1 else "are removed again"
    return f" {_comments(made.parts)} {removed if is_hidden else 'came back'}."


def _comments(count: int) -> str:
    return "1 comment" if count == 1 else f"{count:,} comments"


def _state_words(comment: Comment) -> str:
    if comment.visible:
        return "Readers see it."
    if comment.presence == Presence.LIVE and comment.newest.verdict == Verdict.HELD:
        return "It waits for a decision."
    return "Readers do not see it."


def _edited_words(comment: Comment, stale: Stale) -> str:
    waited = how_long(clock.now() - stale.newest.created_at)
    return f"{comment.author.name} edited it {waited} ago. Look again: these are the words now."


def _ask_again(
    comment: Comment, user: User, typed: Typed, status: int, sentence: str, seen: int | None = None
) -> Answer:
    """Answer with the comment as it stands, what changed since, and the same decisions to take."""
    newest, essay, now = comment.newest, comment.essay, clock.now()
    may_read = may_read_newest(user, essay, comment, now)  # what its writer withdrew is nobody's to read
    old = next((one for one in _wordings(comment) if one.number == seen), None) if may_read else None
    changes = differences(old.source, newest.source) if old else []
    if wants_json():
        result: dict[str, Any] = {"error": sentence, "state": state_word(comment, newest)}
        if seen is not None:
            changed = get_template_attribute("moderation/_card.html", "changed")
            result |= {"revision": newest.number, "html": marked(newest) if may_read else ""}
            result |= {"changes": changed(changes) if changes else ""}
        elif status == 409 and comment.waits_since is None:  # nobody can decide about it any more
            result |= {"settled": True, "gone": not may_read, "left": waiting_count(user)}
        return jsonify(result), status
    page = render_template(
        "moderation/decision.html",
        comment=comment,
        newest=newest,
        may_read=may_read,
        essay=essay,
        acts=rights(user, essay, comment, now),
        appeal=open_appeal(comment),
        changes=changes,
        sentence=sentence,
        status=status,
        typed=typed,
        state=state_word(comment, newest),
        reasons=offered(),
        back=next_path(""),
    )
    return page, status


def _wordings(comment: Comment) -> list[CommentRevision]:
    statement = db.select(CommentRevision).where(CommentRevision.comment_id == comment.id)
    return list(db.session.scalars(statement))


def _typed(verb: str, form: DecisionForm | None) -> Typed:
    if not isinstance(form, ReasonedForm):
        return Typed("", "", "", {})
    errors = {field.name: " ".join(field.errors) for field in form if field.errors}
    return Typed(verb, form.reason.data or "", form.note.data or "", errors)


def _sentences(form: DecisionForm) -> list[str]:
    return [str(words) for errors in form.errors.values() for words in errors]


def seen(form: DecisionForm) -> int:
    return form.revision.data or 0


def why(form: ReasonedForm) -> tuple[str, str]:
    return form.reason.data or "", form.note.data or ""


def last_decision(user: User) -> Undoable | None:
    """Return what a person did last and may take back: what `?done=` names, else the latest of these hours.

    What was undone is passed over, so that undoing again takes back the one before. Three queries and the sentence.
    """
    mine = (Event.actor_id == user.id) & Event.part_of_id.is_(None) & Event.is_undone.is_(False)
    acts = db.select(Event).where(mine, Event.act.in_(UNDOABLE - {"undo"})).order_by(Event.id.desc())
    named = db.session.scalar(acts.where(Event.id == (row_number(request.args.get("done")) or 0)))
    lately = db.session.scalars(acts.where(Event.at > clock.now() - SAME_SITTING).limit(LOOKED_BACK))
    candidates = [*([named] if named else []), *lately]
    later = later_events(candidates)
    found = next((event for event in candidates if why_not_undo(event, later) is None), None)
    return Undoable(found.id, sentence_of(found)) if found is not None else None


def before(user: User) -> dict[str, Any] | None:
    """Return what a person could take back after an undo, for a script."""
    last = last_decision(user)
    return {"event": last.event_id, "sentence": last.sentence} if last else None


def address(path: str | None = None, **changes: Any) -> str:
    """Return the address of this page with some of its arguments changed; None leaves one out."""
    given = {name: value for name, value in request.args.items() if name != "done"}
    values = {name: value for name, value in (given | changes).items() if value not in (None, "")}
    return (path or request.path) + (f"?{urlencode(values)}" if values else "")


def next_path(otherwise: str) -> str:
    return safe_path(request.form.get("next"), otherwise)


def with_done(path: str, event: Event) -> str:
    """Return a path that remembers the decision, so that the page it leads to offers to undo it."""
    parts = urlsplit(path)
    if event.act not in UNDOABLE or not parts.path.startswith(("/moderation", "/comments/")):
        return path
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "done"]
    return parts._replace(query=urlencode([*query, ("done", event.id)])).geturl()


def as_result(event: Event, comment: Comment | None = None) -> dict[str, Any]:
    """Return what a decision or an undo came to, for a script; one query for how much is left."""
    result: dict[str, Any] = {
        "event": event.id,
        "act": event.act,
        "state": event.to_state,
        "sentence": sentence_of(event),
        "left": waiting_count(person()),
        "may_undo": event.act in UNDOABLE,
    }
    if comment is not None:
        result |= {"comment": comment.id, "revision": comment.newest_number, "visible": comment.visible}
    return result
