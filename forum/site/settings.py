"""Settings that an admin may change while the site runs, with their defaults and what they mean."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from flask import current_app, g
from sqlalchemy import JSON, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, db, insert_unless_there


class Premoderation(StrEnum):
    """Which comments wait for a moderator before others see them."""

    ALL = "all"
    FIRST = "first"
    NONE = "none"


@dataclass(frozen=True)
class SiteSettings:
    """The numbers of the discussion and the words of the site, as they are until an admin changes them."""

    tagline: str = "Essays, and the letters they bring."
    house_rules: str = (
        "Answer the text, not the person. Say where your facts come from. Sign what you would say aloud."
    )
    premoderation: Premoderation = Premoderation.FIRST
    first_comments_held: int = 2
    edit_window_minutes: int = 15
    threads_per_page: int = 50
    posts_in_burst: int = 5
    posts_per_hour: int = 10
    new_reader_wait_seconds: int = 30
    same_text_minutes: int = 6
    reports_that_fold: int = 3
    appeal_days: int = 14
    grace_days: int = 7
    mails_per_minute: int = 600
    digest_hour: int = 7
    moderation_digest_hours: int = 3
    supporter_marks: bool = True
    refuse_disposable: bool = False
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the moderation rules say that are not as they come, by kind: see `discussion/rules.py`."""
    reasons: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The reasons that are not as they come, by code: "words", and "is_retired". See `discussion/reasons.py`."""
    blocked_domains: tuple[str, ...] = ()
    public_log: bool = False
    learns: bool = True
    second_looks: bool = True
    page_version: str = ""
    """Another word with every change of what stands on the pages of essays: no kept page outlives it."""

    @cached_property
    def derived(self) -> dict[str, Any]:
        """Return what was made of these settings, kept with them for whoever made it."""
        return {}

    @property
    def edit_window(self) -> timedelta:
        """Return how long a writer may repair a comment without another look."""
        return timedelta(minutes=self.edit_window_minutes)


HAVE_PAGES = ("rules", "reasons", "blocked_domains", "premoderation", "first_comments_held", "page_version")
"""Settings that the settings page leaves alone: pages of their own change them, or the site itself does."""

LONGEST_TAGLINE = 200
LONGEST_HOUSE_RULES = 4_000


@dataclass(frozen=True)
class Number:
    """What a number among the settings is called, what it may be, and what follows from it."""

    label: str
    unit: str
    least: int
    most: int
    consequence: str
    section: str = "discussion"


NUMBERS = {
    "edit_window_minutes": Number(
        "Time to repair a comment",
        "minutes",
        0,
        1_440,
        "Until then, while nobody has replied, an edit shows at once. Later the old text stays while the new waits.",
    ),
    "threads_per_page": Number(
        "Threads on a page", "threads", 5, 200, "More make longer pages, which take longer to arrive."
    ),
    "posts_in_burst": Number(
        "Comments in ten minutes",
        "comments",
        1,
        1_000,
        "Who writes more is told when they can post again. Moderators are not counted.",
    ),
    "posts_per_hour": Number(
        "Comments in an hour",
        "comments",
        1,
        1_000,
        "The same over an hour. It should not be less than in ten minutes.",
    ),
    "new_reader_wait_seconds": Number(
        "Wait between a new reader’s comments",
        "seconds",
        0,
        3_600,
        "Slows down whoever signs up to flood a discussion. New is who still has first comments that wait.",
    ),
    "same_text_minutes": Number(
        "The same words again",
        "minutes",
        0,
        1_440,
        "Words that their writer posted less than this ago are refused. 0 takes them every time.",
    ),
    "reports_that_fold": Number(
        "Reports that fold a comment",
        "readers",
        1,
        100,
        "When so many readers with a posted comment report one, it waits out of sight. Who is often wrong counts less.",
    ),
    "appeal_days": Number(
        "Time to appeal", "days", 0, 365, "How long the writer of a removed comment can ask for another look."
    ),
    "grace_days": Number(
        "Days of grace",
        "days",
        0,
        90,
        "After its date a paid subscription that was not cancelled goes on reading, and writing in its own threads.",
        "subscriptions",
    ),
    "mails_per_minute": Number(
        "Mails in a minute",
        "mails",
        1,
        100_000,
        "Not more leave, whatever waits: many mail servers refuse those who hurry. Sign-in mails go first.",
        "subscriptions",
    ),
    "digest_hour": Number(
        "Hour of the digests",
        "o’clock UTC",
        0,
        23,
        "Daily digests leave at this hour, weekly ones on Monday.",
        "subscriptions",
    ),
    "moderation_digest_hours": Number(
        "Mails about what waits",
        "hours apart",
        1,
        168,
        "While comments wait for a decision, authors and moderators hear of it at most this often.",
        "subscriptions",
    ),
}
"""Every number of SiteSettings, in the order in which the settings page shows them."""


@dataclass(frozen=True)
class Switch:
    """What a switch among the settings is called, and what follows from it."""

    label: str
    consequence: str


SWITCHES = {
    "supporter_marks": Switch(
        "Mark supporters’ comments",
        "Comments that were written with a paid subscription say so, unless their writer turned that off.",
    ),
    "refuse_disposable": Switch(
        "Refuse throw-away addresses",
        "Nobody can subscribe with an address of a service that lends them for an hour. Accounts that are there stay.",
    ),
    "public_log": Switch(
        "Publish what the moderators do",
        "A page that everybody can open lists each decision with its day and its reason, without names and words.",
    ),
    "learns": Switch(
        "Learn from decisions",
        "New comments that look like what you remove wait for you. Nothing leaves this machine.",
    ),
    "second_looks": Switch(
        "Second looks",
        "Now and then an old decision comes back, blind, to tell you how often you agree with yourself.",
    ),
}
"""Every switch of SiteSettings."""


Known = tuple[Mapping[str, Any], SiteSettings]
KNOWN = "site_settings"
"""Under this name an app keeps what it saw stored last, and the settings that it made."""


class Setting(Base):
    """One setting that differs from its default."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


PAGE_VERSION = select(Setting.value).where(Setting.name == "page_version")
"""Selects the version of the settings, for a statement that reads other things as well: see are_in_force()."""


def site_settings() -> SiteSettings:
    """Return the settings in force; one query for the first call in a request."""
    if "site_settings" not in g:
        stored = {row.name: row.value for row in db.session.execute(select(Setting.name, Setting.value))}
        known: Known | None = current_app.extensions.get(KNOWN)
        if known is None or known[0] != stored:
            known = current_app.extensions[KNOWN] = (stored, _settings_of(stored))
        g.site_settings = known[1]
    settings: SiteSettings = g.site_settings
    return settings


def settings_last_seen() -> SiteSettings:
    """Return the settings as this process saw them last, to be proved by are_in_force(). At most one query."""
    known: Known | None = current_app.extensions.get(KNOWN)
    return known[1] if known is not None else site_settings()


def are_in_force(settings: SiteSettings, version: str | None) -> bool:
    """Tell whether settings are those of the version that was just read; then the request goes by them.

    Else whoever asks for the settings next reads them.
    """
    is_so = settings.page_version == (version or "")
    if is_so:
        g.site_settings = settings
    else:
        g.pop("site_settings", None)
    return is_so


def _settings_of(stored: Mapping[str, Any]) -> SiteSettings:
    known = {one.name for one in fields(SiteSettings)}
    values = {name: value for name, value in stored.items() if name in known}
    if "premoderation" in values:
        values["premoderation"] = Premoderation(values["premoderation"])
    if "blocked_domains" in values:
        values["blocked_domains"] = tuple(values["blocked_domains"])
    return SiteSettings(**values)


def change_setting(name: str, value: Any) -> None:
    """Store one setting; the caller has validated it and records the change in the audit log."""
    row = db.session.get(Setting, name)
    if row is None:
        db.session.add(Setting(name=name, value=value))
    else:
        row.value = value
    renew_pages()


def renew_pages() -> None:
    """Note that something was changed that every page may show, so that none is shown as it was kept."""
    changed = {"name": "page_version", "value": secrets.token_hex(8)}
    db.session.execute(insert_unless_there(Setting, **changed))
    db.session.execute(update(Setting).filter_by(name=changed["name"]).values(value=changed["value"]))
    g.pop("site_settings", None)
