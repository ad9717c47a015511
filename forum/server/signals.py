"""Waiting for signals and files together, as a process does that looks after others."""

import os
import select
import signal
from collections.abc import Iterable


class Signals:
    """The signals that this process is sent, kept until somebody waits for them."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _is_heard)

    def wait(self, seconds: float | None, files: Iterable[int] = ()) -> tuple[set[int], set[int]]:
        """Wait for a signal, for something to read or for the time; return the signals and the files."""
        ready, _, _ = select.select([self._out, *files], [], [], seconds)
        heard = set(os.read(self._out, 4_096)) if self._out in ready else set()
        return heard, set(ready) - {self._out}


def _is_heard(_number: int, _frame: object) -> None:
    """Do nothing: its number has gone into the pipe."""
