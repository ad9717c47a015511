"""The pages about subscriptions: the tiers' words, periods of one person, of many chosen ones, and from a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request
from sqlalchemy import Select, func, select

from forum import clock
from forum.accounts.user import User
from forum.admin.batch import (
    MOST_AT_ONCE,
    Foreseen,
    OutOfDate,
    carry_out,
    change_period,
    in_words,
    plan,
)
from forum.admin.finding import STATES, ids_found, question_from
from forum.admin.forms import PeriodAct, PeriodFileForm, PeriodForm, TierForm
from forum.admin.period_file import COLUMNS, LARGEST_KIB, BadFile, PeriodFile, decoded, read_periods
from forum.admin.views import Answer, act_on, acting_admin, period_form
from forum.database import db
from forum.moderation.standing import NotDone, lock_people
from forum.site import audit
from forum.subscriptions.periods import Deed, PeriodRefused
from forum.subscriptions.subscription import State, has_subscription_state
from forum.subscriptions.tier import change_tier, state_names, tiers
from forum.web import large_body

UPLOAD_KIB = 4 * LARGEST_KIB
"""Room for the file's text in the form that applies it, however much its letters grow on the way."""

VERBS = {PeriodAct.GRANT: "Grant to", PeriodAct.EXTEND: "Extend for", PeriodAct.END: "End for"}
DONE = {PeriodAct.GRANT: "granted to", PeriodAct.EXTEND: "extended for", PeriodAct.END: "ended for"}
CHANGED_MEANWHILE = (
    "Something changed since you looked. This is how it is now; look again, then press the button."
)
BATCH = "/admin/users/subscriptions"

blueprint = Blueprint("admin_subscriptions", __name__)


@blueprint.get("/admin/tiers")
def show_tiers() -> Answer:
    """Show the words of every tier."""
    acting_admin()
    return _tiers_page()


@blueprint.post("/admin/tiers/<tier>")
def save_tier(tier: str) -> Answer:
    """Store the words of one tier."""
    actor, form = acting_admin(), TierForm()
    if tier not in {state.value for state in tiers()}:
        abort(404)
    state = State(tier)
    if not form.validate():
        return _tiers_page(state, form), 422
    lock_people(actor)  # one admin after the other: what is compared below stays so until the commit
    acting_admin()
    old, new = asdict(tiers()[state]), form.words()
    changed = {name: f"{old[name]} → {value}" for name, value in asdict(new).items() if value != old[name]}
    if changed:
        change_tier(state, new)
        audit.record(actor.id, "tier", f"tier:{tier}", form.why, **changed)
    db.session.commit()
    flash(f"{new.name} is saved." if changed else "Nothing was different, so nothing was changed.", "ok")
    return redirect(f"/admin/tiers#{tier}", 303)


@blueprint.post("/admin/users/<int:user_id>/subscription")
def change_one(user_id: int) -> Answer:
    """Grant, extend or end one person's period."""
    form = period_form(state_names())
    asked = form.act.data if form.act.data in set(PeriodAct) else ""

    def deed(actor: User, user: User) -> str:
        act = PeriodAct(form.act.data)
        try:
            change_period(actor, user, act.value, form.deed(), form.why)
        except PeriodRefused as refused:
            raise NotDone(str(refused)) from refused
        return f"The subscription of {user.name} is {DONE[act].split()[0]}."

    return act_on(user_id, asked, form, deed)


@blueprint.get(BATCH)
def choose() -> Answer:
    """Ask what to do to the periods of the people who were chosen in the list, or of everybody it found."""
    acting_admin()
    ids, form = _ids_chosen(), period_form(state_names(), empty=True)
    if len(ids) > MOST_AT_ONCE:
        return _choice_page(form, [], problems=[_too_many()]), 422
    return _choice_page(form, ids)


@blueprint.post(BATCH)
@large_body(UPLOAD_KIB)
def change_many() -> Answer:
    """Show what would happen to each of the chosen people; `seen` in the form says that this was seen, and does it."""
    actor, form = acting_admin(), period_form(state_names())
    ids = _numbers(request.form.get("people", "").split())
    if len(ids) > MOST_AT_ONCE:
        return _choice_page(form, [], problems=[_too_many()]), 422
    if not form.validate():
        return _choice_page(form, ids), 422
    act, deed = PeriodAct(form.act.data), form.deed()
    deeds = dict.fromkeys(_existing(ids), deed)
    sent = {name: request.form.get(name, "") for name in ("act", "kind", "until", "days", "reason")}
    sent["people"] = " ".join(map(str, deeds))

    def review(status: int = 200, problems: Sequence[str] = ()) -> Answer:
        made = plan(deeds)
        lines = list(in_words(made).values())
        return _review_page(
            BATCH, lines, act, made.count, sent | {"seen": made.fingerprint}, status, problems
        )

    return _do_what_was_seen(actor, act, deeds, form.why, review, back="/admin/users")


@blueprint.get("/admin/subscriptions")
def subscriptions() -> Answer:
    """Show how many people have which subscription, and the form that takes a file."""
    acting_admin()
    return _file_page(PeriodFileForm(formdata=None))


@blueprint.post("/admin/subscriptions")
@large_body(UPLOAD_KIB)
def change_from_file() -> Answer:
    """Show what each line of a file would do; `seen` in the form says that this was seen, and does it."""
    actor, form = acting_admin(), PeriodFileForm()
    fine = form.validate()
    db.session.commit()  # nobody should wait while thousands of lines are read
    try:
        text = form.text.data or _text_of(form)
        file = read_periods(text)
    except BadFile as refused:
        form.file.errors = [str(refused)]
        return _file_page(form), 422
    if not fine:
        return _file_page(form), 422
    deeds, act = file.deeds(), PeriodAct.GRANT
    sent = {"text": text, "reason": form.why}

    def review(status: int = 200, problems: Sequence[str] = ()) -> Answer:
        made = plan(deeds)
        lines = _lines_of(file, in_words(made))
        hidden = sent | {"seen": made.fingerprint}
        return _review_page(
            "/admin/subscriptions", lines, act, made.count, hidden, status, problems, unused=file.unused
        )

    return _do_what_was_seen(actor, act, deeds, form.why, review, back="/admin/subscriptions")


def _do_what_was_seen(
    actor: User,
    act: PeriodAct,
    deeds: Mapping[int, Deed],
    why: str,
    review: Callable[..., Answer],
    *,
    back: str,
) -> Answer:
    """Carry deeds out if the form says that their review was seen and is still true; otherwise show it."""
    if "seen" not in request.form:
        return review()
    try:
        count = carry_out(actor, act.value, deeds, request.form["seen"], why)
    except OutOfDate:
        db.session.rollback()
        return review(409, [CHANGED_MEANWHILE])
    db.session.commit()
    flash(f"Subscriptions {DONE[act]} {_people(count)}.", "ok")
    return redirect(back, 303)


def _tiers_page(failed: State | None = None, form: TierForm | None = None) -> str:
    forms = {}
    for state, words in tiers().items():
        shown = form if form is not None and state == failed else TierForm(formdata=None, data=asdict(words))
        forms[state] = shown.named(state.value)
    return render_template("admin/tiers.html", forms_of=forms, failed=form)


def _choice_page(form: PeriodForm, ids: Sequence[int], problems: Sequence[str] = ()) -> str:
    found = select(User).where(User.id.in_(ids)).order_by(User.name)
    people = db.session.scalars(found).all()
    return render_template(
        "admin/subscriptions-choose.html", form=form, people=people, problems=problems, address=BATCH
    )


def _review_page(
    address: str,
    lines: Sequence[Foreseen],
    act: PeriodAct,
    count: int,
    hidden: Mapping[str, str],
    status: int = 200,
    problems: Sequence[str] = (),
    unused: Sequence[str] = (),
) -> Answer:
    page = render_template(
        "admin/subscriptions-review.html",
        address=address,
        lines=lines,
        count=count,
        button=f"{VERBS[act]} {_people(count)}",
        hidden=hidden,
        problems=problems,
        unused=unused,
    )
    return page, status


def _file_page(form: PeriodFileForm) -> str:
    now, names = clock.now(), state_names()
    counts = [(state.value, names[state], db.session.scalar(_count_of(state, now)) or 0) for state in STATES]
    return render_template(
        "admin/subscriptions.html",
        form=form,
        counts=counts,
        columns=COLUMNS,
        largest=LARGEST_KIB,
        most=MOST_AT_ONCE,
    )


def _count_of(state: State, now: datetime) -> Select[int]:
    return select(func.count(User.id)).where(has_subscription_state(state, now))


def _text_of(form: PeriodFileForm) -> str:
    if not form.file.data:
        raise BadFile("Choose a file.")
    return decoded(form.file.data.read())


def _lines_of(file: PeriodFile, foreseen: Mapping[int, Foreseen]) -> list[Foreseen]:
    """Return every line of a file in its order: what follows from it, or what is wrong with it."""
    return [
        Foreseen(number=line.number, address=line.address, why_not=line.wrong)
        if line.user_id is None
        else replace(foreseen[line.user_id], number=line.number, address=line.address)
        for line in file.lines
    ]


def _ids_chosen() -> list[int]:
    if "all" in request.args:
        return ids_found(question_from(request.args), MOST_AT_ONCE + 1, clock.now())
    return _numbers(request.args.getlist("who"))


def _numbers(words: Sequence[str]) -> list[int]:
    """Return the numbers of rows among some words, each once; whatever is none is nobody."""
    return list(
        dict.fromkeys(int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 19)
    )


def _existing(ids: Sequence[int]) -> Sequence[int]:
    return db.session.scalars(select(User.id).where(User.id.in_(ids)).order_by(User.id)).all()


def _too_many() -> str:
    return f"That is more than {MOST_AT_ONCE:,} people. Narrow the search, or use a file for each part."


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
