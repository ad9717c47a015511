"""The pages of the rules: what each says, what it caught, what it would have done, and changing them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, abort, flash, redirect, render_template, request
from sqlalchemy import func, select
from sqlalchemy.orm import aliased
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.rules import (
    KINDS,
    WHAT_WAITS,
    WHO_PASSES,
    WHO_WRITES,
    Rule,
    change_rules,
    rules_in_force,
)
from forum.moderation.queue import CAUSES, may_use_desk, overview
from forum.moderation.rules_form import RulesForm, as_typed, field_names, has_switch, tried_names
from forum.moderation.standing import lock_people
from forum.moderation.trial import (
    LAST,
    MOST,
    MOST_LISTED,
    TRIABLE,
    Deed,
    Fate,
    Sample,
    caught_lately,
    deed_of,
    try_rule,
)
from forum.site import audit
from forum.site.audit import AuditEntry
from forum.web import person, require

Answer = Response | str | tuple[Any, int]

SECTIONS = (("Who may write", WHO_WRITES), ("What waits", WHAT_WAITS), ("Who need not wait", WHO_PASSES))
"""The rules as the page shows them, in the order in which they are asked."""

LONGEST_ADDRESS = 4_000
"""What proxies let through in an address, of which the words of a trial are a part."""

TOO_LONG = "This list is too long to try before it is saved. Save it switched off, then try it."
CHANGED_MEANWHILE = "Somebody changed the rules meanwhile. Look at what you typed, then save it again."

blueprint = Blueprint("rules", __name__)


@blueprint.get("/moderation/rules")
def rules() -> Answer:
    """Show every rule in the order in which they are asked, and what each caught."""
    user = person()
    require(may_use_desk(user, clock.now()))
    in_force = rules_in_force()
    return _page(user, in_force, RulesForm({"seen": str(audit.newest("rule"))}, in_force))


@blueprint.post("/moderation/rules")
def save_rules() -> Answer:
    """Store the rules that differ from what is in force, or go on to try one of them."""
    actor = _who_changes()
    lock_people(actor)  # one after the other: what is compared below stays so until the commit
    _who_changes()
    in_force = rules_in_force()
    form = RulesForm(request.form, in_force)
    if (code := request.form.get("try")) in TRIABLE:
        return _go_on_to_try(actor, code, form, in_force)
    if not form.validate():
        return _page(actor, in_force, form, 422)
    if form.seen.data and form.seen.data != str(audit.newest("rule")):
        form.seen.data = str(audit.newest("rule"))
        return _page(actor, in_force, form, 409, [CHANGED_MEANWHILE])
    changed = [rule for code in KINDS if (rule := form.rule(code)) != in_force[code]]
    change_rules(changed)
    for rule in changed:
        old, new = _in_words(in_force[rule.kind.code]), _in_words(rule)
        audit.record(actor.id, "rule", f"rule:{rule.kind.code}", form.why, old=old, new=new)
    db.session.commit()
    flash("The rules are saved." if changed else "Nothing was different, so nothing was changed.", "ok")
    return redirect("/moderation/rules", 303)


@blueprint.get("/moderation/rules/<code>/try")
def try_out(code: str) -> Answer:
    """Show what a rule would have done, with the numbers typed; nothing is written."""
    user = person()
    if code not in TRIABLE:
        abort(404)
    require(may_use_desk(user, clock.now()))
    in_force = rules_in_force()
    form = RulesForm(request.args, in_force)
    sample = Sample.DAYS if request.args.get("of") == Sample.DAYS else Sample.LAST
    is_fit = form.is_fit(code)
    rule = form.rule(code) if is_fit else in_force[code]
    page = render_template(
        "moderation/rules-try.html",
        rule=rule,
        is_on=in_force[code].is_on,
        form=form,
        names=tried_names(rule.kind),
        typed=as_typed([Rule(rule.kind, is_on=True, values=rule.values)]),
        sample=sample,
        last=LAST,
        most=MOST,
        trial=try_rule(user, rule, sample) if is_fit else None,
        deed=deed_of(rule.kind),
        deeds=Deed,
        fates=Fate,
        most_listed=MOST_LISTED,
        may_change=_may_change(user),
        seen=audit.newest("rule"),
        **_rail(user),
    )
    return page, 200 if is_fit else 422


def _go_on_to_try(actor: User, code: str, form: RulesForm, in_force: Mapping[str, Rule]) -> Answer:
    """Lead to the trial of a rule with what was typed for it; the address carries no token."""
    if not form.is_fit(code):
        return _page(actor, in_force, form, 422)
    typed = as_typed([form.rule(code)])
    query = urlencode({name: typed[name] for name in tried_names(KINDS[code])})
    if len(query) > LONGEST_ADDRESS:
        return _page(actor, in_force, form, 422, [TOO_LONG])
    return redirect(f"/moderation/rules/{code}/try?{query}", 303)


def _page(
    user: User,
    in_force: Mapping[str, Rule],
    form: RulesForm,
    status: int = 200,
    problems: list[str] | None = None,
) -> Answer:
    page = render_template(
        "moderation/rules.html",
        sections=SECTIONS,
        in_force=in_force,
        form=form,
        names=field_names,
        has_switch=has_switch,
        caught=caught_lately(user),
        triable=TRIABLE,
        changes=_latest_changes(),
        problems=problems or [],
        may_change=_may_change(user),
        **_rail(user),
    )
    return page, status


def _rail(user: User) -> dict[str, Any]:
    numbers = overview(user)
    return {"numbers": numbers, "causes": CAUSES, "waiting_count": numbers.total}


def _who_changes() -> User:
    """Return the author or admin who asks, or stop with 403; strangers sign in first."""
    user: User | None = person()
    require(user is not None and _may_change(user))
    assert user is not None  # noqa: S101  # for the type checker: require() has stopped strangers
    return user


def _may_change(user: User) -> bool:
    return user.may_write and user.is_in_standing(clock.now())


def _in_words(rule: Rule) -> str:
    """Return a rule for the audit log."""
    others = {name: rule.values[name] for name in rule.kind.others if rule.values[name]}
    details = "".join(f" {name}: {_listed(value)}." for name, value in others.items())
    return f"{'On' if rule.is_on else 'Off'}: {rule.sentence}.{details}"


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "yes" if value is True else str(value).rstrip(".")


def _latest_changes() -> dict[str, Any]:
    """Return when each rule was changed last, and by whom, by its code. One query."""
    newest = select(func.max(AuditEntry.id)).where(AuditEntry.act == "rule").group_by(AuditEntry.subject)
    who = aliased(User)
    statement = (
        select(AuditEntry.subject, AuditEntry.at, who.name)
        .outerjoin(who, who.id == AuditEntry.actor_id)
        .where(AuditEntry.id.in_(newest))
    )
    return {row.subject.partition(":")[2]: row for row in db.session.execute(statement)}
