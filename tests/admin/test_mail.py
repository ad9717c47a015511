"""The page about mail: how it does, what failed, who gets none, what came back, each act with its reason."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from forum import clock
from forum.database import db
from forum.outbox.mail_server import lock_mail_server
from forum.outbox.message import Message
from forum.outbox.suppression import Bounce, Suppression, Why, suppress
from forum.site.audit import AuditEntry
from tests.cast import Cast, words

HOUR = timedelta(hours=1)


def mail(cast: Cast, to_address: str, **columns: Any) -> int:
    """Put a mail into the outbox that was due an hour ago, and return its id."""
    now = clock.now()
    values = {
        "kind": "new-essay",
        "subject": "A subject",
        "text": "t",
        "html": "h",
        "message_id": f"<{to_address}{now.timestamp()}@mail.example>",
        "created_at": now - HOUR,
        "not_before": now - HOUR,
    }
    with cast.app.app_context():
        row = Message(to_address=to_address, **(values | columns))
        db.session.add(row)
        db.session.commit()
        return row.id


def failed(cast: Cast, to_address: str, error: str = "550 no such user") -> int:
    return mail(cast, to_address, failed_at=clock.now(), tries=3, last_error=error)


def stop(cast: Cast, address: str, why: Why = Why.BOUNCED, note: str = "") -> None:
    with cast.app.app_context():
        suppress(address, why, note)
        db.session.commit()


def audited(cast: Cast) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return every audited act: what, about whom, why, with its details."""
    with cast.app.app_context():
        rows = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        return [(row.act, row.subject, row.reason, row.details) for row in rows]


def test_a_failing_server_is_told_with_its_words_and_the_next_try(cast: Cast) -> None:
    with cast.app.app_context():
        row = lock_mail_server()
        row.failing_since, row.failures = clock.now() - HOUR, 7
        row.next_try_at, row.last_error = clock.now() + HOUR, "Connection <refused>"
        db.session.commit()
    mail(cast, "one@mail.example")
    page = words(cast.admin.get("/admin/mail"))
    assert "The mail server takes no mail" in page
    assert "7 tries. Everything waits and nothing is lost. The next try is at" in page
    assert "Connection <refused>" in page
    assert "1 mail, the oldest since" in page
    assert "no worker is running" not in page


def test_mails_that_wait_while_none_leaves_point_to_the_missing_worker(cast: Cast) -> None:
    assert "no worker is running" not in words(cast.admin.get("/admin/mail"))
    mail(cast, "one@mail.example")
    mail(cast, "later@mail.example", not_before=clock.now() + HOUR)
    page = words(cast.admin.get("/admin/mail"))
    assert "It seems that no worker is running" in page
    assert "2 mails, the oldest since" in page
    with cast.app.app_context():
        lock_mail_server().last_sent_at = clock.now()  # a long queue, of which some leave
        db.session.commit()
    assert "no worker is running" not in words(cast.admin.get("/admin/mail"))


def test_failed_mails_are_listed_with_their_errors_and_tried_again_one_or_all(cast: Cast) -> None:
    ids = [failed(cast, f"{name}@mail.example", f"550 <{name}> is gone") for name in ("one", "two", "three")]
    mail(cast, "sent@mail.example", sent_at=clock.now())
    stop(cast, "two@mail.example")
    page = words(cast.admin.get("/admin/mail"))
    assert "Given up 3 mails" in page
    for name in ("one", "two", "three"):
        assert f"550 <{name}> is gone" in page
    assert "two@mail.example Stopped" in page
    answer = cast.admin.post("/admin/mail/retry", {"message": str(ids[0]), "reason": "They wrote to us."})
    assert (answer.status_code, answer.location) == (303, "/admin/mail")
    assert [cast.read(Message, one).failed_at is None for one in ids] == [True, False, False]
    again = cast.admin.post("/admin/mail/retry", {"message": str(ids[0]), "reason": "Twice."})
    assert again.status_code == 422
    assert "no such mail any more that was given up" in words(again)
    cast.admin.post("/admin/mail/retry")
    assert all(cast.read(Message, one).failed_at is None for one in ids)
    assert audited(cast) == [
        ("retry-mail", "mail", "They wrote to us.", {"mails": 1}),
        ("retry-mail", "mail", "", {"mails": 2}),
    ]
    for nonsense in ("x", "-1", "9" * 30, "٣"):
        assert cast.admin.post("/admin/mail/retry", {"message": nonsense}).status_code == 400


def test_many_failed_mails_come_a_page_at_a_time(cast: Cast) -> None:
    for number in range(51):
        failed(cast, f"r{number}@mail.example")
    assert "Given up 51 mails" in words(cast.admin.get("/admin/mail"))
    second = cast.admin.get("/admin/mail?page=2")
    assert second.text.count('name="message"') == 1
    assert cast.admin.get("/admin/mail?page=3").status_code == 404


def test_mail_to_an_address_is_stopped_and_allowed_again_each_with_a_reason(cast: Cast) -> None:
    reader = cast.reader.user_id
    address = "reader@mail.example"
    for data in ({"email": address, "reason": ""}, {"email": "no address", "reason": "Asked."}):
        answer = cast.admin.post("/admin/mail/stopped", data)
        assert answer.status_code == 422
        assert data["email"] in answer.text
    assert cast.read(Suppression, address) is None
    cast.admin.post("/admin/mail/stopped", {"email": " Reader@Mail.example ", "reason": "Asked by letter."})
    row = cast.read(Suppression, address)
    assert (row.why, row.note, row.by_id) == (Why.BY_HAND, "Asked by letter.", cast.admin.user_id)
    once_more = cast.admin.post("/admin/mail/stopped", {"email": address, "reason": "Again."})
    assert "Mail to this address is stopped already." in words(once_more)
    assert "stopped : by hand on" in words(cast.admin.get(f"/admin/users/{reader}"))

    asked = cast.admin.get(f"/admin/mail/stopped/lift?address={address}")
    assert "Asked by letter." in words(asked)
    assert cast.admin.post("/admin/mail/stopped/lift", {"address": address}).status_code == 422
    done = cast.admin.post("/admin/mail/stopped/lift", {"address": address, "reason": "Asked again."})
    assert (done.status_code, done.location) == (303, "/admin/mail/stopped")
    assert cast.read(Suppression, address) is None
    late = cast.admin.post("/admin/mail/stopped/lift", {"address": address, "reason": "Late."})
    assert late.location == "/admin/mail/stopped"
    assert "stopped : by hand" not in words(cast.admin.get(f"/admin/users/{reader}"))
    assert audited(cast) == [
        ("stop-mail", f"user:{reader}", "Asked by letter.", {"address": address}),
        ("allow-mail", f"user:{reader}", "Asked again.", {"address": address}),
    ]


def test_stopped_addresses_are_found_by_a_part_and_paged(cast: Cast) -> None:
    for number in range(51):
        stop(cast, f"r{number}@mail.example")
    stop(cast, "100%_odd@mail.example", Why.BY_HAND, "Reported <us> as spam")
    assert "52 addresses, page 1 of 2" in words(cast.admin.get("/admin/mail/stopped"))
    found = words(cast.admin.get("/admin/mail/stopped", query_string={"q": "%_ODD"}))
    assert "1 address. Show all" in found
    assert "100%_odd@mail.example" in found
    assert "by hand Reported <us> as spam" in found
    assert "No such address has “ nobody ”" in words(cast.admin.get("/admin/mail/stopped?q=nobody"))
    assert cast.admin.get("/admin/mail/stopped?page=9").status_code == 404


@pytest.mark.parametrize(("answer", "is_stopped"), [("permanent", True), ("passing", False)])
def test_a_bounce_is_entered_by_hand(cast: Cast, answer: str, is_stopped: bool) -> None:
    stranger = "x" * 60 + "@" + "mail." * 20 + "example"  # longer than the log's column for whom it is about
    wrong = cast.admin.post(
        "/admin/mail/bounces", {"email": stranger, "kind": "other", "reason": "It said so."}
    )
    assert wrong.status_code == 422
    assert "Choose one of the two." in words(wrong)
    data = {"email": stranger, "kind": answer, "reason": "It said so."}
    assert cast.admin.post("/admin/mail/bounces", data).status_code == 303
    with cast.app.app_context():
        bounce = db.session.scalars(select(Bounce)).one()
        assert (bounce.address, bounce.is_permanent, bounce.words) == (stranger, is_stopped, "It said so.")
    assert (cast.read(Suppression, stranger) is not None) == is_stopped
    assert [entry[:3] for entry in audited(cast)] == [("bounce", "mail", "It said so.")]
    assert "The last bounce From" in words(cast.admin.get("/admin/mail"))
    assert stranger in words(cast.admin.get("/admin/audit"))


@pytest.mark.parametrize("path", ["/admin/mail", "/admin/mail/stopped"])
def test_only_admins_see_the_pages_about_mail(cast: Cast, path: str) -> None:
    assert cast.admin.get(path).status_code == 200
    for who in (cast.reader, cast.moderator, cast.author):
        assert who.get(path).status_code == 403
