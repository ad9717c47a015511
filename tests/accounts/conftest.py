"""What the account tests share: one known password, hashed once, and its owner."""

import pytest
from flask import Flask

from forum.accounts.password import hash_password
from tests.cast import Cast

PASSWORD = "a long enough password"
KNOWN = "known@mail.example"
UNKNOWN = "other@mail.example"


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Return what is stored of PASSWORD."""
    return hash_password(PASSWORD)


@pytest.fixture
def known(cast: Cast, password_hash: str) -> int:
    """Make the account KNOWN with PASSWORD and return its id."""
    return cast.user("Ada Known", email=KNOWN, password_hash=password_hash)


@pytest.fixture
def limits(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count how often things are done, as the running site does."""
    monkeypatch.setitem(app.config, "RATE_LIMITS", True)
