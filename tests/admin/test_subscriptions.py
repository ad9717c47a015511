"""Subscriptions by hand: for one person, for many, from a file; each reviewed, audited and only for admins."""

import html
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import User
from forum.admin import batch
from forum.admin.period_file import LARGEST_KIB
from forum.database import db
from forum.site.audit import AuditEntry
from forum.subscriptions.subscription import Kind, Subscription
from forum.subscriptions.tier import Tier
from tests.cast import Cast, Visitor, words

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
LAST = datetime(2027, 5, 2, 23, 59, 59, tzinfo=UTC)
WHY = "They paid by post."
GRANT = {"act": "grant", "kind": "paid", "until": "2027-05-02", "reason": WHY}
BATCH = "/admin/users/subscriptions"
FILE = "/admin/subscriptions"
EVIL = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def _today() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def one(visitor: Visitor, user_id: int | None, **fields: Any) -> TestResponse:
    return visitor.post(f"/admin/users/{user_id}/subscription", GRANT | fields)


def rows(cast: Cast) -> dict[int, tuple[str, datetime | None]]:
    with cast.app.app_context():
        return {
            row.user_id: (row.kind.value, row.ends_at) for row in db.session.scalars(select(Subscription))
        }


def entries(cast: Cast) -> list[AuditEntry]:
    with cast.app.app_context():
        found = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        db.session.expunge_all()
        return list(found)


def hidden(page: TestResponse) -> dict[str, str]:
    """Return what the form of a review would send, but for the token."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in fields if name != "csrf_token"}


def send_file(visitor: Visitor, text: str | bytes, **fields: Any) -> TestResponse:
    content = text.encode() if isinstance(text, str) else text
    data = {"file": (io.BytesIO(content), "periods.csv"), "reason": WHY} | fields
    return visitor.post(FILE, data, content_type="multipart/form-data")


def test_an_admin_grants_extends_and_ends_and_each_is_in_the_log_with_old_and_new_dates(cast: Cast) -> None:
    admin, reader_id = cast.admin, cast.reader.user_id or 0
    assert one(admin, reader_id).location == f"/admin/users/{reader_id}"
    assert rows(cast) == {reader_id: ("paid", LAST)}
    page = words(admin.get(f"/admin/users/{reader_id}"))
    assert "Supporter until 2 May 2027" in page
    assert "Subscription granted" in page
    assert "free → paid until 2 May 2027, 23:59 UTC" in page
    assert one(admin, reader_id, act="extend", until="", days="10").status_code == 303
    assert rows(cast) == {reader_id: ("paid", LAST + timedelta(days=10))}
    assert one(admin, reader_id, act="end", until="").status_code == 303
    assert rows(cast) == {reader_id: ("paid", NOW)}
    found = entries(cast)
    acts = ["subscription-grant", "subscription-extend", "subscription-end"]
    assert [(entry.act, entry.actor_id, entry.subject, entry.reason) for entry in found] == [
        (act, admin.user_id, f"user:{reader_id}", WHY) for act in acts
    ]
    assert found[1].details["old"]["ends_at"] == LAST.isoformat()
    assert found[1].details["new"]["ends_at"] == (LAST + timedelta(days=10)).isoformat()
    assert "Lapsed; Supporter until 1 January 2027" in words(admin.get(f"/admin/users/{reader_id}"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reason": " "}, "Give a reason in one sentence."),
        ({"act": "delete"}, "Choose what to do."),
        ({"act": "role"}, "Choose what to do."),
        ({"kind": "king"}, "Choose paid or complimentary."),
        ({"until": "tomorrow"}, "Type a date as year-month-day"),
        ({"until": "2026-12-31"}, "31 December 2026 is over. Choose a later date."),
        ({"until": "9999-12-31"}, "Choose a date within a hundred years, or no end."),
        ({"days": "3"}, "Days are for extending. Give a date."),
        ({"act": "extend", "days": "3"}, "Give the days or the date, not both."),
        ({"act": "extend", "until": ""}, "Say until which date, or for how long."),
        ({"act": "extend", "until": "", "days": "0"}, "Extend by 1 to 3650 days."),
        ({"act": "extend", "until": "", "days": "x"}, "Type a whole number."),
        ({"act": "extend"}, "They have no period that could be extended. Grant one."),
        ({"act": "end", "until": ""}, "They have no period that could end."),
    ],
)
def test_what_cannot_be_done_is_said_with_what_was_typed_and_changes_nothing(
    cast: Cast, fields: dict[str, str], sentence: str
) -> None:
    answer = one(cast.admin, cast.reader.user_id, **fields)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert rows(cast) == {}
    assert entries(cast) == []
    if fields.get("act") in (None, "extend", "end") and "reason" not in fields:
        assert f'value="{WHY}"' in answer.text


@pytest.mark.parametrize("path", [BATCH, FILE, "/admin/tiers"])
def test_only_admins_in_good_standing_see_and_use_these_pages(cast: Cast, path: str) -> None:
    for who in (cast.reader, cast.moderator, cast.author):
        assert who.get(path).status_code == 403
        assert who.post(path if path != "/admin/tiers" else f"{path}/paid", GRANT).status_code == 403
        assert one(who, cast.newcomer.user_id).status_code == 403
    assert cast.stranger.get(path).location == f"/sign-in?next={path}"
    cast.change(User, cast.admin.user_id or 0, banned_at=clock.now())
    assert cast.admin.get(path).status_code == 403
    assert one(cast.admin, cast.newcomer.user_id).status_code == 403
    assert rows(cast) == {}


def test_those_chosen_in_the_list_are_reviewed_by_name_and_then_changed_each_with_an_entry(
    cast: Cast,
) -> None:
    admin, ids = cast.admin, [cast.user(name) for name in ("Ann", "Bob", "Cid")]
    cast.subscribe(ids[2], Kind.PAID)
    listed = admin.get("/admin/users").text
    assert f'name="who" value="{ids[0]}"' in listed
    chosen = admin.get(f"{BATCH}?who={ids[0]}&who={ids[1]}&who={ids[2]}&who=x&who={'9' * 30}&who=")
    assert "Subscriptions of 3 people" in words(chosen)
    review = admin.post(BATCH, GRANT | hidden(chosen))
    assert review.status_code == 200
    page = words(review)
    assert "The subscriptions of 2 people will change; 1 person changes nothing" in page
    assert "Ann Free Supporter until 2 May 2027" in page
    assert "Cid No change They have more already: without an end." in page
    assert ">Grant to 2 people<" in review.text
    assert rows(cast).keys() == {ids[2]}
    done = admin.post(BATCH, hidden(review))
    assert done.status_code == 303
    assert {user_id: row for user_id, row in rows(cast).items() if user_id != ids[2]} == {
        ids[0]: ("paid", LAST),
        ids[1]: ("paid", LAST),
    }
    assert [(entry.act, entry.subject, entry.reason) for entry in entries(cast)] == [
        ("subscription-grant", f"user:{user_id}", WHY) for user_id in ids[:2]
    ]


def test_a_button_that_is_pressed_twice_or_too_late_does_nothing_and_shows_what_is_now(cast: Cast) -> None:
    admin, ann, bob = cast.admin, cast.user("Ann"), cast.user("Bob")
    for user_id in (ann, bob):
        cast.subscribe(user_id, Kind.PAID, LAST)
    extend = {"act": "extend", "until": "", "days": "30", "reason": WHY, "people": f"{ann} {bob}"}
    form = hidden(admin.post(BATCH, extend))
    assert admin.post(BATCH, form).status_code == 303
    again = admin.post(BATCH, form)
    assert again.status_code == 409
    assert "Something changed since you looked." in words(again)
    assert rows(cast)[ann] == ("paid", LAST + timedelta(days=30))
    assert hidden(again)["seen"] != form["seen"]


def test_everybody_whom_the_list_found_can_be_chosen_up_to_a_limit(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = cast.admin
    for number in range(3):
        cast.user(f"Keeper {number}")
    assert "Subscriptions of all 3 found" in words(admin.get("/admin/users?q=Keeper"))
    chosen = admin.get(f"{BATCH}?all=1&q=Keeper&role=reader")
    assert "Subscriptions of 3 people" in words(chosen)
    assert len(hidden(chosen)["people"].split()) == 3
    assert "Nobody is chosen" in words(admin.get(BATCH))
    many = " ".join(map(str, range(1, batch.MOST_AT_ONCE + 2)))
    answer = admin.post(BATCH, GRANT | {"people": many})
    assert answer.status_code == 422
    assert "more than 5,000 people" in words(answer)


def test_a_batch_without_a_reason_shows_the_form_again_and_changes_nothing(cast: Cast) -> None:
    reader_id = cast.reader.user_id
    answer = cast.admin.post(BATCH, GRANT | {"people": str(reader_id), "reason": ""})
    assert answer.status_code == 422
    assert "Give a reason in one sentence." in words(answer)
    assert hidden(answer)["people"] == str(reader_id)
    assert 'value="2027-05-02"' in answer.text


def test_a_file_is_reported_line_by_line_and_applied_by_one_button(cast: Cast) -> None:
    admin, ann, bob = cast.admin, cast.user("Ann"), cast.user("Bob")
    lines = [
        "until;note;EMAIL; Kind ",
        "2027-05-02;=1+1;ANN@mail.example;Paid",
        "forever;;bob@mail.example;complimentary",
        ";;ann@mail.example;complimentary",
        "",
        "2027-05-02;;nobody@mail.example;paid",
        "02/05/2027;;reader@mail.example;paid",
        "2027-05-02;;=HYPERLINK(1);paid",
        "2027-05-02;;reader@mail.example;king",
        "2026-05-02;;author@mail.example;paid",
        "2027-05-02;reader@mail.example;paid",
        f"2027-05-02;;{EVIL[2:]};paid",
    ]
    cast.reader  # noqa: B018  # so that there is one
    review = send_file(admin, "\ufeff" + "\r\n".join(lines))
    assert review.status_code == 200
    page = words(review)
    assert "The subscriptions of 2 people will change; 8 lines change nothing" in page
    for said in (
        "Columns that are not read: note",
        "2 Ann , ann@mail.example Free Supporter until 2 May 2027",
        "3 Bob , bob@mail.example Free Complimentary, without an end",
        "4 ann@mail.example No change This address stands on line 2 already. That line counts.",
        "6 nobody@mail.example No change Nobody here has this address. No account is made.",
        "7 reader@mail.example No change The date is “02/05/2027”. Write it as 2027-01-31, or forever.",
        "8 =HYPERLINK(1) No change This is not an e-mail address.",
        "9 reader@mail.example No change The kind is “king”. It has to be paid or complimentary.",
        "10 author , author@mail.example No change 2 May 2026 is over. Choose a later date.",
        "11 reader@mail.example No change This line has 3 cells, the first line has 4.",
    ):
        assert said in page, said
    assert "<script>alert" not in review.text
    assert rows(cast) == {}
    assert entries(cast) == []
    form = hidden(review)
    done = admin.post(FILE, form, content_type="multipart/form-data")
    assert done.status_code == 303
    assert rows(cast) == {ann: ("paid", LAST), bob: ("complimentary", None)}
    assert [(entry.act, entry.subject) for entry in entries(cast)] == [
        ("subscription-grant", f"user:{user_id}") for user_id in (ann, bob)
    ]
    again = admin.post(FILE, form, content_type="multipart/form-data")
    assert again.status_code == 409
    assert "The subscriptions of 0 people will change" in words(again)
    assert "Grant to" not in again.text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The first line has to name the columns email, kind, until."),
        (b"email,kind\na@mail.example,paid", "Missing: until."),
        (
            b"email,kind,until,Email\na@mail.example,paid,,b@mail.example",
            "The column “email” is there twice.",
        ),
        (b"email,kind,until\n", "There is no line below the names of the columns."),
        (b"email,kind,until\na@mail.example,\xff,", "This is not text in UTF-8."),
        (b'email,kind,until\n"a@mail.example,paid,\n', "cannot be read: a quotation mark is missing"),
        (b"email,kind,until\n" + b"x" * 1024 * LARGEST_KIB, "The file is larger than 512 KB."),
        (b"email,kind,until\n" + b"a,paid,\n" * 5_001, "The file has more than 5,000 lines."),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused_with_the_cause(
    cast: Cast, content: bytes, sentence: str
) -> None:
    answer = send_file(cast.admin, content)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert f'value="{WHY}"' in answer.text


def test_a_file_without_a_reason_or_with_a_reason_too_long_changes_nothing(cast: Cast) -> None:
    text = "email,kind,until\nreader@mail.example,paid,\n"
    cast.reader  # noqa: B018  # so that there is one
    for reason, sentence in (("", "Give a reason in one sentence."), ("x" * 301, "under 300 characters")):
        answer = send_file(cast.admin, text, reason=reason)
        assert answer.status_code == 422
        assert sentence in words(answer)
    assert rows(cast) == {}


def test_a_thousand_people_are_reviewed_and_changed_by_one_button(cast: Cast) -> None:
    with cast.app.app_context():
        for number in range(1_000):
            address = f"reader{number}@mail.example"
            db.session.add(
                User(name=f"Reader {number}", email=address, created_at=NOW, email_confirmed_at=NOW)
            )
        db.session.commit()
    text = "email,kind,until\n" + "".join(f"reader{number}@mail.example,paid,\n" for number in range(1_000))
    review = send_file(cast.admin, text)
    assert ">Grant to 1,000 people<" in review.text
    assert cast.admin.post(FILE, hidden(review), content_type="multipart/form-data").status_code == 303
    assert len(rows(cast)) == len(entries(cast)) == 1_000


def test_the_overview_counts_people_by_subscription(cast: Cast) -> None:
    cast.subscribe(cast.user("Ann"), Kind.PAID, NOW - timedelta(days=2))
    cast.subscribe(cast.user("Bob"), Kind.COMPLIMENTARY)
    page = words(cast.admin.get(FILE))
    assert "Free 2 Supporter 0 Complimentary 1 In grace 1 Lapsed 0" in page


def test_a_tier_is_called_everywhere_as_the_admin_calls_it_and_its_words_are_only_text(cast: Cast) -> None:
    admin, reader = cast.admin, cast.reader
    one(admin, reader.user_id)
    saved = admin.post(
        "/admin/tiers/paid",
        {
            "name": "Patron <b>",
            "price": EVIL,
            "gives": f"One thing\n\n  {EVIL}  \n",
            "how": f"See https://pay.example/me {EVIL}",
            "is_offered": "y",
            "reason": WHY,
        },
    )
    assert saved.status_code == 303
    row = cast.read(Tier, "paid")
    assert (row.name, row.gives, row.is_offered) == ("Patron <b>", f"One thing\n{EVIL}", True)
    pages = {
        path: visitor.get(path)
        for visitor, path in (
            (admin, "/admin/users"),
            (admin, f"/admin/users/{reader.user_id}"),
            (admin, "/admin/tiers"),
            (admin, FILE),
            (reader, "/account"),
            (reader, "/account/subscription"),
        )
    }
    for path, page in pages.items():
        assert "Patron &lt;b&gt;" in page.text, path
        assert "<script>alert" not in page.text, path
        assert "Patron <b>" not in page.text, path
    own = pages["/account/subscription"].text
    assert '<a href="https://pay.example/me" rel="nofollow noopener">' in own
    free = cast.newcomer.get("/account/subscription").text
    assert "Patron &lt;b&gt;" in free
    assert "<script>alert" not in free
    entry = entries(cast)[-1]
    assert (entry.act, entry.subject, entry.reason) == ("tier", "tier:paid", WHY)
    assert entry.details["name"] == "Supporter → Patron <b>"
    log = admin.get("/admin/audit").text
    assert "Tier changed" in log
    assert "<script>alert" not in log


def test_a_tier_needs_a_name_and_a_reason_and_an_unknown_one_is_not_there(cast: Cast) -> None:
    fields = {"name": "Patron", "price": "", "gives": "", "how": "", "reason": WHY}
    for wrong, sentence in (
        ({"name": " "}, "Give the tier a name."),
        ({"name": "x" * 61}, "Keep the name under 60 characters."),
        ({"how": "x" * 301}, "Keep this under 300 characters."),
        ({"gives": "x" * 1_001}, "Keep this under 1000 characters."),
        ({"reason": ""}, "Give a reason in one sentence."),
    ):
        answer = cast.admin.post("/admin/tiers/free", fields | wrong)
        assert answer.status_code == 422
        assert sentence in words(answer)
    for nobody in ("grace", "lapsed", "king"):
        assert cast.admin.post(f"/admin/tiers/{nobody}", fields).status_code == 404
    assert cast.read(Tier, "free") is None
    assert entries(cast) == []
