"""Lists of readers as Ghost and Substack export them: columns by name, one row a person."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from forum import clock
from forum.accounts.address import BadAddress, clean_address
from forum.subscriptions.periods import LONGEST
from forum.subscriptions.subscription import Kind
from forum.text.normal import one_line

GHOST_COLUMNS = (
    "id",
    "email",
    "name",
    "note",
    "subscribed_to_emails",
    "complimentary_plan",
    "stripe_customer_id",
    "created_at",
    "deleted_at",
    "labels",
    "tiers",
)
"""The columns of Ghost's export of members, in its order."""

LONGEST_LINE = 1 << 20
"""A line that is longer is no row of people; it is skipped without being held in memory."""

COLUMNS = {
    # Ghost
    "email": "email",
    "name": "name",
    "note": "note",
    "subscribed_to_emails": "gets_mail",
    "complimentary_plan": "is_gift",
    "created_at": "created_at",
    "deleted_at": "deleted_at",
    "tiers": "tiers",
    "products": "tiers",  # as older versions call them
    # Substack: its file of all addresses, its file of subscribers, and the one that its dashboard makes
    "active_subscription": "is_active",
    "expiry": "ends_at",
    "expiration_date": "ends_at",
    "plan": "plan",
    "stripe_plan": "plan",
    "type": "type",
    "email_disabled": "gets_no_mail",
    "start_date": "created_at",
    "first_payment_at": "first_paid_at",
    "first_paid_date": "first_paid_at",
    "paid_upgrade_date": "began_at",
    "cancel_date": "cancelled_at",
}
"""What each column says. Small letters, and `_` for what is neither letter nor digit."""

GIVEN = frozenset({"comp", "complimentary", "gift", "trial"})
BOUGHT = frozenset({"paid", "monthly", "month", "yearly", "year", "annual", "founding", "subscriber", "iap"})
"""The words by which Substack calls subscriptions that were given, and those that are paid for."""

UNDATED = "although it is paid there: the file does not say until when"

YES, NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})

PERIOD_NOTE = re.compile(
    r"(Paid|Complimentary) from (\d{4}-\S+)(?: until (\d{4}-\S+?))?(?:, cancelled on (\d{4}-\S+))?"
)
"""How our own export says a period in Ghost's column for notes: Ghost has no column for dates."""


class FileRefused(Exception):
    """Why a file cannot be read as a list of readers, as one sentence for whoever runs the command."""


class RowRefused(Exception):
    """Why one row cannot be kept."""


@dataclass(frozen=True)
class Period:
    """A paid or complimentary time; `ends_at` None is without an end."""

    kind: Kind
    began_at: datetime
    ends_at: datetime | None
    cancelled_at: datetime | None = None


@dataclass(frozen=True)
class Arrival:
    """A person as a row describes them; `name` is as it stands there, or ""."""

    line: int
    address: str
    name: str
    joined_at: datetime
    gets_essays: bool
    period: Period | None
    note: str
    """What the row said that could not be followed, or ""."""


@dataclass(frozen=True)
class LeftOut:
    """A row that makes no account. `is_wrong` when it should have, were it not for a mistake in it."""

    line: int
    address: str
    why: str
    is_wrong: bool


class ReaderFile:
    """An open file of readers, to be walked through once. Use it with `with`.

    Raises: FileRefused, when it is opened.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self._bytes = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise FileRefused(f"{path}: cannot be read: {error.strerror}.") from None
        # What is no UTF-8 becomes surrogates, so that it spoils its own row and not the whole file.
        text = TextIOWrapper(self._bytes, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._lines = _Lines(text)
        try:
            header, self._delimiter = self._read_header(path)
            self._meanings = _meanings(header, path)
        except BaseException:
            self._bytes.close()
            raise
        self.not_read = [
            name
            for name, meaning in zip(header, self._meanings, strict=True)
            if not meaning and name.strip() not in ("", *GHOST_COLUMNS)
        ]
        """The columns that we do not know, as the file spells them."""

    def __enter__(self) -> "ReaderFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()

    @property
    def bytes_read(self) -> int:
        """Return how far we are, in bytes of `size`."""
        return self._bytes.tell() if self._bytes.seekable() else 0

    def rows(self) -> Iterator[Arrival | LeftOut]:
        """Walk through the rows; whatever is in one, the next is read."""
        now = clock.now()
        table = csv.reader(self._lines, delimiter=self._delimiter)
        while True:
            line = self._lines.number + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except (csv.Error, RowRefused) as error:
                yield LeftOut(line, "", self._why_unreadable(error, line), is_wrong=True)
                continue
            if any(cell.strip() for cell in cells):
                yield self._row(line, cells, now)

    def _read_header(self, path: Path) -> tuple[list[str], str]:
        """Return the names of the columns, and what stands between them."""
        try:
            first = next(self._lines, "")
        except RowRefused as error:
            raise FileRefused(f"{path}: the first line cannot be read: {error}") from None
        if "\0" in first or first.startswith("\udcff\udcfe") or first.startswith("\udcfe\udcff"):
            raise FileRefused(f"{path}: is UTF-16. Save it as CSV in UTF-8 and import that.")
        headers = [(next(csv.reader([first], delimiter=mark), []), mark) for mark in ",;\t"]
        for header, mark in headers:
            if any(_plain(name) == "email" for name in header):
                return header, mark
        raise FileRefused(
            f"{path}: there is no column “email”. The first line should name the columns, as Ghost’s exports do."
        )

    def _row(self, line: int, cells: list[str], now: datetime) -> Arrival | LeftOut:
        values = {
            meaning: _without_guard(cell).strip()
            for meaning, cell in zip(self._meanings, cells, strict=False)
            if meaning
        }
        shown = one_line(values.get("email", "")[:200])[:80]
        try:
            _refuse_damaged(cells, len(self._meanings))
            if values.get("deleted_at"):
                return LeftOut(line, shown, "was deleted there", is_wrong=False)
            if values.get("email", "").lower().endswith("@deletion-request.substack.com"):
                return LeftOut(line, shown, "asked Substack to be forgotten", is_wrong=False)
            return _arrival(line, values, now)
        except (RowRefused, BadAddress) as error:
            return LeftOut(line, shown, str(error), is_wrong=True)

    def _why_unreadable(self, error: Exception, first_line: int) -> str:
        if isinstance(error, RowRefused):
            return str(error)
        lines = f"lines {first_line} to {self._lines.number}" if self._lines.number > first_line else "line"
        if "field larger" in str(error):
            return (
                f"A cell is too long; the {lines} could not be read. Is a quotation mark missing its second?"
            )
        return f"The {lines} could not be read as CSV."


def guarded(cell: str) -> str:
    """Return a cell as a spreadsheet may open it: one that it would take for a formula begins with '.

    The characters are those that OWASP lists for CSV injection. A cell that looks guarded already gets one more,
    so that taking one away always gives the cell back.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def period_note(period: Period) -> str:
    """Return a period as our export says it, for people as well as for our import."""
    until = f" until {moment_text(period.ends_at)}" if period.ends_at else ""
    cancelled = f", cancelled on {moment_text(period.cancelled_at)}" if period.cancelled_at else ""
    return f"{period.kind.value.capitalize()} from {moment_text(period.began_at)}{until}{cancelled}"


def moment_text(moment: datetime) -> str:
    """Return a moment as Ghost writes it: ISO 8601 in UTC with Z, here with the microseconds if there are any."""
    precise = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).isoformat(timespec=precise).replace("+00:00", "Z")


class _Lines:
    """The lines of a file, counted, and none held that is too long to be a row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST_LINE and line[-1] not in "\r\n":
            while (rest := self._file.readline(LONGEST_LINE)) and rest[-1] not in "\r\n":
                pass
            raise RowRefused("The line is too long to be a row.")
        return line


_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def _without_guard(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", one_line(name).lower()).strip("_")


def _meanings(header: Sequence[str], path: Path) -> list[str]:
    """Return what each column says, "" for what is not read. Raises: FileRefused."""
    seen: dict[str, str] = {}
    meanings = [COLUMNS.get(_plain(name), "") for name in header]
    for name, meaning in zip(header, meanings, strict=True):
        key = meaning or _plain(name)
        if key in seen:
            raise FileRefused(
                f"{path}: the columns “{_short(seen[key])}” and “{_short(name)}” say the same. Take one of them away."
            )
        if key:
            seen[key] = name
    return meanings


def _refuse_damaged(cells: list[str], columns: int) -> None:
    if len(cells) > columns:
        raise RowRefused(f"There are {len(cells)} cells for {columns} columns.")
    for cell in cells:
        if "\0" in cell:
            raise RowRefused("There is a NUL character in it.")
        if not cell.isascii() and _SURROGATE.search(cell):
            raise RowRefused("Some letters are not UTF-8.")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _arrival(line: int, values: dict[str, str], now: datetime) -> Arrival:
    joined_at = min(_moment(values, "created_at") or now, now)
    period, note = _period(values, joined_at, now)
    if period and period.ends_at and period.ends_at > now + LONGEST:  # “31 December 9999” means no end
        period = replace(period, ends_at=None, cancelled_at=None)
    return Arrival(
        line=line,
        address=clean_address(values.get("email", "")),
        name=values.get("name", ""),
        joined_at=joined_at,
        gets_essays=_yes(values, "gets_mail", usual=True) and not _yes(values, "gets_no_mail", usual=False),
        period=period,
        note=note,
    )


def _period(values: dict[str, str], joined_at: datetime, now: datetime) -> tuple[Period | None, str]:
    """Return the paid or complimentary time that a row tells of, and what it tells that we cannot follow."""
    if noted := PERIOD_NOTE.fullmatch(values.get("note", "")):
        kind, *moments = noted.groups()
        began_at, ends_at, cancelled_at = (_parsed(moment) if moment else None for moment in moments)
        return Period(Kind(kind.lower()), began_at or joined_at, ends_at, cancelled_at), ""
    if _yes(values, "is_gift", usual=False):
        return Period(Kind.COMPLIMENTARY, joined_at, None), ""
    if values.get("tiers") and values.get("tiers", "").lower() != "free":
        return None, UNDATED
    return _substack_period(values, joined_at, now)


def _substack_period(values: dict[str, str], joined_at: datetime, now: datetime) -> tuple[Period | None, str]:
    words = set(re.findall("[a-z]+", f"{values.get('type', '')} {values.get('plan', '')}".lower()))
    first_paid_at = _moment(values, "first_paid_at")
    is_given = bool(words & GIVEN)
    is_bought = bool(words & BOUGHT) or first_paid_at is not None
    is_free = "free" in words and "trial" not in words
    is_active = _yes(values, "is_active", usual=(is_given or is_bought) and not is_free)
    ends_at = _moment(values, "ends_at")
    if not (is_active or is_given or is_bought):
        return None, ""
    if ends_at is None:
        return None, UNDATED if is_active else ""
    began_at = _moment(values, "began_at") or first_paid_at or joined_at
    kind = Kind.PAID if is_bought and not is_given else Kind.COMPLIMENTARY
    if not is_active:  # over, and not to be followed by days of grace
        ends_at = min(ends_at, now)
        return Period(kind, min(began_at, ends_at), ends_at, ends_at), ""
    return Period(kind, min(began_at, ends_at), ends_at, _moment(values, "cancelled_at")), ""


def _yes(values: dict[str, str], key: str, *, usual: bool) -> bool:
    word = values.get(key, "").lower()
    if not word:
        return usual
    if word not in YES | NO:
        raise RowRefused(f"“{_short(word)}” should be true or false.")
    return word in YES


def _moment(values: dict[str, str], key: str) -> datetime | None:
    return _parsed(values[key]) if values.get(key) else None


def _parsed(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RowRefused(f"“{_short(text)}” should be a date such as 2026-01-31.") from None


def _short(text: str) -> str:
    return one_line(text[:200])[:40]
