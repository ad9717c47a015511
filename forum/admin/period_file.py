"""Reading a file of periods: comma-separated lines of address, kind and date, each good or with what is wrong."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from io import StringIO

from sqlalchemy import select

from forum.accounts.address import BadAddress, clean_address
from forum.accounts.user import User
from forum.admin.batch import MOST_AT_ONCE
from forum.database import db
from forum.subscriptions.periods import Deed, granting, last_moment
from forum.subscriptions.subscription import Kind
from forum.text.normal import one_line

LARGEST_KIB = 512
COLUMNS = ("email", "kind", "until")
NO_END = ("", "forever")
MOST_SHOWN = 120
"""Characters of a cell that are shown again when it is wrong; longer ones are no address and no date."""


@dataclass(frozen=True)
class FileLine:
    """One line: the address as it stands there, and what it asks for, or what is wrong with it."""

    number: int
    address: str
    deed: Deed | None = None
    wrong: str = ""
    user_id: int | None = None


@dataclass(frozen=True)
class PeriodFile:
    """What a file asks for, line by line; `unused` are columns that mean nothing here."""

    lines: Sequence[FileLine]
    unused: Sequence[str]

    def deeds(self) -> dict[int, Deed]:
        """Return the deed for each person's id."""
        return {line.user_id: line.deed for line in self.lines if line.user_id is not None and line.deed}


class BadFile(Exception):
    """Why nothing of a file can be used, as a sentence for whoever sent it."""


def decoded(content: bytes) -> str:
    """Return the text of a file. Raises: BadFile."""
    if len(content) > LARGEST_KIB * 1024:
        raise BadFile(f"The file is larger than {LARGEST_KIB} KB. Split it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile("This is not text in UTF-8. Save the table as “CSV UTF-8”.") from None


def read_periods(text: str) -> PeriodFile:
    """Read a file and find the people it names; one query.

    Raises: BadFile, when its columns cannot be told or it has too many lines; what is wrong with a line is said there.
    """
    rows = _rows(text)
    header = next(rows, (0, []))[1]
    places, unused = _places(header)
    lines = [_line(number, cells, len(header), places) for number, cells in rows]
    if not lines:
        raise BadFile("There is no line below the names of the columns.")
    return PeriodFile(_with_people(_without_duplicates(lines)), unused)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each line that holds something, with its number; commas, semicolons or tabs stand between the cells."""
    first = text.partition("\n")[0]
    reader = csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    given = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                given += 1
                yield reader.line_num, [one_line(cell) for cell in cells]
            if given > MOST_AT_ONCE + 1:
                raise BadFile(f"The file has more than {MOST_AT_ONCE:,} lines. Split it.")
    except csv.Error:
        raise BadFile(
            f"Line {reader.line_num} cannot be read: a quotation mark is missing or too many."
        ) from None


def _places(header: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    names = [cell.lower() for cell in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise BadFile(
            f"The first line has to name the columns {', '.join(COLUMNS)}. Missing: {', '.join(missing)}."
        )
    for column in COLUMNS:
        if names.count(column) > 1:
            raise BadFile(f"The column “{column}” is there twice.")
    unused = [cell[:MOST_SHOWN] for cell in header if cell and cell.lower() not in COLUMNS]
    return {column: names.index(column) for column in COLUMNS}, unused


def _line(number: int, cells: Sequence[str], width: int, places: Mapping[str, int]) -> FileLine:
    if len(cells) != width:
        shown = next((cell for cell in cells if "@" in cell), "")[:MOST_SHOWN]
        words = f"This line has {len(cells)} cells, the first line has {width}."
        return FileLine(number, shown, wrong=words)
    address, kind, until = (cells[places[column]] for column in COLUMNS)
    try:
        return FileLine(number, clean_address(address), granting(_kind(kind), _until(until)))
    except BadAddress:
        return FileLine(number, address[:MOST_SHOWN], wrong="This is not an e-mail address.")
    except ValueError as wrong:
        return FileLine(number, address[:MOST_SHOWN], wrong=str(wrong))


def _kind(word: str) -> Kind:
    if word.lower() not in set(Kind):
        raise ValueError(f"The kind is “{word[:MOST_SHOWN]}”. It has to be paid or complimentary.")
    return Kind(word.lower())


def _until(word: str) -> datetime | None:
    if word.lower() in NO_END:
        return None
    try:
        return last_moment(date.fromisoformat(word))
    except ValueError:
        shown = word[:MOST_SHOWN]
        raise ValueError(f"The date is “{shown}”. Write it as 2027-01-31, or forever.") from None


def _without_duplicates(lines: Sequence[FileLine]) -> list[FileLine]:
    """Let the first line of an address count, so that the order of a file decides nothing else."""
    first: dict[str, int] = {}
    kept = []
    for line in lines:
        before = first.setdefault(line.address, line.number) if line.deed else line.number
        again = f"This address stands on line {before} already. That line counts."
        kept.append(line if before == line.number else replace(line, deed=None, wrong=again))
    return kept


def _with_people(lines: Sequence[FileLine]) -> list[FileLine]:
    addresses = [line.address for line in lines if line.deed]
    found = db.session.execute(select(User.email, User.id).where(User.email.in_(addresses)))
    ids = {row.email: row.id for row in found}
    unknown = "Nobody here has this address. No account is made."
    known = {address: {"user_id": user_id} for address, user_id in ids.items()}
    return [
        replace(line, **known.get(line.address, {"deed": None, "wrong": unknown})) if line.deed else line
        for line in lines
    ]
