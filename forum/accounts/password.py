"""Passwords: hashed with argon2, few at a time, and checked in the same time whether or not there is one."""

import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD_CHARACTERS = 10
MAX_PASSWORD_CHARACTERS = 200

AT_ONCE = 2
"""Each hash takes 19 MiB and 40 ms of one core; more at once would only starve the pages."""

# OWASP's second profile for argon2id: 19 MiB, 2 passes, 1 lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_turns = BoundedSemaphore(AT_ONCE)
# Of the form and the costs of a true one, which would take 40 ms of every start. It fits no password.
_NOBODYS_HASH = f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p=1${'A' * 22}${'A' * 43}"


def hash_password(password: str) -> str:
    """Return what is stored of a password. Takes 40 ms: call it before the first SQL of a request."""
    with _turns:
        return _hasher.hash(_bytes(password))


def is_password(stored: str | None, password: str) -> bool:
    """Tell whether `password` is the one that was hashed; without a stored hash it takes as long and is not."""
    with _turns:
        try:
            fits = _hasher.verify(stored or _NOBODYS_HASH, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
    return fits and stored is not None


def needs_rehash(stored: str) -> bool:
    """Tell whether a hash was made with other costs than today's."""
    return _hasher.check_needs_rehash(stored)


def _bytes(password: str) -> bytes:
    # One keyboard sends é as one character, another as two; cut, so that nobody makes us hash a novel.
    return unicodedata.normalize("NFKC", password[:MAX_PASSWORD_CHARACTERS]).encode("utf-8", "surrogatepass")
