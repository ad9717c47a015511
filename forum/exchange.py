"""A little memory that the workers of one generation share, so that what one of them has made the others take from it.

It is there before the workers are forked, and goes with the last of them. What is in it is named by all that it was
made of, so that it can be missing, and is then made again, but never be wrong.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import IO, Any

KEY_BYTES = 16
SLOT = struct.Struct(f"<{KEY_BYTES}sII")
"""A key, and where its value begins and ends."""

SLOTS = 64
DATA = 8 + SLOTS * SLOT.size
"""Before the values: where the next one goes, the number of the next slot, the slots."""

NEXT = struct.Struct("<II")
LARGEST_SHARE = 4
"""A value takes at most this part of the memory."""

DIRECTORY_LOCK = 0
"""The byte of the lock file that guards the memory; the others stand for keys."""

KEY_LOCKS = 1 << 30
LONGEST_WAIT_SECONDS = 2.0
"""A worker that stands still must not hold up the others for long; they make it themselves."""

STEP_SECONDS = 0.0005


class Exchange:
    """Values in shared memory: the newest ones, as many as fit. Safe between threads and processes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._map = mmap.mmap(-1, DATA + size)
        # Locks of whole processes: the system takes them back from one that dies.
        self._locks = _nameless_file()
        self._threads = threading.Lock()

    def find_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what is there under a key, made now if need be; who asks meanwhile in another worker waits for it."""
        name = _name(key)
        found = self._find(name)
        if found is None:
            with self._turn(name):
                found = self._find(name)
                if found is None:
                    found = make()
                    self._keep(name, found)
        return found

    def keep(self, key: Hashable, value: bytes) -> None:
        """Put something in the place of what is there under a key."""
        self._keep(_name(key), value)

    def clear(self) -> None:
        """Forget everything."""
        with self._directory():
            for slot in range(SLOTS):
                self._set_slot(slot, b"", 0, 0)

    @contextmanager
    def _turn(self, name: bytes) -> Iterator[None]:
        """Wait until nobody else makes the value of a key, or until that takes too long."""
        place = 1 + int.from_bytes(name[:8]) % KEY_LOCKS
        is_ours = self._wait_for(place)
        try:
            yield
        finally:
            if is_ours:
                self._lock(place, fcntl.LOCK_UN)

    def _wait_for(self, place: int) -> bool:
        """Take a lock, or tell that it took too long."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while not self._lock(place, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if time.monotonic() > until:
                return False
            time.sleep(STEP_SECONDS)
        return True

    def _lock(self, place: int, how: int) -> bool:
        try:
            fcntl.lockf(self._locks, how, 1, place)
        except OSError:
            return False
        return True

    @contextmanager
    def _directory(self) -> Iterator[bool]:
        """Take the memory for oneself, and tell whether one has it: a worker that stands still may not give it back."""
        with self._threads:
            is_ours = self._wait_for(DIRECTORY_LOCK)
            try:
                yield is_ours
            finally:
                if is_ours:
                    self._lock(DIRECTORY_LOCK, fcntl.LOCK_UN)

    def _find(self, name: bytes) -> bytes | None:
        with self._directory() as is_ours:
            for key, start, end in self._slots() if is_ours else ():
                if key == name and start < end:
                    return self._map[start:end]
        return None

    def _keep(self, name: bytes, value: bytes) -> None:
        if not value or len(value) * LARGEST_SHARE > self._size:
            return
        with self._directory() as is_ours:
            if is_ours:
                self._write(name, value)

    def _write(self, name: bytes, value: bytes) -> None:
        start, number = NEXT.unpack_from(self._map)
        start = start or DATA
        if start + len(value) > DATA + self._size:
            start = DATA
        end = start + len(value)
        # Who dies in the middle leaves slots that name nothing, never one that names half a value.
        for slot, (key, other_start, other_end) in enumerate(self._slots()):
            if slot == number or key == name or (other_start < end and start < other_end):
                self._set_slot(slot, b"", 0, 0)
        self._map[start:end] = value
        NEXT.pack_into(self._map, 0, end, (number + 1) % SLOTS)
        self._set_slot(number, name, start, end)

    def _slots(self) -> Iterator[tuple[Any, ...]]:
        return SLOT.iter_unpack(self._map[8:DATA])

    def _set_slot(self, number: int, name: bytes, start: int, end: int) -> None:
        SLOT.pack_into(self._map, 8 + number * SLOT.size, name, start, end)


def _name(key: Hashable) -> bytes:
    return blake2b(repr(key).encode(), digest_size=KEY_BYTES).digest()


def _nameless_file() -> IO[bytes]:
    """Return a file that nothing is written to; in memory where that is possible, for there may be no other place."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("forum-exchange"), "r+b")
    return tempfile.TemporaryFile()
