"""A worker's tie to who started it: when that one ends, however it ends, so does the worker."""

import os
import signal
import threading
import time
from pathlib import Path

GRACE_SECONDS = 25


def name_process(name: str) -> None:
    """Give this process a name that `ps` and `top` show, where the system has a place for it (15 letters)."""
    try:
        Path("/proc/self/comm").write_text(name)
    except OSError:
        return


def end_with(lifeline: int) -> None:
    """Have this process told to end (SIGTERM) when a file is closed at its other end; by force if it does not."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
