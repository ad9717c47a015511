"""The reasons of reports and decisions: those that the forum comes with, in the admin's words, and the admin's own."""

from forum.discussion.report import REASONS
from forum.site.settings import site_settings

NEEDS_NOTE = "other"
"""The reason that says nothing without a note; it is always offered, after all others."""


def offered() -> dict[str, str]:
    """Return the sentences to choose from now, by code: the retired ones are left out."""
    stored = site_settings().reasons
    return {code: words for code, words in _all().items() if not stored.get(code, {}).get("is_retired")}


def retired() -> dict[str, str]:
    """Return the sentences that are not offered any more, by code; what was decided with them keeps them."""
    return {code: words for code, words in _all().items() if code not in offered()}


def words_of(code: str) -> str:
    """Return the sentence of a reason, also of one that was retired; "" for a code that there never was."""
    return _all().get(code, "")


def said(code: str, note: str) -> str:
    """Return why, as the person it concerns reads it; of “something else” the note is the reason."""
    words = words_of(code) if code != NEEDS_NOTE else ""
    quoted = f"“{note}”" if note else ""
    return f"{words}. {quoted}".strip() if words else quoted


def _all() -> dict[str, str]:
    stored = site_settings().reasons
    words = REASONS | {code: one["words"] for code, one in stored.items() if "words" in one}
    return {code: words[code] for code in sorted(words, key=NEEDS_NOTE.__eq__)}
