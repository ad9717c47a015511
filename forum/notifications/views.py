"""What we send a reader: the page on which they choose how often they get each letter."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from forum.accounts.session import signed_in_user
from forum.accounts.user import User
from forum.database import db
from forum.limits import limit
from forum.notifications.forms import LettersForm
from forum.outbox.suppression import Suppression, Why, unsuppress
from forum.subscriptions.letters import Pace, choices_of, choose

RETRIES_A_DAY = 3
NO_MORE = "You get no mail from us any more, except what you ask for yourself, such as a link to sign in."

blueprint = Blueprint("notifications", __name__)

Answer = Response | str | tuple[str, int]


@blueprint.get("/account/letters")
def show_letters() -> Answer:
    """Show each letter with how often the person gets it."""
    user = signed_in_user()
    return _letters_page(user, LettersForm(choices_of(user)))


@blueprint.post("/account/letters")
def save_letters() -> Answer:
    """Change how often the person gets each letter, stop them all, or try an address again that failed."""
    user = signed_in_user()
    if "resume" in request.form:
        return _try_address_again(user)
    before = choices_of(user)
    form = LettersForm(before)
    if "nothing" in request.form:
        wanted = dict.fromkeys(before, Pace.NEVER)
    elif form.validate():
        wanted = form.chosen()
    else:
        return _letters_page(user, form), 422
    for letter, pace in wanted.items():
        if pace != before[letter]:
            choose(user, letter, pace)
    db.session.commit()
    flash(NO_MORE if set(wanted.values()) == {Pace.NEVER} else "Saved.")
    return redirect("/account/letters", 303)


def _try_address_again(user: User) -> Response:
    """Send to an address again from which mail came back: a full mailbox is emptied, a server is mended."""
    limit("resume-mail", str(user.id), RETRIES_A_DAY, timedelta(days=1))
    stopped = db.session.get(Suppression, user.email)
    if stopped is not None and stopped.why == Why.BOUNCED:
        unsuppress(user.email)
        db.session.commit()
        flash("We try this address again from the next mail on.")
    return redirect("/account/letters", 303)


def _letters_page(user: User, form: LettersForm) -> str:
    stopped = db.session.get(Suppression, user.email)
    return render_template("notifications/letters.html", form=form, stopped=stopped)
