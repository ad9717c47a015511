"""Where a database cannot tell whether it was written to, what is asked in one moment is read once, and then anew."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from forum.finding import Unread, only_find_here
from forum.rawreads import RawReads, RawStatement, begin_moment

pytestmark = pytest.mark.kinds("sqlite")


@pytest.fixture
def finder() -> Iterator[ThreadPoolExecutor]:
    """Return a thread that only finds."""
    with ThreadPoolExecutor(1, initializer=only_find_here) as pool:
        yield pool


def test_what_is_asked_in_one_moment_is_read_once_and_in_the_next_one_anew(
    tmp_path: Path, finder: ThreadPoolExecutor
) -> None:
    writer = sqlite3.connect(tmp_path / "one.sqlite3", isolation_level=None)  # without WAL it has no mark
    writer.execute("CREATE TABLE one (value INTEGER)")
    writer.execute("INSERT INTO one VALUES (1)")
    engine = create_engine(f"sqlite:///{tmp_path / 'one.sqlite3'}")
    reads, statement = RawReads(engine), RawStatement(text("SELECT value FROM one"), engine)

    def look() -> int:
        return int(finder.submit(reads.rows, statement).result()[0][0])

    with pytest.raises(Unread):
        look()
    finder.submit(begin_moment).result()
    assert look() == 1
    writer.execute("UPDATE one SET value = 2")
    assert look() == 1
    finder.submit(begin_moment).result()
    assert look() == 2
    finder.submit(reads.close).result()
