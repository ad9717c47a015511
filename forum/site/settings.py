"""Settings that an admin may change while the site runs, with their defaults and what they mean."""

from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flask import g
from sqlalchemy import JSON, String, select
from sqlalchemy.orm import Mapped, mapped_column

from forum.database import Base, db


class Premoderation(StrEnum):
    """Which comments wait for a moderator before others see them."""

    ALL = "all"
    FIRST = "first"
    NONE = "none"


@dataclass(frozen=True)
class SiteSettings:
    """The numbers of the discussion and the words of the site; the field's own numbers are in docs/."""

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

    @property
    def edit_window(self) -> timedelta:
        """Return how long a writer may repair a comment without another look."""
        return timedelta(minutes=self.edit_window_minutes)


class Setting(Base):
    """One setting that differs from its default."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


def site_settings() -> SiteSettings:
    """Return the settings in force; one query for the first call in a request."""
    if "site_settings" not in g:
        stored = {row.name: row.value for row in db.session.scalars(select(Setting))}
        known = {field.name for field in fields(SiteSettings)}
        values = {name: value for name, value in stored.items() if name in known}
        if "premoderation" in values:
            values["premoderation"] = Premoderation(values["premoderation"])
        g.site_settings = SiteSettings(**values)
    settings: SiteSettings = g.site_settings
    return settings


def change_setting(name: str, value: Any) -> None:
    """Store one setting; the caller has validated it and records the change in the audit log."""
    row = db.session.get(Setting, name)
    if row is None:
        db.session.add(Setting(name=name, value=value))
    else:
        row.value = value
    g.pop("site_settings", None)
