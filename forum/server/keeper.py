"""The keeper of a generation: the parent of its workers, who tells when one dies, and ends them in order."""

import os
import signal
import sys
import time
from contextlib import suppress

from forum.server.lifeline import name_process
from forum.server.signals import Signals

LIFELINE = 0
"""Standard input: its other end is the supervisor's, so that it closes when the supervisor ends, however it ends."""

DRAIN_SECONDS = 2.0
"""How long a web worker that leaves still answers on the connections it has, each answer the last of its connection."""

ASK_AGAIN_SECONDS = 5.0
"""A generation that was asked for because a worker died may itself not start."""

LAST_SECONDS = 0.5
"""The same where no next generation follows: long enough for a request that was on its way as the door closed."""

WORKERS_SECONDS = 20
"""How long workers have to finish what is in their hands; a mail server may take its time."""


def main() -> None:
    """Say that all have begun, and stay. Arguments: where to say so, the workers' lifeline, and their process ids."""
    tell, _lifeline, *workers = map(int, sys.argv[1:])
    name_process("forum-keeper")
    keeper = Keeper(workers)
    os.write(tell, b"1")
    os.close(tell)
    keeper.stay()


class Keeper:
    """Workers lose their lifeline when this process ends, so that it cannot leave them behind."""

    def __init__(self, workers: list[int]) -> None:
        self._signals = Signals(signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
        self._workers = set(workers)
        self._parent = os.getppid()

    def stay(self) -> None:
        """Ask for a new generation when a worker dies; end with all at SIGTERM, after a drain at SIGUSR1."""
        everyone = len(self._workers)
        while self._workers:
            self._bury()
            is_short = len(self._workers) < everyone
            if (
                is_short and os.getppid() == self._parent
            ):  # or it has just died, and another one has its number
                os.kill(self._parent, signal.SIGHUP)
            heard, closed = self._signals.wait(ASK_AGAIN_SECONDS if is_short else None, [LIFELINE])
            if closed or heard & {signal.SIGTERM, signal.SIGUSR1}:
                is_replaced = signal.SIGUSR1 in heard and signal.SIGTERM not in heard
                return self._end(DRAIN_SECONDS if is_replaced else LAST_SECONDS)

    def _end(self, drain_seconds: float) -> None:
        """End every worker; those of the web first turn away from the door, and answer what they were sent before.

        The door closes as the last one who holds it lets go: with no next generation, who comes then is refused.
        """
        self._tell(signal.SIGUSR1)
        self._wait(drain_seconds)
        self._tell(signal.SIGTERM)
        self._wait(WORKERS_SECONDS)
        self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with suppress(ProcessLookupError):
                os.kill(worker, number)

    def _wait(self, seconds: float) -> None:
        """Wait for the end of every worker; not longer than `seconds`, nor than until the next SIGTERM."""
        until = time.monotonic() + seconds
        while self._workers and time.monotonic() < until:
            heard, _ = self._signals.wait(0.05)
            self._bury()
            if signal.SIGTERM in heard:
                return

    def _bury(self) -> None:
        self._workers -= {worker for worker in self._workers if os.waitpid(worker, os.WNOHANG)[0]}


if __name__ == "__main__":
    main()
