"""E-mail addresses: what may be one, in one spelling, and how much of it is shown."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import accumulate

from email_validator import EmailNotValidError, validate_email

MAX_ADDRESS_CHARACTERS = 254
"""The longest path that SMTP delivers to (RFC 5321, 4.5.3.1.3, less the brackets)."""


class BadAddress(ValueError):
    """Not an address; the message is a sentence for the person who typed it."""


def clean_address(address: str) -> str:
    """Return an address as it is stored and compared: lower case, its domain in Unicode.

    Raises: BadAddress, with a sentence for the person who typed it.
    """
    address = address.strip()
    if len(address) > MAX_ADDRESS_CHARACTERS:
        raise BadAddress(f"An address has at most {MAX_ADDRESS_CHARACTERS} characters.")
    try:
        # Letters beyond ASCII before the @ need a kind of mail that half of all servers refuse.
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError:
        raise BadAddress("This is not an e-mail address. It should look like name@mail.example.") from None
    if len(found.ascii_email or "") > MAX_ADDRESS_CHARACTERS:
        raise BadAddress(f"An address has at most {MAX_ADDRESS_CHARACTERS} characters.")
    return found.normalized.lower()


def is_disposable(address: str) -> bool:
    """Tell whether a clean address is of a service that lends them for an hour, by a list of such domains."""
    from disposable_email_domains import blocklist  # noqa: PLC0415  # 10,000 names that most sites never ask for

    domain = address.rpartition("@")[2].encode("idna").decode("ascii")
    return not blocklist.isdisjoint(_parents(domain))


def clean_domain(domain: str) -> str:
    """Return a domain as addresses have it: lower case, in Unicode.

    Raises: BadAddress, with a sentence for the person who typed it.
    """
    try:
        return clean_address(f"somebody@{domain.strip().removeprefix('@').removesuffix('.')}").partition("@")[
            2
        ]
    except BadAddress:
        raise BadAddress(
            f"“{domain.strip()[:60]}” is not a domain. It should look like mail.example."
        ) from None


def is_at(address: str, domains: Iterable[str]) -> bool:
    """Tell whether a clean address is at one of these domains, or below it."""
    return not frozenset(domains).isdisjoint(_parents(address.rpartition("@")[2]))


def masked(address: str) -> str:
    """Return an address as its owner knows it again and nobody else can use it: t•••k@mail.example."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••{local[-1:] if len(local) > 2 else ''}@{domain}"


def address_key(address: str) -> str:
    """Return the key under which limits count an address: of one length, and not the address itself."""
    return sha256(address.encode()).hexdigest()


def _parents(domain: str) -> Iterator[str]:
    """Return a domain and those that it is below: example, mail.example, post.mail.example."""
    return accumulate(reversed(domain.split(".")), lambda below, label: f"{label}.{below}")
