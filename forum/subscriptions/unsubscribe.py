"""The address in our mails that stops a letter: one POST, without signing in (RFC 8058); opening it changes nothing."""

from datetime import timedelta

from flask import Blueprint, render_template, request

from forum.accounts.address import masked
from forum.accounts.user import User
from forum.database import db
from forum.limits import limit
from forum.outbox.one_click import read_token
from forum.subscriptions.letters import NAMES, PACES, USUAL, Letter, Pace, choices_of, choose, pace_of

AGAIN_AN_HOUR = 20
"""Stopping is never refused, or a mail program that tries again would call us spam; coming back can wait."""

blueprint = Blueprint("unsubscribe", __name__)


@blueprint.get("/unsubscribe/<token>")
def ask(token: str) -> tuple[str, int]:
    """Show one button; opening the link changes nothing, because mail scanners open links too."""
    found = _read(token)
    if found is None:
        return _unknown()
    return _page("stopped" if pace_of(*found) == Pace.NEVER else "ask", token, *found)


@blueprint.post("/unsubscribe/<token>")
def stop(token: str) -> tuple[str, int]:
    """Stop the letter that the link names, at once; with `everything` in the form all letters."""
    found = _read(token)
    if found is None:
        return _unknown()
    user, letter = found
    before = pace_of(user, letter)
    for stopped in choices_of(user) if "everything" in request.form else [letter]:
        choose(user, stopped, Pace.NEVER)
    db.session.commit()
    return _page("everything" if "everything" in request.form else "stopped", token, user, letter, before)


@blueprint.post("/unsubscribe/<token>/again")
def again(token: str) -> tuple[str, int]:
    """Send the letter again, as often as the form says that it was before."""
    found = _read(token)
    if found is None:
        return _unknown()
    user, letter = found
    limit("subscribe-again", str(user.id), AGAIN_AN_HOUR, timedelta(hours=1))
    given = request.form.get("pace", "")
    paces = {pace.value: pace for pace in PACES[letter] if pace != Pace.NEVER}
    choose(user, letter, paces.get(given, USUAL[letter]))
    db.session.commit()
    return _page("again", token, user, letter)


# A mail program has neither our cookie nor a page of ours to take a token from; the address itself is the secret.
stop.takes_no_token = True  # type: ignore[attr-defined]
again.takes_no_token = True  # type: ignore[attr-defined]


def _read(token: str) -> tuple[User, Letter] | None:
    """Return whom and what a token names; None when it is not one of ours, or the account is gone."""
    user_id, name = read_token(token) or (0, "")
    user = db.session.get(User, user_id) if name in {letter.value for letter in Letter} else None
    return (user, Letter(name)) if user is not None else None


def _page(step: str, token: str, user: User, letter: Letter, before: Pace = Pace.NEVER) -> tuple[str, int]:
    return render_template(
        "subscriptions/unsubscribe.html",
        step=step,
        token=token,
        address=masked(user.email),
        letter=NAMES[letter],
        before=before,
    ), 200


def _unknown() -> tuple[str, int]:
    return render_template("subscriptions/unsubscribe-unknown.html"), 404
