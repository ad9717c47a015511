"""The pages on which a person looks after their own account."""

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.account import change_name, change_password, show_support
from forum.accounts.address import masked
from forum.accounts.asking import Origin, ask_to_change_address
from forum.accounts.confirming import LinkSpent, change_address, find_link
from forum.accounts.device import device_words
from forum.accounts.forms import AboutForm, AddressForm, AppearanceForm, NameForm, PasswordForm
from forum.accounts.password import hash_password, is_password
from forum.accounts.session import (
    Session,
    current_session,
    end_session,
    end_sessions_of,
    has_fresh_proof,
    sessions_of,
    signed_in_user,
)
from forum.accounts.sign_in_link import Purpose
from forum.accounts.sign_up import NameTaken
from forum.accounts.user import User
from forum.accounts.views import TRIES, TRY_WINDOW, limit_mails
from forum.database import db
from forum.limits import forget, limit
from forum.web import person, require_found

blueprint = Blueprint("account", __name__)

WRONG_PASSWORD = "This is not your password. If you have forgotten it, sign out, then sign in with a link."  # noqa: S105

Answer = Response | str | tuple[str, int]


@blueprint.get("/account/name")
def show_name() -> Answer:
    """Show the form for another name."""
    return render_template("accounts/name.html", form=NameForm(obj=signed_in_user()))


@blueprint.post("/account/name")
def save_name() -> Answer:
    """Change the name."""
    user, form = signed_in_user(), NameForm()
    if not form.validate():
        return render_template("accounts/name.html", form=form), 422
    try:
        change_name(user, form.name.data)
    except NameTaken as error:
        form.name.errors = [str(error)]
        return render_template("accounts/name.html", form=form), 422
    return _saved("Your name is changed.")


@blueprint.get("/account/about")
def show_about() -> Answer:
    """Show the form for the words on the person's page."""
    return render_template("accounts/about.html", form=AboutForm(obj=signed_in_user()))


@blueprint.post("/account/about")
def save_about() -> Answer:
    """Change the words on the person's page."""
    user, form = signed_in_user(), AboutForm()
    if not form.validate():
        return render_template("accounts/about.html", form=form), 422
    user.about = form.about.data or ""
    return _saved("Saved.")


@blueprint.get("/account/appearance")
def show_appearance() -> Answer:
    """Show the choices of colours, keys and the supporter's mark."""
    user = signed_in_user()
    chosen = {"theme": user.theme, "keys": user.uses_keys, "support": user.shows_support}
    return render_template("accounts/appearance.html", form=AppearanceForm(data=chosen))


@blueprint.post("/account/appearance")
def save_appearance() -> Answer:
    """Change colours, keys and the supporter's mark."""
    user, form = signed_in_user(), AppearanceForm()
    if not form.validate():
        return render_template("accounts/appearance.html", form=form), 422
    user.theme, user.uses_keys = form.theme.data or "", form.keys.data
    show_support(user, shown=form.support.data)
    return _saved("Saved.")


@blueprint.get("/account/address")
def show_address() -> Answer:
    """Show the form for another address."""
    asks = _asks_password(signed_in_user())
    return render_template("accounts/address.html", form=AddressForm(), asks_password=asks)


@blueprint.post("/account/address")
def save_address() -> Answer:
    """Mail a link to the new address; the answer is the same when somebody has it already."""
    user, form = signed_in_user(), AddressForm()
    asks, fits = _asks_password(user), form.validate()
    if fits and form.email.data == user.email:
        form.email.errors = ["This is your address already."]
        fits = False
    if fits and not _knows_password(user, form.password.data):
        form.password.errors = [WRONG_PASSWORD]
        fits = False
    if not fits:
        return render_template("accounts/address.html", form=form, asks_password=asks), 422
    limit_mails(form.email.data)
    ask_to_change_address(user, form.email.data, Origin("/account", device=_device()))
    return _saved(f"We sent a link to {form.email.data}. Open it to use that address.")


@blueprint.get("/account/address/<token>")
def show_new_address(token: str) -> Answer:
    """Show one button; opening the link changes nothing."""
    link = find_link(token, [Purpose.CHANGE_ADDRESS])
    if link is None or not link.is_usable(clock.now()):
        return render_template("accounts/address-spent.html"), 410
    return render_template("accounts/address-confirm.html", token=token, address=masked(link.email))


@blueprint.post("/account/address/<token>")
def use_new_address(token: str) -> Answer:
    """Change the address to the one that the link was mailed to; works in any browser, and signs nobody in."""
    link = find_link(token, [Purpose.CHANGE_ADDRESS])
    try:
        if link is None:
            raise LinkSpent
        change_address(link)
        db.session.commit()
    except LinkSpent:
        db.session.rollback()
        return render_template("accounts/address-spent.html"), 410
    flash("Your address is changed.")
    return redirect("/account" if person() else "/sign-in", 303)


@blueprint.get("/account/password")
def show_password() -> Answer:
    """Show the form for a new password."""
    return _password_page(PasswordForm(), asks_password=_asks_password(signed_in_user()))


@blueprint.post("/account/password")
def save_password() -> Answer:
    """Change the password, or set the first one; all other browsers are signed out."""
    user, form = signed_in_user(), PasswordForm()
    asks = _asks_password(user)
    if not form.validate():
        return _password_page(form, asks_password=asks), 422
    if not _knows_password(user, form.password.data):
        form.password.errors = [WRONG_PASSWORD]
        return _password_page(form, asks_password=asks), 422
    db.session.commit()  # nobody should wait for the hash
    password_hash = hash_password(form.new_password.data or "")
    change_password(user, password_hash, _device())
    return _saved("Your password is changed. All other browsers are signed out.")


@blueprint.get("/account/sessions")
def show_sessions() -> Answer:
    """List the browsers that are signed in."""
    return render_template(
        "accounts/sessions.html", sessions=sessions_of(signed_in_user()), this_one=current_session()
    )


@blueprint.post("/account/sessions/<int:session_id>/end")
def end_one_session(session_id: int) -> Answer:
    """Sign one of the person's browsers out."""
    user, row = signed_in_user(), db.session.get(Session, session_id)
    require_found(row if row is not None and row.user_id == user.id else None)
    if row is current_session():
        end_session()
        db.session.commit()
        return redirect("/", 303)
    db.session.delete(row)
    return _saved("That browser is signed out.", "/account/sessions")


@blueprint.post("/account/sessions/end-others")
def end_other_sessions() -> Answer:
    """Sign all the person's browsers out but this one."""
    user, this_one = signed_in_user(), current_session()
    end_sessions_of(user, but=this_one.id if this_one else None)
    return _saved("All other browsers are signed out.", "/account/sessions")


def _saved(sentence: str, address: str = "/account") -> Response:
    db.session.commit()
    flash(sentence)
    return redirect(address, 303)


def _device() -> str:
    return device_words(request.user_agent.string)


def _password_page(form: PasswordForm, *, asks_password: bool) -> str:
    return render_template("accounts/password.html", form=form, asks_password=asks_password)


def _asks_password(user: User) -> bool:
    """Tell whether a person must show that they know their password; not who came by mail a moment ago."""
    return user.password_hash is not None and not has_fresh_proof()


def _knows_password(user: User, password: str | None) -> bool:
    """Tell whether a person knows their password, if they are asked for it.

    Ends the transaction, since the check takes 40 ms.
    Raises: TooOften: a browser left open must not be a place to guess in.
    """
    stored, who = user.password_hash, str(user.id)
    if not _asks_password(user):
        return True
    limit("own-password", who, TRIES, TRY_WINDOW, doubling=True)
    db.session.commit()
    if not is_password(stored, password or ""):
        return False
    forget("own-password", who)
    return True
