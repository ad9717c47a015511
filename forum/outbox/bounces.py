"""Mails that came back, read from a mailbox file of the messages that say so (RFC 3464)."""

import mailbox
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as Mail
from hashlib import sha256
from pathlib import Path

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select

from forum.database import db
from forum.outbox.message import Message
from forum.outbox.suppression import record_bounce
from forum.text.normal import one_line

LARGEST_MAIL_BYTES = 1 << 20
"""More of a mail is not read: what became of it stands before the copy of what was sent."""

LONGEST_WORDS = 500


@dataclass(frozen=True)
class Returned:
    """What one bounce message says of one address. `sent_as` are the Message-IDs of the mail that it returns."""

    address: str
    is_permanent: bool
    status: str
    words: str
    source: str
    sent_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotUnderstood:
    """A message of the mailbox that tells of no mail that came back."""

    subject: str


def bounces_in(path: Path) -> Iterator[Returned | NotUnderstood]:
    """Yield what each message of a mailbox file (mbox) says; the file is not changed.

    Raises: OSError; mailbox.Error, when it is no file.
    """
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            with box.get_file(key) as file:
                yield from _read(file.read(LARGEST_MAIL_BYTES))
    finally:
        box.close()


def keep(bounce: Returned) -> str | None:
    """Record a bounce and stop mail to an address that is gone for good; return whose it is, None if known before.

    The address is the one that we wrote to: a mailbox that forwards its mail returns it under another.
    """
    sent_to = select(Message.to_address).where(Message.message_id.in_(bounce.sent_as)).limit(1)
    address = db.session.scalar(sent_to) or bounce.address
    is_new = record_bounce(
        address,
        is_permanent=bounce.is_permanent,
        source=bounce.source,
        status=bounce.status,
        words=bounce.words,
    )
    return address if is_new else None


def _read(content: bytes) -> list[Returned] | list[NotUnderstood]:
    try:
        mail = message_from_bytes(content)
        parts = list(_own_parts(mail))
    except RecursionError:  # parts in parts in parts: made to harm
        return [NotUnderstood("a mail of too many parts in parts")]
    identity = _header(mail, "Message-ID") or sha256(content).hexdigest()
    sent_as = tuple(
        message_id
        for part in parts
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers")
        and (message_id := _message_id_of_original(part))
    )
    found = [
        returned
        for part in parts
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for block in part.get_payload()
        if isinstance(block, Mail) and (returned := _returned(block, identity, sent_as))
    ]
    return found or [NotUnderstood(_subject(mail))]


def _own_parts(mail: Mail) -> Iterator[Mail]:
    """Yield the parts of a mail, but not those of mails that it only carries along."""
    yield mail
    if mail.get_content_maintype() == "multipart" and mail.is_multipart():
        for part in mail.get_payload():
            if isinstance(part, Mail):
                yield from _own_parts(part)


def _message_id_of_original(part: Mail) -> str:
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Mail):
        return _header(payload[0], "Message-ID")
    return _header(message_from_bytes(str(payload).encode(errors="replace")), "Message-ID")


def _returned(block: Mail, identity: str, sent_as: tuple[str, ...]) -> Returned | None:
    """Return what the lines about one recipient say, None when they tell of no mail that came back."""
    action = _header(block, "Action").lower()
    if action not in ("failed", "delayed"):
        return None
    recipient = _header(block, "Original-Recipient") or _header(block, "Final-Recipient")
    try:
        address = recipient.rpartition(";")[2].strip(" <>")
        named = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        return None
    words = one_line(_header(block, "Diagnostic-Code").partition(";")[2])[:LONGEST_WORDS]
    status = _STATUS.search(_header(block, "Status")) or _STATUS.search(words) or _REPLY.match(words)
    if status is None:
        return None
    code = status[0]
    address = named.normalized.lower()
    return Returned(
        address=address,
        is_permanent=action == "failed" and code.startswith("5") and not _OTHERS_FAULT.match(code),
        status=code,
        words=words,
        source=sha256(f"{identity} {address} {code}".encode(errors="replace")).hexdigest(),
        sent_as=sent_as,
    )


_STATUS = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b")
_REPLY = re.compile(r"[45]\d\d\b")
_OTHERS_FAULT = re.compile(r"5\.(2\.[234]|[3567]\.)")
"""Codes of RFC 3463 that blame a full mailbox, a system, the mail or a policy such as a blocklist: not the address."""


def _subject(mail: Mail) -> str:
    try:
        words = str(make_header(decode_header(_header(mail, "Subject"))))
    except (ValueError, LookupError):  # not in the encoding that it says
        words = _header(mail, "Subject")
    return one_line(words[:1_000])[:100]


def _header(mail: Mail, name: str) -> str:
    return " ".join(str(mail.get(name, "")).split())
