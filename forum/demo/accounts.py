"""The people of the demo, and as whom one can sign in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from forum import clock
from forum.accounts.password import hash_password
from forum.accounts.sign_up import make_user
from forum.accounts.user import Role, User
from forum.database import db
from forum.subscriptions.subscription import Kind, Subscription

PASSWORD = "slack-water-demo"  # noqa: S105 (printed by the command that makes the accounts)
MAIL_DOMAIN = "demo.example"

PEOPLE = Path(__file__).parent / "people.yaml"


@dataclass(frozen=True)
class Person:
    """One invented person; `joined` counts days before the demo is made. Without an address nobody signs in."""

    key: str
    name: str
    joined: float
    email: str = ""
    role: Role = Role.READER
    about: str = ""
    subscription: Kind | None = None
    ended: float | None = None
    """How many days before the demo is made the subscription ended, if it did."""


def read_people() -> list[Person]:
    """Return everyone, as the file has them."""
    rows = yaml.safe_load(PEOPLE.read_text(encoding="utf-8"))
    return [_person(key, row) for key, row in rows.items()]


def add_people(people: list[Person], now: datetime) -> dict[str, User]:
    """Add accounts, those with an address under the demo's password; returns them by their keys."""
    password_hash = hash_password(PASSWORD)
    return {person.key: _add(person, now, password_hash) for person in people}


def _person(key: str, row: dict[str, str]) -> Person:
    values = {name: value for name, value in row.items() if name not in ("role", "subscription")}
    kind = row.get("subscription")
    return Person(
        key,
        role=Role(row.get("role", Role.READER.value)),
        subscription=Kind(kind) if kind else None,
        **values,  # type: ignore[arg-type]  # the file's own columns
    )


def _add(person: Person, now: datetime, password_hash: str) -> User:
    with clock.at(now - timedelta(days=person.joined)):
        user = make_user(
            person.name,
            person.email or f"{person.key}@{MAIL_DOMAIN}",
            role=person.role,
            password_hash=password_hash if person.email else None,
            about=person.about,
        )
        if person.subscription is not None:
            began_at = clock.now() + timedelta(days=30)
            ends_at = None if person.ended is None else now - timedelta(days=person.ended)
            period = {"kind": person.subscription, "began_at": began_at, "ends_at": ends_at}
            db.session.add(Subscription(user_id=user.id, **period))
    return user
