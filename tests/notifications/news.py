"""What the tests of news share: a moment to begin at, the worker's round, and the mails in the outbox."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.jobs import send_news
from forum.outbox.message import Message
from forum.subscriptions.letters import Letter, Pace, choose
from tests.cast import Cast, Visitor

MONDAY_NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

Traveller = time_machine.Traveller


def news(cast: Cast) -> int:
    """Let the worker write what is due now; returns how many mails it says that it wrote."""
    with cast.app.app_context():
        return send_news(clock.now())


def mails_to(cast: Cast, who: Visitor, kind: str | None = None) -> list[Message]:
    """Return the mails to a person, oldest first, detached."""
    theirs = select(Message).where(Message.user_id == who.user_id).order_by(Message.id)
    if kind is not None:
        theirs = theirs.where(Message.kind == kind)
    with cast.app.app_context():
        rows = list(db.session.scalars(theirs))
        db.session.expunge_all()
        return rows


def set_pace(cast: Cast, who: Visitor, letter: Letter, pace: Pace) -> None:
    """Let a person choose how often they get a letter."""
    with cast.app.app_context():
        choose(db.session.get_one(User, who.user_id), letter, pace)
        db.session.commit()


@pytest.fixture
def time() -> Iterator[Traveller]:
    """Let the test begin on a Monday at noon, and move the clock."""
    with time_machine.travel(MONDAY_NOON, tick=False) as traveller:
        yield traveller
