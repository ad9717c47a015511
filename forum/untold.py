"""Changes of discussions that are stored, but that whoever made them was not told of yet.

Until they are, a page without them is not behind: so readers get the page before, and need not wait while the next
one is made. Each change is one version of a discussion. Who makes it says so before the commit, for others may see it
before they themselves hear that it was done; and that it is theirs afterwards, for until then it may fail, and the
version be somebody else's.
"""

import mmap
import struct
import time
from zlib import crc32

CHANGE = struct.Struct("<QQQ?")
"""An essay, a version of its discussion, until when this counts, in nanoseconds of the system's clock, and whether the
version is stored."""

SLOT = struct.Struct(f"<{CHANGE.size}sI")
"""A change, and its checksum: two may write at once, and what is half of each is neither."""

ASKED = struct.Struct("<QQ")
"""An essay, and the newest version of its discussion that somebody wanted to see."""

SLOTS = 64
STEP_SECONDS = 0.0002
LONGEST_STEPS = 100
"""So often somebody looks whether a version is stored; usually it is only that its maker has yet to hear of it."""

LONGEST_SECONDS = 0.25
"""Who takes longer, or died, is not waited for: then readers wait for the page again."""

LATELY = 16
"""Whose page was wanted that many versions ago, or later, is being looked at: so many may post at the same time."""


class Untold:
    """What the workers of one generation know of each other's changes. It is there before they are forked.

    Whatever is missing in it is taken for told, so that one place may be used for many, and nobody needs a lock.
    """

    def __init__(self) -> None:
        self._changes = mmap.mmap(-1, SLOTS * SLOT.size)
        self._asked = mmap.mmap(-1, SLOTS * ASKED.size)

    def expect(self, essay_id: int, version: int) -> None:
        """Say that a version will be stored in a moment."""
        until = time.monotonic_ns() + int(LONGEST_SECONDS * 1e9)
        self._write(essay_id, version, until, is_stored=False)

    def store(self, essay_id: int, version: int) -> None:
        """Say that a version that was expected is stored, and that nobody was told of it."""
        if found := self._read(essay_id, version):
            self._write(essay_id, version, found[0], is_stored=True)

    def remove(self, essay_id: int, version: int) -> None:
        """Say that whoever made a version is about to be told, of that or of a failure."""
        place = _place(essay_id, version)
        self._changes[place : place + SLOT.size] = bytes(SLOT.size)

    def has(self, essay_id: int, version: int) -> bool:
        """Tell whether a version is stored and nobody was told of it."""
        found = self._read(essay_id, version)
        return found is not None and found[1]

    def wait(self, essay_id: int, version: int) -> None:
        """Wait until it is certain whose a version is that was expected, or for a moment."""
        for _ in range(LONGEST_STEPS):
            found = self._read(essay_id, version)
            if found is None or found[1]:
                return
            time.sleep(STEP_SECONDS)

    def want(self, essay_id: int, version: int) -> None:
        """Say that somebody wanted to see a version."""
        ASKED.pack_into(self._asked, essay_id % SLOTS * ASKED.size, essay_id, version)

    def is_wanted(self, essay_id: int, version: int) -> bool:
        """Tell whether somebody wanted to see a version, or one a little before it."""
        essay, asked = ASKED.unpack_from(self._asked, essay_id % SLOTS * ASKED.size)
        return bool(essay == essay_id and version - asked <= LATELY)

    def _read(self, essay_id: int, version: int) -> tuple[int, bool] | None:
        """Return until when a change counts and whether it is stored, None where nothing was said of it."""
        change, checksum = SLOT.unpack_from(self._changes, _place(essay_id, version))
        essay, one, until, is_stored = CHANGE.unpack(change)
        is_it = (essay, one) == (essay_id, version) and until > time.monotonic_ns()
        return (until, is_stored) if is_it and checksum == crc32(change) else None

    def _write(self, essay_id: int, version: int, until: int, *, is_stored: bool) -> None:
        change = CHANGE.pack(essay_id, version, until, is_stored)
        SLOT.pack_into(self._changes, _place(essay_id, version), change, crc32(change))


def _place(essay_id: int, version: int) -> int:
    return (essay_id * 31 + version) % SLOTS * SLOT.size
