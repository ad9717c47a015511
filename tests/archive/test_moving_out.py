"""Taking all readers out: Ghost's columns, safe to open in a spreadsheet, and the way back."""

import csv
import io
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.archive.reader_file import GHOST_COLUMNS, Arrival, ReaderFile, guarded
from forum.database import db
from forum.subscriptions.letters import Letter, Pace, choose
from forum.subscriptions.subscription import Kind, Subscription
from tests.archive.conftest import Run
from tests.archive.test_moving_in import people
from tests.cast import Cast
from tests.conftest import empty

LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
NASTY = st.text(st.sampled_from("=+-@\t\r'\";,aé\n \u200d0|"), max_size=8) | st.text(LETTERS, max_size=20)


def test_the_export_has_ghosts_columns_and_every_confirmed_reader(cast: Cast, app: Flask, run: Run) -> None:
    now = clock.now()
    ada = cast.user("Ada Holt")
    cast.user("Not Yet", email_confirmed_at=None)
    cast.subscribe(ada, Kind.PAID, now + timedelta(days=9))
    done = run("readers", "export")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == ",".join(GHOST_COLUMNS)
    found = {row["email"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert list(found) == ["author@mail.example", "ada.holt@mail.example"]
    row = found["ada.holt@mail.example"]
    assert (row["subscribed_to_emails"], row["complimentary_plan"], row["tiers"]) == (
        "true",
        "false",
        "Supporter",
    )
    assert row["note"].startswith("Paid from ")
    assert "2 readers exported." in done.stderr


def test_what_was_exported_and_imported_again_is_the_same(
    cast: Cast, app: Flask, run: Run, tmp_path: Path
) -> None:
    now = clock.now()
    for name in (
        "=1+1",
        "+Plus",
        "-Minus",
        "@at",
        "'=quoted",
        "''",
        "'Ada",
        'Quo"te',
        "Com,ma",
        "Semi;colon",
    ):
        cast.user(f"{name} x", email=f"{len(name)}{ord(name[0])}{ord(name[1])}@mail.example")
    cast.user("Plus Address", email="+plus@mail.example")
    cast.user("Formula Address", email="=1+1@mail.example")
    for number, (kind, ends_at) in enumerate(
        [
            (Kind.PAID, now + timedelta(days=3)),
            (Kind.PAID, now - timedelta(days=400)),
            (Kind.PAID, None),
            (Kind.COMPLIMENTARY, None),
            (Kind.COMPLIMENTARY, now + timedelta(days=3)),
        ]
    ):
        cast.subscribe(cast.user(f"Period {number}a"), kind, ends_at)
    with app.app_context():
        people_here = db.session.scalars(select(User)).all()
        choose(people_here[3], Letter.ESSAYS, Pace.NEVER)
        subscription = db.session.scalars(select(Subscription)).first()
        assert subscription is not None
        subscription.cancelled_at = now
        db.session.commit()
    before = people(app)
    path = tmp_path / "out.csv"
    assert run("readers", "export", str(path)).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    exported = path.read_bytes()
    empty(app)
    assert run("readers", "import", str(path)).exit_code == 0
    assert people(app) == before
    run("readers", "export", str(path))
    strip = [line.split(b",", 1)[1] for line in path.read_bytes().splitlines()]
    assert strip == [line.split(b",", 1)[1] for line in exported.splitlines()]  # but for our own numbers


@given(NASTY)
def test_no_cell_is_a_formula_for_a_spreadsheet(cell: str) -> None:
    assert guarded(cell)[:1] not in tuple("=+-@\t\r")


@settings(max_examples=60, deadline=None)
@given(st.lists(NASTY, max_size=4))
def test_no_cell_breaks_the_table_or_comes_back_changed(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    path = tmp_path_factory.mktemp("cells") / "cells.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(("name", "email"))
        table.writerows((guarded(cell), f"a{line}@mail.example") for line, cell in enumerate(cells))
    with ReaderFile(path) as file:
        found = [row.name for row in file.rows() if isinstance(row, Arrival)]
    assert found == [cell.strip() for cell in cells]
