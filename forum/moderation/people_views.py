"""The pages about one person for whoever has a desk: their history, the acts on them, a ban; and their own warning."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.event import Event
from forum.discussion.refusals import reason_in_force
from forum.moderation.deciding import next_path, with_done
from forum.moderation.people import (
    MINUTE,
    ban,
    ban_to_lift,
    comments_a_ban_would_hide,
    hidden_by,
    hold,
    lift_ban,
    lift_suspension,
    may_lift,
    release,
    suspend,
    warn,
    write_note,
)
from forum.moderation.people_forms import BanForm, ConfirmForm, NoteForm, ReasonForm, SuspendForm, WarnForm
from forum.moderation.person import MOST_NOTES, history_of
from forum.moderation.queue import CAUSES, may_use_desk, overview, waiting_count
from forum.moderation.said import in_words
from forum.moderation.standing import AUTHORS_MAY, NotDone, may_note, why_not
from forum.moderation.warning import acknowledge, warning_mark
from forum.web import (
    page_number,
    pages_of,
    person,
    refuse,
    require,
    require_found,
    safe_path,
    wants_json,
)

Answer = Response | str | tuple[Any, int]
Deed = Callable[[User, User], tuple[Event | None, str]]
"""Does something to the second person; returns its event and what to say about it."""

blueprint = Blueprint("people", __name__)


@blueprint.get("/moderation/people/<int:user_id>")
def show(user_id: int) -> Answer:
    """Show one person: facts, numbers, what they wrote, what was done, and what may be done now."""
    return _page(*_pair(user_id))


@blueprint.post("/moderation/people/<int:user_id>/warn")
def warn_person(user_id: int) -> Answer:
    """Warn a person, who has to confirm it before they write again."""
    form = WarnForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        return warn(actor, user, form.why), f"{user.name} is warned, and writes again once they confirmed it."

    return _act(user_id, "warn", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/hold")
def hold_person(user_id: int) -> Answer:
    """Let a person's new comments wait for a moderator."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        said = f"New comments of {user.name} wait for a moderator from now on."
        return hold(actor, user, form.why), said

    return _act(user_id, "hold", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/release")
def release_person(user_id: int) -> Answer:
    """Let a held person's comments appear as everyone's do."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        return release(actor, user, form.why), f"Comments of {user.name} are treated like everyone’s again."

    return _act(user_id, "release", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/suspend")
def suspend_person(user_id: int) -> Answer:
    """Keep a person from writing for some days or until a date."""
    form = SuspendForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        until = form.ends_at()
        event = suspend(actor, user, until, form.why)
        return event, f"{user.name} is suspended until {until.strftime(MINUTE)}."

    return _act(user_id, "suspend", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/unsuspend")
def unsuspend_person(user_id: int) -> Answer:
    """Let a suspended person write again."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        return lift_suspension(actor, user, form.why), f"The suspension of {user.name} is lifted."

    return _act(user_id, "unsuspend", form, deed)


@blueprint.get("/moderation/people/<int:user_id>/ban")
def show_ban(user_id: int) -> Answer:
    """Show exactly what a ban would hide, or what lifting one would bring back."""
    actor, user = _pair(user_id)
    _refuse_unless("ban", actor, user)
    return _ban_page(actor, user)


@blueprint.post("/moderation/people/<int:user_id>/ban")
def ban_person(user_id: int) -> Answer:
    """Ban a person, and hide their comments if asked to."""
    form = BanForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        event = ban(actor, user, form.why, hide_comments=form.hide_comments.data, until=form.end)
        until = f" until {form.end.strftime(MINUTE)}" if form.end else ""
        hidden = f" {_comments(event.parts)} hidden." if form.hide_comments.data else ""
        return event, f"{user.name} is banned{until}.{hidden}"

    return _act(user_id, "ban", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/unban")
def unban_person(user_id: int) -> Answer:
    """Lift a ban and bring back what it hid."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> tuple[Event, str]:
        event = lift_ban(actor, user, form.why)
        back = f" {_comments(event.parts)} back." if event.parts else ""
        return event, f"The ban of {user.name} is lifted.{back}"

    return _act(user_id, "unban", form, deed)


@blueprint.post("/moderation/people/<int:user_id>/notes")
def note(user_id: int) -> Answer:
    """Keep a note about a person."""
    require(may_note(*_pair(user_id)))
    form = NoteForm()

    def deed(actor: User, user: User) -> tuple[None, str]:
        write_note(actor, user, form.words)
        return None, "The note is kept."

    return _act(user_id, "notes", form, deed)


@blueprint.get("/account/warning")
def warning() -> Answer:
    """Show a warned person what they were warned of, with the button that confirms it."""
    user = person()
    require(user is not None)
    return _warning_page(user, request.args.get("next"))


@blueprint.post("/account/warning")
def confirm_warning() -> Answer:
    """Let a person write again who confirms that they read the warning."""
    user = person()
    require(user is not None)
    form = ConfirmForm()
    if user.warning and acknowledge(user, form.seen.data or "") is None:
        db.session.rollback()
        return _warning_page(user, form.next.data), 409
    db.session.commit()
    flash("Thank you. You can write again." if user.is_in_standing(clock.now()) else "Thank you.", "ok")
    return redirect(safe_path(form.next.data, "/account"), 303)


def _pair(user_id: int) -> tuple[User, User]:
    """Return who asks and whom it is about: whoever has no desk is not told who exists."""
    actor = person()
    require(may_use_desk(actor, clock.now()))
    user: User = require_found(db.session.get(User, user_id))
    return actor, user


def _refuse_unless(act: str, actor: User, user: User) -> None:
    sentence = why_not(act, actor, user, clock.now()) if act in AUTHORS_MAY else None
    if sentence:
        refuse(403, sentence)


def _act(user_id: int, act: str, form: ReasonForm, deed: Deed) -> Answer:
    """Do one act on a person and go back; what was typed stays on the page when it cannot be done."""
    actor, user = _pair(user_id)
    _refuse_unless(act, actor, user)
    if not form.validate():
        return _ask_again(actor, user, act, form)
    try:
        event, said = deed(actor, user)
    except NotDone as refused:
        db.session.rollback()
        return _ask_again(*_pair(user_id), act, form, [str(refused)])
    db.session.commit()
    if wants_json():
        return jsonify(_as_json(actor, user, event, said))
    flash(said, "ok")
    back = next_path(_address(user))
    return redirect(with_done(back, event) if event else back, 303)


def _ask_again(
    actor: User, user: User, act: str, form: ReasonForm, problems: list[str] | None = None
) -> Answer:
    if wants_json():
        wrong = [str(words) for errors in form.errors.values() for words in errors]
        return jsonify(error=" ".join([*(problems or []), *wrong])), 422
    show_again = _ban_page if act in ("ban", "unban") else _page
    return show_again(actor, user, act, form, problems or []), 422


def _as_json(actor: User, user: User, event: Event | None, said: str) -> dict[str, Any]:
    result = {"person": user.id, "sentence": said, "left": waiting_count(actor)}
    if event is None:
        return result
    result |= {"event": event.id, "act": event.act, "may_undo": True}
    return result | ({"hidden": event.parts} if event.act == "ban" else {})


def _page(
    actor: User,
    user: User,
    act: str = "",
    failed: ReasonForm | None = None,
    problems: list[str] | None = None,
) -> str:
    now = clock.now()
    number = page_number()
    history = history_of(user, actor, number, now)
    if number > 1 and not history.said.rows:
        abort(404)
    numbers = overview(actor)
    return render_template(
        "moderation/person.html",
        user=user,
        actor=actor,
        now=now,
        history=history,
        why_not={key: why_not(key, actor, user, now) for key in AUTHORS_MAY},
        may_note=may_note(actor, user),
        most_notes=MOST_NOTES,
        reason=reason_in_force(user, now),
        open_ban=ban_to_lift(user),
        forms_of=_forms(act, failed),
        failed=failed,
        act=act,
        problems=problems or [],
        page_address=pages_of(_address(user)),
        numbers=numbers,
        causes=CAUSES,
        waiting_count=numbers.total,
    )


def _forms(act: str, failed: ReasonForm | None) -> dict[str, ReasonForm]:
    """Return the form of each act, empty but for the one that failed."""
    forms: dict[str, ReasonForm] = {
        "warn": WarnForm(formdata=None),
        "hold": ReasonForm(formdata=None),
        "release": ReasonForm(formdata=None),
        "suspend": SuspendForm(formdata=None),
        "unsuspend": ReasonForm(formdata=None),
        "notes": NoteForm(formdata=None),
    }
    if failed is not None:
        forms[act] = failed
    for key, form in forms.items():
        form.named(key)
    return forms


def _ban_page(
    actor: User,
    user: User,
    act: str = "",
    failed: ReasonForm | None = None,
    problems: list[str] | None = None,
) -> str:
    now, to_lift = clock.now(), ban_to_lift(user)
    is_banned = user.is_banned(now)
    forms = {"ban": BanForm(formdata=None), "unban": ReasonForm(formdata=None)}
    if failed is not None:
        forms[act] = failed
    for key, form in forms.items():
        form.named(key)
    hidden = [comment for comment, _ in hidden_by(to_lift)] if to_lift else []
    numbers = overview(actor)
    return render_template(
        "moderation/person_ban.html",
        user=user,
        actor=actor,
        is_banned=is_banned,
        ban=to_lift,
        banned_by=db.session.get(User, to_lift.actor_id) if to_lift and to_lift.actor_id else None,
        reason=to_lift.reason if to_lift else reason_in_force(user, now),
        may_lift=may_lift(actor, to_lift),
        comes_back=in_words(hidden, actor),
        would_hide=[] if is_banned else in_words(comments_a_ban_would_hide(user), actor),
        forms_of=forms,
        failed=failed,
        problems=problems or [],
        numbers=numbers,
        causes=CAUSES,
        waiting_count=numbers.total,
    )


def _warning_page(user: User, back: str | None) -> str:
    mark = warning_mark(user)
    return render_template("moderation/warning.html", user=user, mark=mark, next=safe_path(back, "/account"))


def _address(user: User) -> str:
    return f"/moderation/people/{user.id}"


def _comments(count: int) -> str:
    return "1 comment is" if count == 1 else f"{count} comments are"
