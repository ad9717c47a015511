"""Finished parts of pages in memory, bounded in bytes: what was wanted least lately goes first, each is made once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from forum.finding import Unmade, may_make_here


class Sized(Protocol):
    """What is kept; `size` is about how many bytes of memory it takes, with all that it may yet grow."""

    @property
    def size(self) -> int:
        """Return the bytes that it is counted with."""


Part = TypeVar("Part", bound=Sized)


class PageCache:
    """What this process has rendered. A key names versions, so that nothing in here can grow stale.

    Safe between threads.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._parts: OrderedDict[Hashable, Sized] = OrderedDict()
        self._lock = threading.Lock()
        self._makers: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    def find(self, key: Hashable) -> Sized | None:
        """Return what is kept under a key."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None:
                self._parts.move_to_end(key)
            return part

    def find_or_make(
        self, key: Hashable, make: Callable[[], Part], holds: Callable[[Part], bool] = lambda part: True
    ) -> Part:
        """Return what is kept under a key, made now if need be; who asks meanwhile waits for the same one.

        `holds` tells whether what was found is still good. Raises: Unmade, in a thread that makes nothing.
        """
        part = cast(Part | None, self.find(key))
        if part is None or not holds(part):
            if not may_make_here():
                raise Unmade(key)
            with self._maker(key):
                part = cast(Part | None, self.find(key))
                if part is None or not holds(part):
                    part = make()
                    self.keep(key, part)
        return part

    def keep(self, key: Hashable, part: Sized) -> None:
        """Keep something under a key, in place of what was there; one that alone is too large is not kept."""
        with self._lock:
            self._drop(key)
            if part.size > self.most_bytes:
                return
            self._parts[key] = part
            self.bytes += part.size
            while self.bytes > self.most_bytes:
                self._drop(next(iter(self._parts)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._parts.clear()
            self.bytes = 0

    def parts(self) -> list[Sized]:
        """Return everything that is kept, for who checks what is in it."""
        with self._lock:
            return list(self._parts.values())

    def _drop(self, key: Hashable) -> None:
        part = self._parts.pop(key, None)
        if part is not None:
            self.bytes -= part.size

    def _maker(self, key: Hashable) -> threading.Lock:
        """Return the lock of who makes the part of a key; it is there as long as somebody holds it or waits for it."""
        with self._lock:
            return self._makers.setdefault(key, threading.Lock())
