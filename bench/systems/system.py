"""What a system must be able to do to be measured."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from bench.systems.process import Process
from bench.systems.shape import Discussion, people

SMALL, LARGE, OPEN = "small", "large", "open"
"""The discussions of each system: two to read, and one without a comment to write to."""

PASSWORD = "side-by-side-8450"

Post = Callable[[str], bool]
"""Posts one text; tells whether the system said that it is kept."""


class System(Protocol):
    """One system, as the measurement drives it."""

    title: str
    brings: str
    """What its reader's browser gets for the one request that shows the discussion."""

    @property
    def version(self) -> str:
        """Return which version it is."""

    def set_up(self, discussions: Sequence[Discussion], writers: int) -> None:
        """Install, configure and fill it. Raises: RuntimeError."""

    def process(self) -> Process:
        """Return its server, not yet started."""

    def page(self, slug: str) -> str:
        """Return the address that a reader's browser asks for when it opens a discussion."""

    def client(self, number: int) -> Post:
        """Return one of its writers, signed in where it wants that."""


def contents(discussions: Sequence[Discussion], writers: int) -> dict[str, object]:
    """Return what a peer's own process is to write into its database, as JSON can hold it."""
    return {
        "people": people(),
        "writers": [writer_name(number) for number in range(writers)],
        "password": PASSWORD,
        "discussions": [asdict(one) for one in discussions],
    }


def writer_name(number: int) -> str:
    """Return the name with which a writer signs in."""
    return f"writer{number}"
