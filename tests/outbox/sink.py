"""A real mail server on loopback that keeps what it is given and misbehaves when it is told to."""

import asyncio
import email
import email.policy
import socket
import threading
from collections.abc import Callable
from email.message import EmailMessage
from ssl import SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class Sink:
    """Keeps mails in `got`, unless told what to say instead of yes.

    `answers` has it by step (MAIL, RCPT, DATA) or by address; `verdicts` for the next mails in turn, each after
    some seconds.
    """

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.got: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.answers: dict[str, str] = {}
        self.connections: set[object] = set()
        self.verdicts: list[tuple[float, str]] = []
        self.in_hand = threading.Event()
        self.on_mail: Callable[[], None] = lambda: None
        self._options = options
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self, kind: type[SMTP] = SMTP, ssl_context: SSLContext | None = None) -> None:
        """Listen; `kind` is the server's side of a connection, with a context it is encrypted from the start."""
        sink, options = self, self._options

        class Here(Controller):
            def factory(self) -> SMTP:
                return kind(sink, **options)

        self._controller = Here(self, hostname="127.0.0.1", port=self.port, ssl_context=ssl_context)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def addresses(self) -> list[str]:
        """Return whom mails were for, sorted."""
        return sorted(str(mail["To"]) for mail in self.got)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        session.host_name = hostname
        self.connections.add(session.peer)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if answer := self.answers.get(address) or self.answers.get("RCPT"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        seconds, answer = self.verdicts.pop(0) if self.verdicts else (0, self.answers.get("DATA", "250 OK"))
        self.in_hand.set()
        self.on_mail()
        await asyncio.sleep(seconds)
        if answer.startswith("250"):
            self.raw.append(envelope.content)
            self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return answer


class Dying(SMTP):
    """Takes the first line of a mail and is gone."""

    async def smtp_DATA(self, arg):  # noqa: N802
        await self.push("354 Go on")
        await self._reader.readline()
        self.transport.abort()


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
