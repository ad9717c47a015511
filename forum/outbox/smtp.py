"""How one mail leaves: by SMTP, or as a file in the instance folder while no server is set."""

import os
import smtplib
import ssl
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from flask import current_app

from forum.config import LOOPBACK
from forum.outbox.message import Message
from forum.text.normal import one_line

TIMEOUT_SECONDS = 30


class NotDelivered(Exception):
    """The mail could not leave; the message tells the operator why."""


def deliver(message: Message) -> None:
    """Hand one mail to the server of FORUM_SMTP_URL, or write it to `<instance>/mail/` when there is none.

    Raises: NotDelivered.
    """
    smtp_url = current_app.config["SMTP_URL"]
    try:
        mail = as_mail(message)
        if smtp_url:
            _hand_over(mail, urlsplit(smtp_url))
        else:
            _write_file(mail, message.message_id, message.created_at)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error


def as_mail(message: Message) -> EmailMessage:
    """Return a stored mail as it travels: text first, HTML beside it, the same Message-ID at every try."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = one_line(message.subject)
    mail["From"] = _address(current_app.config["MAIL_FROM"], current_app.config["SITE_NAME"])
    mail["To"] = _address(message.to_address)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = message.message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices in return
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def _address(address: str, name: str = "") -> Address:
    """Return an address as a header takes it, its domain in ASCII; a line break in it is refused."""
    local, _, domain = address.rpartition("@")
    return Address(one_line(name), local, domain.encode("idna").decode("ascii"))


def _hand_over(mail: EmailMessage, server: SplitResult) -> None:
    host = server.hostname or "localhost"
    if server.scheme == "smtps":
        with smtplib.SMTP_SSL(
            host, server.port or 465, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        ) as connection:
            _log_in_and_send(connection, mail, server)
        return
    with smtplib.SMTP(host, server.port or 25, timeout=TIMEOUT_SECONDS) as connection:
        connection.ehlo()
        if connection.has_extn("starttls"):
            connection.starttls(context=ssl.create_default_context())
            connection.ehlo()
        elif server.username and host not in LOOPBACK:
            raise NotDelivered(
                "The mail server offers no STARTTLS, so the password was not sent. Use smtps://."
            )
        _log_in_and_send(connection, mail, server)


def _log_in_and_send(connection: smtplib.SMTP, mail: EmailMessage, server: SplitResult) -> None:
    if server.username:
        connection.login(unquote(server.username), unquote(server.password or ""))
    connection.send_message(mail)


def _write_file(mail: EmailMessage, message_id: str, created_at: datetime) -> None:
    """Write the mail whole or not at all; its name sorts by time, and a second try replaces the first."""
    folder = Path(current_app.instance_path) / "mail"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{created_at:%Y%m%dT%H%M%S%f}-{message_id.strip('<>').partition('@')[0]}"
    scratch = folder / f"{name}.{os.getpid()}"
    scratch.write_bytes(bytes(mail))
    scratch.replace(folder / f"{name}.eml")
