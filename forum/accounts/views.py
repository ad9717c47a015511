"""Sign up, sign in and sign out: pages that answer alike whether or not an address has an account."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request
from flask import session as cookie
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.address import address_key, masked
from forum.accounts.asking import SEND_AGAIN_AFTER, Origin, Wish, ask_again, ask_to_join, ask_to_sign_in
from forum.accounts.confirming import (
    WAYS_IN,
    LinkSpent,
    find_link,
    find_request,
    link_by_code,
    person_of,
)
from forum.accounts.device import device_words
from forum.accounts.forms import CodeForm, LinkForm, SignInForm, SignUpForm
from forum.accounts.password import hash_password
from forum.accounts.session import end_session, note_proof, token_digest
from forum.accounts.sign_in import finish_sign_in, has_account, post_kept, user_by_password, words_kept
from forum.accounts.sign_in_link import Purpose, SignInLink
from forum.accounts.sign_up import NameTaken, free_name, is_name_free
from forum.database import db
from forum.limits import forget, limit, wait_words
from forum.text.names import BadName
from forum.web import person, require, safe_path, visitor_key

blueprint = Blueprint("accounts", __name__)

TRIES = 8
TRIES_OF_A_VISITOR = 40
"""A school or an office may come from one network address."""
TRY_WINDOW = timedelta(minutes=10)
MAILS_AN_HOUR = 5
MAILS_OF_A_VISITOR = 30
KEPT = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

Answer = Response | str | tuple[str, int]


@blueprint.get("/sign-in")
def show_sign_in() -> Answer:
    """Show the form; a signed-in person goes on, or posts what was kept."""
    if person() is None:
        return _sign_in_page(SignInForm())
    if _kept():
        words = words_kept(_kept())
        return render_template("accounts/post-kept.html", kept=_kept(), words=words, next_path=_next())
    return redirect(_next(), 303)


@blueprint.post("/sign-in")
def sign_in() -> Answer:
    """Sign in with the password, or mail a link and a code when there is none."""
    form = SignInForm()
    if not form.validate():
        return _sign_in_page(form), 422
    if not form.password.data:
        limit_mails(form.email.data)
        return asked(ask_to_sign_in(form.email.data, origin_here()))
    limit("sign-in", visitor_key(), TRIES_OF_A_VISITOR, TRY_WINDOW, doubling=True)
    limit("sign-in", address_key(form.email.data), TRIES, TRY_WINDOW, doubling=True)
    user = user_by_password(form.email.data, form.password.data)
    if user is None:
        form.password.errors = [
            "This address and this password do not go together. "
            "Leave the password empty and we will send you a link."
        ]
        return _sign_in_page(form), 422
    # The visitor's count stays: an own account must not be the way to guess at others for ever.
    forget("sign-in", address_key(user.email))
    address = finish_sign_in(user, *_way_on())
    db.session.commit()
    return redirect(address, 303)


@blueprint.post("/sign-in/kept")
def post_what_was_kept() -> Answer:
    """Post what a person wrote before they signed in."""
    require(person() is not None)
    address = post_kept(person(), _kept()) or _next()
    db.session.commit()
    return redirect(address, 303)


@blueprint.get("/sign-up")
def show_sign_up() -> Answer:
    """Show the form; a signed-in person goes on."""
    if person() is not None:
        return redirect(_next(), 303)
    return _sign_up_page(SignUpForm())


@blueprint.post("/sign-up")
def sign_up() -> Answer:
    """Mail a link and a code; the account is made when one of them is used."""
    form = SignUpForm()
    if not form.validate():
        return _sign_up_page(form), 422
    if not is_name_free(form.name.data):
        form.name.errors = [str(NameTaken())]
        return _sign_up_page(form), 422
    limit_mails(form.email.data)
    db.session.commit()  # nobody should wait for the hash
    password_hash = hash_password(form.password.data) if form.password.data else None
    return asked(
        ask_to_join(form.email.data, Wish(form.wishes, form.name.data, password_hash), origin_here())
    )


@blueprint.get("/sign-in/check")
def show_check() -> Answer:
    """Say that a mail was sent and take its code."""
    link = find_request(cookie.get("asked", ""))
    return _check_page(link, CodeForm()) if link else redirect("/sign-in", 303)


@blueprint.post("/sign-in/check")
def check_code() -> Answer:
    """Sign in the browser that asked, with the code of the mail."""
    limit("code", visitor_key(), TRIES_OF_A_VISITOR, TRY_WINDOW)
    browser, form = cookie.get("asked", ""), CodeForm()
    if not form.validate():
        return _check_again(browser, form)
    link = link_by_code(browser, re.sub(r"\D", "", form.code.data or ""))
    db.session.commit()
    if link is None:
        form.code.errors = ["This code is wrong, used or too old. Look at the newest mail, or send another."]
        return _check_again(browser, form)
    try:
        address = _enter(link, form.name.data or "", link.password_hash if _asked_here(link) else None)
    except (NameTaken, BadName) as error:
        db.session.rollback()
        form.name.errors = [str(error)]
        return _check_again(browser, form)
    except LinkSpent:
        db.session.rollback()
        form.code.errors = ["This code is wrong, used or too old. Look at the newest mail, or send another."]
        return _check_again(browser, form)
    return redirect(address, 303)


@blueprint.post("/sign-in/again")
def send_again() -> Answer:
    """Mail what this browser asked for once more, half a minute later at the earliest."""
    link = find_request(cookie.get("asked", ""))
    if link is None:
        return redirect("/sign-in", 303)
    wait = link.created_at + SEND_AGAIN_AFTER - clock.now()
    if wait > timedelta(0):
        seconds = wait_words(-(-wait // timedelta(seconds=1)))
        return _check_page(
            link, CodeForm(), f"Wait a little for the mail. You can send it again in {seconds}."
        ), 422
    limit_mails(link.email)
    return asked(ask_again(link, _origin_of(link)), is_own_wish=_asked_here(link))


@blueprint.get("/sign-in/link/<token>")
def show_link(token: str) -> Answer:
    """Show one button; opening the link changes nothing, because mail programs open links too."""
    link = find_link(token, WAYS_IN)
    if link is None or not link.is_usable(clock.now()):
        return _spent_page(token, link)
    return _link_page(token, link, LinkForm())


@blueprint.post("/sign-in/link/<token>")
def use_link(token: str) -> Answer:
    """Sign in on this browser, making the account first when the address has none and asked for one."""
    limit("link", visitor_key(), TRIES_OF_A_VISITOR, TRY_WINDOW)
    form = LinkForm()
    fits = form.validate()
    # Before the first SQL, so that nobody waits for the hash.
    chosen = hash_password(form.new_password.data) if fits and form.new_password.data else None
    link = find_link(token, WAYS_IN)
    if link is None or not link.is_usable(clock.now()):
        return _spent_page(token, link)
    if not fits:
        return _link_page(token, link, form), 422
    try:
        address = _enter(link, form.name.data or "", link.password_hash if _asked_here(link) else chosen)
    except (NameTaken, BadName) as error:
        db.session.rollback()
        form.name.errors = [str(error)]
        return _link_page(token, link, form), 422
    except LinkSpent:
        db.session.rollback()
        return _spent_page(token, link)
    return redirect(address, 303)


@blueprint.post("/sign-in/link/<token>/again")
def replace_link(token: str) -> Answer:
    """Mail a new link to who holds an old one, for the same purpose."""
    link = find_link(token, WAYS_IN)
    if link is None:
        return redirect("/sign-in", 303)
    limit_mails(link.email)
    return asked(ask_again(link, _origin_of(link)), is_own_wish=_asked_here(link))


@blueprint.post("/sign-out")
def sign_out() -> Answer:
    """End the session of this browser; a copy of its cookie opens nothing any more."""
    end_session()
    db.session.commit()
    flash("You are signed out.")
    return redirect("/", 303)


def limit_mails(email: str) -> None:
    """Count one mail to an address that anybody may have typed.

    Raises: TooOften.
    """
    limit("mail", visitor_key(), MAILS_OF_A_VISITOR, timedelta(hours=1))
    limit("mail", address_key(email), MAILS_AN_HOUR, timedelta(hours=1))


def asked(browser: str, *, is_own_wish: bool = True) -> Response:
    """Commit, and remember the mail whose code this browser waits for, and whether the wish behind it began here."""
    db.session.commit()
    cookie["asked"] = browser
    cookie["wished"] = browser if is_own_wish else ""
    return redirect("/sign-in/check", 303)


def origin_here() -> Origin:
    """Return where the person of this request asks from, as its form or address says."""
    return Origin(*_way_on(), device_words(request.user_agent.string))


def _way_on() -> tuple[str, str]:
    """Return the page to go to and the token of the words to post: only of those that this browser wrote."""
    next_path, kept = _next(), _kept()
    if kept and cookie.get("kept") != kept:
        return _asking_first(next_path, kept), ""
    return next_path, kept


def _enter(link: SignInLink, name: str, password_hash: str | None) -> str:
    """Use a link, sign its person in, commit, and return where they go."""
    next_path, kept = safe_path(link.next_path), link.kept
    if kept and not _asked_here(link) and has_account(link.email):
        next_path, kept = _asking_first(next_path, kept), ""
    user = person_of(link, name=name, password_hash=password_hash)
    address = finish_sign_in(user, next_path, kept)
    if "essays" in link.wishes:
        flash("You are on the list.", "ok")
    note_proof()
    db.session.commit()
    return address


def _asking_first(next_path: str, kept: str) -> str:
    """Return the page that asks whether to post what is kept: somebody else may have written it, for this name."""
    return "/sign-in?" + urlencode({"kept": kept, "next": next_path})


def _asked_here(link: SignInLink) -> bool:
    """Tell whether this browser filled in what the link carries; who only has an old link sent anew did not."""
    return token_digest(cookie.get("wished", "")) == link.request_hash


def _next() -> str:
    return safe_path(request.values.get("next"))


def _kept() -> str:
    kept = request.values.get("kept", "")
    return kept if KEPT.match(kept) else ""


def _origin_of(link: SignInLink) -> Origin:
    return Origin(safe_path(link.next_path), link.kept, device_words(request.user_agent.string))


def _sign_in_page(form: SignInForm) -> str:
    return render_template("accounts/sign-in.html", form=form, **_waiting())


def _sign_up_page(form: SignUpForm) -> str:
    return render_template("accounts/sign-up.html", form=form, **_waiting())


def _waiting() -> dict[str, str]:
    return {"next_path": _next(), "kept": _kept(), "words": words_kept(_kept())}


def _check_again(browser: str, form: CodeForm) -> Answer:
    link = find_request(browser)
    return (_check_page(link, form), 422) if link else redirect("/sign-in", 303)


def _check_page(link: SignInLink, form: CodeForm, problem: str = "") -> str:
    values: dict[str, Any] = {"email": link.email, "kept": link.kept, "next_path": safe_path(link.next_path)}
    return render_template(
        "accounts/check.html",
        form=_with_name(form, link),
        problem=problem,
        address=masked(link.email),
        words=words_kept(link.kept),
        joins=link.purpose
        == Purpose.SIGN_UP,  # also of an address that has an account: this page must not tell
        **values,
    )


def _link_page(token: str, link: SignInLink, form: LinkForm) -> str:
    is_new = link.purpose == Purpose.SIGN_UP and not has_account(link.email)
    return render_template(
        "accounts/link.html",
        form=_with_name(form, link),
        token=token,
        address=masked(link.email),
        kept=link.kept,
        words=words_kept(link.kept),
        wishes=link.wishes,
        is_new=is_new,
        posts_at_once=is_new or _asked_here(link),
        # Whoever asked elsewhere may be somebody else, who would then know the password of this account.
        asks_password=is_new and link.password_hash is not None and not _asked_here(link),
    )


def _with_name(form: Any, link: SignInLink) -> Any:
    """Offer the name that was asked for, or the free one next to it."""
    if link.name and not form.name.data:
        form.name.data = free_name(link.name)
    return form


def _spent_page(token: str, link: SignInLink | None) -> tuple[str, int]:
    """Say that a link is over. A damaged one is nobody's, but this browser may have asked for it."""
    asked_for = link or find_request(cookie.get("asked", ""))
    user = person()
    return render_template(
        "accounts/link-spent.html",
        is_here=user is not None and link is not None and link.email == user.email,
        again=f"/sign-in/link/{token}/again" if link else "/sign-in/again" if asked_for else "",
        words=words_kept(asked_for.kept) if asked_for else "",
    ), 410
