"""The pages about mail: how the server does, what failed, which addresses get none, what came back."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from flask import Blueprint, abort, flash, redirect, render_template, request

from forum.accounts.user import User
from forum.admin.finding import LONGEST_QUERY
from forum.admin.forms import AddressForm, BounceForm, RetryForm
from forum.admin.mail import (
    allow_mail,
    enter_bounce,
    failed_mails,
    last_bounces,
    owners_of,
    queue_state,
    retry_mails,
    stop_mail,
    stopped_addresses,
)
from forum.admin.views import Answer, acting_admin
from forum.database import db
from forum.moderation.people_forms import ReasonForm
from forum.moderation.standing import NotDone, lock_people
from forum.outbox.suppression import Suppression, suppressed_among
from forum.text.normal import one_line
from forum.web import page_number

OVERVIEW = "/admin/mail"
STOPPED = "/admin/mail/stopped"
LIFT = "/admin/mail/stopped/lift"

Deed: TypeAlias = Callable[[User], str]
"""Does something as this admin and returns what to say about it."""

Again: TypeAlias = Callable[[ReasonForm, Sequence[str]], Answer]
"""Shows the page again with a form that failed, and the sentences that say why beside its own."""

blueprint = Blueprint("admin_mail", __name__)


@blueprint.get(OVERVIEW)
def overview() -> Answer:
    """Show how the mail is doing, what failed and what came back."""
    acting_admin()
    return _overview_page()


@blueprint.post("/admin/mail/retry")
def retry() -> Answer:
    """Try one failed mail again, which the button names, or all."""
    form, wanted = RetryForm(), request.form.get("message", "")
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        abort(400)

    def deed(actor: User) -> str:
        count = retry_mails(actor, int(wanted) if wanted else None, form.why)
        return "The mail is tried again." if count == 1 else f"{count:,} mails are tried again."

    def again(failed: ReasonForm, problems: Sequence[str]) -> Answer:
        return _overview_page(retry_form=failed, problems=problems)

    return _do(form, deed, again, OVERVIEW)


@blueprint.post("/admin/mail/bounces")
def bounce() -> Answer:
    """Enter by hand that a mail came back."""
    form = BounceForm()

    def deed(actor: User) -> str:
        is_permanent = form.kind.data == "permanent"
        enter_bounce(actor, form.address, form.why, is_permanent=is_permanent)
        return f"The bounce of {form.address} is kept." + (
            " Nothing is sent there any more." if is_permanent else ""
        )

    def again(failed: ReasonForm, problems: Sequence[str]) -> Answer:
        return _overview_page(bounce_form=failed, problems=problems)

    return _do(form, deed, again, OVERVIEW)


@blueprint.get(STOPPED)
def stopped() -> Answer:
    """List the addresses that get no mail any more."""
    acting_admin()
    return _stopped_page()


@blueprint.post(STOPPED)
def stop() -> Answer:
    """Send nothing to an address any more."""
    form = AddressForm()

    def deed(actor: User) -> str:
        stop_mail(actor, form.address, form.why)
        return f"Nothing is sent to {form.address} any more."

    return _do(form, deed, _stopped_page, STOPPED)


@blueprint.get(LIFT)
def lift_page() -> Answer:
    """Ask why an address is to get mail again; one that gets it already leads to the list."""
    acting_admin()
    return _lift_page(ReasonForm(formdata=None))


@blueprint.post(LIFT)
def lift() -> Answer:
    """Send to an address again."""
    address = _address()

    def deed(actor: User) -> str:
        allow_mail(actor, address, form.why)
        return f"Mail is sent to {address} again."

    form = ReasonForm()
    return _do(form, deed, _lift_page, STOPPED)


def _do(form: ReasonForm, deed: Deed, again: Again, address: str) -> Answer:
    """Do one act and go back to its page; what was typed stays there when it cannot be done."""
    actor = acting_admin()
    if not form.validate():
        return again(form, ())
    lock_people(actor)
    acting_admin()
    try:
        said = deed(actor)
    except NotDone as refused:
        db.session.rollback()
        return again(form, [str(refused)])
    db.session.commit()
    flash(said, "ok")
    return redirect(address, 303)


def _overview_page(
    *,
    retry_form: ReasonForm | None = None,
    bounce_form: ReasonForm | None = None,
    problems: Sequence[str] = (),
) -> Answer:
    failed = retry_form or bounce_form
    page = failed_mails(page_number())
    if not page.rows and page.number > 1:
        abort(404)
    bounces = last_bounces()
    addresses = [mail.to_address for mail in page.rows] + [one.address for one in bounces]
    shown = render_template(
        "admin/mail.html",
        state=queue_state(),
        page=page,
        bounces=bounces,
        stopped=suppressed_among(addresses),
        owners=owners_of(addresses),
        retry_form=(retry_form or RetryForm(formdata=None)).named("retry"),
        bounce_form=(bounce_form or BounceForm(formdata=None, kind="permanent")).named("bounce"),
        failed=failed,
        problems=problems,
    )
    return shown, 422 if failed else 200


def _stopped_page(failed: ReasonForm | None = None, problems: Sequence[str] = ()) -> Answer:
    query = one_line(request.args.get("q", "")[: LONGEST_QUERY * 4])[:LONGEST_QUERY]
    page = stopped_addresses(query, page_number())
    if not page.rows and page.number > 1:
        abort(404)
    shown = render_template(
        "admin/mail-stopped.html",
        page=page,
        query=query,
        longest=LONGEST_QUERY,
        owners=owners_of([row.address for row in page.rows]),
        form=(failed or AddressForm(formdata=None)).named("stop"),
        failed=failed,
        problems=problems,
    )
    return shown, 422 if failed else 200


def _lift_page(form: ReasonForm, problems: Sequence[str] = ()) -> Answer:
    row = db.session.get(Suppression, _address())
    if row is None:
        flash("Mail to this address is not stopped.", "warn")
        return redirect(STOPPED, 303)
    shown = render_template("admin/mail-lift.html", row=row, form=form, problems=problems)
    return shown, 422 if form.errors or problems else 200


def _address() -> str:
    """Return the address that a request is about, as far as it can be one."""
    return one_line(request.values.get("address", "")[: LONGEST_QUERY * 4])[:LONGEST_QUERY].lower()
