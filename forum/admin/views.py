"""The pages about people: the list, one person and what may be done to them, and the ban, also for authors."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias, TypeVar

from flask import Blueprint, abort, flash, redirect, render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older

from forum import clock
from forum.accounts.session import Session
from forum.accounts.user import Role, Standing, User
from forum.admin.batch import MOST_AT_ONCE
from forum.admin.finding import (
    LONGEST_QUERY,
    STATES,
    comment_counts,
    find_exactly,
    find_people,
    last_seen,
    question_from,
    subscriptions_in_words,
)
from forum.admin.forms import (
    NameForm,
    NoteForm,
    PeriodAct,
    PeriodForm,
    ReasonForm,
    RoleForm,
    SuspendForm,
)
from forum.admin.history import (
    history_of,
    notes_on,
)
from forum.admin.people import (
    change_name,
    change_role,
    end_all_sessions,
    end_one_session,
    is_only_admin,
    write_note,
)
from forum.admin.said import in_words, last_comments
from forum.database import db
from forum.discussion.comment import Comment
from forum.moderation.people import (
    NotDone,
    ban,
    ban_in_force,
    comments_a_ban_would_hide,
    comments_lifting_would_restore,
    hold,
    lift_ban,
    lift_suspension,
    may_ban,
    may_manage,
    release,
    suspend,
    why_not_ban,
    why_not_manage,
)
from forum.outbox.suppression import Suppression
from forum.subscriptions.subscription import Kind, State, Subscription
from forum.subscriptions.tier import state_names
from forum.web import page_number, person, refuse, require, require_found

Answer: TypeAlias = str | Response | tuple[str, int]
Form = TypeVar("Form", bound=ReasonForm)
Deed: TypeAlias = Callable[[User, User], str]
"""Does something to the second person and returns what to say about it."""

blueprint = Blueprint("admin", __name__)


@blueprint.get("/admin/users")
def users() -> Answer:
    """List people as the address asks; a query that names exactly one person opens their page."""
    acting_admin()
    now = clock.now()
    question = question_from(request.args)
    if (one := find_exactly(question, now)) is not None:
        return redirect(_page_of(one), 303)
    page = find_people(question, page_number(), now)
    if not page.rows and page.number > 1:
        abort(404)
    people, names = list(page.rows), state_names()
    return render_template(
        "admin/users.html",
        question=question,
        page=page,
        now=now,
        comments=comment_counts([one.id for one in people]),
        subscriptions=subscriptions_in_words(people, names, now),
        roles=_choices(Role),
        standings=_choices(Standing),
        states=[(state.value, words) for state, words in names.items() if state in STATES],
        longest=LONGEST_QUERY,
        most_at_once=MOST_AT_ONCE,
    )


@blueprint.get("/admin/users/<int:user_id>")
def user(user_id: int) -> Answer:
    """Show one person: facts, role, standing, comments, sessions, notes and history."""
    return _detail(acting_admin(), _found(user_id))


@blueprint.post("/admin/users/<int:user_id>/role")
def role(user_id: int) -> Answer:
    """Give a person another role."""
    form = RoleForm()

    def deed(actor: User, user: User) -> str:
        new = Role(form.role.data)
        change_role(actor, user, new, form.why)
        return f"The role of {user.name} is now {new.value}. They have to sign in again."

    return act_on(user_id, "role", form, deed)


@blueprint.post("/admin/users/<int:user_id>/suspend")
def suspend_user(user_id: int) -> Answer:
    """Keep a person from writing for some days or until a date."""
    form = SuspendForm()

    def deed(actor: User, user: User) -> str:
        until = form.ends_at()
        suspend(actor, user, until, form.why)
        return f"{user.name} is suspended until {until.strftime('%-d %B %Y, %H:%M UTC')}."

    return act_on(user_id, "suspend", form, deed, about_others=True)


@blueprint.post("/admin/users/<int:user_id>/unsuspend")
def unsuspend(user_id: int) -> Answer:
    """Let a suspended person write again."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> str:
        lift_suspension(actor, user, form.why)
        return f"The suspension of {user.name} is lifted."

    return act_on(user_id, "unsuspend", form, deed, about_others=True)


@blueprint.post("/admin/users/<int:user_id>/hold")
def hold_user(user_id: int) -> Answer:
    """Let a person's new comments wait for a moderator."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> str:
        hold(actor, user, form.why)
        return f"New comments of {user.name} wait for a moderator from now on."

    return act_on(user_id, "hold", form, deed, about_others=True)


@blueprint.post("/admin/users/<int:user_id>/release")
def release_user(user_id: int) -> Answer:
    """Let a held person's comments appear as everyone's do."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> str:
        release(actor, user, form.why)
        return f"Comments of {user.name} are treated like everyone’s again."

    return act_on(user_id, "release", form, deed, about_others=True)


@blueprint.post("/admin/users/<int:user_id>/name")
def name(user_id: int) -> Answer:
    """Give a person another name."""
    form = NameForm()

    def deed(actor: User, user: User) -> str:
        old = user.name
        change_name(actor, user, form.wanted, form.why)
        return f"{old} is now called {user.name}."

    return act_on(user_id, "name", form, deed)


@blueprint.post("/admin/users/<int:user_id>/notes")
def notes(user_id: int) -> Answer:
    """Keep a note about a person."""
    form = NoteForm()

    def deed(actor: User, user: User) -> str:
        write_note(actor, user, form.words)
        return "The note is kept."

    return act_on(user_id, "note", form, deed)


@blueprint.post("/admin/users/<int:user_id>/sessions/<int:session_id>/end")
def end_session(user_id: int, session_id: int) -> Answer:
    """Sign one of a person's browsers out."""
    form = ReasonForm()
    acting_admin()
    session = db.session.get(Session, session_id)
    if session is None or session.user_id != user_id:
        abort(404)

    def deed(actor: User, user: User) -> str:
        end_one_session(actor, user, session, form.why)
        return f"One browser of {user.name} is signed out."

    return act_on(user_id, "sessions", form, deed)


@blueprint.post("/admin/users/<int:user_id>/sessions/end")
def end_sessions(user_id: int) -> Answer:
    """Sign a person out everywhere."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> str:
        end_all_sessions(actor, user, form.why)
        return f"{user.name} is signed out everywhere."

    return act_on(user_id, "sessions", form, deed)


@blueprint.get("/admin/users/<int:user_id>/ban")
def ban_page(user_id: int) -> Answer:
    """Show exactly what a ban would hide, or, of a banned person, what lifting it would bring back."""
    actor, user = _ban_pair(user_id)
    return _ban_page(actor, user, ReasonForm(formdata=None))


@blueprint.post("/admin/users/<int:user_id>/ban")
def ban_user(user_id: int) -> Answer:
    """Ban a person, and hide their comments if the button said so."""
    form = ReasonForm()
    hides = request.form.get("hide_comments") == "yes"

    def deed(actor: User, user: User) -> str:
        made = ban(actor, user, form.why, hide_comments=hides)
        hidden = db.session.scalar(select(func.count(Comment.id)).where(Comment.ban_id == made.id)) or 0
        return f"{user.name} is banned." + (f" {_comments(hidden)} hidden." if hides else "")

    return _do_ban(user_id, form, deed)


@blueprint.post("/admin/users/<int:user_id>/unban")
def unban(user_id: int) -> Answer:
    """Lift a ban and bring back what it hid."""
    form = ReasonForm()

    def deed(actor: User, user: User) -> str:
        restored = lift_ban(actor, user, form.why)
        said = f"The ban of {user.name} is lifted."
        return f"{said} {_comments(restored)} back." if restored else said

    return _do_ban(user_id, form, deed)


def acting_admin() -> User:
    """Return the admin who asks, or stop with 403; strangers sign in first."""
    actor: User | None = person()
    require(may_manage(actor, clock.now()))
    assert actor is not None  # noqa: S101  # for the type checker: require() has stopped strangers
    return actor


def act_on(user_id: int, act: str, form: ReasonForm, deed: Deed, *, about_others: bool = False) -> Answer:
    """Do one act on a person and go back to their page; what was typed stays there when it cannot be done."""
    actor, user = acting_admin(), _found(user_id)
    if about_others and (sentence := why_not_manage(actor, user, clock.now())):
        refuse(403, sentence)
    if not form.validate():
        return _detail(actor, user, 422, act, form)
    try:
        said = deed(actor, user)
    except NotDone as refused:
        db.session.rollback()
        return _detail(acting_admin(), _found(user_id), 422, act, form, [str(refused)])
    db.session.commit()
    flash(said, "ok")
    return redirect(_page_of(user), 303)


def period_form(names: Mapping[State, str], *, empty: bool = False) -> PeriodForm:
    """Return the form about periods, as it was sent or empty; its kinds are called as their tiers are."""
    form = PeriodForm(formdata=None) if empty else PeriodForm()
    form.kind.choices = [SelectChoice(kind.value, names[State(kind.value)]) for kind in Kind]
    return form


def _found(user_id: int) -> User:
    found: User = require_found(db.session.get(User, user_id))
    return found


def _page_of(user: User) -> str:
    return f"/admin/users/{user.id}"


def _detail(
    actor: User,
    user: User,
    status: int = 200,
    act: str = "",
    failed: ReasonForm | None = None,
    problems: list[str] | None = None,
) -> Answer:
    now = clock.now()
    forms: dict[str, ReasonForm] = {
        "role": RoleForm(formdata=None, role=user.role.value),
        "name": NameForm(formdata=None),
        "note": NoteForm(formdata=None),
    }
    forms |= {key: ReasonForm(formdata=None) for key in ("unsuspend", "hold", "release", "sessions")}
    forms["suspend"] = SuspendForm(formdata=None)
    names = state_names()
    forms |= {act.value: period_form(names, empty=True) for act in PeriodAct}
    if failed is not None:
        forms[act] = failed
    for key, form in forms.items():
        form.named(key)
    page = render_template(
        "admin/user.html",
        user=user,
        now=now,
        forms_of=forms,
        failed=failed,
        act=act,
        problems=problems or [],
        why_not=why_not_manage(actor, user, now),
        why_not_ban=why_not_ban(actor, user, now),
        is_only_admin=is_only_admin(user),
        subscription=db.session.get(Subscription, user.id),
        subscription_words=subscriptions_in_words([user], names, now)[user.id],
        comment_count=comment_counts([user.id]).get(user.id, 0),
        last_seen=last_seen(user),
        stopped=db.session.get(Suppression, user.email),
        said=last_comments(user, actor),
        sessions=db.session.scalars(
            select(Session).where(Session.user_id == user.id).order_by(Session.last_seen_at.desc())
        ).all(),
        notes=notes_on(user),
        history=history_of(user),
    )
    return page, status


def _ban_pair(user_id: int) -> tuple[User, User]:
    """Return who asks and whom it is about, or stop: authors and admins may ban, and not everybody."""
    actor, now = person(), clock.now()
    require(may_ban(actor, now))
    user = _found(user_id)
    if sentence := why_not_ban(actor, user, now):
        refuse(403, sentence)
    return actor, user


def _do_ban(user_id: int, form: ReasonForm, deed: Deed) -> Answer:
    actor, user = _ban_pair(user_id)
    if not form.validate():
        return _ban_page(actor, user, form, 422)
    try:
        said = deed(actor, user)
    except NotDone as refused:
        db.session.rollback()
        return _ban_page(*_ban_pair(user_id), form, 422, [str(refused)])
    db.session.commit()
    flash(said, "ok")
    return redirect(_page_of(user) + ("" if actor.is_admin else "/ban"), 303)


def _ban_page(
    actor: User, user: User, form: ReasonForm, status: int = 200, problems: list[str] | None = None
) -> Answer:
    in_force = ban_in_force(user)
    if user.banned_at is None:
        comments = list(comments_a_ban_would_hide(user))
    else:
        comments = list(comments_lifting_would_restore(in_force)) if in_force else []
    page = render_template(
        "admin/ban.html",
        user=user,
        actor=actor,
        form=form,
        problems=problems or [],
        ban=in_force,
        banned_by=db.session.get(User, in_force.actor_id) if in_force and in_force.actor_id else None,
        may_lift=actor.is_admin or (in_force is not None and in_force.actor_id == actor.id),
        said=in_words(comments, actor),
    )
    return page, status


def _choices(words: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, word.value.capitalize()) for word in words]


def _comments(count: int) -> str:
    return "1 comment is" if count == 1 else f"{count} comments are"
