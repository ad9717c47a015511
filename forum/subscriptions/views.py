"""The page on which an address is left to get new essays, and what becomes of the box under every essay."""

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from forum.accounts.asking import Wish, ask_to_join
from forum.accounts.forms import address_field, name_field
from forum.accounts.user import User
from forum.accounts.views import asked, limit_mails, origin_here
from forum.database import db
from forum.subscriptions.letters import Letter, Pace, choose, pace_of
from forum.subscriptions.tier import tiers
from forum.web import Form, csrf, is_from_elsewhere, person, safe_path

ALL_LETTERS = frozenset({Letter.ESSAYS.value, Letter.REPLIES.value})
ON_THE_LIST = "You are on the list."
FROM_ELSEWHERE = "This came from a page of another site. Press the button here if you want it."

Answer = Response | str | tuple[str, int]

blueprint = Blueprint("subscribe", __name__)


class SubscribeForm(Form):
    """An address, and a name or none."""

    email = address_field(is_new=True)
    name = name_field(optional=True)


@blueprint.get("/subscribe")
def show_subscribe() -> str:
    """Show what there is to subscribe to, and the form."""
    return _page(SubscribeForm(formdata=None))


@blueprint.post("/subscribe")
def subscribe() -> Answer:
    """Mail a stranger a link and a code, which make the account; send who is signed in new essays again."""
    user = person()
    if user is not None:
        csrf.protect()
        return _send_essays_again(user)
    form = SubscribeForm()
    if is_from_elsewhere():
        return _page(form, FROM_ELSEWHERE), 403
    if not form.validate():
        return _page(form), 422
    limit_mails(form.email.data)
    return asked(ask_to_join(form.email.data, Wish(ALL_LETTERS, form.name.data or ""), origin_here()))


subscribe.takes_no_token = True  # type: ignore[attr-defined]  # nothing begins before the link in the mail is used


def _send_essays_again(user: User) -> Response:
    if pace_of(user, Letter.ESSAYS) == Pace.NEVER:
        choose(user, Letter.ESSAYS, Pace.NOW)
    db.session.commit()
    flash(ON_THE_LIST, "ok")
    return redirect(_next(), 303)


def _page(form: SubscribeForm, problem: str = "") -> str:
    user = person()
    return render_template(
        "subscriptions/subscribe.html",
        form=form,
        problem=problem,
        next_path=_next(),
        tiers=[tier for tier in tiers().values() if tier.is_offered],
        without_essays=user is not None and pace_of(user, Letter.ESSAYS) == Pace.NEVER,
    )


def _next() -> str:
    return safe_path(request.values.get("next"))
