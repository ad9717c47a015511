"""Readers from elsewhere become accounts here, and all readers can be taken elsewhere."""

import csv
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import count, islice
from typing import Any, TypeVar

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import InstrumentedAttribute

from forum import clock
from forum.accounts.sign_up import numbered
from forum.accounts.user import User
from forum.archive.reader_file import (
    GHOST_COLUMNS,
    Arrival,
    LeftOut,
    Period,
    ReaderFile,
    guarded,
    moment_text,
    period_note,
)
from forum.database import Base, db, is_sqlite
from forum.site import audit
from forum.subscriptions.letters import Choice, Letter, Pace, gets
from forum.subscriptions.subscription import State, Subscription
from forum.subscriptions.tier import tiers
from forum.text.names import BadName, clean_name, name_key
from forum.text.normal import one_line

PIECE = 500
"""Rows that are added and committed together: nobody waits long."""

ASKED_AT_ONCE = 100
"""For 500 names PostgreSQL reads the whole table of 100,000 people rather than its index."""

NUMBERED = range(2, 10)
"""Who has a taken name gets the first free one of “Ada 2” to “Ada 9”, and otherwise a number that nobody has."""

Item = TypeVar("Item")


class Verdict(StrEnum):
    """What becomes of a row."""

    NEW = "new"
    HERE = "here"
    SKIPPED = "skipped"
    WRONG = "wrong"


@dataclass(frozen=True)
class Outcome:
    """What becomes of one row, in words. `is_news` when whoever runs the import should see it in any case."""

    line: int
    address: str
    verdict: Verdict
    words: str
    is_news: bool = False


@dataclass(frozen=True)
class _Newcomer:
    """An arrival with the name that it gets here."""

    arrival: Arrival
    name: str


def import_readers(
    file: ReaderFile,
    *,
    dry_run: bool,
    report: Callable[[Outcome], None],
    moved: Callable[[int], None],
) -> dict[Verdict, int]:
    """Make an account of each row whose address has none, and return how many rows each verdict got.

    Commits in pieces and records the whole once, also when it is interrupted; a dry run only reads. `report` hears
    of every row in the order of the file, `moved` how many more bytes were read.
    """
    counts = dict.fromkeys(Verdict, 0)
    given = _Given()
    numbers = count((db.session.scalar(select(func.max(User.id))) or 0) + 1)
    db.session.rollback()
    try:
        at = 0
        for number, piece in enumerate(_pieces(file.rows(), PIECE), start=1):
            outcomes = _import_piece(piece, given, numbers, dry_run=dry_run)
            if dry_run:
                db.session.rollback()
            else:
                _let_plans_be_made_anew(number)
                db.session.commit()
            for outcome in outcomes:
                counts[outcome.verdict] += 1
            for outcome in outcomes:
                report(outcome)
            before, at = at, file.bytes_read
            moved(at - before)
    finally:
        given.close()
        db.session.rollback()
        if counts[Verdict.NEW] and not dry_run:
            told: dict[str, Any] = {verdict.value: rows for verdict, rows in counts.items() if rows}
            audit.record(None, "import-readers", "readers", file=one_line(file.name)[:200], **told)
            db.session.commit()
    return counts


def export_readers(file: Any) -> int:
    """Write everyone with a confirmed address as Ghost's CSV of members, and return how many they are.

    `file` is an open text file or anything with `write`. Reads in pieces, so that no writer waits for us.
    """
    table = csv.writer(file)
    table.writerow(GHOST_COLUMNS)
    tier_names = {state: words.name for state, words in tiers().items()}
    last_id = written = 0
    while rows := _confirmed_after(last_id):
        for row in rows:
            cells = _cells(row, tier_names)
            table.writerow([guarded(cells.get(column, "")) for column in GHOST_COLUMNS])
        last_id, written = rows[-1].id, written + len(rows)
        db.session.rollback()
    return written


class _Given:
    """The addresses and name keys that a run has given out so far, with their lines; on disk, so memory stays flat."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a file without a name, gone when it is closed
        self._database.execute(
            "CREATE TABLE given (what TEXT, line INTEGER, PRIMARY KEY (what)) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._database.close()

    def add(self, newcomers: Iterable[_Newcomer]) -> None:
        pairs = [
            pair
            for one in newcomers
            for pair in (
                (f"address {one.arrival.address}", one.arrival.line),
                (f"name {name_key(one.name)}", one.arrival.line),
            )
        ]
        self._database.executemany("INSERT OR IGNORE INTO given VALUES (?, ?)", pairs)

    def addresses(self, addresses: AbstractSet[str]) -> dict[str, int]:
        """Return the line of each of these addresses that was there before."""
        return self._find("address", addresses)

    def name_keys(self, keys: AbstractSet[str]) -> AbstractSet[str]:
        """Return those of these keys whose name was given out before."""
        return self._find("name", keys).keys()

    def _find(self, kind: str, what: AbstractSet[str]) -> dict[str, int]:
        asked = [f"{kind} {one}" for one in what]
        marks = ",".join("?" * len(asked))
        found = self._database.execute(f"SELECT what, line FROM given WHERE what IN ({marks})", asked)  # noqa: S608
        return {one.partition(" ")[2]: line for one, line in found}


def _import_piece(
    piece: list[Arrival | LeftOut], given: _Given, numbers: Iterator[int], *, dry_run: bool
) -> list[Outcome]:
    """Add the accounts of a piece, and return what becomes of its rows."""
    arrivals, outcomes = _new_ones(piece, given)
    newcomers = _named(arrivals, given, numbers)
    added = {one.arrival.address for one in newcomers} if dry_run else _add(newcomers)
    given.add(one for one in newcomers if one.arrival.address in added)
    outcomes += [_told(one) if one.arrival.address in added else _outrun(one.arrival) for one in newcomers]
    return sorted(outcomes, key=lambda outcome: outcome.line)


def _new_ones(piece: list[Arrival | LeftOut], given: _Given) -> tuple[list[Arrival], list[Outcome]]:
    """Part the rows that need an account from those about which nothing is to be done."""
    arrivals = [row for row in piece if isinstance(row, Arrival)]
    addresses = {row.address for row in arrivals}
    before = given.addresses(addresses)
    here = _found(User.email, addresses - before.keys())
    fresh: dict[str, Arrival] = {}
    outcomes = []
    for row in piece:
        if isinstance(row, LeftOut):
            verdict = Verdict.WRONG if row.is_wrong else Verdict.SKIPPED
            outcomes.append(Outcome(row.line, row.address, verdict, row.why, is_news=row.is_wrong))
        elif row.address in here:
            outcomes.append(
                Outcome(row.line, row.address, Verdict.HERE, "has an account, which stays as it is")
            )
        elif (line := before.get(row.address)) or row.address in fresh:
            words = f"has the address of line {line or fresh[row.address].line}"
            outcomes.append(Outcome(row.line, row.address, Verdict.SKIPPED, words))
        else:
            fresh[row.address] = row
    return list(fresh.values()), outcomes


def _named(arrivals: list[Arrival], given: _Given, numbers: Iterator[int]) -> list[_Newcomer]:
    """Give each arrival the name that it came with, where it can be had; otherwise one like it, or a number."""
    bases = {one.line: _base(one.name) for one in arrivals}
    names: dict[int, str] = {}
    for turn in count():
        offers = {line: _offers(base, turn, numbers) for line, base in bases.items() if line not in names}
        if not offers:
            break
        keys = {name: name_key(name) for some in offers.values() for name in some}
        taken = _taken(set(keys.values()), given) | {name_key(name) for name in names.values()}
        for line, some in offers.items():
            if name := next((name for name in some if keys[name] not in taken), ""):
                names[line] = name
                taken.add(keys[name])
    return [_Newcomer(one, names[one.line]) for one in arrivals]


def _base(name: str) -> str:
    """Return a name as it can be had, "" for what is none, and for addresses: names are shown to everybody."""
    try:
        return "" if _ADDRESS.search(name) else clean_name(name)
    except BadName:
        return ""


_ADDRESS = re.compile(r"\S@\S+\.\S")


def _offers(base: str, turn: int, numbers: Iterator[int]) -> list[str]:
    if base and turn == 0:
        return [base]
    if base and turn == 1:
        return [numbered(base, number) for number in NUMBERED]
    return [numbered(base or "Reader", next(numbers))]


def _taken(keys: AbstractSet[str], given: _Given) -> set[str]:
    before = set(given.name_keys(keys))
    return before | _found(User.name_key, keys - before)


def _found(column: InstrumentedAttribute[str], values: AbstractSet[str]) -> set[str]:
    """Return those of these values that somebody here has in a column."""
    found: set[str] = set()
    for some in _pieces(values, ASKED_AT_ONCE):
        found.update(db.session.scalars(select(column).where(column.in_(some))))
    return found


def _add(newcomers: list[_Newcomer]) -> set[str]:
    """Add the accounts with what belongs to them, and return their addresses.

    One whose address or name somebody else took since we looked is left out.
    """
    if not newcomers:
        return set()
    now = clock.now()
    rows = [
        {
            "email": one.arrival.address,
            "name": one.name,
            "name_key": name_key(one.name),
            "created_at": one.arrival.joined_at,
            "email_confirmed_at": now,  # where they come from
        }
        for one in newcomers
    ]
    dialect_insert = sqlite_insert if is_sqlite() else postgresql_insert
    adding = dialect_insert(User).on_conflict_do_nothing().returning(User.email, User.id)
    ids = dict(iter(db.session.execute(adding, rows)))
    arrived = [one.arrival for one in newcomers if one.arrival.address in ids]
    _insert(
        Choice,
        [
            {"user_id": ids[one.address], "letter": Letter.ESSAYS.value, "pace": Pace.NEVER}
            for one in arrived
            if not one.gets_essays
        ],
    )
    _insert(
        Subscription,
        [{"user_id": ids[one.address], **asdict(one.period)} for one in arrived if one.period],
    )
    return set(ids)


def _insert(model: type[Base], rows: list[dict[str, Any]]) -> None:
    if rows:
        db.session.execute(insert(model), rows)


def _let_plans_be_made_anew(pieces: int) -> None:
    """Each time that the table may have doubled: PostgreSQL keeps a plan made for an empty table, which reads it all.

    It would notice by itself after a minute or so. With 100,000 people a look-up takes 25 ms that way, 0.2 by index.
    """
    if not is_sqlite() and pieces.bit_count() == 1:
        db.session.execute(text('ANALYZE "user"'))


def _told(newcomer: _Newcomer) -> Outcome:
    """Say what a row becomes."""
    arrival = newcomer.arrival
    parts = [f"“{newcomer.name}”"]
    if arrival.name and arrival.name != newcomer.name:
        parts.append(f"because “{one_line(arrival.name[:200])[:60]}” is taken or cannot be a name")
    parts.append(_period_words(arrival.period))
    if not arrival.gets_essays:
        parts.append("no essays by mail")
    if arrival.note:
        parts.append(arrival.note)
    return Outcome(arrival.line, arrival.address, Verdict.NEW, ", ".join(parts), is_news=bool(arrival.note))


def _period_words(period: Period | None) -> str:
    if period is None:
        return "free"
    until = f" until {period.ends_at.strftime('%-d %B %Y')}" if period.ends_at else ""
    return f"{period.kind.value}{until}"


def _outrun(arrival: Arrival) -> Outcome:
    words = "Somebody took this address or name just now. Import the file again."
    return Outcome(arrival.line, arrival.address, Verdict.WRONG, words, is_news=True)


def _confirmed_after(last_id: int) -> Sequence[Any]:
    """Return the next people after an id, with whether they get essays and their subscription."""
    gets_essays = gets(Letter.ESSAYS, *(pace for pace in Pace if pace != Pace.NEVER))
    people = (
        select(
            User.id, User.email, User.name, User.created_at, gets_essays.label("gets_essays"), Subscription
        )
        .outerjoin(Subscription, Subscription.user_id == User.id)
        .where(User.id > last_id, User.email_confirmed_at.is_not(None))
        .order_by(User.id)
        .limit(PIECE)
    )
    return db.session.execute(people).all()


def _cells(row: Any, tier_names: dict[State, str]) -> dict[str, str]:
    subscription: Subscription | None = row.Subscription
    state = subscription.state(clock.now()) if subscription else State.FREE
    cells = {
        "id": str(row.id),
        "email": row.email,
        "name": row.name,
        "subscribed_to_emails": _word(row.gets_essays),
        "complimentary_plan": _word(state == State.COMPLIMENTARY),
        "created_at": moment_text(row.created_at),
        "tiers": tier_names.get(State.PAID if state == State.GRACE else state, "") if subscription else "",
    }
    if subscription:
        period = Period(
            subscription.kind, subscription.began_at, subscription.ends_at, subscription.cancelled_at
        )
        cells["note"] = period_note(period)
    return cells


def _word(yes: bool) -> str:
    return "true" if yes else "false"


def _pieces(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
