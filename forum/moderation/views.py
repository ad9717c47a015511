"""The moderation desk: what needs a decision, the decisions, the log, and undo."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import Page, db
from forum.discussion.comment import Cause, Comment, CommentRevision, Presence, Verdict, state_word
from forum.discussion.event import Event
from forum.discussion.forms import row_number
from forum.discussion.posting import lock_discussion
from forum.discussion.report import REASONS
from forum.discussion.rights import Act, is_staff, may_read_newest, may_see, rights
from forum.essays.essay import Essay
from forum.moderation import decisions, shaping
from forum.moderation.decisions import NotPossible, Stale, open_appeal
from forum.moderation.forms import DecisionForm, LogForm, NoteForm, QueueForm, ReasonedForm, options
from forum.moderation.log import ACTS, LogFilters, entries, find_event
from forum.moderation.queue import (
    CAUSES,
    Card,
    Filters,
    essays_moderated,
    how_long,
    may_use_desk,
    newest_posted,
    overview,
    waiting,
    waiting_count,
)
from forum.moderation.undo import UNDOABLE, later_events, why_not_undo
from forum.moderation.undo import undo as undo_event
from forum.text.difference import differences
from forum.web import page_number, person, refuse, require, require_found, safe_path, wants_json

Answer = Response | str | tuple[Any, int]
Decision = Callable[[User, Comment], Event]

blueprint = Blueprint("moderation", __name__)


@blueprint.get("/moderation")
def queue() -> Answer:
    """Show what waits for this person, with everything that helps to decide."""
    user, now = person(), clock.now()
    require(may_use_desk(user, now))
    form = QueueForm(request.args, essays_moderated(user))
    form.cause.choices = options({"": "Any cause"} | CAUSES)
    cause = Cause(form.cause.data) if form.cause.data in {cause.value for cause in CAUSES} else None
    filters = Filters(cause, form.essay_id, form.q.data or "", form.order.data == "newest")
    numbers = overview(user)
    page = waiting(user, filters, page_number())
    if not page.rows and page.number > 1:
        return redirect(_address("/moderation", page=None), 303)  # the last card of the last page was decided
    if wants_json():
        return jsonify(total=page.total, page=page.number, pages=page.count, waiting=_as_json(page))
    return render_template(
        "moderation/queue.html",
        form=form,
        filters=filters,
        page=page,
        numbers=numbers,
        causes=CAUSES,
        waited=how_long(now - numbers.oldest) if numbers.oldest else "",
        essay=_chosen_essay(user, filters.essay_id),
        posted=[] if page.rows else newest_posted(user),
        undoable=_last_decision(user),
        reasons=REASONS,
        address=_address,
        page_address=lambda number: _address(page=number),
        waiting_count=numbers.total,
    )


@blueprint.get("/moderation/log")
def log() -> Answer:
    """Show what was decided, by whom, when and why."""
    user = person()
    require(may_use_desk(user, clock.now()))
    form = LogForm(request.args, essays_moderated(user))
    form.act.choices = options({"": "Everything"} | ACTS)
    act = form.act.data if form.act.data in ACTS else None
    comment_id = row_number(request.args.get("comment")) or None
    filters = LogFilters(act, comment_id, form.essay_id, form.q.data or "")
    page = entries(user, filters, page_number())
    if wants_json():
        return jsonify(
            total=page.total,
            page=page.number,
            pages=page.count,
            events=[
                {
                    "id": entry.id,
                    "at": entry.at.isoformat(),
                    "who": entry.who,
                    "act": entry.act,
                    "comment": entry.comment_id,
                    "essay": entry.essay.slug,
                    "reason": entry.reason,
                    "note": entry.note,
                    "may_undo": entry.why_not is None,
                }
                for entry in page.rows
            ],
        )
    numbers = overview(user)
    return render_template(
        "moderation/log.html",
        form=form,
        is_narrowed=filters != LogFilters(),
        page=page,
        numbers=numbers,
        causes=CAUSES,
        address=_address,
        page_address=lambda number: _address(page=number),
        waiting_count=numbers.total,
    )


@blueprint.post("/moderation/comments/<int:comment_id>/approve")
def approve(comment_id: int) -> Answer:
    """Post a waiting comment, and go on to answer it if asked to."""
    form = DecisionForm()
    return _decide(comment_id, "approve", form, lambda user, it: decisions.approve(user, it, _seen(form)))


@blueprint.post("/moderation/comments/<int:comment_id>/reject")
def reject(comment_id: int) -> Answer:
    """Refuse a waiting comment."""
    form = ReasonedForm()
    return _decide(
        comment_id, "reject", form, lambda user, it: decisions.reject(user, it, _seen(form), *_why(form))
    )


@blueprint.post("/moderation/comments/<int:comment_id>/hide")
def hide(comment_id: int) -> Answer:
    """Take a comment out of readers' sight."""
    form = ReasonedForm()
    return _decide(
        comment_id, "hide", form, lambda user, it: decisions.hide(user, it, _seen(form), *_why(form))
    )


@blueprint.post("/moderation/comments/<int:comment_id>/spam")
def spam(comment_id: int) -> Answer:
    """Remove a comment as spam."""
    form = DecisionForm()
    return _decide(comment_id, "spam", form, lambda user, it: decisions.mark_spam(user, it, _seen(form)))


@blueprint.post("/moderation/comments/<int:comment_id>/restore")
def restore(comment_id: int) -> Answer:
    """Bring a hidden or rejected comment back."""
    return _decide(comment_id, "restore", None, decisions.restore)


@blueprint.post("/moderation/comments/<int:comment_id>/pin")
def pin(comment_id: int) -> Answer:
    """Pin a thread, or unpin it."""
    return _decide(comment_id, "pin", None, shaping.pin, Act.PIN)


@blueprint.post("/moderation/comments/<int:comment_id>/feature")
def feature(comment_id: int) -> Answer:
    """Make a comment the author's pick, or not any more."""
    return _decide(comment_id, "feature", None, shaping.feature, Act.FEATURE)


@blueprint.post("/moderation/undo/<int:event_id>")
def undo(event_id: int) -> Answer:
    """Take one decision back."""
    user = person()
    require(user is not None)
    event: Event = require_found(find_event(user, event_id))
    comment = event.comment
    if comment is None:
        essay = db.session.get_one(Essay, event.essay_id)
        lock_discussion(user.id, essay.id)
    else:
        essay = comment.essay
        _lock(comment, user)
    require(is_staff(user, essay, clock.now()))
    try:
        made = undo_event(user, event)
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    if wants_json():
        return jsonify(_result(made, comment))
    flash(_undone_words(comment, essay))
    back = _next("/moderation/log")
    if comment is not None and urlsplit(back).path == "/moderation":
        back = f"{back.partition('#')[0]}#card-{comment.id}"
    return redirect(back, 303)


@blueprint.post("/moderation/essays/<int:essay_id>/close")
def close(essay_id: int) -> Answer:
    """Close an essay's discussion, with a note that is shown in place of the form."""
    form = NoteForm()
    essay, user = _fetch_essay(essay_id)
    if not form.validate():
        if wants_json():
            return jsonify(error=" ".join(form.note.errors)), 422
        return render_template("moderation/close.html", form=form, essay=essay), 422
    return _change_discussion(essay, lambda: shaping.close_discussion(user, essay, form.note.data or ""))


@blueprint.post("/moderation/essays/<int:essay_id>/reopen")
def reopen(essay_id: int) -> Answer:
    """Open an essay's discussion again."""
    essay, user = _fetch_essay(essay_id)
    return _change_discussion(essay, lambda: shaping.reopen_discussion(user, essay))


@blueprint.app_context_processor
def count_what_waits() -> dict[str, Any]:
    """Give every page the number that stands beside “Moderation”; only a page that shows it to staff asks for it."""
    return {"waiting_count": WaitingCount()}


@dataclass
class WaitingCount:
    """How much waits for whoever looks at the page, counted when it is first printed."""

    number: int | None = None

    def __int__(self) -> int:
        if self.number is None:
            user = person()
            self.number = waiting_count(user) if may_use_desk(user, clock.now()) else 0
        return self.number

    def __bool__(self) -> bool:
        return int(self) > 0

    def __str__(self) -> str:
        return str(int(self))


@dataclass(frozen=True)
class Typed:
    """What came with a decision that could not be taken, to stand in its form again."""

    verb: str
    reason: str
    note: str
    errors: dict[str, str]


def _decide(
    comment_id: int, verb: str, form: DecisionForm | None, decision: Decision, act: Act = Act.MODERATE
) -> Answer:
    """Fetch, require, validate, decide, commit, answer: the same for every decision about a comment."""
    comment, user = _fetch(comment_id, act)
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


def _fetch(comment_id: int, act: Act) -> tuple[Comment, User]:
    """Return a comment, locked and read afresh: 404 where it does not exist for the person, 403 where they may not."""
    user = person()
    comment: Comment = require_found(db.session.get(Comment, comment_id))
    if not may_see(user, comment.essay, comment, clock.now()):
        abort(404)
    require(user is not None)
    _lock(comment, user)
    # Staff who come after the writer withdrew it are told so, by the decision.
    is_gone = comment.presence in (Presence.WITHDRAWN, Presence.ERASED)
    may = rights(user, comment.essay, comment, clock.now())
    require(act in may or (is_gone and act == Act.MODERATE and is_staff(user, comment.essay, clock.now())))
    return comment, user


def _lock(comment: Comment, user: User) -> None:
    lock_discussion(comment.author_id, comment.essay_id, user.id)
    db.session.refresh(comment, with_for_update={"of": Comment})
    db.session.refresh(comment.newest)


def _fetch_essay(essay_id: int) -> tuple[Essay, User]:
    user = person()
    essay: Essay = require_found(db.session.get(Essay, essay_id))
    if not essay.may_see(user, clock.now()):
        abort(404)
    require(user is not None)
    lock_discussion(user.id, essay.id)
    require(Act.CLOSE in rights(user, essay, None, clock.now()))
    return essay, user


def _change_discussion(essay: Essay, change: Callable[[], Event]) -> Answer:
    try:
        event = change()
        db.session.commit()
    except NotPossible as refusal:
        refuse(409, str(refusal))
    if wants_json():
        return jsonify(_result(event, None))
    flash(f"{ACTS[event.act]}.")
    return redirect(_with_done(_next(f"/moderation?essay={essay.id}"), event), 303)


def _done(comment: Comment, event: Event) -> Answer:
    if wants_json():
        return jsonify(_result(event, comment))
    words, back = decision_words(event, comment), _next("/moderation")
    if event.act in decisions.OVER_COMMENTS and back.startswith("/moderation"):
        left = waiting_count(person())
        words += f" {left} left." if left else " Nothing is waiting."
    flash(words)
    if "reply" in request.form and comment.visible:
        return redirect(f"{comment.address}/reply", 303)
    return redirect(_with_done(back, event), 303)


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


def _undone_words(comment: Comment | None, essay: Essay) -> str:
    if comment is not None:
        return f"Undone. {comment.author.name}’s comment is as it was. {_state_words(comment)}"
    state = "open" if essay.discussion_closed_at is None else "closed"
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
        reasons=REASONS,
        back=_next(""),
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


def _seen(form: DecisionForm) -> int:
    return form.revision.data or 0


def _why(form: ReasonedForm) -> tuple[str, str]:
    return form.reason.data or "", form.note.data or ""


def _chosen_essay(user: User, essay_id: int | None) -> Essay | None:
    """Return the essay that the queue is narrowed to, where its discussion may be closed."""
    essay = db.session.get(Essay, essay_id) if essay_id is not None else None
    return essay if essay and Act.CLOSE in rights(user, essay, None, clock.now()) else None


def _last_decision(user: User) -> tuple[int, str] | None:
    """Return the decision that `?done=` names, with its sentence, if this person took it and it can be undone."""
    event_id = row_number(request.args.get("done"))
    event = find_event(user, event_id) if event_id else None
    if event is None or event.actor_id != user.id or why_not_undo(event, later_events([event])):
        return None
    if event.comment is None:
        return event.id, f"{ACTS[event.act]}."
    return event.id, decision_words(event, event.comment)


def _address(path: str | None = None, **changes: Any) -> str:
    """Return the address of this page with some of its arguments changed; None leaves one out."""
    given = {name: value for name, value in request.args.items() if name != "done"}
    values = {name: value for name, value in (given | changes).items() if value not in (None, "")}
    return (path or request.path) + (f"?{urlencode(values)}" if values else "")


def _next(otherwise: str) -> str:
    return safe_path(request.form.get("next"), otherwise)


def _with_done(path: str, event: Event) -> str:
    """Return a path that remembers the decision, so that the page it leads to offers to undo it."""
    parts = urlsplit(path)
    if event.act not in UNDOABLE or not parts.path.startswith(("/moderation", "/comments/")):
        return path
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "done"]
    return parts._replace(query=urlencode([*query, ("done", event.id)])).geturl()


def _result(event: Event, comment: Comment | None) -> dict[str, Any]:
    result = {"event": event.id, "act": event.act, "state": event.to_state}
    if comment is not None:
        result |= {"comment": comment.id, "revision": comment.newest_number, "visible": comment.visible}
    return result


def _as_json(page: Page[Card]) -> list[dict[str, Any]]:
    return [
        {
            "id": card.comment.id,
            "url": card.comment.address,
            "essay": card.essay.slug,
            "writer": card.reader.user.name,
            "revision": card.newest.number,
            "causes": sorted(card.newest.causes),
            "since": card.since.isoformat(),
            "html": card.newest.html,
        }
        for card in page.rows
    ]
