"""Reading the mails that the site has written, as their receiver does."""

import re

from flask import Flask
from sqlalchemy import select

from forum.database import db
from forum.outbox.message import Message


def mails_to(app: Flask, address: str) -> list[Message]:
    """Return the mails to an address, oldest first, detached."""
    with app.app_context():
        mails = db.session.scalars(
            select(Message).where(Message.to_address == address).order_by(Message.id)
        ).all()
        db.session.expunge_all()
        return list(mails)


def last_mail(app: Flask, address: str) -> Message:
    """Return the newest mail to an address."""
    return mails_to(app, address)[-1]


def link_in(mail: Message) -> str:
    """Return the path of the link that a mail is about."""
    found = re.search(r"http://localhost(/(?:sign-in/link|account/address)/\S+)", mail.text)
    assert found, mail.text
    assert found[0] in mail.html
    return found[1]


def code_in(mail: Message) -> str:
    """Return the code of a mail, as a person types it: with its blank."""
    found = re.search(r"\d{3} \d{3}", mail.subject)
    assert found, mail.subject
    return found[0]
