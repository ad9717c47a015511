"""Whether a SQLite database is as it was, told from the head of its WAL index, which all who use it share in memory.

Every commit writes that head before it returns: it counts transactions and holds a checksum of the last one. So a read
whose mark is still there need not be made again. The format is sqlite.org/walformat.html, section 2.1.
"""

import mmap
import os
import sqlite3
import threading
from pathlib import Path

HEAD = 96
"""The head stands there twice, each with 48 bytes; a commit writes one after the other."""

_one_opens = threading.Lock()
"""A second map of the same index would close its file when it is let go."""

_kept: dict[tuple[int, int], tuple[sqlite3.Connection, mmap.mmap]] = {}
"""By device and file, for as long as the process lives.

To close any file of an index takes away all locks that this process has in it, those of SQLite too (POSIX).
The connection keeps others from deleting the index, and from leaving the mode that has one.
"""


class WalIndex:
    """The index of one database."""

    def __init__(self, database: Path) -> None:
        """Open it. Raises: OSError or ValueError, where the database has none to share."""
        with _one_opens:
            self._map = _shared_memory(database)

    def mark(self) -> bytes:
        """Return what is another one after the next commit of anybody."""
        return self._map[:HEAD]


def _shared_memory(database: Path) -> mmap.mmap:
    index = database.with_name(f"{database.name}-shm")
    connection = sqlite3.connect(database, check_same_thread=False)
    connection.execute("PRAGMA cache_size=-8")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        raise ValueError("no WAL")  # an index that lies beside it is of another time
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # from now on it has the index open
    found = index.stat()
    known = _kept.get((found.st_dev, found.st_ino))
    if known is None:
        file = os.open(index, os.O_RDONLY | os.O_CLOEXEC)
        known = connection, mmap.mmap(file, mmap.PAGESIZE, access=mmap.ACCESS_READ)
        _kept[found.st_dev, found.st_ino] = known
    return known[1]
