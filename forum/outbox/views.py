"""The mails of a site in development, to read and follow their links without a mail server."""

from flask import Blueprint, abort, current_app, render_template
from sqlalchemy import select

from forum.database import db, page_of
from forum.outbox.message import Message
from forum.web import page_number, require_found

blueprint = Blueprint("outbox", __name__)

MAILS_PER_PAGE = 50


@blueprint.before_request
def _only_in_development() -> None:
    if current_app.config["IS_PRODUCTION"]:
        abort(404)


@blueprint.get("/dev/mail")
def list_mails() -> str:
    """List what was mailed, newest first."""
    mails = page_of(select(Message).order_by(Message.id.desc()), page_number(), MAILS_PER_PAGE)
    return render_template("outbox/mails.html", mails=mails)


@blueprint.get("/dev/mail/<int:message_id>")
def show_mail(message_id: int) -> str:
    """Show one mail, its links to be clicked."""
    return render_template("outbox/mail.html", mail=require_found(db.session.get(Message, message_id)))
