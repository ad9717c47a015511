"""How mails leave: over one SMTP connection for many, or as files in the instance folder while no server is set."""

import os
import re
import smtplib
import ssl
import time
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flask import current_app

from forum.config import LOOPBACK
from forum.outbox.message import Message
from forum.outbox.mime import as_mail, ascii_address
from forum.text.normal import one_line

STEP_SECONDS = 10.0
"""How long the server may take to answer one command, or to receive one mail."""

VERDICT_SECONDS = 50.0
"""How long it may look a mail through before it answers. Giving up on a slow yes means sending the mail twice."""

LONGEST_CARRYING = timedelta(seconds=4 * STEP_SECONDS + VERDICT_SECONDS)
"""What one mail takes at most on an open connection: MAIL, RCPT, DATA, its bytes, the verdict. 90 seconds."""

IDLE_SECONDS = 20.0
"""An unused connection is closed after that, before the server does it."""

MAILS_A_CONNECTION = 100
"""Then a new one: servers limit it, many to 100."""

WRONG_MAILBOX = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
"""The codes of RFC 3463 and RFC 7505 that say so; 5.1.7 and 5.1.8 are about the sender's address."""

WITHOUT_LOGIN = frozenset({530, 535})
"""A refusal of ourselves, whatever the mail (RFC 4954)."""

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_DOT_FIRST = re.compile(rb"^\.", re.MULTILINE)


class ServerAway(Exception):
    """The server cannot be reached or does not let us in: no mail is to blame, and all have to wait."""


class NotNow(Exception):
    """This mail did not leave; a later try may succeed."""


class Refused(Exception):
    """This mail will not leave, however often it is tried."""

    def __init__(self, words: str, status: str = "", *, is_wrong_mailbox: bool = False) -> None:
        super().__init__(words)
        self.status = status
        self.is_wrong_mailbox = is_wrong_mailbox


class Courier:
    """Carries mails to the server of FORUM_SMTP_URL over a connection that it keeps; one belongs to one worker."""

    def __init__(self) -> None:
        self._connection: smtplib.SMTP | None = None
        self._sender = ""
        self._carried = 0
        self._used_at = 0.0

    def open(self) -> None:
        """Have a sender, and a connection that answers. Raises: ServerAway."""
        try:
            self._sender = ascii_address(current_app.config["MAIL_FROM"])
        except ValueError as error:
            raise ServerAway(f"FORUM_MAIL_FROM is of no use: {error}.") from error
        if not current_app.config["SMTP_URL"]:
            return
        if self._carried >= MAILS_A_CONNECTION:
            self.close()
        if self._connection is None or not _is_alive(self._connection):
            self.close()
            self._connection, self._carried = _connect(current_app.config["SMTP_URL"]), 0
        self._used_at = time.monotonic()

    def carry(self, message: Message) -> None:
        """Hand one mail to the server, or write it to `<instance>/mail/` when there is none. `open` comes first.

        Raises: Refused, NotNow, ServerAway; each message is for the operator and holds what the server said.
        """
        try:
            mail, to = as_mail(message).as_bytes(), ascii_address(message.to_address)
        except ValueError as error:
            raise Refused(f"The mail could not be put together: {error}.") from error
        if self._connection is None:
            _write_file(mail, message.message_id, message.created_at)
            return
        self._carried += 1
        _announce(self._connection, self._sender)
        _hand_over(self._connection, to, mail)
        self._used_at = time.monotonic()

    def close_if_idle(self) -> None:
        """Let go of a connection that nothing went over for a while."""
        if self._connection is not None and time.monotonic() - self._used_at > IDLE_SECONDS:
            self.close()

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _part(connection)


def _connect(url: str) -> smtplib.SMTP:
    """Return a new connection, encrypted where the server can, logged in where the address says how."""
    try:
        server = urlsplit(url)
        host, port = server.hostname or "localhost", server.port
        if server.scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port or 465, timeout=STEP_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = smtplib.SMTP(host, port or 25, timeout=STEP_SECONDS)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise ServerAway(_said(error)) from error
    try:
        connection.ehlo_or_helo_if_needed()
        if server.scheme != "smtps":
            _encrypt(connection, has_password=bool(server.username) and host not in LOOPBACK)
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
    except (OSError, smtplib.SMTPException, ValueError) as error:
        connection.close()
        raise ServerAway(_said(error)) from error
    except ServerAway:
        connection.close()
        raise
    return connection


def _encrypt(connection: smtplib.SMTP, *, has_password: bool) -> None:
    if connection.has_extn("starttls"):
        connection.starttls(context=ssl.create_default_context())
        connection.ehlo_or_helo_if_needed()
    elif has_password:
        raise ServerAway("The mail server offers no STARTTLS, so the password was not sent. Use smtps://.")


def _is_alive(connection: smtplib.SMTP) -> bool:
    """Tell whether a kept connection still answers, and make the server forget a mail that it refused half-way."""
    try:
        return connection.rset()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def _announce(connection: smtplib.SMTP, sender: str) -> None:
    """Name the sender. It is the same for all mails, so a refusal here is about us and not about the mail."""
    try:
        code, words = connection.mail(sender)
    except (OSError, smtplib.SMTPException) as error:
        raise ServerAway(_said(error)) from error
    if code != 250:
        raise ServerAway(_answer("MAIL", code, words))


def _hand_over(connection: smtplib.SMTP, to: str, mail: bytes) -> None:
    try:
        _judge("RCPT", *connection.rcpt(to))
        _judge("DATA", *connection.docmd("DATA"), good=354)
        connection.send(_DOT_FIRST.sub(b"..", mail) + b".\r\n")
        _judge("the end of the mail", *_verdict(connection))
    except (OSError, smtplib.SMTPException) as error:
        connection.close()  # it was left in the middle of anything
        raise NotNow(f"The connection was lost in the middle of the mail: {_said(error)}") from error


def _verdict(connection: smtplib.SMTP) -> tuple[int, bytes]:
    """Wait for what the server says of a whole mail, longer than for other answers."""
    if connection.sock is not None:
        connection.sock.settimeout(VERDICT_SECONDS)
    answer = connection.getreply()
    if connection.sock is not None:
        connection.sock.settimeout(STEP_SECONDS)
    return answer


def _judge(step: str, code: int, words: bytes, good: int = 250) -> None:
    """Do nothing for a good answer; raise what a bad one means, SMTPResponseException for one that makes no sense."""
    if code in (good, 251):
        return
    answer = _answer(step, code, words)
    if code in WITHOUT_LOGIN:
        raise ServerAway(answer)
    if 400 <= code <= 499:
        raise NotNow(answer)
    if not 500 <= code <= 599:
        raise smtplib.SMTPResponseException(code, words)
    found = _STATUS.match(words.decode("ascii", "replace"))
    status = found[0] if found else ""
    raise Refused(answer, status, is_wrong_mailbox=step == "RCPT" and status in WRONG_MAILBOX)


def _answer(step: str, code: int, words: bytes) -> str:
    return one_line(f"The mail server answered to {step}: {code} {words.decode('ascii', 'replace')}")


def _said(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")


def _part(connection: smtplib.SMTP) -> None:
    try:
        connection.quit()
    except (OSError, smtplib.SMTPException):
        connection.close()


def _write_file(mail: bytes, message_id: str, created_at: datetime) -> None:
    """Write the mail whole or not at all; its name sorts by time, and a second try replaces the first."""
    folder = Path(current_app.instance_path) / "mail"
    name = f"{created_at:%Y%m%dT%H%M%S%f}-{message_id.strip('<>').partition('@')[0]}"
    scratch = folder / f"{name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch.write_bytes(mail)
        scratch.replace(folder / f"{name}.eml")
    except OSError as error:
        raise ServerAway(_said(error)) from error
