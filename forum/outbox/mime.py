"""A stored mail as it travels: its headers, a text and the same in HTML."""

import re
from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from typing import Any

import idna
from flask import current_app

from forum.outbox.message import Message
from forum.outbox.one_click import MARK, unsubscribe_url
from forum.text.normal import one_line

IDENTIFIERS = ("in-reply-to", "references", "list-id", "list-unsubscribe", "list-unsubscribe-post")
LONGEST_LINE = 998
"""Of a header, in characters (RFC 5322, 2.1.1)."""

_ONE_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+@[\w.-]+", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class _Taken(UnstructuredHeader, BaseHeader):
    """A header whose value is taken as it was given: what looks like an encoded word in it is none."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds.update(decoded=value, parse_tree=None)


class _Whole(_Taken):
    """A header of addresses or identifiers, one on a line: Python would write a long one as encoded words."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(str(self).split())}{policy.linesep}"


class _Words(_Taken):
    """A header of words: the folding of Python 3.11 loses blanks between those beyond ASCII, the older one does not."""

    def fold(self, *, policy: Policy) -> str:
        charset = "us-ascii" if self.isascii() and "=?" not in self else "utf-8"
        words = Header(str(self), charset, header_name=self.name)
        return f"{self.name}: {words.encode(linesep=policy.linesep)}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("subject", _Words)
for _name in IDENTIFIERS:
    _HEADERS.map_to_type(_name, _Whole)

POLICY = SMTP.clone(header_factory=_HEADERS, cte_type="7bit")  # so that no server on the way must recode it


def as_mail(message: Message) -> EmailMessage:
    """Return a stored mail as it travels: text first, HTML beside it, the same Message-ID at every try.

    Raises: ValueError, when a header would hold more than it should.
    """
    words, stop_url = message.words, _stop_url(message)
    mail = EmailMessage(policy=POLICY)
    mail["Subject"] = one_line(words.subject)
    mail["From"] = _address(current_app.config["MAIL_FROM"], current_app.config["SITE_NAME"])
    mail["To"] = _address(message.to_address)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = _plain(message.message_id)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices in return
    for name, value in _more_headers(message, stop_url).items():
        if not _HEADER_NAME.fullmatch(name) or name in mail:
            raise ValueError(f"{name!r} cannot be added to the headers of a mail")
        mail[name] = _plain(value)
    mail.set_content(words.text.replace(MARK, stop_url))
    mail.add_alternative(words.html.replace(MARK, stop_url), subtype="html")
    return mail


def ascii_address(address: str) -> str:
    """Return an address as SMTP takes it, its domain in ASCII. Raises: ValueError, unless it is one plain address."""
    local, _, domain = address.rpartition("@")
    found = f"{local}@{ascii_domain(domain)}"
    if not _ONE_ADDRESS.fullmatch(found):
        raise ValueError(f"{address[:80]!r} is not one address")
    return found


def ascii_domain(domain: str) -> str:
    """Return a domain as it is looked up. Raises: ValueError.

    By IDNA 2008, as addresses are checked; Python's own codec would send a mail to straße.example to strasse.example.
    """
    return domain if domain.isascii() else idna.encode(domain).decode("ascii")


def _more_headers(message: Message, stop_url: str) -> dict[str, str]:
    """Return the headers stored with a mail, and those by which a mail program offers to stop its letter (RFC 8058)."""
    if message.user_id is None or not message.letter:
        return message.headers
    return {
        **message.headers,
        "List-Id": f"<{message.letter}.{current_app.config['MAIL_DOMAIN']}>",
        "List-Unsubscribe": f"<{stop_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _stop_url(message: Message) -> str:
    """Return what stands where the words say `unsubscribe_url`: with no letter to stop, the page of all letters."""
    if message.user_id is not None and message.letter:
        return unsubscribe_url(message.user_id, message.letter)
    return f"{current_app.config['SITE_URL']}/account/letters"


def _address(address: str, name: str = "") -> Address:
    """Return an address as a header takes it."""
    local, _, domain = ascii_address(address).rpartition("@")
    return Address(one_line(name), local, domain)


def _plain(value: str) -> str:
    """Return the value of a header that only programs read. Raises: ValueError, unless it is one line of ASCII."""
    if not value.isascii() or not value.isprintable() or len(value) > LONGEST_LINE:
        raise ValueError(f"{value[:80]!r} is not one short line of plain characters")
    return value
