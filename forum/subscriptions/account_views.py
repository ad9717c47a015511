"""The page on which a reader sees their subscription, cancels it, takes that back, or goes on without."""

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.session import signed_in_user
from forum.accounts.user import User
from forum.database import db
from forum.site import audit
from forum.subscriptions.periods import Change, PeriodRefused, cancel, go_on_as_free, resume
from forum.subscriptions.subscription import DAY, State, Subscription, subscription_state
from forum.subscriptions.tier import subscription_of, tiers

Answer = Response | str | tuple[str, int]

PAGE = "/account/subscription"

blueprint = Blueprint("subscription", __name__)


@blueprint.get(PAGE)
def subscription() -> Answer:
    """Show which tier a reader has until when, what it gives, and how to get or keep it."""
    return _page(signed_in_user())


@blueprint.get(f"{PAGE}/cancel")
def ask_to_cancel() -> Answer:
    """Say what cancelling will do, before it does."""
    user, now = signed_in_user(), clock.now()
    if subscription_state(user, now) not in (State.PAID, State.COMPLIMENTARY):
        return redirect(PAGE, 303)
    return render_template("subscriptions/cancel.html", subscription=db.session.get(Subscription, user.id))


@blueprint.post(f"{PAGE}/cancel")
def cancel_own() -> Answer:
    """Cancel the subscription: it lasts until its date and then ends; one without a date ends now."""

    def said(change: Change) -> str:
        if change.new is None or change.new.ends_at is None:
            return "Your subscription has ended. You are a free subscriber now."
        return f"Your subscription is cancelled. It lasts until {change.new.ends_at.strftime(DAY)}."

    return _do("subscription-cancel", cancel, said)


@blueprint.post(f"{PAGE}/resume")
def resume_own() -> Answer:
    """Take the cancelling back."""
    return _do("subscription-resume", resume, lambda _: "Your subscription is not cancelled any more.")


@blueprint.post(f"{PAGE}/free")
def go_free() -> Answer:
    """Go on as a free subscriber."""
    return _do("subscription-free", go_on_as_free, lambda _: "You are a free subscriber now.")


def _do(act: str, verb: Callable[[User], Change], said: Callable[[Change], str]) -> Answer:
    user = signed_in_user()
    try:
        change = verb(user)
    except PeriodRefused as refused:
        db.session.rollback()
        return _page(signed_in_user(), str(refused)), 409
    audit.record(user.id, act, f"user:{user.id}", **change.details())
    db.session.commit()
    flash(said(change), "ok")
    return redirect(PAGE, 303)


def _page(user: User, problem: str = "") -> str:
    own = subscription_of(user, clock.now())
    return render_template(
        "subscriptions/account.html",
        state=own.state,
        subscription=own.row,
        words=own.words,
        tier=State(own.row.kind.value) if own.row else State.FREE,
        tiers=tiers(),
        problem=problem,
    )
