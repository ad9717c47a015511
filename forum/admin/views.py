"""The pages about people: the list, and one person's account with what may be done to it."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias, TypeVar

from flask import Blueprint, abort, flash, redirect, render_template, request
from sqlalchemy import select
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
    PeriodAct,
    PeriodForm,
    RoleForm,
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
)
from forum.database import db
from forum.discussion.refusals import reason_in_force
from forum.moderation.people_forms import NoteForm, ReasonForm
from forum.moderation.said import last_comments
from forum.moderation.standing import NotDone, may_manage
from forum.outbox.suppression import Suppression
from forum.subscriptions.subscription import Kind, State, Subscription
from forum.subscriptions.tier import state_names
from forum.web import page_number, person, require, require_found

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


@blueprint.post("/admin/users/<int:user_id>/name")
def name(user_id: int) -> Answer:
    """Give a person another name."""
    form = NameForm()

    def deed(actor: User, user: User) -> str:
        old = user.name
        change_name(actor, user, form.wanted, form.why)
        return f"{old} is now called {user.name}."

    return act_on(user_id, "name", form, deed)


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


def acting_admin() -> User:
    """Return the admin who asks, or stop with 403; strangers sign in first."""
    actor: User | None = person()
    require(may_manage(actor, clock.now()))
    assert actor is not None  # noqa: S101  # for the type checker: require() has stopped strangers
    return actor


def act_on(user_id: int, act: str, form: ReasonForm, deed: Deed) -> Answer:
    """Do one act on a person and go back to their page; what was typed stays there when it cannot be done."""
    actor, user = acting_admin(), _found(user_id)
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
    forms["sessions"] = ReasonForm(formdata=None)
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
        reason=reason_in_force(user, now),
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


def _choices(words: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, word.value.capitalize()) for word in words]
