"""Bringing readers in from Ghost and Substack: whose rows become accounts, and what is said of the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select

from forum import clock
from forum.accounts.user import User
from forum.archive.reader_file import GHOST_COLUMNS, ReaderFile
from forum.archive.readers import PIECE, Outcome, import_readers
from forum.database import db
from forum.site.audit import AuditEntry
from forum.subscriptions.letters import Letter, Pace, pace_of
from forum.subscriptions.subscription import Kind, Subscription
from tests.archive.conftest import Run
from tests.cast import Cast

GHOST = f"{','.join(GHOST_COLUMNS)}\n"


def people(app: Flask) -> dict[str, dict[str, Any]]:
    """Return what is known of everyone, by address."""
    with app.app_context():
        return {
            user.email: {
                "name": user.name,
                "joined": user.created_at.isoformat(),
                "confirmed": user.is_confirmed,
                "essays": pace_of(user, Letter.ESSAYS),
                "period": _period(db.session.get(Subscription, user.id)),
            }
            for user in db.session.scalars(select(User).order_by(User.id))
        }


def _period(row: Subscription | None) -> tuple[Any, ...] | None:
    return (row.kind, row.ends_at, row.cancelled_at) if row else None


def rows_of(app: Flask) -> dict[str, int]:
    """Return how many rows the tables have that an import may touch."""
    with app.app_context():
        tables = (User, Subscription, AuditEntry)
        return {one.__name__: db.session.scalar(select(func.count()).select_from(one)) or 0 for one in tables}


def test_ghosts_file_becomes_accounts_with_their_choices(app: Flask, bring: Run) -> None:
    done = bring(
        GHOST
        + "m1,Ada@Mail.example,Ada Holt,,true,false,cus_1,2024-01-15T10:00:00.000Z,,vip,\n"
        + 'm2,bo@mail.example,Bo Marsh,"two\nlines",false,true,,2024-02-15T10:00:00.000Z,,,Gold\n'
        + "m3,gone@mail.example,Gone Girl,,true,false,,2024-01-15T10:00:00.000Z,2025-01-15T10:00:00.000Z,,\n"
        + "m4,cy@mail.example,Cy Reed,,true,false,cus_2,2024-03-15T10:00:00.000Z,,,Gold\n"
    )
    assert done.exit_code == 0, done.output
    found = people(app)
    assert found["ada@mail.example"] == {
        "name": "Ada Holt",
        "joined": "2024-01-15T10:00:00+00:00",
        "confirmed": True,
        "essays": Pace.NOW,
        "period": None,
    }
    assert found["bo@mail.example"]["essays"] == Pace.NEVER
    assert found["bo@mail.example"]["period"] == (Kind.COMPLIMENTARY, None, None)
    assert "gone@mail.example" not in found
    # Ghost leaves the dates of paid members to Stripe, so that is said and not guessed.
    assert found["cy@mail.example"]["period"] is None
    assert "Line 6, cy@mail.example, new: “Cy Reed”, free, although it is paid there" in done.output
    assert "3 new, 0 here already and left as they are, 1 skipped, 0 wrong." in done.output
    with app.app_context():
        entry = db.session.scalars(select(AuditEntry)).one()
        assert (entry.act, entry.actor_id, entry.details) == (
            "import-readers",
            None,
            {"file": "members.csv", "new": 3, "skipped": 1},
        )


def test_substacks_files_tell_who_paid_and_until_when(app: Flask, bring: Run) -> None:
    now = clock.now()
    past, future = (now + timedelta(days=days) for days in (-40, 40))
    before, after = past.isoformat(), future.isoformat()
    bring(
        "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at\n"
        f"free@mail.example,false,,other,false,2023-01-01,\n"
        f"paid@mail.example,true,{after},yearly,false,2023-01-01,2024-01-01T00:00:00.000Z\n"
        f"gift@mail.example,true,{after},other,true,2023-01-01,\n"
        f"over@mail.example,false,{before},monthly,false,2023-01-01,2024-01-01T00:00:00.000Z\n"
        f"late@mail.example,true,{before},monthly,false,2023-01-01,2024-01-01T00:00:00.000Z\n"
    )
    bring(
        "Email,Name,Stripe plan,Cancel date,Start date,Paid upgrade date,Activity,Type,Expiration date\n"
        f"d-free@mail.example,Dee Free,,,2023-01-01,,5,Free,\n"
        f"d-paid@mail.example,Dee Paid,Monthly,{before},2023-01-01,2024-01-01,5,Paid,{after}\n"
        f"d-comp@mail.example,Dee Comp,,,2023-01-01,,5,Comp,{after}\n"
    )
    bring(
        "email,expiry,email_disabled,stripe_connected_customer_id,type\n"
        f"s-paid@mail.example,{after},false,cus_1,paid\n"
        f"s-gift@mail.example,{after},true,,gift\n"
        f"someone@deletion-request.substack.com,{after},true,,paid\n"
    )
    found = people(app)
    assert {address.partition("@")[0]: one["period"] for address, one in found.items()} == {
        "free": None,
        "paid": (Kind.PAID, future, None),
        "gift": (Kind.COMPLIMENTARY, future, None),
        "over": (Kind.PAID, past, past),  # it has ended, and no days of grace follow
        "late": (Kind.PAID, past, None),
        "d-free": None,
        "d-paid": (Kind.PAID, future, past),
        "d-comp": (Kind.COMPLIMENTARY, future, None),
        "s-paid": (Kind.PAID, future, None),
        "s-gift": (Kind.COMPLIMENTARY, future, None),
    }
    assert found["d-free@mail.example"]["name"] == "Dee Free"
    assert found["paid@mail.example"]["joined"] == "2023-01-01T00:00:00+00:00"
    never = [address.partition("@")[0] for address, one in found.items() if one["essays"] == Pace.NEVER]
    assert never == ["gift", "s-gift"]


def test_a_dry_run_tells_the_same_and_changes_nothing(cast: Cast, app: Flask, bring: Run) -> None:
    file = (
        "email,name\nnew@mail.example,New Person\nauthor@mail.example,Taker\nno address,Nobody\n"
        "new@mail.example,Again\nother@mail.example,new person\n"
    )
    before = rows_of(app)
    tried = bring(file, "--dry-run")
    assert rows_of(app) == before
    assert tried.output.splitlines()[1:7] == [
        "Line 2, new@mail.example, new: “New Person”, free",
        "Line 3, author@mail.example, here: has an account, which stays as it is",
        "Line 4, no address, wrong: This is not an e-mail address. It should look like name@mail.example.",
        "Line 5, new@mail.example, skipped: has the address of line 2",
        "Line 6, other@mail.example, new: “new person 2”, because “new person” is taken or cannot be a name, free",
        "Nothing was changed. 2 new, 1 here already and left as they are, 1 skipped, 1 wrong.",
    ]
    done = bring(file)
    assert tried.output.replace("Nothing was changed. ", "").splitlines()[6] in done.output
    assert people(app)["other@mail.example"]["name"] == "new person 2"


def test_a_second_run_changes_nothing(cast: Cast, app: Flask, bring: Run) -> None:
    file = "email,name,subscribed_to_emails\nnew@mail.example,New Person,false\nauthor@mail.example,Other,false\n"
    bring(file)
    once, counted = people(app), rows_of(app)
    assert once["author@mail.example"]["name"] == "author"
    assert once["author@mail.example"]["essays"] == Pace.NOW
    again = bring(file)
    assert (people(app), rows_of(app)) == (once, counted)
    assert "0 new, 2 here already and left as they are" in again.output


def test_wrong_rows_are_told_and_the_others_are_kept(app: Flask, bring: Run) -> None:
    done = bring(
        b"email,name,created_at,email_disabled\r\n"
        b"one@mail.example,One\x00,2024-01-01,false\r\n"
        b"two@mail.example,Tw\xff,2024-01-01,false\r\n"
        b"three@mail.example,Three,last year,false\r\n"
        b"four@mail.example,Four,2024-01-01,perhaps\r\n"
        b"five@mail.example,Five,2024-01-01,false,more\r\n"
        + b"six@mail.example,"
        + b"x" * 200_000
        + b",2024-01-01,false\r\n"
        + b"seven@mail.example,"
        + b"y" * 3_000_000
        + b",2024-01-01,false\r\n"
        b"=cmd|' /C calc'!A0,Eight,2024-01-01,false\r\n"
        b"nine@mail.example\r\n\r\n,,,\r\n"
        b"ten@mail.example,Ten Marsh,2024-01-01,\r\n"
    )
    assert done.exit_code == 1
    assert list(people(app)) == ["nine@mail.example", "ten@mail.example"]
    told = [line for line in done.output.splitlines() if ", wrong:" in line]
    expected = (
        *("NUL", "not UTF-8", "“last year” should be a date", "“perhaps” should be true or false"),
        *("5 cells for 4 columns", "too long", "too long", "not an e-mail address"),
    )
    for line, number, words in zip(told, range(2, 10), expected, strict=True):
        assert line.startswith(f"Line {number},"), line
        assert words in line
    assert "2 new, 0 here already and left as they are, 0 skipped, 8 wrong." in done.output


def test_a_quotation_mark_that_is_never_closed_spoils_its_own_lines_and_no_more(
    app: Flask, bring: Run
) -> None:
    filling = "".join(f"filler.{n}@mail.example,{'x' * 200}\n" for n in range(800))
    done = bring(f'email,note\none@mail.example,"open\n{filling}last@mail.example,fine\n')
    assert done.exit_code == 1
    assert "last@mail.example" in people(app)
    assert "Is a quotation mark missing its second?" in done.output


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("email\na@mail.example\n".encode("utf-16"), "is UTF-16. Save it as CSV in UTF-8"),
        ("email\na@mail.example\n".encode("utf-16-le"), "is UTF-16. Save it as CSV in UTF-8"),
        (b"name,address\nAda,a@mail.example\n", "there is no column “email”"),
        (b"", "there is no column “email”"),
        (b"a@mail.example\nb@mail.example\n", "there is no column “email”"),
        (b"email,name,E-mail,Email\n", "the columns “email” and “Email” say the same"),
        (b"email,expiry,Expiration date\n", "the columns “expiry” and “Expiration date” say the same"),
        (b"email,colour,Colour\n", "the columns “colour” and “Colour” say the same"),
        (b"x" * 3_000_000, "the first line cannot be read"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_in_one_sentence(
    app: Flask, bring: Run, content: bytes, reason: str
) -> None:
    done = bring(content)
    assert done.exit_code == 1
    assert reason in str(done.output)
    assert rows_of(app) == {"User": 0, "Subscription": 0, "AuditEntry": 0}


def test_columns_are_found_by_name_whatever_their_order_case_and_separator(app: Flask, bring: Run) -> None:
    done = bring(
        '\ufeffFavourite colour;NAME;"E-mail";EMAIL\r\n"blue;\r\nred";Ada Holt;x;ada@mail.example\r\n'
    )
    assert people(app)["ada@mail.example"]["name"] == "Ada Holt"
    assert done.output.count("these columns are not read: Favourite colour, E-mail.") == 1


def test_a_name_that_cannot_be_had_becomes_one_that_can(cast: Cast, app: Flask, bring: Run) -> None:
    cast.user("Ada Holt")
    long_name = "Ada " + "h" * 56
    cast.user(long_name, email="long@mail.example")
    rows = [
        *(
            "Ada Holt",
            "ADA HOLT",
            "ada hoIt",
            "",
            "\u202e",
            "x" * 61,
            "somebody@mail.example",
            "Аda",
            "王小明",
        ),
        long_name,
        *("Ida",) * 12,
    ]
    bring("email,name\n" + "".join(f"r{n}@mail.example,{name}\n" for n, name in enumerate(rows)))
    names = [one["name"] for address, one in people(app).items() if address.startswith("r")]
    assert names[:3] == ["Ada Holt 2", "ADA HOLT 3", "ada hoIt 4"]
    assert all(name.startswith("Reader ") and name[7:].isdigit() for name in names[3:8])
    assert names[8:10] == ["王小明", f"{long_name[:58]} 2"]
    assert names[10:19] == ["Ida", *(f"Ida {n}" for n in range(2, 10))]
    assert all(name[:4] == "Ida " and int(name[4:]) > 9 for name in names[19:])
    assert len(set(names)) == len(rows)


def test_what_somebody_else_takes_while_the_file_is_read_is_theirs(app: Flask, bring: Run) -> None:
    """Between the look and the insert another worker adds the address, as on PostgreSQL it can."""
    with app.app_context():
        engine = db.engine
    quick = [{"name": "Quick", "name_key": "quick", "email": "b@mail.example", "created_at": clock.now()}]

    def be_quicker(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO") and quick:
            connection.execute(insert(User).values(quick.pop()))

    event.listen(engine, "before_cursor_execute", be_quicker)
    done = bring("email,name\na@mail.example,Ann Lee\nb@mail.example,Ben Lee\n")
    event.remove(engine, "before_cursor_execute", be_quicker)
    assert done.exit_code == 1
    assert "Line 3, b@mail.example, wrong: Somebody took this address or name just now" in done.output
    found = people(app)
    assert (found["a@mail.example"]["name"], found["b@mail.example"]["name"]) == ("Ann Lee", "Quick")


def test_what_was_kept_is_recorded_also_when_the_import_is_stopped(
    app: Flask, bring: Run, tmp_path: Path
) -> None:
    file = "email\n" + "".join(f"r{n}@mail.example\n" for n in range(PIECE + 1))
    (tmp_path / "list.csv").write_text(file)

    def stop(_: Outcome) -> None:
        raise KeyboardInterrupt

    with app.app_context(), ReaderFile(tmp_path / "list.csv") as rows:
        with pytest.raises(KeyboardInterrupt):
            import_readers(rows, dry_run=False, report=stop, moved=lambda _: None)
        assert db.session.scalars(select(AuditEntry)).one().details == {"file": "list.csv", "new": PIECE}
    assert f"1 new, {PIECE} here already" in bring(file).output


def test_a_date_in_the_future_is_today(app: Flask, bring: Run) -> None:
    bring("email,created_at\na@mail.example,2999-01-01\n")
    joined = datetime.fromisoformat(people(app)["a@mail.example"]["joined"])
    assert joined <= datetime.now(UTC)


def test_what_lasts_longer_than_anybody_has_no_end(cast: Cast, app: Flask, bring: Run) -> None:
    done = bring("email,active_subscription,expiry,plan\nfor.ever@mail.example,true,9999-12-31,comp\n")
    assert done.exit_code == 0, done.output
    assert people(app)["for.ever@mail.example"]["period"] == (Kind.COMPLIMENTARY, None, None)
    with app.app_context():
        [user_id] = db.session.scalars(select(User.id).where(User.email == "for.ever@mail.example"))
    assert cast.sign_in(user_id).get("/account/subscription").status_code == 200
