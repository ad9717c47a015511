"""Threads that only hand out what is there, so that nobody waits for what is made or read meanwhile."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Unmade(Exception):
    """What was asked for is not there yet, and this thread makes nothing: another one has to be asked.

    `key` says what others may be asking for as well, None where it is for this one alone.
    """

    def __init__(self, key: Hashable = None) -> None:
        super().__init__()
        self.key = key


class Unread(Unmade):
    """What was asked for must be read first, and this thread waits for no database."""


MAKER = "forum.maker"
"""Under this name a request brings what has something done by the thread that makes pages: see `Executor.submit`."""


class _Here(threading.local):
    only_finds = False


_here = _Here()


def only_find_here() -> None:
    """Let this thread from now on raise Unmade where it would have to make something."""
    _here.only_finds = True


@contextmanager
def only_finding() -> Iterator[None]:
    """Do so for a while."""
    before, _here.only_finds = _here.only_finds, True
    try:
        yield
    finally:
        _here.only_finds = before


def may_make_here() -> bool:
    """Tell whether this thread may make what is not there."""
    return not _here.only_finds
