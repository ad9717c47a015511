"""The reader's own page: what they have and until when, cancelling, taking it back, going on without."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from forum.database import db
from forum.site.audit import AuditEntry
from forum.subscriptions.subscription import Kind, Subscription
from tests.cast import Cast, Visitor, words

PAGE = "/account/subscription"
NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
LAST = datetime(2027, 5, 2, 23, 59, 59, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _today() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def acts(cast: Cast) -> list[tuple[str, int | None, str]]:
    with cast.app.app_context():
        found = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(entry.act, entry.actor_id, entry.subject) for entry in found]


def supporter(cast: Cast, ends_at: datetime | None = LAST, kind: Kind = Kind.PAID) -> Visitor:
    cast.subscribe(cast.reader.user_id or 0, kind, ends_at)
    return cast.reader


def test_cancelling_asks_once_ends_nothing_before_its_date_and_can_be_taken_back(cast: Cast) -> None:
    reader = supporter(cast)
    assert "Supporter until 2 May 2027" in words(reader.get("/account"))
    asked = words(reader.get(f"{PAGE}/cancel"))
    assert "lasts until 2 May 2027 and then ends. Nothing is taken back before." in asked
    assert cast.read(Subscription, reader.user_id).cancelled_at is None
    assert reader.post(f"{PAGE}/cancel").location == PAGE
    page = reader.get(PAGE)
    assert "Supporter, cancelled, ends on 2 May 2027" in words(page)
    assert f'action="{PAGE}/resume"' in page.text
    assert reader.post(f"{PAGE}/cancel").status_code == 409
    assert reader.post(f"{PAGE}/resume").location == PAGE
    assert "Supporter until 2 May 2027" in words(reader.get(PAGE))
    who = (reader.user_id, f"user:{reader.user_id}")
    assert acts(cast) == [("subscription-cancel", *who), ("subscription-resume", *who)]


def test_what_has_no_date_ends_at_once_as_the_page_says_first(cast: Cast) -> None:
    reader = supporter(cast, None, Kind.COMPLIMENTARY)
    assert "it ends today, at once. You go on as a free subscriber." in words(reader.get(f"{PAGE}/cancel"))
    assert reader.post(f"{PAGE}/cancel").status_code == 303
    assert cast.read(Subscription, reader.user_id) is None


def test_a_lapsed_reader_is_told_on_the_account_and_goes_on_as_a_free_subscriber(cast: Cast) -> None:
    reader = supporter(cast, NOW - timedelta(days=10))
    assert "Your subscription ended on 22 December 2026 . You can read what is free" in words(
        reader.get("/account")
    )
    assert reader.comment(cast.slug, "Let me in.").status_code == 403
    page = reader.get(PAGE)
    assert "Lapsed; Supporter until 22 December 2026" in words(page)
    assert f'action="{PAGE}/cancel"' not in page.text
    assert reader.get(f"{PAGE}/cancel").location == PAGE
    assert reader.post(f"{PAGE}/free").location == PAGE
    assert reader.comment(cast.slug, "Here again.").status_code == 303
    assert acts(cast) == [("subscription-free", reader.user_id, f"user:{reader.user_id}")]


def test_in_the_days_of_grace_both_dates_are_named(cast: Cast) -> None:
    reader = supporter(cast, NOW - timedelta(days=2))
    for path in ("/account", PAGE):
        page = words(reader.get(path))
        assert (
            "Your subscription ended on 30 December 2026 . Until 6 January 2027 you can read everything"
            in page
        )


def test_a_free_reader_has_nothing_to_cancel_and_is_offered_only_what_the_admin_offers(cast: Cast) -> None:
    page = cast.reader.get(PAGE)
    assert "Free" in words(page)
    assert "Supporter" not in words(page)
    for act in ("cancel", "resume", "free"):
        assert f'action="{PAGE}/{act}"' not in page.text
        answer = cast.reader.post(f"{PAGE}/{act}")
        assert answer.status_code == 409
        assert "Your subscription" in words(answer)
    assert acts(cast) == []


def test_nobody_changes_the_subscription_of_somebody_else(cast: Cast) -> None:
    reader = supporter(cast)
    cast.other_reader.post(f"{PAGE}/cancel", {"user_id": str(reader.user_id)})
    cast.stranger.post(f"{PAGE}/cancel")
    assert cast.read(Subscription, reader.user_id).cancelled_at is None
