"""Where a database cannot tell whether it was written to, what is asked in one moment is read once, and then anew."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from forum.finding import Unread, only_find_here
from forum.rawreads import RawReads, RawStatement, moment

pytestmark = pytest.mark.kinds("sqlite")


@pytest.fixture
def finder() -> Iterator[ThreadPoolExecutor]:
    """Return a thread that only finds."""
    with ThreadPoolExecutor(1, initializer=only_find_here) as pool:
        yield pool


def test_what_is_asked_in_one_moment_is_read_once_and_in_the_next_one_anew(
    tmp_path: Path, finder: ThreadPoolExecutor
) -> None:
    writer = sqlite3.connect(tmp_path / "one.sqlite3", isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE one (value INTEGER)")  # in a database without WAL, which has no mark
    writer.execute("INSERT INTO one VALUES (1)")
    engine = create_engine(f"sqlite:///{tmp_path / 'one.sqlite3'}")
    reads, statement = RawReads(engine), RawStatement(text("SELECT value FROM one"), engine)

    def look() -> int:
        return int(reads.rows(statement)[0][0])

    def look_twice() -> tuple[int, int]:
        with moment():
            before = look()
            writer.execute("UPDATE one SET value = value + 1")
            return before, look()

    for seen in ((1, 1), (2, 2)):
        with pytest.raises(Unread):
            finder.submit(look).result()
        assert finder.submit(look_twice).result() == seen
    finder.submit(reads.close).result()
