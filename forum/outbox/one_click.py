"""The address in a mail under which one letter to one person is stopped, without signing in (RFC 8058)."""

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

MARK = "https://unsubscribe.invalid/"
"""Stands in stored mails where the address goes: it differs for each reader, and their words are shared."""


def unsubscribe_url(user_id: int, letter: str) -> str:
    """Return the address that stops a letter to a person. It works for ever: old mails are opened late."""
    return f"{current_app.config['SITE_URL']}/unsubscribe/{_signer().dumps([user_id, letter])}"


def read_token(token: str) -> tuple[int, str] | None:
    """Return (user id, letter) of the end of such an address; None: forged, damaged, or for another purpose."""
    try:
        user_id, letter = _signer().loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return user_id, letter


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="unsubscribe")
