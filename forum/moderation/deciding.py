"""How a decision that came with a form is taken and answered: with a page, with JSON, or with the form again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import abort, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.closing import closing_of
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict, state_word
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.discussion.posting import lock_discussion
from forum.discussion.reasons import offered
from forum.discussion.rights import Act, is_staff, may_read_newest, may_see, rights
from forum.essays.essay import Essay
from forum.moderation import decisions
from forum.moderation.decisions import NotPossible, Stale, open_appeal
from forum.moderation.forms import DecisionForm, ReasonedForm
from forum.moderation.log import ACTS, find_event
from forum.moderation.queue import (
    how_long,
    waiting_count,
)
from forum.moderation.undo import UNDOABLE, later_events, why_not_undo
from forum.text.difference import differences
from forum.web import person, refuse, require, require_found, safe_path, wants_json

Answer = Response | str | tuple[Any, int]
Decision = Callable[[User, Comment], Event]


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
        if form is not None and not form.validate():
            if form.revision.data not in (None, comment.newest_number):
                raise Stale(comment.newest)
            return _ask_again(comment, user, _typed(verb, form), 422, " ".join(_sentences(form)))
        event = decision(user, comment)
        db.session.commit()
    except Stale as stale:
        seen = form.revision.data if form is not None else None
        return _ask_again(comment, user, _typed(verb, form), 409, _edited_words(stale), seen)
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
    lock_comment(comment, user)
    # Staff who come after the writer withdrew it are told so, by the decision.
    is_gone = comment.presence in (Presence.WITHDRAWN, Presence.ERASED)
    may = rights(user, comment.essay, comment, clock.now())
    require(act in may or (is_gone and act == Act.MODERATE and is_staff(user, comment.essay, clock.now())))
    return comment, user


def lock_comment(comment: Comment, user: User) -> None:
    lock_discussion(comment.author_id, comment.essay_id, user.id)
    db.session.refresh(comment, with_for_update={"of": Comment})
    db.session.refresh(comment.newest)


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
    words, back = decision_words(event, comment), next_path("/moderation")
    if event.act in decisions.OVER_COMMENTS and back.startswith("/moderation"):
        left = waiting_count(person())
        words += f" {left} left." if left else " Nothing is waiting."
    flash(words)
    if "reply" in request.form and comment.visible:
        return redirect(f"{comment.address}/reply", 303)
    return redirect(with_done(back, event), 303)


def decision_words(event: Event, comment: Comment) -> str:
    """Return what somebody just did, as a sentence for themselves."""
    about = f"{comment.author.name}’s comment"
    match event.act:
        case "approve" | "overturn":
            return f"Posted {about}."
        case "reject":
            return f"Rejected {about}."
        case "uphold":
            return f"Upheld the decision about {about}."
        case "hide":
            return f"Hid {about}."
        case "spam":
            return f"Removed {about} as spam."
        case "restore":
            return f"Restored {about}. {_state_words(comment)}"
        case "pin" | "unpin":
            return f"{ACTS[event.act]} {about}."
        case "feature":
            return f"Marked {about} as the author’s pick."
        case _:
            return f"Took the author’s pick from {about}."


def undone_words(comment: Comment | None, essay: Essay) -> str:
    if comment is not None:
        return f"Undone. {comment.author.name}’s comment is as it was. {_state_words(comment)}"
    state = "open" if closing_of(essay, clock.now()) is None else "closed"
    return f"Undone. The discussion of {essay.title} is {state} again."


def _state_words(comment: Comment) -> str:
    if comment.visible:
        return "Readers see it."
    if comment.presence == Presence.LIVE and comment.newest.verdict == Verdict.HELD:
        return "It waits for a decision."
    return "Readers do not see it."


def _edited_words(stale: Stale) -> str:
    waited = how_long(clock.now() - stale.newest.created_at)
    return f"Its writer edited it {waited} ago. Look again: these are the words now."


def _ask_again(
    comment: Comment, user: User, typed: Typed, status: int, sentence: str, seen: int | None = None
) -> Answer:
    """Answer with the comment as it stands, what changed since, and the same decisions to take."""
    newest, essay, now = comment.newest, comment.essay, clock.now()
    may_read = may_read_newest(user, essay, comment, now)  # what its writer withdrew is nobody's to read
    if wants_json():
        html = newest.html if may_read else ""
        return jsonify(error=sentence, revision=newest.number, html=html), status
    old = next((one for one in _wordings(comment) if one.number == seen), None) if may_read else None
    page = render_template(
        "moderation/decision.html",
        comment=comment,
        newest=newest,
        may_read=may_read,
        essay=essay,
        acts=rights(user, essay, comment, now),
        appeal=open_appeal(comment),
        changes=differences(old.source, newest.source) if old else [],
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


def last_decision(user: User) -> tuple[int, str] | None:
    """Return the decision that `?done=` names, with its sentence, if this person took it and it can be undone."""
    event_id = row_number(request.args.get("done"))
    event = find_event(user, event_id) if event_id else None
    if event is None or event.actor_id != user.id or why_not_undo(event, later_events([event])):
        return None
    if event.comment is None:
        return event.id, f"{ACTS[event.act]}."
    return event.id, decision_words(event, event.comment)


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


def as_result(event: Event, comment: Comment | None) -> dict[str, Any]:
    result = {"event": event.id, "act": event.act, "state": event.to_state}
    if comment is not None:
        result |= {"comment": comment.id, "revision": comment.newest_number, "visible": comment.visible}
    return result
